//! Every system call the collector makes, and a way to make each of them fail.
//!
//! Which barrier works depends on the kernel's version, on privileges, on what a container's system call filter lets
//! through, and on limits; and any call may fail one day, for want of memory. A test machine has one of each and enough
//! of everything. So the calls go through a [`Kernel`], and a test gives it [`Denials`], what another kernel lacks:
//! "userfaultfd(2) fails with EPERM", "there is no `WP_ASYNC`"; or a [`FaultPlan`], what goes wrong at some moment: "the
//! third scan from now fails with ENOMEM". Both answer before the kernel is asked; everything else is real, so that what
//! is tested is the real fallback on the real kernel, not a mock of it.
//!
//! A `Kernel` is a value, kept by each heap and each of its parts: two heaps of one process can live on different
//! "kernels". Without a plan, the cost of a plan is one test of a pointer beside a system call.
//!
//! Not here, because they cannot fail in a way that matters: closing, yielding, sleeping, asking for the size of a page or of the
//! memory, what Rust's locks and channels do, and writing a trace, which ends when it cannot be written.

mod faults;
mod memory;
mod process;
mod watching;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

pub use faults::{Call, FaultPlan, Outcome, When};

use super::errno;
use super::uffd::ApiArguments;

/// The running kernel, less what a test denies.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    denials: Denials,
    plan: Option<Arc<FaultPlan>>,
}

/// What a test makes the kernel refuse. The default denies nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Denials {
    /// The errno of `userfaultfd(2)`: `ENOSYS` where the kernel is built without it, `EPERM` under a container's filter.
    pub userfaultfd: Option<i32>,
    /// The errno of opening `/dev/userfaultfd`.
    pub userfaultfd_device: Option<i32>,
    /// The errno of any attempt to get a descriptor that also handles faults of the kernel: an ordinary user's case.
    pub full_privilege: Option<i32>,
    /// `UFFD_FEATURE_*` bits an older kernel lacks.
    pub features: u64,
    /// The errno of opening `/proc/self/pagemap`.
    pub pagemap_open: Option<i32>,
    /// The errno of `PAGEMAP_SCAN`: `ENOTTY` before Linux 6.7.
    pub pagemap_scan: Option<i32>,
    /// `mprotect(2)` of fewer bytes fails with `ENOMEM`, as it does where it would have to split a mapping and
    /// `vm.max_map_count` is reached.
    pub mprotect_below: usize,
}

impl Kernel {
    /// The running kernel.
    pub fn real() -> Kernel {
        Kernel::default()
    }

    /// The running kernel, less what is denied.
    pub fn denying(denials: Denials) -> Kernel {
        Kernel { denials, plan: None }
    }

    /// The running kernel, whose calls fail as the plan says.
    pub fn failing(plan: &Arc<FaultPlan>) -> Kernel {
        Kernel { denials: Denials::default(), plan: Some(plan.clone()) }
    }

    /// How the call that is about to be made fails, if it does.
    #[inline]
    fn outcome(&self, call: Call) -> Option<Outcome> {
        self.plan.as_ref()?.next(call)
    }

    /// The same for calls that are done or not done, and nothing between.
    #[inline]
    fn ask(&self, call: Call) -> io::Result<()> {
        match self.outcome(call) {
            Some(Outcome::Fails(errno) | Outcome::HalfDone(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Outcome::Short | Outcome::Pretended) | None => Ok(()),
        }
    }

    /// The release of the running kernel, as `uname -r` prints it.
    pub fn release(&self) -> String {
        // SAFETY: utsname is made of character arrays, for which all zeroes is a value.
        let mut name: libc::utsname = unsafe { std::mem::zeroed() };
        // SAFETY: `name` is a writable utsname.
        if unsafe { libc::uname(&mut name) } != 0 {
            return "of unknown version".to_owned();
        }
        // SAFETY: the kernel ended the string with a zero byte, and the zeroed array would.
        unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_string_lossy().into_owned()
    }

    /// `userfaultfd(2)`.
    pub(crate) fn userfaultfd(&self, flags: libc::c_int) -> io::Result<OwnedFd> {
        deny(self.denials.userfaultfd)?;
        self.ask(Call::Userfaultfd)?;
        self.deny_full_privilege(flags)?;
        // SAFETY: the call takes flags only and makes a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        let fd = errno::check(fd as libc::c_int)?;
        // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The same through the device, whose file permission stands for the privilege (Linux 6.1).
    pub(crate) fn userfaultfd_device(&self, flags: libc::c_int) -> io::Result<OwnedFd> {
        /// `_IO(0xAA, 0)`.
        const USERFAULTFD_IOC_NEW: libc::c_ulong = 0xAA00;
        deny(self.denials.userfaultfd_device)?;
        self.ask(Call::Userfaultfd)?;
        self.deny_full_privilege(flags)?;
        let device = File::options().read(true).write(true).open("/dev/userfaultfd")?;
        // SAFETY: this request takes the flags as a number and makes a new descriptor.
        let fd = errno::check(unsafe { libc::ioctl(device.as_raw_fd(), USERFAULTFD_IOC_NEW as _, flags) })?;
        // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn deny_full_privilege(&self, flags: libc::c_int) -> io::Result<()> {
        if flags & super::uffd::USER_MODE_ONLY == 0 { deny(self.denials.full_privilege) } else { Ok(()) }
    }

    /// `UFFDIO_API`: asks for `arguments.features` (all of them or `EINVAL`) and is told which there are.
    pub(crate) fn userfaultfd_api(&self, fd: &OwnedFd, arguments: &mut ApiArguments) -> io::Result<()> {
        /// `_IOWR(0xAA, 0x3F, struct uffdio_api)`.
        const UFFDIO_API: libc::c_ulong = 0xC018_AA3F;
        deny((arguments.features & self.denials.features != 0).then_some(libc::EINVAL))?;
        self.ask(Call::UffdApi)?;
        // SAFETY: ApiArguments is laid out as struct uffdio_api, which this request reads and writes.
        errno::check(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, arguments as *mut ApiArguments) })?;
        arguments.features &= !self.denials.features;
        Ok(())
    }
}

fn deny(errno: Option<i32>) -> io::Result<()> {
    match errno {
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_call_fails_with_the_errno_asked_for() {
        let kernel = Kernel::denying(Denials { userfaultfd: Some(libc::ENOSYS), ..Denials::default() });
        assert_eq!(errno::of(&kernel.userfaultfd(0).unwrap_err()), libc::ENOSYS);
        let kernel = Kernel::denying(Denials { pagemap_open: Some(libc::EACCES), ..Denials::default() });
        assert_eq!(errno::of(&kernel.open_pagemap().unwrap_err()), libc::EACCES);
        assert!(Kernel::real().open_pagemap().is_ok());
    }

    #[test]
    fn denied_privilege_leaves_the_user_mode_descriptor() {
        let denials =
            Denials { full_privilege: Some(libc::EPERM), userfaultfd: Some(libc::ENOSYS), ..Denials::default() };
        let kernel = Kernel::denying(denials);
        assert_eq!(errno::of(&kernel.userfaultfd_device(0).unwrap_err()), libc::EPERM);
        assert_eq!(errno::of(&kernel.userfaultfd(super::super::uffd::USER_MODE_ONLY).unwrap_err()), libc::ENOSYS);
    }

    #[test]
    fn the_release_is_a_version() {
        assert!(Kernel::real().release().starts_with(|c: char| c.is_ascii_digit()));
    }
}
