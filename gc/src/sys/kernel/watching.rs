//! The calls with which writes are seen: on a userfaultfd, on the page map, on protections, signals and threads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use userfaultfd::{Event, EventBuffer, IoctlFlags, RegisterMode, Uffd};

use super::{Call, Kernel, Outcome};
use crate::layout::PAGE;
use crate::sys::errno;
use crate::sys::pagemap::ScanArguments;

impl Kernel {
    /// `UFFDIO_REGISTER` for write protection; says which requests the range takes.
    pub(crate) fn uffd_register(&self, uffd: &Uffd, range: &Range<usize>) -> io::Result<IoctlFlags> {
        self.ask(Call::UffdRegister)?;
        uffd.register_with_mode(range.start as *mut libc::c_void, range.len(), RegisterMode::WRITE_PROTECT)
            .map_err(errno::from_userfaultfd)
    }

    /// `UFFDIO_UNREGISTER`.
    pub(crate) fn uffd_unregister(&self, uffd: &Uffd, range: &Range<usize>) -> io::Result<()> {
        self.ask(Call::UffdUnregister)?;
        uffd.unregister(range.start as *mut libc::c_void, range.len()).map_err(errno::from_userfaultfd)
    }

    /// `UFFDIO_WRITEPROTECT` that protects.
    pub(crate) fn uffd_protect(&self, uffd: &Uffd, range: Range<usize>) -> io::Result<()> {
        self.on_range(Call::UffdProtect, range, &|part| {
            uffd.write_protect(part.start as *mut libc::c_void, part.len()).map_err(errno::from_userfaultfd)
        })
    }

    /// `UFFDIO_WRITEPROTECT` that makes writable, and wakes whoever waits for that where `wake`. Async-signal-safe.
    pub(crate) fn uffd_unprotect(&self, uffd: &Uffd, range: Range<usize>, wake: bool) -> io::Result<()> {
        self.on_range(Call::UffdUnprotect, range, &|part| {
            uffd.remove_write_protection(part.start as *mut libc::c_void, part.len(), wake)
                .map_err(errno::from_userfaultfd)
        })
    }

    /// `UFFDIO_WAKE`.
    pub(crate) fn uffd_wake(&self, uffd: &Uffd, range: &Range<usize>) -> io::Result<()> {
        self.ask(Call::UffdWake)?;
        uffd.wake(range.start as *mut libc::c_void, range.len()).map_err(errno::from_userfaultfd)
    }

    /// `read(2)` of events, without waiting; hands each to `serve`.
    pub(crate) fn uffd_read(
        &self,
        uffd: &Uffd,
        buffer: &mut EventBuffer,
        serve: &mut dyn FnMut(Event) -> io::Result<()>,
    ) -> io::Result<()> {
        self.ask(Call::UffdRead)?;
        for event in uffd.read_events(buffer).map_err(errno::from_userfaultfd)? {
            serve(event.map_err(errno::from_userfaultfd)?)?;
        }
        Ok(())
    }

    /// `poll(2)`; without end where `timeout` is negative. Returns how many of the descriptors have something to say.
    pub(crate) fn poll(&self, descriptors: &mut [libc::pollfd], timeout: libc::c_int) -> io::Result<usize> {
        self.ask(Call::Poll)?;
        // SAFETY: the pointer and the length are those of a slice of pollfds, borrowed mutably for the call.
        let ready = unsafe { libc::poll(descriptors.as_mut_ptr(), descriptors.len() as libc::nfds_t, timeout) };
        Ok(errno::check(ready)? as usize)
    }

