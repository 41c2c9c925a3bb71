//! A big tree lives, small trees die, and every sixteenth replaces a subtree of the live one.

use pagemark_peers::bench::{Bench, Failure};
use pagemark_peers::fold::Fold;

use crate::binding::{Heap, Node};

/// Levels of a small tree.
const SMALL: u32 = 11;

pub fn run(bench: &mut Bench, heap: &mut Heap) -> Result<u64, Failure> {
    let (top, trees) = (bench.parameter("levels")? as u32 - SMALL, bench.parameter("trees")?);
    let live = build(heap, top, u64::MAX);
    heap.set_root(live);
    for path in 0..1u64 << top {
        let subtree = build(heap, SMALL, path);
        replace(heap, top, path, subtree)?;
        heap.safepoint();
    }
    let mut random = bench.random();
    bench.start(trees);
    for tree in 0..trees {
        let path = random.any();
        let subtree = build(heap, SMALL, tree);
        if tree % 16 == 15 {
            replace(heap, top, path, subtree)?;
        }
        heap.safepoint();
        bench.end_step();
    }
    bench.stop();
    let live = heap.root().ok_or("the live tree is gone")?;
    check_top(live, top)?;
    let mut result = Fold::default();
    fold(live, &mut result);
    Ok(result.value())
}

fn build(heap: &mut Heap, levels: u32, value: u64) -> Node {
    let (mut left, mut right) = (None, None);
    if levels > 1 {
        left = Some(build(heap, levels - 1, value));
        right = Some(build(heap, levels - 1, value));
    }
    heap.node(left, right, value)
}

/// Puts `subtree` where the low bits of `path` lead to, `levels` levels below the root.
fn replace(heap: &Heap, levels: u32, path: u64, subtree: Node) -> Result<(), Failure> {
    let is_right = |level: u32| path >> level & 1 == 1;
    let mut node = heap.root().ok_or("the live tree is gone")?;
    for level in 0..levels - 1 {
        node = node.child(is_right(level)).ok_or("the live tree ends too early")?;
    }
    node.set_child(is_right(levels - 1), subtree);
    Ok(())
}

fn check_top(node: Node, levels: u32) -> Result<(), Failure> {
    if levels == 0 {
        return check(node, SMALL, node.value());
    }
    for right in [false, true] {
        check_top(node.child(right).ok_or("the live tree is not full")?, levels - 1)?;
    }
    Ok(())
}

fn check(node: Node, levels: u32, value: u64) -> Result<(), Failure> {
    if node.value() != value {
        return Err(format!("the subtree of {value} is damaged").into());
    }
    for right in [false, true] {
        match node.child(right) {
            Some(child) if levels > 1 => check(child, levels - 1, value)?,
            None if levels == 1 => {}
            _ => return Err(format!("the subtree of {value} is not full").into()),
        }
    }
    Ok(())
}

fn fold(node: Node, result: &mut Fold) {
    result.add(node.value());
    [false, true].into_iter().filter_map(|right| node.child(right)).for_each(|child| fold(child, result));
}
