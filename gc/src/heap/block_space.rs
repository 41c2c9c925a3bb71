//! Blocks of one region and what state each is in.
//!
//! ```text
//!   Untouched ──take──► Owned ──retire──► Filled ──flip──► Unswept ──sweep──► Full | Recyclable | Free
//!       ▲                 ▲                                   │                        │          │
//!       └──── release ────┼── (Free) ◄────────────────────────┴───── take ─────────────┴──────────┘
//! ```
//!
//! *Owned*: one mutator allocates in it; the cycle leaves it alone. *Filled*: holds objects, some of them made since the last flip, and takes no
//! more until it is swept. *Unswept*: the last cycle marked its objects, nobody has looked yet which are dead. *Full*: swept, and no room worth
//! having. *Recyclable*: swept, with enough holes. *Roomy*: the same, and most of it is free (in the picture, Recyclable). *Free*: no objects, its
//! memory stale. *Untouched*: no memory (never used, or given back).
//!
//! The flip of a full cycle makes everything that holds objects Unswept. That of a sticky cycle, which keeps the marks there are, only what is Filled:
//! in the other blocks every object was marked before it.
//!
//! A state is changed by the thread that the present state makes responsible: the owner for Owned, whoever
//! took it from a list (under the lock) for Free, Recyclable and Roomy, whoever won the exchange for Unswept, the cycle in its pause for all
//! that hold objects and have no owner.

use std::ops::Range;

use super::footprint::Footprint;
use crate::layout::BLOCK;
use crate::primitive::Mutex;
use crate::primitive::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// See the module documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BlockState {
    /// No memory behind it.
    Untouched,
    /// Memory, no objects.
    Free,
    /// A mutator allocates in it.
    Owned,
    /// Holds objects, and nothing was allocated in it since it was swept.
    Full,
    /// Holds objects of which some may be dead since the last flip.
    Unswept,
    /// Swept, and worth allocating in again.
    Recyclable,
    /// Holds objects that were made since the last flip; nothing more is allocated in it.
    Filled,
    /// Swept, with few objects left.
    Roomy,
}

impl BlockState {
    fn from_u8(raw: u8) -> BlockState {
        match raw {
            0 => BlockState::Untouched,
            1 => BlockState::Free,
            2 => BlockState::Owned,
            3 => BlockState::Full,
            4 => BlockState::Unswept,
            5 => BlockState::Recyclable,
            6 => BlockState::Filled,
            _ => BlockState::Roomy,
        }
    }

    /// Whether the cycle has to look at the block's objects.
    pub fn holds_objects(self) -> bool {
        !matches!(self, BlockState::Untouched | BlockState::Free | BlockState::Owned)
    }
}

/// Blocks with holes that are disarmed by one system call: 512 KB.
const TOGETHER: usize = 8;

/// Adjacent blocks handed to a mutator at once.
pub struct Batch {
    /// Address range, whole blocks.
    pub range: Range<usize>,
    /// Whether all bytes are zero already.
    pub zeroed: bool,
}

#[derive(Default)]
struct Lists {
    free: Vec<u32>,
    recyclable: Vec<u32>,
    roomy: Vec<u32>,
    released: Vec<u32>,
}

/// The blocks in each list, for verification.
pub struct Listed {
    /// Free blocks.
    pub free: Vec<usize>,
    /// Swept blocks with holes, but the roomy ones.
    pub recyclable: Vec<usize>,
    /// Those of them with few objects left.
    pub roomy: Vec<usize>,
    /// Blocks whose memory was given back.
    pub released: Vec<usize>,
}

/// The blocks of one region.
pub struct BlockSpace {
    base: usize,
    states: Box<[AtomicU8]>,
    /// Blocks that some `take_and_arm` covered since they were last disarmed.
    maybe_armed: Box<[AtomicBool]>,
    lists: Mutex<Lists>,
    /// Blocks below this index have been used at some time.
    high_water: AtomicUsize,
    sweep_cursor: AtomicUsize,
    unswept: AtomicUsize,
}

