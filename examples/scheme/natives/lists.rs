//! Pairs and lists.

use crate::error::SchemeError;
use crate::heap::*;
use crate::natives::equal::{is_equal, is_eqv};
use crate::prims::{ANY, Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};

/// Length of a proper list; `None` for anything else, cyclic lists included.
pub fn length(v: Value) -> Option<usize> {
    let (mut slow, mut fast, mut n) = (v, v, 0);
    loop {
        for _ in 0..2 {
            if fast.is_nil() {
                return Some(n);
            }
            if !is_pair(fast) {
                return None;
            }
            fast = cdr(fast);
            n += 1;
        }
        slow = cdr(slow);
        if slow == fast {
            return None;
        }
    }
}

pub fn items(who: &str, arg: usize, v: Value) -> Result<Vec<Value>, SchemeError> {
    if length(v).is_none() {
        return Err(SchemeError::wrong_type(who, arg, "list", v));
    }
    list_to_vec(v).ok_or_else(|| SchemeError::wrong_type(who, arg, "list", v))
}

/// `(c[ad]+r v)`, the letters applied from the right.
fn cxr(name: &'static str, v: Value) -> Answer {
    let mut x = v;
    for c in name[1..name.len() - 1].bytes().rev() {
        if !is_pair(x) {
            return Err(SchemeError::condition(crate::error::Kind::Type, format!("{name}: not a pair in:"), vec![v]));
        }
        x = if c == b'a' { car(x) } else { cdr(x) };
    }
    Ok(x)
}

macro_rules! cxrs {
    ($r:expr, $($name:literal)*) => { $( $r.add($name, 1, 1, |_, a| cxr($name, a[0])); )* };
}

fn tail(who: &str, l: Value, k: Value) -> Answer {
    let Some(mut n) = k.to_index() else { return Err(SchemeError::wrong_type(who, 2, "index", k)) };
    let mut l = l;
    while n > 0 {
        if !is_pair(l) {
            return Err(SchemeError::range(who, 2, k));
        }
        l = cdr(l);
        n -= 1;
    }
    Ok(l)
}

fn member(who: &str, x: Value, l: Value, same: impl Fn(Value, Value) -> bool) -> Answer {
    let mut at = l;
    while is_pair(at) {
        if same(x, car(at)) {
            return Ok(at);
        }
        at = cdr(at);
    }
    if at.is_nil() { Ok(Value::FALSE) } else { Err(SchemeError::wrong_type(who, 2, "list", l)) }
}

fn assoc(who: &str, x: Value, l: Value, same: impl Fn(Value, Value) -> bool) -> Answer {
    let mut at = l;
    while is_pair(at) {
        let entry = car(at);
        if !is_pair(entry) {
            return Err(SchemeError::wrong_type(who, 2, "association list", l));
        }
        if same(x, car(entry)) {
            return Ok(entry);
        }
        at = cdr(at);
    }
    if at.is_nil() { Ok(Value::FALSE) } else { Err(SchemeError::wrong_type(who, 2, "list", l)) }
}

fn append<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let Some((last, first)) = a.split_last() else { return Ok(Value::NIL) };
    let mut out = *last;
    for (i, l) in first.iter().enumerate().rev() {
        if l.is_nil() {
            continue;
        }
        out = vm.list_with_tail(&items("append", i + 1, *l)?, out)?;
    }
    Ok(out)
}

