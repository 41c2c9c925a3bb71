//! Control, dynamic state, records, promises, parameters, conditions and symbols.

use crate::env::PROGRAM;
use crate::error::{Kind, SchemeError};
use crate::heap::*;
use crate::prims::{ANY, Answer, Registry};
use crate::value::{Type, Value};
use crate::vm::{Reg, Stores, Vm};
use std::sync::atomic::{AtomicU64, Ordering};

fn record(who: Value, r: Value, ty: Value) -> Result<(), SchemeError> {
    if is_type(r, Type::Record) && field(r, 0) == ty {
        return Ok(());
    }
    let who = if is_symbol(who) { symbol_name(who) } else { "record accessor".into() };
    let ty = if is_type(ty, Type::Rtd) { symbol_name(field(ty, 0)) } else { "record".into() };
    Err(SchemeError::wrong_type(&who, 1, ty.trim_matches(['<', '>']), r))
}

fn condition(who: &str, v: Value) -> Result<(), SchemeError> {
    if is_type(v, Type::Condition) { Ok(()) } else { Err(SchemeError::wrong_type(who, 1, "error object", v)) }
}

fn of_kind(v: Value, kinds: &[Kind]) -> Value {
    Value::bool(is_type(v, Type::Condition) && kinds.iter().any(|k| field(v, 0) == Value::fixnum(*k as i64)))
}

fn error<S: Stores>(_: &mut Vm<S>, a: &[Value]) -> Answer {
    let message = if is_string(a[0]) { str_to_rust(a[0]) } else { crate::standard::print::write_to_string(a[0]) };
    Err(SchemeError::error(message, &a[1..]))
}

