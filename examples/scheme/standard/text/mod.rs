//! Characters and strings.

mod chars;
mod compare;
mod convert;
mod search;
mod strings;

use crate::prims::Registry;
use crate::vm::Stores;

pub use chars::char_name;

/// Adds all primitives on characters and strings.
pub fn install<S: Stores>(r: &mut Registry<S>) {
    chars::install(r);
    strings::install(r);
    compare::install(r);
    convert::install(r);
    search::install(r);
}
