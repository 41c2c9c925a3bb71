//! Complex numbers in rectangular form (`(scheme complex)`).
//!
//! They stand beside the tower rather than in it: real arithmetic never sees them, and the operations which accept
//! them (`+ - * / =`, the parts, `sqrt`, `exp`, `log`, `expt` and the conversions to text) come here when an operand
//! is one. Both parts are exact or both are inexact, and a number whose imaginary part is an exact zero is real.

use super::text::format_number;
use super::tower::{self, ArithError, Number};
use super::{failed, get, need, put};
use crate::error::SchemeError;
use crate::heap::{field, is_type};
use crate::prims::{Answer, Registry};
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};
use std::cmp::Ordering;

/// A number with both its parts.
pub struct Complex {
    pub re: Number,
    pub im: Number,
}

/// Whether `v` is a number that is not real.
pub fn is_complex(v: Value) -> bool {
    is_type(v, Type::Compnum)
}

/// Whether one of the operands makes an operation complex.
pub fn either(a: Value, b: Value) -> bool {
    is_complex(a) || is_complex(b)
}

/// Any number as a complex one.
pub fn from_value(v: Value) -> Option<Complex> {
    if is_complex(v) {
        return Some(Complex { re: get(field(v, 0))?, im: get(field(v, 1))? });
    }
    Some(Complex { re: get(v)?, im: Number::Int(0) })
}

fn argument(who: &str, args: &[Value], i: usize) -> Result<Complex, SchemeError> {
    from_value(args[i]).ok_or_else(|| SchemeError::wrong_type(who, i + 1, "number", args[i]))
}

/// Puts a complex number on the heap, as a real one if it is.
pub fn to_value<S: Stores>(vm: &Vm<S>, n: &Complex) -> Answer {
    if matches!(n.im, Number::Int(0)) {
        return put(vm, &n.re);
    }
    let parts = if n.re.is_exact() && n.im.is_exact() {
        [put(vm, &n.re)?, put(vm, &n.im)?]
    } else {
        [vm.flonum(n.re.to_f64())?, vm.flonum(n.im.to_f64())?]
    };
    vm.object(Type::Compnum, 0, &parts)
}

type Operation = fn(&Complex, &Complex) -> Result<Complex, ArithError>;

/// A binary operation of which an operand is complex.
pub fn binary<S: Stores>(vm: &mut Vm<S>, who: &str, a: Value, b: Value, f: Operation) -> Answer {
    let args = [a, b];
    let n = f(&argument(who, &args, 0)?, &argument(who, &args, 1)?).map_err(|e| failed(who, e, &args))?;
    to_value(vm, &n)
}

pub fn add(x: &Complex, y: &Complex) -> Result<Complex, ArithError> {
    Ok(Complex { re: tower::add(&x.re, &y.re), im: tower::add(&x.im, &y.im) })
}

pub fn sub(x: &Complex, y: &Complex) -> Result<Complex, ArithError> {
    Ok(Complex { re: tower::sub(&x.re, &y.re), im: tower::sub(&x.im, &y.im) })
}

pub fn mul(x: &Complex, y: &Complex) -> Result<Complex, ArithError> {
    let part = |a: &Number, b: &Number| tower::mul(a, b);
    Ok(Complex {
        re: tower::sub(&part(&x.re, &y.re), &part(&x.im, &y.im)),
        im: tower::add(&part(&x.re, &y.im), &part(&x.im, &y.re)),
    })
}

pub fn div(x: &Complex, y: &Complex) -> Result<Complex, ArithError> {
    let norm = tower::add(&tower::mul(&y.re, &y.re), &tower::mul(&y.im, &y.im));
    let conjugate = Complex { re: y.re.clone(), im: tower::sub(&Number::Int(0), &y.im) };
    let n = mul(x, &conjugate)?;
    Ok(Complex { re: tower::div(&n.re, &norm)?, im: tower::div(&n.im, &norm)? })
}

/// Numeric equality.
pub fn equal(who: &str, a: Value, b: Value) -> Result<bool, SchemeError> {
    let args = [a, b];
    let (x, y) = (argument(who, &args, 0)?, argument(who, &args, 1)?);
    let same = |a, b| tower::compare(a, b) == Some(Ordering::Equal);
    Ok(same(&x.re, &y.re) && same(&x.im, &y.im))
}

fn magnitude(n: &Complex) -> Number {
    if n.re.is_exact() && n.im.is_exact() {
        tower::sqrt(&tower::add(&tower::mul(&n.re, &n.re), &tower::mul(&n.im, &n.im)))
    } else {
        Number::Flo(n.re.to_f64().hypot(n.im.to_f64()))
    }
}

fn angle(n: &Complex) -> f64 {
    n.im.to_f64().atan2(n.re.to_f64())
}

fn polar(magnitude: f64, angle: f64) -> Complex {
    Complex { re: Number::Flo(magnitude * angle.cos()), im: Number::Flo(magnitude * angle.sin()) }
}

