//! A splay tree whose nodes carry small trees, rewritten at every access.

use std::cmp::Ordering;

use gc_arena::barrier::unlock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, lock::Lock};

use super::{Bench, Failure};
use crate::fold::Fold;

/// Depth of a payload: 2^DEPTH leaves.
const DEPTH: u32 = 5;
/// Bytes of ten numbers.
const NUMBERS: usize = 80;
/// Bytes of a text.
const TEXT: usize = 40;

/// An inner node has the first two, a leaf the others.
#[derive(Collect)]
#[collect(no_drop)]
struct Payload<'gc> {
    left: Option<Gc<'gc, Payload<'gc>>>,
    right: Option<Gc<'gc, Payload<'gc>>>,
    numbers: Option<Gc<'gc, [u8; NUMBERS]>>,
    text: Option<Gc<'gc, [u8; TEXT]>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Lock<Tree<'gc>>,
    right: Lock<Tree<'gc>>,
    payload: Gc<'gc, Payload<'gc>>,
    key: u64,
}

type Tree<'gc> = Option<Gc<'gc, Node<'gc>>>;
type Root<'gc> = Gc<'gc, Lock<Tree<'gc>>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let (nodes, requests) = (bench.parameter("size")?, bench.parameter("requests")?);
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| Gc::new(mc, Lock::new(None)));
    super::set_limit(bench, arena.metrics())?;
    let mut random = bench.random();
    let (mut sum, mut size) = (0u64, 0);
    while size < nodes {
        let key = random.any();
        if arena.mutate(|mc, root| insert(mc, *root, key)) {
            sum = sum.wrapping_add(key);
            size += 1;
        }
        arena.collect_debt();
    }
    bench.start(requests);
    for _ in 0..requests {
        let key = random.any();
        arena.mutate(|mc, root| {
            if insert(mc, *root, key) {
                let taken = take_below(mc, *root, key).ok_or("the tree had nothing to take")?;
                sum = sum.wrapping_add(key).wrapping_sub(taken);
            }
            Ok::<(), Failure>(())
        })?;
        arena.collect_debt();
        bench.end_step();
    }
    bench.stop();
    let mut found = Found::default();
    arena.mutate(|_, root| check(root.get(), &mut found))?;
    if (found.count, found.sum) == (nodes, sum) {
        Ok(found.fold.value())
    } else {
        Err(format!("{} keys add up to {}, not {nodes} to {sum}", found.count, found.sum).into())
    }
}

fn payload<'gc>(mc: &Mutation<'gc>, depth: u32, key: u64) -> Gc<'gc, Payload<'gc>> {
    let payload = if depth > 0 {
        let below = || Some(payload(mc, depth - 1, key));
        Payload { left: below(), right: below(), numbers: None, text: None }
    } else {
        let numbers = Some(Gc::new(mc, [key as u8; NUMBERS]));
        Payload { left: None, right: None, numbers, text: Some(Gc::new(mc, [key as u8; TEXT])) }
    };
    Gc::new(mc, payload)
}

fn set_left<'gc>(mc: &Mutation<'gc>, node: Gc<'gc, Node<'gc>>, child: Tree<'gc>) {
    unlock!(Gc::write(mc, node), Node, left).set(child);
}

fn set_right<'gc>(mc: &Mutation<'gc>, node: Gc<'gc, Node<'gc>>, child: Tree<'gc>) {
    unlock!(Gc::write(mc, node), Node, right).set(child);
}

/// Moves the node with `key`, or a neighbour of where it would be, to the root: top-down (Sleator and Tarjan 1985). `None` only for an empty tree.
fn splay<'gc>(mc: &Mutation<'gc>, root: Tree<'gc>, key: u64) -> Tree<'gc> {
    let mut current = root?;
    // Two trees that grow, of what is smaller and what is greater: their roots, and where the next node goes.
    let (mut all_smaller, mut all_greater) = (None, None);
    let (mut smaller, mut greater): (Tree<'gc>, Tree<'gc>) = (None, None);
    loop {
        match key.cmp(&current.key) {
            Ordering::Less => {
                let Some(mut left) = current.left.get() else { break };
                if key < left.key {
                    set_left(mc, current, left.right.get());
                    set_right(mc, left, Some(current));
                    current = left;
                    let Some(next) = current.left.get() else { break };
                    left = next;
                }
                match greater {
                    Some(end) => set_left(mc, end, Some(current)),
                    None => all_greater = Some(current),
                }
                greater = Some(current);
                current = left;
            }
            Ordering::Greater => {
                let Some(mut right) = current.right.get() else { break };
                if key > right.key {
                    set_right(mc, current, right.left.get());
                    set_left(mc, right, Some(current));
                    current = right;
                    let Some(next) = current.right.get() else { break };
                    right = next;
                }
                match smaller {
                    Some(end) => set_right(mc, end, Some(current)),
                    None => all_smaller = Some(current),
                }
                smaller = Some(current);
                current = right;
            }
            Ordering::Equal => break,
        }
    }
    if let Some(end) = smaller {
        set_right(mc, end, current.left.get());
        set_left(mc, current, all_smaller);
    }
    if let Some(end) = greater {
        set_left(mc, end, current.right.get());
        set_right(mc, current, all_greater);
    }
    Some(current)
}

