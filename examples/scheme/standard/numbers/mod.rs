//! Numbers on the heap.
//!
//! This module carries numbers between their heap representation (fixnums, flonums, bignums of 64-bit limbs, ratnums
//! with two integer fields) and [`tower::Number`], and has the quick paths for what the interpreter's inline fixnum
//! instructions hand over: flonums, mixed operands and fixnum overflow. The primitives are in the submodules, by
//! subject.

mod arith;
mod bits;
pub mod complex;
mod inexact;
mod integers;
mod predicates;
mod random;
pub mod text;
pub mod tower;

use crate::error::SchemeError;
use crate::heap::{field, first_word, flags, flonum_value, is_flonum, is_type, size};
use crate::prims::{Answer, Registry};
use crate::value::{FLAG_NEGATIVE, Type, Value, header_kind, kind_of};
use crate::vm::{Stores, Vm};
use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use std::cmp::Ordering;
use tower::{ArithError, Number};

/// Adds all numeric primitives.
pub fn install<S: Stores>(r: &mut Registry<S>) {
    predicates::install(r);
    arith::install(r);
    integers::install(r);
    inexact::install(r);
    bits::install(r);
    random::install(r);
    complex::install(r);
}

/// The real number a value stands for; `None` if it is none.
pub fn get(v: Value) -> Option<Number> {
    if v.is_fixnum() {
        return Some(Number::Int(v.as_fixnum()));
    }
    let kind = header_kind(first_word(v));
    if kind == kind_of(Type::Flonum) {
        Some(Number::Flo(flonum_value(v)))
    } else if kind == kind_of(Type::Bignum) {
        Some(tower::from_big(big(v)))
    } else if kind == kind_of(Type::Ratnum) {
        let part = |i| match get(field(v, i)) {
            Some(n) => n.to_big().unwrap_or_default(),
            None => BigInt::default(),
        };
        Some(Number::Rat(BigRational::new_raw(part(0), part(1))))
    } else {
        None
    }
}

fn big(v: Value) -> BigInt {
    let mut digits = Vec::with_capacity(2 * size(v));
    for i in 0..size(v) {
        let limb = crate::heap::bignum_limb(v, i);
        digits.push(limb as u32);
        digits.push((limb >> 32) as u32);
    }
    let sign = if flags(v) & FLAG_NEGATIVE != 0 { Sign::Minus } else { Sign::Plus };
    BigInt::from_biguint(sign, BigUint::new(digits))
}

/// Argument `i` (from 0) as a number.
pub fn need(who: &str, args: &[Value], i: usize) -> Result<Number, SchemeError> {
    get(args[i]).ok_or_else(|| SchemeError::wrong_type(who, i + 1, "number", args[i]))
}

/// Puts a number on the heap.
pub fn put<S: Stores>(vm: &Vm<S>, n: &Number) -> Answer {
    match n {
        Number::Int(i) => match Value::try_fixnum(*i) {
            Some(v) => Ok(v),
            None => vm.bignum(*i < 0, &[i.unsigned_abs()]),
        },
        Number::Big(b) => {
            let limbs: Vec<u64> = b.iter_u64_digits().collect();
            vm.bignum(b.sign() == Sign::Minus, &limbs)
        }
        Number::Rat(r) => {
            let numerator = put(vm, &tower::from_big(r.numer().clone()))?;
            let denominator = put(vm, &tower::from_big(r.denom().clone()))?;
            vm.object(Type::Ratnum, 0, &[numerator, denominator])
        }
        Number::Flo(f) => vm.flonum(*f),
    }
}

/// Turns the failure of an operation into a Scheme error.
pub fn failed(who: &str, why: ArithError, args: &[Value]) -> SchemeError {
    SchemeError::error(format!("{who}: {}:", why.message()), args)
}

/// The value as a flonum, if it is a flonum or a fixnum which one holds exactly: the mixed operands worth a quick
/// path.
#[inline]
fn quick_float(v: Value) -> Option<f64> {
    if is_flonum(v) {
        Some(flonum_value(v))
    } else {
        let n = v.to_fixnum()?;
        (n.unsigned_abs() <= 1 << 53).then_some(n as f64)
    }
}

/// Both operands as flonums if the result must be one and they allow the quick path.
#[inline]
fn quick_floats(a: Value, b: Value) -> Option<(f64, f64)> {
    if a.is_fixnum() && b.is_fixnum() {
        return None;
    }
    Some((quick_float(a)?, quick_float(b)?))
}

