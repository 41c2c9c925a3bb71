//! `binary-trees`: the benchmarks game's, and **not to be read alone**.
//!
//! A tree that lives, and many short-lived trees of growing depth beside it, built and counted and dropped: depths 4, 6, … and as many trees of each as there. (The
//! benchmarks game first builds and drops one tree that is a level deeper than all, to stretch the heap; that is not done here, since the heap has its size from the beginning. Its
//! depth is 21, ours 18.) It writes no old object at all: every
//! store goes into an object that was allocated a moment ago, on a page that is not armed. So it says nothing about what a page barrier costs, and flatters
//! one. It is here because everybody has it; `scatter` is its other end, and the two belong side by side.
//!
//! *Lives*: the long-lived tree; while it runs, also the deepest short-lived one. *A step*: one short-lived tree, so steps are not alike, and "seen" stalls mean
//! less than elsewhere: all depths allocate the same in sum, so the median step is a small tree. *Checked*: every tree has its nodes.
//! *Check*: for each node of the long-lived tree, in pre-order, how many children it has (2 or 0), found by looking.

use pagemark::typed::{Field, Mutator, Ref, Root};
use pagemark::{Exhausted, Trace};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const DEPTH: Parameter =
    Parameter::new("depth", "Depth of the long-lived tree, and of the deepest others", 18, 14, (4, 30));

/// The least depth of a tree.
const LEAST: u64 = 4;
/// A tree up to this depth is built between two safepoints.
const AT_ONCE: u64 = 10;

#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
}

/// The workload.
pub struct BinaryTrees;

impl Workload for BinaryTrees {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "binary-trees",
            about: "Short-lived trees beside a long-lived one; writes nothing old, so it flatters: see scatter",
            parameters: &[DEPTH],
            threaded: true,
            multiplier: Some(2.5),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let tree = ((2 << values.get(&DEPTH)) - 1) * sizes::of::<Node>() * threads;
        Live { peak: 2 * tree, rest: tree }
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let depth = worker.value(&DEPTH);
        let long_lived = worker.mutator.root(None);
        build(worker, depth, &long_lived)?;
        let temporary = worker.mutator.root(None);
        let mut wrong = 0;

        // As many trees of each depth as make the same number of nodes.
        let of_depth = |of: u64| 1 << (depth - of + LEAST);
        worker.begin((LEAST..=depth).step_by(2).map(of_depth).sum())?;
        for of in (LEAST..=depth).step_by(2) {
            for _ in 0..of_depth(of) {
                build(worker, of, &temporary)?;
                wrong += u64::from(count(&worker.mutator, temporary.get(&worker.mutator)) != (2 << of) - 1);
                temporary.set(None);
                worker.end_step();
            }
        }
        worker.end()?;

        if wrong > 0 {
            return Err(format!("{wrong} trees had too few nodes").into());
        }
        let nodes = count(&worker.mutator, long_lived.get(&worker.mutator));
        if nodes != (2 << depth) - 1 {
            return Err(format!("the long-lived tree has {nodes} nodes").into());
        }
        let mut fold = Fold::new();
        shape(&worker.mutator, long_lived.get(&worker.mutator), &mut fold);
        Ok(fold.value())
    }
}

/// Builds a tree bottom-up and puts it into `place`. Big ones in parts, each kept by a handle until it is linked in.
fn build(worker: &mut Worker<'_>, depth: u64, place: &Root<Node>) -> Result<(), Failure> {
    if depth <= AT_ONCE {
        return worker.attempt(sizes::of::<Node>(), |mutator| {
            place.set(Some(full(mutator, depth)?));
            Ok(())
        });
    }
    let (left, right) = (worker.mutator.root(None), worker.mutator.root(None));
    build(worker, depth - 1, &left)?;
    build(worker, depth - 1, &right)?;
    worker.attempt(sizes::of::<Node>(), |mutator| {
        let node = mutator.alloc(Node { left: Field::null(), right: Field::null() })?;
        node.left.set(left.get(mutator));
        node.right.set(right.get(mutator));
        place.set(Some(node));
        Ok(())
    })
}

fn full(mutator: &Mutator, depth: u64) -> Result<Ref<'_, Node>, Exhausted> {
    if depth == 0 {
        return mutator.alloc(Node { left: Field::null(), right: Field::null() });
    }
    let (left, right) = (full(mutator, depth - 1)?, full(mutator, depth - 1)?);
    let node = mutator.alloc(Node { left: Field::null(), right: Field::null() })?;
    node.left.set(Some(left));
    node.right.set(Some(right));
    Ok(node)
}

/// Takes in how many children each node has.
fn shape(mutator: &Mutator, node: Option<Ref<'_, Node>>, fold: &mut Fold) {
    let Some(node) = node else { return };
    let children = [node.left.get(mutator), node.right.get(mutator)];
    fold.add(children.iter().flatten().count() as u64);
    children.into_iter().for_each(|child| shape(mutator, child, fold));
}

fn count(mutator: &Mutator, node: Option<Ref<'_, Node>>) -> u64 {
    node.map_or(0, |node| 1 + count(mutator, node.left.get(mutator)) + count(mutator, node.right.get(mutator)))
}
