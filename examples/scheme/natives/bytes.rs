//! Bytevectors.

use super::vectors::range;
use crate::error::SchemeError;
use crate::heap::*;
use crate::prims::{ANY, Registry};
use crate::value::{Type, Value};
use crate::vm::Stores;
use std::sync::atomic::Ordering;

fn bytes(who: &str, a: &[Value], i: usize) -> Result<usize, SchemeError> {
    if is_bytevector(a[i]) { Ok(size(a[i])) } else { Err(SchemeError::wrong_type(who, i + 1, "bytevector", a[i])) }
}
fn byte(who: &str, a: &[Value], i: usize) -> Result<u8, SchemeError> {
    match a.get(i).map(|v| v.to_index()) {
        None => Ok(0),
        Some(Some(n)) if n < 256 => Ok(n as u8),
        _ => Err(SchemeError::wrong_type(who, i + 1, "byte", a[i])),
    }
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("bytevector?", 1, 1, |_, a| Ok(Value::bool(is_bytevector(a[0]))));
    r.add("make-bytevector", 1, 2, |vm, a| {
        let Some(n) = a[0].to_index() else {
            return Err(SchemeError::wrong_type("make-bytevector", 1, "length", a[0]));
        };
        let fill = byte("make-bytevector", a, 1)?;
        let v = vm.alloc_leaf(Type::Bytevector, 0, n, n)?;
        if fill != 0 {
            (0..n).for_each(|i| byte_at(v, i).store(fill, Ordering::Relaxed));
        }
        Ok(v)
    });
    r.add("bytevector", 0, ANY, |vm, a| {
        let all = (0..a.len()).map(|i| byte("bytevector", a, i)).collect::<Result<Vec<_>, _>>()?;
        vm.bytevector(&all)
    });
    r.add("bytevector-length", 1, 1, |_, a| Ok(Value::fixnum(bytes("bytevector-length", a, 0)? as i64)));
    r.add("bytevector-u8-ref", 2, 2, |_, a| {
        let n = bytes("bytevector-u8-ref", a, 0)?;
        match a[1].to_index() {
            Some(i) if i < n => Ok(Value::fixnum(i64::from(byte_at(a[0], i).load(Ordering::Relaxed)))),
            _ => Err(SchemeError::range("bytevector-u8-ref", 2, a[1])),
        }
    });
    r.add("bytevector-u8-set!", 3, 3, |_, a| {
        let n = bytes("bytevector-u8-set!", a, 0)?;
        let b = byte("bytevector-u8-set!", a, 2)?;
        match a[1].to_index() {
            Some(i) if i < n => {
                byte_at(a[0], i).store(b, Ordering::Relaxed);
                Ok(Value::UNSPECIFIED)
            }
            _ => Err(SchemeError::range("bytevector-u8-set!", 2, a[1])),
        }
    });
    r.add("bytevector-fill!", 2, 4, |_, a| {
        let (s, e) = range("bytevector-fill!", a, 2, bytes("bytevector-fill!", a, 0)?)?;
        let b = byte("bytevector-fill!", a, 1)?;
        (s..e).for_each(|i| byte_at(a[0], i).store(b, Ordering::Relaxed));
        Ok(Value::UNSPECIFIED)
    });
    r.add("bytevector-copy", 1, 3, |vm, a| {
        let (s, e) = range("bytevector-copy", a, 1, bytes("bytevector-copy", a, 0)?)?;
        vm.bytevector(&bytes_of(a[0], s, e))
    });
    r.add("bytevector-copy!", 3, 5, |_, a| {
        let (to, from) = (bytes("bytevector-copy!", a, 0)?, bytes("bytevector-copy!", a, 2)?);
        let (s, e) = range("bytevector-copy!", a, 3, from)?;
        let Some(at) = a[1].to_index().filter(|at| *at <= to && e - s <= to - at) else {
            return Err(SchemeError::range("bytevector-copy!", 2, a[1]));
        };
        for (i, b) in bytes_of(a[2], s, e).into_iter().enumerate() {
            byte_at(a[0], at + i).store(b, Ordering::Relaxed);
        }
        Ok(Value::UNSPECIFIED)
    });
    r.add("bytevector-append", 0, ANY, |vm, a| {
        let mut all = Vec::new();
        for i in 0..a.len() {
            let n = bytes("bytevector-append", a, i)?;
            all.extend(bytes_of(a[i], 0, n));
        }
        vm.bytevector(&all)
    });
}
