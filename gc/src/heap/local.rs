//! A mutator's own part of the heap: allocation is a bump of a cursor through holes of whole free granules.
//!
//! Each mutator owns, for each space, a current block with a *hole* (cursor to limit), an overflow block for medium objects that do not fit the
//! hole, and a batch of adjacent free blocks to take next, so that disarming and populating cost one system call for many blocks.
//! Nothing here stops the thread: when the limit allows no more, [`Exhausted`] is returned and nothing was allocated.
//!
//! Which memory comes first depends on the cycle that comes next. Before a full one holes are filled first, since it leaves them as they are. Before a sticky one,
//! which traces again whatever lies on written pages, blocks with few objects or none come first, so that old objects and new ones stay on pages of their own.
//!
//! A hole of a tracked block may lie in an armed page, where plain allocation would fault. Outside a cycle a recyclable block is disarmed when
//! taken, which makes its pages count as written at the next arming, as they will be. While a cycle marks, only tracked blocks without objects are taken.
//!
//! Leaf blocks are never armed, and their objects are never traced, so their holes are filled while a cycle marks too. Then the block has an owner and
//! holds old objects, and markers change the mark of those: with stores and exchanges of single bytes, of objects that are published. The owner
//! writes the bytes of granules that no published object has, a byte at a time as well, so neither loses what the other writes; nobody sweeps before
//! the cycle ends. What it makes is born white, as everywhere. It retires the block at the next handshake and in the pause, so the flip finds it Filled.

use std::ops::Range;

use super::block_space::Batch;
use super::holes::Holes;
use super::sampling::Points;
use super::sweep::{self, sweep_block};
use super::{Exhausted, Heap};
use crate::barrier::Barrier;
use crate::layout::{BLOCK, GRANULE, LARGE_THRESHOLD, round_up};
use crate::model::Space;

/// Blocks taken at once when the heap is roomy: 512 KB.
const BATCH_BLOCKS: usize = 8;
/// An object at least this large that misses the hole goes to the overflow block rather than wasting the hole.
const MEDIUM: usize = 512;
/// Blocks a refill sweeps at once to find holes, before it takes a free block.
const LAZY_SWEEPS: usize = 4;

/// Where one mutator allocates in one space.
pub struct Local {
    space: Space,
    cursor: usize,
    limit: usize,
    /// End of the current block; 0 when there is none.
    block_end: usize,
    /// What is left of the current block behind `limit`.
    holes: Holes,
    overflow_cursor: usize,
    overflow_limit: usize,
    batch: Batch,
    /// Bytes of holes, overflow blocks and large objects taken, less what is left of the current ones.
    taken: u64,
    /// Bytes of the memory taken that gets scarce: blocks without objects and large objects, and blocks with holes where others were preferred.
    fresh: u64,
    /// Where samples are taken, if they are.
    points: Option<Points>,
    /// Bytes of the hole behind `limit`, which was drawn back to the next of the points.
    kept: usize,
    /// Refills and large objects so far: the slow path's count.
    pub refills: u64,
}

impl Local {
    /// Owns nothing yet.
    pub fn new(space: Space) -> Local {
        let batch = Batch { range: 0..0, zeroed: false };
        Local {
            space,
            cursor: 0,
            limit: 0,
            block_end: 0,
            holes: Holes::NONE,
            overflow_cursor: 0,
            overflow_limit: 0,
            batch,
            taken: 0,
            fresh: 0,
            points: None,
            kept: 0,
            refills: 0,
        }
    }

    /// Bytes allocated so far, in whole granules.
    pub fn allocated(&self) -> u64 {
        self.taken - (self.limit + self.kept - self.cursor) as u64 - (self.overflow_limit - self.overflow_cursor) as u64
    }

    /// Bytes of memory taken so far, used or not; never falls much, and is cheap to compare.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes taken so far of what the pacer watches: memory without objects, and holes where such was preferred and there was none.
    pub fn fresh(&self) -> u64 {
        self.fresh
    }