    /// `eventfd(2)`.
    pub(crate) fn eventfd(&self) -> io::Result<OwnedFd> {
        self.ask(Call::Eventfd)?;
        // SAFETY: the call makes a new descriptor.
        let fd = errno::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
        // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Makes an eventfd readable.
    pub(crate) fn signal_eventfd(&self, eventfd: &OwnedFd) -> io::Result<()> {
        self.ask(Call::EventfdWrite)?;
        let one = 1u64;
        // SAFETY: writes eight bytes from a live number, which is what an eventfd takes.
        let written = unsafe { libc::write(eventfd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        errno::check(written as libc::c_int)?;
        Ok(())
    }

    /// Opens this process's page map, read only.
    pub(crate) fn open_pagemap(&self) -> io::Result<File> {
        super::deny(self.denials.pagemap_open)?;
        self.ask(Call::PagemapOpen)?;
        File::open("/proc/self/pagemap")
    }

    /// `PAGEMAP_SCAN`. Returns how many elements of the vector were filled.
    ///
    /// # Safety
    /// `arguments.vec` must point to `vec_len` writable regions.
    pub(crate) unsafe fn pagemap_scan(&self, pagemap: &File, arguments: &mut ScanArguments) -> io::Result<usize> {
        super::deny(self.denials.pagemap_scan)?;
        match self.outcome(Call::PagemapScan) {
            Some(Outcome::Fails(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Outcome::HalfDone(errno)) => {
                let pages = (arguments.end - arguments.start) / PAGE as u64;
                let mut half = ScanArguments { end: arguments.start + pages / 2 * PAGE as u64, ..*arguments };
                // SAFETY: the vector is the caller's; what the kernel writes there is not told to anybody.
                unsafe { scan(pagemap, &mut half) }?;
                return Err(io::Error::from_raw_os_error(errno));
            }
            Some(Outcome::Short) => arguments.vec_len = arguments.vec_len.min(1),
            Some(Outcome::Pretended) => {
                arguments.walk_end = arguments.end;
                return Ok(0);
            }
            None => {}
        }
        // SAFETY: the caller vouches for the vector, which has not become longer.
        unsafe { scan(pagemap, arguments) }
    }

    /// Makes pages writable, or read-only. Async-signal-safe.
    pub(crate) fn mprotect(&self, range: Range<usize>, writable: bool) -> io::Result<()> {
        super::deny((range.len() < self.denials.mprotect_below).then_some(libc::ENOMEM))?;
        let (call, protection) = match writable {
            true => (Call::MprotectUnprotect, libc::PROT_READ | libc::PROT_WRITE),
            false => (Call::MprotectProtect, libc::PROT_READ),
        };
        self.on_range(call, range, &|part| {
            // SAFETY: the range is heap memory (callers check it against the tracked ranges), which stays readable, and
            // a write to which is meant to fault while it is armed.
            errno::check(unsafe { libc::mprotect(part.start as *mut libc::c_void, part.len(), protection) })?;
            Ok(())
        })
    }

    /// `sigaction(2)`: what was installed. Installs `action` where there is one.
    ///
    /// # Safety
    /// `action` is a handler that may run for this signal at any instruction of any thread.
    pub(crate) unsafe fn sigaction(
        &self,
        signal: libc::c_int,
        action: Option<&libc::sigaction>,
    ) -> io::Result<libc::sigaction> {
        self.ask(Call::Sigaction)?;
        // SAFETY: sigaction is made of integers and an optional function, for which all zeroes is a value.
        let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
        let action = action.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: both point to a sigaction or are null; the caller vouches for the handler.
        errno::check(unsafe { libc::sigaction(signal, action, &mut before) })?;
        Ok(before)
    }

    /// Asked before a thread is started, which is the caller's to do.
    pub(crate) fn allow_thread(&self) -> io::Result<()> {
        self.ask(Call::Spawn)
    }

    /// Makes a call on a range of pages, or on its first half where the plan says so.
    fn on_range(
        &self,
        call: Call,
        range: Range<usize>,
        make: &dyn Fn(Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.outcome(call) {
            None | Some(Outcome::Short) => make(range),
            Some(Outcome::Pretended) => Ok(()),
            Some(Outcome::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Outcome::HalfDone(errno)) => {
                let middle = range.start + range.len() / PAGE / 2 * PAGE;
                if middle > range.start {
                    make(range.start..middle)?;
                }
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// `PAGEMAP_SCAN`.
///
/// # Safety
/// `arguments.vec` must point to `vec_len` writable regions.
unsafe fn scan(pagemap: &File, arguments: &mut ScanArguments) -> io::Result<usize> {
    /// `_IOWR('f', 16, struct pm_scan_arg)`.
    const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
    // SAFETY: ScanArguments is laid out as struct pm_scan_arg, and the caller vouches for its vector.
    let filled = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN as _, arguments as *mut ScanArguments) };
    Ok(errno::check(filled)? as usize)
}