fn register<S: Stores>(r: &mut Registry<S>) {
    r.add("%handlers", 0, 0, |vm, _| Ok(vm.roots.get(Reg::Handlers)));
    r.add("%set-handlers!", 1, 1, |vm, a| {
        vm.roots.set(Reg::Handlers, a[0]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("%winders", 0, 0, |vm, _| Ok(vm.roots.get(Reg::Winders)));
    r.add("%set-winders!", 1, 1, |vm, a| {
        vm.roots.set(Reg::Winders, a[0]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("%dynamic", 0, 0, |vm, _| Ok(vm.roots.get(Reg::Dynamic)));
    r.add("%set-dynamic!", 1, 1, |vm, a| {
        vm.roots.set(Reg::Dynamic, a[0]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("%continuation-winders", 1, 1, |_, a| Ok(field(a[0], 2)));
    r.add("%uncaught", 1, 1, |_, a| Err(SchemeError::uncaught(a[0])));
    r.add("values", 0, ANY, |vm, a| if a.len() == 1 { Ok(a[0]) } else { vm.object(Type::Values, 0, a) });
    r.add("procedure?", 1, 1, |_, a| Ok(Value::bool(is_procedure(a[0]))));
    r.add("default-object?", 1, 1, |_, a| Ok(Value::bool(a[0] == Value::DEFAULT)));
    r.add("void", 0, ANY, |_, _| Ok(Value::UNSPECIFIED));
}

fn conditions<S: Stores>(r: &mut Registry<S>) {
    r.add("error", 1, ANY, error);
    r.add("error-object?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::Condition))));
    r.add("condition?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::Condition))));
    r.add("error-object-message", 1, 1, |_, a| {
        condition("error-object-message", a[0])?;
        Ok(field(a[0], 1))
    });
    r.add("error-object-irritants", 1, 1, |_, a| {
        condition("error-object-irritants", a[0])?;
        Ok(field(a[0], 2))
    });
    r.add("error-object-position", 1, 1, |_, a| {
        condition("error-object-position", a[0])?;
        Ok(field(a[0], 3))
    });
    r.add("condition/report-string", 1, 1, |vm, a| {
        condition("condition/report-string", a[0])?;
        vm.string_from(&report(a[0], false))
    });
    r.add("file-error?", 1, 1, |_, a| Ok(of_kind(a[0], &[Kind::File])));
    r.add("read-error?", 1, 1, |_, a| Ok(of_kind(a[0], &[Kind::Read])));
    r.add("out-of-memory-error?", 1, 1, |_, a| Ok(of_kind(a[0], &[Kind::OutOfMemory])));
    r.add("%uncaught-exception", 1, 1, |vm, a| {
        let text = vm.string_from("uncaught exception in a thread:")?;
        let list = vm.list(a)?;
        vm.object(Type::Condition, 0, &[Value::fixnum(Kind::Thread as i64), text, list, Value::FALSE])
    });
    r.add("uncaught-exception?", 1, 1, |_, a| Ok(of_kind(a[0], &[Kind::Thread])));
}

/// A condition object in words: `message irritant ...`, after its place if asked for.
pub fn report(v: Value, place: bool) -> String {
    let mut text = String::new();
    if place && is_string(field(v, 3)) {
        text = format!("{}: ", str_to_rust(field(v, 3)));
    }
    text.push_str(&str_to_rust(field(v, 1)));
    for i in list_to_vec(field(v, 2)).unwrap_or_default() {
        text.push(' ');
        match is_type(i, Type::Condition) {
            true => text.push_str(&report(i, place)),
            false => text.push_str(&crate::standard::print::write_to_string(i)),
        }
    }
    text
}

fn records<S: Stores>(r: &mut Registry<S>) {
    r.add("%make-record-type", 2, 2, |vm, a| {
        let n = list_to_vec(a[1]).map_or(0, |l| l.len());
        vm.object(Type::Rtd, 0, &[a[0], a[1], Value::fixnum(n as i64)])
    });
    r.add("%record", 1, ANY, |vm, a| vm.object(Type::Record, 0, a));
    r.add("%record-is?", 2, 2, |_, a| Ok(Value::bool(is_type(a[0], Type::Record) && field(a[0], 0) == a[1])));
    r.add("%record-ref", 4, 4, |_, a| {
        record(a[3], a[0], a[1])?;
        Ok(field(a[0], a[2].as_fixnum() as usize + 1))
    });
    r.add("%record-set!", 5, 5, |vm, a| {
        record(a[4], a[0], a[1])?;
        vm.set_field(a[0], a[2].as_fixnum() as usize + 1, a[3]);
        Ok(Value::UNSPECIFIED)
    });
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    register(r);
    conditions(r);
    records(r);
    r.add("symbol?", 1, 1, |_, a| Ok(Value::bool(is_symbol(a[0]))));
    r.add("boolean?", 1, 1, |_, a| Ok(Value::bool(a[0] == Value::TRUE || a[0] == Value::FALSE)));
    r.add("generate-uninterned-symbol", 0, 1, |vm, _| {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = vm.string_from(&format!("g{}", COUNT.fetch_add(1, Ordering::Relaxed)))?;
        vm.object(Type::Symbol, 0, &[name])
    });
    // A promise holds a pair (done? . value-or-thunk), which forcing a chain of promises shares.
    r.add("%make-promise", 2, 2, |vm, a| {
        let pair = vm.cons(a[0], a[1])?;
        vm.object(Type::Promise, 0, &[pair])
    });
    r.add("promise?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::Promise))));
    r.add("%promise-box", 1, 1, |_, a| Ok(field(a[0], 0)));
    r.add("%set-promise-box!", 2, 2, |vm, a| {
        vm.set_field(a[0], 0, a[1]);
        Ok(Value::UNSPECIFIED)
    });
    r.add("%make-parameter", 2, 2, |vm, a| vm.object(Type::Parameter, 0, a));
    r.add("%parameter-converter", 1, 1, |_, a| {
        if !is_type(a[0], Type::Parameter) {
            return Err(SchemeError::wrong_type("parameterize", 1, "parameter", a[0]));
        }
        Ok(field(a[0], 1))
    });
    for name in [
        "interaction-environment",
        "system-global-environment",
        "scheme-report-environment",
        "environment",
        "null-environment",
    ] {
        r.add(name, 0, ANY, |vm, _| vm.object(Type::Environment, 0, &[Value::fixnum(PROGRAM as i64)]));
    }
    r.add("features", 0, 0, |vm, _| {
        let mut all = Vec::new();
        for f in crate::expand::FEATURES {
            all.push(vm.intern(f)?);
        }
        vm.list(&all)
    });
    for name in ["gc", "collect-garbage"] {
        r.add(name, 0, 1, |vm, _| {
            vm.mutator.collect();
            Ok(Value::UNSPECIFIED)
        });
    }
    r.add("gc-cycles", 0, 0, |vm, _| Ok(Value::fixnum(vm.shared.heap.cycles() as i64)));
    r.add("gc-allocated-bytes", 0, 0, |vm, _| Ok(Value::fixnum(vm.shared.heap.allocated_bytes() as i64)));
}
