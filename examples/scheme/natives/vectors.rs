//! Vectors.

use crate::error::SchemeError;
use crate::heap::*;
use crate::natives::lists::items;
use crate::prims::{ANY, Registry};
use crate::value::Value;
use crate::vm::Stores;

fn vector(who: &str, a: &[Value], i: usize) -> Result<usize, SchemeError> {
    if is_vector(a[i]) { Ok(size(a[i])) } else { Err(SchemeError::wrong_type(who, i + 1, "vector", a[i])) }
}

/// The optional `start` and `end` arguments from argument `i` on.
pub fn range(who: &str, a: &[Value], i: usize, len: usize) -> Result<(usize, usize), SchemeError> {
    let at = |i: usize, default: usize| match a.get(i) {
        None => Ok(default),
        Some(v) => match v.to_index() {
            Some(n) if n <= len => Ok(n),
            Some(_) => Err(SchemeError::range(who, i + 1, *v)),
            None => Err(SchemeError::wrong_type(who, i + 1, "index", *v)),
        },
    };
    let (start, end) = (at(i, 0)?, at(i + 1, len)?);
    if start <= end { Ok((start, end)) } else { Err(SchemeError::range(who, i + 1, a[i])) }
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("vector?", 1, 1, |_, a| Ok(Value::bool(is_vector(a[0]))));
    r.add("make-vector", 1, 2, |vm, a| match a[0].to_index() {
        Some(n) => vm.vector_filled(n, a.get(1).copied().unwrap_or(Value::fixnum(0))),
        None => Err(SchemeError::wrong_type("make-vector", 1, "length", a[0])),
    });
    r.add("vector", 0, ANY, |vm, a| vm.vector(a));
    r.add("vector-length", 1, 1, |_, a| Ok(Value::fixnum(vector("vector-length", a, 0)? as i64)));
    r.add("vector-ref", 2, 2, |_, a| {
        let n = vector("vector-ref", a, 0)?;
        match a[1].to_index() {
            Some(i) if i < n => Ok(field(a[0], i)),
            _ => Err(SchemeError::range("vector-ref", 2, a[1])),
        }
    });
    r.add("vector-set!", 3, 3, |vm, a| {
        let n = vector("vector-set!", a, 0)?;
        match a[1].to_index() {
            Some(i) if i < n => {
                vm.set_field(a[0], i, a[2]);
                Ok(Value::UNSPECIFIED)
            }
            _ => Err(SchemeError::range("vector-set!", 2, a[1])),
        }
    });
    r.add("vector->list", 1, 3, |vm, a| {
        let (s, e) = range("vector->list", a, 1, vector("vector->list", a, 0)?)?;
        (s..e).rev().try_fold(Value::NIL, |l, i| vm.cons(field(a[0], i), l))
    });
    r.add("list->vector", 1, 1, |vm, a| vm.vector(&items("list->vector", 1, a[0])?));
    r.add("vector-fill!", 2, 4, |vm, a| {
        let (s, e) = range("vector-fill!", a, 2, vector("vector-fill!", a, 0)?)?;
        (s..e).for_each(|i| vm.set_field(a[0], i, a[1]));
        Ok(Value::UNSPECIFIED)
    });
    r.add("vector-grow", 2, 2, |vm, a| {
        let n = vector("vector-grow", a, 0)?;
        let Some(m) = a[1].to_index().filter(|m| *m >= n) else {
            return Err(SchemeError::range("vector-grow", 2, a[1]));
        };
        let v = vm.vector_filled(m, Value::fixnum(0))?;
        (0..n).for_each(|i| vm.init(v, i, field(a[0], i)));
        Ok(v)
    });
    for name in ["vector-copy", "subvector"] {
        r.add(name, 1, 3, |vm, a| {
            let (s, e) = range("vector-copy", a, 1, vector("vector-copy", a, 0)?)?;
            let v = vm.alloc_tracked(crate::value::Type::Vector, 0, e - s)?;
            (s..e).for_each(|i| vm.init(v, i - s, field(a[0], i)));
            Ok(v)
        });
    }
    r.add("vector-copy!", 3, 5, |vm, a| {
        let (to, from) = (vector("vector-copy!", a, 0)?, vector("vector-copy!", a, 2)?);
        let (s, e) = range("vector-copy!", a, 3, from)?;
        let Some(at) = a[1].to_index().filter(|at| *at <= to && e - s <= to - at) else {
            return Err(SchemeError::range("vector-copy!", 2, a[1]));
        };
        let copy = |i: usize| vm.set_field(a[0], at + i - s, field(a[2], i));
        if a[0] == a[2] && at > s {
            (s..e).rev().for_each(copy)
        } else {
            (s..e).for_each(copy)
        }
        Ok(Value::UNSPECIFIED)
    });
    r.add("vector-append", 0, ANY, |vm, a| {
        let mut n = 0;
        for i in 0..a.len() {
            n += vector("vector-append", a, i)?;
        }
        let v = vm.alloc_tracked(crate::value::Type::Vector, 0, n)?;
        let all = a.iter().flat_map(|x| (0..size(*x)).map(|i| field(*x, i)));
        all.enumerate().for_each(|(i, x)| vm.init(v, i, x));
        Ok(v)
    });
}
