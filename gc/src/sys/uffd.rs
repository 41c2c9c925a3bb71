//! Opening a userfaultfd, and write-protecting ranges with it.
//!
//! A userfaultfd descriptor comes in two strengths. The full one also serves faults the kernel itself takes, as when
//! `read(2)` stores into a protected page; it wants `CAP_SYS_PTRACE`, or `vm.unprivileged_userfaultfd = 1`, or
//! permission to open `/dev/userfaultfd`. The other, `UFFD_USER_MODE_ONLY`, any user may have since Linux 5.11.
//! We ask for the full one first, through the device, then through the system call (a device that is there but not
//! permitted says nothing about the system call), and for the lesser one last.
//!
//! The descriptor then must be told which features it will use, once; asking for one the kernel lacks fails and
//! tells nothing. So features are read from a first descriptor, which is closed again, and those wanted that exist are
//! asked for on a second.
//!
//! Crate `userfaultfd` does the rest, called through [`Kernel`]. It cannot do the above: it gives up where the device is not permitted, and its
//! feature flags end before `WP_ASYNC`.
//!
//! Protecting is an ioctl on a range, which may be told to try again (`EAGAIN`, while another thread changes the
//! address space; `EINTR`), and which before Linux 6.7 refuses a range that spans two mappings (`ENOENT`). A
//! range may come to do that when somebody calls `madvise` on part of it, so a refused range is split in two and
//! tried again.

use std::io;
use std::ops::Range;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use userfaultfd::{IoctlFlags, Uffd};

use super::errno;
use super::kernel::Kernel;
use crate::layout::PAGE;

/// Write-protection faults on private anonymous memory (Linux 5.7).
pub const FEATURE_WP: u64 = 1 << 0;
/// A fault becomes `SIGBUS` in the faulting thread (Linux 4.14).
pub const FEATURE_SIGBUS: u64 = 1 << 7;
/// Write-protection on shared memory (Linux 5.19).
pub const FEATURE_WP_SHMEM: u64 = 1 << 12;
/// Pages nobody touched yet can be write-protected too (Linux 6.4). Without it the request passes over them.
pub const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
/// The kernel resolves write faults by itself and remembers them in the page table (Linux 6.7).
pub const FEATURE_WP_ASYNC: u64 = 1 << 15;

/// `UFFD_USER_MODE_ONLY`: serve no faults the kernel takes.
pub const USER_MODE_ONLY: libc::c_int = 1;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ApiArguments {
    /// Which protocol: always `0xAA`.
    pub api: u64,
    /// In: features to enable. Out: features there are.
    pub features: u64,
    /// Out: requests the descriptor takes, one bit each.
    pub ioctls: u64,
}

const _: () = assert!(size_of::<ApiArguments>() == 24, "the size is part of the ioctl's number");

/// An open userfaultfd with its features enabled.
#[derive(Debug)]
pub struct Opened {
    /// The descriptor, closed when dropped; closing it removes every protection made with it and wakes all who wait.
    pub uffd: Uffd,
    /// The `FEATURE_*` bits that were asked for and that the kernel has; they are enabled.
    pub features: u64,
    /// Whether faults taken by the kernel (`read(2)` into a protected page) are not served.
    pub user_mode_only: bool,
}

/// Why there is no descriptor.
#[derive(Debug)]
pub enum Refused {
    /// The kernel gives nobody here a descriptor. Holds the answer of the last attempt.
    Open(io::Error),
    /// It gave one and then failed to say what it can do.
    Api(io::Error),
}

impl Refused {
    /// The cause and the remedy, as sentences.
    pub fn explain(&self, kernel: &Kernel) -> (String, String) {
        let release = kernel.release();
        match self {
            Refused::Open(e) if errno::of(e) == libc::ENOSYS => (
                format!("userfaultfd(2) does not exist in this Linux {release}, or a system call filter hides it ({e})"),
                "Use a kernel with CONFIG_USERFAULTFD; in a container, allow the system call in its seccomp profile \
                 or pass the device /dev/userfaultfd into it."
                    .into(),
            ),
            Refused::Open(e) if matches!(errno::of(e), libc::EPERM | libc::EACCES) => (
                format!(
                    "userfaultfd(2) is not permitted here, not even for faults of user mode alone (Linux {release}: {e})"
                ),
                "In a container, allow the system call in its seccomp profile (the default profiles of docker and podman \
                 refuse it) or pass the device /dev/userfaultfd into it; before Linux 5.11, set \
                 vm.unprivileged_userfaultfd=1 or grant CAP_SYS_PTRACE."
                    .into(),
            ),
            Refused::Open(e) if errno::of(e) == libc::EINVAL => (
                format!(
                    "userfaultfd(2) is not permitted to this user, and this Linux {release} has no descriptor for faults \
                     of user mode alone, which came with 5.11"
                ),
                "Set vm.unprivileged_userfaultfd=1 or grant CAP_SYS_PTRACE.".into(),
            ),
            Refused::Open(e) => (
                format!("userfaultfd(2) failed: {e}"),
                format!("{}.", errno::remedy("userfaultfd(2)", errno::of(e))),
            ),
            Refused::Api(e) => (
                format!("the userfaultfd of this Linux {release} does not answer UFFDIO_API: {e}"),
                "A system call filter that inspects ioctl(2) may stand in the way: allow it.".into(),
            ),
        }
    }
}

