//! From data to running code: what `eval` and the program loader share.

use super::{Stores, Vm};
use crate::code::{Code, Ins};
use crate::codegen;
use crate::env::{EnvId, PROGRAM, SYSTEM};
use crate::error::{Kind, SchemeError};
use crate::expand::{Binding, Expander};
use crate::heap::*;
use crate::natives::special::Special;
use crate::prims::ANY;
use crate::syntax::{Name, Pos, Syntax, from_value};
use crate::value::{Type, Value};

impl<S: Stores> Vm<S> {
    /// The environment that an environment object stands for; the program's own if it is none.
    pub fn env_of(&self, env: Value) -> EnvId {
        if is_type(env, Type::Environment) { field(env, 0).as_fixnum() as EnvId } else { PROGRAM }
    }
    /// The closure of no arguments that evaluates a form.
    pub fn compile_form(&mut self, form: &Syntax, env: EnvId) -> Result<Value, SchemeError> {
        let expr = Expander::new(self).top(form, env)?;
        let code = codegen::compile(self, expr, form.pos())?;
        self.object(Type::Closure, 0, &[Value(code as *const Code as u64 | 1)])
    }
    /// The same for `(eval datum environment)`.
    pub fn compile_value(&mut self, datum: Value, env: Value) -> Result<Value, SchemeError> {
        let env = self.env_of(env);
        let pos = Pos { file: Name::new("eval"), line: 1, column: 1 };
        self.compile_form(&from_value(datum, pos), env)
    }
    /// Evaluates the forms of a program or library text, one after the other.
    pub fn load_forms(&mut self, forms: &[Syntax], env: EnvId) -> Result<Value, SchemeError> {
        self.with_room(|vm| vm.prescan(forms, env))?;
        let mut last = Value::UNSPECIFIED;
        for form in forms {
            last = self.eval_form(form, env)?;
        }
        Ok(last)
    }
    /// Evaluates one top-level form. Syntax errors go through the handlers like all others.
    pub fn eval_form(&mut self, form: &Syntax, env: EnvId) -> Result<Value, SchemeError> {
        self.form = Some(form.pos());
        match self.with_room(|vm| vm.compile_form(form, env)) {
            Ok(thunk) => self.run(thunk),
            Err(e) => self.run_error(e),
        }
    }

    /// The primitive in the cell, if a call with `n` arguments can skip all checks.
    pub fn plain_primitive(&self, cell: Value, n: usize) -> Option<u32> {
        let f = field(cell, 0);
        if !is_type(f, Type::Primitive) {
            return None;
        }
        let index = field(f, 0).as_fixnum() as usize;
        let p = &self.shared.prims.get()?[index];
        let fits = n >= p.min as usize && (p.max == ANY || n <= p.max as usize);
        (fits && Special::of(index).is_none()).then_some(index as u32)
    }
    /// The constant number of a system variable's cell.
    pub fn system_index(&self, name: &str) -> Result<u32, SchemeError> {
        match self.reference(SYSTEM, Name::new(name))? {
            Binding::Global(g) => Ok(g.index),
            _ => Err(SchemeError::error(format!("{name} is not a variable"), &[])),
        }
    }
    pub fn make_condition(
        &self,
        kind: Kind,
        message: &str,
        irritants: &[Value],
        at: Value,
    ) -> Result<Value, SchemeError> {
        let list = self.list(irritants)?;
        let message = self.string_from(message)?;
        self.object(Type::Condition, 0, &[Value::fixnum(kind as i64), message, list, at])
    }
}

const _: () = assert!(size_of::<Ins>() == 8);
