//! Samples of allocations: what they stand for adds up to what was allocated, for each size, whatever way the heap finds the memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pagemark::telemetry::AllocationSampler;
use pagemark::typed::{Array, Bytes, Field, Heap, Mutator, Root};
use pagemark::{Config, Trace};
use pagemark_workspace::Watchdog;

#[derive(Trace)]
struct Small {
    next: Field<Small>,
    word: u64,
}

/// Does not fit most holes.
#[derive(Trace)]
struct Medium {
    next: Field<Medium>,
    words: [u64; 89],
}

const EVERY: u64 = 8192;

/// Samples by size.
#[derive(Default)]
struct Samples(Mutex<BTreeMap<usize, u64>>);

impl AllocationSampler for Samples {
    fn sampled(&self, bytes: usize) {
        *self.0.lock().expect("nobody panics").entry(bytes).or_default() += 1;
    }
}

/// Objects of that size that a thread makes, in turn with others.
const KINDS: [(usize, u64); 4] = [(32, 600_000), (736, 60_000), (336, 60_000), (20_480, 3_000)];

fn allocate(m: &mut Mutator) {
    fn retried<R>(m: &mut Mutator, bytes: usize, make: impl Fn(&Mutator) -> Option<R>) {
        while make(m).is_none() {
            m.reclaim(bytes).expect("hardly anything lives");
        }
        m.poll();
    }
    let kept: Root<Array<Small>> = m.root(Some(m.alloc_array(100).expect("an empty heap")));
    for turn in 0..600_000u64 {
        retried(m, 32, |m| {
            m.alloc(Small { next: Field::null(), word: turn }).ok().map(|small| {
                assert_eq!(small.word, turn);
                kept.get(m).expect("rooted")[turn as usize % 100].set(Some(small));
            })
        });
        if turn % 10 == 0 {
            retried(m, 736, |m| {
                m.alloc(Medium { next: Field::null(), words: [turn; 89] }).ok().map(|medium| {
                    assert!(medium.words.iter().all(|word| *word == turn), "it is its own");
                })
            });
            retried(m, 336, |m| m.alloc_bytes(312).ok().map(|_: pagemark::typed::Ref<'_, Bytes>| ()));
        }
        if turn % 200 == 0 {
            retried(m, 20_480, |m| m.alloc_bytes(20_000).ok().map(|_| ()));
        }
    }
}

#[test]
fn samples_stand_for_all_objects_of_every_size() {
    let _watchdog = Watchdog::start(std::time::Duration::from_secs(240));
    for keys in ["mechanism=auto,heap=4M", "mechanism=stop,heap=4M,verify=heap", "mechanism=none"] {
        let limit = if keys.contains("none") { "1G" } else { "16M" };
        let heap =
            Heap::new(&Config::parse(&format!("{keys},limit={limit}")).expect("a configuration")).expect("a heap");
        let samples = Arc::new(Samples::default());
        heap.raw().sample_allocations(EVERY, samples.clone());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| allocate(&mut heap.attach()));
            }
        });
        let summary = heap.summary();
        assert_eq!(summary.verify_failures, 0);
        assert!(keys.contains("none") || summary.cycles > 5, "{summary:?}");
        let samples = samples.0.lock().expect("nobody panics");
        for (bytes, made) in KINDS {
            let probability = 1.0 - (-(bytes as f64) / EVERY as f64).exp();
            let times = samples.get(&bytes).copied().unwrap_or(0) as f64;
            let (estimate, made) = (times / probability, 2.0 * made as f64);
            // Five standard deviations.
            let deviation = 5.0 * (made * probability * (1.0 - probability)).sqrt() / probability;
            assert!((estimate - made).abs() < deviation, "{keys}, {bytes} bytes: {estimate} of {made}: {samples:?}");
        }
    }
}

/// Threads that attached before nobody asked are not sampled, and a heap where nobody asks works as ever.
#[test]
fn only_threads_that_attach_later_are_sampled() {
    let heap = Heap::new(&Config::parse("limit=64M").expect("a configuration")).expect("a heap");
    let before = heap.attach();
    let samples = Arc::new(Samples::default());
    heap.raw().sample_allocations(1, samples.clone());
    let small = |word| Small { next: Field::null(), word };
    (0..1000).for_each(|word| assert!(before.alloc(small(word)).is_ok()));
    assert!(samples.0.lock().expect("nobody panics").is_empty());
    drop(before);
    let after = heap.attach();
    (0..1000).for_each(|word| assert!(after.alloc(small(word)).is_ok()));
    // 32 bytes each contain a point of those that are one byte apart.
    assert_eq!(samples.0.lock().expect("nobody panics").get(&32), Some(&1000));
}
