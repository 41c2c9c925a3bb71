//! What an object costs the thread that allocates it, by size and space: `cargo bench --bench allocate`.
//!
//! Nothing that is allocated lives. Each object is written to, once in each page of it, for memory that nobody touches costs nothing; and each allocation is
//! followed by a safepoint. So the figure is the steady state, all in: the bump of a pointer, the zeroing, a share of taking a new block and sweeping
//! it, of first touches where memory went back to the system, and of cycles that find nothing to mark. Above 8 KB an object has pages of its own.
//!
//! A thread that does nothing but allocate garbage is faster than a collector's thread that has to wait for a processor, and then waits for it: on a busy
//! machine these figures, of large objects above all, are those of the queue.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use pagemark::{Config, Heap, Mutator, ObjectModel, RootSource, Space, Tracer};
use pagemark_gc::layout::PAGE;

#[path = "support/settings.rs"]
mod settings;

/// Names and bytes: up to a granule, a node, a few cache lines; half a page and the most that goes into a block; pages of their own.
const SIZES: [(&str, usize); 7] = [
    ("small/16", 16),
    ("small/32", 32),
    ("small/128", 128),
    ("medium/2K", 2048),
    ("medium/8K", 8192),
    ("large/16K", 16 << 10),
    ("large/256K", 256 << 10),
];

/// Objects that hold nothing.
struct Empty;

// SAFETY: there is no reference to report.
unsafe impl ObjectModel for Empty {
    unsafe fn trace(&self, _object: NonNull<u8>, _range: Range<usize>, _tracer: &mut Tracer<'_>) {}
}

struct NoRoots;

// SAFETY: nothing is used after the safepoint that follows its allocation.
unsafe impl RootSource for NoRoots {
    fn trace_roots(&self, _tracer: &mut Tracer<'_>) {}
}

fn allocate_one(mutator: &mut Mutator, bytes: usize, space: Space) {
    loop {
        if let Ok(object) = mutator.alloc(bytes, space) {
            for offset in (0..bytes).step_by(PAGE) {
                // SAFETY: the object has so many bytes, is aligned to 16, and is nobody else's.
                unsafe { object.byte_add(offset).cast::<u64>().write_volatile(1) };
            }
            break;
        }
        mutator.reclaim(bytes).expect("nothing lives");
    }
    mutator.poll();
}

fn allocate(criterion: &mut Criterion) {
    let config = Config::parse("heap=128M,limit=1G").expect("a configuration");
    let heap = Heap::new(&config, Empty).expect("a heap");
    let mut mutator = heap.attach(Arc::new(NoRoots));
    for (space_name, space) in [("tracked", Space::Tracked), ("leaf", Space::Leaf)] {
        for (name, bytes) in SIZES {
            criterion.bench_function(&format!("allocate/{space_name}/{name}"), |bencher| {
                bencher.iter_custom(|iterations| {
                    let clock = Instant::now();
                    for _ in 0..iterations {
                        allocate_one(&mut mutator, bytes, space);
                    }
                    clock.elapsed()
                });
            });
        }
    }
}

criterion_group!(name = benches; config = settings::criterion(); targets = allocate);
criterion_main!(benches);
