//! `mark`: what marking costs an object, with nothing else going on.
//!
//! A live tree, and one cycle after the other with nothing between them. With `shuffled`, subtrees are exchanged all over
//! the tree first, one node at a time, so that neighbours in the tree are not neighbours in memory and a walk jumps through it: the two
//! ends between which real heaps lie.
//!
//! *Lives*: the tree. *A step*: one cycle. *Checked*: the tree has its nodes, and each cycle marked at least those.

use pagemark::typed::{Mutator, Root};
use serde_json::{Map, Value, json};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::run::Finished;
use crate::bench::sizes;
use crate::bench::trees::{self, Node, SMALL, count, descend, live_tree};
use crate::bench::worker::{Failure, Stores, Worker};
use crate::stress::random::Random;

const LEVELS: Parameter = Parameter::new("levels", "Levels of the tree (it has 2^LEVELS - 1 nodes)", 22, 18, (12, 28));
const CYCLES: Parameter = Parameter::new("cycles", "Cycles", 9, 5, (1, 1 << 20));
const SHUFFLED: Parameter =
    Parameter::flag("shuffled", "Build the tree so that neighbours in it are not neighbours in memory");

/// The workload.
pub struct Mark;

impl Workload for Mark {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "mark",
            about: "Mark a live tree again and again and say what an object costs",
            parameters: &[LEVELS, CYCLES, SHUFFLED],
            threaded: false,
            multiplier: None,
            requests: false,
        }
    }

    fn live(&self, values: &Values, _threads: u64) -> Live {
        Live::always(((1 << values.get(&LEVELS)) - 1) * sizes::of::<Node>())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (levels, cycles) = (worker.value(&LEVELS) as u32, worker.value(&CYCLES));
        let root = live_tree(worker, levels)?;
        if worker.value(&SHUFFLED) == 1 {
            shuffle(&worker.mutator, worker.stores(), worker.random(), &root, levels);
        }

        worker.begin(cycles)?;
        for _ in 0..cycles {
            worker.mutator.collect();
            worker.end_step();
        }
        worker.end()?;

        let tree = root.get(&worker.mutator).ok_or("the tree is gone")?;
        let nodes = count(&worker.mutator, tree);
        if nodes != (1 << levels) - 1 {
            return Err(format!("the tree has {nodes} nodes, not {}", (1u64 << levels) - 1).into());
        }
        let mut fold = Fold::new();
        trees::fold(&worker.mutator, tree, &mut fold);
        Ok(fold.value())
    }

    fn add(&self, finished: &Finished, result: &mut Map<String, Value>) {
        let mut per_object: Vec<f64> = finished
            .cycles
            .iter()
            .map(|cycle| {
                let time = if cycle.phases.mark.is_zero() { cycle.phases.pause } else { cycle.phases.mark };
                time.as_nanos() as f64 / cycle.objects_marked as f64
            })
            .collect();
        per_object.sort_by(f64::total_cmp);
        let shuffled = finished.values.get(&SHUFFLED) == 1;
        result.insert("levels".into(), finished.values.get(&LEVELS).into());
        result.insert("order".into(), if shuffled { "random" } else { "allocation" }.into());
        result.insert(
            "ns_per_object".into(),
            json!({
                "min": per_object.first(),
                "median": per_object.get(per_object.len() / 2),
                "max": per_object.last(),
            }),
        );
    }
}

/// Exchanges subtrees at random places, at every depth.
fn shuffle(mutator: &Mutator, stores: Stores, mut random: Random, root: &Root<Node>, levels: u32) {
    let tree = root.get(mutator).expect("it was built");
    for depth in SMALL.min(levels - 1)..levels {
        for _ in 0..1u64 << depth {
            let a = descend(mutator, tree, depth, random.any());
            let b = descend(mutator, tree, depth, random.any());
            let (left, right) = (a.get(mutator), b.get(mutator));
            stores.set(a, right);
            stores.set(b, left);
        }
    }
}
