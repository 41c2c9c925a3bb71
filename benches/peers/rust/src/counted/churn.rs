//! A big tree lives, small trees die, and every sixteenth replaces a subtree of the live one.

use super::{Bench, Failure, Gc, GcCell, Trace};
use crate::fold::Fold;

/// Levels of a small tree.
const SMALL: u32 = 11;

#[derive(Trace)]
struct Node {
    left: Option<Tree>,
    right: Option<Tree>,
    value: u64,
}

finalized!(Node);

type Tree = Gc<GcCell<Node>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let (top, trees) = (bench.parameter("levels")? as u32 - SMALL, bench.parameter("trees")?);
    let live = build(top, u64::MAX);
    for path in 0..1u64 << top {
        replace(&live, top, path, build(SMALL, path))?;
    }
    let mut random = bench.random();
    bench.start(trees);
    for tree in 0..trees {
        let path = random.any();
        let subtree = build(SMALL, tree);
        if tree % 16 == 15 {
            replace(&live, top, path, subtree)?;
        } else {
            drop(subtree);
        }
        bench.end_step();
    }
    bench.stop();
    check_top(&live, top)?;
    let mut result = Fold::default();
    fold(&live, &mut result);
    Ok(result.value())
}

fn build(levels: u32, value: u64) -> Tree {
    let below = || (levels > 1).then(|| build(levels - 1, value));
    Gc::new(GcCell::new(Node { left: below(), right: below(), value }))
}

/// Puts `subtree` where the low bits of `path` lead to, `levels` levels below `tree`.
fn replace(tree: &Tree, levels: u32, path: u64, subtree: Tree) -> Result<(), Failure> {
    if levels == 1 {
        let mut node = tree.borrow_mut();
        let place = if path & 1 == 0 { &mut node.left } else { &mut node.right };
        let old = place.replace(subtree);
        drop(node);
        drop(old);
        return Ok(());
    }
    let node = tree.borrow();
    let child = if path & 1 == 0 { &node.left } else { &node.right };
    replace(child.as_ref().ok_or("the live tree ends too early")?, levels - 1, path >> 1, subtree)
}

fn check_top(tree: &Tree, levels: u32) -> Result<(), Failure> {
    let node = tree.borrow();
    if levels == 0 {
        return check(tree, SMALL, node.value);
    }
    for child in [&node.left, &node.right] {
        check_top(child.as_ref().ok_or("the live tree is not full")?, levels - 1)?;
    }
    Ok(())
}

fn check(tree: &Tree, levels: u32, value: u64) -> Result<(), Failure> {
    let node = tree.borrow();
    if node.value != value {
        return Err(format!("the subtree of {value} is damaged").into());
    }
    for child in [&node.left, &node.right] {
        match child {
            Some(child) if levels > 1 => check(child, levels - 1, value)?,
            None if levels == 1 => {}
            _ => return Err(format!("the subtree of {value} is not full").into()),
        }
    }
    Ok(())
}

fn fold(tree: &Tree, result: &mut Fold) {
    let node = tree.borrow();
    result.add(node.value);
    [&node.left, &node.right].into_iter().flatten().for_each(|child| fold(child, result));
}
