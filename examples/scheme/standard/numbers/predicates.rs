//! Predicates and comparisons of numbers.

use super::tower::{Number, Rounding, divide};
use super::{compare, complex, get, is_real, need};
use crate::error::SchemeError;
use crate::prims::{ANY, Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use std::cmp::Ordering;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["number?", "complex?"] {
        r.add(name, 1, 1, |_, a| Ok(Value::bool(is_real(a[0]) || complex::is_complex(a[0]))));
    }
    r.add("real?", 1, 1, |_, a| Ok(Value::bool(is_real(a[0]))));
    r.add("rational?", 1, 1, |_, a| classify(a[0], |n| !matches!(n, Number::Flo(f) if !f.is_finite())));
    r.add("integer?", 1, 1, |_, a| classify(a[0], Number::is_integer));
    r.add("exact-rational?", 1, 1, |_, a| classify(a[0], Number::is_exact));
    r.add("exact-integer?", 1, 1, |_, a| classify(a[0], is_exact_integer));
    r.add("exact-nonnegative-integer?", 1, 1, |_, a| classify(a[0], |n| is_exact_integer(n) && n.signum() >= 0));
    r.add("fixnum?", 1, 1, |_, a| Ok(Value::bool(a[0].is_fixnum())));
    r.add("flonum?", 1, 1, |_, a| classify(a[0], |n| !n.is_exact()));

    r.add("exact?", 1, 1, |_, a| test_parts("exact?", a, true, Number::is_exact));
    r.add("inexact?", 1, 1, |_, a| test_parts("inexact?", a, true, |n| !n.is_exact()));
    r.add("nan?", 1, 1, |_, a| test_parts("nan?", a, false, |n| n.to_f64().is_nan()));
    r.add("finite?", 1, 1, |_, a| test_parts("finite?", a, true, |n| !matches!(n, Number::Flo(f) if !f.is_finite())));
    r.add("infinite?", 1, 1, |_, a| {
        test_parts("infinite?", a, false, |n| matches!(n, Number::Flo(f) if f.is_infinite()))
    });
    r.add("zero?", 1, 1, |_, a| {
        test_parts("zero?", a, true, |n| n.signum() == 0 && !matches!(n, Number::Flo(f) if f.is_nan()))
    });
    r.add("positive?", 1, 1, |_, a| test("positive?", a, |n| n.signum() > 0));
    r.add("negative?", 1, 1, |_, a| test("negative?", a, |n| n.signum() < 0));
    r.add("odd?", 1, 1, |_, a| parity("odd?", a, true));
    r.add("even?", 1, 1, |_, a| parity("even?", a, false));

    for name in ["=", "fx=?", "fx=", "fl=?", "fl="] {
        r.add(name, 1, ANY, |_, a| chain("=", a, |o| o == Ordering::Equal));
    }
    for name in ["<", "fx<?", "fx<", "fl<?", "fl<"] {
        r.add(name, 1, ANY, |_, a| chain("<", a, |o| o == Ordering::Less));
    }
    for name in [">", "fx>?", "fx>", "fl>?", "fl>"] {
        r.add(name, 1, ANY, |_, a| chain(">", a, |o| o == Ordering::Greater));
    }
    for name in ["<=", "fx<=?", "fx<=", "fl<=?", "fl<="] {
        r.add(name, 1, ANY, |_, a| chain("<=", a, |o| o != Ordering::Greater));
    }
    for name in [">=", "fx>=?", "fx>=", "fl>=?", "fl>="] {
        r.add(name, 1, ANY, |_, a| chain(">=", a, |o| o != Ordering::Less));
    }
}

fn is_exact_integer(n: &Number) -> bool {
    n.is_exact() && n.is_integer()
}

/// A predicate which is false for everything but numbers.
fn classify(v: Value, f: impl Fn(&Number) -> bool) -> Answer {
    Ok(Value::bool(get(v).is_some_and(|n| f(&n))))
}

/// A predicate which wants a real number.
fn test(who: &str, args: &[Value], f: impl Fn(&Number) -> bool) -> Answer {
    Ok(Value::bool(f(&need(who, args, 0)?)))
}

/// A predicate of which one part (`all` false) or both parts of a complex number decide.
fn test_parts(who: &str, args: &[Value], all: bool, f: impl Fn(&Number) -> bool) -> Answer {
    match complex::from_value(args[0]) {
        Some(n) if complex::is_complex(args[0]) => {
            Ok(Value::bool(if all { f(&n.re) && f(&n.im) } else { f(&n.re) || f(&n.im) }))
        }
        _ => test(who, args, f),
    }
}

fn parity(who: &str, args: &[Value], odd: bool) -> Answer {
    if let Some(n) = args[0].to_fixnum() {
        return Ok(Value::bool((n & 1 != 0) == odd));
    }
    let n = need(who, args, 0)?;
    match divide(&n, &Number::Int(2), Rounding::Truncate) {
        Ok((_, r)) => Ok(Value::bool((r.signum() != 0) == odd)),
        Err(_) => Err(SchemeError::wrong_type(who, 1, "integer", args[0])),
    }
}

/// A comparison of neighbours; all arguments must be numbers even when the answer is clear before the end.
fn chain(who: &str, args: &[Value], f: impl Fn(Ordering) -> bool) -> Answer {
    if args.len() == 1 {
        need(who, args, 0)?;
    }
    let mut all = true;
    for pair in args.windows(2) {
        all &= compare(who, pair[0], pair[1])?.is_some_and(&f);
    }
    Ok(Value::bool(all))
}

/// The numerically least or greatest argument, inexact if any argument is.
pub fn extreme<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], wanted: Ordering) -> Answer {
    let mut best = args[0];
    let mut exact = true;
    for (i, &v) in args.iter().enumerate() {
        exact &= need(who, args, i)?.is_exact();
        match compare(who, v, best)? {
            None => return vm.flonum(f64::NAN),
            Some(o) if o == wanted => best = v,
            Some(_) => {}
        }
    }
    match get(best) {
        Some(n) if !exact && n.is_exact() => vm.flonum(n.to_f64()),
        _ => Ok(best),
    }
}
