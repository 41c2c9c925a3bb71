//! `sync`: a thread of the heap's own resolves the write faults.
//!
//! The tracked ranges are registered with a userfaultfd. A write to a protected page puts the writing thread to sleep
//! and an event into the descriptor. The *fault thread* reads events in batches, and for each: unprotects the page
//! without waking anybody, clears its armed bit, and then wakes whoever sleeps on it. A fault costs 50 to 60 µs, most
//! of it two switches between threads.
//!
//! The fault thread never waits for a mutator, takes no lock and allocates nothing after its start; it touches no
//! tracked memory. It holds all signals back, so that no handler of the embedder's runs on it.
//!
//! # Why no write is lost
//!
//! The order of the steps, and what it proves, is in [`armed_bits`](super::armed_bits). What remains is the pause. A
//! second thread may write to a page after it was unprotected and before its bit is cleared, without a fault, and stop
//! at a safepoint; the report of the pause must contain that page. The sleeping thread usually makes the pause wait,
//! since it sleeps until the bit is clear; but it may be one the pause does not wait for, in a system call that stores
//! into the page. So [`settle`](Barrier::settle) waits until the fault thread is between two [`batches`](super::batches).
//!
//! # When the fault thread fails
//!
//! It can, if the kernel is out of memory or somebody closes our descriptor. Then mutators must not sleep forever. It
//! sets a flag, and only then gives the ranges back to the kernel, which wakes everybody and leaves everything
//! writable. From there writes are not seen; `take_and_arm` looks at the flag before it begins and after it ended, and
//! says so.
//!
//! # Privilege
//!
//! With a descriptor for user mode only, the kernel's own stores into armed pages (`read(2)` into a tracked object, a
//! `FUTEX_WAKE_OP`) fail with `EFAULT` instead of being served. Opening says so in its reason.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use userfaultfd::{Event, EventBuffer, Uffd};

use super::armed_bits::ArmedBits;
use super::batches::Batches;
use super::{Barrier, PageRange, registration, sigbus};
use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory::Backing;
use crate::sys::uffd::{self, Waiters};
use crate::sys::{Kernel, errno};

const NAME: &str = "sync";

/// Events read at a time. More threads than this rarely fault at once.
const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Sync {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    uffd: Uffd,
    bits: ArmedBits,
    skips_unpopulated: bool,
    /// An eventfd: readable when the fault thread is to end.
    stop: OwnedFd,
    /// What the fault thread works on.
    batches: Batches,
    /// Faults resolved. Written by the fault thread alone.
    faults: AtomicU64,
    /// The fault thread gave up; writes are not seen any more.
    failed: AtomicBool,
}

