//! `gcold`: a heap of old trees, with the rate at which they are changed as a parameter.
//!
//! The shape is Detlefs' GCOld, a synthetic program for collectors that treat old objects apart: a large live set that is
//! replaced slowly, short-lived allocation beside it, and stores into the old objects at a rate one can choose. Here a step builds
//! `dead` + 1 trees of 1,023 nodes; the last replaces an old one. Then `mutation` times two subtrees of the same height are exchanged between old
//! trees, which writes two old nodes at random and makes neither more nor less alive.
//!
//! *Lives*: `size` trees and a table; per thread its share. *A step*: as above. *Checked*: every tree is full, and every node holds its own
//! height. *Check*: the value of each node, tree after tree in the table's order, each in pre-order (a node, then its left subtree, then its right one).

use pagemark::Exhausted;
use pagemark::typed::{Array, Field, Mutator, Ref};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::trees::{self, Node};
use crate::bench::worker::{Failure, Stores, Worker};
use crate::stress::random::Random;

const TREES: Parameter = Parameter::new("size", "Old trees of 1,023 nodes (32 KB) each", 4096, 512, (64, 1 << 22));
const STEPS: Parameter = Parameter::new("steps", "Steps, all threads together", 10_000, 1500, (1, 1 << 40));
const DEAD: Parameter = Parameter::new("dead", "Trees that die at once for each that becomes old", 3, 3, (0, 10_000));
const MUTATION: Parameter = Parameter::new("mutation", "Exchanges between old trees in a step", 100, 100, (0, 1 << 20));

/// Levels of a tree.
const LEVELS: u32 = 10;
const TREE_BYTES: u64 = ((1 << LEVELS) - 1) * sizes::of::<Node>();

/// The workload.
pub struct GcOld;

impl Workload for GcOld {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "gcold",
            about: "Old trees that are replaced slowly and changed at a given rate",
            parameters: &[TREES, STEPS, DEAD, MUTATION],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let one = |trees| trees * TREE_BYTES + sizes::array(trees);
        Live::always(super::shares(values.get(&TREES), threads).map(one).sum())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (trees, steps) = (worker.share(worker.value(&TREES)), worker.share(worker.value(&STEPS)));
        let (dead, mutation) = (worker.value(&DEAD), worker.value(&MUTATION));
        let table = worker.mutator.root::<Array<Node>>(None);
        worker.step(sizes::array(trees), |mutator| {
            table.set(Some(mutator.alloc_array(trees as usize)?));
            Ok(())
        })?;
        let stores = worker.stores();
        for index in 0..trees {
            worker.step(sizes::of::<Node>(), |mutator| {
                let tree = full(mutator, LEVELS)?;
                stores.set(&table.get(mutator).expect("it is rooted")[index as usize], Some(tree));
                Ok(())
            })?;
        }
        let mut random = worker.random();

        worker.begin(steps)?;
        for _ in 0..steps {
            for _ in 0..dead {
                worker.attempt(sizes::of::<Node>(), |mutator| full(mutator, LEVELS).map(|_| ()))?;
            }
            worker.attempt(sizes::of::<Node>(), |mutator| {
                let tree = full(mutator, LEVELS)?;
                let index = random.below(trees) as usize;
                stores.set(&table.get(mutator).expect("it is rooted")[index], Some(tree));
                Ok(())
            })?;
            exchange(
                &worker.mutator,
                table.get(&worker.mutator).ok_or("the table is gone")?,
                stores,
                &mut random,
                mutation,
            );
            worker.end_step();
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let mut fold = Fold::new();
        for (index, field) in table.get(mutator).ok_or("the table is gone")?.fields().iter().enumerate() {
            let tree = field.get(mutator).ok_or("a tree is gone")?;
            if !is_full(mutator, tree, LEVELS) {
                return Err(format!("tree {index} is damaged").into());
            }
            trees::fold(mutator, tree, &mut fold);
        }
        Ok(fold.value())
    }
}

/// A full tree whose nodes hold their height.
fn full(mutator: &Mutator, levels: u32) -> Result<Ref<'_, Node>, Exhausted> {
    let node = mutator.alloc(Node { left: Field::null(), right: Field::null(), value: u64::from(levels) })?;
    if levels > 1 {
        node.left.set(Some(full(mutator, levels - 1)?));
        node.right.set(Some(full(mutator, levels - 1)?));
    }
    Ok(node)
}

fn is_full(mutator: &Mutator, node: Ref<'_, Node>, levels: u32) -> bool {
    let below = |field: &Field<Node>| match field.get(mutator) {
        Some(child) => levels > 1 && is_full(mutator, child, levels - 1),
        None => levels == 1,
    };
    node.value == u64::from(levels) && below(&node.left) && below(&node.right)
}

/// Exchanges subtrees of the same height, `times` times. In one tree both lie at the same depth, so neither is inside the other.
fn exchange(mutator: &Mutator, table: Ref<'_, Array<Node>>, stores: Stores, random: &mut Random, times: u64) {
    for _ in 0..times {
        let depth = random.within(1, u64::from(LEVELS) - 1) as u32;
        let mut place = || {
            let tree =
                table.value()[random.below(table.len() as u64) as usize].get(mutator).expect("the table is full");
            crate::bench::trees::descend(mutator, tree, depth, random.any())
        };
        let (a, b) = (place(), place());
        let (left, right) = (a.get(mutator), b.get(mutator));
        stores.set(a, right);
        stores.set(b, left);
    }
}
