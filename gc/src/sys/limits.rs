//! How much memory this process may use.
//!
//! The machine's memory is only one bound. A container gives its processes less: cgroup v2 has `memory.max` in every
//! directory from the process's own up to the root, and the smallest counts; cgroup v1 has one hierarchy for the memory
//! controller with `memory.limit_in_bytes`. And a shell may have set `ulimit -v`. What a heap should be sized by is the least
//! of these.
//!
//! A container usually sees its own cgroup as the root of what is mounted, while `/proc/self/cgroup` may name the path
//! as the host sees it; a directory that is not there is passed over, and the mounted root is always looked at.

use std::fs;
use std::path::{Path, PathBuf};

/// cgroup v1 writes about this much where there is no limit: the greatest multiple of a page in 63 bits.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_f000;

/// Bytes this process may use: the least of physical memory, the cgroup's limit and `RLIMIT_AS`.
///
/// Unreadable sources count as no limit; with none readable the answer is `u64::MAX`.
pub fn memory() -> u64 {
    let bounds = [physical(), control_group(), address_space()];
    bounds.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// Bytes in an OS page of this kernel.
pub fn page_size() -> usize {
    // SAFETY: sysconf only answers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
}

/// Bytes of physical memory.
pub fn physical() -> Option<u64> {
    // SAFETY: sysconf only answers.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(page).ok()?).filter(|bytes| *bytes > 0)
}

/// Bytes the limit on the address space allows.
pub fn address_space() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a writable rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// The least memory limit of the cgroups this process is in, in bytes.
pub fn control_group() -> Option<u64> {
    cgroup(Path::new("/sys/fs/cgroup"))
}

/// The least limit of the cgroups this process is in, under the given mount point.
fn cgroup(mount: &Path) -> Option<u64> {
    let own = own_paths(&fs::read_to_string("/proc/self/cgroup").ok()?);
    let v2 = own.v2.and_then(|path| least_upwards(mount, &path, "memory.max", v2_limit));
    let v1 = own.v1.and_then(|path| least_upwards(&mount.join("memory"), &path, "memory.limit_in_bytes", v1_limit));
    [v1, v2].into_iter().flatten().min()
}

#[derive(Debug, PartialEq, Eq, Default)]
struct OwnPaths {
    v2: Option<String>,
    v1: Option<String>,
}

/// The paths in `/proc/self/cgroup`: lines of `id:controllers:path`, where version 2 has id 0 and no controllers.
fn own_paths(text: &str) -> OwnPaths {
    let mut own = OwnPaths::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if id == "0" && controllers.is_empty() {
            own.v2 = Some(path.to_owned());
        } else if controllers.split(',').any(|c| c == "memory") {
            own.v1 = Some(path.to_owned());
        }
    }
    own
}

fn least_upwards(mount: &Path, own: &str, file: &str, parse: fn(&str) -> Option<u64>) -> Option<u64> {
    directories(mount, own).iter().filter_map(|d| fs::read_to_string(d.join(file)).ok()).filter_map(|t| parse(&t)).min()
}

/// The directories from a cgroup up to the mount point, both included.
fn directories(mount: &Path, own: &str) -> Vec<PathBuf> {
    // A path that leads out of the mounted part starts with "..": all we can see then is the root.
    let inside: &Path =
        if own.split('/').any(|part| part == "..") { Path::new("") } else { Path::new(own.trim_matches('/')) };
    inside.ancestors().map(|part| mount.join(part)).collect()
}

fn v2_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn v1_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < V1_UNLIMITED - (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_positive_and_no_more_than_the_machine_has() {
        let limit = memory();
        assert!(limit > 0 && limit <= physical().unwrap(), "{limit}");
    }

    #[test]
    fn own_cgroups_are_found_in_both_versions_and_the_hybrid() {
        let v2 = own_paths("0::/user.slice/user-0.slice/session-1.scope\n");
        assert_eq!(v2, OwnPaths { v2: Some("/user.slice/user-0.slice/session-1.scope".into()), v1: None });
        let hybrid =
            own_paths("12:pids:/a\n11:cpu,cpuacct:/b\n5:memory:/docker/3f\n1:name=systemd:/x:y\n0::/init.scope\n");
        assert_eq!(hybrid, OwnPaths { v2: Some("/init.scope".into()), v1: Some("/docker/3f".into()) });
        assert_eq!(own_paths("garbage\n\n"), OwnPaths::default());
    }

    #[test]
    fn limits_are_read_and_their_absence_too() {
        assert_eq!(v2_limit("536870912\n"), Some(512 << 20));
        assert_eq!(v2_limit("max\n"), None);
        assert_eq!(v1_limit("536870912\n"), Some(512 << 20));
        assert_eq!(v1_limit("9223372036854771712\n"), None);
        assert_eq!(v1_limit(""), None);
    }

    #[test]
    fn every_directory_from_the_own_cgroup_to_the_root_is_looked_at() {
        let mount = Path::new("/sys/fs/cgroup");
        let all = directories(mount, "/a.slice/b.scope");
        assert_eq!(
            all,
            ["/sys/fs/cgroup/a.slice/b.scope", "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup/"].map(PathBuf::from)
        );
        assert_eq!(directories(mount, "/"), [PathBuf::from("/sys/fs/cgroup/")]);
        assert_eq!(directories(mount, "/../../other"), [PathBuf::from("/sys/fs/cgroup/")]);
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let mount = std::env::temp_dir().join(format!("pagemark-limits-{}", std::process::id()));
        let own = mount.join("outer/inner");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("memory.max"), "max\n").unwrap();
        fs::write(mount.join("outer/memory.max"), "1000000\n").unwrap();
        fs::write(mount.join("memory.max"), "2000000\n").unwrap();
        let least = least_upwards(&mount, "/outer/inner", "memory.max", v2_limit);
        fs::remove_dir_all(&mount).unwrap();
        assert_eq!(least, Some(1_000_000));
    }
}
