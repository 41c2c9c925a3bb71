//! Helpers shared by the tests.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use pagemark::typed::Mutator;

mod child;
mod graph;
pub mod scheme;
pub mod timeline;
mod watchdog;

pub use child::{in_child, succeeds_in_child};
pub use graph::while_a_graph_changes;
pub use watchdog::{Watchdog, dump_threads};

/// Runs `work` while a mutator of the same heap on another thread does nothing but collect.
pub fn while_collecting<R>(m: &mut Mutator, work: impl FnOnce(&mut Mutator) -> R) -> R {
    let heap = m.heap().clone();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let mut m = heap.attach();
            while !over.load(Ordering::Relaxed) {
                m.collect();
            }
        });
        // A failed assertion must not leave the other thread waiting for this one's safepoint.
        let result = catch_unwind(AssertUnwindSafe(|| work(m)));
        over.store(true, Ordering::Relaxed);
        m.blocking(|| collecting.join()).expect("collecting does not panic");
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}
