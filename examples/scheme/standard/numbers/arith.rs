//! `+ - * /` and the rest of the arithmetic that keeps the exactness of its operands, and numbers as text.
//!
//! The `fx` and `fl` names (SRFI 143 and 144) are the generic operations under other names: programs written for them
//! run, but operands of the wrong kind are not refused.

use super::tower::{self, Number, Rounding};
use super::{add, complex, div, failed, mul, need, parse_number, predicates, put, sub, text};
use crate::error::SchemeError;
use crate::heap::{is_string, str_to_rust};
use crate::prims::{ANY, Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use std::cmp::Ordering;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["+", "fx+", "fl+"] {
        r.add(name, 0, ANY, |vm, a| fold(vm, "+", a, Value::fixnum(0), add));
    }
    for name in ["*", "fx*", "fl*"] {
        r.add(name, 0, ANY, |vm, a| fold(vm, "*", a, Value::fixnum(1), mul));
    }
    for name in ["-", "fx-", "fl-"] {
        r.add(name, 1, ANY, |vm, a| if a.len() == 1 { negate(vm, a) } else { reduce(vm, a, sub) });
    }
    for name in ["/", "fl/"] {
        r.add(name, 1, ANY, |vm, a| match a {
            [one] => div(vm, Value::fixnum(1), *one),
            _ => reduce(vm, a, div),
        });
    }
    for name in ["1+", "add1"] {
        r.add(name, 1, 1, |vm, a| add(vm, a[0], Value::fixnum(1)));
    }
    for name in ["-1+", "1-", "sub1"] {
        r.add(name, 1, 1, |vm, a| sub(vm, a[0], Value::fixnum(1)));
    }
    for name in ["square", "fxsquare", "flsquare"] {
        r.add(name, 1, 1, |vm, a| mul(vm, a[0], a[0]));
    }
    for name in ["abs", "fxabs", "flabs"] {
        r.add(name, 1, 1, |vm, a| match need("abs", a, 0)? {
            Number::Flo(f) => vm.flonum(f.abs()),
            n if n.signum() < 0 => sub(vm, Value::fixnum(0), a[0]),
            _ => Ok(a[0]),
        });
    }
    for name in ["min", "fxmin", "flmin"] {
        r.add(name, 1, ANY, |vm, a| predicates::extreme(vm, "min", a, Ordering::Less));
    }
    for name in ["max", "fxmax", "flmax"] {
        r.add(name, 1, ANY, |vm, a| predicates::extreme(vm, "max", a, Ordering::Greater));
    }
    for name in ["floor", "flfloor"] {
        r.add(name, 1, 1, |vm, a| rounded(vm, "floor", a, Rounding::Floor));
    }
    for name in ["ceiling", "flceiling"] {
        r.add(name, 1, 1, |vm, a| rounded(vm, "ceiling", a, Rounding::Ceiling));
    }
    for name in ["truncate", "fltruncate"] {
        r.add(name, 1, 1, |vm, a| rounded(vm, "truncate", a, Rounding::Truncate));
    }
    for name in ["round", "flround"] {
        r.add(name, 1, 1, |vm, a| rounded(vm, "round", a, Rounding::Round));
    }
    r.add("floor->exact", 1, 1, |vm, a| rounded_exact(vm, "floor->exact", a, Rounding::Floor));
    r.add("round->exact", 1, 1, |vm, a| rounded_exact(vm, "round->exact", a, Rounding::Round));
    r.add("truncate->exact", 1, 1, |vm, a| rounded_exact(vm, "truncate->exact", a, Rounding::Truncate));
    for name in ["exact", "inexact->exact"] {
        r.add(name, 1, 1, |vm, a| {
            if let Some(n) = complex::from_value(a[0])
                && complex::is_complex(a[0])
            {
                let part = |n: &Number| n.to_exact().map_err(|e| failed("exact", e, a));
                return complex::to_value(vm, &complex::Complex { re: part(&n.re)?, im: part(&n.im)? });
            }
            let n = need("exact", a, 0)?;
            if n.is_exact() { Ok(a[0]) } else { put(vm, &n.to_exact().map_err(|e| failed("exact", e, a))?) }
        });
    }
    for name in ["inexact", "exact->inexact", "fixnum->flonum", "flonum"] {
        r.add(name, 1, 1, |vm, a| {
            if let Some(n) = complex::from_value(a[0])
                && complex::is_complex(a[0])
            {
                return complex::to_value(vm, &complex::Complex { re: n.re.to_inexact(), im: n.im.to_inexact() });
            }
            match need("inexact", a, 0)? {
                Number::Flo(_) => Ok(a[0]),
                n => vm.flonum(n.to_f64()),
            }
        });
    }
    r.add("numerator", 1, 1, |vm, a| {
        let parts = tower::fraction(&need("numerator", a, 0)?).map_err(|e| failed("numerator", e, a))?;
        put(vm, &parts.0)
    });
    r.add("denominator", 1, 1, |vm, a| {
        let parts = tower::fraction(&need("denominator", a, 0)?).map_err(|e| failed("denominator", e, a))?;
        put(vm, &parts.1)
    });
    r.add("rationalize", 2, 2, |vm, a| {
        let n = tower::rationalize(&need("rationalize", a, 0)?, &need("rationalize", a, 1)?);
        put(vm, &n.map_err(|e| failed("rationalize", e, a))?)
    });
    r.add("number->string", 1, 2, |vm, a| {
        let radix = radix("number->string", a)?;
        if let Some(n) = complex::from_value(a[0])
            && complex::is_complex(a[0])
        {
            return vm.string_from(&complex::format(&n, radix));
        }
        let n = need("number->string", a, 0)?;
        vm.string_from(&text::format_number(&n, radix))
    });
    r.add("string->number", 1, 2, |vm, a| {
        if !is_string(a[0]) {
            return Err(SchemeError::wrong_type("string->number", 1, "string", a[0]));
        }
        let radix = radix("string->number", a)?;
        Ok(parse_number(vm, &str_to_rust(a[0]), radix)?.unwrap_or(Value::FALSE))
    });
}

