//! Short-lived trees of growing depth beside one that lives.

use super::{Bench, Failure, Gc, Trace};
use crate::fold::Fold;

/// The least depth of a tree.
const LEAST: u64 = 4;

#[derive(Trace)]
struct Node {
    left: Option<Gc<Node>>,
    right: Option<Gc<Node>>,
}

finalized!(Node);

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let deepest = bench.parameter("depth")?;
    let long_lived = build(deepest);
    // As many trees of each depth as make the same number of nodes.
    let trees = |depth: u64| 1 << (deepest - depth + LEAST);
    bench.start((LEAST..=deepest).step_by(2).map(trees).sum());
    for depth in (LEAST..=deepest).step_by(2) {
        for _ in 0..trees(depth) {
            check(&build(depth), depth)?;
            bench.end_step();
        }
    }
    bench.stop();
    check(&long_lived, deepest)?;
    let mut result = Fold::default();
    fold(&long_lived, &mut result);
    Ok(result.value())
}

fn build(depth: u64) -> Gc<Node> {
    let below = || (depth > 0).then(|| build(depth - 1));
    Gc::new(Node { left: below(), right: below() })
}

fn children(node: &Node) -> impl Iterator<Item = &Gc<Node>> {
    [&node.left, &node.right].into_iter().flatten()
}

fn count(node: &Gc<Node>) -> u64 {
    1 + children(node).map(count).sum::<u64>()
}

fn check(tree: &Gc<Node>, depth: u64) -> Result<(), Failure> {
    let nodes = count(tree);
    if nodes == (2 << depth) - 1 { Ok(()) } else { Err(format!("a tree of depth {depth} has {nodes} nodes").into()) }
}

fn fold(node: &Gc<Node>, result: &mut Fold) {
    result.add(children(node).count() as u64);
    children(node).for_each(|child| fold(child, result));
}
