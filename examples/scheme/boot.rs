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

/// Bytes held back for handlers of "out of memory": enough to move a full stack to the heap.
const RESERVE: usize = 1 << 20;
/// The smallest limit of which so much can be spared.
const RESERVE_FROM: u64 = 8 << 20;

/// The state that the threads of a program share, on a heap with this limit.
pub fn shared<S: Stores>(heap: Heap, limit: Option<u64>, args: Vec<String>) -> Arc<Shared<S>> {
    let (list, reserve) = (AtomicU64::new(Value::NIL.0), AtomicU64::new(Value::FALSE.0));
    let immortals = Arc::new(Immortals { list, reserve });
    heap.add_global_roots(immortals.clone());
    Arc::new(Shared {
        heap,
        symbols: Mutex::default(),
        immortals,
        immortals_lock: Mutex::default(),
        reserve: if limit.is_none_or(|limit| limit >= RESERVE_FROM) { RESERVE } else { 0 },
        retry: Default::default(),
        consts: Consts::new(),
        envs: Mutex::new(Environments::new()),
        prims: OnceLock::new(),
        ports: OnceLock::new(),
        oom_condition: OnceLock::new(),
        sources: Mutex::default(),
        args,
    })
}

impl<S: Stores> Vm<S> {
    /// A machine for the calling thread; `prepare` sets registers before the collector sees them.
    pub fn new(shared: Arc<Shared<S>>, stores: S, prepare: impl FnOnce(&Roots)) -> Vm<S> {
        let roots = Arc::new(Roots::new());
        prepare(&roots);
        let mutator = shared.heap.attach(roots.clone());
        Vm { mutator, stores, roots, shared, last_call: None, form: None, pressed: (0, 0, 0) }
    }
}

pub fn boot<S: Stores>(vm: &mut Vm<S>) -> Result<(), SchemeError> {
    let mut registry = Registry { all: Vec::new() };
    crate::natives::install(&mut registry);
    crate::standard::install(&mut registry);
    let prims = Box::leak(registry.all.into_boxed_slice());
    if vm.shared.prims.set(prims).is_err() {
        return Err(SchemeError::error("booted twice", &[]));
    }
    for (i, p) in prims.iter().enumerate() {
        let name = vm.intern(p.name)?;
        let f = vm.object(Type::Primitive, 0, &[Value::fixnum(i as i64), name])?;
        vm.define_system(p.name, f)?;
    }
    let ports = crate::standard::ports::make_standard_ports(vm)?;
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
    vm.save_reserve();
    let thread = vm.object(
        Type::Thread,
        0,
        &[Value::fixnum(0), Value::FALSE, Value::FALSE, Value::FALSE, Value::FALSE, Value::fixnum(-1)],
    )?;
    vm.roots.set(crate::vm::Reg::Thread, thread);
    for (text, file) in [(include_str!("prelude.scm"), "prelude.scm"), (crate::standard::PRELUDE, "prelude-lib.scm")] {
        for form in read_text(text, file)? {
            vm.eval_form(&form, SYSTEM)?;
        }
    }
    Ok(())
}
