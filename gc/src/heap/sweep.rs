//! Sweeping one block: dead objects lose their metadata, and what is left decides where the block goes.
//!
//! Sweeping touches metadata only, never the objects, so it neither faults on armed pages nor warms caches with dead memory.
//! It is lazy: whoever needs a block to allocate in sweeps one, and a background thread sweeps the rest. Both finish before the next cycle starts.

use super::block_space::{BlockSpace, BlockState};
use super::metadata::{MARK_MASK, Metadata, START};
use crate::layout::{BLOCK, GRANULE, GRANULES_PER_BLOCK};

/// A block is worth allocating in again when at least this many granules are free: an eighth.
const WORTH_RECYCLING: usize = GRANULES_PER_BLOCK / 8;

/// Forgets the objects of the block at `block` that do not carry the colour `live`; returns how many granules are free.
pub fn sweep_block(metadata: &Metadata, block: usize, live: u8) -> usize {
    if !any_live(metadata, block, live) {
        metadata.clear(block, GRANULES_PER_BLOCK);
        return GRANULES_PER_BLOCK;
    }
    let end = block + BLOCK;
    let mut at = block;
    let mut free = 0;
    while at < end {
        // Nobody else writes these bytes: the caller owns the block and no marker runs while blocks are unswept.
        let eight = metadata.eight(at);
        if eight == 0 {
            let step = 8.min((end - at) / GRANULE);
            free += step;
            at += step * GRANULE;
            continue;
        }
        let skip = eight.trailing_zeros() as usize / 8;
        free += skip;
        at += skip * GRANULE;
        if at >= end {
            // The eight bytes reached into the next block.
            free -= (at - end) / GRANULE;
            break;
        }
        let byte = (eight >> (skip * 8)) as u8;
        debug_assert!(byte & START != 0, "a walk lost its way in the block at {block:#x}");
        let granules = metadata.granules(at);
        if byte & MARK_MASK != live {
            metadata.clear(at, granules);
            free += granules;
        }
        at += granules * GRANULE;
    }
    free
}

fn any_live(metadata: &Metadata, block: usize, live: u8) -> bool {
    const LANES: u64 = 0x0101_0101_0101_0101;
    (0..GRANULES_PER_BLOCK / 8).any(|i| {
        // A byte of `x` is zero exactly where the colour is `live`, a start byte since others have colour 0.
        let x = (metadata.eight(block + i * 8 * GRANULE) & (LANES * MARK_MASK as u64)) ^ (LANES * live as u64);
        x.wrapping_sub(LANES) & !x & (LANES * 0x80) != 0
    })
}

/// Sweeps one unswept block of `space` and lists it. False when none is left.
///
/// `live` is asked once the block is taken: from then on no cycle starts before it is listed. Asked earlier, by a mutator that is away and
/// sleeps through a whole cycle in between, the answer would be the colour of the dead.
pub fn sweep_one(space: &BlockSpace, metadata: &Metadata, live: impl FnOnce() -> u8) -> bool {
    let Some(index) = space.take_unswept() else { return false };
    let free = sweep_block(metadata, space.address(index), live());
    space.swept(index, classify(free));
    true
}

/// Where a block with `free` free granules belongs.
pub fn classify(free: usize) -> BlockState {
    match free {
        GRANULES_PER_BLOCK => BlockState::Free,
        WORTH_RECYCLING.. => BlockState::Recyclable,
        _ => BlockState::Full,
    }
}
