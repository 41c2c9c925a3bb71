//! `gcold`: a heap of old trees, with the rate at which they are changed as a parameter.
//!
//! The shape is GCOld's, which Detlefs wrote to exercise large old generations; it lives on among OpenJDK's stress tests, and was checked against them. A table of full
//! binary trees of 14 levels lives. A step makes 1,000,000 bytes of dead arrays of 100 numbers, and one byte of trees for each `ratio` of them: whole trees, each in the
//! place of the one that is next in turn, and of what is left over the largest full trees that fit, each in the place of a subtree of its height, always the
//! same one, in the tree that is next in turn. Then subtrees are exchanged: two trees and a path at random, the same path in both. That writes two references
//! in nodes of any age and makes neither more nor less alive. `mutation` is how many references in trees a step writes, those for new subtrees included.
//!
//! `--size 152 --ratio 20 --mutation 10 --steps 10000` are the numbers of OpenJDK's run `50 1 20 10 10000`, with as many nodes. *What differs*: the work between allocations, the second
//! number, a loop that counts, is left out. A node counts 32 bytes here and 20 there, so at the same ratio fewer nodes get old. A value holds the
//! number of the tree it was made in above its height, so that the result depends on every exchange.
//!
//! *Lives*: `size` trees and a table; per thread its share. *A step*: as above. *Checked*: every tree is full, and every node holds its own height. *Check*: the value of
//! each node, tree after tree in the table's order, each in pre-order (a node, then its left subtree, then its right one).

use pagemark::Exhausted;
use pagemark::typed::{Array, Field, Mutator, Ref};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::trees::{self, Node, descend};
use crate::bench::worker::{Failure, Worker};
use crate::stress::random::Random;

const TREES: Parameter = Parameter::new("size", "Old trees", 256, 64, (64, 1 << 26));
const LEVELS: Parameter =
    Parameter::new("levels", "Levels of an old tree; 14 make 16,383 nodes (512 KB)", 14, 14, (4, 24));
const STEPS: Parameter =
    Parameter::new("steps", "Steps, all threads together, of 1 MB of dead arrays each", 5000, 500, (1, 1 << 40));
const RATIO: Parameter = Parameter::new("ratio", "Dead bytes for each that becomes old", 20, 20, (1, 1_000_000));
const MUTATION: Parameter = Parameter::new("mutation", "References in trees written in a step", 100, 100, (0, 1 << 20));

/// Bytes of dead arrays in a step.
const STEP: u64 = 1_000_000;
/// Bytes in such an array.
const ARRAY: u64 = 400;
/// Arrays between two safepoints.
const AT_ONCE: u64 = 100;
/// As few bytes as this are not made old.
const INSIGNIFICANT: u64 = 999;

const _: () = assert!(STEP.is_multiple_of(ARRAY * AT_ONCE));

/// The workload.
pub struct GcOld;

