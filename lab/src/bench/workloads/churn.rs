//! `churn`: a big tree lives, small trees die, and some of them move in.
//!
//! A live tree of 2^`levels` nodes of 32 bytes; then `trees` trees of 2,047 nodes are built, and every sixteenth
//! replaces a subtree of the live one, at a random place. It is what the peers were first measured with
//! (GCBench's trees, with old objects that are written): fifteen of sixteen trees are dead at once, and a
//! sixteenth of what is allocated lives long, so that every block has something live in it after a while.
//!
//! *Lives*: the tree. *A step*: one small tree. *Checked*: the live tree has its nodes, and every subtree in it is whole and
//! holds one number. *Check*: the value of each node of the live tree, in pre-order (a node, then its left subtree, then its right one). Those above the
//! subtrees hold 2^64 - 1.

use pagemark::typed::Root;
use serde_json::{Map, Value, json};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::measure::quantiles::Quantiles;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::run::Finished;
use crate::bench::sizes;
use crate::bench::trees::{self, Node, SMALL, build, check, count, descend, live_tree};
use crate::bench::worker::{Failure, Worker};

const LEVELS: Parameter =
    Parameter::new("levels", "Levels of the live tree (it has 2^LEVELS - 1 nodes)", 23, 18, (12, 28));
const TREES: Parameter = Parameter::new("trees", "Trees to build", 20_000, 3000, (1, 1 << 40));

/// The workload.
pub struct Churn;

impl Workload for Churn {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "churn",
            about: "A live tree of 2^23 nodes of 32 bytes, then trees of 2,047 nodes, every 16th replacing a live subtree",
            parameters: &[LEVELS, TREES],
            threaded: false,
            multiplier: None,
            requests: false,
        }
    }

    fn live(&self, values: &Values, _threads: u64) -> Live {
        Live::always(((1 << values.get(&LEVELS)) - 1) * sizes::of::<Node>())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (levels, trees) = (worker.value(&LEVELS) as u32, worker.value(&TREES));
        let root = live_tree(worker, levels)?;
        let top = levels - SMALL;
        let mut random = worker.random();
        let stores = worker.stores();

        worker.begin(trees)?;
        for tree in 0..trees {
            let path = random.any();
            worker.step(sizes::of::<Node>(), |mutator| {
                let subtree = build(mutator, SMALL, tree)?;
                if tree % 16 == 15 {
                    let live = root.get(mutator).expect("it was built");
                    stores.set(descend(mutator, live, top, path), Some(subtree));
                }
                Ok(())
            })?;
        }
        worker.end()?;
        whole(worker, &root, levels)
    }

    fn add(&self, finished: &Finished, result: &mut Map<String, Value>) {
        let (levels, trees) = (finished.values.get(&LEVELS), finished.values.get(&TREES));
        let nodes = trees * ((1 << SMALL) - 1);
        result.insert("levels".into(), levels.into());
        result.insert("trees".into(), trees.into());
        result.insert("million_nodes_per_s".into(), (nodes as f64 / finished.elapsed_s / 1e6).into());
        result.insert("one_tree".into(), json!(Quantiles::of(&finished.steps)));
    }
}

/// Whether the live tree is what it must be, and the fold over it.
fn whole(worker: &Worker<'_>, root: &Root<Node>, levels: u32) -> Result<u64, Failure> {
    let mutator = &worker.mutator;
    let tree = root.get(mutator).ok_or("the live tree is gone")?;
    let nodes = count(mutator, tree);
    if nodes != (1 << levels) - 1 {
        return Err(format!("the live tree has {nodes} nodes, not {}", (1u64 << levels) - 1).into());
    }
    for path in 0..1u64 << (levels - SMALL) {
        let subtree = descend(mutator, tree, levels - SMALL, path).get(mutator).ok_or("a subtree is gone")?;
        if check(mutator, subtree, subtree.value) != Some((1 << SMALL) - 1) {
            return Err(format!("subtree {path} is damaged").into());
        }
    }
    let mut fold = Fold::new();
    trees::fold(mutator, tree, &mut fold);
    Ok(fold.value())
}
