//! Startup: the shared state, the primitives, the standard ports and the prelude.

use crate::consts::Consts;
use crate::env::{Environments, SYSTEM};
use crate::error::{Kind, SchemeError};
use crate::expand::read_text;
use crate::prims::Registry;
use crate::value::{Type, Value};
use crate::vm::{Immortals, Roots, Shared, Stores, Vm};
use pagemark::Heap;
use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

pub fn shared<S: Stores>(heap: Heap, args: Vec<String>) -> Arc<Shared<S>> {
    let immortals = Arc::new(Immortals(AtomicU64::new(Value::NIL.0)));
    heap.add_global_roots(immortals.clone());
    Arc::new(Shared {
        heap,
        symbols: Mutex::default(),
        immortals,
        immortals_lock: Mutex::default(),
        consts: Consts::new(),
        envs: Mutex::new(Environments::new()),
        prims: OnceLock::new(),
        ports: OnceLock::new(),
        oom_condition: OnceLock::new(),
        args,
    })
}

impl<S: Stores> Vm<S> {
    /// A machine for the calling thread; `prepare` sets registers before the collector sees them.
    pub fn new(shared: Arc<Shared<S>>, stores: S, prepare: impl FnOnce(&Roots)) -> Vm<S> {
        let roots = Arc::new(Roots::new());
        prepare(&roots);
        let mutator = shared.heap.attach(roots.clone());
        Vm { mutator, stores, roots, shared, last_call: None, form: None }
    }
}

pub fn boot<S: Stores>(vm: &mut Vm<S>) -> Result<(), SchemeError> {
    let mut registry = Registry { all: Vec::new() };
    crate::natives::install(&mut registry);
    crate::lib::install(&mut registry);
    let prims = Box::leak(registry.all.into_boxed_slice());
    if vm.shared.prims.set(prims).is_err() {
        return Err(SchemeError::error("booted twice", &[]));
    }
    for (i, p) in prims.iter().enumerate() {
        let name = vm.intern(p.name)?;
        let f = vm.object(Type::Primitive, 0, &[Value::fixnum(i as i64), name])?;
        vm.define_system(p.name, f)?;
    }
    let ports = crate::lib::ports::make_standard_ports(vm)?;
    let names = ["current-input-port", "current-output-port", "current-error-port"];
    let mut parameters = [Value::FALSE; 3];
    for i in 0..3 {
        parameters[i] = vm.object(Type::Parameter, 0, &[ports[i], Value::FALSE])?;
        vm.define_system(names[i], parameters[i])?;
        vm.immortal(parameters[i])?;
    }
    let _ = vm.shared.ports.set(parameters);
    let oom = vm.make_condition(Kind::OutOfMemory, "out of memory", &[], Value::FALSE)?;
    vm.immortal(oom)?;
    let _ = vm.shared.oom_condition.set(oom);
    let thread = vm.object(
        Type::Thread,
        0,
        &[Value::fixnum(0), Value::FALSE, Value::FALSE, Value::FALSE, Value::FALSE, Value::fixnum(-1)],
    )?;
    vm.roots.set(crate::vm::Reg::Thread, thread);
    for (text, file) in [(include_str!("prelude.scm"), "prelude.scm"), (crate::lib::PRELUDE, "prelude-lib.scm")] {
        for form in read_text(text, file)? {
            vm.eval_form(&form, SYSTEM)?;
        }
    }
    Ok(())
}
