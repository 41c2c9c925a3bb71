//! `poison`: swept memory is filled with a pattern, and looked at before it is used again.
//!
//! A lost object, or a reference that the embedder kept and did not report, then shows at once: what is read through it is no address (the
//! pattern is not canonical, so following it faults), and what is written through it is found when the memory is handed out again.
//!
//! Memory without objects holds the pattern or zeroes: a hole is zeroed when it is opened, and its rest may never be used.
//!
//! Filling writes to pages that may be armed. With shared memory it goes through the collector's own view of them. With anonymous memory it
//! takes the write fault like a mutator, on whatever thread sweeps, and the page then counts as written: slower, and harmless. This is
//! the one exception to the rule that the collector does not write to armed pages.

use std::ops::Range;

use super::Heap;
use crate::fatal::say;
use crate::layout::GRANULE;

/// What swept memory holds, in each word.
pub const PATTERN: u64 = 0xdead_5bee_dead_5bee;

impl Heap {
    /// Whether swept memory is filled.
    #[inline(always)]
    pub fn poisoned(&self) -> bool {
        self.poison
    }

    /// Fills memory whose objects were just swept. The caller owns it.
    pub(super) fn fill(&self, range: &Range<usize>) {
        let words = self.mapping.collector_view(range.start).cast::<u64>();
        for word in 0..range.len() / 8 {
            // SAFETY: granules of the heap's mapping that hold no object any more; nobody else has a claim on them.
            unsafe { words.add(word).write_volatile(PATTERN) };
        }
    }

    /// Makes memory without objects, which the caller owns, ready for new ones: zero.
    #[inline]
    pub(super) fn hand_out(&self, range: &Range<usize>) {
        if self.poison {
            // SAFETY: committed memory of the heap that the caller owns.
            if let Some(addr) = unsafe { first_changed(range) } {
                self.poison_failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // SAFETY: as above.
                let found = unsafe { (addr as *const u64).read_volatile() };
                say(&format!(
                    "pagemark POISON: the word at {addr:#x} was written after it was swept, and holds {found:#x}: a lost object, or a \
                     reference that was not reported as a root"
                ));
            }
        }
        // SAFETY: the caller owns the range, which holds no object and lies in the heap's mapping.
        unsafe { zero(range) };
    }
}

/// Zeroes whole granules. Most holes are so small that to call `memset` takes longer than the stores.
///
/// # Safety
///
/// Writable memory, whole granules.
#[inline(always)]
unsafe fn zero(range: &Range<usize>) {
    if range.len() > SMALL {
        // SAFETY: by this function's contract.
        return unsafe { std::ptr::write_bytes(range.start as *mut u8, 0, range.len()) };
    }
    for granule in range.clone().step_by(GRANULE) {
        let words = granule as *mut u64;
        // SAFETY: as above. Volatile, or the compiler makes a call of `memset` of the loop.
        unsafe {
            words.write_volatile(0);
            words.add(1).write_volatile(0);
        }
    }
}

/// Up to so many bytes are zeroed without a call.
const SMALL: usize = 256;

/// The first word in memory without objects that is neither the pattern nor zero.
///
/// # Safety
///
/// `range` is readable memory, whole granules.
pub unsafe fn first_changed(range: &Range<usize>) -> Option<usize> {
    range.clone().step_by(8).find(|addr| {
        // SAFETY: by this function's contract. Volatile: a stray write of the embedder's may come at any time.
        let word = unsafe { (*addr as *const u64).read_volatile() };
        word != PATTERN && word != 0
    })
}