/// Puts a new node in; false if its key is there already.
fn insert<'gc>(mc: &Mutation<'gc>, tree: Root<'gc>, key: u64) -> bool {
    let payload = payload(mc, DEPTH, key);
    let (mut left, mut right) = (None, None);
    if let Some(root) = splay(mc, tree.get(), key) {
        match key.cmp(&root.key) {
            Ordering::Equal => {
                tree.set(mc, Some(root));
                return false;
            }
            Ordering::Greater => {
                (left, right) = (Some(root), root.right.get());
                set_right(mc, root, None);
            }
            Ordering::Less => {
                (left, right) = (root.left.get(), Some(root));
                set_left(mc, root, None);
            }
        }
    }
    tree.set(mc, Some(Gc::new(mc, Node { left: Lock::new(left), right: Lock::new(right), payload, key })));
    true
}

/// Takes out the node with the greatest key below `key`, which is the root's, or `key` itself if it is the least.
fn take_below<'gc>(mc: &Mutation<'gc>, tree: Root<'gc>, key: u64) -> Option<u64> {
    let root = splay(mc, tree.get(), key)?;
    let mut greatest = root.left.get();
    while let Some(right) = greatest.and_then(|node| node.right.get()) {
        greatest = Some(right);
    }
    let taken = greatest.map_or(key, |node| node.key);
    let root = splay(mc, Some(root), taken)?;
    // All that is left has smaller keys, so its root has no right subtree then.
    let rest = match splay(mc, root.left.get(), taken) {
        Some(left) => {
            set_right(mc, left, root.right.get());
            Some(left)
        }
        None => root.right.get(),
    };
    tree.set(mc, rest);
    Some(root.key)
}

#[derive(Default)]
struct Found {
    count: u64,
    sum: u64,
    fold: Fold,
}

/// Walks in the order of keys. A splay tree can be as deep as it has nodes, so the walk has a stack of its own.
fn check(root: Tree<'_>, found: &mut Found) -> Result<(), Failure> {
    let (mut stack, mut next, mut last) = (Vec::new(), root, None);
    loop {
        while let Some(node) = next {
            stack.push(node);
            next = node.left.get();
        }
        let Some(node) = stack.pop() else { return Ok(()) };
        if last.is_some_and(|last| last >= node.key) {
            return Err(format!("key {} is not in its place", node.key).into());
        }
        if !is_payload(&node.payload, DEPTH, node.key) {
            return Err(format!("the payload of key {} is damaged", node.key).into());
        }
        last = Some(node.key);
        found.count += 1;
        found.sum = found.sum.wrapping_add(node.key);
        found.fold.add(node.key);
        fold_leaves(&node.payload, &mut found.fold);
        next = node.right.get();
    }
}

fn is_payload(payload: &Payload<'_>, depth: u32, key: u64) -> bool {
    let below = |half: Option<Gc<'_, Payload<'_>>>| half.is_some_and(|half| is_payload(&half, depth - 1, key));
    if depth > 0 {
        below(payload.left) && below(payload.right)
    } else {
        payload.numbers.as_deref() == Some(&[key as u8; NUMBERS]) && payload.text.as_deref() == Some(&[key as u8; TEXT])
    }
}

/// Takes in the first byte of each leaf's numbers, and of its text.
fn fold_leaves(payload: &Payload<'_>, fold: &mut Fold) {
    let bytes = [payload.numbers.as_ref().map(|numbers| numbers[0]), payload.text.as_ref().map(|text| text[0])];
    bytes.into_iter().flatten().for_each(|byte| fold.add(u64::from(byte)));
    [payload.left, payload.right].into_iter().flatten().for_each(|half| fold_leaves(&half, fold));
}
