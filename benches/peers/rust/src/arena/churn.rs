//! A big tree lives, small trees die, and every sixteenth replaces a subtree of the live one.

use gc_arena::barrier::unlock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, lock::Lock};

use super::{Bench, Failure};
use crate::fold::Fold;

/// Levels of a small tree.
const SMALL: u32 = 11;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Lock<Option<Tree<'gc>>>,
    right: Lock<Option<Tree<'gc>>>,
    value: u64,
}

type Tree<'gc> = Gc<'gc, Node<'gc>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let (top, trees) = (bench.parameter("levels")? as u32 - SMALL, bench.parameter("trees")?);
    let mut arena = Arena::<Rootable![Tree<'_>]>::new(|mc| build(mc, top, u64::MAX));
    super::set_limit(bench, arena.metrics())?;
    for path in 0..1u64 << top {
        arena.mutate(|mc, live| replace(mc, *live, top, path, build(mc, SMALL, path)))?;
        arena.collect_debt();
    }
    let mut random = bench.random();
    bench.start(trees);
    for tree in 0..trees {
        let path = random.any();
        arena.mutate(|mc, live| {
            let subtree = build(mc, SMALL, tree);
            if tree % 16 == 15 { replace(mc, *live, top, path, subtree) } else { Ok(()) }
        })?;
        arena.collect_debt();
        bench.end_step();
    }
    bench.stop();
    arena.mutate(|_, live| {
        check_top(*live, top)?;
        let mut result = Fold::default();
        fold(*live, &mut result);
        Ok(result.value())
    })
}

fn build<'gc>(mc: &Mutation<'gc>, levels: u32, value: u64) -> Tree<'gc> {
    let below = || Lock::new((levels > 1).then(|| build(mc, levels - 1, value)));
    Gc::new(mc, Node { left: below(), right: below(), value })
}

/// Puts `subtree` where the low bits of `path` lead to, `levels` levels below `tree`.
fn replace<'gc>(
    mc: &Mutation<'gc>,
    mut tree: Tree<'gc>,
    levels: u32,
    path: u64,
    subtree: Tree<'gc>,
) -> Result<(), Failure> {
    let is_left = |level: u32| path >> level & 1 == 0;
    for level in 0..levels - 1 {
        let child = if is_left(level) { tree.left.get() } else { tree.right.get() };
        tree = child.ok_or("the live tree ends too early")?;
    }
    let node = Gc::write(mc, tree);
    let place = if is_left(levels - 1) { unlock!(node, Node, left) } else { unlock!(node, Node, right) };
    place.set(Some(subtree));
    Ok(())
}

fn check_top(tree: Tree<'_>, levels: u32) -> Result<(), Failure> {
    if levels == 0 {
        return check(tree, SMALL, tree.value);
    }
    for child in [tree.left.get(), tree.right.get()] {
        check_top(child.ok_or("the live tree is not full")?, levels - 1)?;
    }
    Ok(())
}

fn check(tree: Tree<'_>, levels: u32, value: u64) -> Result<(), Failure> {
    if tree.value != value {
        return Err(format!("the subtree of {value} is damaged").into());
    }
    for child in [tree.left.get(), tree.right.get()] {
        match child {
            Some(child) if levels > 1 => check(child, levels - 1, value)?,
            None if levels == 1 => {}
            _ => return Err(format!("the subtree of {value} is not full").into()),
        }
    }
    Ok(())
}

fn fold(tree: Tree<'_>, result: &mut Fold) {
    result.add(tree.value);
    [tree.left.get(), tree.right.get()].into_iter().flatten().for_each(|child| fold(child, result));
}
