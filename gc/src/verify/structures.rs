//! `verify=heap`: what the heap knows of itself must not contradict itself.
//!
//! Checked with all mutators stopped, before a cycle (everything is swept, mutators own blocks) and in its pause after marking (nobody owns a
//! block, nothing is swept yet). Three kinds of knowledge are held against each other:
//!
//! * *metadata*: in a block, starts and ends alternate, marks are on starts only and are of a colour that can be there now, and an object ends
//!   in its block; a block without objects has none;
//! * *states and lists*: a block is in exactly the list of its state, and one that is owned is owned by one mutator;
//! * *pages of large objects*: each belongs to one object, which every page's table entry names, or to one free run; and what all
//!   this adds up to is what counts against the limit.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::PRINTED;
use crate::collector::Shared;
use crate::cycle::rendezvous::Party;
use crate::fatal::say;
use crate::heap::block_space::BlockState;
use crate::heap::metadata::{END, MARK_MASK, START};
use crate::heap::{Heap, Regions, poison};
use crate::layout::{BLOCK, GRANULE, LARGE_THRESHOLD, PAGE};
use crate::model::Space;

/// When a check is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Everything is swept, and mutators may own blocks.
    BeforeCycle,
    /// In the pause, after marking.
    AfterMarking,
}

/// Checks the structures; returns how many contradictions there are. All mutators are stopped, and `parties` are all of them.
pub fn verify(shared: &Shared, parties: &[Arc<Party>], moment: Moment) -> u64 {
    let mut check = Check { heap: &shared.heap, name: shared.config.name(), moment, failures: 0, committed: 0 };
    for space in [Space::Tracked, Space::Leaf] {
        let owned: Vec<Range<usize>> = parties
            .iter()
            .flat_map(|party| {
                // SAFETY: the mutator is stopped or away, and the collector thread, which this is, acts for it.
                let locals = unsafe { party.locals() };
                if space == Space::Tracked { locals.tracked.owned() } else { locals.leaf.owned() }
            })
            .collect();
        let regions = shared.heap.regions(space);
        check.blocks(regions, &owned);
        check.large(regions);
    }
    let committed = shared.heap.footprint.committed();
    if committed != check.committed {
        let found = check.committed;
        check.fail(format!("{committed} bytes count against the limit, and {found} are in blocks and large pages"));
    }
    check.failures
}

struct Check<'h> {
    heap: &'h Heap,
    name: &'h str,
    moment: Moment,
    failures: u64,
    /// What should count against the limit.
    committed: usize,
}

