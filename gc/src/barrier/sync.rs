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
//! It can, if the kernel is out of memory or somebody closes our descriptors. Then mutators must not sleep forever. It
//! sets a flag, and only then gives the ranges back to the kernel, which leaves everything writable, and wakes everybody
//! (unregistering wakes only those that wait for a missing page, not those that wait to write); where the kernel refuses
//! that too, it closes the descriptor, which comes to the same. (It puts the eventfd
//! in its place, so that the number stays ours.) From there writes are not seen; `take_and_arm` looks at the flag before
//! it begins and after it ended, and says so. A closed descriptor is also found by the last request of each report
//! ([`protector`](super::protector)), for the kernel may drop the protection before the thread has noticed.
//!
//! A thread that is told again and again that there is something to read, and never finds it, counts as failed: a
//! mutator may be waiting.
//!
//! # Privilege
//!
//! With a descriptor for user mode only, the kernel's own stores into armed pages (`read(2)` into a tracked object, a
//! `FUTEX_WAKE_OP`) fail with `EFAULT` instead of being served. Opening says so in its reason.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use userfaultfd::{Event, EventBuffer};

use super::batches::Batches;
use super::protector::Protector;
use super::{Barrier, PageRange};
use crate::error::BarrierError;
use crate::fatal::AbortOnUnwind;
use crate::layout::PAGE;
use crate::memory::Backing;
use crate::primitive::meeting::Mutex;
use crate::sys::thread::{JoinHandle, spawn};
use crate::sys::uffd::{self, Waiters};
use crate::sys::{Kernel, errno};

const NAME: &str = "sync";

/// Events read at a time. More threads than this rarely fault at once.
const BATCH: usize = 64;

/// Turns of the fault thread in a row that served nobody, after which it counts as failed.
const FRUITLESS: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Sync {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle>>,
}

#[derive(Debug)]
struct Shared {
    protector: Protector,
    /// An eventfd: readable when the fault thread is to end.
    stop: OwnedFd,
    /// What the fault thread works on.
    batches: Batches,
    /// The heap ends, and the fault thread with it; set before the eventfd says so. An eventfd that is readable otherwise is not ours
    /// any more.
    ending: AtomicBool,
    /// Faults resolved. Written by the fault thread alone.
    faults: AtomicU64,
    /// The fault thread gave up; writes are not seen any more.
    failed: AtomicBool,
}

/// Starts the fault thread.
fn start(shared: &Arc<Shared>) -> Result<JoinHandle, BarrierError> {
    let served = shared.clone();
    let kernel = &shared.protector.kernel;
    kernel
        .allow_thread()
        .and_then(|()| spawn("pagemark-fault", move || served.run()))
        .map_err(|e| BarrierError::kernel(NAME, "pthread_create(3)", e))
}

/// What the fault thread finds when it looks up.
enum Found {
    /// Faults to serve, probably.
    Events,
    /// It is to end.
    Stop,
    /// A signal, or nothing.
    Nothing,
}

