//! Running a model in every interleaving, up to a bound.
//!
//! Errors of synchronisation nearly always show with two switches of threads at places where nothing made the thread wait (Musuvathi &
//! Qadeer, PLDI 2007: iterative context bounding); switches where a thread waits or ends are always all tried. Each test names its
//! bound, so that all together take minutes; `LOOM_MAX_PREEMPTIONS` overrides it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Steps of one interleaving; more means a loop that waits without saying so.
const STEPS: usize = 20_000;

/// Runs `model` for each interleaving with at most `preemptions` preemptions, and says how many there were.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = builder.max_branches.max(STEPS);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} interleavings", runs.load(Ordering::Relaxed));
}
