//! The thread that reads a descriptor, notes what it read and resolves it.
//!
//! It notes before it resolves, so whoever waited for the resolution finds the note. Who causes a notice (a fork, a move)
//! waits only until it has been read, so who asks for the notes waits while the thread is between reading and noting.
//! Descriptors that arrive in fork events are served too: a child that waits for nobody would be a hang of ours, not of
//! the kernel's.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::errno::Errno;
use super::uffd::{self, Event, Fault, Uffd};

/// A running fault thread.
#[derive(Debug)]
pub struct Server {
    log: Arc<Log>,
    stop: [RawFd; 2],
    thread: JoinHandle<()>,
}

/// What was read.
#[derive(Debug)]
struct Log {
    events: Mutex<Vec<Event>>,
    /// Something may have been read that is not in `events` yet.
    behind: AtomicBool,
}

impl Log {
    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Server {
    /// Starts a thread that serves the descriptor in pages of this size, filling missing pages with these mode bits.
    pub fn start(fd: RawFd, page: usize, fill_mode: u64) -> Result<Server, Errno> {
        let mut stop = [0; 2];
        // SAFETY: `stop` has room for two descriptors.
        Errno::check(unsafe { libc::pipe2(stop.as_mut_ptr(), libc::O_CLOEXEC) } as i64)?;
        let log = Arc::new(Log { events: Mutex::new(Vec::with_capacity(64)), behind: AtomicBool::new(false) });
        let (its_log, its_stop) = (log.clone(), stop[0]);
        let ready = Arc::new(Barrier::new(2));
        let is_ready = ready.clone();
        let life = move || serve(fd, page, fill_mode, its_stop, &its_log, &is_ready);
        let thread = std::thread::Builder::new().spawn(life).map_err(Errno::from_io)?;
        ready.wait();
        Ok(Server { log, stop, thread })
    }

    /// Takes the events read so far.
    pub fn take(&self) -> Vec<Event> {
        while self.log.behind.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.log.events().drain(..).collect()
    }

    /// Ends the thread. Faults taken from now on wait.
    pub fn stop(self) {
        // SAFETY: the descriptors are ours, and the thread is past its last use of them when they are closed.
        unsafe {
            libc::close(self.stop[1]);
            let _ = self.thread.join();
            libc::close(self.stop[0]);
        }
    }
}

fn serve(fd: RawFd, page: usize, fill_mode: u64, stop: RawFd, log: &Log, ready: &Barrier) {
    // All memory that the first wait needs is there before anybody relies on this thread: a case may fork at once, and
    // the child must not inherit an allocator that this thread was in the middle of.
    let zeroes = vec![0u8; page];
    let mut served = Vec::with_capacity(8);
    served.push(fd);
    let mut waits: Vec<libc::pollfd> = Vec::with_capacity(8);
    ready.wait();
    loop {
        waits.clear();
        waits.extend(served.iter().chain([&stop]).map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }));
        // SAFETY: the vector is writable and as long as said.
        if unsafe { libc::poll(waits.as_mut_ptr(), waits.len() as libc::nfds_t, -1) } < 0 {
            continue;
        }
        if waits.last().is_some_and(|w| w.revents != 0) {
            return;
        }
        for wait in waits.iter().filter(|w| w.revents & libc::POLLIN != 0) {
            log.behind.store(true, Ordering::SeqCst);
            let events = uffd::read_raw(wait.fd).unwrap_or_default();
            log.events().extend(&events);
            log.behind.store(false, Ordering::SeqCst);
            for event in events {
                match event {
                    Event::Fork(child) => served.push(child),
                    Event::Fault(fault, address) => resolve(wait.fd, fault, address & !(page - 1), &zeroes, fill_mode),
                    _ => {}
                }
            }
        }
        // A descriptor whose process is gone has no more events and would keep poll from waiting.
        served.retain(|&served| served == fd || !is_dead(served, &waits));
    }
}

fn is_dead(fd: RawFd, waits: &[libc::pollfd]) -> bool {
    waits.iter().any(|w| w.fd == fd && w.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0)
}

/// Lets the faulting thread go on. What does not work shows as a hang of the case.
fn resolve(fd: RawFd, fault: Fault, address: usize, zeroes: &[u8], fill_mode: u64) {
    // SAFETY: the descriptor outlives this call, and `forget` keeps it from being closed here.
    let uffd = std::mem::ManuallyDrop::new(unsafe { Uffd::from_raw(fd) });
    let result = match fault {
        Fault::WriteProtect => uffd.write_protect(address, zeroes.len(), 0),
        Fault::ReadWriteProtect => uffd.read_write_protect(address, zeroes.len(), 0),
        Fault::Missing => uffd.copy(address, zeroes, fill_mode),
        Fault::Minor => uffd.continue_fault(address, zeroes.len(), fill_mode),
    };
    // Resolved by somebody else meanwhile, or the address space is changing: let it fault again.
    if matches!(result, Err(Errno(libc::EEXIST | libc::EAGAIN))) {
        let _ = uffd.wake(address, zeroes.len());
    }
}
