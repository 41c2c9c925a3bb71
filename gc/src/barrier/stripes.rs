//! Counters for fault paths.
//!
//! A counter that every faulting thread adds to is a cache line that moves between processors at every fault;
//! collectors have tripled their running time that way. So a counter here is an array of lines, and a thread uses the
//! one its own address hashes to. Adding touches, most likely, a line nobody else uses; reading sums them up.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::sys::errno;

/// Lines in a counter; a power of two.
pub(super) const STRIPES: usize = 32;

/// The number of the calling thread's line. Async-signal-safe.
pub(super) fn own() -> usize {
    // Every thread has its errno elsewhere, and the multiplication spreads addresses that differ by a stack's size.
    let page = errno::location() as usize as u64 >> 12;
    (page.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - STRIPES.trailing_zeros())) as usize
}

/// A line of a [`FaultCounter`].
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line {
    faults: AtomicU64,
    /// Faults, since the last at an armed page, at the same page that was not armed as the one before.
    idle: AtomicU32,
    /// The page that faulted last without being armed.
    page: AtomicUsize,
}

/// Faults of one heap.
#[derive(Debug, Default)]
pub(super) struct FaultCounter {
    lines: [Line; STRIPES],
}

/// A thread may fault on a page that another has just disarmed, and again after it was armed and disarmed meanwhile; but
/// not so often in a row. Then something else makes the page fault, which we cannot resolve. Faults at one page after the other are no such
/// sign, however many: where the kernel refused to unprotect a range, its pages are protected and not armed, and each costs a fault.
const IDLE_LIMIT: u32 = 10_000;

impl FaultCounter {
    /// Counts a fault at `page`. False where faults like this one plainly are not for want of disarming: resolving them again would go on
    /// forever. Async-signal-safe.
    pub fn count(&self, page: usize, armed: bool) -> bool {
        let line = &self.lines[own()];
        // Relaxed: only ever summed up.
        line.faults.fetch_add(1, Ordering::Relaxed);
        if armed {
            line.idle.store(0, Ordering::Relaxed);
            return true;
        }
        // Another page does not begin the count anew, or two threads that share a line and get nowhere could do so for ever.
        line.page.swap(page, Ordering::Relaxed) != page || line.idle.fetch_add(1, Ordering::Relaxed) < IDLE_LIMIT
    }

    /// Faults counted so far.
    pub fn sum(&self) -> u64 {
        self.lines.iter().map(|line| line.faults.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_without_losing_a_fault() {
        let counter = FaultCounter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| assert!(counter.count(4096, true))));
            }
        });
        assert_eq!(counter.sum(), 4000);
    }

    #[test]
    fn faults_that_disarming_does_not_end_are_given_up_on() {
        let counter = FaultCounter::default();
        assert!((0..=IDLE_LIMIT).all(|_| counter.count(4096, false)));
        assert!(!counter.count(4096, false));
        assert!(counter.count(4096, true) && counter.count(4096, false));
    }

    #[test]
    fn faults_that_come_to_an_end_page_by_page_are_borne_however_many() {
        let counter = FaultCounter::default();
        assert!((1..10 * IDLE_LIMIT as usize).all(|number| counter.count(number * 4096, false)));
    }

    #[test]
    fn threads_are_spread_over_the_lines() {
        let lines = std::sync::Mutex::new(std::collections::HashSet::new());
        let together = std::sync::Barrier::new(16);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    together.wait();
                    lines.lock().unwrap().insert(own());
                    together.wait();
                });
            }
        });
        assert!(lines.into_inner().unwrap().len() >= 6);
    }
}
