//! `(scheme char)` on single characters: classes, cases, comparisons and names.

use crate::error::SchemeError;
use crate::prims::{ANY, Answer, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::Stores;
use std::cmp::Ordering;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("char?", 1, 1, |_, a| Ok(Value::bool(a[0].is_char())));
    r.add("char->integer", 1, 1, |_, a| Ok(Value::fixnum(i64::from(args::char("char->integer", a, 0)? as u32))));
    r.add("integer->char", 1, 1, |_, a| {
        let code = args::count("integer->char", a, 0)?;
        match u32::try_from(code).ok().and_then(char::from_u32) {
            Some(c) => Ok(Value::char(c)),
            None => Err(SchemeError::range("integer->char", 1, a[0])),
        }
    });
    r.add("char-alphabetic?", 1, 1, |_, a| class("char-alphabetic?", a, char::is_alphabetic));
    r.add("char-numeric?", 1, 1, |_, a| class("char-numeric?", a, |c| digit_value(c).is_some()));
    r.add("char-whitespace?", 1, 1, |_, a| class("char-whitespace?", a, char::is_whitespace));
    r.add("char-upper-case?", 1, 1, |_, a| class("char-upper-case?", a, char::is_uppercase));
    r.add("char-lower-case?", 1, 1, |_, a| class("char-lower-case?", a, char::is_lowercase));
    r.add("char-upcase", 1, 1, |_, a| Ok(Value::char(upcase(args::char("char-upcase", a, 0)?))));
    r.add("char-downcase", 1, 1, |_, a| Ok(Value::char(downcase(args::char("char-downcase", a, 0)?))));
    r.add("char-foldcase", 1, 1, |_, a| Ok(Value::char(foldcase(args::char("char-foldcase", a, 0)?))));
    r.add("digit-value", 1, 1, |_, a| {
        Ok(digit_value(args::char("digit-value", a, 0)?).map_or(Value::FALSE, |d| Value::fixnum(i64::from(d))))
    });

    r.add("char=?", 1, ANY, |_, a| chain("char=?", a, same, |o| o == Ordering::Equal));
    r.add("char<?", 1, ANY, |_, a| chain("char<?", a, same, |o| o == Ordering::Less));
    r.add("char>?", 1, ANY, |_, a| chain("char>?", a, same, |o| o == Ordering::Greater));
    r.add("char<=?", 1, ANY, |_, a| chain("char<=?", a, same, |o| o != Ordering::Greater));
    r.add("char>=?", 1, ANY, |_, a| chain("char>=?", a, same, |o| o != Ordering::Less));
    r.add("char-ci=?", 1, ANY, |_, a| chain("char-ci=?", a, foldcase, |o| o == Ordering::Equal));
    r.add("char-ci<?", 1, ANY, |_, a| chain("char-ci<?", a, foldcase, |o| o == Ordering::Less));
    r.add("char-ci>?", 1, ANY, |_, a| chain("char-ci>?", a, foldcase, |o| o == Ordering::Greater));
    r.add("char-ci<=?", 1, ANY, |_, a| chain("char-ci<=?", a, foldcase, |o| o != Ordering::Greater));
    r.add("char-ci>=?", 1, ANY, |_, a| chain("char-ci>=?", a, foldcase, |o| o != Ordering::Less));
}

fn class(who: &str, a: &[Value], f: impl Fn(char) -> bool) -> Answer {
    Ok(Value::bool(f(args::char(who, a, 0)?)))
}

fn same(c: char) -> char {
    c
}

/// The image of a case mapping if it is one character, as the mappings of single characters want.
fn single(mut image: impl Iterator<Item = char>, c: char) -> char {
    match (image.next(), image.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

fn upcase(c: char) -> char {
    single(c.to_uppercase(), c)
}

fn downcase(c: char) -> char {
    single(c.to_lowercase(), c)
}

/// Folding by way of the upper case, so that the two small sigmas agree.
pub fn foldcase(c: char) -> char {
    downcase(upcase(c))
}

/// Where the runs of ten decimal digits of the scripts in the basic plane begin.
const DIGIT_ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

fn digit_value(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    DIGIT_ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero).filter(|d| *d < 10))
}

fn chain(who: &str, a: &[Value], map: fn(char) -> char, f: fn(Ordering) -> bool) -> Answer {
    let mut last = map(args::char(who, a, 0)?);
    let mut all = true;
    for i in 1..a.len() {
        let next = map(args::char(who, a, i)?);
        all &= f(last.cmp(&next));
        last = next;
    }
    Ok(Value::bool(all))
}

/// The name after `#\` of a character which is not written as itself.
pub fn char_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "null",
        '\x07' => "alarm",
        '\x08' => "backspace",
        '\t' => "tab",
        '\n' => "newline",
        '\r' => "return",
        '\x1b' => "escape",
        ' ' => "space",
        '\x7f' => "delete",
        _ => return None,
    })
}
