//! What it takes to reach every mutator: `cargo bench --bench handshake`.
//!
//! Two figures of a cycle in a heap in which nothing lives. `handshake` is the phase in which each mutator, at its own next safepoint, retires its allocation run
//! and hands over its roots. `stop` is the time from asking all mutators to stop until the last has stopped. `alone`: the only mutator waits for the
//! cycle. `N polling`: N more do nothing but poll. `N blocked`: N more are in a system call, and nobody waits for those.
//!
//! With more threads that poll than processors, a figure says how long the system lets a thread wait for a processor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pagemark::Config;
use pagemark::telemetry::CycleReport;
use pagemark::typed::Heap;

#[path = "support/cycles.rs"]
mod cycles;
#[path = "support/settings.rs"]
mod settings;

use cycles::LastCycle;

/// Names, threads that poll, threads that are blocked.
const OTHERS: [(&str, usize, usize); 5] =
    [("alone", 0, 0), ("1 polling", 1, 0), ("4 polling", 4, 0), ("8 blocked", 0, 8), ("64 blocked", 0, 64)];

type Figure = fn(&CycleReport) -> Duration;

const FIGURES: [(&str, Figure); 2] =
    [("handshake", |report| report.phases.handshake), ("stop", |report| report.phases.time_to_stop)];

fn handshake(criterion: &mut Criterion) {
    let config = Config::parse("limit=64M").expect("a configuration");
    for (name, polling, blocked) in OTHERS {
        let heap = Heap::new(&config).expect("a heap");
        let last = LastCycle::of(&heap);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (ready, is_ready) = channel();
            let mut wakes = Vec::new();
            for _ in 0..polling {
                let (heap, over, ready) = (&heap, &over, ready.clone());
                scope.spawn(move || {
                    let mut mutator = heap.attach();
                    ready.send(()).expect("the bench waits");
                    while !over.load(Ordering::Relaxed) {
                        mutator.poll();
                    }
                });
            }
            for _ in 0..blocked {
                let (heap, ready) = (&heap, ready.clone());
                let (wake, woken) = channel::<()>();
                wakes.push(wake);
                scope.spawn(move || {
                    let mut mutator = heap.attach();
                    mutator.blocking(|| {
                        ready.send(()).expect("the bench waits");
                        // An error, once nobody can wake it any more.
                        let _ = woken.recv();
                    });
                });
            }
            is_ready.iter().take(polling + blocked).for_each(drop);
            let mut mutator = heap.attach();
            for (figure, of) in FIGURES {
                criterion.bench_function(&format!("{figure}/{name}"), |bencher| {
                    bencher.iter_custom(|iterations| (0..iterations).map(|_| of(&last.run(&mut mutator))).sum());
                });
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

criterion_group!(name = benches; config = settings::criterion(); targets = handshake);
criterion_main!(benches);