impl Sync {
    pub fn open(
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(Sync, Option<String>), BarrierError> {
        let registered = registration::register(NAME, 0, backing, ranges, kernel)?;
        let shared = Arc::new(Shared {
            uffd: registered.uffd,
            bits: ArmedBits::new(ranges).map_err(|e| BarrierError::tables(NAME, e))?,
            skips_unpopulated: registered.skips_unpopulated,
            stop: eventfd().map_err(|e| BarrierError::kernel(NAME, "eventfd(2)", e))?,
            batches: Batches::default(),
            faults: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        let served = shared.clone();
        let thread = std::thread::Builder::new()
            .name("pagemark-fault".into())
            .spawn(move || served.run())
            .map_err(|e| BarrierError::kernel(NAME, "pthread_create(3)", e))?;
        Ok((Sync { shared, thread: Some(thread) }, registered.warning))
    }

    fn check(&self) -> Result<(), BarrierError> {
        if !self.shared.failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(BarrierError::Unavailable {
            mechanism: NAME,
            cause: "the fault thread could not read or resolve an event, and writes are not seen any more".into(),
            remedy:
                "Look for what closed the userfaultfd or used up the kernel's memory; this heap now collects with its \
                     mutators stopped."
                    .into(),
        })
    }
}

fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: the call makes a new descriptor.
    let fd = errno::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
    // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Shared {
    /// The fault thread.
    fn run(&self) {
        hold_back_signals();
        let mut buffer = EventBuffer::new(BATCH);
        while let Ok(true) = self.wait() {
            if self.serve(&mut buffer).is_err() {
                return self.fail();
            }
        }
        if !self.should_stop() {
            self.fail();
        }
    }

    /// Sleeps until there are events (true) or the thread is to end (false).
    fn wait(&self) -> io::Result<bool> {
        let poll = |fd: libc::c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut descriptors = [poll(self.uffd.as_raw_fd()), poll(self.stop.as_raw_fd())];
        loop {
            // SAFETY: two initialised pollfds.
            match errno::check(unsafe { libc::poll(descriptors.as_mut_ptr(), 2, -1) }) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
                Ok(_) if descriptors[1].revents != 0 => return Ok(false),
                Ok(_) if descriptors[0].revents & !libc::POLLIN != 0 => return Err(io::Error::other("poll")),
                Ok(_) => return Ok(true),
            }
        }
    }

    fn should_stop(&self) -> bool {
        let mut descriptor = libc::pollfd { fd: self.stop.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one initialised pollfd.
        unsafe { libc::poll(&mut descriptor, 1, 0) == 1 }
    }

    /// Reads and resolves one batch.
    fn serve(&self, buffer: &mut EventBuffer) -> io::Result<()> {
        match self.batches.during(|| self.resolve_batch(buffer)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn resolve_batch(&self, buffer: &mut EventBuffer) -> io::Result<()> {
        let mut resolved = 0;
        for event in self.uffd.read_events(buffer).map_err(errno::from_userfaultfd)? {
            if let Event::Pagefault { addr, .. } = event.map_err(errno::from_userfaultfd)? {
                let page = addr as usize & !(PAGE - 1);
                let pages = page..page + PAGE;
                uffd::unprotect(&self.uffd, pages.clone(), Waiters::LeaveAsleep)?;
                self.bits.clear(&pages);
                uffd::wake(&self.uffd, pages)?;
                resolved += 1;
            }
        }
        // Relaxed: a number to be told, ordering nothing; only this thread adds to it.
        self.faults.fetch_add(resolved, Ordering::Relaxed);
        Ok(())
    }

    /// Lets everybody go on, unseen.
    fn fail(&self) {
        // SeqCst, and first: a report that finds the flag clear at its end is complete, because nothing was writable unseen.
        self.failed.store(true, Ordering::SeqCst);
        for range in self.bits.tracked_ranges() {
            if uffd::unregister(&self.uffd, &range).is_err() {
                let _ = uffd::unprotect(&self.uffd, range, Waiters::Wake);
            }
        }
    }
}

fn hold_back_signals() {
    // SAFETY: sigset_t is made of integers; filling it and setting it as this thread's mask touches nothing else.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}

impl Barrier for Sync {
    fn name(&self) -> &'static str {
        NAME
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        self.check()?;
        let shared = &self.shared;
        sigbus::arm_written(NAME, &shared.uffd, &shared.bits, shared.skips_unpopulated, range, written)?;
        self.check()
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        sigbus::disarm(NAME, &self.shared.uffd, &self.shared.bits, range)
    }

    fn settle(&self) {
        self.shared.batches.settle();
    }

    fn faults(&self) -> Option<u64> {
        Some(self.shared.faults.load(Ordering::Relaxed))
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        let one = 1u64;
        // SAFETY: writes eight bytes from a live number, which is what an eventfd takes.
        unsafe { libc::write(self.shared.stop.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // The descriptor closes with `shared`, which removes all protection and wakes whoever still sleeps.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Mapping;

    #[test]
    fn when_the_fault_thread_fails_mutators_go_on_and_the_collector_is_told() {
        let mapping = Mapping::new(Backing::Anon, 16 * PAGE, "pagemark test heap").unwrap();
        let (barrier, _) = match Sync::open(Backing::Anon, &[mapping.range()], &Kernel::real()) {
            Ok(opened) => opened,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        barrier.take_and_arm(mapping.range(), &mut |_| {}).unwrap();
        // Puts a file that is always at its end where the descriptor was; the thread's next read fails.
        let null = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: the test owns the barrier and so its descriptor, and both numbers are open.
        assert!(unsafe { libc::dup2(null.as_raw_fd(), barrier.shared.uffd.as_raw_fd()) } >= 0);
        // SAFETY: the mapping is alive; no reference to it exists.
        unsafe { (mapping.base() as *mut u8).write_volatile(1) };
        while !barrier.shared.failed.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let error = barrier.take_and_arm(mapping.range(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("fault thread"), "{error}");
    }
}
