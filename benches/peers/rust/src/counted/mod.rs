//! The workloads for a library with a pointer `Gc` that is cloned and dropped, and a cell `GcCell` to change what it leads to.

use super::{Bench, Failure, Gc, GcCell, Trace, Workload, set_limit};

mod binary_trees;
mod churn;
mod graph;
mod queue;
mod scatter;
mod splay;

/// Bytes that are dead at once. Their number is known at run time only, so they are a piece of memory of their own, which the object leads to.
fn garbage(bytes: u64) {
    if bytes > 0 {
        drop(Gc::new(vec![0u8; bytes as usize].into_boxed_slice()));
    }
}

/// Those there are.
pub const WORKLOADS: [(&str, Workload); 6] = [
    ("churn", churn::run),
    ("binary-trees", binary_trees::run),
    ("scatter", scatter::run),
    ("queue", queue::run),
    ("graph", graph::run),
    ("splay", splay::run),
];
