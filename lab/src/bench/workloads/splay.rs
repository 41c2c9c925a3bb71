//! `splay`: a splay tree whose nodes carry small trees, rewritten at every access.
//!
//! The shape and the numbers are those of Octane's Splay (V8's benchmark of its memory management), checked against its source: 8,000 nodes by random key, each with a payload tree of depth
//! five whose leaves have an array of ten numbers and a text of 46 characters. Each request asks for a new key, puts it in, looks for the greatest smaller key and takes that
//! out, as there; the look-ups splay too. A splay tree moves what it touches to its root, so old nodes are written all the time, dozens in a request, and 8 KB die for
//! 8 KB born, at an age that is random.
//!
//! *What differs*: a step is one exchange, where Octane takes the time of 80. Octane runs for a second, or 1,400 times 80 exchanges; `--requests 112000` are as many. A payload has one shape here,
//! with four references, and two of two there. A text is bytes here, and in V8 a rope of parts that leaves share.
//!
//! *Lives*: `size` nodes with their payloads; per thread its share. *A step*: a request. *Checked*: keys ascend, there are as many as there must be and they
//! add up, and every payload is whole and of its node's key. *Check*: for each node, in the order of keys: its key, then for each leaf of its payload, from left to right, the first
//! byte of its numbers and the first byte of its text.

use pagemark::typed::{Bytes, Field, Mutator, Ref};
use pagemark::{Exhausted, Trace};
use std::sync::atomic::Ordering;

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Stores, Worker};

const NODES: Parameter =
    Parameter::new("size", "Nodes of the tree, of 8 KB with their payloads", 8000, 2000, (64, 1 << 24));
const REQUESTS: Parameter =
    Parameter::new("requests", "Nodes exchanged, all threads together", 200_000, 20_000, (1, 1 << 40));

/// Depth of a payload: 2^DEPTH leaves.
const DEPTH: u32 = 5;
/// Bytes of ten numbers.
const NUMBERS: usize = 80;
/// Bytes of a text.
const TEXT: usize = 46;
const LEAF_BYTES: u64 = sizes::bytes(NUMBERS as u64) + sizes::bytes(TEXT as u64);
const NODE_BYTES: u64 = sizes::of::<Node>() + ((2 << DEPTH) - 1) * sizes::of::<Payload>() + (1 << DEPTH) * LEAF_BYTES;

#[derive(Trace)]
struct Tree {
    root: Field<Node>,
}

#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
    payload: Field<Payload>,
    key: u64,
}

/// An inner node has the first two, a leaf the others.
#[derive(Trace)]
struct Payload {
    left: Field<Payload>,
    right: Field<Payload>,
    numbers: Field<Bytes>,
    text: Field<Bytes>,
}

/// The workload.
pub struct Splay;

impl Workload for Splay {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "splay",
            about: "A splay tree with payloads, as in Octane: old nodes are rewritten at every access",
            parameters: &[NODES, REQUESTS],
            threaded: true,
            multiplier: Some(2.0),
            requests: true,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        Live::always(values.get(&NODES) * NODE_BYTES + threads * sizes::of::<Tree>())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (nodes, requests) = (worker.share(worker.value(&NODES)), worker.share(worker.value(&REQUESTS)));
        let stores = worker.stores();
        let mut random = worker.random();
        let tree = worker.mutator.alloc_or_collect(|| Tree { root: Field::null() })?;
        let mut sum = 0u64;
        let mut size = 0;
        while size < nodes {
            let key = random.any();
            let put = worker.step(sizes::bytes(NUMBERS as u64), |mutator| {
                insert(mutator, stores, tree.get(mutator).expect("it is rooted"), key)
            })?;
            if put {
                sum = sum.wrapping_add(key);
                size += 1;
            }
        }

