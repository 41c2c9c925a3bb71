//! What there is on this kernel: its version, its features, what it permits.
//!
//! Read once before the first case. A case that needs something that is not there is *unsupported* and is not run.

use pagemark_gc::sys::Kernel;

use super::cell::{Backing, Mode};
use super::errno::Errno;
use super::scan;
use super::uffd::{self, Uffd};

/// The running kernel, as far as cases need to know it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Major and minor version.
    pub version: (u32, u32),
    /// `UFFD_FEATURE_*` bits, from `UFFDIO_API`.
    pub features: u64,
    /// Whether a descriptor that serves the kernel's faults can be had, and why not.
    pub full: Result<(), Errno>,
    /// Whether a descriptor for faults of user mode can be had, and why not.
    pub user: Result<(), Errno>,
    /// Whether there is `PAGEMAP_SCAN`, and why not.
    pub scan: Result<(), Errno>,
}

impl Facts {
    /// Asks the running kernel.
    pub fn read() -> Facts {
        let probe = |user_only| Uffd::open(user_only).and_then(|uffd| uffd.enable(0));
        let (full, user) = (probe(false), probe(true));
        Facts {
            // From the kernel itself: in a sandbox there may be no /proc, and what is expected depends on the version.
            version: version(&Kernel::real().release()),
            features: full.or(user).unwrap_or(0),
            full: full.map(drop),
            user: user.map(drop),
            scan: scan::probe(),
        }
    }

    /// Whether the kernel is at least this version.
    pub fn since(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }

    /// Whether the kernel has all these features.
    pub fn has(&self, features: u64) -> bool {
        self.features & features == features
    }

    /// Whether a descriptor of this mode can be had at all, and why not.
    pub fn offers_mode(&self, mode: Mode) -> Result<(), String> {
        let descriptor = if mode.is_user_only() { self.user } else { self.full };
        if let Err(e) = descriptor {
            return Err(match (e.0, mode.is_user_only()) {
                (libc::ENOSYS, _) => "no userfaultfd".into(),
                (libc::EINVAL, true) => "no UFFD_USER_MODE_ONLY".into(),
                _ => format!("userfaultfd: {e}"),
            });
        }
        if !self.has(mode.features()) {
            return Err(if mode.is_async() { "no WP_ASYNC" } else { "no SIGBUS feature" }.into());
        }
        match self.scan {
            Err(e) if mode.is_async() => Err(format!("PAGEMAP_SCAN: {e}")),
            _ => Ok(()),
        }
    }

    /// Whether memory of this kind can be write-protected, and why not.
    pub fn offers_protection(&self, backing: Backing) -> Result<(), String> {
        let (feature, missing) = if backing.is_anonymous() {
            (uffd::FEATURE_WP, "no write protection of anonymous memory")
        } else {
            (uffd::FEATURE_WP_HUGETLBFS_SHMEM, "no write protection of shmem and hugetlbfs")
        };
        if self.has(feature) { Ok(()) } else { Err(missing.into()) }
    }
}

/// Major and minor of a release such as `6.18.44-distribution`.
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_release_is_read_up_to_its_minor_version() {
        assert_eq!(version("6.18.44-fc-v782\n"), (6, 18));
        assert_eq!(version("7.3-rc7"), (7, 3));
        assert_eq!(version(""), (0, 0));
    }
}
