//! Numbers as text, in both directions.
//!
//! Reading follows R7RS section 7.1.1: any mixture of a radix and an exactness prefix, then a decimal, a ratio, an
//! integer in the radix or one of the infinities. Printing uses the shortest decimal which reads back as the same
//! flonum (Rust's own float formatting finds those digits) and only arranges the digits in Scheme's syntax.

use super::tower::{Number, div, expt, from_big, mul};
use num_bigint::BigInt;
use num_traits::{Num, ToPrimitive};

/// The number written in `text`, or `None` if it is not the syntax of one (so that it may be a symbol).
pub fn parse_number(text: &str, radix: u32) -> Option<Number> {
    let mut rest = text;
    let mut radix = radix;
    let mut exactness = None;
    while let Some(tail) = rest.strip_prefix('#') {
        match tail.chars().next()?.to_ascii_lowercase() {
            'x' => radix = 16,
            'd' => radix = 10,
            'o' => radix = 8,
            'b' => radix = 2,
            'e' if exactness.is_none() => exactness = Some(true),
            'i' if exactness.is_none() => exactness = Some(false),
            _ => return None,
        }
        rest = &tail[1..];
    }
    match exactness {
        None => parse_real(rest, radix, false),
        Some(true) => parse_real(rest, radix, true)?.to_exact().ok(),
        Some(false) => Some(parse_real(rest, radix, false)?.to_inexact()),
    }
}

fn parse_real(text: &str, radix: u32, exact: bool) -> Option<Number> {
    let first = *text.as_bytes().first()?;
    // The common non-numbers are refused quickly: most tokens are symbols.
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.') || radix > 10 && first.is_ascii_alphabetic()) {
        return None;
    }
    if text.len() == 6 && matches!(first, b'+' | b'-') {
        let sign = if first == b'-' { -1.0 } else { 1.0 };
        match text[1..].to_ascii_lowercase().as_str() {
            "inf.0" => return Some(Number::Flo(sign * f64::INFINITY)),
            "nan.0" => return Some(Number::Flo(f64::NAN)),
            _ => {}
        }
    }
    if let Some((numerator, denominator)) = text.split_once('/') {
        if denominator.starts_with(['+', '-']) {
            return None;
        }
        return div(&parse_integer(numerator, radix)?, &parse_integer(denominator, radix)?).ok();
    }
    parse_integer(text, radix).or_else(|| if radix == 10 { parse_decimal(text, exact) } else { None })
}

fn parse_integer(text: &str, radix: u32) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i64::from_str_radix(text, radix) {
        Ok(n) => Some(Number::Int(n)),
        Err(_) => BigInt::from_str_radix(text, radix).ok().map(from_big),
    }
}

fn parse_decimal(text: &str, exact: bool) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(e) = exponent {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        if e.is_empty() || !digits(e) {
            return None;
        }
    }
    if !exact {
        return text.parse().ok().map(Number::Flo);
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let all = BigInt::from_str_radix(&format!("{sign}{whole}{fraction}"), 10).ok()?;
    let power = exponent.unwrap_or("0").parse::<i64>().ok()? - fraction.len() as i64;
    if power.abs() > 100_000 {
        return None;
    }
    let scale = expt(&Number::Int(10), &Number::Int(power)).ok()?;
    Some(mul(&from_big(all), &scale))
}

/// The text of `n` in `radix`.
pub fn format_number(n: &Number, radix: u32) -> String {
    match n {
        Number::Int(i) if radix == 10 => i.to_string(),
        Number::Int(i) => BigInt::from(*i).to_str_radix(radix),
        Number::Big(b) => b.to_str_radix(radix),
        Number::Rat(r) => format!("{}/{}", r.numer().to_str_radix(radix), r.denom().to_str_radix(radix)),
        Number::Flo(f) if radix == 10 => format_flonum(*f),
        Number::Flo(f) => format_flonum_radix(*f, radix),
    }
}

fn special(f: f64) -> Option<&'static str> {
    if f.is_nan() {
        Some("+nan.0")
    } else if f.is_infinite() {
        Some(if f > 0.0 { "+inf.0" } else { "-inf.0" })
    } else {
        None
    }
}

/// The shortest decimal which reads back as `f`.
pub fn format_flonum(f: f64) -> String {
    if let Some(name) = special(f) {
        return name.to_string();
    }
    let scientific = format!("{f:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-7..21).contains(&exponent) {
        let plain = format!("{f}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        format!("{mantissa}e{exponent}")
    }
}

/// Flonums in radix 2, 8 or 16 have finite expansions; they are written without an exponent.
fn format_flonum_radix(f: f64, radix: u32) -> String {
    if let Some(name) = special(f) {
        return name.to_string();
    }
    let magnitude = f.abs();
    let whole = Number::Flo(magnitude.trunc()).to_exact().unwrap_or(Number::Int(0));
    let mut text = if f.is_sign_negative() { "-".to_string() } else { String::new() };
    text += &format_number(&whole, radix);
    text.push('.');
    let mut fraction = magnitude.fract();
    // An odd factor in the radix would give an infinite expansion: stop past the precision.
    for place in 0..1100 {
        if fraction == 0.0 && place > 0 {
            break;
        }
        fraction *= f64::from(radix);
        text.push(char::from_digit(fraction.trunc().to_u32().unwrap_or(0), radix).unwrap_or('0'));
        fraction = fraction.fract();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> String {
        parse_number(text, 10).map_or("none".to_string(), |n| format_number(&n, 10))
    }

    #[test]
    fn reads_and_prints() {
        for (source, printed) in [
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("-1.5e-10", "-1.5e-10"),
            ("6/4", "3/2"),
            ("#xff", "255"),
            ("#e1.25", "5/4"),
            ("#i1/4", "0.25"),
            ("-inf.0", "-inf.0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e21", "1e21"),
            ("1.", "1.0"),
            ("-0.0", "-0.0"),
        ] {
            assert_eq!(round_trip(source), printed, "{source}");
        }
    }

    #[test]
    fn refuses_what_is_a_symbol() {
        for text in ["+", "-", "...", "1+", "-1+", ".", "e5", "1/2/3", "+inf", "1e", "--1", ""] {
            assert_eq!(round_trip(text), "none", "{text}");
        }
    }
}
