//! Primitives that the machine carries out itself, because they change the stack or call procedures.
//!
//! They are registered first, so their number in the table tells them from all others.

use crate::error::SchemeError;
use crate::prims::{ANY, Registry};
use crate::vm::Stores;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    Apply,
    ApplyReversed,
    CallCc,
    Spread,
    Throw,
    Eval,
}

const ALL: [(&str, u32, u32, Special); 6] = [
    ("apply", 2, ANY, Special::Apply),
    ("%apply-reversed", 2, 2, Special::ApplyReversed),
    ("call-with-current-continuation", 1, 1, Special::CallCc),
    ("%spread", 2, 2, Special::Spread),
    ("%throw", 2, 2, Special::Throw),
    ("eval", 1, 2, Special::Eval),
];

impl Special {
    #[inline(always)]
    pub fn of(index: usize) -> Option<Special> {
        ALL.get(index).map(|s| s.3)
    }
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for (name, min, max, _) in ALL {
        r.add(name, min, max, |_, _| Err(SchemeError::error("this procedure needs the machine", &[])));
    }
}
