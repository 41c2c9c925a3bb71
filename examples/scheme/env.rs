//! Top-level environments and libraries.
//!
//! Environment 0 is the system's: core forms, primitives and the prelude. A program has an open environment of its
//! own, which falls back to the system's for names it does not define; each library has a closed one that sees what it
//! imports. Names are bound to global variables, macros or core forms, and importing shares the binding.

use crate::ast::Global;
use crate::error::SchemeError;
use crate::expand::Binding;
use crate::heap::*;
use crate::syntax::Name;
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub type EnvId = usize;
pub const SYSTEM: EnvId = 0;
/// The program's or the REPL's environment.
pub const PROGRAM: EnvId = 1;

#[derive(Default)]
pub struct Env {
    pub table: HashMap<Name, Binding>,
    /// Falls back to the system environment.
    pub open: bool,
}

#[derive(Default)]
pub struct Environments {
    pub envs: Vec<Env>,
    pub libraries: HashMap<String, HashMap<Name, Binding>>,
}

impl Environments {
    pub fn new() -> Environments {
        let mut e = Environments::default();
        e.envs.push(Env::default());
        e.envs.push(Env { open: true, ..Env::default() });
        for (name, core) in crate::expand::CORE_FORMS {
            e.envs[SYSTEM].table.insert(Name::new(name), Binding::Core(*core));
        }
        e
    }
    pub fn lookup(&self, env: EnvId, name: Name) -> Option<Binding> {
        let e = &self.envs[env];
        match e.table.get(&name) {
            Some(b) => Some(b.clone()),
            None if e.open => self.envs[SYSTEM].table.get(&name).cloned(),
            None => None,
        }
    }
}

impl<S: Stores> Vm<S> {
    pub fn new_env(&self, open: bool) -> EnvId {
        let mut envs = self.shared.envs.lock();
        envs.envs.push(Env { open, ..Env::default() });
        envs.envs.len() - 1
    }
    fn new_global(&self, name: Name, value: Value) -> Result<Arc<Global>, SchemeError> {
        let symbol = self.intern(name.text())?;
        let cell = self.object(Type::Cell, 0, &[value, symbol])?;
        let index = self.constant(cell)?;
        Ok(Arc::new(Global { name, index, cell, standard: AtomicBool::new(false) }))
    }
    /// The number of a constant, which lives for ever from now on.
    pub fn constant(&self, v: Value) -> Result<u32, SchemeError> {
        self.shared.consts.number(v, || if v.is_pointer() { self.immortal(v) } else { Ok(()) })
    }
    /// The binding a reference to `name` finds; an unbound variable is created.
    pub fn reference(&self, env: EnvId, name: Name) -> Result<Binding, SchemeError> {
        let mut envs = self.shared.envs.lock();
        if let Some(b) = envs.lookup(env, name) {
            return Ok(b);
        }
        let b = Binding::Global(self.new_global(name, Value::UNBOUND)?);
        envs.envs[env].table.insert(name, b.clone());
        Ok(b)
    }
    /// The environment's own variable `name`, for a definition. What was imported under the name is shadowed, and
    /// seen as the initial value.
    pub fn own_global(&self, env: EnvId, name: Name) -> Result<Arc<Global>, SchemeError> {
        let mut envs = self.shared.envs.lock();
        if let Some(Binding::Global(g)) = envs.envs[env].table.get(&name) {
            return Ok(g.clone());
        }
        let old = match envs.lookup(env, name) {
            Some(Binding::Global(g)) => field(g.cell, 0),
            _ => Value::UNBOUND,
        };
        let g = self.new_global(name, old)?;
        envs.envs[env].table.insert(name, Binding::Global(g.clone()));
        Ok(g)
    }
    pub fn bind(&self, env: EnvId, name: Name, binding: Binding) {
        self.shared.envs.lock().envs[env].table.insert(name, binding);
    }
    /// The value of a variable of the system environment.
    pub fn system_value(&self, name: &str) -> Result<Value, SchemeError> {
        match self.reference(SYSTEM, Name::new(name))? {
            Binding::Global(g) => Ok(field(g.cell, 0)),
            Binding::Core(_) | Binding::Macro(_) | Binding::Var(_) => {
                Err(SchemeError::error(format!("{name} is not a variable"), &[]))
            }
        }
    }
    /// Binds a variable of the system environment.
    pub fn define_system(&self, name: &'static str, value: Value) -> Result<(), SchemeError> {
        let g = self.own_global(SYSTEM, Name::new(name))?;
        self.set_field(g.cell, 0, value);
        g.standard.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}
