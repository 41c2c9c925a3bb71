//! `quads`: a big tree of nodes with four children lives, small ones die.
//!
//! The shape and the parameters are those of the program of that name with which Whippet is measured: `quads --depth 9 --multiplier 2.5` is its `quads 9 2.5`. One
//! tree of depth N is built and stays; then, 20 times, trees of depth 3 are built and dropped that make up 13 % (1 / 7.5) of the heap, and
//! the live tree is walked whole.
//!
//! A node has a word for its type and four references, 40 bytes, of which granules of 16 make 48, here and in most of Whippet's collectors. Its formulas count 40 for the heap and the garbage,
//! and 32 in the number of dropped trees. The number is the one its formula gives (`--factor` is its multiplier in percent, apart from ours, so that a curve over heap sizes is of the
//! same work). The heap's limit is our multiplier times 48 bytes a node: the same relation to what lives as its argument says, while the bytes are a fifth more than Whippet's; with `--multiplier 2.0834`
//! they are the same. Nothing old is written, as in `binary-trees`.
//!
//! *Lives*: the big tree. *A step*: one small tree, or one of the 20 walks; the walks are the longest steps by far, and show as "seen" stalls. *Checked*: the walks.
//! *Check*: for each node of the big tree, in pre-order (a node, then its children in order), how many children it has (4 or 0), found by looking.

use pagemark::typed::{Field, Mutator, Ref, Root};
use pagemark::{Exhausted, Trace};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const DEPTH: Parameter = Parameter::new("depth", "Depth of the big tree: its leaves are 4^DEPTH", 9, 8, (3, 13));
/// Times in percent, because the number of dropped trees depends on it as on a parameter.
const FACTOR: Parameter = Parameter::new(
    "factor",
    "The heap's size in the formula for the dropped trees, in percent of what lives",
    250,
    250,
    (105, 10_000),
);

/// Depth of a small tree.
const SMALL: u64 = 3;
/// A tree up to this depth is built between two safepoints.
const AT_ONCE: u64 = 5;
const ROUNDS: u64 = 20;

#[derive(Trace)]
struct Quad {
    children: [Field<Quad>; 4],
}

const _: () = assert!(sizes::of::<Quad>() == 48);

/// The workload.
pub struct Quads;

impl Workload for Quads {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "quads",
            about: "A big quad tree lives, small ones die; shape and parameters of Whippet's",
            parameters: &[DEPTH, FACTOR],
            threaded: false,
            multiplier: Some(2.5),
            requests: false,
        }
    }

    fn live(&self, values: &Values, _threads: u64) -> Live {
        Live::always(nodes(values.get(&DEPTH)) * sizes::of::<Quad>())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let depth = worker.value(&DEPTH);
        let big = worker.mutator.root(None);
        build(worker, depth, &big)?;
        let whippet_heap = nodes(depth) * 40 * worker.value(&FACTOR) / 100;
        let small = (whippet_heap as f64 / 7.5) as u64 / (nodes(SMALL) * 32);
        let mut right = true;

        worker.begin(ROUNDS * (small + 1))?;
        for _ in 0..ROUNDS {
            for _ in 0..small {
                worker.step(sizes::of::<Quad>(), |mutator| full(mutator, SMALL).map(|_| ()))?;
            }
            right &= big.get(&worker.mutator).is_some_and(|tree| is_full(&worker.mutator, tree, depth));
            worker.end_step();
        }
        worker.end()?;

        right &= big.get(&worker.mutator).is_some_and(|tree| is_full(&worker.mutator, tree, depth));
        if !right {
            return Err("the live tree is damaged".into());
        }
        let mut fold = Fold::new();
        shape(&worker.mutator, big.get(&worker.mutator).ok_or("the live tree is gone")?, &mut fold);
        Ok(fold.value())
    }
}

/// Nodes of a tree.
fn nodes(depth: u64) -> u64 {
    ((4 << (2 * depth)) - 1) / 3
}

fn empty() -> Quad {
    Quad { children: [const { Field::null() }; 4] }
}

/// Builds a tree bottom-up and puts it into `place`; big ones in parts.
fn build(worker: &mut Worker<'_>, depth: u64, place: &Root<Quad>) -> Result<(), Failure> {
    if depth <= AT_ONCE {
        return worker.attempt(sizes::of::<Quad>(), |mutator| {
            place.set(Some(full(mutator, depth)?));
            Ok(())
        });
    }
    let children = [(); 4].map(|()| worker.mutator.root(None));
    for child in &children {
        build(worker, depth - 1, child)?;
    }
    worker.attempt(sizes::of::<Quad>(), |mutator| {
        let quad = mutator.alloc(empty())?;
        quad.children.iter().zip(&children).for_each(|(field, child)| field.set(child.get(mutator)));
        place.set(Some(quad));
        Ok(())
    })
}

fn full(mutator: &Mutator, depth: u64) -> Result<Ref<'_, Quad>, Exhausted> {
    if depth == 0 {
        return mutator.alloc(empty());
    }
    let mut children = [None; 4];
    for child in &mut children {
        *child = Some(full(mutator, depth - 1)?);
    }
    let quad = mutator.alloc(empty())?;
    quad.children.iter().zip(children).for_each(|(field, child)| field.set(child));
    Ok(quad)
}

/// Takes in how many children each node has.
fn shape(mutator: &Mutator, quad: Ref<'_, Quad>, fold: &mut Fold) {
    let children = quad.value().children.iter().filter_map(|field| field.get(mutator));
    fold.add(children.clone().count() as u64);
    children.for_each(|child| shape(mutator, child, fold));
}

fn is_full(mutator: &Mutator, quad: Ref<'_, Quad>, depth: u64) -> bool {
    quad.children.iter().all(|field| match field.get(mutator) {
        Some(child) => depth > 0 && is_full(mutator, child, depth - 1),
        None => depth == 0,
    })
}
