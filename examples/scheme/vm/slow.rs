//! What inlined operations do off their fast paths.

use super::{Stores, Vm};
use crate::error::SchemeError;
use crate::standard::numbers;
use crate::value::Value;

impl<S: Stores> Vm<S> {
    #[cold]
    pub(super) fn slow_lt(&mut self, a: Value, b: Value) -> Result<bool, SchemeError> {
        Ok(numbers::num_lt(self, a, b)?.is_true())
    }
    #[cold]
    pub(super) fn slow_eq(&mut self, a: Value, b: Value) -> Result<bool, SchemeError> {
        Ok(numbers::num_eq(self, a, b)?.is_true())
    }
    #[cold]
    pub(super) fn slow_le(&mut self, a: Value, b: Value) -> Result<bool, SchemeError> {
        Ok(self.slow_lt(a, b)? || self.slow_eq(a, b)?)
    }
    #[cold]
    pub(super) fn slow_primitive(&mut self, name: &'static str, args: &[Value]) -> Result<Value, SchemeError> {
        let prims = *self.shared.prims.get().expect("primitives are installed first");
        let p = prims.iter().find(|p| p.name == name).expect("a standard primitive");
        (p.func)(self, args)
    }
}