    /// The blocks it owns: the current one, the overflow block and the batch.
    pub fn owned(&self) -> Vec<Range<usize>> {
        let blocks = [self.block_end, self.overflow_limit].into_iter().filter(|end| *end != 0);
        let mut owned: Vec<Range<usize>> = blocks.map(|end| end - BLOCK..end).collect();
        owned.extend((!self.batch.range.is_empty()).then(|| self.batch.range.clone()));
        owned
    }

    /// Allocates `bytes` of zeroed memory on a granule in the current hole. `None` when it does not fit, or is large.
    #[inline(always)]
    pub fn bump(&mut self, heap: &Heap, bytes: usize) -> Option<usize> {
        // First, so that rounding up cannot overflow.
        if bytes > LARGE_THRESHOLD {
            return None;
        }
        let size = round_up(bytes.max(1), GRANULE);
        if size > self.limit - self.cursor {
            return None;
        }
        let addr = self.cursor;
        self.cursor += size;
        heap.metadata.record(addr, size / GRANULE);
        Some(addr)
    }

    /// From now on samples are taken, with [`Local::alloc_counted`] as the slow path: about one in `mean` bytes.
    pub fn sample(&mut self, mean: u64, seed: u64) {
        self.points = Some(Points::new(mean, seed, self.allocated()));
        self.draw_back();
    }

    /// Allocates after [`Local::bump`] could not, because there is no room or a sample is due. Also returns the bytes of the sample that the allocation
    /// is, if it is one.
    pub fn alloc_counted(
        &mut self,
        heap: &Heap,
        barrier: &dyn Barrier,
        bytes: usize,
    ) -> Result<(usize, Option<usize>), Exhausted> {
        self.restore();
        let before = self.allocated();
        let result = match self.bump(heap, bytes) {
            Some(addr) => Ok(addr),
            None => self.refill_and_alloc(heap, barrier, bytes),
        };
        let after = self.allocated();
        let passed = self.points.as_mut().is_some_and(|points| points.passed(after));
        self.draw_back();
        result.map(|addr| (addr, passed.then_some((after - before) as usize)))
    }

    /// Draws the end of the hole back to the next sample.
    fn draw_back(&mut self) {
        self.restore();
        if let Some(points) = &self.points {
            let room = points.room(self.allocated());
            self.kept = (self.limit - self.cursor).saturating_sub(room);
            self.limit -= self.kept;
        }
    }

    /// The end of the hole is where it ends.
    fn restore(&mut self) {
        self.limit += std::mem::take(&mut self.kept);
    }

    /// Allocates after [`Local::bump`] could not: takes what it needs from the heap.
    pub fn refill_and_alloc(&mut self, heap: &Heap, barrier: &dyn Barrier, bytes: usize) -> Result<usize, Exhausted> {
        if bytes > isize::MAX as usize / 2 {
            return Err(Exhausted);
        }
        let size = round_up(bytes.max(1), GRANULE);
        self.refills += 1;
        if size > LARGE_THRESHOLD {
            return self.alloc_large(heap, barrier, size);
        }
        if size >= MEDIUM && self.limit - self.cursor > 0 {
            if size > self.overflow_limit - self.overflow_cursor
                && let Some(block) = self.take_free_block(heap, barrier)
            {
                self.retire_overflow(heap);
                self.overflow_cursor = block;
                self.overflow_limit = block + BLOCK;
                self.taken += BLOCK as u64;
            }
            if size <= self.overflow_limit - self.overflow_cursor {
                let addr = self.overflow_cursor;
                self.overflow_cursor += size;
                heap.metadata.record(addr, size / GRANULE);
                return Ok(addr);
            }
            // No free block is to be had; a hole may still be large enough.
        }
        while size > self.limit - self.cursor {
            if !self.next_hole(heap, size) && !self.next_block(heap, barrier) {
                return Err(Exhausted);
            }
        }
        let addr = self.cursor;
        self.cursor += size;
        heap.metadata.record(addr, size / GRANULE);
        Ok(addr)
    }

