//! dumpster: counted references, and a search for cycles among those that were dropped without freeing anything.
//!
//! What is in no cycle is freed at once, so the limit only says when to look for cycles: when as many references were dropped since the last search as make the
//! share of what exists that the limit leaves for what is dead. (The library's own condition is a share of 1, a heap of twice what lives.)

use std::cell::Cell;

pub use std::cell::RefCell as GcCell;

pub use dumpster::Trace;
pub use dumpster::unsync::Gc;
use dumpster::unsync::{CollectInfo, set_collect_condition};

use crate::bench::{Bench, Failure, Workload};

/// What a type of the heap needs beside `Trace`: nothing.
macro_rules! finalized {
    ($type:ident) => {};
}

#[path = "counted/mod.rs"]
mod workloads;

pub use workloads::WORKLOADS;

thread_local! {
    static SHARE: Cell<f64> = const { Cell::new(1.0) };
}

fn is_due(info: &CollectInfo) -> bool {
    info.n_gcs_dropped_since_last_collect() as f64 > info.n_gcs_existing() as f64 * SHARE.get()
}

/// Tells the library the limit.
fn set_limit(bench: &Bench) -> Result<(), Failure> {
    SHARE.set((bench.multiplier()? - 1.0).max(0.05));
    set_collect_condition(is_due);
    Ok(())
}
