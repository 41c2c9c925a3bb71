//! Committed memory, held below the hard limit.
//!
//! A block or page run is *committed* from its first use until it is given back to the system, whether it holds
//! objects or is free for reuse: what counts here is what the process really occupies.

use crate::primitive::atomic::{AtomicUsize, Ordering};

/// Counts committed bytes against the hard limit. The atomics are counters only; they order nothing else.
pub struct Footprint {
    committed: AtomicUsize,
    peak: AtomicUsize,
    limit: AtomicUsize,
}

impl Footprint {
    /// Nothing committed yet; at most `limit` bytes ever.
    pub fn new(limit: usize) -> Footprint {
        Footprint { committed: AtomicUsize::new(0), peak: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// Reserves `bytes` more, or nothing when that would pass the limit.
    pub fn commit(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let taken = self.committed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|after| *after <= limit)
        });
        match taken {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives `bytes` back.
    pub fn release(&self, bytes: usize) {
        let before = self.committed.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "released more than was committed");
    }

    /// Bytes committed now.
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// The most bytes ever committed.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Another hard limit. What is committed beyond it stays until it is released.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The hard limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_passed_and_a_refusal_takes_nothing() {
        let footprint = Footprint::new(100);
        assert!(footprint.commit(60));
        assert!(!footprint.commit(41));
        assert_eq!(footprint.committed(), 60);
        assert!(footprint.commit(40));
        footprint.release(100);
        assert_eq!((footprint.committed(), footprint.peak()), (0, 100));
        assert!(!footprint.commit(usize::MAX));
    }
}
