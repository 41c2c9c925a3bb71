//! Exact integers as infinite two's-complement bit strings (the SRFI 151 core and the fixnum names of SRFI 143).

use super::tower::{self, Number};
use super::{failed, need, put};
use crate::error::SchemeError;
use crate::prims::{ANY, Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use num_bigint::BigInt;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["bitwise-and", "fxand", "logand"] {
        r.add(name, 0, ANY, |vm, a| combine(vm, "bitwise-and", a, -1, |x, y| x & y, |x, y| x & y));
    }
    for name in ["bitwise-ior", "fxior", "fxor", "logior"] {
        r.add(name, 0, ANY, |vm, a| combine(vm, "bitwise-ior", a, 0, |x, y| x | y, |x, y| x | y));
    }
    for name in ["bitwise-xor", "fxxor", "logxor"] {
        r.add(name, 0, ANY, |vm, a| combine(vm, "bitwise-xor", a, 0, |x, y| x ^ y, |x, y| x ^ y));
    }
    for name in ["bitwise-not", "fxnot", "lognot"] {
        r.add(name, 1, 1, |vm, a| {
            let n = integer("bitwise-not", a, 0)?;
            put(vm, &tower::sub(&Number::Int(-1), &n))
        });
    }
    for name in ["arithmetic-shift", "ash", "fxarithmetic-shift", "bitwise-arithmetic-shift"] {
        r.add(name, 2, 2, |vm, a| shift(vm, "arithmetic-shift", a, 1));
    }
    for name in ["fxarithmetic-shift-left", "bitwise-arithmetic-shift-left", "shift-left"] {
        r.add(name, 2, 2, |vm, a| shift(vm, "arithmetic-shift-left", a, 1));
    }
    for name in ["fxarithmetic-shift-right", "bitwise-arithmetic-shift-right", "shift-right"] {
        r.add(name, 2, 2, |vm, a| shift(vm, "arithmetic-shift-right", a, -1));
    }
    for name in ["bit-count", "fxbit-count"] {
        r.add(name, 1, 1, |_, a| {
            let n = integer("bit-count", a, 0)?;
            let n = if n.signum() < 0 { tower::sub(&Number::Int(-1), &n) } else { n };
            Ok(Value::fixnum(big(&n).iter_u64_digits().map(|d| i64::from(d.count_ones())).sum()))
        });
    }
    for name in ["integer-length", "fxlength"] {
        r.add(name, 1, 1, |_, a| {
            let n = integer("integer-length", a, 0)?;
            let n = if n.signum() < 0 { tower::sub(&Number::Int(-1), &n) } else { n };
            Ok(Value::fixnum(big(&n).bits() as i64))
        });
    }
    r.add("bit-set?", 2, 2, |_, a| {
        let n = integer("bit-set?", a, 1)?;
        match a[0].to_index() {
            Some(i) => Ok(Value::bool(match n {
                Number::Int(n) => n >> i.min(63) & 1 != 0,
                n => big(&n).bit(i as u64),
            })),
            None => Err(SchemeError::range("bit-set?", 1, a[0])),
        }
    });
}

fn integer(who: &str, args: &[Value], i: usize) -> Result<Number, SchemeError> {
    match need(who, args, i)? {
        n @ (Number::Int(_) | Number::Big(_)) => Ok(n),
        _ => Err(SchemeError::wrong_type(who, i + 1, "exact integer", args[i])),
    }
}

fn big(n: &Number) -> BigInt {
    n.to_big().unwrap_or_default()
}

fn combine<S: Stores>(
    vm: &mut Vm<S>,
    who: &str,
    args: &[Value],
    unit: i64,
    small: fn(i64, i64) -> i64,
    large: fn(BigInt, BigInt) -> BigInt,
) -> Answer {
    let mut sum = Number::Int(unit);
    for i in 0..args.len() {
        sum = match (sum, integer(who, args, i)?) {
            (Number::Int(x), Number::Int(y)) => Number::Int(small(x, y)),
            (x, y) => tower::from_big(large(big(&x), big(&y))),
        };
    }
    put(vm, &sum)
}

fn shift<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], direction: i64) -> Answer {
    let n = integer(who, args, 0)?;
    let Some(by) = args[1].to_fixnum() else {
        return Err(SchemeError::wrong_type(who, 2, "fixnum", args[1]));
    };
    put(vm, &tower::shift(&n, by * direction).map_err(|e| failed(who, e, args))?)
}
