//! The heap: one reserved range, cut into four regions.
//!
//! ```text
//! base                                                                     end
//!  │ tracked blocks │ tracked large objects │ leaf blocks │ leaf large objects │
//!  └────────── seen by the barrier ─────────┴────────── never armed ───────────┘
//! ```
//!
//! *granule*, *page* and *block* are defined in [`crate::layout`]. Each region is reserved for the whole heap limit (the large
//! ones for twice, so that fragmentation of addresses does not exhaust them); memory is committed as it is first used and the
//! sum of what is committed is held below the limit by [`footprint::Footprint`].

pub mod block_space;
pub mod footprint;
pub mod holes;
pub mod large_space;
pub mod local;
pub mod lookup;
pub mod metadata;
pub mod poison;
pub mod sampling;
pub mod sweep;

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use crate::barrier::{Barrier, PageRange};
use crate::error::{BarrierError, MemoryError};
use crate::layout::{BLOCK, GRANULE, LARGE_THRESHOLD, MAX_LIMIT, PAGE, round_up};
use crate::memory::{Backing, Mapping, TableMapping};
use crate::model::Space;
use crate::primitive::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::primitive::thread;
use crate::sys::Kernel;
use block_space::BlockSpace;
use footprint::Footprint;
use large_space::LargeSpace;
use metadata::Metadata;

/// Free blocks between two runs that a scan crosses rather than making another system call.
const BRIDGE_BLOCKS: usize = 4;
/// The same for free pages between large objects.
const BRIDGE_PAGES: usize = 64;
/// Bytes disarmed by one system call, which holds a lock of the address space for as long as it takes: some 20 to 70 µs.
const DISARM_AT_ONCE: usize = 1 << 20;

/// The hard limit allows no more memory and no free memory is left: nothing was allocated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the heap limit is reached; reclaim at a safepoint and try again")]
pub struct Exhausted;

/// One region pair: small and medium objects in blocks, large objects on pages of their own.
pub struct Regions {
    /// Blocks.
    pub blocks: BlockSpace,
    /// Large objects.
    pub large: LargeSpace,
    /// Address range of both.
    pub range: Range<usize>,
    /// Where the blocks end and the pages of large objects begin.
    pub border: usize,
}

/// Memory, metadata and the objects' places: everything passive about a heap.
pub struct Heap {
    /// The memory; the barrier has let go of it when it is dropped.
    pub mapping: Mapping,
    /// A byte a granule.
    pub metadata: Metadata,
    /// Committed against the limit.
    pub footprint: Footprint,
    /// Objects that may hold references.
    pub tracked: Regions,
    /// Objects that never do.
    pub leaf: Regions,
    /// True from the flip of the colour at a cycle's start to the end of its pause: mutators then get
    /// blocks without objects, and holes of leaf blocks, and large objects are born white.
    marking: AtomicBool,
    /// The colour of objects found live by the cycle that runs, or by the last.
    colour: AtomicU8,
    /// True from the end of a pause until the large objects that the cycle found dead are freed.
    large_unswept: AtomicBool,
    /// Bytes of large objects born with the live colour since they were last asked for: no cycle marks them, and so none counts them.
    born_live: AtomicU64,
    /// The next cycle keeps the marks of the last, if all goes as planned: see [`Heap::prefers_fresh`].
    prefers_fresh: AtomicBool,
    /// Swept memory is filled.
    poison: bool,
    /// Places where it was found changed.
    poison_failures: AtomicU64,
}

