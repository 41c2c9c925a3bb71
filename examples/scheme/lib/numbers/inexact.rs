//! Roots, exponentials and trigonometry: `(scheme inexact)`.
//!
//! Exact arguments give exact results where the mathematics does at a glance (square roots of squares, the values at
//! zero and one) and flonums otherwise. Results outside the real numbers are NaN, because there are no others.

use super::tower::{self, Number};
use super::{failed, need, put};
use crate::prims::{Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["sqrt", "flsqrt"] {
        r.add(name, 1, 1, |vm, a| {
            let n = need("sqrt", a, 0)?;
            put(vm, &tower::sqrt(&n))
        });
    }
    for name in ["exp", "flexp"] {
        r.add(name, 1, 1, |vm, a| function(vm, "exp", a, 0, 1, f64::exp));
    }
    for name in ["sin", "flsin"] {
        r.add(name, 1, 1, |vm, a| function(vm, "sin", a, 0, 0, f64::sin));
    }
    for name in ["cos", "flcos"] {
        r.add(name, 1, 1, |vm, a| function(vm, "cos", a, 0, 1, f64::cos));
    }
    for name in ["tan", "fltan"] {
        r.add(name, 1, 1, |vm, a| function(vm, "tan", a, 0, 0, f64::tan));
    }
    for name in ["asin", "flasin"] {
        r.add(name, 1, 1, |vm, a| function(vm, "asin", a, 0, 0, f64::asin));
    }
    for name in ["acos", "flacos"] {
        r.add(name, 1, 1, |vm, a| function(vm, "acos", a, 1, 0, f64::acos));
    }
    for name in ["log", "fllog"] {
        r.add(name, 1, 2, |vm, a| {
            let n = tower::log(&need("log", a, 0)?);
            if a.len() == 1 {
                return put(vm, &n);
            }
            let base = tower::log(&need("log", a, 1)?);
            // The logarithms of two and ten have functions of their own, which are exact on powers.
            match (&base, need("log", a, 0)?.to_f64(), need("log", a, 1)?.to_f64()) {
                (_, x, 2.0) if x.is_finite() => vm.flonum(x.log2()),
                (_, x, 10.0) if x.is_finite() => vm.flonum(x.log10()),
                _ => put(vm, &tower::div(&n, &base).map_err(|e| failed("log", e, a))?),
            }
        });
    }
    for name in ["atan", "flatan"] {
        r.add(name, 1, 2, |vm, a| {
            if a.len() == 1 {
                return function(vm, "atan", a, 0, 0, f64::atan);
            }
            let (y, x) = (need("atan", a, 0)?, need("atan", a, 1)?);
            match (&y, &x) {
                (Number::Int(0), x) if x.is_exact() && x.signum() > 0 => Ok(Value::fixnum(0)),
                (Number::Int(0), Number::Int(0)) => Err(failed("atan", tower::ArithError::DivideByZero, a)),
                _ => vm.flonum(y.to_f64().atan2(x.to_f64())),
            }
        });
    }
}

/// A function of one flonum, with one exact argument `from` for which the exact result is `to`.
fn function<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], from: i64, to: i64, f: fn(f64) -> f64) -> Answer {
    match need(who, a, 0)? {
        Number::Int(n) if n == from => Ok(Value::fixnum(to)),
        n => vm.flonum(f(n.to_f64())),
    }
}
