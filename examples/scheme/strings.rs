//! Strings: a tracked object of a length and a buffer of characters.
//!
//! The buffer is a leaf, so text costs the barrier nothing. It has one byte a character as long as all characters are
//! Latin-1, and four when one is not; a string that gets its first wider character gets a new buffer. Characters are
//! read and written atomically, since threads may share a string.

use crate::error::SchemeError;
use crate::heap::{field, first_word, flags, is_string};
use crate::value::*;
use crate::vm::{Stores, Vm};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// The characters of a buffer, one byte or four bytes each.
enum Cells {
    Narrow(&'static [AtomicU8]),
    Wide(&'static [AtomicU32]),
}

#[inline(always)]
fn cells(buf: Value) -> Cells {
    let h = first_word(buf);
    let text = (buf.0 as *const u8).wrapping_add(8);
    if header_kind(h) != kind_of(Type::StrBuf) {
        return Cells::Narrow(&[]);
    }
    if header_flags(h) & FLAG_WIDE != 0 {
        // SAFETY: a wide buffer has `size` times four bytes after the header, and lives while a native uses it.
        Cells::Wide(unsafe { std::slice::from_raw_parts(text as *const AtomicU32, header_size(h)) })
    } else {
        // SAFETY: a narrow buffer has `size` bytes after the header, and lives while a native uses it.
        Cells::Narrow(unsafe { std::slice::from_raw_parts(text as *const AtomicU8, header_size(h)) })
    }
}

/// Length of a string in characters.
#[inline]
pub fn str_len(s: Value) -> usize {
    field(s, 0).as_fixnum() as usize
}
/// Character `i` of a string; `i` must be less than the length.
#[inline]
pub fn str_ref(s: Value, i: usize) -> char {
    debug_assert!(is_string(s));
    let buf = field(s, 1);
    let code = match cells(buf) {
        Cells::Narrow(bytes) => u32::from(bytes[i].load(Ordering::Relaxed)),
        Cells::Wide(words) => words[i].load(Ordering::Relaxed),
    };
    char::from_u32(code).unwrap_or('\u{fffd}')
}
pub fn str_chars(s: Value) -> impl Iterator<Item = char> {
    (0..str_len(s)).map(move |i| str_ref(s, i))
}
pub fn str_to_rust(s: Value) -> String {
    str_chars(s).collect()
}
/// The name of a symbol as a Rust string.
pub fn symbol_name(s: Value) -> String {
    str_to_rust(field(s, 0))
}

fn buf_put(buf: Value, i: usize, c: char) {
    match cells(buf) {
        Cells::Narrow(bytes) => bytes[i].store(c as u8, Ordering::Relaxed),
        Cells::Wide(words) => words[i].store(c as u32, Ordering::Relaxed),
    }
}

/// A part of a string: from a character to before another.
pub type Part = (Value, usize, usize);

fn is_wide(&(s, start, end): &Part) -> bool {
    match cells(field(s, 1)) {
        Cells::Narrow(_) => false,
        Cells::Wide(words) => words[start..end].iter().any(|c| c.load(Ordering::Relaxed) > 255),
    }
}

/// Copies a part of a string to a buffer that is wide enough.
fn copy_part(&(s, start, end): &Part, buf: Value, at: usize) {
    macro_rules! copy {
        ($from:expr, $to:expr, $cell:ty) => {
            for (from, to) in $from[start..end].iter().zip(&$to[at..at + end - start]) {
                to.store(from.load(Ordering::Relaxed) as $cell, Ordering::Relaxed);
            }
        };
    }
    match (cells(field(s, 1)), cells(buf)) {
        (Cells::Narrow(from), Cells::Narrow(to)) => copy!(from, to, u8),
        (Cells::Narrow(from), Cells::Wide(to)) => copy!(from, to, u32),
        (Cells::Wide(from), Cells::Narrow(to)) => copy!(from, to, u8),
        (Cells::Wide(from), Cells::Wide(to)) => copy!(from, to, u32),
    }
}

impl<S: Stores> Vm<S> {
    fn str_buf(&self, n: usize, wide: bool) -> Result<Value, SchemeError> {
        self.alloc_leaf(Type::StrBuf, u64::from(wide), n, if wide { 4 * n } else { n })
    }
    /// A string of `n` times `fill`.
    pub fn string_filled(&self, n: usize, fill: char) -> Result<Value, SchemeError> {
        let buf = self.str_buf(n, fill as u32 > 255)?;
        if fill != '\0' {
            (0..n).for_each(|i| buf_put(buf, i, fill));
        }
        self.object(Type::String, 0, &[Value::fixnum(n as i64), buf])
    }
    pub fn string_from(&self, text: &str) -> Result<Value, SchemeError> {
        self.string_from_iter(text.chars())
    }
    /// A string of the characters of an iterator that can be walked more than once.
    pub fn string_from_iter(&self, chars: impl Iterator<Item = char> + Clone) -> Result<Value, SchemeError> {
        let (mut n, mut wide) = (0, false);
        for c in chars.clone() {
            n += 1;
            wide |= c as u32 > 255;
        }
        let buf = self.str_buf(n, wide)?;
        for (i, c) in chars.enumerate() {
            buf_put(buf, i, c);
        }
        self.object(Type::String, 0, &[Value::fixnum(n as i64), buf])
    }
    /// A string of these parts of strings, one after the other.
    pub fn string_of_parts(&self, parts: &[Part]) -> Result<Value, SchemeError> {
        let n = parts.iter().map(|(_, start, end)| end - start).sum();
        let buf = self.str_buf(n, parts.iter().any(is_wide))?;
        let mut at = 0;
        for part in parts {
            copy_part(part, buf, at);
            at += part.2 - part.1;
        }
        self.object(Type::String, 0, &[Value::fixnum(n as i64), buf])
    }
    /// `string-set!`: widens the buffer when the character needs it. `i` must be less than the length.
    pub fn str_set(&self, s: Value, i: usize, c: char) -> Result<(), SchemeError> {
        let mut buf = field(s, 1);
        if c as u32 > 255 && flags(buf) & FLAG_WIDE == 0 {
            let n = str_len(s);
            buf = self.str_buf(n, true)?;
            copy_part(&(s, 0, n), buf, 0);
            self.set_field(s, 1, buf);
        }
        buf_put(buf, i, c);
        Ok(())
    }
}
