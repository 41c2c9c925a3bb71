//! What the first write to an armed page costs the thread that writes: `cargo bench --bench fault`.
//!
//! Every eighth page of 16 MB is written, all of which are armed. The figure is for a page written. Under `async` the kernel resolves the fault, under
//! `sync` another thread, under `sigbus` and `mprotect` a signal handler on the writing thread.
//!
//! `fault/none` is the same writes where no page is armed: what they cost anyway.

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "support/pages.rs"]
mod pages;
#[path = "support/settings.rs"]
mod settings;

use pages::{PAGES, Tracked, each_takes};

const STRIDE: usize = 8;

fn fault(criterion: &mut Criterion) {
    Tracked::each(|name, tracked| {
        let write = || tracked.write(STRIDE);
        criterion.bench_function(&format!("fault/{name}"), |bencher| {
            bencher
                .iter_custom(|iterations| each_takes(iterations, PAGES / STRIDE, || _ = tracked.take_and_arm(), write));
        });
        // Once for each backing, and only where there is something to compare with.
        if let Some(backing) = name.strip_prefix("async/") {
            criterion.bench_function(&format!("fault/none/{backing}"), |bencher| {
                bencher.iter_custom(|iterations| each_takes(iterations, PAGES / STRIDE, || tracked.rewrite(), write));
            });
        }
    });
}

criterion_group!(name = benches; config = settings::criterion(); targets = fault);
criterion_main!(benches);
