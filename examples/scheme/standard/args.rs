//! Checking the arguments of primitives.
//!
//! Each function takes the name of the primitive, all its arguments and the index (from 0) of the one wanted, and
//! answers it in a useful form or the error which says what was wrong with it.

use crate::error::SchemeError;
use crate::heap::{is_bytevector, is_string, is_symbol, is_vector, list_to_vec, str_to_rust};
use crate::value::Value;

type Checked<T> = Result<T, SchemeError>;

pub fn string(who: &str, args: &[Value], i: usize) -> Checked<Value> {
    if is_string(args[i]) { Ok(args[i]) } else { Err(SchemeError::wrong_type(who, i + 1, "string", args[i])) }
}

/// A string argument as a Rust string.
pub fn text(who: &str, args: &[Value], i: usize) -> Checked<String> {
    string(who, args, i).map(str_to_rust)
}

pub fn symbol(who: &str, args: &[Value], i: usize) -> Checked<Value> {
    if is_symbol(args[i]) { Ok(args[i]) } else { Err(SchemeError::wrong_type(who, i + 1, "symbol", args[i])) }
}

pub fn vector(who: &str, args: &[Value], i: usize) -> Checked<Value> {
    if is_vector(args[i]) { Ok(args[i]) } else { Err(SchemeError::wrong_type(who, i + 1, "vector", args[i])) }
}

pub fn bytevector(who: &str, args: &[Value], i: usize) -> Checked<Value> {
    if is_bytevector(args[i]) { Ok(args[i]) } else { Err(SchemeError::wrong_type(who, i + 1, "bytevector", args[i])) }
}

pub fn char(who: &str, args: &[Value], i: usize) -> Checked<char> {
    args[i].to_char().ok_or_else(|| SchemeError::wrong_type(who, i + 1, "character", args[i]))
}

pub fn list(who: &str, args: &[Value], i: usize) -> Checked<Vec<Value>> {
    list_to_vec(args[i]).ok_or_else(|| SchemeError::wrong_type(who, i + 1, "list", args[i]))
}

/// A non-negative fixnum.
pub fn count(who: &str, args: &[Value], i: usize) -> Checked<usize> {
    args[i].to_index().ok_or_else(|| SchemeError::wrong_type(who, i + 1, "index", args[i]))
}

/// The size of something to allocate: refused when no address space could hold it.
pub fn length(who: &str, args: &[Value], i: usize) -> Checked<usize> {
    match count(who, args, i)? {
        n if n < 1 << 40 => Ok(n),
        _ => Err(SchemeError::range(who, i + 1, args[i])),
    }
}

/// An index below `limit`.
pub fn index(who: &str, args: &[Value], i: usize, limit: usize) -> Checked<usize> {
    match args[i].to_index() {
        Some(n) if n < limit => Ok(n),
        Some(_) => Err(SchemeError::range(who, i + 1, args[i])),
        None if args[i].is_fixnum() => Err(SchemeError::range(who, i + 1, args[i])),
        None => Err(SchemeError::wrong_type(who, i + 1, "index", args[i])),
    }
}

/// Optional arguments `i` and `i + 1` as the start and the end of a part of something of `length` elements.
pub fn range(who: &str, args: &[Value], i: usize, length: usize) -> Checked<(usize, usize)> {
    let start = if args.len() > i { index(who, args, i, length + 1)? } else { 0 };
    let end = if args.len() > i + 1 { index(who, args, i + 1, length + 1)? } else { length };
    if start > end { Err(SchemeError::range(who, i + 1, args[i])) } else { Ok((start, end)) }
}
