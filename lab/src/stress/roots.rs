//! The two kinds of roots: those of a lane's thread, and the global ones that all lanes read and write.
//!
//! Each root is an address and the number of the object it was stored for. The collector sees the address; the check
//! compares the object it finds there with the number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pagemark::{RootSource, Tracer};

use super::model::Header;
use super::program::{MOST_LANES, OLD_ROOTS, ROOTS, SHARED};
use super::shadow::Target;

/// The roots of one thread. Only it writes them, and the collector reads them while it is at a safepoint, so nothing
/// needs to be ordered.
pub struct ThreadRoots {
    /// Address, and header.
    slots: [(AtomicUsize, AtomicUsize); ROOTS],
}

impl ThreadRoots {
    /// All null.
    pub fn new() -> ThreadRoots {
        ThreadRoots { slots: std::array::from_fn(|_| Default::default()) }
    }

    /// What root `index` refers to.
    pub fn get(&self, index: u8) -> Option<(usize, Header)> {
        let (addr, header) = &self.slots[index as usize % ROOTS];
        let header = Header::decode(header.load(Ordering::Relaxed))?;
        Some((addr.load(Ordering::Relaxed), header))
    }

    /// Makes root `index` refer to the object at `addr`, or to nothing.
    pub fn set(&self, index: u8, object: Option<(usize, Header)>) {
        let (addr, header) = &self.slots[index as usize % ROOTS];
        addr.store(object.map_or(0, |(addr, _)| addr), Ordering::Relaxed);
        header.store(object.map_or(0, |(_, header)| header.encode()), Ordering::Relaxed);
    }

    /// What all of them refer to.
    pub fn targets(&self) -> Vec<Target> {
        (0..ROOTS as u8)
            .filter_map(|index| self.get(index))
            .map(|(addr, header)| Target { number: header.number, addr })
            .collect()
    }
}

// SAFETY: a lane keeps nothing across a safepoint but these.
unsafe impl RootSource for ThreadRoots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        for (addr, _) in &self.slots {
            match addr.load(Ordering::Relaxed) {
                0 => {}
                addr => tracer.edge(addr),
            }
        }
    }
}

/// The global roots: first those for all, then for each lane those that one thread leaves to the next.
pub const ALL_SHARED: usize = SHARED + MOST_LANES * OLD_ROOTS;

/// The global roots. Nobody reaches a safepoint with the lock in hand, so the collector may take it.
pub struct SharedRoots {
    slots: Mutex<[Option<(usize, Header)>; ALL_SHARED]>,
}

impl SharedRoots {
    /// All null.
    pub fn new() -> SharedRoots {
        SharedRoots { slots: Mutex::new([None; ALL_SHARED]) }
    }

    fn slots(&self) -> MutexGuard<'_, [Option<(usize, Header)>; ALL_SHARED]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What root `index` refers to.
    pub fn get(&self, index: u8) -> Option<(usize, Header)> {
        self.slots()[index as usize]
    }

    /// Makes root `index` refer to `object`, and returns what it referred to.
    pub fn replace(&self, index: u8, object: Option<(usize, Header)>) -> Option<(usize, Header)> {
        std::mem::replace(&mut self.slots()[index as usize], object)
    }

    /// The thread of `lane` that has `roots` is about to end.
    pub fn leave(&self, lane: usize, roots: &ThreadRoots) {
        for root in 0..OLD_ROOTS {
            self.slots()[SHARED + lane * OLD_ROOTS + root] = roots.get(root as u8);
        }
    }

    /// The next thread of `lane` has `roots`, which are null.
    pub fn inherit(&self, lane: usize, roots: &ThreadRoots) {
        for root in 0..OLD_ROOTS {
            roots.set(root as u8, self.slots()[SHARED + lane * OLD_ROOTS + root].take());
        }
    }

    /// Makes them all null.
    pub fn clear(&self) {
        self.slots().fill(None);
    }

    /// What all of them refer to.
    pub fn targets(&self) -> Vec<Target> {
        self.slots().iter().flatten().map(|(addr, header)| Target { number: header.number, addr: *addr }).collect()
    }
}

// SAFETY: reports every root under the lock.
unsafe impl RootSource for SharedRoots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        for (addr, _) in self.slots().iter().flatten() {
            tracer.edge(*addr);
        }
    }
}