    fn alloc_large(&mut self, heap: &Heap, barrier: &dyn Barrier, size: usize) -> Result<usize, Exhausted> {
        let large = &heap.regions(self.space).large;
        let run = large.take(size, &heap.footprint).or_else(|| {
            // Free memory of the other regions counts against the limit too.
            heap.release_free(barrier, 0);
            large.take(size, &heap.footprint)
        });
        let run = run.ok_or(Exhausted)?;
        self.disarm(barrier, &run.range);
        if !run.zeroed {
            heap.hand_out(&run.range);
        }
        let colour = heap.birth_colour();
        heap.born(run.range.len(), colour);
        large.publish(&run.range, &heap.metadata, colour);
        self.taken += run.range.len() as u64;
        self.fresh += run.range.len() as u64;
        Ok(run.range.start)
    }

    fn disarm(&self, barrier: &dyn Barrier, range: &Range<usize>) {
        if self.space == Space::Tracked {
            // A range that stays armed costs a fault a page and loses nothing, so a failure here is not an error.
            let _ = barrier.disarm(range.clone());
        }
    }

    /// Moves to the next hole of the current block that has room for `size` bytes.
    fn next_hole(&mut self, heap: &Heap, size: usize) -> bool {
        self.taken -= (self.limit - self.cursor) as u64;
        self.cursor = self.limit;
        let Some(hole) = self.holes.next(size / GRANULE) else { return false };
        let block = self.block_end - BLOCK;
        let hole = block + hole.start * GRANULE..block + hole.end * GRANULE;
        heap.hand_out(&hole);
        self.cursor = hole.start;
        self.limit = hole.end;
        self.taken += hole.len() as u64;
        true
    }

    /// Retires the current block and takes another: one without objects, as one hole, or one with holes of which none is open yet.
    fn next_block(&mut self, heap: &Heap, barrier: &dyn Barrier) -> bool {
        self.retire_current(heap);
        if let Some(block) = self.next_with_holes(heap, barrier) {
            self.block_end = block + BLOCK;
            self.cursor = block;
            self.limit = block;
            return true;
        }
        let Some(block) = self.take_free_block(heap, barrier) else { return false };
        self.block_end = block + BLOCK;
        self.cursor = block;
        self.limit = self.block_end;
        self.taken += BLOCK as u64;
        true
    }

    /// A block with objects, if it is the turn of one.
    fn next_with_holes(&mut self, heap: &Heap, barrier: &dyn Barrier) -> Option<usize> {
        if self.space == Space::Leaf {
            return self.take_block_with_holes(heap, barrier, false);
        }
        if heap.marking() {
            return None;
        }
        if !heap.prefers_fresh() {
            return self.take_block_with_holes(heap, barrier, false);
        }
        let roomy = self.take_block_with_holes(heap, barrier, true);
        if roomy.is_some() || self.batch_of_free_blocks(heap, barrier, BATCH_BLOCKS) {
            return roomy;
        }
        // There is nothing better, and it is high time for a cycle.
        self.fresh += BLOCK as u64;
        self.take_block_with_holes(heap, barrier, false)
    }

    /// A block with objects, and its holes in `holes`; with `only_roomy` one with few.
    fn take_block_with_holes(&mut self, heap: &Heap, barrier: &dyn Barrier, only_roomy: bool) -> Option<usize> {
        let space = &heap.regions(self.space).blocks;
        let index = space.take_with_holes(only_roomy).inspect(|index| {
            self.holes = sweep::holes(&heap.metadata, space.address(*index));
        });
        let index = index.or_else(|| {
            let mut kept = None;
            // Not only until one is found: the next ones are disarmed together with it.
            for _ in 0..LAZY_SWEEPS {
                let Some(index) = space.take_unswept() else { break };
                let swept = sweep_block(heap, space.address(index));
                if kept.is_none() && swept.free >= sweep::least_free(only_roomy) {
                    space.swept_and_kept();
                    self.holes = swept.holes;
                    kept = Some(index);
                } else {
                    space.swept(index, sweep::classify(swept.free));
                }
            }
            kept
        })?;
        let armed = space.forget_armed_near(index, only_roomy);
        if !armed.is_empty() {
            self.disarm(barrier, &armed);
        }
        Some(space.address(index))
    }

