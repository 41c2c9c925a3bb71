//! gc-arena: a graph lives in an arena with one root; references cannot leave it, and it collects when the program says so, a little at a time.
//!
//! Collecting is paced by the arena's own arithmetic, in numbers of objects. After a cycle it sleeps until `sleep_factor` times as many were allocated as
//! had been found alive; then marking keeps up with allocation so that it ends when half as many again were allocated (the library's factors, `mark_factor` and
//! `trace_factor`). So the heap is at its largest at 1 + `sleep_factor` + 0.5 times what lives, which is set to be the limit: at a
//! limit of twice what lives these are the library's defaults. Below that all factors shrink alike.

mod binary_trees;
mod churn;
mod graph;
mod queue;
mod scatter;
mod splay;

use gc_arena::{Gc, Mutation, metrics::Metrics, metrics::Pacing};

use crate::bench::{Bench, Failure, Workload};

/// Those there are.
pub const WORKLOADS: [(&str, Workload); 6] = [
    ("churn", churn::run),
    ("binary-trees", binary_trees::run),
    ("scatter", scatter::run),
    ("queue", queue::run),
    ("graph", graph::run),
    ("splay", splay::run),
];

/// Tells the library the limit.
fn set_limit(bench: &Bench, metrics: &Metrics) -> Result<(), Failure> {
    let spare = (bench.multiplier()? - 1.0).max(0.05);
    let shrink = spare.min(1.0);
    let usual = Pacing::DEFAULT;
    metrics.set_pacing(Pacing {
        sleep_factor: spare - shrink * (usual.mark_factor + usual.trace_factor),
        mark_factor: shrink * usual.mark_factor,
        trace_factor: shrink * usual.trace_factor,
        keep_factor: shrink * usual.keep_factor,
        drop_factor: shrink * usual.drop_factor,
        free_factor: shrink * usual.free_factor,
        ..usual
    });
    Ok(())
}

/// Bytes that are dead at once. Their number is known at run time only, so they are a piece of memory of their own, which the object leads to.
fn garbage(mc: &Mutation<'_>, bytes: u64) {
    if bytes > 0 {
        Gc::new(mc, vec![0u8; bytes as usize].into_boxed_slice());
    }
}
