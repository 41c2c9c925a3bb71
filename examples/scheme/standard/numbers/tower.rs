//! The numeric tower without the heap: fixed-width integers, big integers, exact ratios and flonums.
//!
//! Every operation of the language is first defined here, on plain Rust values, so that the reader (which meets
//! numbers before there is a heap), the printer and the primitives agree on one arithmetic. A `Number` is always
//! normalised: `Big` never holds what fits an `i64`, and `Rat` never has the denominator one. `numbers::mod` puts the
//! results on the heap and holds the quick paths for the frequent cases.

use num_bigint::BigInt;
use num_integer::{Integer, Roots};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// A Scheme real number.
#[derive(Clone, Debug)]
pub enum Number {
    /// An exact integer of at most 64 bits.
    Int(i64),
    /// Any other exact integer.
    Big(BigInt),
    /// An exact non-integer.
    Rat(BigRational),
    /// An inexact real.
    Flo(f64),
}

use Number::{Big, Flo, Int, Rat};

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithError {
    /// Exact division by exact zero.
    DivideByZero,
    /// An integer was needed.
    NotInteger,
    /// The result would be outside what this implementation represents.
    OutOfRange,
}

impl ArithError {
    /// The message of the Scheme condition.
    pub fn message(self) -> &'static str {
        match self {
            ArithError::DivideByZero => "division by zero",
            ArithError::NotInteger => "not an integer",
            ArithError::OutOfRange => "number out of range",
        }
    }
}

/// Which way an integer division or a conversion to an integer rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards negative infinity.
    Floor,
    /// Towards positive infinity.
    Ceiling,
    /// Towards zero.
    Truncate,
    /// To the nearest, ties to even.
    Round,
}

/// The exact integer `n` in its smallest representation.
pub fn from_big(n: BigInt) -> Number {
    match n.to_i64() {
        Some(i) => Int(i),
        None => Big(n),
    }
}

/// The exact ratio `r` in its smallest representation.
pub fn from_ratio(r: BigRational) -> Number {
    if r.is_integer() { from_big(r.to_integer()) } else { Rat(r) }
}

/// Nearest flonum to an exact ratio.
fn ratio_to_f64(r: &BigRational) -> f64 {
    r.to_f64().unwrap_or(f64::NAN)
}

impl Number {
    /// The nearest flonum.
    pub fn to_f64(&self) -> f64 {
        match self {
            Int(i) => *i as f64,
            Big(b) => b.to_f64().unwrap_or(f64::NAN),
            Rat(r) => ratio_to_f64(r),
            Flo(f) => *f,
        }
    }

    /// The same number as an exact ratio; `None` for a flonum.
    fn to_ratio(&self) -> Option<BigRational> {
        match self {
            Int(i) => Some(BigRational::from_integer(BigInt::from(*i))),
            Big(b) => Some(BigRational::from_integer(b.clone())),
            Rat(r) => Some(r.clone()),
            Flo(_) => None,
        }
    }

    /// The number as a big integer if it is an exact integer.
    pub fn to_big(&self) -> Option<BigInt> {
        match self {
            Int(i) => Some(BigInt::from(*i)),
            Big(b) => Some(b.clone()),
            _ => None,
        }
    }

    /// `exact?`
    pub fn is_exact(&self) -> bool {
        !matches!(self, Flo(_))
    }

    /// `integer?`
    pub fn is_integer(&self) -> bool {
        match self {
            Int(_) | Big(_) => true,
            Rat(_) => false,
            Flo(f) => f.is_finite() && f.fract() == 0.0,
        }
    }

    /// -1, 0 or 1; zero for NaN.
    pub fn signum(&self) -> i32 {
        match self {
            Int(i) => i.signum() as i32,
            Big(b) => {
                if b.is_negative() {
                    -1
                } else {
                    1
                }
            }
            Rat(r) => {
                if r.is_negative() {
                    -1
                } else {
                    1
                }
            }
            Flo(f) => {
                if *f > 0.0 {
                    1
                } else if *f < 0.0 {
                    -1
                } else {
                    0
                }
            }
        }
    }

