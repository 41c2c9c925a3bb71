//! What marking costs an object, by the order in which objects are met: `cargo bench --bench mark`.
//!
//! An array refers to a million objects of 32 bytes, once in the order in which they were allocated and once in random order: the two ends between which
//! real heaps lie. One thread marks while nobody writes. The figure is the phase `mark` of a cycle, by the objects it marked.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pagemark::typed::{Array, Field, Heap, Mutator, Root};
use pagemark::{Config, Trace};

#[path = "support/cycles.rs"]
mod cycles;
#[path = "support/settings.rs"]
mod settings;

use cycles::LastCycle;

const OBJECTS: usize = 1 << 20;

/// A type word, two references, a number: 32 bytes.
#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
    number: usize,
}

/// Numbers below `count` in an order of their own that is the same in every run.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 1u64;
    for last in (1..count).rev() {
        // An xorshift generator; its quality does not matter here.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

/// An array of new objects: the object allocated `i`th is at `order[i]`.
fn array(mutator: &Mutator, order: impl IntoIterator<Item = usize>) -> Root<Array<Node>> {
    let array = mutator.alloc_array::<Node>(OBJECTS).expect("below the limit");
    for (number, place) in order.into_iter().enumerate() {
        let node = mutator.alloc(Node { left: Field::null(), right: Field::null(), number }).expect("below the limit");
        array.value()[place].set(Some(node));
    }
    mutator.root(Some(array))
}

fn mark(criterion: &mut Criterion) {
    // A heap so large that no cycle starts by itself.
    let config = Config::parse("heap=512M,limit=512M,markers=1").expect("a configuration");
    for (name, random) in [("allocation order", false), ("random order", true)] {
        let heap = Heap::new(&config).expect("a heap");
        let last = LastCycle::of(&heap);
        let mut mutator = heap.attach();
        let kept = if random { array(&mutator, shuffled(OBJECTS)) } else { array(&mutator, 0..OBJECTS) };
        criterion.bench_function(&format!("mark/{name}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let once = || {
                    let report = last.run(&mut mutator);
                    assert_eq!(report.objects_marked as usize, OBJECTS + 1);
                    // A stop-the-world cycle, where no mechanism works, marks in its pause.
                    let phases = report.phases;
                    if phases.mark.is_zero() { phases.pause } else { phases.mark }
                };
                std::iter::repeat_with(once).take(iterations as usize).sum::<Duration>() / OBJECTS as u32
            });
        });
        let first = kept.get(&mutator).expect("it is kept").value()[0].get(&mutator).expect("it was set");
        assert!(first.number < OBJECTS);
    }
}

criterion_group!(name = benches; config = settings::criterion(); targets = mark);
criterion_main!(benches);
