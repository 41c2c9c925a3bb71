//! The library: everything of the language which is neither syntax nor the machine.
//!
//! [`install`] adds the primitives written in Rust. [`PRELUDE`] is the part written in Scheme, compiled at startup
//! after the core's own prelude: what calls procedures (ports handed to procedures, hash table updates and walks,
//! string searches with predicates) or only combines primitives.

pub mod args;
pub mod numbers;
pub mod ports;
pub mod print;
mod system;
mod tables;
mod text;

use crate::prims::Registry;
use crate::vm::Stores;

/// The library's Scheme part.
pub const PRELUDE: &str = include_str!("prelude.scm");

/// Adds all primitives of the library.
pub fn install<S: Stores>(r: &mut Registry<S>) {
    numbers::install(r);
    text::install(r);
    ports::install(r);
    system::install(r);
    tables::install(r);
}