impl Heap {
    /// Reserves a heap of at most `limit` bytes of objects; with `poison`, swept memory is filled.
    ///
    /// # Errors
    /// [`MemoryError::Reserve`] where the address space or the limits do not allow it.
    pub fn reserve(
        kernel: &Kernel,
        backing: Backing,
        limit: usize,
        poison: bool,
        name: &str,
    ) -> Result<Heap, MemoryError> {
        debug_assert!(limit <= MAX_LIMIT, "a configuration allows no more");
        let blocks = round_up(limit, BLOCK);
        let large = 2 * blocks;
        let mapping = Mapping::on(kernel, backing, 2 * (blocks + large), name)?;
        let base = mapping.base();
        let table = |bytes: usize, what: &str| TableMapping::on(kernel, bytes, &format!("{name} {what}"));
        let metadata = Metadata::new(table(mapping.len() / GRANULE + 8, "metadata")?, base);
        let regions = |start: usize| -> Result<Regions, MemoryError> {
            let entries = large / PAGE * 4;
            Ok(Regions {
                blocks: BlockSpace::new(start..start + blocks),
                large: LargeSpace::new(
                    start + blocks..start + blocks + large,
                    table(entries, "large heads")?,
                    table(entries, "large lengths")?,
                ),
                range: start..start + blocks + large,
                border: start + blocks,
            })
        };
        Ok(Heap {
            tracked: regions(base)?,
            leaf: regions(base + blocks + large)?,
            metadata,
            footprint: Footprint::new(limit),
            mapping,
            marking: AtomicBool::new(false),
            colour: AtomicU8::new(1),
            large_unswept: AtomicBool::new(false),
            born_live: AtomicU64::new(0),
            prefers_fresh: AtomicBool::new(false),
            poison,
            poison_failures: AtomicU64::new(0),
        })
    }

    /// The region pair of a space.
    pub fn regions(&self, space: Space) -> &Regions {
        match space {
            Space::Tracked => &self.tracked,
            Space::Leaf => &self.leaf,
        }
    }

    /// The whole range.
    pub fn range(&self) -> Range<usize> {
        self.tracked.range.start..self.leaf.range.end
    }

    /// Whether `addr`, inside the heap, is in a leaf region.
    #[inline(always)]
    pub fn is_leaf(&self, addr: usize) -> bool {
        addr >= self.leaf.range.start
    }

    /// Whether a cycle marks now.
    pub fn marking(&self) -> bool {
        // Relaxed: a mutator that sees the old value publishes an object or fills a hole as if before its handshake, which is when
        // it does; the handshake and the pause order the change for everyone else.
        self.marking.load(Ordering::Relaxed)
    }

    /// The live colour.
    #[inline(always)]
    pub fn colour(&self) -> u8 {
        self.colour.load(Ordering::Relaxed)
    }

    /// The colour a large object is born with: none, and the live one only from a pause to the sweep of large objects that follows it, which frees
    /// what has no other. The colour is read first: whoever reads the one that the next cycle flipped to, with which an object would count as marked and
    /// never be traced, also sees that the sweep is over.
    pub fn birth_colour(&self) -> u8 {
        // Acquire pairs with the Release in `start_marking`, which comes after the sweep.
        let colour = self.colour.load(Ordering::Acquire);
        // Acquire pairs with the Release in `sweep_large`: an object without the colour is published after the sweep.
        if self.large_unswept.load(Ordering::Acquire) { colour } else { 0 }
    }

