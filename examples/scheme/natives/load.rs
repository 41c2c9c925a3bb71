//! Loading: a source file is read as a whole, with its positions, and its forms are compiled one at a time, each after
//! the one before has run (`load` in the prelude runs them).

use crate::expand::read_file;
use crate::prims::Registry;
use crate::standard::args;
use crate::value::Value;
use crate::vm::Stores;
use std::collections::VecDeque;
use std::path::Path;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    // (%open-source file): the number of a source.
    r.add("%open-source", 1, 1, |vm, a| {
        let forms = read_file(Path::new(&args::text("load", a, 0)?))?;
        let mut sources = vm.shared.sources.lock();
        sources.push(VecDeque::from(forms));
        Ok(Value::fixnum(sources.len() as i64 - 1))
    });
    // (%next-form source [environment]): the next form as a procedure without arguments, #f at the end.
    r.add("%next-form", 1, 2, |vm, a| {
        let source = args::count("%next-form", a, 0)?;
        let Some(form) = vm.shared.sources.lock()[source].front().cloned() else { return Ok(Value::FALSE) };
        vm.form = Some(form.pos());
        let env = vm.env_of(a.get(1).copied().unwrap_or(Value::DEFAULT));
        let thunk = vm.compile_form(&form, env)?;
        // Taken only now: when the heap is exhausted all this is done again.
        vm.shared.sources.lock()[source].pop_front();
        Ok(thunk)
    });
}