impl Check<'_> {
    fn fail(&mut self, what: String) {
        self.failures += 1;
        if self.failures <= PRINTED {
            say(&format!("pagemark[{}] VERIFY HEAP ({:?}): {what}", self.name, self.moment));
        }
    }

    fn blocks(&mut self, regions: &Regions, owned: &[Range<usize>]) {
        let space = &regions.blocks;
        if space.sweeping() {
            self.fail("blocks are unswept".into());
        }
        let lists = space.lists();
        let mut listed: HashMap<usize, BlockState> = HashMap::new();
        let of_state = [
            (BlockState::Free, lists.free),
            (BlockState::Recyclable, lists.recyclable),
            (BlockState::Roomy, lists.roomy),
            (BlockState::Untouched, lists.released),
        ];
        for (state, list) in of_state {
            for index in list {
                if let Some(other) = listed.insert(index, state) {
                    self.fail(format!("block {index} is in the lists of {other:?} and of {state:?}, or twice in one"));
                }
            }
        }
        for range in owned {
            for block in range.clone().step_by(BLOCK) {
                let index = space.index(block);
                if let Some(other) = listed.insert(index, BlockState::Owned) {
                    self.fail(format!("block {index} is owned by a mutator, and {other:?} or owned by another"));
                }
            }
        }
        for index in 0..space.high_water() {
            let state = space.state(index);
            // Full and Filled blocks are in no list.
            let expected = listed.get(&index).copied().unwrap_or(BlockState::Full);
            if state != expected && (state, expected) != (BlockState::Filled, BlockState::Full) {
                self.fail(format!("block {index} is {state:?}, and by the lists {expected:?}"));
            }
            if state != BlockState::Untouched {
                self.committed += BLOCK;
            }
            self.block(space.address(index), state);
        }
        for range in owned {
            if self.moment == Moment::AfterMarking {
                self.fail(format!("{range:#x?} is still owned in the pause"));
            }
        }
    }

    /// The metadata of one block.
    fn block(&mut self, block: usize, state: BlockState) {
        let empty = matches!(state, BlockState::Free | BlockState::Untouched);
        let mut open: Option<usize> = None;
        let mut free = block;
        for granule in (block..block + BLOCK).step_by(GRANULE) {
            let byte = self.heap.metadata.at(granule).load(Ordering::Relaxed);
            if byte == 0 {
                continue;
            }
            if empty {
                return self.fail(format!("the block at {block:#x} is {state:?} and has an object at {granule:#x}"));
            }
            if byte & START != 0 {
                if let Some(start) = open {
                    return self
                        .fail(format!("an object starts at {granule:#x}, in the one that starts at {start:#x}"));
                }
                self.unused(free..granule, state);
                self.mark_is_possible(granule, byte & MARK_MASK);
                open = Some(granule);
            } else if byte & MARK_MASK != 0 {
                return self.fail(format!("the byte of {granule:#x}, where no object starts, has the mark {byte:#x}"));
            }
            if byte & END != 0 {
                let Some(start) = open.take() else {
                    return self.fail(format!("an object ends at {granule:#x} that starts nowhere"));
                };
                free = granule + GRANULE;
                if free - start > LARGE_THRESHOLD {
                    return self.fail(format!("the object at {start:#x} in a block has {} bytes", free - start));
                }
            }
        }
        match open {
            Some(start) => self.fail(format!("the object at {start:#x} does not end in its block")),
            None => self.unused(free..block + BLOCK, state),
        }
    }

    fn mark_is_possible(&mut self, addr: usize, mark: u8) {
        let colour = self.heap.colour();
        let old = 3 - colour;
        let possible = match self.moment {
            Moment::BeforeCycle => mark == 0 || mark == colour,
            Moment::AfterMarking => mark == 0 || mark == colour || mark == old,
        };
        if !possible {
            self.fail(format!("the object at {addr:#x} has the mark {mark}, and live is {colour}"));
        }
    }

    /// Memory without objects, which nobody may have written since it was swept. What a mutator owns is zero or in use; what is untouched is not
    /// there.
    fn unused(&mut self, range: Range<usize>, state: BlockState) {
        if self.heap.poisoned() && (state == BlockState::Free || state.holds_objects() && state != BlockState::Unswept)
        {
            // SAFETY: committed memory of the heap, read while mutators are stopped.
            if let Some(addr) = unsafe { poison::first_changed(&range) } {
                self.fail(format!("the word at {addr:#x} was written after it was swept"));
            }
        }
    }

    fn large(&mut self, regions: &Regions) {
        let map = regions.large.map();
        let mut pages: Vec<(Range<usize>, &str)> = Vec::new();
        pages.extend(map.objects.iter().map(|range| (range.clone(), "object")));
        pages.extend(map.stale.iter().map(|range| (range.clone(), "free run")));
        pages.extend(map.clean.iter().map(|range| (range.clone(), "clean run")));
        pages.sort_by_key(|(range, _)| range.start);
        let mut at = regions.border;
        for (range, what) in &pages {
            if range.start != at {
                self.fail(format!("pages from {at:#x} to the {what} at {range:#x?} belong to nothing, or to two"));
            }
            at = range.end;
        }
        if at != map.end {
            self.fail(format!("large pages end at {at:#x} and not at {:#x}", map.end));
        }
        for object in &map.objects {
            let byte = self.heap.metadata.at(object.start).load(Ordering::Relaxed);
            if byte & (START | END) != START {
                self.fail(format!("the large object at {:#x} has the metadata byte {byte:#x}", object.start));
            }
            self.mark_is_possible(object.start, byte & MARK_MASK);
            for page in object.clone().step_by(PAGE) {
                if regions.large.object_at(page).as_ref() != Some(object) {
                    self.fail(format!("the table entry of {page:#x} does not name the object {object:#x?}"));
                }
            }
        }
        for run in map.stale.iter().chain(&map.clean) {
            for page in run.clone().step_by(PAGE) {
                if regions.large.object_at(page).is_some() {
                    self.fail(format!("the table entry of the free page {page:#x} names an object"));
                }
            }
        }
        for run in &map.stale {
            self.unused(run.clone(), BlockState::Free);
        }
        let used: usize = map.objects.iter().map(Range::len).sum();
        if used != regions.large.used_bytes() {
            self.fail(format!("large objects have {used} bytes, and {} are counted", regions.large.used_bytes()));
        }
        self.committed += used + map.stale.iter().map(Range::len).sum::<usize>();
    }
}
