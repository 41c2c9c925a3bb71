//! What finding the written pages costs, and arming those again: `cargo bench --bench scan`.
//!
//! All pages of 16 MB are armed, and none or one in a hundred or one in ten was written since. The figure is for a page looked at, not for one that was
//! found: it is what a round costs, by the size of the heap.

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "support/pages.rs"]
mod pages;
#[path = "support/settings.rs"]
mod settings;

use pages::{PAGES, Tracked, each_takes};

/// Names, and one in how many pages is written.
const DIRTY: [(&str, usize); 2] = [("1% dirty", 100), ("10% dirty", 10)];

fn scan(criterion: &mut Criterion) {
    Tracked::each(|name, tracked| {
        tracked.take_and_arm();
        criterion.bench_function(&format!("scan/{name}/clean"), |bencher| {
            bencher.iter_custom(|iterations| each_takes(iterations, PAGES, || (), || _ = tracked.take_and_arm()));
        });
        for (dirty, stride) in DIRTY {
            let work = || assert!(tracked.take_and_arm() >= PAGES / stride);
            criterion.bench_function(&format!("scan/{name}/{dirty}"), |bencher| {
                bencher.iter_custom(|iterations| each_takes(iterations, PAGES, || tracked.write(stride), work));
            });
        }
    });
}

criterion_group!(name = benches; config = settings::criterion(); targets = scan);
criterion_main!(benches);
