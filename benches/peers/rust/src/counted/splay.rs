//! A splay tree whose nodes carry small trees, rewritten at every access.

use std::cmp::Ordering;

use super::{Bench, Failure, Gc, GcCell, Trace};
use crate::fold::Fold;

/// Depth of a payload: 2^DEPTH leaves.
const DEPTH: u32 = 5;
/// Bytes of ten numbers.
const NUMBERS: usize = 80;
/// Bytes of a text.
const TEXT: usize = 40;

/// An inner node has the first two, a leaf the others.
#[derive(Trace)]
struct Payload {
    left: Option<Gc<Payload>>,
    right: Option<Gc<Payload>>,
    numbers: Option<Gc<[u8; NUMBERS]>>,
    text: Option<Gc<[u8; TEXT]>>,
}

finalized!(Payload);

#[derive(Trace)]
struct Node {
    left: Option<Tree>,
    right: Option<Tree>,
    payload: Gc<Payload>,
    key: u64,
}

finalized!(Node);

type Tree = Gc<GcCell<Node>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let (nodes, requests) = (bench.parameter("size")?, bench.parameter("requests")?);
    let mut random = bench.random();
    let mut root = None;
    let (mut sum, mut size) = (0u64, 0);
    while size < nodes {
        let key = random.any();
        if insert(&mut root, key) {
            sum = sum.wrapping_add(key);
            size += 1;
        }
    }
    bench.start(requests);
    for _ in 0..requests {
        let key = random.any();
        if insert(&mut root, key) {
            let taken = take_below(&mut root, key).ok_or("the tree had nothing to take")?;
            sum = sum.wrapping_add(key).wrapping_sub(taken);
        }
        bench.end_step();
    }
    bench.stop();
    let mut found = Found::default();
    check(root, &mut found)?;
    if (found.count, found.sum) == (nodes, sum) {
        Ok(found.fold.value())
    } else {
        Err(format!("{} keys add up to {}, not {nodes} to {sum}", found.count, found.sum).into())
    }
}

fn payload(depth: u32, key: u64) -> Gc<Payload> {
    Gc::new(if depth > 0 {
        let below = || Some(payload(depth - 1, key));
        Payload { left: below(), right: below(), numbers: None, text: None }
    } else {
        let numbers = Some(Gc::new([key as u8; NUMBERS]));
        Payload { left: None, right: None, numbers, text: Some(Gc::new([key as u8; TEXT])) }
    })
}

/// Moves the node with `key`, or a neighbour of where it would be, to the root: top-down (Sleator and Tarjan 1985). `None` only for an empty tree.
fn splay(root: Option<Tree>, key: u64) -> Option<Tree> {
    let mut current = root?;
    // Two trees that grow, of what is smaller and what is greater: their roots, and where the next node goes.
    let (mut all_smaller, mut all_greater) = (None, None);
    let (mut smaller, mut greater) = (None::<Tree>, None::<Tree>);
    loop {
        let order = key.cmp(&current.borrow().key);
        match order {
            Ordering::Less => {
                let Some(mut left) = current.borrow_mut().left.take() else { break };
                if key < left.borrow().key {
                    let between = left.borrow_mut().right.take();
                    current.borrow_mut().left = between;
                    left.borrow_mut().right = Some(current);
                    current = left;
                    let Some(next) = current.borrow_mut().left.take() else { break };
                    left = next;
                }
                match &greater {
                    Some(end) => end.borrow_mut().left = Some(current.clone()),
                    None => all_greater = Some(current.clone()),
                }
                greater = Some(current);
                current = left;
            }
            Ordering::Greater => {
                let Some(mut right) = current.borrow_mut().right.take() else { break };
                if key > right.borrow().key {
                    let between = right.borrow_mut().left.take();
                    current.borrow_mut().right = between;
                    right.borrow_mut().left = Some(current);
                    current = right;
                    let Some(next) = current.borrow_mut().right.take() else { break };
                    right = next;
                }
                match &smaller {
                    Some(end) => end.borrow_mut().right = Some(current.clone()),
                    None => all_smaller = Some(current.clone()),
                }
                smaller = Some(current);
                current = right;
            }
            Ordering::Equal => break,
        }
    }
    if let Some(end) = smaller {
        end.borrow_mut().right = current.borrow_mut().left.take();
        current.borrow_mut().left = all_smaller;
    }
    if let Some(end) = greater {
        end.borrow_mut().left = current.borrow_mut().right.take();
        current.borrow_mut().right = all_greater;
    }
    Some(current)
}

/// Puts a new node in; false if its key is there already.
fn insert(tree: &mut Option<Tree>, key: u64) -> bool {
    let payload = payload(DEPTH, key);
    let (mut left, mut right) = (None, None);
    if let Some(root) = splay(tree.take(), key) {
        let order = key.cmp(&root.borrow().key);
        match order {
            Ordering::Equal => {
                *tree = Some(root);
                return false;
            }
            Ordering::Greater => {
                right = root.borrow_mut().right.take();
                left = Some(root);
            }
            Ordering::Less => {
                left = root.borrow_mut().left.take();
                right = Some(root);
            }
        }
    }
    *tree = Some(Gc::new(GcCell::new(Node { left, right, payload, key })));
    true
}

/// The greatest key of a tree.
fn greatest(tree: &Tree) -> u64 {
    let node = tree.borrow();
    node.right.as_ref().map_or(node.key, greatest)
}

/// Takes out the node with the greatest key below `key`, which is the root's, or `key` itself if it is the least.
fn take_below(tree: &mut Option<Tree>, key: u64) -> Option<u64> {
    let root = splay(tree.take(), key)?;
    let taken = root.borrow().left.as_ref().map_or(key, greatest);
    let root = splay(Some(root), taken)?;
    let (left, right) = {
        let mut root = root.borrow_mut();
        (root.left.take(), root.right.take())
    };
    // All that is left has smaller keys, so its root has no right subtree then.
    *tree = match splay(left, taken) {
        Some(left) => {
            left.borrow_mut().right = right;
            Some(left)
        }
        None => right,
    };
    let taken = root.borrow().key;
    Some(taken)
}

#[derive(Default)]
struct Found {
    count: u64,
    sum: u64,
    fold: Fold,
}

/// Walks in the order of keys. A splay tree can be as deep as it has nodes, so the walk has a stack of its own.
fn check(root: Option<Tree>, found: &mut Found) -> Result<(), Failure> {
    let (mut stack, mut next, mut last) = (Vec::new(), root, None);
    loop {
        while let Some(node) = next {
            next = node.borrow().left.clone();
            stack.push(node);
        }
        let Some(node) = stack.pop() else { return Ok(()) };
        let node = node.borrow();
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
        next = node.right.clone();
    }
}

fn is_payload(payload: &Payload, depth: u32, key: u64) -> bool {
    let below = |half: &Option<Gc<Payload>>| half.as_ref().is_some_and(|half| is_payload(half, depth - 1, key));
    if depth > 0 {
        below(&payload.left) && below(&payload.right)
    } else {
        payload.numbers.as_deref() == Some(&[key as u8; NUMBERS]) && payload.text.as_deref() == Some(&[key as u8; TEXT])
    }
}

/// Takes in the first byte of each leaf's numbers, and of its text.
fn fold_leaves(payload: &Payload, fold: &mut Fold) {
    let bytes = [payload.numbers.as_ref().map(|numbers| numbers[0]), payload.text.as_ref().map(|text| text[0])];
    bytes.into_iter().flatten().for_each(|byte| fold.add(u64::from(byte)));
    [&payload.left, &payload.right].into_iter().flatten().for_each(|half| fold_leaves(half, fold));
}
