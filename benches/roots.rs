//! What a handle costs: `cargo bench --bench roots`.
//!
//! A `Root` is a slot in its thread's table, a `Global` one in the heap's. `push` makes one and drops it, `get` and `set` use one that is there. Each takes
//! a lock that nobody else wants.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pagemark::typed::{Field, Heap};
use pagemark::{Config, Trace};

#[path = "support/settings.rs"]
mod settings;

#[derive(Trace)]
struct Node {
    next: Field<Node>,
}

fn roots(criterion: &mut Criterion) {
    let config = Config::parse("limit=64M").expect("a configuration");
    let heap = Heap::new(&config).expect("a heap");
    let mutator = heap.attach();
    let node = mutator.alloc(Node { next: Field::null() }).expect("below the limit");
    let (root, global) = (mutator.root(Some(node)), mutator.global(Some(node)));

    criterion.bench_function("root/push", |bencher| bencher.iter(|| black_box(mutator.root(Some(black_box(node))))));
    criterion.bench_function("root/get", |bencher| bencher.iter(|| black_box(root.get(&mutator)).is_some()));
    criterion.bench_function("root/set", |bencher| bencher.iter(|| root.set(Some(black_box(node)))));
    criterion
        .bench_function("global/push", |bencher| bencher.iter(|| black_box(mutator.global(Some(black_box(node))))));
    criterion.bench_function("global/get", |bencher| bencher.iter(|| black_box(global.get(&mutator)).is_some()));
    criterion.bench_function("global/set", |bencher| bencher.iter(|| global.set(Some(black_box(node)))));
}

criterion_group!(name = benches; config = settings::criterion(); targets = roots);
criterion_main!(benches);
