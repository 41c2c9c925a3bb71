//! Hand-over of blocks, in every interleaving of two threads: a block has one owner at a time, the count of unswept
//! blocks reaches zero, and no block is lost.
//!
//! What an owner does with its block is a write to a cell that fails the model when two owners are not in order.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::primitive::{UnsafeCell, explore};

const BASE: usize = 64 * BLOCK;

struct Blocks {
    space: BlockSpace,
    footprint: Footprint,
    /// The contents of each block, in effect.
    contents: Vec<UnsafeCell<()>>,
}

// SAFETY: the cells hold nothing; who gets one without being in order with the last who did fails the model.
unsafe impl Sync for Blocks {}
// SAFETY: as above.
unsafe impl Send for Blocks {}

impl Blocks {
    /// `count` blocks, of which the first `full` hold objects and the others are free.
    fn new(count: usize, full: usize) -> Arc<Blocks> {
        let blocks = Blocks {
            space: BlockSpace::new(BASE..BASE + count * BLOCK),
            footprint: Footprint::new(count * BLOCK),
            contents: (0..count).map(|_| UnsafeCell::new(())).collect(),
        };
        let batch = blocks.space.take_free(count, &blocks.footprint).unwrap();
        assert_eq!(batch.range.len(), count * BLOCK);
        (0..full).for_each(|index| blocks.space.retire(index));
        blocks.space.give_back(batch.range.start + full * BLOCK..batch.range.end);
        Arc::new(blocks)
    }

    /// What only an owner may do.
    fn use_block(&self, index: usize) {
        let _ = self.contents[index].get();
    }

    /// Sweeps one block and finds it to be `state`.
    fn sweep(&self, state: BlockState) -> bool {
        let Some(index) = self.space.take_unswept() else { return false };
        self.use_block(index);
        self.space.swept(index, state);
        true
    }

    /// As the heap does it.
    fn finish_sweeping(&self, state: BlockState) {
        while self.sweep(state) {}
        while self.space.sweeping() {
            thread::yield_now();
        }
    }

    fn take_recyclable(&self) -> Option<usize> {
        let index = self.space.take_with_holes(false)?;
        self.use_block(index);
        Some(index)
    }

    fn take_free(&self, most: usize) -> Vec<usize> {
        let Some(batch) = self.space.take_free(most, &self.footprint) else { return Vec::new() };
        let indices: Vec<usize> = batch.range.step_by(BLOCK).map(|addr| self.space.index(addr)).collect();
        indices.iter().for_each(|index| self.use_block(*index));
        indices
    }

    /// At the end, nobody owns anything: each block is in the list its state says, once.
    fn assert_nothing_lost(&self) {
        assert!(!self.space.sweeping());
        let lists = self.space.lists.lock();
        for index in 0..self.contents.len() {
            let listed = |list: &[u32]| list.iter().filter(|other| **other as usize == index).count();
            let expected = match self.space.state(index) {
                BlockState::Free => [1, 0],
                BlockState::Recyclable => [0, 1],
                BlockState::Full | BlockState::Filled => [0, 0],
                state => panic!("block {index} is left {state:?}"),
            };
            assert_eq!([listed(&lists.free), listed(&lists.recyclable)], expected, "block {index}");
        }
    }
}

#[test]
fn two_that_sweep_and_take_never_own_the_same_block() {
    explore(2, || {
        let blocks = Blocks::new(3, 2);
        blocks.space.flip(false);
        let other = blocks.clone();
        let thread = thread::spawn(move || {
            other.sweep(BlockState::Free);
            for index in other.take_free(2) {
                other.use_block(index);
                other.space.retire(index);
            }
        });
        if let Some(index) = blocks.space.take_unswept() {
            blocks.use_block(index);
            blocks.space.swept_and_kept();
            blocks.use_block(index);
            blocks.space.retire(index);
        }
        blocks.sweep(BlockState::Recyclable);
        if let Some(index) = blocks.take_recyclable() {
            blocks.space.retire(index);
        }
        thread.join().unwrap();
        blocks.finish_sweeping(BlockState::Full);
        blocks.assert_nothing_lost();
    });
}

#[test]
fn who_waits_for_the_sweep_sees_what_the_sweepers_wrote() {
    explore(2, || {
        let blocks = Blocks::new(2, 2);
        blocks.space.flip(false);
        let other = blocks.clone();
        let thread = thread::spawn(move || while other.sweep(BlockState::Full) {});
        blocks.finish_sweeping(BlockState::Full);
        // A cycle starts here and reads the metadata of every block.
        (0..2).for_each(|index| blocks.use_block(index));
        thread.join().unwrap();
        blocks.assert_nothing_lost();
    });
}

#[test]
fn a_sweeper_may_sleep_through_a_pause() {
    explore(3, || {
        let blocks = Blocks::new(2, 1);
        blocks.space.flip(false);
        let late = blocks.clone();
        // A mutator that is away: the pause does not wait for it.
        let thread = thread::spawn(move || late.finish_sweeping(BlockState::Recyclable));
        blocks.finish_sweeping(BlockState::Full);
        for index in blocks.take_free(2) {
            blocks.space.retire(index);
        }
        blocks.space.flip(false);
        blocks.finish_sweeping(BlockState::Recyclable);
        thread.join().unwrap();
        blocks.assert_nothing_lost();
    });
}

#[test]
fn memory_may_be_committed_by_two_at_once() {
    explore(3, || {
        let blocks = Arc::new(Blocks {
            space: BlockSpace::new(BASE..BASE + 4 * BLOCK),
            footprint: Footprint::new(3 * BLOCK),
            contents: (0..4).map(|_| UnsafeCell::new(())).collect(),
        });
        let other = blocks.clone();
        let thread = thread::spawn(move || other.take_free(2));
        let mine = blocks.take_free(2);
        let others = thread.join().unwrap();
        assert!(mine.iter().all(|index| !others.contains(index)));
        // The limit allows three, and asking for two when one is left gives one.
        assert_eq!((mine.len() + others.len(), blocks.footprint.committed()), (3, 3 * BLOCK));
    });
}
