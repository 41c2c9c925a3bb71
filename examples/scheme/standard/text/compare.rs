//! Comparisons and case conversions of strings. The `-ci` forms compare the full Unicode case foldings.

use super::chars::foldcase;
use crate::error::SchemeError;
use crate::heap::{str_chars, str_len, str_to_rust};
use crate::prims::{ANY, Answer, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::Stores;
use std::cmp::Ordering;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("string=?", 1, ANY, |_, a| {
        if let [x, y] = a {
            let (x, y) = (args::string("string=?", a, 0).map(|_| *x)?, args::string("string=?", a, 1).map(|_| *y)?);
            return Ok(Value::bool(str_len(x) == str_len(y) && str_chars(x).eq(str_chars(y))));
        }
        chain("string=?", a, plain, |o| o == Ordering::Equal)
    });
    r.add("string<?", 1, ANY, |_, a| chain("string<?", a, plain, |o| o == Ordering::Less));
    r.add("string>?", 1, ANY, |_, a| chain("string>?", a, plain, |o| o == Ordering::Greater));
    r.add("string<=?", 1, ANY, |_, a| chain("string<=?", a, plain, |o| o != Ordering::Greater));
    r.add("string>=?", 1, ANY, |_, a| chain("string>=?", a, plain, |o| o != Ordering::Less));
    r.add("string-ci=?", 1, ANY, |_, a| chain("string-ci=?", a, folded, |o| o == Ordering::Equal));
    r.add("string-ci<?", 1, ANY, |_, a| chain("string-ci<?", a, folded, |o| o == Ordering::Less));
    r.add("string-ci>?", 1, ANY, |_, a| chain("string-ci>?", a, folded, |o| o == Ordering::Greater));
    r.add("string-ci<=?", 1, ANY, |_, a| chain("string-ci<=?", a, folded, |o| o != Ordering::Greater));
    r.add("string-ci>=?", 1, ANY, |_, a| chain("string-ci>=?", a, folded, |o| o != Ordering::Less));

    r.add("string-upcase", 1, 1, |vm, a| {
        let text = args::text("string-upcase", a, 0)?.to_uppercase();
        vm.string_from(&text)
    });
    r.add("string-downcase", 1, 1, |vm, a| {
        let text = args::text("string-downcase", a, 0)?.to_lowercase();
        vm.string_from(&text)
    });
    r.add("string-foldcase", 1, 1, |vm, a| {
        let text = fold(&args::text("string-foldcase", a, 0)?);
        vm.string_from(&text)
    });
    r.add("symbol=?", 1, ANY, |_, a| {
        for i in 0..a.len() {
            args::symbol("symbol=?", a, i)?;
        }
        Ok(Value::bool(a.windows(2).all(|w| w[0] == w[1])))
    });
    r.add("boolean=?", 1, ANY, |_, a| match a.iter().position(|v| *v != Value::TRUE && *v != Value::FALSE) {
        Some(i) => Err(SchemeError::wrong_type("boolean=?", i + 1, "boolean", a[i])),
        None => Ok(Value::bool(a.windows(2).all(|w| w[0] == w[1]))),
    });
}

/// Full case folding: through the upper case, which expands what has no single-character image.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).map(foldcase).collect()
}

fn plain(x: Value, y: Value) -> Ordering {
    str_chars(x).cmp(str_chars(y))
}

fn folded(x: Value, y: Value) -> Ordering {
    fold(&str_to_rust(x)).cmp(&fold(&str_to_rust(y)))
}

fn chain(who: &str, a: &[Value], compare: fn(Value, Value) -> Ordering, f: fn(Ordering) -> bool) -> Answer {
    for i in 0..a.len() {
        args::string(who, a, i)?;
    }
    Ok(Value::bool(a.windows(2).all(|w| f(compare(w[0], w[1])))))
}