    /// `exact`; fails for the infinities and NaN.
    pub fn to_exact(&self) -> Result<Number, ArithError> {
        match self {
            Flo(f) => {
                if f.fract() == 0.0 && f.abs() < 9.0e18 {
                    return Ok(Int(*f as i64));
                }
                BigRational::from_float(*f).map(from_ratio).ok_or(ArithError::OutOfRange)
            }
            n => Ok(n.clone()),
        }
    }

    /// `inexact`
    pub fn to_inexact(&self) -> Number {
        Flo(self.to_f64())
    }
}

/// Both operands in the widest of their exact representations.
enum Pair {
    Bigs(BigInt, BigInt),
    Rats(BigRational, BigRational),
    Flos(f64, f64),
}

fn widen(a: &Number, b: &Number) -> Pair {
    if matches!(a, Flo(_)) || matches!(b, Flo(_)) {
        return Pair::Flos(a.to_f64(), b.to_f64());
    }
    if let (Some(x), Some(y)) = (a.to_big(), b.to_big()) {
        return Pair::Bigs(x, y);
    }
    match (a.to_ratio(), b.to_ratio()) {
        (Some(x), Some(y)) => Pair::Rats(x, y),
        _ => Pair::Flos(a.to_f64(), b.to_f64()),
    }
}

/// `(+ a b)`
pub fn add(a: &Number, b: &Number) -> Number {
    if let (Int(x), Int(y)) = (a, b)
        && let Some(z) = x.checked_add(*y)
    {
        return Int(z);
    }
    if let (Big(x), Int(y)) | (Int(y), Big(x)) = (a, b) {
        return from_big(x + *y);
    }
    if let (Big(x), Big(y)) = (a, b) {
        return from_big(x + y);
    }
    match widen(a, b) {
        Pair::Bigs(x, y) => from_big(x + y),
        Pair::Rats(x, y) => from_ratio(x + y),
        Pair::Flos(x, y) => Flo(x + y),
    }
}

/// `(- a b)`
pub fn sub(a: &Number, b: &Number) -> Number {
    if let (Int(x), Int(y)) = (a, b)
        && let Some(z) = x.checked_sub(*y)
    {
        return Int(z);
    }
    if let (Big(x), Big(y)) = (a, b) {
        return from_big(x - y);
    }
    match widen(a, b) {
        Pair::Bigs(x, y) => from_big(x - y),
        Pair::Rats(x, y) => from_ratio(x - y),
        Pair::Flos(x, y) => Flo(x - y),
    }
}

/// `(* a b)`; an exact zero is absorbing only among exact numbers.
pub fn mul(a: &Number, b: &Number) -> Number {
    if let (Int(x), Int(y)) = (a, b)
        && let Some(z) = x.checked_mul(*y)
    {
        return Int(z);
    }
    if let (Big(x), Int(y)) | (Int(y), Big(x)) = (a, b) {
        return from_big(x * *y);
    }
    if let (Big(x), Big(y)) = (a, b) {
        return from_big(x * y);
    }
    match widen(a, b) {
        Pair::Bigs(x, y) => from_big(x * y),
        Pair::Rats(x, y) => from_ratio(x * y),
        Pair::Flos(x, y) => Flo(x * y),
    }
}

/// `(/ a b)`
pub fn div(a: &Number, b: &Number) -> Result<Number, ArithError> {
    if matches!(b, Int(0)) {
        return Err(ArithError::DivideByZero);
    }
    if let (Int(x), Int(y)) = (a, b)
        && *y != -1
        && x % y == 0
    {
        return Ok(Int(x / y));
    }
    Ok(match widen(a, b) {
        Pair::Bigs(x, y) => from_ratio(BigRational::new(x, y)),
        Pair::Rats(x, y) => from_ratio(x / y),
        Pair::Flos(x, y) => Flo(x / y),
    })
}

