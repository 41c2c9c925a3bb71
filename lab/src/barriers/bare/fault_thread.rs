//! `sync` with system calls alone: a thread waits for events and lets the writers go on.

use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::Mapping;

use super::written::Written;
use super::{protect, register};
use crate::barriers::subject::{Failure, Subject};
use crate::semantics::errno::Errno;
use crate::semantics::uffd::{self, Event, Fault, Uffd};

pub struct FaultThread {
    shared: Arc<Shared>,
    range: Range<usize>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    uffd: Uffd,
    written: Written,
    /// An eventfd: readable when the thread is to end.
    stop: OwnedFd,
}

impl FaultThread {
    pub fn open(mapping: &Mapping) -> Result<FaultThread, Failure> {
        let range = mapping.range();
        // SAFETY: takes numbers and makes a descriptor.
        let stop = Errno::check(i64::from(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }))? as RawFd;
        let shared = Arc::new(Shared {
            uffd: register(0, mapping)?,
            written: Written::new(range.clone()),
            // SAFETY: the kernel made this descriptor for us.
            stop: unsafe { OwnedFd::from_raw_fd(stop) },
        });
        let served = shared.clone();
        let thread = std::thread::Builder::new().name("bare fault".into()).spawn(move || served.serve())?;
        Ok(FaultThread { shared, range, thread: Some(thread) })
    }
}

impl Shared {
    /// Until it is to end, or something fails: the writer then waits for ever, and whoever measures has to be stopped by hand.
    fn serve(&self) {
        let poll = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        loop {
            let mut waits = [poll(self.uffd.as_raw_fd()), poll(self.stop.as_raw_fd())];
            // SAFETY: the array is writable and as long as said.
            if unsafe { libc::poll(waits.as_mut_ptr(), 2, -1) } < 0 {
                continue;
            }
            if waits[1].revents != 0 {
                return;
            }
            let resolve = |event| {
                if let Event::Fault(Fault::WriteProtect, address) = event {
                    let page = address & !(PAGE - 1);
                    self.written.set(page);
                    // With an error the page faults again, and so comes here again.
                    let _ = self.uffd.write_protect(page, PAGE, 0);
                }
            };
            if uffd::read_each(self.uffd.as_raw_fd(), resolve).is_err() {
                return;
            }
        }
    }
}

impl Drop for FaultThread {
    fn drop(&mut self) {
        // SAFETY: writes eight bytes that are there to a descriptor of ours.
        unsafe { libc::write(self.shared.stop.as_raw_fd(), (&raw const ONE).cast(), size_of::<u64>()) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What an eventfd is told.
static ONE: u64 = 1;

impl Subject for FaultThread {
    fn arm(&self) -> Result<usize, Failure> {
        self.shared.written.clear_all();
        protect(&self.shared.uffd, &self.range, true)?;
        Ok(self.range.len() / PAGE)
    }

    fn scan(&self) -> Result<usize, Failure> {
        Ok(self.shared.written.take(|run| protect(&self.shared.uffd, &run, true))?)
    }

    fn disarm(&self) -> Result<(), Failure> {
        self.shared.written.set_all();
        Ok(protect(&self.shared.uffd, &self.range, false)?)
    }

    fn helps(&self) -> bool {
        true
    }
}
