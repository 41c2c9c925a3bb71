//! Integer division in all its variants, divisors, powers and roots.

use super::tower::{self, Number, Rounding};
use super::{complex, failed, get, need, put};
use crate::error::SchemeError;
use crate::prims::{ANY, Answer, Registry};
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["quotient", "truncate-quotient", "fxquotient", "fxdiv0"] {
        r.add(name, 2, 2, |vm, a| {
            if let (Some(x), Some(y)) = (a[0].to_fixnum(), a[1].to_fixnum())
                && y > 0
            {
                return Ok(Value::fixnum(x / y));
            }
            quotient(vm, "quotient", a, Rounding::Truncate)
        });
    }
    for name in ["remainder", "truncate-remainder", "fxremainder", "fxmod0"] {
        r.add(name, 2, 2, |vm, a| {
            if let (Some(x), Some(y)) = (a[0].to_fixnum(), a[1].to_fixnum())
                && y > 0
            {
                return Ok(Value::fixnum(x % y));
            }
            remainder(vm, "remainder", a, Rounding::Truncate)
        });
    }
    for name in ["modulo", "floor-remainder", "fxmodulo", "fxmod"] {
        r.add(name, 2, 2, |vm, a| {
            if let (Some(x), Some(y)) = (a[0].to_fixnum(), a[1].to_fixnum())
                && y > 0
            {
                return Ok(Value::fixnum(x.rem_euclid(y)));
            }
            remainder(vm, "modulo", a, Rounding::Floor)
        });
    }
    for name in ["floor-quotient", "fxdiv"] {
        r.add(name, 2, 2, |vm, a| quotient(vm, "floor-quotient", a, Rounding::Floor));
    }
    r.add("floor/", 2, 2, |vm, a| both(vm, "floor/", a, Rounding::Floor));
    r.add("truncate/", 2, 2, |vm, a| both(vm, "truncate/", a, Rounding::Truncate));
    // R6RS: the remainder is never negative.
    r.add("div", 2, 2, |vm, a| {
        let (q, _) = euclid("div", a)?;
        put(vm, &q)
    });
    r.add("mod", 2, 2, |vm, a| {
        let (_, m) = euclid("mod", a)?;
        put(vm, &m)
    });
    r.add("gcd", 0, ANY, |vm, a| accumulate(vm, "gcd", a, 0, tower::gcd));
    r.add("lcm", 0, ANY, |vm, a| accumulate(vm, "lcm", a, 1, tower::lcm));
    r.add("exact-integer-sqrt", 1, 1, |vm, a| {
        let n = need("exact-integer-sqrt", a, 0)?;
        let Some(root) = tower::integer_sqrt(&n) else {
            return Err(SchemeError::wrong_type("exact-integer-sqrt", 1, "exact non-negative integer", a[0]));
        };
        let rest = put(vm, &tower::sub(&n, &tower::mul(&root, &root)))?;
        let root = put(vm, &root)?;
        vm.object(Type::Values, 0, &[root, rest])
    });
    for name in ["expt", "flexpt"] {
        r.add(name, 2, 2, |vm, a| {
            let fractional = |v: Value| get(v).is_some_and(|n| !n.is_integer());
            let negative = |v: Value| get(v).is_some_and(|n| n.signum() < 0);
            if complex::either(a[0], a[1]) || negative(a[0]) && fractional(a[1]) {
                return complex::binary(vm, "expt", a[0], a[1], complex::expt);
            }
            let n = tower::expt(&need("expt", a, 0)?, &need("expt", a, 1)?);
            put(vm, &n.map_err(|e| failed("expt", e, a))?)
        });
    }
    r.add("exact-integer-log2", 1, 1, |_, a| match need("exact-integer-log2", a, 0)?.to_big() {
        Some(n) => Ok(Value::fixnum(n.bits() as i64 - 1)),
        None => Err(SchemeError::wrong_type("exact-integer-log2", 1, "exact integer", a[0])),
    });
}

fn divide(who: &str, args: &[Value], mode: Rounding) -> Result<(Number, Number), SchemeError> {
    tower::divide(&need(who, args, 0)?, &need(who, args, 1)?, mode).map_err(|e| failed(who, e, args))
}

fn quotient<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], mode: Rounding) -> Answer {
    put(vm, &divide(who, args, mode)?.0)
}

fn remainder<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], mode: Rounding) -> Answer {
    put(vm, &divide(who, args, mode)?.1)
}

fn both<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value], mode: Rounding) -> Answer {
    let (q, r) = divide(who, args, mode)?;
    let q = put(vm, &q)?;
    let r = put(vm, &r)?;
    vm.object(Type::Values, 0, &[q, r])
}

fn euclid(who: &str, args: &[Value]) -> Result<(Number, Number), SchemeError> {
    let (q, r) = divide(who, args, Rounding::Floor)?;
    if r.signum() >= 0 {
        return Ok((q, r));
    }
    // A negative floor remainder means a negative divisor.
    Ok((tower::add(&q, &Number::Int(1)), tower::sub(&r, &need(who, args, 1)?)))
}

fn accumulate<S: Stores>(
    vm: &mut Vm<S>,
    who: &str,
    args: &[Value],
    unit: i64,
    f: fn(&Number, &Number) -> Result<Number, tower::ArithError>,
) -> Answer {
    let mut sum = Number::Int(unit);
    for i in 0..args.len() {
        sum = f(&sum, &need(who, args, i)?).map_err(|e| failed(who, e, args))?;
    }
    put(vm, &sum)
}