        worker.begin(requests)?;
        for _ in 0..requests {
            let key = random.any();
            let (put, taken) = worker.step(sizes::bytes(NUMBERS as u64), |mutator| {
                let tree = tree.get(mutator).expect("it is rooted");
                if !insert(mutator, stores, tree, key)? {
                    return Ok((false, None));
                }
                Ok((true, Some(take_below(mutator, stores, tree, key))))
            })?;
            // A key that is there already is one request in 2^51: then nothing changes.
            if put {
                let taken = taken.flatten().ok_or("the tree had nothing to take")?;
                sum = sum.wrapping_add(key).wrapping_sub(taken);
            }
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let root = tree.get(mutator).ok_or("the tree is gone")?.value().root.get(mutator);
        let mut found = Found { count: 0, sum: 0, fold: Fold::new() };
        check(mutator, root, &mut found)?;
        if (found.count, found.sum) == (nodes, sum) {
            Ok(found.fold.value())
        } else {
            Err(format!("{} keys add up to {}, not {nodes} to {sum}", found.count, found.sum).into())
        }
    }
}

/// A payload for `key`.
fn payload(mutator: &Mutator, depth: u32, key: u64) -> Result<Ref<'_, Payload>, Exhausted> {
    let null = Payload { left: Field::null(), right: Field::null(), numbers: Field::null(), text: Field::null() };
    let payload = mutator.alloc(null)?;
    if depth > 0 {
        payload.left.set(Some(self::payload(mutator, depth - 1, key)?));
        payload.right.set(Some(self::payload(mutator, depth - 1, key)?));
        return Ok(payload);
    }
    for (field, length) in [(&payload.value().numbers, NUMBERS), (&payload.value().text, TEXT)] {
        let bytes = mutator.alloc_bytes(length)?;
        bytes.bytes().iter().for_each(|byte| byte.store(key as u8, Ordering::Relaxed));
        field.set(Some(bytes));
    }
    Ok(payload)
}

/// Whether a payload is whole and of `key`.
fn is_payload(mutator: &Mutator, payload: Ref<'_, Payload>, depth: u32, key: u64) -> bool {
    let below = |field: &Field<Payload>| field.get(mutator).is_some_and(|p| is_payload(mutator, p, depth - 1, key));
    let is_filled = |field: &Field<Bytes>, length: usize| {
        field.get(mutator).is_some_and(|bytes| {
            let bytes = bytes.bytes();
            bytes.len() == length && bytes.iter().all(|byte| byte.load(Ordering::Relaxed) == key as u8)
        })
    };
    if depth > 0 {
        return below(&payload.left) && below(&payload.right);
    }
    is_filled(&payload.numbers, NUMBERS) && is_filled(&payload.text, TEXT)
}

/// Takes in the first byte of each leaf's numbers, and of its text.
fn leaves(mutator: &Mutator, payload: Ref<'_, Payload>, fold: &mut Fold) {
    for bytes in [&payload.numbers, &payload.text] {
        if let Some(bytes) = bytes.get(mutator) {
            fold.add(u64::from(bytes.bytes()[0].load(Ordering::Relaxed)));
        }
    }
    for half in [&payload.left, &payload.right] {
        if let Some(half) = half.get(mutator) {
            leaves(mutator, half, fold);
        }
    }
}

/// Moves the node with `key`, or a neighbour of where it would be, to the root: top-down, with the two trees of smaller and greater keys built as
/// it goes (Sleator and Tarjan 1985). `None` only for an empty tree.
fn splay<'m>(mutator: &'m Mutator, stores: Stores, root: Option<Ref<'m, Node>>, key: u64) -> Option<Ref<'m, Node>> {
    let mut current = root?;
    // Where the next smaller, or greater, node goes; and the ends' first fields, which are put under the root at last.
    let (mut smaller, mut greater) = (None::<Ref<'m, Node>>, None::<Ref<'m, Node>>);
    let (mut all_smaller, mut all_greater) = (None, None);
    loop {
        if key < current.key {
            let Some(mut left) = current.value().left.get(mutator) else { break };
            if key < left.key {
                stores.set(&current.value().left, left.value().right.get(mutator));
                stores.set(&left.value().right, Some(current));
                current = left;
                match current.value().left.get(mutator) {
                    Some(next) => left = next,
                    None => break,
                }
            }
            match greater {
                Some(end) => stores.set(&end.value().left, Some(current)),
                None => all_greater = Some(current),
            }
            greater = Some(current);
            current = left;
        } else if key > current.key {
            let Some(mut right) = current.value().right.get(mutator) else { break };
            if key > right.key {
                stores.set(&current.value().right, right.value().left.get(mutator));
                stores.set(&right.value().left, Some(current));
                current = right;
                match current.value().right.get(mutator) {
                    Some(next) => right = next,
                    None => break,
                }
            }
            match smaller {
                Some(end) => stores.set(&end.value().right, Some(current)),
                None => all_smaller = Some(current),
            }
            smaller = Some(current);
            current = right;
        } else {
            break;
        }
    }
    if let Some(end) = smaller {
        stores.set(&end.value().right, current.value().left.get(mutator));
        stores.set(&current.value().left, all_smaller);
    }
    if let Some(end) = greater {
        stores.set(&end.value().left, current.value().right.get(mutator));
        stores.set(&current.value().right, all_greater);
    }
    Some(current)
}

