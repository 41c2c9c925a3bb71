//! Hash functions and the equalities they go with.

use crate::error::SchemeError;
use crate::heap::{bytes_of, car, cdr, field, is_bytevector, is_pair, is_string, is_vector, size, str_chars, str_len};
use crate::natives::equal::{is_equal, is_eqv};
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::standard::numbers::{self, tower::Number};
use crate::value::Value;
use crate::vm::Stores;
use std::hash::{Hash, Hasher};

/// Which keys a table takes for the same.
#[derive(Clone, Copy)]
pub enum Kind {
    Eq,
    Eqv,
    Equal,
    String,
    StringCi,
}

impl Kind {
    /// The kind numbered so in a table.
    pub fn from_number(n: i64) -> Kind {
        [Kind::Eq, Kind::Eqv, Kind::Equal, Kind::String, Kind::StringCi][n.clamp(0, 4) as usize]
    }

    /// Whether two keys are the same.
    #[inline]
    pub fn same(self, a: Value, b: Value) -> bool {
        a == b
            || match self {
                Kind::Eq => false,
                Kind::Eqv => is_eqv(a, b),
                Kind::Equal => is_equal(a, b),
                Kind::String => both_strings(a, b) && str_len(a) == str_len(b) && str_chars(a).eq(str_chars(b)),
                Kind::StringCi => both_strings(a, b) && folded(a).eq(folded(b)),
            }
    }

    /// The hash of a key, the same for keys that are the same.
    #[inline]
    pub fn hash(self, key: Value) -> u64 {
        match self {
            Kind::Eq => mix(key.0),
            Kind::Eqv => eqv_hash(key),
            Kind::Equal | Kind::String => equal_hash(key),
            Kind::StringCi if is_string(key) => chars_hash(folded(key)),
            Kind::StringCi => equal_hash(key),
        }
    }
}

fn both_strings(a: Value, b: Value) -> bool {
    is_string(a) && is_string(b)
}

fn folded(s: Value) -> impl Iterator<Item = char> {
    str_chars(s).flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Spreads the bits of a word; addresses differ only in the middle ones.
fn mix(word: u64) -> u64 {
    let h = (word ^ (word >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^ (h >> 29)
}

fn combine(h: u64, next: u64) -> u64 {
    mix(h.rotate_left(5) ^ next)
}

fn chars_hash(chars: impl Iterator<Item = char>) -> u64 {
    mix(chars.fold(0xcbf2_9ce4_8422_2325, |h, c| (h ^ u64::from(c as u32)).wrapping_mul(0x0100_0000_01b3)))
}

fn eqv_hash(key: Value) -> u64 {
    if key.is_fixnum() || !key.is_pointer() {
        return mix(key.0);
    }
    let mut h = std::collections::hash_map::DefaultHasher::new();
    match numbers::get(key) {
        None => return mix(key.0),
        Some(Number::Int(n)) => n.hash(&mut h),
        Some(Number::Big(n)) => n.hash(&mut h),
        Some(Number::Rat(n)) => n.hash(&mut h),
        // All NaNs are the same key.
        Some(Number::Flo(f)) => if f.is_nan() { 1u64 } else { f.to_bits() }.hash(&mut h),
    }
    h.finish()
}

/// Looks at a bounded part of the data, so that cycles and long lists are no trouble.
fn equal_hash(key: Value) -> u64 {
    let mut budget = 64;
    structure_hash(key, &mut budget)
}

fn structure_hash(mut v: Value, budget: &mut usize) -> u64 {
    if is_string(v) {
        return chars_hash(str_chars(v));
    }
    if is_bytevector(v) {
        return bytes_of(v, 0, size(v)).iter().fold(17, |h, b| combine(h, u64::from(*b)));
    }
    let mut h = 31;
    if is_vector(v) {
        for i in 0..size(v) {
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            h = combine(h, structure_hash(field(v, i), budget));
        }
        return combine(h, size(v) as u64);
    }
    if !is_pair(v) {
        return eqv_hash(v);
    }
    while is_pair(v) && *budget > 0 {
        *budget -= 1;
        h = combine(h, structure_hash(car(v), budget));
        v = cdr(v);
    }
    if is_pair(v) { h } else { combine(h, structure_hash(v, budget)) }
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    for name in ["hash", "equal-hash"] {
        r.add(name, 1, 2, |_, a| bounded("hash", a, equal_hash(a[0])));
    }
    r.add("string-hash", 1, 2, |_, a| {
        let s = args::string("string-hash", a, 0)?;
        bounded("string-hash", a, chars_hash(str_chars(s)))
    });
    r.add("string-ci-hash", 1, 2, |_, a| {
        let s = args::string("string-ci-hash", a, 0)?;
        bounded("string-ci-hash", a, chars_hash(folded(s)))
    });
    r.add("symbol-hash", 1, 2, |_, a| bounded("symbol-hash", a, mix(args::symbol("symbol-hash", a, 0)?.0)));
    for name in ["hash-by-identity", "eq-hash"] {
        r.add(name, 1, 2, |_, a| bounded("eq-hash", a, mix(a[0].0)));
    }
    r.add("eqv-hash", 1, 2, |_, a| bounded("eqv-hash", a, eqv_hash(a[0])));
}

/// A hash as a fixnum below the optional bound.
fn bounded(who: &str, a: &[Value], h: u64) -> Answer {
    match a.get(1) {
        None => Ok(Value::fixnum((h >> 3) as i64)),
        Some(bound) => match bound.to_index() {
            Some(n) if n > 0 => Ok(Value::fixnum((h % n as u64) as i64)),
            _ => Err(SchemeError::range(who, 2, *bound)),
        },
    }
}