fn reverse<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let (mut l, mut out) = (a[0], Value::NIL);
    if length(l).is_none() {
        return Err(SchemeError::wrong_type("reverse", 1, "list", l));
    }
    while is_pair(l) {
        out = vm.cons(car(l), out)?;
        l = cdr(l);
    }
    Ok(out)
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    cxrs!(r, "car" "cdr" "caar" "cadr" "cdar" "cddr" "caaar" "caadr" "cadar" "caddr" "cdaar" "cdadr" "cddar" "cdddr"
        "caaaar" "caaadr" "caadar" "caaddr" "cadaar" "cadadr" "caddar" "cadddr"
        "cdaaar" "cdaadr" "cdadar" "cdaddr" "cddaar" "cddadr" "cdddar" "cddddr");
    r.add("cons", 2, 2, |vm, a| vm.cons(a[0], a[1]));
    r.add("pair?", 1, 1, |_, a| Ok(Value::bool(is_pair(a[0]))));
    r.add("null?", 1, 1, |_, a| Ok(Value::bool(a[0].is_nil())));
    r.add("list?", 1, 1, |_, a| Ok(Value::bool(length(a[0]).is_some())));
    r.add("not", 1, 1, |_, a| Ok(Value::bool(a[0].is_false())));
    r.add("set-car!", 2, 2, |vm, a| {
        if !is_pair(a[0]) {
            return Err(SchemeError::wrong_type("set-car!", 1, "pair", a[0]));
        }
        vm.set_car(a[0], a[1]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("set-cdr!", 2, 2, |vm, a| {
        if !is_pair(a[0]) {
            return Err(SchemeError::wrong_type("set-cdr!", 1, "pair", a[0]));
        }
        vm.set_cdr(a[0], a[1]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("list", 0, ANY, |vm, a| vm.list(a));
    r.add("cons*", 1, ANY, |vm, a| vm.list_with_tail(&a[..a.len() - 1], a[a.len() - 1]));
    r.add("make-list", 1, 2, |vm, a| match a[0].to_index() {
        Some(n) => {
            let fill = a.get(1).copied().unwrap_or(Value::UNSPECIFIED);
            (0..n).try_fold(Value::NIL, |l, _| vm.cons(fill, l))
        }
        None => Err(SchemeError::wrong_type("make-list", 1, "length", a[0])),
    });
    r.add("length", 1, 1, |_, a| match length(a[0]) {
        Some(n) => Ok(Value::fixnum(n as i64)),
        None => Err(SchemeError::wrong_type("length", 1, "list", a[0])),
    });
    r.add("append", 0, ANY, append);
    r.add("append!", 0, ANY, append);
    r.add("reverse", 1, 1, reverse);
    r.add("reverse!", 1, 1, reverse);
    r.add("list-tail", 2, 2, |_, a| tail("list-tail", a[0], a[1]));
    r.add("list-ref", 2, 2, |_, a| {
        let l = tail("list-ref", a[0], a[1])?;
        if is_pair(l) { Ok(car(l)) } else { Err(SchemeError::range("list-ref", 2, a[1])) }
    });
    r.add("list-set!", 3, 3, |vm, a| {
        let l = tail("list-set!", a[0], a[1])?;
        if !is_pair(l) {
            return Err(SchemeError::range("list-set!", 2, a[1]));
        }
        vm.set_car(l, a[2]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("list-copy", 1, 1, |vm, a| {
        let (mut l, mut all) = (a[0], Vec::new());
        while is_pair(l) {
            all.push(car(l));
            l = cdr(l);
        }
        vm.list_with_tail(&all, l)
    });
    r.add("last-pair", 1, 1, |_, a| {
        let mut l = a[0];
        while is_pair(l) && is_pair(cdr(l)) {
            l = cdr(l);
        }
        Ok(l)
    });
    r.add("memq", 2, 2, |_, a| member("memq", a[0], a[1], |x, y| x == y));
    r.add("memv", 2, 2, |_, a| member("memv", a[0], a[1], is_eqv));
    r.add("%member", 2, 2, |_, a| member("member", a[0], a[1], is_equal));
    r.add("assq", 2, 2, |_, a| assoc("assq", a[0], a[1], |x, y| x == y));
    r.add("assv", 2, 2, |_, a| assoc("assv", a[0], a[1], is_eqv));
    r.add("%assoc", 2, 2, |_, a| assoc("assoc", a[0], a[1], is_equal));
    r.add("iota", 1, 3, |vm, a| {
        let Some(n) = a[0].to_index() else { return Err(SchemeError::wrong_type("iota", 1, "count", a[0])) };
        let start = a.get(1).copied().unwrap_or(Value::fixnum(0));
        let step = a.get(2).copied().unwrap_or(Value::fixnum(1));
        let (mut list, mut last, mut x) = (Value::NIL, Value::NIL, start);
        for _ in 0..n {
            let pair = vm.cons(x, Value::NIL)?;
            if list.is_nil() {
                list = pair;
            } else {
                vm.set_cdr(last, pair);
            }
            last = pair;
            x = crate::standard::numbers::add(vm, x, step)?;
        }
        Ok(list)
    });
}
