//! The primitives close to the machine: data structures, control, records, errors, threads.

mod bytes;
mod control;
pub mod equal;
mod lists;
mod load;
pub mod special;
mod threads;
mod vectors;

use crate::prims::Registry;
use crate::vm::Stores;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    special::install(r);
    lists::install(r);
    vectors::install(r);
    bytes::install(r);
    control::install(r);
    equal::install(r);
    threads::install(r);
    load::install(r);
}
pub use control::report;