/// The principal square root.
pub fn sqrt(n: &Complex) -> Complex {
    if matches!(n.im, Number::Int(0)) {
        if n.re.signum() < 0 {
            return Complex { re: Number::Int(0), im: tower::sqrt(&tower::sub(&Number::Int(0), &n.re)) };
        }
        return Complex { re: tower::sqrt(&n.re), im: Number::Int(0) };
    }
    polar(magnitude(n).to_f64().sqrt(), angle(n) / 2.0)
}

/// `e` to a complex power.
pub fn exp(n: &Complex) -> Complex {
    polar(n.re.to_f64().exp(), n.im.to_f64())
}

/// The principal logarithm.
pub fn log(n: &Complex) -> Complex {
    Complex { re: tower::log(&magnitude(n)), im: Number::Flo(angle(n)) }
}

/// Powers: exact ones by repeated multiplication, the others by logarithms.
pub fn expt(x: &Complex, y: &Complex) -> Result<Complex, ArithError> {
    if let (Number::Int(e), Number::Int(0)) = (&y.re, &y.im)
        && e.unsigned_abs() <= 1 << 16
    {
        let mut product = Complex { re: Number::Int(1), im: Number::Int(0) };
        let mut square = Complex { re: x.re.clone(), im: x.im.clone() };
        let mut rest = e.unsigned_abs();
        while rest > 0 {
            if rest & 1 != 0 {
                product = mul(&product, &square)?;
            }
            square = mul(&square, &square)?;
            rest >>= 1;
        }
        let one = Complex { re: Number::Int(1), im: Number::Int(0) };
        return if *e < 0 { div(&one, &product) } else { Ok(product) };
    }
    if x.re.signum() == 0 && x.im.signum() == 0 {
        return Ok(Complex { re: Number::Int(0), im: Number::Int(0) });
    }
    Ok(exp(&mul(&log(x), y)?))
}

/// The text of a complex number.
pub fn format(n: &Complex, radix: u32) -> String {
    let im = match &n.im {
        Number::Int(1) => "+".to_string(),
        Number::Int(-1) => "-".to_string(),
        im => format_number(im, radix),
    };
    let sign = if im.starts_with(['+', '-']) { "" } else { "+" };
    let re = if matches!(n.re, Number::Int(0)) { String::new() } else { format_number(&n.re, radix) };
    format!("{re}{sign}{im}i")
}

/// The parts of the complex number written in `text`.
pub fn parse(text: &str, radix: u32) -> Option<Complex> {
    let real = |part: &str| super::text::parse_number(part, radix);
    let digits = text.trim_start_matches('#');
    if digits.len() != text.len() {
        // A prefix counts for both parts; it is one letter after each sharp sign.
        let end = text.rfind('#').map_or(0, |at| at + 2);
        let (prefix, rest) = (text.get(..end)?, text.get(end..)?);
        let n = split(rest, |part| super::text::parse_number(&format!("{prefix}{part}"), radix))?;
        return Some(n);
    }
    split(text, real)
}

fn split(text: &str, real: impl Fn(&str) -> Option<Number>) -> Option<Complex> {
    if let Some((magnitude, angle)) = text.split_once('@') {
        return Some(polar(real(magnitude)?.to_f64(), real(angle)?.to_f64()));
    }
    let body = text.strip_suffix(['i', 'I'])?;
    let bytes = body.as_bytes();
    let at = (0..bytes.len())
        .rev()
        .find(|&i| matches!(bytes[i], b'+' | b'-') && !(i > 0 && matches!(bytes[i - 1], b'e' | b'E')))?;
    let re = if at == 0 { Number::Int(0) } else { real(&body[..at])? };
    let im = if at + 1 == body.len() { real(&format!("{}1", &body[at..]))? } else { real(&body[at..])? };
    Some(Complex { re, im })
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("make-rectangular", 2, 2, |vm, a| {
        let (re, im) = (need("make-rectangular", a, 0)?, need("make-rectangular", a, 1)?);
        to_value(vm, &Complex { re, im })
    });
    r.add("make-polar", 2, 2, |vm, a| {
        let (magnitude, angle) = (need("make-polar", a, 0)?, need("make-polar", a, 1)?);
        if matches!(angle, Number::Int(0)) {
            return Ok(a[0]);
        }
        to_value(vm, &polar(magnitude.to_f64(), angle.to_f64()))
    });
    r.add("real-part", 1, 1, |vm, a| {
        if is_complex(a[0]) { Ok(field(a[0], 0)) } else { put(vm, &argument("real-part", a, 0)?.re) }
    });
    r.add("imag-part", 1, 1, |_, a| {
        if is_complex(a[0]) { Ok(field(a[0], 1)) } else { need("imag-part", a, 0).map(|_| Value::fixnum(0)) }
    });
    r.add("magnitude", 1, 1, |vm, a| {
        let n = magnitude(&argument("magnitude", a, 0)?);
        put(vm, &n)
    });
    r.add("angle", 1, 1, |vm, a| {
        let n = argument("angle", a, 0)?;
        let exact_zero = matches!(n.im, Number::Int(0)) && n.re.is_exact() && n.re.signum() > 0;
        if exact_zero { Ok(Value::fixnum(0)) } else { vm.flonum(angle(&n)) }
    });
}
