//! The parts of SRFI 13 (and a few MIT names) which look into strings. What takes a predicate is in the prelude.

use crate::error::SchemeError;
use crate::heap::{str_chars, str_len, str_ref};
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    // (string-search-forward pattern string start)
    r.add("string-search-forward", 2, 3, |_, a| find("string-search-forward", a, 1, 0));
    r.add("string-search-all", 2, 2, |vm, a| {
        let (pattern, s) = (args::string("string-search-all", a, 0)?, args::string("string-search-all", a, 1)?);
        let last = (str_len(s) + 1).saturating_sub(str_len(pattern));
        let found: Vec<Value> =
            (0..last).filter(|at| matches_at(s, *at, pattern)).map(|at| Value::fixnum(at as i64)).collect();
        vm.list(&found)
    });
    // (string-search-backward pattern string end): the index after the match.
    r.add("string-search-backward", 2, 3, |_, a| {
        let who = "string-search-backward";
        let (pattern, s) = (args::string(who, a, 0)?, args::string(who, a, 1)?);
        let end = if a.len() > 2 { args::index(who, a, 2, str_len(s) + 1)? } else { str_len(s) };
        let n = str_len(pattern);
        let hit = (0..(end + 1).saturating_sub(n)).rev().find(|at| matches_at(s, *at, pattern));
        Ok(hit.map_or(Value::FALSE, |at| Value::fixnum((at + n) as i64)))
    });
    // (string-contains string pattern start)
    r.add("string-contains", 2, 3, |_, a| find("string-contains", a, 0, 1));
    r.add("%string-index", 2, 4, |_, a| {
        let s = args::string("string-index", a, 0)?;
        let c = args::char("string-index", a, 1)?;
        let (start, end) = args::range("string-index", a, 2, str_len(s))?;
        Ok(position((start..end).find(|i| str_ref(s, *i) == c)))
    });
    r.add("%string-rindex", 2, 4, |_, a| {
        let s = args::string("string-rindex", a, 0)?;
        let c = args::char("string-rindex", a, 1)?;
        let (start, end) = args::range("string-rindex", a, 2, str_len(s))?;
        Ok(position((start..end).rev().find(|i| str_ref(s, *i) == c)))
    });
    r.add("string-prefix?", 2, 2, |_, a| {
        let (part, s) = (args::string("string-prefix?", a, 0)?, args::string("string-prefix?", a, 1)?);
        Ok(Value::bool(matches_at(s, 0, part)))
    });
    r.add("string-suffix?", 2, 2, |_, a| {
        let (part, s) = (args::string("string-suffix?", a, 0)?, args::string("string-suffix?", a, 1)?);
        Ok(Value::bool(str_len(s).checked_sub(str_len(part)).is_some_and(|at| matches_at(s, at, part))))
    });
    r.add("string-null?", 1, 1, |_, a| Ok(Value::bool(str_len(args::string("string-null?", a, 0)?) == 0)));
    r.add("string-join", 1, 2, |vm, a| {
        let parts = args::list("string-join", a, 0)?;
        let between = if a.len() > 1 { args::text("string-join", a, 1)? } else { " ".to_string() };
        let mut text = String::new();
        for i in 0..parts.len() {
            if i > 0 {
                text += &between;
            }
            text.extend(str_chars(args::string("string-join", &parts, i)?));
        }
        vm.string_from(&text)
    });
    // Padding and cutting both happen on the named side.
    r.add("string-pad-left", 2, 3, |vm, a| pad(vm, "string-pad-left", a, true));
    r.add("string-pad-right", 2, 3, |vm, a| pad(vm, "string-pad-right", a, false));
    r.add("string-trim", 1, 1, |vm, a| trimmed(vm, "string-trim", a, true, true));
    r.add("string-trim-left", 1, 1, |vm, a| trimmed(vm, "string-trim-left", a, true, false));
    r.add("string-trim-right", 1, 1, |vm, a| trimmed(vm, "string-trim-right", a, false, true));
    // (string-split string char)
    r.add("string-split", 1, 2, |vm, a| {
        let text = args::text("string-split", a, 0)?;
        let at = match a.get(1) {
            None => ' ',
            Some(v) => v.to_char().ok_or_else(|| SchemeError::wrong_type("string-split", 2, "character", *v))?,
        };
        let mut parts = Vec::new();
        for part in text.split(at) {
            parts.push(vm.string_from(part)?);
        }
        vm.list(&parts)
    });
}

fn position(at: Option<usize>) -> Value {
    at.map_or(Value::FALSE, |i| Value::fixnum(i as i64))
}

fn matches_at(s: Value, at: usize, part: Value) -> bool {
    let n = str_len(part);
    n <= str_len(s) - at && (0..n).all(|i| str_ref(s, at + i) == str_ref(part, i))
}

fn find(who: &str, a: &[Value], string: usize, pattern: usize) -> Answer {
    let (s, part) = (args::string(who, a, string)?, args::string(who, a, pattern)?);
    let start = if a.len() > 2 { args::index(who, a, 2, str_len(s) + 1)? } else { 0 };
    let last = (str_len(s) + 1).saturating_sub(str_len(part));
    Ok(position((start..last).find(|at| matches_at(s, *at, part))))
}

fn pad<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], left: bool) -> Answer {
    let s = args::string(who, a, 0)?;
    let width = args::length(who, a, 1)?;
    let fill = if a.len() > 2 { args::char(who, a, 2)? } else { ' ' };
    let n = str_len(s);
    // Position `i` of the result shows position `i + n - width` (left) or `i` (right) of the string, if there is one.
    let shown = move |i: usize| if left { (i + n).checked_sub(width) } else { Some(i) };
    vm.string_from_iter((0..width).map(move |i| match shown(i) {
        Some(k) if k < n => str_ref(s, k),
        _ => fill,
    }))
}

fn trimmed<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], left: bool, right: bool) -> Answer {
    let text = args::text(who, a, 0)?;
    let text = if left { text.trim_start() } else { &text };
    let text = if right { text.trim_end() } else { text };
    vm.string_from(text)
}
