//! Trees of 32-byte nodes, the work that most collectors are measured with.

use pagemark::typed::{Field, Mutator, Ref, Root};
use pagemark::{Exhausted, Trace};

use super::fold::Fold;
use super::sizes;
use super::worker::{Failure, Worker};

/// A type word, two references, a value: 32 bytes.
#[derive(Trace)]
pub struct Node {
    pub left: Field<Node>,
    pub right: Field<Node>,
    pub value: u64,
}

/// Levels of the trees that are built between two safepoints: 2,047 nodes.
pub const SMALL: u32 = 11;

/// A full tree of `levels` levels, in allocation order of a depth-first walk. No safepoint inside.
pub fn build(mutator: &Mutator, levels: u32, value: u64) -> Result<Ref<'_, Node>, Exhausted> {
    let node = mutator.alloc(Node { left: Field::null(), right: Field::null(), value })?;
    if levels > 1 {
        node.left.set(Some(build(mutator, levels - 1, value)?));
        node.right.set(Some(build(mutator, levels - 1, value)?));
    }
    Ok(node)
}

/// Nodes of the tree.
pub fn count(mutator: &Mutator, node: Ref<'_, Node>) -> u64 {
    let below = |field: &Field<Node>| field.get(mutator).map_or(0, |child| count(mutator, child));
    1 + below(&node.left) + below(&node.right)
}

/// Whether every node of the tree holds `value`, and how many there are.
pub fn check(mutator: &Mutator, node: Ref<'_, Node>, value: u64) -> Option<u64> {
    let below = |field: &Field<Node>| match field.get(mutator) {
        Some(child) => check(mutator, child, value),
        None => Some(0),
    };
    if node.value != value {
        return None;
    }
    Some(1 + below(&node.left)? + below(&node.right)?)
}

/// Takes the values of the tree into `fold`, in pre-order: a node, then what is left of it, then what is right.
pub fn fold(mutator: &Mutator, node: Ref<'_, Node>, fold: &mut Fold) {
    fold.add(node.value);
    for field in [&node.left, &node.right] {
        if let Some(child) = field.get(mutator) {
            self::fold(mutator, child, fold);
        }
    }
}

/// The field that the low bits of `path` lead to, `levels` levels below `node`.
pub fn descend<'m>(mutator: &'m Mutator, mut node: Ref<'m, Node>, levels: u32, path: u64) -> &'m Field<Node> {
    let side = |node: Ref<'m, Node>, level: u32| {
        if path >> level & 1 == 0 { &node.value().left } else { &node.value().right }
    };
    for level in 0..levels - 1 {
        node = side(node, level).get(mutator).expect("the live tree is full above its subtrees");
    }
    side(node, levels - 1)
}

/// A live tree of `levels` levels whose lowest [`SMALL`] levels are built a subtree at a time, a safepoint after each. Subtree `path` holds the
/// value `path`.
pub fn live_tree(worker: &mut Worker<'_>, levels: u32) -> Result<Root<Node>, Failure> {
    let top = levels - SMALL;
    let root = worker.mutator.root::<Node>(None);
    worker.step(sizes::of::<Node>(), |mutator| {
        root.set(Some(build(mutator, top, u64::MAX)?));
        Ok(())
    })?;
    let stores = worker.stores();
    for path in 0..1u64 << top {
        worker.step(sizes::of::<Node>(), |mutator| {
            let subtree = build(mutator, SMALL, path)?;
            let tree = root.get(mutator).expect("just built");
            stores.set(descend(mutator, tree, top, path), Some(subtree));
            Ok(())
        })?;
    }
    Ok(root)
}
