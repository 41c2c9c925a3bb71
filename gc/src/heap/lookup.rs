//! From any address in the heap to the object it lies in, and from a page to its objects.
//!
//! Page rescan, interior pointers and conservative roots all need it. The start bits are enough: a small or medium object is at most 8 KB long, so the
//! nearest start at or before an address, no further back than that and in the same block, is the only candidate; its end decides.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::Heap;
use super::metadata::{END, MARK_MASK, START};
use crate::layout::{BLOCK, GRANULE, LARGE_THRESHOLD, PAGE};

impl Heap {
    /// The object `addr` lies in, as its address range; `None` outside objects and outside the heap. Objects that are dead but not
    /// swept yet are found too.
    pub fn object_at(&self, addr: usize) -> Option<Range<usize>> {
        let regions = if self.tracked.range.contains(&addr) {
            &self.tracked
        } else if self.leaf.range.contains(&addr) {
            &self.leaf
        } else {
            return None;
        };
        if addr >= regions.border {
            return regions.large.object_at(addr);
        }
        let granule = addr & !(GRANULE - 1);
        let start = self.start_at_or_before(granule)?;
        let end = start + self.metadata.granules(start) * GRANULE;
        (addr < end).then_some(start..end)
    }

    /// The size in bytes of the object that starts at `addr`, whole granules (whole pages for a large one).
    #[inline(always)]
    pub fn object_bytes(&self, addr: usize) -> usize {
        if self.is_large(addr) { self.large_object_bytes(addr) } else { self.metadata.granules(addr) * GRANULE }
    }

    #[cold]
    fn large_object_bytes(&self, addr: usize) -> usize {
        let regions = if self.is_leaf(addr) { &self.leaf } else { &self.tracked };
        regions.large.object_at(addr).map_or(0, |object| object.len())
    }

    /// Whether `addr`, inside the heap, is in a region of large objects.
    #[inline(always)]
    pub fn is_large(&self, addr: usize) -> bool {
        addr >= if self.is_leaf(addr) { self.leaf.border } else { self.tracked.border }
    }

    fn start_at_or_before(&self, granule: usize) -> Option<usize> {
        let lowest = (granule & !(BLOCK - 1)).max(granule.saturating_sub(LARGE_THRESHOLD - GRANULE));
        let mut at = granule;
        loop {
            let byte = self.metadata.at(at).load(Ordering::Relaxed);
            if byte & START != 0 {
                return Some(at);
            }
            if byte & END != 0 && at != granule {
                return None;
            }
            if at <= lowest {
                return None;
            }
            at -= GRANULE;
        }
    }

    /// Whether an object that starts on the page at `page` has the mark `colour`. Looks at eight granules at a time: most pages that
    /// are written while marking are new and hold nothing that is marked yet.
    fn any_marked(&self, page: usize, colour: u8) -> bool {
        const LANES: u64 = 0x0101_0101_0101_0101;
        (page..page + PAGE).step_by(8 * GRANULE).any(|at| {
            // A byte of `x` is zero exactly where the colour is `colour`; colours are on start bytes only.
            let x = (self.metadata.eight(at) & (LANES * MARK_MASK as u64)) ^ (LANES * colour as u64);
            x.wrapping_sub(LANES) & !x & (LANES * 0x80) != 0
        })
    }

    /// Calls `each` for every small or medium object with the mark `colour` that has bytes on the page at `page`, with its start.
    pub fn marked_objects_on_page(&self, page: usize, colour: u8, mut each: impl FnMut(usize)) {
        let end = page + PAGE;
        let mut at = page;
        if let Some(start) = self.start_at_or_before(page)
            && start < page
        {
            let past = start + self.metadata.granules(start) * GRANULE;
            if past > page {
                // Acquire, here and below: a marker's store of the colour does not publish the object, but whoever reads the colour may
                // rely on what that marker acquired.
                if self.metadata.at(start).load(Ordering::Acquire) & MARK_MASK == colour {
                    each(start);
                }
                at = past;
            }
        }
        if !self.any_marked(page, colour) {
            return;
        }
        while at < end {
            let eight = self.metadata.eight(at);
            if eight == 0 {
                at += 8 * GRANULE;
                continue;
            }
            at += eight.trailing_zeros() as usize / 8 * GRANULE;
            if at >= end {
                break;
            }
            let byte = self.metadata.at(at).load(Ordering::Acquire);
            if byte & START == 0 {
                // An end whose start is not visible yet: the mutator that owns this block is allocating here; what it
                // allocates now is not marked, and is found by the next round.
                at += GRANULE;
                continue;
            }
            if byte & MARK_MASK == colour {
                each(at);
            }
            // The owner may not have written the end yet; then this walk would run on, so it goes by granule here.
            at += GRANULE;
        }
    }
}
