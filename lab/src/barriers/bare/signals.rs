//! `sigbus` and `mprotect` with system calls alone: the writing thread unprotects its page in a signal handler.
//!
//! A process has one handler for a signal, and the collector's may be installed. So this one is there only as long as its subject, and
//! only one such subject at a time; the one before comes back afterwards. Meanwhile nobody writes to memory that the other looks after.

use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::Mapping;

use super::register;
use super::written::Written;
use crate::barriers::subject::{Failure, Subject};
use crate::semantics::errno::Errno;
use crate::semantics::uffd::{self, FEATURE_SIGBUS, Uffd};

/// How a page is protected.
#[derive(Clone, Copy)]
pub enum Unprotect {
    /// By a userfaultfd that sends `SIGBUS`.
    Uffd,
    /// By its mapping, which sends `SIGSEGV`.
    Mprotect,
}

/// What the handler knows.
struct Shared {
    /// The userfaultfd's number; -1 for `mprotect`.
    fd: RawFd,
    written: Written,
}

impl Shared {
    /// Arms a range, or makes it writable. Async-signal-safe.
    fn protect(&self, range: &Range<usize>, armed: bool) -> Result<(), Errno> {
        if self.fd >= 0 {
            return uffd::write_protect_raw(self.fd, range.start, range.len(), if armed { uffd::PROTECT } else { 0 });
        }
        let protection = if armed { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE };
        // SAFETY: the range is part of a mapping that outlives this subject, and nothing lives in it that Rust knows.
        Errno::check(i64::from(unsafe { libc::mprotect(range.start as *mut _, range.len(), protection) })).map(drop)
    }
}

/// The subject there is; null when there is none. Set and cleared by it.
static CURRENT: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

pub struct Signals {
    shared: Box<Shared>,
    range: Range<usize>,
    signal: libc::c_int,
    before: libc::sigaction,
    _uffd: Option<Uffd>,
}

impl Signals {
    pub fn open(how: Unprotect, mapping: &Mapping) -> Result<Signals, Failure> {
        let range = mapping.range();
        let (uffd, signal) = match how {
            Unprotect::Uffd => (Some(register(FEATURE_SIGBUS, mapping)?), libc::SIGBUS),
            Unprotect::Mprotect => (None, libc::SIGSEGV),
        };
        let fd = uffd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let shared = Box::new(Shared { fd, written: Written::new(range.clone()) });
        let place = (&raw const *shared).cast_mut();
        if CURRENT.compare_exchange(ptr::null_mut(), place, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err("another bare program uses the signal handlers".into());
        }
        // SAFETY: sigaction is made of integers and an optional function, for which all zeroes is a value.
        let (mut ours, mut before): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = handle as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `handle` is an SA_SIGINFO handler and async-signal-safe.
        let installed = Errno::check(i64::from(unsafe { libc::sigaction(signal, &raw const ours, &raw mut before) }));
        if let Err(error) = installed {
            CURRENT.store(ptr::null_mut(), Ordering::SeqCst);
            return Err(error.into());
        }
        Ok(Signals { shared, range, signal, before, _uffd: uffd })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The memory outlives this, and must not keep a protection that nobody would resolve. If that fails, the next write says so.
        let _ = self.shared.protect(&self.range, false);
        // SAFETY: puts back what was there, as the kernel described it.
        unsafe { libc::sigaction(self.signal, &raw const self.before, ptr::null_mut()) };
        CURRENT.store(ptr::null_mut(), Ordering::SeqCst);
    }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo, and for these signals it holds an address.
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: null, or the shared part of the subject whose handler this is: it ends after the last write.
    let shared = unsafe { CURRENT.load(Ordering::Relaxed).as_ref() };
    let page = address & !(PAGE - 1);
    if let Some(shared) = shared
        && shared.written.covers(address)
        && shared.protect(&(page..page + PAGE), false).is_ok()
    {
        shared.written.set(page);
        return;
    }
    // SAFETY: the default action is restored; the same instruction faults again and ends the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

impl Subject for Signals {
    fn arm(&self) -> Result<usize, Failure> {
        self.shared.written.clear_all();
        self.shared.protect(&self.range, true)?;
        Ok(self.range.len() / PAGE)
    }

    fn scan(&self) -> Result<usize, Failure> {
        Ok(self.shared.written.take(|run| self.shared.protect(&run, true))?)
    }

    fn disarm(&self) -> Result<(), Failure> {
        self.shared.written.set_all();
        Ok(self.shared.protect(&self.range, false)?)
    }

    fn helps(&self) -> bool {
        false
    }
}