#[inline]
fn operands(who: &str, a: Value, b: Value) -> Result<(Number, Number), SchemeError> {
    let args = [a, b];
    Ok((need(who, &args, 0)?, need(who, &args, 1)?))
}

/// `(+ a b)`
pub fn add<S: Stores>(vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    if let Some((x, y)) = quick_floats(a, b) {
        return vm.flonum(x + y);
    }
    if complex::either(a, b) {
        return complex::binary(vm, "+", a, b, complex::add);
    }
    let (x, y) = operands("+", a, b)?;
    put(vm, &tower::add(&x, &y))
}

/// `(- a b)`
pub fn sub<S: Stores>(vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    if let Some((x, y)) = quick_floats(a, b) {
        return vm.flonum(x - y);
    }
    if complex::either(a, b) {
        return complex::binary(vm, "-", a, b, complex::sub);
    }
    let (x, y) = operands("-", a, b)?;
    put(vm, &tower::sub(&x, &y))
}

/// `(* a b)`
pub fn mul<S: Stores>(vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    if let Some((x, y)) = quick_floats(a, b) {
        return vm.flonum(x * y);
    }
    if complex::either(a, b) {
        return complex::binary(vm, "*", a, b, complex::mul);
    }
    let (x, y) = operands("*", a, b)?;
    put(vm, &tower::mul(&x, &y))
}

/// `(/ a b)`
pub fn div<S: Stores>(vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    if let Some((x, y)) = quick_floats(a, b)
        && !b.is_fixnum()
    {
        return vm.flonum(x / y);
    }
    if complex::either(a, b) {
        return complex::binary(vm, "/", a, b, complex::div);
    }
    let (x, y) = operands("/", a, b)?;
    let q = tower::div(&x, &y).map_err(|e| failed("/", e, &[a, b]))?;
    put(vm, &q)
}

/// Numeric order; `None` if either is NaN, or if complex numbers differ.
#[inline]
pub fn compare(who: &str, a: Value, b: Value) -> Result<Option<Ordering>, SchemeError> {
    if a.is_fixnum() && b.is_fixnum() {
        return Ok(Some(a.as_fixnum().cmp(&b.as_fixnum())));
    }
    if let Some((x, y)) = quick_floats(a, b) {
        return Ok(x.partial_cmp(&y));
    }
    if who == "=" && complex::either(a, b) {
        return Ok(complex::equal(who, a, b)?.then_some(Ordering::Equal));
    }
    let (x, y) = operands(who, a, b)?;
    Ok(tower::compare(&x, &y))
}

/// `(= a b)`
pub fn num_eq<S: Stores>(_vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    Ok(Value::bool(compare("=", a, b)? == Some(Ordering::Equal)))
}

/// `(< a b)`
pub fn num_lt<S: Stores>(_vm: &mut Vm<S>, a: Value, b: Value) -> Answer {
    Ok(Value::bool(compare("<", a, b)? == Some(Ordering::Less)))
}

/// `eqv?` on two values of which at least one is a heap number: the same exactness and the same number, telling -0.0
/// from 0.0.
pub fn num_eqv(a: Value, b: Value) -> bool {
    if complex::is_complex(a) && complex::is_complex(b) {
        return num_eqv(field(a, 0), field(b, 0)) && num_eqv(field(a, 1), field(b, 1));
    }
    match (get(a), get(b)) {
        (Some(Number::Flo(x)), Some(Number::Flo(y))) => x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(),
        (Some(Number::Flo(_)), _) | (_, Some(Number::Flo(_))) => false,
        (Some(x), Some(y)) => tower::compare(&x, &y) == Some(Ordering::Equal),
        _ => false,
    }
}

/// Whether `v` is a real number.
pub fn is_real(v: Value) -> bool {
    v.is_fixnum() || is_type(v, Type::Flonum) || is_type(v, Type::Bignum) || is_type(v, Type::Ratnum)
}

/// The number written in `text`, for the reader and `string->number`.
pub fn parse_number<S: Stores>(vm: &mut Vm<S>, text: &str, radix: u32) -> Result<Option<Value>, SchemeError> {
    match text::parse_number(text, radix) {
        Some(n) => put(vm, &n).map(Some),
        None => complex::parse(text, radix).map(|n| complex::to_value(vm, &n)).transpose(),
    }
}

/// Whether `text` is the syntax of a number.
pub fn is_number_text(text: &str, radix: u32) -> bool {
    text::parse_number(text, radix).is_some() || complex::parse(text, radix).is_some()
}
