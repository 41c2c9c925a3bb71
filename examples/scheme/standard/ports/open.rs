//! Opening, closing and telling ports apart.

use super::state::{self, Port};
use super::{BINARY, INPUT, OUTPUT, closed, flush, index, is_port, kind, lock, system_error};
use crate::error::SchemeError;
use crate::heap::{bytes_of, size, str_len, str_ref};
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::value::{Type, Value};
use crate::vm::{Reg, Stores, Vm};
use std::io;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("open-input-file", 1, 1, |vm, a| file(vm, "open-input-file", a, INPUT, Port::open_input));
    r.add("open-binary-input-file", 1, 1, |vm, a| {
        file(vm, "open-binary-input-file", a, INPUT | BINARY, Port::open_input)
    });
    r.add("open-output-file", 1, 1, |vm, a| file(vm, "open-output-file", a, OUTPUT, |p| Port::open_output(p, false)));
    r.add("open-binary-output-file", 1, 1, |vm, a| {
        file(vm, "open-binary-output-file", a, OUTPUT | BINARY, |p| Port::open_output(p, false))
    });
    r.add("open-append-file", 1, 1, |vm, a| file(vm, "open-append-file", a, OUTPUT, |p| Port::open_output(p, true)));
    r.add("open-input-string", 1, 3, |vm, a| {
        let s = args::string("open-input-string", a, 0)?;
        let (start, end) = args::range("open-input-string", a, 1, str_len(s))?;
        let text: String = (start..end).map(|i| str_ref(s, i)).collect();
        make(vm, INPUT, || Ok(Port::reading_bytes(text.into_bytes()))).map_err(|e| opening("open-input-string", e, a))
    });
    r.add("open-input-bytevector", 1, 1, |vm, a| {
        let b = args::bytevector("open-input-bytevector", a, 0)?;
        let bytes = bytes_of(b, 0, size(b));
        make(vm, INPUT | BINARY, || Ok(Port::reading_bytes(bytes))).map_err(|e| opening("open-input-bytevector", e, a))
    });
    r.add("open-output-string", 0, 0, |vm, a| {
        make(vm, OUTPUT, || Ok(Port::collecting())).map_err(|e| opening("open-output-string", e, a))
    });
    r.add("open-output-bytevector", 0, 0, |vm, a| {
        make(vm, OUTPUT | BINARY, || Ok(Port::collecting())).map_err(|e| opening("open-output-bytevector", e, a))
    });
    r.add("get-output-string", 1, 1, |vm, a| {
        let bytes = collected(vm, "get-output-string", a)?;
        vm.string_from(&String::from_utf8_lossy(&bytes))
    });
    r.add("get-output-bytevector", 1, 1, |vm, a| {
        let bytes = collected(vm, "get-output-bytevector", a)?;
        vm.bytevector(&bytes)
    });

    r.add("close-port", 1, 1, |vm, a| close(vm, "close-port", a, true, true));
    r.add("close-input-port", 1, 1, |vm, a| close(vm, "close-input-port", a, true, false));
    r.add("close-output-port", 1, 1, |vm, a| close(vm, "close-output-port", a, false, true));

    r.add("port?", 1, 1, |_, a| Ok(Value::bool(is_port(a[0]))));
    r.add("input-port?", 1, 1, |_, a| Ok(Value::bool(is_port(a[0]) && kind(a[0]) & INPUT != 0)));
    r.add("output-port?", 1, 1, |_, a| Ok(Value::bool(is_port(a[0]) && kind(a[0]) & OUTPUT != 0)));
    r.add("binary-port?", 1, 1, |_, a| Ok(Value::bool(is_port(a[0]) && kind(a[0]) & BINARY != 0)));
    r.add("textual-port?", 1, 1, |_, a| Ok(Value::bool(is_port(a[0]) && kind(a[0]) & BINARY == 0)));
    r.add("input-port-open?", 1, 1, |vm, a| is_open(vm, "input-port-open?", a, |p| p.input.is_some()));
    r.add("output-port-open?", 1, 1, |vm, a| is_open(vm, "output-port-open?", a, |p| p.output.is_some()));
}

/// Why no port was made.
enum Failure {
    Heap(SchemeError),
    System(io::Error),
}

/// The heap object is allocated first: an exhausted heap then leaves no open file behind.
fn make<S: Stores>(vm: &mut Vm<S>, kind: i64, open: impl FnOnce() -> io::Result<Port>) -> Result<Value, Failure> {
    let object = vm.object(Type::Port, 0, &[Value::fixnum(0), Value::fixnum(kind)]).map_err(Failure::Heap)?;
    // To open a named pipe is to wait for its other end.
    vm.roots.set(Reg::Scratch, object);
    let port = vm.blocking(open);
    vm.roots.set(Reg::Scratch, Value::FALSE);
    vm.set_field(object, 0, Value::fixnum(state::register(port.map_err(Failure::System)?) as i64));
    Ok(object)
}

fn opening(who: &str, failure: Failure, irritants: &[Value]) -> SchemeError {
    match failure {
        Failure::Heap(e) => e,
        Failure::System(e) => system_error(who, &e, irritants),
    }
}

fn file<S: Stores>(
    vm: &mut Vm<S>,
    who: &str,
    a: &[Value],
    kind: i64,
    open: impl FnOnce(&str) -> io::Result<Port>,
) -> Answer {
    let path = args::text(who, a, 0)?;
    make(vm, kind, || open(&path)).map_err(|e| opening(who, e, a))
}

fn argument(who: &str, a: &[Value]) -> Result<Value, SchemeError> {
    if is_port(a[0]) { Ok(a[0]) } else { Err(SchemeError::wrong_type(who, 1, "port", a[0])) }
}

/// Closes one or both directions, writing pending output first.
fn close<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], input: bool, output: bool) -> Answer {
    let index = index(argument(who, a)?);
    let Some(shared) = state::find(index) else { return Ok(Value::UNSPECIFIED) };
    let mut port = lock(vm, &shared);
    let pending = if output { port.output.take() } else { None };
    if input {
        port.input = None;
    }
    let closed = port.input.is_none() && port.output.is_none();
    drop(port);
    if closed {
        state::forget(index);
    }
    match pending {
        Some(mut output) => flush(vm, who, &mut output),
        None => Ok(Value::UNSPECIFIED),
    }
}

fn is_open<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value], f: impl Fn(&Port) -> bool) -> Answer {
    let port = argument(who, a)?;
    let open = state::find(index(port)).is_some_and(|p| f(&lock(vm, &p)));
    Ok(Value::bool(open))
}

fn collected<S: Stores>(vm: &mut Vm<S>, who: &str, a: &[Value]) -> Result<Vec<u8>, SchemeError> {
    let port = state::find(index(argument(who, a)?)).ok_or_else(|| closed(who))?;
    let port = lock(vm, &port);
    match port.output.as_ref().and_then(|o| o.collected()) {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(SchemeError::wrong_type(who, 1, "string or bytevector output port", a[0])),
    }
}
