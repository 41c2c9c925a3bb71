//! Is there really no memory?
//!
//! Objects do not move, so live ones keep the blocks they lie in from everything larger than the holes between them.
//! A program that is out of memory must have so many blocks and pages occupied that the rest is no more than what the
//! collector and the thread may hold back. That can be computed while nobody else makes objects: for programs of one
//! lane.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::fail::fail;
use super::lane::{Lane, World};
use super::model::{BLOCK, Header, LARGE_ABOVE};
use super::shadow::reach;

/// Bytes that need not be found: a batch of eight blocks for each space, and what the thread allocates in.
const HELD_BACK: usize = 2 * (8 + 2) * BLOCK;

/// If an object like `wanted` should have found room although its lane was told that there is none: why.
pub fn has_room(world: &World, lane: &Lane, wanted: Header) -> Option<String> {
    let roots = lane.roots.targets().into_iter().chain(world.shared.targets());
    let find =
        |number| lane.partition.get(number).unwrap_or_else(|| fail(&format!("{number:?} was unreachable and is back")));
    let mut blocks = HashSet::new();
    let (mut large, mut all) = (0, 0);
    for number in reach(roots, find) {
        let object = find(number);
        let bytes = object.header.occupied();
        all += bytes;
        if bytes > LARGE_ABOVE {
            large += bytes;
        } else {
            blocks.insert(object.addr / BLOCK);
        }
    }
    let limit = world.limit_now.load(Ordering::Relaxed);
    let occupied = blocks.len() * BLOCK + large;
    (occupied + wanted.occupied() + HELD_BACK <= limit).then(|| {
        format!(
            "out of memory for {wanted:?}: {all} bytes are reachable, in {} blocks and {large} bytes of large objects, which leaves {} of {}",
            blocks.len(),
            limit - occupied,
            limit
        )
    })
}