fn radix(who: &str, args: &[Value]) -> Result<u32, SchemeError> {
    match args.get(1) {
        None => Ok(10),
        Some(v) => match v.to_index() {
            Some(n @ 2..=36) => Ok(n as u32),
            _ => Err(SchemeError::range(who, 2, *v)),
        },
    }
}

type Binary<S> = fn(&mut Vm<S>, Value, Value) -> Answer;

fn fold<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], unit: Value, f: Binary<S>) -> Answer {
    match args {
        [] => Ok(unit),
        [one] if complex::is_complex(*one) => Ok(*one),
        [one] => need(who, args, 0).map(|_| *one),
        _ => reduce(vm, args, f),
    }
}

fn reduce<S: Stores>(vm: &mut Vm<S>, args: &[Value], f: Binary<S>) -> Answer {
    args[1..].iter().try_fold(args[0], |sum, v| f(vm, sum, *v))
}

/// `(- x)`: not the same as `(- 0 x)` for a flonum zero.
fn negate<S: Stores>(vm: &mut Vm<S>, args: &[Value]) -> Answer {
    if complex::is_complex(args[0]) {
        return sub(vm, Value::fixnum(0), args[0]);
    }
    match need("-", args, 0)? {
        Number::Flo(f) => vm.flonum(-f),
        n => put(vm, &tower::sub(&Number::Int(0), &n)),
    }
}

fn rounded<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], mode: Rounding) -> Answer {
    if args[0].is_fixnum() {
        return Ok(args[0]);
    }
    put(vm, &tower::round(&need(who, args, 0)?, mode))
}

fn rounded_exact<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], mode: Rounding) -> Answer {
    let n = tower::round(&need(who, args, 0)?, mode).to_exact().map_err(|e| failed(who, e, args))?;
    put(vm, &n)
}
