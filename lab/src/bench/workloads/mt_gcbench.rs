//! `mt-gcbench`: GCBench, by several threads, with holes.
//!
//! The shape and the parameters are those of Whippet's program of that name, checked against its source: `mt-gcbench --multiplier 2 --threads 1` is its `mt-gcbench 2.0 1`. That one comes from GCBench
//! by Ellis, Kovac and Boehm. Each thread has a long-lived tree of depth 16 and a long-lived array of 500,000 numbers. Beside them it builds
//! trees of depth 4, 6, … 16, as many of each as make about the same number of nodes, first top-down (the new node is stored into one that is a bit older),
//! then bottom-up. Before each node that is built top-down, and before each inner node that is built bottom-up, a dead object of a few words may be allocated, so that what lives and
//! what is dead lie mixed in every line of memory: "holes", against which a bump allocator has to show how it reuses memory.
//!
//! Lengths of holes follow a geometric distribution with p = 0.15, of which 256 were drawn once and are used in turn. Whippet has a table of such draws; ours are drawn by
//! a generator of our own, with a seed for which as many of them are 0 (36), they have the same sum (1,452 words) and make the same number of bytes in granules of 16
//! (16,128), so that a run allocates what Whippet's does to within one round of the table.
//!
//! *What differs*: Whippet's time begins before the long-lived objects are built. It walks a tree that it has built only in builds with assertions; here one in 16 is walked, of each depth and kind the
//! first and every sixteenth after it. A part of a tree in which memory runs out is built again from its beginning.
//!
//! *Lives*: for each thread the tree and the array, and at most one tree of depth 16 beside them; the limit is a multiple of that sum. *A step*: one tree,
//! and its walk if it has one. Steps are not alike, so "seen" stalls mean less than elsewhere. *Checked*: each tree that is walked; the long-lived ones at the end.
//! *Check*: `j` of each node of the long-lived tree, in pre-order (a node, then its left subtree, then its right one): the depth of the tree below it, 0 in leaves. Then the first half of the
//! array, each number as the 64 bits of its IEEE double; the first, 1 / 0, is infinity.

use std::sync::atomic::{AtomicU32, Ordering};

use pagemark::typed::{Bytes, Field, Mutator, Ref, Root};
use pagemark::{Exhausted, Trace};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Stores, Worker};
use crate::stress::random::Random;

const DEPTH: Parameter =
    Parameter::new("depth", "Depth of the long-lived tree, and of the deepest others", 16, 14, (4, 24));
const NUMBERS: Parameter =
    Parameter::new("numbers", "Numbers in the long-lived array", 500_000, 500_000, (2048, 1 << 32));

/// The least depth of a tree.
const LEAST: u64 = 4;
/// One of so many trees is walked when it is built.
const WALKED: u64 = 16;
/// A tree up to this depth is built between two safepoints.
const AT_ONCE: u64 = 8;

/// Of the lengths of holes. With this one they have the same sum and make the same number of bytes as Whippet's.
const SEED: u64 = 5643;

/// 32 bytes, as Whippet's.
#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
    i: AtomicU32,
    j: AtomicU32,
}

const _: () = assert!(sizes::of::<Node>() == 32);

/// The workload.
pub struct MtGcBench;

impl Workload for MtGcBench {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "mt-gcbench",
            about: "GCBench with holes, by several threads; shape and parameters of Whippet's",
            parameters: &[DEPTH, NUMBERS],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let tree = nodes(values.get(&DEPTH)) * sizes::of::<Node>();
        let array = sizes::bytes(8 * values.get(&NUMBERS));
        Live { peak: threads * (2 * tree + array), rest: threads * (tree + array) }
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (depth, numbers) = (worker.value(&DEPTH), worker.value(&NUMBERS));
        let mut holes = Holes::new();
        let long_lived = worker.mutator.root(None);
        populate(worker, &mut holes, depth, &long_lived)?;
        let array = worker.mutator.root::<Bytes>(None);
        worker.step(sizes::bytes(8 * numbers), |mutator| {
            let bytes = mutator.alloc_bytes(8 * numbers as usize)?;
            (0..numbers / 2).for_each(|i| set_number(bytes, i, 1.0 / i as f64));
            array.set(Some(bytes));
            Ok(())
        })?;
        let place = worker.mutator.root(None);
        let mut right = true;