impl BlockSpace {
    /// All blocks of `range` untouched.
    pub fn new(range: Range<usize>) -> BlockSpace {
        let count = range.len() / BLOCK;
        BlockSpace {
            base: range.start,
            states: (0..count).map(|_| AtomicU8::new(BlockState::Untouched as u8)).collect(),
            maybe_armed: (0..count).map(|_| AtomicBool::new(false)).collect(),
            lists: Mutex::default(),
            high_water: AtomicUsize::new(0),
            sweep_cursor: AtomicUsize::new(0),
            unswept: AtomicUsize::new(0),
        }
    }

    /// The address of block `index`.
    pub fn address(&self, index: usize) -> usize {
        self.base + index * BLOCK
    }

    /// The block `addr` lies in.
    pub fn index(&self, addr: usize) -> usize {
        debug_assert!(addr >= self.base);
        (addr - self.base) / BLOCK
    }

    /// The end of what was ever used.
    pub fn high_water(&self) -> usize {
        self.high_water.load(Ordering::Acquire)
    }

    /// The state of block `index`.
    pub fn state(&self, index: usize) -> BlockState {
        // Acquire: whoever sees Filled sees the metadata its owner wrote before retiring it.
        BlockState::from_u8(self.states[index].load(Ordering::Acquire))
    }

    fn set_state(&self, index: usize, state: BlockState) {
        self.states[index].store(state as u8, Ordering::Release);
    }

    /// Takes up to `most` adjacent blocks without objects: free ones first, then memory not yet committed. `None`
    /// when the limit allows none.
    pub fn take_free(&self, most: usize, footprint: &Footprint) -> Option<Batch> {
        let mut lists = self.lists.lock();
        if let Some(indices) = pop_adjacent(&mut lists.free, most) {
            return Some(self.own(indices, false));
        }
        if let Some(indices) = pop_adjacent(&mut lists.released, most) {
            let mut granted = indices.len();
            while granted > 0 && !footprint.commit(granted * BLOCK) {
                granted /= 2;
            }
            let kept = indices.start + granted as u32;
            lists.released.extend((kept..indices.end).rev());
            return (granted > 0).then(|| self.own(indices.start..kept, true));
        }
        let first = self.high_water.load(Ordering::Relaxed);
        let mut granted = most.min(self.states.len() - first);
        while granted > 0 && !footprint.commit(granted * BLOCK) {
            granted /= 2;
        }
        if granted == 0 {
            return None;
        }
        let batch = self.own(first as u32..(first + granted) as u32, true);
        self.high_water.store(first + granted, Ordering::Release);
        Some(batch)
    }

    fn own(&self, indices: Range<u32>, zeroed: bool) -> Batch {
        for index in indices.clone() {
            self.set_state(index as usize, BlockState::Owned);
        }
        Batch { range: self.address(indices.start as usize)..self.address(indices.end as usize), zeroed }
    }

    /// Takes a swept block that has holes, a roomy one last; or, with `only_roomy`, none but such.
    pub fn take_with_holes(&self, only_roomy: bool) -> Option<usize> {
        let mut lists = self.lists.lock();
        let other = if only_roomy { None } else { lists.recyclable.pop() };
        let index = other.or_else(|| lists.roomy.pop())? as usize;
        drop(lists);
        self.set_state(index, BlockState::Owned);
        Some(index)
    }