/// Opens a descriptor with those of `wanted` enabled that the kernel has. It does not block, and closes on exec.
pub fn open(kernel: &Kernel, wanted: u64) -> Result<Opened, Refused> {
    let features = probe(kernel)? & wanted;
    let (fd, user_mode_only) = open_descriptor(kernel).map_err(Refused::Open)?;
    let mut arguments = ApiArguments { api: 0xAA, features, ioctls: 0 };
    kernel.userfaultfd_api(&fd, &mut arguments).map_err(Refused::Api)?;
    // SAFETY: `into_raw_fd` gave up the ownership that `Uffd` takes.
    let uffd = unsafe { Uffd::from_raw_fd(fd.into_raw_fd()) };
    Ok(Opened { uffd, features, user_mode_only })
}

/// The `FEATURE_*` bits this kernel has.
pub fn probe(kernel: &Kernel) -> Result<u64, Refused> {
    let (fd, _) = open_descriptor(kernel).map_err(Refused::Open)?;
    let mut arguments = ApiArguments { api: 0xAA, features: 0, ioctls: 0 };
    kernel.userfaultfd_api(&fd, &mut arguments).map_err(Refused::Api)?;
    Ok(arguments.features)
}

fn open_descriptor(kernel: &Kernel) -> io::Result<(OwnedFd, bool)> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    if let Ok(fd) = kernel.userfaultfd_device(flags) {
        return Ok((fd, false));
    }
    match kernel.userfaultfd(flags) {
        Ok(fd) => Ok((fd, false)),
        Err(e) if errno::of(&e) == libc::EPERM => Ok((kernel.userfaultfd(flags | USER_MODE_ONLY)?, true)),
        Err(e) => Err(e),
    }
}

/// Registers a mapped range for write protection.
///
/// # Errors
/// `EBUSY` where another userfaultfd has the range, `EINVAL` where its kind of memory cannot be write-protected.
pub fn register(kernel: &Kernel, uffd: &Uffd, range: &Range<usize>) -> io::Result<()> {
    let ioctls = kernel.uffd_register(uffd, range)?;
    if ioctls.contains(IoctlFlags::WRITE_PROTECT) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
}

/// Takes the range from the descriptor: nothing in it is protected any more. Who waits to write to it must be woken: the kernel
/// does that only for those that wait for a missing page (`docs/kernel-findings/unregister-leaves-writers-asleep.md`).
pub fn unregister(kernel: &Kernel, uffd: &Uffd, range: &Range<usize>) -> io::Result<()> {
    kernel.uffd_unregister(uffd, range)
}

/// Whether threads that wait for a page to become writable are woken with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiters {
    /// They go on at once.
    Wake,
    /// They sleep until [`wake`].
    LeaveAsleep,
}

/// Write-protects a registered range. On an error part of it may be protected.
pub fn protect(kernel: &Kernel, uffd: &Uffd, range: Range<usize>) -> io::Result<()> {
    over_mappings(range, &|part| kernel.uffd_protect(uffd, part))
}

/// Makes a registered range writable. On an error part of it may be. Async-signal-safe.
pub fn unprotect(kernel: &Kernel, uffd: &Uffd, range: Range<usize>, waiters: Waiters) -> io::Result<()> {
    let wake = waiters == Waiters::Wake;
    over_mappings(range, &|part| kernel.uffd_unprotect(uffd, part, wake))
}

/// Wakes the threads that wait on a page of the range.
///
/// # Errors
/// Whatever the descriptor's number stands for now is not a userfaultfd: somebody closed it.
pub fn wake(kernel: &Kernel, uffd: &Uffd, range: &Range<usize>) -> io::Result<()> {
    retrying(&|| kernel.uffd_wake(uffd, range))
}