/// Puts a new node in; false if its key is there already. Allocates before it changes anything. As in Octane the tree is first asked for the key, and
/// both that and putting it in splay; the second time, the neighbour on the other side gets to the root.
fn insert(mutator: &Mutator, stores: Stores, tree: Ref<'_, Tree>, key: u64) -> Result<bool, Exhausted> {
    let node = mutator.alloc(Node { left: Field::null(), right: Field::null(), payload: Field::null(), key })?;
    node.payload.set(Some(payload(mutator, DEPTH, key)?));
    if let Some(found) = splay(mutator, stores, tree.value().root.get(mutator), key) {
        stores.set(&tree.value().root, Some(found));
        if found.key == key {
            return Ok(false);
        }
        let root = splay(mutator, stores, Some(found), key).expect("the tree is not empty");
        let (same, other, far) = if key > root.key {
            (&node.value().left, &node.value().right, &root.value().right)
        } else {
            (&node.value().right, &node.value().left, &root.value().left)
        };
        stores.set(same, Some(root));
        stores.set(other, far.get(mutator));
        stores.set(far, None);
    }
    stores.set(&tree.value().root, Some(node));
    Ok(true)
}

/// Takes out the node with the greatest key below `key`, which is the root's, or `key` itself if it is the least.
fn take_below(mutator: &Mutator, stores: Stores, tree: Ref<'_, Tree>, key: u64) -> Option<u64> {
    let root = splay(mutator, stores, tree.value().root.get(mutator), key)?;
    let mut greatest = root.value().left.get(mutator);
    while let Some(right) = greatest.and_then(|node| node.value().right.get(mutator)) {
        greatest = Some(right);
    }
    let taken = greatest.map_or(key, |node| node.key);
    let root = splay(mutator, stores, Some(root), taken)?;
    // The node to take is the root now; what is left of it has only smaller keys, so splaying that for the same key leaves its root without
    // a right subtree.
    let rest = match splay(mutator, stores, root.value().left.get(mutator), taken) {
        Some(left) => {
            stores.set(&left.value().right, root.value().right.get(mutator));
            Some(left)
        }
        None => root.value().right.get(mutator),
    };
    stores.set(&tree.value().root, rest);
    Some(root.key)
}

struct Found {
    count: u64,
    sum: u64,
    fold: Fold,
}

/// Walks in the order of keys. A splay tree can be as deep as it has nodes, so the walk has a stack of its own.
fn check(mutator: &Mutator, root: Option<Ref<'_, Node>>, found: &mut Found) -> Result<(), Failure> {
    let mut stack = Vec::new();
    let mut next = root;
    let mut last = None;
    loop {
        while let Some(node) = next {
            stack.push(node);
            next = node.value().left.get(mutator);
        }
        let Some(node) = stack.pop() else { return Ok(()) };
        if last.is_some_and(|last| last >= node.key) {
            return Err(format!("key {} is not in its place", node.key).into());
        }
        let payload = node.payload.get(mutator);
        if !payload.is_some_and(|payload| is_payload(mutator, payload, DEPTH, node.key)) {
            return Err(format!("the payload of key {} is damaged", node.key).into());
        }
        last = Some(node.key);
        found.count += 1;
        found.sum = found.sum.wrapping_add(node.key);
        found.fold.add(node.key);
        if let Some(payload) = payload {
            leaves(mutator, payload, &mut found.fold);
        }
        next = node.value().right.get(mutator);
    }
}