    /// A whole zeroed block without objects.
    fn take_free_block(&mut self, heap: &Heap, barrier: &dyn Barrier) -> Option<usize> {
        let some = self.batch_of_free_blocks(heap, barrier, BATCH_BLOCKS)
            // Free memory of the other regions counts against the limit too.
            || heap.release_free(barrier, 0) > 0 && self.batch_of_free_blocks(heap, barrier, 1);
        if !some {
            return None;
        }
        let block = self.batch.range.start;
        self.batch.range.start += BLOCK;
        self.fresh += BLOCK as u64;
        if !self.batch.zeroed {
            heap.hand_out(&(block..block + BLOCK));
        }
        Some(block)
    }

    /// Takes up to `most` adjacent blocks without objects, unless some are left. False if the limit allows none.
    fn batch_of_free_blocks(&mut self, heap: &Heap, barrier: &dyn Barrier, most: usize) -> bool {
        if self.batch.range.is_empty() {
            let space = &heap.regions(self.space).blocks;
            let Some(batch) = space.take_free(most, &heap.footprint) else { return false };
            if space.forget_armed(&batch.range) {
                self.disarm(barrier, &batch.range);
            }
            if batch.zeroed {
                heap.mapping.populate(batch.range.clone());
            }
            self.batch = batch;
        }
        true
    }

    fn retire_current(&mut self, heap: &Heap) {
        self.restore();
        if self.block_end != 0 {
            let space = &heap.regions(self.space).blocks;
            self.taken -= (self.limit - self.cursor) as u64;
            space.retire(space.index(self.block_end - BLOCK));
            self.block_end = 0;
            self.holes = Holes::NONE;
            self.cursor = 0;
            self.limit = 0;
        }
    }

    fn retire_overflow(&mut self, heap: &Heap) {
        if self.overflow_limit != 0 {
            let space = &heap.regions(self.space).blocks;
            self.taken -= (self.overflow_limit - self.overflow_cursor) as u64;
            space.retire(space.index(self.overflow_limit - BLOCK));
            self.overflow_cursor = 0;
            self.overflow_limit = 0;
        }
    }

