//! Roots, exponentials and trigonometry: `(scheme inexact)`.
//!
//! Exact arguments give exact results where the mathematics does at a glance (square roots of squares, the values at
//! zero and one) and flonums otherwise. Roots, exponentials and logarithms leave the real numbers where they must; the
//! trigonometric functions stay there and give NaN.

use super::complex::{self, is_complex};
use super::tower::{self, Number};
use super::{failed, need, put};
use crate::error::SchemeError;
use crate::prims::{Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["sqrt", "flsqrt"] {
        r.add(name, 1, 1, |vm, a| {
            if let Some(n) = complex::from_value(a[0])
                && (is_complex(a[0]) || n.re.signum() < 0)
            {
                return complex::to_value(vm, &complex::sqrt(&n));
            }
            let n = need("sqrt", a, 0)?;
            put(vm, &tower::sqrt(&n))
        });
    }
    for name in ["exp", "flexp"] {
        r.add(name, 1, 1, |vm, a| match complex::from_value(a[0]) {
            Some(n) if is_complex(a[0]) => complex::to_value(vm, &complex::exp(&n)),
            _ => function(vm, "exp", a, 0, 1, f64::exp),
        });
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
            let negative = |v: &Value| complex::from_value(*v).is_some_and(|n| n.re.signum() < 0);
            if a.iter().any(|v| is_complex(*v) || negative(v)) {
                return complex_log(vm, a);
            }
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

fn complex_log<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let part = |i: usize| match complex::from_value(a[i]) {
        Some(n) => Ok(complex::log(&n)),
        None => Err(SchemeError::wrong_type("log", i + 1, "number", a[i])),
    };
    let n = part(0)?;
    let n = if a.len() > 1 { complex::div(&n, &part(1)?).map_err(|e| failed("log", e, a))? } else { n };
    complex::to_value(vm, &n)
}