/// Numeric order; `None` if either is NaN. An exact and an inexact number are compared exactly, so that the
/// relation is transitive.
pub fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a, b) {
        (Int(x), Int(y)) => Some(x.cmp(y)),
        (Flo(x), Flo(y)) => x.partial_cmp(y),
        (Flo(x), e) => compare_exact_float(e, *x).map(Ordering::reverse),
        (e, Flo(y)) => compare_exact_float(e, *y),
        (Big(x), Big(y)) => Some(x.cmp(y)),
        (Rat(_), _) | (_, Rat(_)) => Some(a.to_ratio()?.cmp(&b.to_ratio()?)),
        _ => Some(a.to_big()?.cmp(&b.to_big()?)),
    }
}

fn compare_exact_float(e: &Number, f: f64) -> Option<Ordering> {
    if f.is_nan() {
        return None;
    }
    if f.is_infinite() {
        return Some(if f > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    if let Int(i) = e
        && i.unsigned_abs() <= 1 << 53
    {
        return (*i as f64).partial_cmp(&f);
    }
    compare(e, &Flo(f).to_exact().ok()?)
}

/// The integer quotient and remainder of `a` and `b`, rounding by `mode` (`Floor` or `Truncate`).
pub fn divide(a: &Number, b: &Number, mode: Rounding) -> Result<(Number, Number), ArithError> {
    if !a.is_integer() || !b.is_integer() {
        return Err(ArithError::NotInteger);
    }
    if b.signum() == 0 {
        return Err(ArithError::DivideByZero);
    }
    if let (Int(x), Int(y)) = (a, b)
        && *y != -1
    {
        return Ok(match mode {
            Rounding::Floor => {
                let (q, r) = x.div_mod_floor(y);
                (Int(q), Int(r))
            }
            _ => (Int(x / y), Int(x % y)),
        });
    }
    match widen(a, b) {
        Pair::Flos(x, y) => {
            let r = x % y;
            let r = if mode == Rounding::Floor && r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r };
            Ok((Flo(((x - r) / y).round()), Flo(r)))
        }
        Pair::Bigs(x, y) => {
            let (q, r) = if mode == Rounding::Floor { x.div_mod_floor(&y) } else { x.div_rem(&y) };
            Ok((from_big(q), from_big(r)))
        }
        Pair::Rats(..) => Err(ArithError::NotInteger),
    }
}

/// Greatest common divisor of two integers.
pub fn gcd(a: &Number, b: &Number) -> Result<Number, ArithError> {
    integers(a, b, |x, y| x.gcd(y))
}

/// Least common multiple of two integers.
pub fn lcm(a: &Number, b: &Number) -> Result<Number, ArithError> {
    integers(a, b, |x, y| if x.is_zero() || y.is_zero() { BigInt::zero() } else { x.lcm(y) })
}

fn integers(a: &Number, b: &Number, f: impl Fn(&BigInt, &BigInt) -> BigInt) -> Result<Number, ArithError> {
    if !a.is_integer() || !b.is_integer() {
        return Err(ArithError::NotInteger);
    }
    let exact = a.is_exact() && b.is_exact();
    match (a.to_exact()?.to_big(), b.to_exact()?.to_big()) {
        (Some(x), Some(y)) => {
            let n = from_big(f(&x, &y));
            Ok(if exact { n } else { n.to_inexact() })
        }
        _ => Err(ArithError::NotInteger),
    }
}

/// `floor`, `ceiling`, `truncate` and `round`.
pub fn round(a: &Number, mode: Rounding) -> Number {
    match a {
        Int(_) | Big(_) => a.clone(),
        Flo(f) => Flo(match mode {
            Rounding::Floor => f.floor(),
            Rounding::Ceiling => f.ceil(),
            Rounding::Truncate => f.trunc(),
            Rounding::Round => f.round_ties_even(),
        }),
        Rat(r) => from_big(match mode {
            Rounding::Floor => r.floor().to_integer(),
            Rounding::Ceiling => r.ceil().to_integer(),
            Rounding::Truncate => r.trunc().to_integer(),
            Rounding::Round => {
                let low = r.floor().to_integer();
                let twice = (r - BigRational::from_integer(low.clone())) * BigInt::from(2);
                match twice.cmp(&BigRational::one()) {
                    Ordering::Less => low,
                    Ordering::Greater => low + 1,
                    Ordering::Equal => {
                        if low.is_even() {
                            low
                        } else {
                            low + 1
                        }
                    }
                }
            }
        }),
    }
}

/// `numerator` and `denominator`.
pub fn fraction(a: &Number) -> Result<(Number, Number), ArithError> {
    match a {
        Int(_) | Big(_) => Ok((a.clone(), Int(1))),
        Rat(r) => Ok((from_big(r.numer().clone()), from_big(r.denom().clone()))),
        Flo(_) => {
            let (n, d) = fraction(&a.to_exact()?)?;
            Ok((n.to_inexact(), d.to_inexact()))
        }
    }
}

/// The simplest rational within `y` of `x`.
pub fn rationalize(x: &Number, y: &Number) -> Result<Number, ArithError> {
    if !(x.is_exact() && y.is_exact()) {
        let (fx, fy) = (x.to_f64(), y.to_f64());
        if fx.is_nan() || fy.is_nan() {
            return Ok(Flo(f64::NAN));
        }
        if fy.is_infinite() {
            return Ok(Flo(if fx.is_infinite() { f64::NAN } else { 0.0 }));
        }
        if fx.is_infinite() {
            return Ok(Flo(fx));
        }
        return Ok(rationalize(&x.to_exact()?, &y.to_exact()?)?.to_inexact());
    }
    match (x.to_ratio(), y.to_ratio()) {
        (Some(x), Some(y)) => {
            let y = y.abs();
            Ok(from_ratio(simplest(&(&x - &y), &(&x + &y))))
        }
        _ => Err(ArithError::OutOfRange),
    }
}

fn simplest(low: &BigRational, high: &BigRational) -> BigRational {
    if low.is_positive() {
        let floor = low.floor();
        if &floor == low {
            floor
        } else if floor < high.floor() {
            floor + BigRational::one()
        } else {
            let inner = simplest(&(high - &floor).recip(), &(low - &floor).recip());
            floor + inner.recip()
        }
    } else if high.is_negative() {
        -simplest(&-high, &-low)
    } else {
        BigRational::zero()
    }
}

/// The integer square root of a non-negative exact integer, rounded down.
pub fn integer_sqrt(n: &Number) -> Option<Number> {
    match n {
        Int(i) if *i >= 0 => Some(Int(i.sqrt())),
        Big(b) if !b.is_negative() => Some(from_big(b.sqrt())),
        _ => None,
    }
}

/// The square root, exact if the argument is an exact square; NaN for negative arguments.
pub fn sqrt(a: &Number) -> Number {
    if let Some(root) = exact_root(a, 2) {
        return root;
    }
    match a {
        // Past the range of a flonum the root itself may still be inside it.
        Big(b) if b.is_positive() && !a.to_f64().is_finite() => from_big(b.sqrt()).to_inexact(),
        _ => Flo(a.to_f64().sqrt()),
    }
}

/// The exact `n`th root of an exact non-negative number, if there is one.
fn exact_root(a: &Number, n: u32) -> Option<Number> {
    if a.signum() < 0 {
        return None;
    }
    let whole = |b: &BigInt| {
        let root = b.nth_root(n);
        (&root.pow(n) == b).then_some(root)
    };
    match a {
        Int(i) => {
            let root = i.nth_root(n);
            (root.checked_pow(n) == Some(*i)).then_some(Int(root))
        }
        Big(b) => whole(b).map(from_big),
        Rat(r) => Some(from_ratio(BigRational::new(whole(r.numer())?, whole(r.denom())?))),
        Flo(_) => None,
    }
}

/// `(expt base exponent)`
pub fn expt(base: &Number, exponent: &Number) -> Result<Number, ArithError> {
    match exponent {
        Int(e) => match base {
            Flo(f) => Ok(Flo(match i32::try_from(*e) {
                Ok(small) => f.powi(small),
                Err(_) => f.powf(*e as f64),
            })),
            _ => exact_power(base, *e),
        },
        Big(_) => match base {
            Int(0) | Int(1) => Ok(base.clone()),
            Int(-1) => Ok(Int(if exponent.to_big().is_some_and(|e| e.is_even()) { 1 } else { -1 })),
            Flo(f) => Ok(Flo(f.powf(exponent.to_f64()))),
            _ => Err(ArithError::OutOfRange),
        },
        Rat(r) => {
            if let Some(n) = r.denom().to_u32()
                && n <= 64
                && let Some(root) = exact_root(base, n)
            {
                return expt(&root, &from_big(r.numer().clone()));
            }
            Ok(Flo(base.to_f64().powf(exponent.to_f64())))
        }
        Flo(e) => {
            if matches!(base, Int(0)) && *e > 0.0 {
                return Ok(Int(0));
            }
            Ok(Flo(base.to_f64().powf(*e)))
        }
    }
}

fn exact_power(base: &Number, e: i64) -> Result<Number, ArithError> {
    if e < 0 {
        return div(&Int(1), &exact_power(base, e.checked_neg().ok_or(ArithError::OutOfRange)?)?);
    }
    let small = u32::try_from(e).ok();
    match (base, small) {
        (Int(0 | 1), _) => Ok(if e == 0 { Int(1) } else { base.clone() }),
        (Int(-1), _) => Ok(Int(if e % 2 == 0 { 1 } else { -1 })),
        (Int(i), Some(e)) => Ok(match i.checked_pow(e) {
            Some(n) => Int(n),
            None => from_big(BigInt::from(*i).pow(e)),
        }),
        (Big(b), Some(e)) => Ok(from_big(b.pow(e))),
        (Rat(r), Some(e)) => Ok(from_ratio(BigRational::new(r.numer().pow(e), r.denom().pow(e)))),
        _ => Err(ArithError::OutOfRange),
    }
}

/// An exact integer shifted left by `by` bits, or right and rounded down if `by` is negative.
pub fn shift(a: &Number, by: i64) -> Result<Number, ArithError> {
    match (a, by) {
        (Int(i), -63..=-1) => return Ok(Int(i >> -by)),
        (Int(i), ..=-64) => return Ok(Int(if *i < 0 { -1 } else { 0 })),
        _ => {}
    }
    let Some(n) = a.to_big() else { return Err(ArithError::NotInteger) };
    if by < 0 {
        return Ok(from_big(n >> by.unsigned_abs()));
    }
    if let (Int(i), 0..=62) = (a, by)
        && (i << by) >> by == *i
    {
        return Ok(Int(i << by));
    }
    if by > 1 << 36 {
        return Err(ArithError::OutOfRange);
    }
    Ok(from_big(n << by))
}

/// Natural logarithm, also of exact integers past the range of flonums.
pub fn log(a: &Number) -> Number {
    match a {
        Int(1) => Int(0),
        Big(b) if b.is_positive() && !a.to_f64().is_finite() => {
            let excess = b.bits() - 64;
            let top = (b >> excess).to_f64().unwrap_or(f64::NAN);
            Flo(top.ln() + excess as f64 * std::f64::consts::LN_2)
        }
        _ => Flo(a.to_f64().ln()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_even_and_division_follows_its_mode() {
        let half = |n: i64| div(&Int(n), &Int(2)).unwrap();
        assert!(matches!(round(&half(7), Rounding::Round), Int(4)));
        assert!(matches!(round(&half(5), Rounding::Round), Int(2)));
        assert!(matches!(divide(&Int(-5), &Int(2), Rounding::Floor).unwrap(), (Int(-3), Int(1))));
        assert!(matches!(divide(&Int(-5), &Int(2), Rounding::Truncate).unwrap(), (Int(-2), Int(-1))));
    }

    #[test]
    fn overflow_promotes_and_results_come_back() {
        let big = add(&Int(i64::MAX), &Int(1));
        assert!(matches!(big, Big(_)));
        assert!(matches!(sub(&big, &Int(1)), Int(i64::MAX)));
        assert_eq!(compare(&big, &Flo(9223372036854775808.0)), Some(Ordering::Equal));
    }

    #[test]
    fn exact_roots_stay_exact() {
        let q = div(&Int(4), &Int(9)).unwrap();
        let root = expt(&q, &div(&Int(3), &Int(2)).unwrap()).unwrap();
        assert_eq!(compare(&root, &div(&Int(8), &Int(27)).unwrap()), Some(Ordering::Equal));
        assert!(matches!(sqrt(&Int(16)), Int(4)));
    }
}
