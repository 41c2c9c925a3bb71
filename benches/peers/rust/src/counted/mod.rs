//! The workloads for a library with a pointer `Gc` that is cloned and dropped, and a cell `GcCell` to change what it leads to.

use super::{Bench, Failure, Gc, GcCell, Trace, Workload, set_limit};

mod binary_trees;
mod churn;
mod graph;
mod queue;
mod scatter;
mod splay;

/// Bytes that are an object of their own.
type Buffer = Gc<Box<[u8]>>;

fn buffer(bytes: u64, value: u8) -> Buffer {
    Gc::new(vec![value; bytes as usize].into_boxed_slice())
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
