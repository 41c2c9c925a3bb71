//! Short-lived trees of growing depth beside one that lives.

use gc_arena::{Arena, Collect, Gc, Mutation, Rootable};

use super::{Bench, Failure};
use crate::fold::Fold;

/// The least depth of a tree.
const LEAST: u64 = 4;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Option<Tree<'gc>>,
    right: Option<Tree<'gc>>,
}

type Tree<'gc> = Gc<'gc, Node<'gc>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let deepest = bench.parameter("depth")?;
    let mut arena = Arena::<Rootable![Tree<'_>]>::new(|mc| build(mc, deepest));
    super::set_limit(bench, arena.metrics())?;
    // As many trees of each depth as make the same number of nodes.
    let trees = |depth: u64| 1 << (deepest - depth + LEAST);
    bench.start((LEAST..=deepest).step_by(2).map(trees).sum());
    for depth in (LEAST..=deepest).step_by(2) {
        for _ in 0..trees(depth) {
            arena.mutate(|mc, _| check(build(mc, depth), depth))?;
            arena.collect_debt();
            bench.end_step();
        }
    }
    bench.stop();
    arena.mutate(|_, long_lived| {
        check(*long_lived, deepest)?;
        let mut result = Fold::default();
        fold(*long_lived, &mut result);
        Ok(result.value())
    })
}

fn build<'gc>(mc: &Mutation<'gc>, depth: u64) -> Tree<'gc> {
    let below = || (depth > 0).then(|| build(mc, depth - 1));
    Gc::new(mc, Node { left: below(), right: below() })
}

fn children<'gc>(node: Tree<'gc>) -> impl Iterator<Item = Tree<'gc>> {
    [node.left, node.right].into_iter().flatten()
}

fn count(node: Tree<'_>) -> u64 {
    1 + children(node).map(count).sum::<u64>()
}

fn check(tree: Tree<'_>, depth: u64) -> Result<(), Failure> {
    let nodes = count(tree);
    if nodes == (2 << depth) - 1 { Ok(()) } else { Err(format!("a tree of depth {depth} has {nodes} nodes").into()) }
}

fn fold(node: Tree<'_>, result: &mut Fold) {
    result.add(children(node).count() as u64);
    children(node).for_each(|child| fold(child, result));
}