    /// Hands everything back: the blocks become Filled, the rest of the batch free. What was allocated counts on.
    pub fn retire(&mut self, heap: &Heap) {
        self.retire_current(heap);
        self.retire_overflow(heap);
        if !self.batch.range.is_empty() {
            heap.regions(self.space).blocks.give_back(std::mem::replace(&mut self.batch.range, 0..0));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::barrier::{Mechanism, open};
    use crate::layout::PAGE;
    use crate::memory::Backing;
    use crate::sys::Kernel;

    const SIZE: usize = 1024;

    /// A heap of `blocks` blocks of one space, full of objects of 1 KB of which every other one was found live; swept.
    fn half_alive(
        mechanism: Mechanism,
        backing: Backing,
        space: Space,
        blocks: usize,
    ) -> Option<(Heap, Box<dyn Barrier>, Vec<usize>)> {
        let heap = Heap::reserve(&Kernel::real(), backing, blocks * BLOCK, false, "pagemark test heap").unwrap();
        let opened = open(mechanism, backing, std::slice::from_ref(&heap.tracked.range), &Kernel::real());
        let barrier = opened.inspect_err(|error| eprintln!("skipped: {error}")).ok()?.barrier;
        let mut local = Local::new(space);
        let objects: Vec<usize> =
            (0..blocks * BLOCK / SIZE).map(|_| alloc(&mut local, &heap, &*barrier).unwrap()).collect();
        assert_eq!(alloc(&mut local, &heap, &*barrier), Err(Exhausted));
        local.retire(&heap);
        heap.start_marking(false);
        heap.take_written_and_arm(&*barrier, &mut |_| {}).unwrap();
        objects.iter().step_by(2).for_each(|object| mark(&heap, *object));
        heap.end_marking(false);
        heap.finish_sweeping();
        Some((heap, barrier, objects))
    }

    fn alloc(local: &mut Local, heap: &Heap, barrier: &dyn Barrier) -> Result<usize, Exhausted> {
        local.bump(heap, SIZE).map_or_else(|| local.refill_and_alloc(heap, barrier, SIZE), Ok)
    }

    fn mark(heap: &Heap, object: usize) {
        let byte = heap.metadata.at(object);
        byte.store(byte.load(Ordering::Relaxed) & !0b11 | heap.colour(), Ordering::Relaxed);
    }

    fn write(object: usize) {
        // SAFETY: an object of a heap that only the test uses.
        unsafe { (object as *mut u64).write_volatile(1) };
    }

    fn reported(heap: &Heap, barrier: &dyn Barrier) -> BTreeSet<usize> {
        let mut pages = BTreeSet::new();
        heap.take_written_and_arm(barrier, &mut |run| pages.extend(run.step_by(PAGE))).unwrap();
        pages
    }

    #[test]
    fn leaf_holes_are_filled_while_a_cycle_marks_and_tracked_ones_are_not() {
        let (heap, barrier, _) = half_alive(Mechanism::Stop, Backing::Anon, Space::Tracked, 1).unwrap();
        let mut local = Local::new(Space::Tracked);
        heap.start_marking(false);
        assert_eq!(alloc(&mut local, &heap, &*barrier), Err(Exhausted));
        heap.end_marking(false);
        alloc(&mut local, &heap, &*barrier).unwrap();

        let (heap, barrier, old) = half_alive(Mechanism::Stop, Backing::Anon, Space::Leaf, 1).unwrap();
        let mut local = Local::new(Space::Leaf);
        heap.start_marking(false);
        mark(&heap, old[0]);
        let new: Vec<usize> = std::iter::from_fn(|| alloc(&mut local, &heap, &*barrier).ok()).collect();
        let dead: Vec<usize> = old.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(new, dead, "each in the place of a dead one");
        [old[2], new[5]].into_iter().for_each(|object| mark(&heap, object));
        local.retire(&heap);
        heap.end_marking(false);
        heap.finish_sweeping();
        let lives = |object: &usize| heap.object_at(*object) == Some(*object..object + SIZE);
        let living: BTreeSet<usize> = old.iter().copied().filter(lives).collect();
        assert_eq!(living, [old[0], old[2], new[5]].into(), "what carries the colour, whoever made it when");
    }

    #[test]
    fn large_objects_that_no_cycle_will_mark_are_counted_when_they_are_born() {
        const LARGE: usize = 5 * PAGE;
        let (heap, barrier, _) = half_alive(Mechanism::Stop, Backing::Anon, Space::Tracked, 4).unwrap();
        let mut local = Local::new(Space::Leaf);
        let mut make = || local.refill_and_alloc(&heap, &*barrier, LARGE).unwrap();
        heap.finish_sweeping();
        heap.start_marking(false);
        heap.end_marking(false);
        heap.finish_sweeping();
        let born = make();
        assert_eq!(heap.take_born_live(), LARGE as u64);
        heap.sweep_large();
        assert!(heap.object_at(born).is_some(), "it is new, and was not freed");
        make();
        heap.start_marking(true);
        make();
        assert_eq!(heap.take_born_live(), 0, "these are born white, and marked if they live");
    }

    #[test]
    fn neighbours_that_are_disarmed_together_fault_no_more_and_are_reported() {
        for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
            for backing in [Backing::Anon, Backing::Shmem] {
                const BLOCKS: usize = 3;
                let Some((heap, barrier, old)) = half_alive(mechanism, backing, Space::Tracked, BLOCKS) else {
                    continue;
                };
                let faults = barrier.faults();
                let mut local = Local::new(Space::Tracked);
                write(alloc(&mut local, &heap, &*barrier).unwrap());
                // Old ones in all blocks, of which only one is taken yet.
                let alive = || old.iter().step_by(2).copied();
                alive().for_each(write);
                let new: Vec<usize> = std::iter::from_fn(|| alloc(&mut local, &heap, &*barrier).ok()).collect();
                assert_eq!(new.len(), BLOCKS * BLOCK / SIZE / 2 - 1);
                new.iter().copied().for_each(write);
                assert_eq!(barrier.faults(), faults, "{mechanism:?} {backing:?}");
                local.retire(&heap);
                let all: BTreeSet<usize> = alive().map(|object| object & !(PAGE - 1)).collect();
                assert_eq!(reported(&heap, &*barrier), all, "{mechanism:?} {backing:?}");
                write(old[0]);
                assert_eq!(reported(&heap, &*barrier), [old[0] & !(PAGE - 1)].into(), "{mechanism:?} {backing:?}");
            }
        }
    }
}