/// Applies `request` to the range, or to each half of it where the kernel wants one mapping at a time.
fn over_mappings(range: Range<usize>, request: &dyn Fn(Range<usize>) -> io::Result<()>) -> io::Result<()> {
    match retrying(&|| request(range.clone())) {
        Err(e) if errno::of(&e) == libc::ENOENT && range.len() > PAGE => {
            let middle = range.start + (range.len() / PAGE / 2) * PAGE;
            over_mappings(range.start..middle, request)?;
            over_mappings(middle..range.end, request)
        }
        result => result,
    }
}

/// How often a request is made again that is told to try again. Who holds it up changes the address space, and is done
/// long before; a request that never gets anywhere must become an error, not a thread that turns round for ever.
const TRIES: usize = 1_000;

fn retrying(request: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
    let mut tries = 0;
    loop {
        let Err(error) = request() else { return Ok(()) };
        tries += 1;
        match errno::of(&error) {
            _ if tries >= TRIES => return Err(error),
            libc::EINTR => {}
            libc::EAGAIN => std::thread::yield_now(),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Denials;
    use super::*;

    fn denying(denials: Denials) -> Kernel {
        Kernel::denying(denials)
    }

    #[test]
    fn an_absent_system_call_is_explained_by_kernel_configuration_and_filters() {
        let kernel = denying(Denials {
            userfaultfd: Some(libc::ENOSYS),
            userfaultfd_device: Some(libc::ENOENT),
            ..Denials::default()
        });
        let (cause, remedy) = open(&kernel, FEATURE_WP).unwrap_err().explain(&kernel);
        assert!(cause.contains("does not exist"), "{cause}");
        assert!(remedy.contains("CONFIG_USERFAULTFD") && remedy.contains("seccomp"), "{remedy}");
    }

    #[test]
    fn a_forbidden_system_call_is_explained_by_privilege_and_filters() {
        let kernel = denying(Denials {
            userfaultfd: Some(libc::EPERM),
            userfaultfd_device: Some(libc::EACCES),
            ..Denials::default()
        });
        let (cause, remedy) = open(&kernel, FEATURE_WP).unwrap_err().explain(&kernel);
        assert!(cause.contains("not permitted"), "{cause}");
        for word in ["CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd=1", "/dev/userfaultfd", "seccomp"] {
            assert!(remedy.contains(word), "{word} is missing in: {remedy}");
        }
    }

    #[test]
    fn a_device_that_is_not_permitted_falls_back_to_the_system_call() {
        let kernel = denying(Denials { userfaultfd_device: Some(libc::EACCES), ..Denials::default() });
        let Ok(opened) = open(&kernel, FEATURE_WP) else { return eprintln!("skipped: no userfaultfd here") };
        assert_eq!(opened.features, FEATURE_WP);
    }

    #[test]
    fn without_privilege_the_descriptor_is_for_user_mode_only() {
        let kernel = denying(Denials { full_privilege: Some(libc::EPERM), ..Denials::default() });
        let Ok(opened) = open(&kernel, FEATURE_WP) else { return eprintln!("skipped: no userfaultfd here") };
        assert!(opened.user_mode_only);
    }

    #[test]
    fn features_an_older_kernel_lacks_are_not_granted_and_the_rest_is() {
        let kernel = denying(Denials { features: FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED, ..Denials::default() });
        let wanted = FEATURE_WP | FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED;
        let Ok(opened) = open(&kernel, wanted) else { return eprintln!("skipped: no userfaultfd here") };
        assert_eq!(opened.features, FEATURE_WP);
    }

    #[test]
    fn a_range_of_several_mappings_is_protected_piece_by_piece() {
        let seen = std::cell::RefCell::new(Vec::new());
        // A kernel that takes only ranges within 0..3 pages or within 3..8 pages.
        let border = 3 * PAGE;
        let result = over_mappings(0..8 * PAGE, &|part| {
            if part.start < border && part.end > border {
                return Err(io::Error::from_raw_os_error(libc::ENOENT));
            }
            seen.borrow_mut().push(part);
            Ok(())
        });
        assert!(result.is_ok());
        let seen = seen.into_inner();
        assert_eq!(seen.first().unwrap().start, 0);
        assert_eq!(seen.last().unwrap().end, 8 * PAGE);
        assert!(seen.windows(2).all(|w| w[0].end == w[1].start), "{seen:?}");
    }

    #[test]
    fn a_request_that_is_always_to_be_tried_again_fails_in_the_end() {
        for errno in [libc::EAGAIN, libc::EINTR] {
            let error = retrying(&|| Err(io::Error::from_raw_os_error(errno))).unwrap_err();
            assert_eq!(errno::of(&error), errno);
        }
    }
}
