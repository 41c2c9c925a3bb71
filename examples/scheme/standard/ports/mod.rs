//! Ports as the program sees them: objects with an index into the table of [`state`] and what kind of port it is.
//!
//! Whatever may block (reading from a source, flushing to a file, waiting for another thread's turn with a port) runs
//! with the thread out of the collector's way.

mod input;
mod open;
mod output;
mod state;

use crate::error::SchemeError;
use crate::heap::{field, is_type};
use crate::prims::{Answer, Registry};
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};
use state::{Input, Output, Port, Shared};
use std::io;
use std::sync::{MutexGuard, TryLockError};

/// Writes all pending output where the thread may block: other threads hold ports while they wait for a pause to end.
pub fn flush_all<S: Stores>(vm: &mut Vm<S>) {
    vm.blocking(state::flush_all);
}

const INPUT: i64 = 1;
const OUTPUT: i64 = 2;
const BINARY: i64 = 4;

/// Adds all primitives on ports.
pub fn install<S: Stores>(r: &mut Registry<S>) {
    open::install(r);
    input::install(r);
    output::install(r);
}

/// The ports of the process: input, output and error.
pub fn make_standard_ports<S: Stores>(vm: &mut Vm<S>) -> Result<[Value; 3], SchemeError> {
    let port = |index: usize, kind| vm.object(Type::Port, 0, &[Value::fixnum(index as i64), Value::fixnum(kind)]);
    Ok([port(state::STDIN, INPUT)?, port(state::STDOUT, OUTPUT)?, port(state::STDERR, OUTPUT)?])
}

fn is_port(v: Value) -> bool {
    is_type(v, Type::Port)
}

fn kind(port: Value) -> i64 {
    field(port, 1).as_fixnum()
}

fn index(port: Value) -> usize {
    field(port, 0).as_fixnum() as usize
}

/// A failed operation of the system as a Scheme error.
fn system_error(who: &str, e: &io::Error, irritants: &[Value]) -> SchemeError {
    SchemeError::file(format!("{who}: {e}"), irritants)
}

/// The shared state of the port in argument `i`, or of the current port when there is no such argument.
fn port_argument<S: Stores>(vm: &Vm<S>, who: &str, args: &[Value], i: usize, want: i64) -> Result<Shared, SchemeError> {
    let port = match args.get(i) {
        Some(v) => *v,
        None => vm.standard_port(if want & INPUT != 0 { 0 } else { 1 })?,
    };
    if !is_port(port) || kind(port) & (INPUT | OUTPUT) & want == 0 {
        let direction = if want & INPUT != 0 { "input port" } else { "output port" };
        return Err(SchemeError::wrong_type(who, i + 1, direction, port));
    }
    if (kind(port) ^ want) & BINARY != 0 && index(port) > state::STDERR {
        let sort = if want & BINARY != 0 { "binary port" } else { "textual port" };
        return Err(SchemeError::wrong_type(who, i + 1, sort, port));
    }
    state::find(index(port)).ok_or_else(|| closed(who))
}

#[cold]
fn closed(who: &str) -> SchemeError {
    SchemeError::error(format!("{who}: the port is closed"), &[])
}

/// Waits for the port without holding up collections.
fn lock<'a, S: Stores>(vm: &mut Vm<S>, port: &'a Shared) -> MutexGuard<'a, Port> {
    match port.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(e)) => e.into_inner(),
        Err(TryLockError::WouldBlock) => vm.blocking(|| state::lock(port)),
    }
}

/// Looks at input: first at what is buffered, then, if that is not enough, where the thread may block.
fn look<S: Stores, T>(
    vm: &mut Vm<S>,
    who: &str,
    port: &mut Port,
    mut f: impl FnMut(&mut Input) -> io::Result<T>,
) -> Result<T, SchemeError> {
    let input = port.input.as_mut().ok_or_else(|| closed(who))?;
    input.set_patient(false);
    let quick = f(input);
    input.set_patient(true);
    let result = match quick {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => vm.blocking(|| f(input)),
        other => other,
    };
    result.map_err(|e| system_error(who, &e, &[]))
}

/// Consumes what was looked at.
fn skip(port: &mut Port, bytes: usize) {
    if let Some(input) = &mut port.input {
        input.skip(bytes);
    }
}

/// Flushes where the thread may block.
fn flush<S: Stores>(vm: &mut Vm<S>, who: &str, output: &mut Output) -> Answer {
    match vm.blocking(|| output.flush()) {
        Ok(()) => Ok(Value::UNSPECIFIED),
        Err(e) => Err(system_error(who, &e, &[])),
    }
}
