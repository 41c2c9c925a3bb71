//! Reading from ports.

use super::state::Input;
use super::{BINARY, INPUT, lock, look, port_argument, skip};
use crate::error::SchemeError;
use crate::heap::{byte_at, size};
use crate::prims::{Answer, Registry};
use crate::reader::{CharSource, Reader};
use crate::standard::args;
use crate::syntax::to_value;
use crate::value::Value;
use crate::vm::{Stores, Vm};
use std::io;
use std::sync::atomic::Ordering;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("read-char", 0, 1, |vm, a| {
        let port = port_argument(vm, "read-char", a, 0, INPUT)?;
        let mut port = lock(vm, &port);
        let Some((c, length)) = look(vm, "read-char", &mut port, Input::look_char)? else { return Ok(Value::EOF) };
        skip(&mut port, length);
        Ok(Value::char(c))
    });
    r.add("peek-char", 0, 1, |vm, a| {
        let port = port_argument(vm, "peek-char", a, 0, INPUT)?;
        let mut port = lock(vm, &port);
        Ok(look(vm, "peek-char", &mut port, Input::look_char)?.map_or(Value::EOF, |(c, _)| Value::char(c)))
    });
    r.add("read-line", 0, 1, |vm, a| {
        let port = port_argument(vm, "read-line", a, 0, INPUT)?;
        let mut port = lock(vm, &port);
        let Some((line, length)) = look(vm, "read-line", &mut port, Input::look_line)? else { return Ok(Value::EOF) };
        let line = vm.string_from(&line)?;
        skip(&mut port, length);
        Ok(line)
    });
    r.add("read-string", 1, 2, |vm, a| {
        // The order of the arguments in older drafts is understood as well.
        let swapped;
        let a = match a {
            [port, count] if count.is_fixnum() && !port.is_fixnum() => {
                swapped = [*count, *port];
                &swapped[..]
            }
            _ => a,
        };
        let count = args::length("read-string", a, 0)?;
        let port = port_argument(vm, "read-string", a, 1, INPUT)?;
        let mut port = lock(vm, &port);
        match look(vm, "read-string", &mut port, |i| i.look_string(count))? {
            Some((text, length)) => {
                let text = vm.string_from(&text)?;
                skip(&mut port, length);
                Ok(text)
            }
            None => Ok(Value::EOF),
        }
    });
    r.add("char-ready?", 0, 1, |vm, a| ready(vm, "char-ready?", a, INPUT));
    r.add("u8-ready?", 0, 1, |vm, a| ready(vm, "u8-ready?", a, INPUT | BINARY));
    r.add("read-u8", 0, 1, |vm, a| {
        let port = port_argument(vm, "read-u8", a, 0, INPUT | BINARY)?;
        let mut port = lock(vm, &port);
        let Some(byte) = look(vm, "read-u8", &mut port, Input::look_byte)? else { return Ok(Value::EOF) };
        skip(&mut port, 1);
        Ok(Value::fixnum(i64::from(byte)))
    });
    r.add("peek-u8", 0, 1, |vm, a| {
        let port = port_argument(vm, "peek-u8", a, 0, INPUT | BINARY)?;
        let mut port = lock(vm, &port);
        let byte = look(vm, "peek-u8", &mut port, Input::look_byte)?;
        Ok(byte.map_or(Value::EOF, |b| Value::fixnum(i64::from(b))))
    });
    r.add("read-bytevector", 1, 2, |vm, a| {
        let count = args::length("read-bytevector", a, 0)?;
        let port = port_argument(vm, "read-bytevector", a, 1, INPUT | BINARY)?;
        let mut port = lock(vm, &port);
        match look(vm, "read-bytevector", &mut port, |i| i.look_bytes(count))? {
            Some(bytes) => {
                let v = vm.bytevector(&bytes)?;
                skip(&mut port, bytes.len());
                Ok(v)
            }
            None => Ok(Value::EOF),
        }
    });
    r.add("read-bytevector!", 1, 4, |vm, a| {
        let target = args::bytevector("read-bytevector!", a, 0)?;
        let (start, end) = args::range("read-bytevector!", a, 2, size(target))?;
        let port = port_argument(vm, "read-bytevector!", a, 1, INPUT | BINARY)?;
        let mut port = lock(vm, &port);
        match look(vm, "read-bytevector!", &mut port, |i| i.look_bytes(end - start))? {
            Some(bytes) => {
                for (i, byte) in bytes.iter().enumerate() {
                    byte_at(target, start + i).store(*byte, Ordering::Relaxed);
                }
                skip(&mut port, bytes.len());
                Ok(Value::fixnum(bytes.len() as i64))
            }
            None => Ok(Value::EOF),
        }
    });
    r.add("read", 0, 1, |vm, a| read(vm, a));
    r.add("eof-object", 0, 0, |_, _| Ok(Value::EOF));
    r.add("eof-object?", 1, 1, |_, a| Ok(Value::bool(a[0] == Value::EOF)));
}

/// Files and memory are always ready. A terminal or pipe without buffered input is taken to be, too: asking would
/// answer whether bytes are there, not whether a character is.
fn ready<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], want: i64) -> Answer {
    port_argument(vm, who, a, 0, want).map(|_| Value::TRUE)
}

/// The characters of a port for the reader: looks ahead of the port's position and consumes nothing.
struct Ahead<'a> {
    input: &'a mut Input,
    ahead: usize,
    /// The failure of the port, which the reader only knows as text.
    failure: Option<io::ErrorKind>,
}

impl Ahead<'_> {
    fn look(&mut self) -> io::Result<Option<(char, usize)>> {
        self.input.look_char_at(self.ahead).inspect_err(|e| self.failure = Some(e.kind()))
    }
}

impl CharSource for Ahead<'_> {
    fn peek(&mut self) -> io::Result<Option<char>> {
        Ok(self.look()?.map(|(c, _)| c))
    }

    fn next(&mut self) -> io::Result<Option<char>> {
        let next = self.look()?;
        self.ahead += next.map_or(0, |(_, length)| length);
        Ok(next.map(|(c, _)| c))
    }
}

/// The text of the datum is consumed when the datum is on the heap; malformed text is consumed as far as it was read.
fn read<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let port = port_argument(vm, "read", a, 0, INPUT)?;
    let mut port = lock(vm, &port);
    let (datum, length) = look(vm, "read", &mut port, |input| {
        let mut source = Ahead { input, ahead: 0, failure: None };
        let datum = Reader::new(&mut source, "port").read();
        match source.failure {
            Some(kind) => Err(kind.into()),
            None => Ok((datum, source.ahead)),
        }
    })?;
    let answer = match datum {
        Ok(Some(datum)) => to_value(vm, &datum)?,
        Ok(None) => Value::EOF,
        Err(e) => {
            skip(&mut port, length);
            return Err(SchemeError::read(format!("read: {}", e.message)));
        }
    };
    skip(&mut port, length);
    Ok(answer)
}