impl Workload for GcOld {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "gcold",
            about: "Old trees that are replaced slowly and changed at a given rate",
            parameters: &[TREES, LEVELS, STEPS, RATIO, MUTATION],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let one = |trees| trees * tree_bytes(values.get(&LEVELS)) + sizes::array(trees);
        Live::always(super::shares(values.get(&TREES), threads).map(one).sum())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (trees, steps) = (worker.share(worker.value(&TREES)), worker.share(worker.value(&STEPS)));
        let (levels, mutation) = (worker.value(&LEVELS), worker.value(&MUTATION));
        let old_bytes = STEP / worker.value(&RATIO);
        let table = worker.mutator.root::<Array<Node>>(None);
        worker.step(sizes::array(trees), |mutator| {
            table.set(Some(mutator.alloc_array(trees as usize)?));
            Ok(())
        })?;
        let stores = worker.stores();
        // Trees made, which number them; and where the next goes.
        let (mut made, mut next) = (0, 0);
        let mut put = |worker: &mut Worker<'_>, height: u64| -> Result<(), Failure> {
            worker.attempt(sizes::of::<Node>(), |mutator| {
                let tree = full(mutator, height, made)?;
                let slot = &table.get(mutator).expect("it is rooted").value()[next as usize];
                let field = if height == levels {
                    slot
                } else {
                    let old = slot.get(mutator).expect("the table is full");
                    descend(mutator, old, (levels - height) as u32, way(height))
                };
                stores.set(field, Some(tree));
                Ok(())
            })?;
            made += 1;
            next = (next + 1) % trees;
            Ok(())
        };
        for _ in 0..trees {
            put(worker, levels)?;
        }
        let mut random = worker.random();

        worker.begin(steps)?;
        for _ in 0..steps {
            for _ in 0..STEP / ARRAY / AT_ONCE {
                let mut todo = AT_ONCE;
                worker.attempt(sizes::bytes(ARRAY), |mutator| {
                    while todo > 0 {
                        mutator.alloc_bytes(ARRAY as usize)?;
                        todo -= 1;
                    }
                    Ok(())
                })?;
            }
            for _ in 0..old_bytes / tree_bytes(levels) {
                put(worker, levels)?;
            }
            let mut left = old_bytes % tree_bytes(levels);
            let mut written = 0;
            while left > INSIGNIFICANT {
                let height = u64::from((left / sizes::of::<Node>() + 1).ilog2());
                put(worker, height)?;
                left -= tree_bytes(height);
                written += 1;
            }
            let table = table.get(&worker.mutator).ok_or("the table is gone")?;
            for _ in 0..mutation.saturating_sub(written) / 2 {
                let [a, b] = same_place(&worker.mutator, table, levels, &mut random);
                let (left, right) = (a.get(&worker.mutator), b.get(&worker.mutator));
                stores.set(a, right);
                stores.set(b, left);
            }
            worker.end_step();
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let mut fold = Fold::new();
        for (index, field) in table.get(mutator).ok_or("the table is gone")?.fields().iter().enumerate() {
            let tree = field.get(mutator).ok_or("a tree is gone")?;
            if !is_full(mutator, tree, levels) {
                return Err(format!("tree {index} is damaged").into());
            }
            trees::fold(mutator, tree, &mut fold);
        }
        Ok(fold.value())
    }
}

const fn tree_bytes(levels: u64) -> u64 {
    ((1 << levels) - 1) * sizes::of::<Node>()
}

/// The path to the subtree that a new one of that height replaces: left and right in turn, first left if the height is even.
const fn way(height: u64) -> u64 {
    if height.is_multiple_of(2) { 0xaaaa_aaaa_aaaa_aaaa } else { 0x5555_5555_5555_5555 }
}

/// A full tree, the `number`th that is made.
fn full(mutator: &Mutator, height: u64, number: u64) -> Result<Ref<'_, Node>, Exhausted> {
    let node = mutator.alloc(Node { left: Field::null(), right: Field::null(), value: number << 8 | height })?;
    if height > 1 {
        node.left.set(Some(full(mutator, height - 1, number)?));
        node.right.set(Some(full(mutator, height - 1, number)?));
    }
    Ok(node)
}

fn is_full(mutator: &Mutator, node: Ref<'_, Node>, height: u64) -> bool {
    let below = |field: &Field<Node>| match field.get(mutator) {
        Some(child) => height > 1 && is_full(mutator, child, height - 1),
        None => height == 1,
    };
    node.value & 0xff == height && below(&node.left) && below(&node.right)
}

/// The same field in two trees. It may be a leaf's, and null.
fn same_place<'m>(
    mutator: &'m Mutator,
    table: Ref<'m, Array<Node>>,
    levels: u64,
    random: &mut Random,
) -> [&'m Field<Node>; 2] {
    let trees = [(); 2].map(|()| random.below(table.len() as u64) as usize);
    let (depth, path) = (random.within(1, levels) as u32, random.any());
    trees.map(|index| {
        let tree = table.value()[index].get(mutator).expect("the table is full");
        descend(mutator, tree, depth, path)
    })
}
