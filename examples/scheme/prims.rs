//! How native procedures are registered.
//!
//! Each library module has `pub fn install<S: Stores>(r: &mut Registry<S>)` that adds its primitives. A primitive is
//! called with its arguments (still on the machine's stack, so they are rooted); missing optional arguments are
//! simply absent from the slice, and the machine has checked the count.

use crate::error::SchemeError;
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub type Answer = Result<Value, SchemeError>;
pub type PrimFn<S> = fn(&mut Vm<S>, &[Value]) -> Answer;

/// One primitive.
pub struct Primitive<S: Stores> {
    pub func: PrimFn<S>,
    pub min: u32,
    /// `u32::MAX`: any number.
    pub max: u32,
    pub name: &'static str,
}

/// Any number of arguments.
pub const ANY: u32 = u32::MAX;

/// The primitives of the base environment.
pub struct Registry<S: Stores> {
    pub all: Vec<Primitive<S>>,
}

impl<S: Stores> Registry<S> {
    /// Adds a primitive of `min` to `max` ([`ANY`]) arguments under `name`.
    pub fn add(&mut self, name: &'static str, min: u32, max: u32, func: PrimFn<S>) {
        self.all.push(Primitive { func, min, max, name });
    }
}
