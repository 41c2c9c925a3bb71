//! Which heap a fault belongs to: the table a signal handler looks in.
//!
//! Signal handlers are the one thing about a barrier that belongs to the whole process, so this table is its only
//! process-wide state. It has a slot for each heap whose mechanism works by signals. A handler walks it without locks:
//! it may run at any instruction of any thread, also of one that is just changing the table.
//!
//! *slot*: a pointer to an [`Entry`], or null. *entry*: what a heap registered. *visit*: a handler's walk.
//!
//! A heap may be dropped while another heap's fault is being looked up, so an entry is freed only when no visit can
//! still hold it. A visit announces itself in a counter *before* it reads the slots, and leaves when it is done.
//! Dropping a heap first empties its slot and then waits until each counter has been zero once: a visit that began
//! before found the entry and is waited for, one that begins later finds the slot empty. Both sides do a store and then
//! a load of the other's word, and so all four accesses are sequentially consistent. The counters are striped by thread
//! ([`stripes`]), so faulting threads do not share a cache line.
//!
//! The child of a fork inherits the counters as they stood, with the visits of threads that only the parent has: those of another heap, or of
//! foreign code whose faults we pass on. They would be waited for for ever, so the child begins from zero.
//!
//! The wait is short, a visit being a few system calls at most, and it is the dropping thread that waits, never a
//! handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::stripes::{self, STRIPES};

/// Heaps whose barriers work by signals, in one process.
pub(super) const SLOTS: usize = 64;

/// Resolves the faults of one heap.
pub(super) trait Resolver: Send + Sync {
    /// Makes the page at `address` writable, if it is this heap's. Returns whether the faulting instruction
    /// should be tried again. Runs in a signal handler: no lock, no allocation, no panic.
    fn resolve(&self, address: usize) -> bool;
}

struct Entry {
    signal: libc::c_int,
    resolver: Arc<dyn Resolver>,
}

#[repr(align(128))]
struct Visits(AtomicU32);

static TABLE: [AtomicPtr<Entry>; SLOTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];
static VISITS: [Visits; STRIPES] = [const { Visits(AtomicU32::new(0)) }; STRIPES];

/// A heap's place in the table, given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    slot: usize,
}

/// Enters a resolver for faults that arrive as `signal`. `None` where all slots are taken.
pub(super) fn register(signal: libc::c_int, resolver: Arc<dyn Resolver>) -> Option<Registration> {
    let entry = Box::into_raw(Box::new(Entry { signal, resolver }));
    for (slot, place) in TABLE.iter().enumerate() {
        let free = std::ptr::null_mut();
        if place.compare_exchange(free, entry, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            return Some(Registration { slot });
        }
    }
    // SAFETY: the entry was made above and nobody else has seen it.
    drop(unsafe { Box::from_raw(entry) });
    None
}

impl Drop for Registration {
    fn drop(&mut self) {
        let entry = TABLE[self.slot].swap(std::ptr::null_mut(), Ordering::SeqCst);
        for visits in &VISITS {
            while visits.0.load(Ordering::SeqCst) != 0 {
                std::thread::yield_now();
            }
        }
        // SAFETY: `register` made the entry and only this registration removes it; every visit that could have found it
        // is over, since each counter was zero after the slot was emptied.
        drop(unsafe { Box::from_raw(entry) });
    }
}

/// Has the heap the address belongs to resolve the fault. False where it is nobody's. Async-signal-safe.
pub(super) fn resolve(signal: libc::c_int, address: usize) -> bool {
    let visits = &VISITS[stripes::own()].0;
    visits.fetch_add(1, Ordering::SeqCst);
    let resolved = TABLE.iter().any(|place| {
        let entry = place.load(Ordering::SeqCst);
        // SAFETY: an entry found in its slot after the visit was announced is freed only after the visit.
        let Some(entry) = (unsafe { entry.as_ref() }) else { return false };
        entry.signal == signal && entry.resolver.resolve(address)
    });
    visits.fetch_sub(1, Ordering::SeqCst);
    resolved
}

/// In the child of a fork, on its only thread, outside a handler: nobody visits.
pub(super) fn restart_in_child() {
    VISITS.iter().for_each(|visits| visits.0.store(0, Ordering::SeqCst));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    /// A signal no barrier uses, so that these tests meet no other.
    const SIGNAL: libc::c_int = libc::SIGURG;

    struct One {
        address: usize,
        resolved: AtomicUsize,
    }

    impl Resolver for One {
        fn resolve(&self, address: usize) -> bool {
            let own = self.address == address;
            self.resolved.fetch_add(usize::from(own), Ordering::Relaxed);
            own
        }
    }

    fn one(address: usize) -> Arc<One> {
        Arc::new(One { address, resolved: AtomicUsize::new(0) })
    }

    #[test]
    fn a_fault_goes_to_the_heap_it_belongs_to_while_it_lives() {
        let (a, b) = (one(0x1000), one(0x2000));
        let first = register(SIGNAL, a.clone()).unwrap();
        let second = register(SIGNAL, b.clone()).unwrap();
        assert!(resolve(SIGNAL, 0x2000) && resolve(SIGNAL, 0x1000) && resolve(SIGNAL, 0x1000));
        assert_eq!((a.resolved.load(Ordering::Relaxed), b.resolved.load(Ordering::Relaxed)), (2, 1));
        assert!(!resolve(SIGNAL, 0x3000) && !resolve(libc::SIGWINCH, 0x1000));
        drop(first);
        assert!(!resolve(SIGNAL, 0x1000) && resolve(SIGNAL, 0x2000));
        drop(second);
        assert_eq!(Arc::strong_count(&a), 1);
    }

    /// Stays in its visit until it is told to end it.
    struct Lingering {
        here: AtomicBool,
        go: AtomicBool,
    }

    impl Resolver for Lingering {
        fn resolve(&self, address: usize) -> bool {
            if address != 0x5000 {
                return false;
            }
            self.here.store(true, Ordering::SeqCst);
            while !self.go.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            true
        }
    }

    #[test]
    fn a_child_does_not_wait_for_the_handlers_of_threads_it_does_not_have() {
        let lingering = Arc::new(Lingering { here: AtomicBool::new(false), go: AtomicBool::new(false) });
        let _visited = register(SIGNAL, lingering.clone()).unwrap();
        let own = register(SIGNAL, one(0x6000)).unwrap();
        let mut status = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| resolve(SIGNAL, 0x5000));
            while !lingering.here.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            // SAFETY: the child calls what a child of a process with threads may, and code of ours that takes no lock but the allocator's, which
            // is free after a fork.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: as above. Where the drop hangs, the alarm ends the child.
                unsafe { libc::alarm(20) };
                restart_in_child();
                drop(own);
                // SAFETY: ends the child and runs nothing of the test's.
                unsafe { libc::_exit(0) };
            }
            // SAFETY: waits for our own child.
            unsafe { libc::waitpid(child, &mut status, 0) };
            lingering.go.store(true, Ordering::SeqCst);
        });
        assert_eq!(status, 0, "the child hung or died");
    }

    #[test]
    fn an_entry_is_not_freed_under_a_handler() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        resolve(SIGNAL, 0x4000);
                    }
                });
            }
            for _ in 0..50 {
                let resolver = one(0x4000);
                drop(register(SIGNAL, resolver.clone()).unwrap());
                // The entry's reference is gone, so no handler can be using it.
                assert_eq!(Arc::strong_count(&resolver), 1);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
