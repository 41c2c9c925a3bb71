//! What arming costs a page: `cargo bench --bench arm`.
//!
//! All pages of 16 MB are writable and were written; one call arms them. The figure is for a page.

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "support/pages.rs"]
mod pages;
#[path = "support/settings.rs"]
mod settings;

use pages::{PAGES, Tracked, each_takes};

fn arm(criterion: &mut Criterion) {
    Tracked::each(|name, tracked| {
        let work = || assert_eq!(tracked.take_and_arm(), PAGES);
        criterion.bench_function(&format!("arm/{name}"), |bencher| {
            bencher.iter_custom(|iterations| each_takes(iterations, PAGES, || tracked.rewrite(), work));
        });
    });
}

criterion_group!(name = benches; config = settings::criterion(); targets = arm);
criterion_main!(benches);
