//! What a barrier mechanism costs a page: arming it, the first write to it, and a scan that finds nothing. One number each, for every
//! mechanism that works here, on both backings; `cargo bench --bench mechanisms`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pagemark_gc::barrier::{self, Mechanism};
use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::{Backing, Mapping};
use pagemark_gc::sys::kernel::Kernel;

const PAGES: usize = 4096;

fn write(page: usize) {
    // SAFETY: the page lies in a mapping that the caller keeps; nobody else uses it.
    unsafe { (page as *mut u64).write_volatile(1) };
}

fn mechanisms(criterion: &mut Criterion) {
    for backing in Backing::ALL {
        for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
            let mapping = Mapping::new(*backing, PAGES * PAGE, "bench").expect("16 MB");
            let range = mapping.base()..mapping.base() + PAGES * PAGE;
            let pages = || range.clone().step_by(PAGE);
            pages().for_each(write);
            let opened = barrier::open(mechanism, *backing, std::slice::from_ref(&range), &Kernel::real());
            let Ok(opened) = opened else { continue };
            let arm = || opened.barrier.take_and_arm(range.clone(), &mut |run| _ = black_box(run)).expect("arms");
            let name = |what: &str| format!("{}/{}/{what}", mechanism.name(), backing.name());

            let per_page = |iterations: u64, timed: &dyn Fn() -> Duration| {
                (0..iterations).map(|_| timed()).sum::<Duration>() / PAGES as u32
            };
            criterion.bench_function(&name("arm a written page"), |bencher| {
                bencher.iter_custom(|iterations| {
                    per_page(iterations, &|| {
                        pages().for_each(write);
                        let clock = Instant::now();
                        arm();
                        clock.elapsed()
                    })
                });
            });
            criterion.bench_function(&name("first write to an armed page"), |bencher| {
                bencher.iter_custom(|iterations| {
                    per_page(iterations, &|| {
                        arm();
                        let clock = Instant::now();
                        pages().for_each(write);
                        clock.elapsed()
                    })
                });
            });
            criterion.bench_function(&name("scan an armed page"), |bencher| {
                arm();
                bencher.iter_custom(|iterations| {
                    per_page(iterations, &|| {
                        let clock = Instant::now();
                        arm();
                        clock.elapsed()
                    })
                });
            });
            // The barrier lets go of the memory before it is unmapped.
            drop(opened);
            drop(mapping);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = mechanisms
}
criterion_main!(benches);
