//! Writing to ports.

use super::{BINARY, OUTPUT, closed, flush, lock, port_argument};
use crate::error::SchemeError;
use crate::heap::{bytes_of, size, str_len, str_ref};
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::standard::print::{Mode, to_string};
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("write-char", 1, 2, |vm, a| {
        let c = args::char("write-char", a, 0)?;
        put(vm, "write-char", a, 1, OUTPUT, c.encode_utf8(&mut [0; 4]).as_bytes())
    });
    r.add("write-string", 1, 4, |vm, a| {
        let s = args::string("write-string", a, 0)?;
        let (start, end) = args::range("write-string", a, 2, str_len(s))?;
        let text: String = (start..end).map(|i| str_ref(s, i)).collect();
        put(vm, "write-string", a, 1, OUTPUT, text.as_bytes())
    });
    r.add("write-u8", 1, 2, |vm, a| {
        let byte = args::index("write-u8", a, 0, 256)?;
        put(vm, "write-u8", a, 1, OUTPUT | BINARY, &[byte as u8])
    });
    r.add("write-bytevector", 1, 4, |vm, a| {
        let b = args::bytevector("write-bytevector", a, 0)?;
        let (start, end) = args::range("write-bytevector", a, 2, size(b))?;
        put(vm, "write-bytevector", a, 1, OUTPUT | BINARY, &bytes_of(b, start, end))
    });
    r.add("newline", 0, 1, |vm, a| put(vm, "newline", a, 0, OUTPUT, b"\n"));
    r.add("fresh-line", 0, 1, |vm, a| {
        let port = port_argument(vm, "fresh-line", a, 0, OUTPUT)?;
        let at_start = lock(vm, &port).output.as_ref().is_none_or(|o| o.at_line_start());
        if at_start { Ok(Value::UNSPECIFIED) } else { put(vm, "fresh-line", a, 0, OUTPUT, b"\n") }
    });
    for name in ["flush-output-port", "flush-output"] {
        r.add(name, 0, 1, |vm, a| {
            let want = if a.first().is_some_and(|p| super::is_port(*p) && super::kind(*p) & BINARY != 0) {
                OUTPUT | BINARY
            } else {
                OUTPUT
            };
            let port = port_argument(vm, "flush-output-port", a, 0, want)?;
            let mut port = lock(vm, &port);
            let output = port.output.as_mut().ok_or_else(|| closed("flush-output-port"))?;
            flush(vm, "flush-output-port", output)
        });
    }
    r.add("display", 1, 2, |vm, a| print(vm, "display", a, Mode::Display));
    r.add("write", 1, 2, |vm, a| print(vm, "write", a, Mode::Write));
    r.add("write-shared", 1, 2, |vm, a| print(vm, "write-shared", a, Mode::Shared));
    r.add("write-simple", 1, 2, |vm, a| print(vm, "write-simple", a, Mode::Simple));
    r.add("write-line", 1, 2, |vm, a| {
        let text = to_string(a[0], Mode::Write) + "\n";
        put(vm, "write-line", a, 1, OUTPUT, text.as_bytes())
    });
    r.add("%datum->string", 2, 2, |vm, a| {
        vm.string_from(&to_string(a[0], if a[1].is_true() { Mode::Write } else { Mode::Display }))
    });
}

/// Writes bytes to the port in argument `i` or to the current output port.
fn put<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], i: usize, want: i64, bytes: &[u8]) -> Answer {
    let port = port_argument(vm, who, a, i, want)?;
    let mut port = lock(vm, &port);
    let Some(output) = port.output.as_mut() else { return Err(closed(who)) };
    if output.write(bytes) { flush(vm, who, output) } else { Ok(Value::UNSPECIFIED) }
}

fn print<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], mode: Mode) -> Result<Value, SchemeError> {
    put(vm, who, a, 1, OUTPUT, to_string(a[0], mode).as_bytes())
}
