//! gc (its repository is rust-gc): a stop-the-world mark-sweep collector; a count in each object says how many references lead to it from outside of the
//! heap.
//!
//! After a collection the next one is due when the heap has grown to what lives divided by `used_space_ratio`, which is set so that this is the limit.

pub use gc::{Gc, GcCell, Trace};

use crate::bench::{Bench, Failure, Workload};

/// What a type of the heap needs beside `Trace`: a finalizer, which does nothing.
macro_rules! finalized {
    ($type:ident) => {
        impl ::gc::Finalize for $type {}
    };
}

// Its derive macro is of an old style.
#[allow(non_local_definitions)]
#[path = "counted/mod.rs"]
mod workloads;

pub use workloads::WORKLOADS;

/// Tells the library the limit.
fn set_limit(bench: &Bench) -> Result<(), Failure> {
    let ratio = (1.0 / bench.multiplier()?).min(0.95);
    gc::configure(|config| config.used_space_ratio = ratio);
    Ok(())
}