        let trees = |of: u64| 2 * nodes(depth + 2) / nodes(of);
        worker.begin((LEAST..=depth).step_by(2).map(|of| 2 * trees(of)).sum())?;
        for of in (LEAST..=depth).step_by(2) {
            for make in [populate, bottom_up] {
                for index in 0..trees(of) {
                    make(worker, &mut holes, of, &place)?;
                    if index % WALKED == 0 {
                        right &= is_tree(&worker.mutator, place.get(&worker.mutator), of);
                    }
                    place.set(None);
                    worker.end_step();
                }
            }
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let bytes = array.get(mutator).ok_or("the array is gone")?;
        if !right || !is_tree(mutator, long_lived.get(mutator), depth) {
            return Err("a tree is damaged".into());
        }
        if (0..numbers / 2).any(|i| number(bytes, i) != 1.0 / i as f64) {
            return Err("the array is damaged".into());
        }
        let mut fold = Fold::new();
        depths(mutator, long_lived.get(mutator), &mut fold);
        (0..numbers / 2).for_each(|i| fold.add(number(bytes, i).to_bits()));
        Ok(fold.value())
    }
}

/// Nodes of a tree.
fn nodes(depth: u64) -> u64 {
    (2 << depth) - 1
}

/// Lengths of dead objects in words, in turn.
struct Holes {
    lengths: Vec<usize>,
    next: usize,
}

impl Holes {
    fn new() -> Holes {
        let mut random = Random::new(SEED, 0);
        let lengths = (0..256).map(|_| (0..).find(|_| random.below(100) < 15).unwrap_or(0)).collect();
        Holes { lengths, next: 0 }
    }

    /// Allocates a dead object, or none where its length would be 0. It has room for references, which are null.
    fn dig(&mut self, mutator: &Mutator) -> Result<(), Exhausted> {
        let length = self.lengths[self.next % self.lengths.len()];
        self.next += 1;
        if length > 0 {
            mutator.alloc_array::<Node>(length)?;
        }
        Ok(())
    }
}

fn node(mutator: &Mutator) -> Result<Ref<'_, Node>, Exhausted> {
    mutator.alloc(Node { left: Field::null(), right: Field::null(), i: 0.into(), j: 0.into() })
}

/// Makes a tree top-down: a node first, then what is below it. Big ones are made in parts, each reached through a handle to its top.
fn populate(worker: &mut Worker<'_>, holes: &mut Holes, depth: u64, place: &Root<Node>) -> Result<(), Failure> {
    worker.attempt(sizes::of::<Node>(), |mutator| {
        place.set(Some(node(mutator)?));
        Ok(())
    })?;
    below(worker, holes, depth, place)
}

/// Makes what is below the node in `top`.
fn below(worker: &mut Worker<'_>, holes: &mut Holes, depth: u64, top: &Root<Node>) -> Result<(), Failure> {
    let stores = worker.stores();
    if depth <= AT_ONCE {
        return worker.attempt(LARGEST, |mutator| {
            top_down(mutator, stores, holes, depth, top.get(mutator).expect("it is rooted"))
        });
    }
    worker.attempt(LARGEST, |mutator| pair(mutator, stores, holes, depth, top.get(mutator).expect("it is rooted")))?;
    // A handle for each half, held only as long as it is being filled.
    for right in [false, true] {
        let half = worker.mutator.root(None);
        let node = top.get(&worker.mutator).expect("it is rooted").value();
        half.set(if right { &node.right } else { &node.left }.get(&worker.mutator));
        below(worker, holes, depth - 1, &half)?;
    }
    Ok(())
}

/// The largest hole that is likely, and any node.
const LARGEST: u64 = sizes::array(128);

fn top_down(
    mutator: &Mutator,
    stores: Stores,
    holes: &mut Holes,
    depth: u64,
    top: Ref<'_, Node>,
) -> Result<(), Exhausted> {
    if depth == 0 {
        return Ok(());
    }
    pair(mutator, stores, holes, depth, top)?;
    for side in [&top.left, &top.right] {
        top_down(mutator, stores, holes, depth - 1, side.get(mutator).expect("it was just made"))?;
    }
    Ok(())
}