    /// Takes a block that the last flip left unswept; the caller owns it and sweeps it.
    pub fn take_unswept(&self) -> Option<usize> {
        if self.unswept.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let end = self.high_water();
        loop {
            // Acquire: who gets an index of this turn sees the state that the flip gave the block. With the state before it would pass
            // the block by, and no other thread gets the index.
            let index = self.sweep_cursor.fetch_add(1, Ordering::Acquire);
            if index >= end {
                return None;
            }
            // An exchange, since a thread that took an index and then slept through a whole cycle meets others who got the same index from
            // the cursor's next turn. Acquire: the winner sees the marks that the flip published.
            let won = self.states[index].compare_exchange(
                BlockState::Unswept as u8,
                BlockState::Owned as u8,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if won.is_ok() {
                return Some(index);
            }
        }
    }

    /// The owner swept block `index` and keeps it, to allocate in its holes.
    pub fn swept_and_kept(&self) {
        // Release: whoever waits for zero sees the metadata the sweeper wrote.
        self.unswept.fetch_sub(1, Ordering::Release);
    }

    /// The owner swept block `index` and lists it by what it found.
    pub fn swept(&self, index: usize, state: BlockState) {
        let mut lists = self.lists.lock();
        self.set_state(index, state);
        match state {
            BlockState::Free => lists.free.push(index as u32),
            BlockState::Recyclable => lists.recyclable.push(index as u32),
            BlockState::Roomy => lists.roomy.push(index as u32),
            _ => debug_assert_eq!(state, BlockState::Full),
        }
        drop(lists);
        self.unswept.fetch_sub(1, Ordering::Release);
    }

    /// Whether blocks are left to sweep, or being swept.
    pub fn sweeping(&self) -> bool {
        self.unswept.load(Ordering::Acquire) != 0
    }

    /// The owner allocates no more in block `index`, which holds objects.
    pub fn retire(&self, index: usize) {
        self.set_state(index, BlockState::Filled);
    }

    /// The owner gives back whole blocks it did not use.
    pub fn give_back(&self, range: Range<usize>) {
        let mut lists = self.lists.lock();
        for index in (self.index(range.start)..self.index(range.end)).rev() {
            self.set_state(index, BlockState::Free);
            lists.free.push(index as u32);
        }
    }

    /// In the pause, all mutators stopped and every run retired: everything that holds objects is to be swept, or, when the marks from
    /// before the cycle were kept, every block that has objects from since then.
    pub fn flip(&self, marks_were_kept: bool) {
        let mut lists = self.lists.lock();
        if !marks_were_kept {
            lists.recyclable.clear();
            lists.roomy.clear();
        }
        let mut unswept = 0;
        for state in &self.states[..self.high_water()] {
            let now = BlockState::from_u8(state.load(Ordering::Relaxed));
            let may_hold_dead = if marks_were_kept { now == BlockState::Filled } else { now.holds_objects() };
            if may_hold_dead {
                // Release: sweepers that are away are not ordered by the end of the pause.
                state.store(BlockState::Unswept as u8, Ordering::Release);
                unswept += 1;
            }
        }
        // Release: see `take_unswept`. An exchange where a store would do, as loom does not order a store with the sweepers' additions.
        self.sweep_cursor.swap(0, Ordering::Release);
        // A sweeper that is away may have won a block already; it counts it off when it gets the lock, hence after this.
        self.unswept.store(unswept, Ordering::Release);
    }

    /// Address ranges that hold objects, as runs; gaps of up to `bridge` free blocks are included, blocks that a mutator
    /// owns or that have no memory never are.
    pub fn runs(&self, bridge: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut run: Option<Range<usize>> = None;
        for index in 0..self.high_water() {
            let state = self.state(index);
            if state.holds_objects() {
                match &mut run {
                    Some(run) => run.end = index + 1,
                    None => run = Some(index..index + 1),
                }
            } else if let Some(open) = &run
                && (state != BlockState::Free || index - open.end >= bridge)
            {
                runs.push(self.address(open.start)..self.address(open.end));
                run = None;
            }
        }
        runs.extend(run.map(|open| self.address(open.start)..self.address(open.end)));
        runs
    }

    /// Notes that `range` was armed.
    pub fn note_armed(&self, range: &Range<usize>) {
        for armed in &self.maybe_armed[self.index(range.start)..self.index(range.end)] {
            if !armed.load(Ordering::Relaxed) {
                armed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Bytes of `range` in blocks that a scan covered and that nobody disarmed since. A count to decide by, which orders nothing: a block that is being taken
    /// at this moment counts or not.
    pub fn armed_bytes(&self, range: &Range<usize>) -> usize {
        let blocks = self.index(range.start)..self.index(range.end.next_multiple_of(BLOCK));
        let armed = blocks.filter(|index| self.maybe_armed[*index].load(Ordering::Relaxed));
        armed.map(|index| range.end.min(self.address(index + 1)) - range.start.max(self.address(index))).sum()
    }

    /// Whether a block of `range` may be armed; forgets it, as the caller disarms it now.
    pub fn forget_armed(&self, range: &Range<usize>) -> bool {
        let mut any = false;
        for armed in &self.maybe_armed[self.index(range.start)..self.index(range.end)] {
            any |= armed.swap(false, Ordering::Relaxed);
        }
        any
    }

    /// The same for block `index`, which has an owner, and for the blocks beside it that have holes and will be taken for them soon: to disarm them
    /// all takes one system call, and little longer. The range is empty if block `index` is not armed.
    ///
    /// With `only_roomy` none but roomy neighbours go along, as only such are taken now. The neighbours belong to nobody, or to somebody who takes them
    /// just now. That their pages count as written is what will be at the next arming in nearly any case; who takes one before it is disarmed takes the
    /// faults.
    pub fn forget_armed_near(&self, index: usize, only_roomy: bool) -> Range<usize> {
        let forget = |index: usize| self.maybe_armed[index].swap(false, Ordering::Relaxed);
        let goes_with_it = |index: usize| {
            let state = self.state(index);
            let soon = state == BlockState::Roomy || state == BlockState::Recyclable && !only_roomy;
            soon && self.maybe_armed[index].load(Ordering::Relaxed) && forget(index)
        };
        let mut near = index..index;
        if forget(index) {
            near.end += 1;
            // Downwards first: the list is a stack, and sweeping goes upwards.
            while near.len() < TOGETHER && near.start > 0 && goes_with_it(near.start - 1) {
                near.start -= 1;
            }
            while near.len() < TOGETHER && near.end < self.high_water() && goes_with_it(near.end) {
                near.end += 1;
            }
        }
        self.address(near.start)..self.address(near.end)
    }

    /// Hands free memory to `give_back`, which says whether it is gone, until at most `keep` bytes of free blocks are left. Returns
    /// bytes released.
    pub fn release_free(&self, keep: usize, footprint: &Footprint, give_back: impl Fn(Range<usize>) -> bool) -> usize {
        let mut released = 0;
        loop {
            let mut lists = self.lists.lock();
            if lists.free.len() * BLOCK <= keep {
                return released;
            }
            let Some(indices) = pop_adjacent(&mut lists.free, 64) else { return released };
            // Owned while outside the lock, so that neither a scan nor a mutator touches it.
            let batch = self.own(indices.clone(), true);
            drop(lists);
            let bytes = batch.range.len();
            let gone = give_back(batch.range);
            let mut lists = self.lists.lock();
            for index in indices.rev() {
                let state = if gone { BlockState::Untouched } else { BlockState::Free };
                self.set_state(index as usize, state);
                if gone { lists.released.push(index) } else { lists.free.push(index) }
            }
            drop(lists);
            if !gone {
                return released;
            }
            footprint.release(bytes);
            released += bytes;
        }
    }

    /// Bytes in blocks that are not free.
    pub fn used_bytes(&self) -> usize {
        let lists = self.lists.lock();
        (self.high_water() - lists.free.len() - lists.released.len()) * BLOCK
    }

    /// What is in the lists now.
    pub fn lists(&self) -> Listed {
        let lists = self.lists.lock();
        let indices = |list: &[u32]| list.iter().map(|index| *index as usize).collect();
        Listed {
            free: indices(&lists.free),
            recyclable: indices(&lists.recyclable),
            roomy: indices(&lists.roomy),
            released: indices(&lists.released),
        }
    }

    /// Whether `take_free`, `take_with_holes` or `take_unswept` would find something without committing memory.
    pub fn has_room(&self) -> bool {
        let lists = self.lists.lock();
        let none = lists.free.is_empty() && lists.recyclable.is_empty() && lists.roomy.is_empty();
        !none || self.unswept.load(Ordering::Relaxed) != 0
    }
}

/// Takes the last entry of `list` and its neighbours from the end, as one ascending range.
fn pop_adjacent(list: &mut Vec<u32>, most: usize) -> Option<Range<u32>> {
    let first = list.pop()?;
    let mut range = first..first + 1;
    while range.len() < most {
        match list.last() {
            Some(&next) if next == range.end => range.end += 1,
            Some(&next) if next + 1 == range.start => range.start -= 1,
            _ => break,
        }
        list.pop();
    }
    Some(range)
}

#[cfg(all(test, loom))]
mod interleavings;
