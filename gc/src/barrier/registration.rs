//! What `async`, `sync` and `sigbus` have in common: a userfaultfd with the features they need, and the tracked ranges
//! registered with it. And what each feature's absence means to whoever reads the refusal.

use userfaultfd::Uffd;

use super::PageRange;
use crate::error::BarrierError;
use crate::memory::{self, Backing};
use crate::sys::{Kernel, errno, uffd};

/// A userfaultfd that has the tracked ranges.
#[derive(Debug)]
pub(super) struct Registered {
    pub uffd: Uffd,
    /// Whether arming passes over pages nobody touched yet, so that they must be touched first.
    pub skips_unpopulated: bool,
    /// What the embedder should hear about this descriptor.
    pub warning: Option<String>,
}

/// What a feature is for, and since when there is one.
const SINCE: &[(u64, &str, &str)] = &[
    (uffd::FEATURE_WP, "write protection by userfaultfd", "5.7 (x86-64; arm64 6.10)"),
    (uffd::FEATURE_WP_SHMEM, "write protection of shared memory", "5.19"),
    (uffd::FEATURE_WP_ASYNC, "asynchronous write protection (WP_ASYNC)", "6.7"),
    (uffd::FEATURE_SIGBUS, "SIGBUS instead of an event", "4.14"),
];

/// Opens a userfaultfd with `features` and registers the ranges.
pub(super) fn register(
    mechanism: &'static str,
    features: u64,
    backing: Backing,
    ranges: &[PageRange],
    kernel: &Kernel,
) -> Result<Registered, BarrierError> {
    let needed = features | uffd::FEATURE_WP | if backing == Backing::Shmem { uffd::FEATURE_WP_SHMEM } else { 0 };
    let opened = uffd::open(kernel, needed | uffd::FEATURE_WP_UNPOPULATED).map_err(|refused| {
        let (cause, remedy) = refused.explain(kernel);
        BarrierError::Unavailable { mechanism, cause, remedy }
    })?;
    if let Some((_, what, since)) = SINCE.iter().find(|(bit, ..)| needed & !opened.features & bit != 0) {
        return Err(BarrierError::Unavailable {
            mechanism,
            cause: format!("this Linux {} has no {what}, which came with {since}", kernel.release()),
            remedy: format!("Use Linux {since} or later, or another barrier (`auto` chooses one)."),
        });
    }
    for range in ranges {
        memory::no_huge_pages(kernel, range);
        uffd::register(kernel, &opened.uffd, range).map_err(|error| refused_range(mechanism, range, error))?;
    }
    let unpopulated = opened.features & uffd::FEATURE_WP_UNPOPULATED != 0;
    Ok(Registered {
        warning: warning(mechanism, backing, unpopulated, opened.user_mode_only, &kernel.release()),
        uffd: opened.uffd,
        skips_unpopulated: backing == Backing::Anon && !unpopulated,
    })
}

fn refused_range(mechanism: &'static str, range: &PageRange, error: std::io::Error) -> BarrierError {
    match errno::of(&error) {
        libc::EBUSY => BarrierError::range(mechanism, range, "another userfaultfd has it"),
        libc::EINVAL => {
            BarrierError::range(mechanism, range, "it is not mapped, or of a kind this kernel cannot write-protect")
        }
        _ => BarrierError::kernel(mechanism, "ioctl(UFFDIO_REGISTER)", error),
    }
}

/// Sentences on what works less well here than the embedder may think.
fn warning(
    mechanism: &str,
    backing: Backing,
    unpopulated: bool,
    user_mode_only: bool,
    release: &str,
) -> Option<String> {
    let mut sentences = Vec::new();
    if mechanism == "sync" && user_mode_only {
        sentences.push(
            "the userfaultfd serves faults of user mode only, so system calls that store into armed pages (read(2) into a \
             tracked object) fail with EFAULT; CAP_SYS_PTRACE or permission on /dev/userfaultfd would avoid that",
        );
    }
    // Write protection of unpopulated pages came with 6.4, the fix this is about with 6.2 and backports: where the
    // former is there, so is the latter.
    if mechanism != "async" && backing == Backing::Shmem && !unpopulated {
        sentences.push(
            "this kernel may lack a fix of Linux 6.2 without which the arming of shared memory is lost after mprotect(2) or \
             NUMA balancing; use the backing `anon`",
        );
    }
    if mechanism == "async" && may_misread_swapped_pages(release) {
        sentences.push(
            "this kernel may lack a fix of Linux 6.9 (and 6.8.10) without which a written page that was swapped out is taken for \
             one that was not written; turn swap off, or use the barrier `sync`",
        );
    }
    if sentences.is_empty() { None } else { Some(sentences.join("; ")) }
}

/// Whether the scan may look for the mark of a present page in the entry of a swapped one, as it did until commit 2c7ad9a590d1. Distributions
/// mend such things without changing the number, so this is a suspicion.
pub(super) fn may_misread_swapped_pages(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(6), Some(7), _) => true,
        (Some(6), Some(8), patch) => patch.unwrap_or(0) < 10,
        _ => false,
    }
}

/// Reads a byte of each page, so that each has an entry in the page table that can be protected.
pub(super) fn touch(pages: &PageRange) {
    for page in pages.clone().step_by(crate::layout::PAGE) {
        // SAFETY: the page lies in a tracked range, which is mapped and always readable; the byte is not looked at.
        unsafe { (page as *const u8).read_volatile() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_on_a_kernel_that_may_lose_arming_is_warned_about() {
        assert!(warning("sync", Backing::Shmem, false, false, "6.1.0").unwrap().contains("6.2"));
        assert_eq!(warning("sync", Backing::Shmem, true, false, "6.5.0"), None);
        assert_eq!(warning("sigbus", Backing::Anon, false, true, "6.1.0"), None);
        assert!(warning("sync", Backing::Anon, true, true, "6.5.0").unwrap().contains("EFAULT"));
    }

    #[test]
    fn kernels_that_may_misread_swapped_pages_are_warned_about_where_it_matters() {
        for release in ["6.7.0", "6.7.12-amd64", "6.8.0-31-generic", "6.8.9"] {
            assert!(warning("async", Backing::Anon, true, false, release).unwrap().contains("swap"), "{release}");
            assert_eq!(warning("sync", Backing::Anon, true, false, release), None, "{release}");
        }
        for release in ["6.6.9", "6.8.10", "6.9.0", "6.18.1", "7.0.0", "of unknown version"] {
            assert_eq!(warning("async", Backing::Anon, true, false, release), None, "{release}");
        }
    }
}