impl Sync {
    pub fn open(
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(Sync, Option<String>), BarrierError> {
        let (protector, warning) = Protector::open(NAME, 0, backing, ranges, kernel)?;
        let shared = Arc::new(Shared {
            protector,
            stop: kernel.eventfd().map_err(|e| BarrierError::kernel(NAME, "eventfd(2)", e))?,
            batches: Batches::default(),
            ending: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        let thread = Mutex::new(Some(start(&shared)?));
        Ok((Sync { shared, thread }, warning))
    }

    fn check(&self) -> Result<(), BarrierError> {
        if !self.shared.failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(BarrierError::Unavailable {
            mechanism: NAME,
            cause: "the fault thread could not read or resolve an event, and writes are not seen any more".into(),
            remedy:
                "Look for what closed the userfaultfd or used up the kernel's memory; this heap now traces everything in \
                 its pauses."
                    .into(),
        })
    }
}

impl Shared {
    /// The fault thread.
    fn run(&self) {
        let _abort = AbortOnUnwind;
        hold_back_signals();
        let mut buffer = EventBuffer::new(BATCH);
        let mut fruitless = 0;
        while fruitless < FRUITLESS {
            let served = match self.wait() {
                Ok(Found::Events) => self.serve(&mut buffer),
                Ok(Found::Nothing) => Ok(0),
                Ok(Found::Stop) if self.ending.load(Ordering::SeqCst) => return,
                Ok(Found::Stop) => break,
                Err(error) => Err(error),
            };
            match served {
                Ok(0) => fruitless += 1,
                Ok(_) => fruitless = 0,
                Err(_) => break,
            }
        }
        self.fail();
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> io::Result<Found> {
        let poll = |fd: libc::c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut descriptors = [poll(self.protector.uffd.as_raw_fd()), poll(self.stop.as_raw_fd())];
        match self.protector.kernel.poll(&mut descriptors, -1) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Found::Nothing),
            Err(e) => return Err(e),
            Ok(_) => {}
        }
        // Anything but "readable", on either, means that the descriptor is not what it was.
        if descriptors.iter().any(|descriptor| descriptor.revents & !libc::POLLIN != 0) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(match descriptors {
            [_, stop] if stop.revents != 0 => Found::Stop,
            [events, _] if events.revents != 0 => Found::Events,
            _ => Found::Nothing,
        })
    }

    /// Reads and resolves one batch; returns how many faults that were.
    fn serve(&self, buffer: &mut EventBuffer) -> io::Result<u64> {
        let mut resolved = 0;
        let result = self.batches.during(|| self.resolve_batch(buffer, &mut resolved));
        // Relaxed: a number to be told, ordering nothing; only this thread adds to it.
        self.faults.fetch_add(resolved, Ordering::Relaxed);
        match result {
            Err(e) if matches!(errno::of(&e), libc::EINTR | libc::EAGAIN) && resolved == 0 => Ok(0),
            result => result.map(|()| resolved),
        }
    }

    fn resolve_batch(&self, buffer: &mut EventBuffer, resolved: &mut u64) -> io::Result<()> {
        let Protector { uffd, bits, kernel, .. } = &self.protector;
        kernel.uffd_read(uffd, buffer, &mut |event| {
            if let Event::Pagefault { addr, .. } = event {
                let page = addr as usize & !(PAGE - 1);
                let pages = page..page + PAGE;
                uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep)?;
                bits.clear(&pages);
                uffd::wake(kernel, uffd, &pages)?;
                *resolved += 1;
            }
            Ok(())
        })
    }

    /// Lets everybody go on, unseen.
    fn fail(&self) {
        let Protector { uffd, bits, kernel, .. } = &self.protector;
        // SeqCst, and first: a report that finds the flag clear at its end is complete, because nothing was writable unseen.
        self.failed.store(true, Ordering::SeqCst);
        let let_go = |range| {
            uffd::unregister(kernel, uffd, &range)
                .and_then(|()| uffd::wake(kernel, uffd, &range))
                .map_err(|error| errno::of(&error))
        };
        match bits.tracked_ranges().try_for_each(let_go) {
            // Closed already, and the number may be somebody else's by now.
            Ok(()) | Err(libc::EBADF | libc::ENOTTY) => {}
            // SAFETY: both numbers are ours. What is closed by this is the userfaultfd.
            Err(_) => unsafe {
                libc::dup3(self.stop.as_raw_fd(), uffd.as_raw_fd(), libc::O_CLOEXEC);
            },
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
        self.shared.protector.take_and_arm(range, written)?;
        self.check()
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        self.shared.protector.disarm(range)
    }

    fn released(&self, range: PageRange) {
        self.shared.protector.released(range);
    }

    fn settle(&self) {
        self.shared.batches.settle();
    }

    fn restart_in_child(&self) -> Result<(), BarrierError> {
        let shared = &self.shared;
        let kernel = &shared.protector.kernel;
        shared.protector.restart_in_child()?;
        // The parent's fault thread listens to the old one.
        let stop = kernel.eventfd().map_err(|e| BarrierError::kernel(NAME, "eventfd(2)", e))?;
        kernel.replace_descriptor(&shared.stop, &stop).map_err(|e| BarrierError::kernel(NAME, "dup3(2)", e))?;
        shared.batches.restart();
        shared.failed.store(false, Ordering::SeqCst);
        let gone = self.thread.lock().replace(start(shared)?);
        std::mem::forget(gone);
        // SAFETY: the parent's fault thread holds one count, and in this process it is not there to give it up.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(shared)) };
        Ok(())
    }

    fn faults(&self) -> Option<u64> {
        Some(self.shared.faults.load(Ordering::Relaxed))
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        let told = self.shared.protector.kernel.signal_eventfd(&self.shared.stop);
        let Some(thread) = self.thread.lock().take() else { return };
        match told {
            Err(error) if !thread.is_finished() => {
                // Nobody would ever wake it. It stays behind, and the descriptor with it; the memory goes all the same.
                log::warn!("pagemark: write(2) to an eventfd failed: {error}; a fault thread stays behind");
            }
            _ => {
                thread.join();
            }
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
        assert!(unsafe { libc::dup2(null.as_raw_fd(), barrier.shared.protector.uffd.as_raw_fd()) } >= 0);
        // SAFETY: the mapping is alive; no reference to it exists.
        unsafe { (mapping.base() as *mut u8).write_volatile(1) };
        while !barrier.shared.failed.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let error = barrier.take_and_arm(mapping.range(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("fault thread"), "{error}");
    }
}