    /// A large object of `bytes` is born with `colour`.
    pub fn born(&self, bytes: usize, colour: u8) {
        if colour != 0 {
            // Relaxed: asked for in a pause, which orders what every mutator did before it.
            self.born_live.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Bytes of large objects that were born with the live colour, since the last call.
    pub fn take_born_live(&self) -> u64 {
        self.born_live.swap(0, Ordering::Relaxed)
    }

    /// A cycle starts, and all blocks are swept. Unless it keeps the marks there are, the other colour means live from now on.
    pub fn start_marking(&self, keep_marks: bool) {
        debug_assert!(!self.tracked.blocks.sweeping() && !self.leaf.blocks.sweeping());
        self.marking.store(true, Ordering::Relaxed);
        if !keep_marks {
            // Release: see `birth_colour`.
            self.colour.store(3 - self.colour(), Ordering::Release);
        }
    }

    /// In the pause: marking is complete, and what may hold dead objects is to be swept.
    pub fn end_marking(&self, marks_were_kept: bool) {
        self.tracked.blocks.flip(marks_were_kept);
        self.leaf.blocks.flip(marks_were_kept);
        // Relaxed, as `marking`: the end of the pause orders them for the mutators.
        self.large_unswept.store(true, Ordering::Relaxed);
        self.marking.store(false, Ordering::Relaxed);
    }

    /// Whether mutators had better allocate in blocks without objects than in holes: before a cycle that keeps marks. Such a cycle traces again what lies on
    /// pages that were written since the last one, and a hole that is filled makes a written page of one with old objects.
    pub fn prefers_fresh(&self) -> bool {
        self.prefers_fresh.load(Ordering::Relaxed)
    }

    /// Says so, or not. A hint that orders nothing.
    pub fn prefer_fresh(&self, prefer: bool) {
        self.prefers_fresh.store(prefer, Ordering::Relaxed);
    }

    /// Reports and re-arms the written pages of everything tracked that holds objects.
    pub fn take_written_and_arm(
        &self,
        barrier: &dyn Barrier,
        report: &mut dyn FnMut(PageRange),
    ) -> Result<(), BarrierError> {
        for run in self.tracked.blocks.runs(BRIDGE_BLOCKS) {
            let taken = barrier.take_and_arm(run.clone(), report);
            // A mutator that takes a free block out of the run meanwhile sees the note and disarms; or it does not, and faults on the pages
            // that were armed.
            self.tracked.blocks.note_armed(&run);
            taken?;
        }
        // Counted first: what is made from now on may lie outside of these runs.
        let large = self.tracked.large.objects();
        for run in self.tracked.large.runs(BRIDGE_PAGES) {
            barrier.take_and_arm(run, report)?;
        }
        self.tracked.large.note_armed(large);
        Ok(())
    }

    /// How many pages hold objects, were armed by some scan, and were given to no mutator since. Each of them that is written cost a fault, unless all
    /// were disarmed.
    pub fn pages_left_armed(&self) -> usize {
        let blocks = &self.tracked.blocks;
        let in_blocks: usize = blocks.runs(1).iter().map(|run| blocks.armed_bytes(run)).sum();
        (in_blocks + self.tracked.large.armed_bytes()) / PAGE
    }

    /// How many of them are in a run that a scan reports: asked by what hears the report.
    pub fn left_armed_in(&self, run: &PageRange) -> usize {
        if run.start < self.tracked.border {
            return self.tracked.blocks.armed_bytes(run) / PAGE;
        }
        run.clone().step_by(PAGE).filter(|page| self.tracked.large.is_armed(*page)).count()
    }

    /// Disarms everything tracked that holds objects, while mutators run, until `enough` says so. Returns how many pages.
    pub fn disarm(&self, barrier: &dyn Barrier, enough: impl Fn() -> bool) -> usize {
        let Regions { blocks, large, .. } = &self.tracked;
        let block_runs = blocks.runs(BRIDGE_BLOCKS);
        let mut pages = 0;
        for run in block_runs.into_iter().chain(large.runs(BRIDGE_PAGES)) {
            for start in run.clone().step_by(DISARM_AT_ONCE) {
                if enough() {
                    return pages;
                }
                let part = start..run.end.min(start + DISARM_AT_ONCE);
                if part.start < self.tracked.border {
                    // Who takes a block of it before it is disarmed takes the faults.
                    blocks.forget_armed(&part);
                }
                let length = part.len() / PAGE;
                // What stays armed costs a fault a page, as it would have anyway.
                if barrier.disarm(part).is_ok() {
                    pages += length;
                }
            }
        }
        pages
    }

    /// Bytes in use: blocks that are not free, and large objects.
    pub fn used_bytes(&self) -> usize {
        [&self.tracked, &self.leaf].iter().map(|r| r.blocks.used_bytes() + r.large.used_bytes()).sum()
    }

    /// Whether an allocation of `bytes` would succeed now, as far as can be said without making it.
    pub fn has_room_for(&self, barrier: &dyn Barrier, bytes: usize, space: Space) -> bool {
        let regions = self.regions(space);
        if bytes <= LARGE_THRESHOLD {
            return regions.blocks.has_room()
                || self.footprint.limit().saturating_sub(self.footprint.committed()) >= BLOCK
                || self.release_free(barrier, 0) > 0;
        }
        if let Some(run) = regions.large.take(bytes, &self.footprint).or_else(|| {
            self.release_free(barrier, 0);
            regions.large.take(bytes, &self.footprint)
        }) {
            regions.large.give_back(run.range);
            return true;
        }
        false
    }

    /// Gives free memory back to the system until about `keep` bytes of it are left in each region pair.
    pub fn release_free(&self, barrier: &dyn Barrier, keep: usize) -> usize {
        let give_back = |range: Range<usize>| {
            let gone = self.mapping.release(range.clone()).is_ok();
            // Also where the kernel refused: it may have come half-way.
            barrier.released(range);
            gone
        };
        [&self.tracked, &self.leaf]
            .iter()
            .map(|r| {
                r.blocks.release_free(keep, &self.footprint, give_back)
                    + r.large.release_free(keep, &self.footprint, give_back)
            })
            .sum()
    }

    /// Frees the large objects that the cycle which just ended did not mark. Mutators run: what they make meanwhile is born with the
    /// live colour.
    pub fn sweep_large(&self) {
        for regions in [&self.tracked, &self.leaf] {
            regions.large.sweep(&self.metadata, self.colour(), |freed| {
                if self.poison {
                    self.fill(freed);
                }
            });
        }
        // Release: see `birth_colour`.
        self.large_unswept.store(false, Ordering::Release);
    }

    /// Sweeps one block. False when nothing is left to sweep.
    pub fn sweep_one(&self) -> bool {
        sweep::sweep_one(self, &self.tracked.blocks) || sweep::sweep_one(self, &self.leaf.blocks)
    }

    /// How often swept memory was found changed since the last call.
    pub fn take_poison_failures(&self) -> u64 {
        self.poison_failures.swap(0, Ordering::Relaxed)
    }

    /// Whether some block is not swept yet.
    pub fn sweeping(&self) -> bool {
        self.tracked.blocks.sweeping() || self.leaf.blocks.sweeping()
    }

    /// Sweeps whatever is left, and waits for what others are sweeping.
    pub fn finish_sweeping(&self) {
        while self.sweep_one() {}
        while self.sweeping() {
            thread::yield_now();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::local::Local;
    use super::*;
    use crate::barrier::{Mechanism, open};
    use crate::layout::PAGE;
    use crate::sys::{Call, FaultPlan, Outcome, When};

    /// A scan arms a free block between two that hold objects. Before it is over, a mutator that is short of memory gives all free
    /// memory back, gets this block again, and writes to it.
    fn written_after_it_was_released_under_a_scan(mechanism: Mechanism, backing: Backing) {
        let heap = Heap::reserve(&Kernel::real(), backing, 16 * BLOCK, false, "pagemark test heap").unwrap();
        let opened = open(mechanism, backing, std::slice::from_ref(&heap.tracked.range), &Kernel::real());
        let barrier = match opened {
            Ok(opened) => opened.barrier,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let blocks = &heap.tracked.blocks;
        let three = blocks.take_free(3, &heap.footprint).unwrap().range;
        heap.mapping.populate(three.clone());
        let free = three.start + BLOCK..three.start + 2 * BLOCK;
        blocks.retire(0);
        blocks.retire(2);
        blocks.give_back(free.clone());

        let mut local = Local::new(Space::Tracked);
        let mut object = None;
        heap.take_written_and_arm(&*barrier, &mut |_| {
            if object.is_none() {
                heap.release_free(&*barrier, 0);
                object = local.refill_and_alloc(&heap, &*barrier, PAGE).ok();
            }
        })
        .unwrap();
        let object = object.unwrap();
        assert!(free.contains(&object), "{mechanism:?} {backing:?}: the test needs the block that was released");
        // SAFETY: the object is one page of this heap, and nothing else uses it.
        unsafe { (object as *mut u64).write_volatile(1) };
        local.retire(&heap);

        let mut reported = HashSet::new();
        heap.take_written_and_arm(&*barrier, &mut |run| reported.extend(run.step_by(PAGE))).unwrap();
        assert!(reported.contains(&object), "{mechanism:?} {backing:?}: a write was not reported");
    }

    /// Faults of writing to every page of blocks and of a large object that were armed, given back to the system, and taken again.
    fn faults_after_release(mechanism: Mechanism, backing: Backing, kernel: &Kernel) -> u64 {
        const BLOCKS: usize = 8;
        let heap = Heap::reserve(kernel, backing, 64 * BLOCK, false, "pagemark test heap").unwrap();
        let opened = open(mechanism, backing, std::slice::from_ref(&heap.tracked.range), &Kernel::real());
        let barrier = match opened {
            Ok(opened) => opened.barrier,
            Err(error) => {
                eprintln!("skipped: {error}");
                return 0;
            }
        };
        let Regions { blocks, large, .. } = &heap.tracked;
        let write = |range: &Range<usize>| {
            for page in range.clone().step_by(PAGE) {
                // SAFETY: memory of this heap that nothing else uses.
                unsafe { (page as *mut u64).write_volatile(1) };
            }
        };
        let some = blocks.take_free(BLOCKS, &heap.footprint).unwrap().range;
        let object = large.take(BLOCKS * BLOCK, &heap.footprint).unwrap().range;
        write(&some);
        write(&object);
        some.clone().step_by(BLOCK).for_each(|block| blocks.retire(blocks.index(block)));
        heap.take_written_and_arm(&*barrier, &mut |_| {}).unwrap();
        blocks.give_back(some.clone());
        large.give_back(object.clone());
        heap.release_free(&*barrier, 0);

        let mut local = Local::new(Space::Tracked);
        for (memory, bytes) in [(some, PAGE), (object, BLOCKS * BLOCK)] {
            for _ in 0..memory.len() / bytes {
                let start = local
                    .bump(&heap, bytes)
                    .unwrap_or_else(|| local.refill_and_alloc(&heap, &*barrier, bytes).unwrap());
                assert!(memory.contains(&start), "the test needs the memory that was given back");
                write(&(start..start + bytes));
            }
        }
        barrier.faults().unwrap_or(0)
    }

    /// A fault in a page that counts as written already is a fault for nothing, and a handler that sees nothing else takes it for somebody else's.
    #[test]
    fn memory_that_was_given_back_is_used_again_without_faults() {
        let plan = FaultPlan::new(0);
        for mechanism in [Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
            for backing in [Backing::Anon, Backing::Shmem] {
                plan.clear_all();
                let kernel = Kernel::failing(&plan);
                assert_eq!(faults_after_release(mechanism, backing, &kernel), 0, "{mechanism:?} {backing:?}");
                plan.set(Call::Release, When::Always, Outcome::Fails(libc::ENOMEM));
                let faults = faults_after_release(mechanism, backing, &kernel);
                assert_eq!(faults, 0, "{mechanism:?} {backing:?}, and the kernel takes nothing back");
            }
        }
    }

    #[test]
    fn writes_to_memory_that_was_released_under_a_scan_are_reported() {
        for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
            for backing in [Backing::Anon, Backing::Shmem] {
                written_after_it_was_released_under_a_scan(mechanism, backing);
            }
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) mod interleavings;
