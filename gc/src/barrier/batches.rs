//! When a fault thread is between two batches: what `settle` waits for.
//!
//! A counter tells: odd during a batch, even between. The thread makes it odd *before* it reads events, hence before it unprotects
//! anything. When [`Batches::settle`] finds it even, or changed, every unprotecting that a stopped mutator could have profited
//! from has had its bit cleared; what the thread does after that concerns writes that have not happened, for all who
//! may write have stopped.

use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::thread;

/// Batches begun and ended by one thread.
#[derive(Debug, Default)]
pub(super) struct Batches(AtomicU64);

impl Batches {
    /// For the fault thread: one batch.
    pub fn during<R>(&self, batch: impl FnOnce() -> R) -> R {
        // SeqCst: odd before the first page is unprotected, even after the last bit is cleared, in everybody's eyes.
        self.0.fetch_add(1, Ordering::SeqCst);
        let result = batch();
        self.0.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// In the child of a fork, whose fault thread begins anew: no batch runs.
    pub fn restart(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Returns when the batch that runs now, if one does, is over.
    pub fn settle(&self) {
        let seen = self.0.load(Ordering::SeqCst);
        if seen % 2 == 1 {
            while self.0.load(Ordering::SeqCst) == seen {
                thread::yield_now();
            }
        }
    }
}