/// Gives a node its two children, with holes before each.
fn pair(mutator: &Mutator, stores: Stores, holes: &mut Holes, depth: u64, top: Ref<'_, Node>) -> Result<(), Exhausted> {
    holes.dig(mutator)?;
    let left = node(mutator)?;
    holes.dig(mutator)?;
    let right = node(mutator)?;
    // The node may have been reachable before: these are the writes a barrier is for.
    stores.set(&top.value().left, Some(left));
    stores.set(&top.value().right, Some(right));
    top.j.store(depth as u32, Ordering::Relaxed);
    Ok(())
}

/// Makes a tree bottom-up: children first.
fn bottom_up(worker: &mut Worker<'_>, holes: &mut Holes, depth: u64, place: &Root<Node>) -> Result<(), Failure> {
    if depth <= AT_ONCE {
        return worker.attempt(LARGEST, |mutator| {
            place.set(Some(tree(mutator, holes, depth)?));
            Ok(())
        });
    }
    let (left, right) = (worker.mutator.root(None), worker.mutator.root(None));
    bottom_up(worker, holes, depth - 1, &left)?;
    bottom_up(worker, holes, depth - 1, &right)?;
    worker.attempt(LARGEST, |mutator| {
        holes.dig(mutator)?;
        let node = node(mutator)?;
        node.left.set(left.get(mutator));
        node.right.set(right.get(mutator));
        node.j.store(depth as u32, Ordering::Relaxed);
        place.set(Some(node));
        Ok(())
    })
}

fn tree<'m>(mutator: &'m Mutator, holes: &mut Holes, depth: u64) -> Result<Ref<'m, Node>, Exhausted> {
    if depth == 0 {
        return node(mutator);
    }
    let (left, right) = (tree(mutator, holes, depth - 1)?, tree(mutator, holes, depth - 1)?);
    holes.dig(mutator)?;
    let node = node(mutator)?;
    node.left.set(Some(left));
    node.right.set(Some(right));
    node.j.store(depth as u32, Ordering::Relaxed);
    Ok(node)
}

fn is_tree(mutator: &Mutator, node: Option<Ref<'_, Node>>, depth: u64) -> bool {
    let Some(node) = node else { return false };
    let (left, right) = (node.left.get(mutator), node.right.get(mutator));
    let holds = |field: &AtomicU32| field.load(Ordering::Relaxed);
    holds(&node.i) == 0
        && u64::from(holds(&node.j)) == depth
        && if depth == 0 {
            left.is_none() && right.is_none()
        } else {
            is_tree(mutator, left, depth - 1) && is_tree(mutator, right, depth - 1)
        }
}

/// Takes in the depth that each node holds.
fn depths(mutator: &Mutator, node: Option<Ref<'_, Node>>, fold: &mut Fold) {
    let Some(node) = node else { return };
    fold.add(u64::from(node.j.load(Ordering::Relaxed)));
    depths(mutator, node.left.get(mutator), fold);
    depths(mutator, node.right.get(mutator), fold);
}

fn set_number(bytes: Ref<'_, Bytes>, index: u64, number: f64) {
    let at = 8 * index as usize;
    let bytes = &bytes.value().bytes()[at..at + 8];
    bytes.iter().zip(number.to_le_bytes()).for_each(|(byte, value)| byte.store(value, Ordering::Relaxed));
}

fn number(bytes: Ref<'_, Bytes>, index: u64) -> f64 {
    let at = 8 * index as usize;
    let bytes = &bytes.value().bytes()[at..at + 8];
    f64::from_le_bytes(std::array::from_fn(|i| bytes[i].load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_the_bytes_of_whippets() {
        let lengths = Holes::new().lengths;
        assert_eq!(lengths.len(), 256);
        assert_eq!(lengths.iter().filter(|length| **length == 0).count(), 36);
        assert_eq!(lengths.iter().sum::<usize>(), 1452);
        let dug = lengths.iter().filter(|length| **length > 0);
        assert_eq!(dug.map(|length| sizes::array(*length as u64)).sum::<u64>(), 16_128);
    }
}
