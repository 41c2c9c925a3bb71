//! The machine: what one Scheme thread owns, and what all of them share.
//!
//! A thread has a stack of values, a stack of control frames and a few registers; [`Roots`] holds them all, so the
//! collector finds the thread's references there at every safepoint. The interpreter proper is in `run`; `call` has the calls that it does not
//! handle itself, `continuations` how the stack gets to the heap and back, `room` what a full heap means, `errors` how errors reach handlers.

mod call;
mod compile;
mod continuations;
mod errors;
mod room;
mod run;
mod slow;
mod stack;

use crate::code::Code;
use crate::consts::Consts;
use crate::env::Environments;
use crate::error::SchemeError;
use crate::heap::{car, cdr, field, is_pair};
use crate::prims::Primitive;
use crate::syntax::{Pos, Syntax};
use crate::value::Value;
use pagemark::{CardTable, Heap, Mutator, RootSource, Tracer};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// How a reference is stored into an existing object: the only place where the collector's mechanism shows.
pub trait Stores: Copy + Send + Sync + 'static {
    fn store(&self, slot: &AtomicU64, v: Value);
}

/// No barrier: one store.
#[derive(Clone, Copy)]
pub struct PlainStores;

impl Stores for PlainStores {
    #[inline(always)]
    fn store(&self, slot: &AtomicU64, v: Value) {
        slot.store(v.0, Ordering::Release);
    }
}

/// The software card table, for comparison.
#[derive(Clone, Copy)]
pub struct CardStores(pub CardTable);

impl Stores for CardStores {
    #[inline(always)]
    fn store(&self, slot: &AtomicU64, v: Value) {
        slot.store(v.0, Ordering::Release);
        // SAFETY: the slot is a word of an object in this VM's heap, which is alive; no safepoint lies between the store and here.
        unsafe { self.0.mark(slot as *const AtomicU64 as usize) };
    }
}

/// Slots of the value stack of a thread.
pub const STACK_SLOTS: usize = 1 << 16;
/// Control frames of a thread.
pub const CONTROL_FRAMES: usize = 1 << 14;

/// Registers that are roots. The first three are what a continuation saves besides the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Reg {
    /// Exception handlers, innermost first.
    Handlers,
    /// Active `dynamic-wind` frames, innermost first: (before . after).
    Winders,
    /// Bindings of parameters: an association list from parameter to value.
    Dynamic,
    /// The heap part of the stack: the top segment, or `#f`.
    Chain,
    /// The closure that runs.
    Closure,
    /// The thread object.
    Thread,
    /// A value that must survive a safepoint in native code.
    Scratch,
}
const REGS: usize = 7;

/// A suspended procedure: where it goes on, its frame and its closure. Atomic only to be shareable; nobody else looks
/// while the thread runs.
#[derive(Default)]
pub struct Frame {
    pub pc: AtomicUsize,
    /// Index of the caller's first slot.
    pub base: AtomicUsize,
    pub closure: AtomicU64,
}

/// Everything of a thread that may refer to the heap.
pub struct Roots {
    pub stack: Box<[AtomicU64]>,
    /// Slots in use.
    pub top: AtomicUsize,
    pub control: Box<[Frame]>,
    /// Control frames in use.
    pub control_top: AtomicUsize,
    pub regs: [AtomicU64; REGS],
}

impl Roots {
    pub fn new() -> Roots {
        let mut stack = Vec::new();
        stack.resize_with(STACK_SLOTS, AtomicU64::default);
        let mut control = Vec::new();
        control.resize_with(CONTROL_FRAMES, Frame::default);
        let roots = Roots {
            stack: stack.into(),
            top: AtomicUsize::new(0),
            control: control.into(),
            control_top: AtomicUsize::new(0),
            regs: Default::default(),
        };
        roots.reset();
        roots
    }
    /// The dynamic state of a thread that runs nothing.
    pub fn reset(&self) {
        for r in [Reg::Handlers, Reg::Winders, Reg::Dynamic] {
            self.set(r, Value::NIL);
        }
        self.idle();
    }
    /// Forgets what ran: until something runs again, the stack holds nothing.
    pub fn idle(&self) {
        self.top.store(0, Ordering::Relaxed);
        self.control_top.store(0, Ordering::Relaxed);
        for r in [Reg::Chain, Reg::Closure, Reg::Scratch] {
            self.set(r, Value::FALSE);
        }
    }
    #[inline(always)]
    pub fn get(&self, r: Reg) -> Value {
        Value(self.regs[r as usize].load(Ordering::Relaxed))
    }
    #[inline(always)]
    pub fn set(&self, r: Reg, v: Value) {
        self.regs[r as usize].store(v.0, Ordering::Relaxed);
    }
}

// SAFETY: at a safepoint `top` and `control_top` cover every live slot and frame, and the registers hold the rest.
unsafe impl RootSource for Roots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        let mut see = |word: &AtomicU64| {
            let v = Value(word.load(Ordering::Relaxed));
            if v.is_pointer() {
                tracer.edge(v.0 as usize);
            }
        };
        self.stack[..self.top.load(Ordering::Relaxed)].iter().for_each(&mut see);
        self.control[..self.control_top.load(Ordering::Relaxed)].iter().for_each(|f| see(&f.closure));
        self.regs.iter().for_each(&mut see);
    }
}

/// The roots that belong to no thread.
pub struct Immortals {
    /// The list of everything that lives for ever: symbols, global variables, constants of compiled code.
    pub list: AtomicU64,
    /// Memory held back for the day the heap is full: the handlers of that error need some. `#f` when it is in use.
    pub reserve: AtomicU64,
}

// SAFETY: every reference of the program that no thread holds is reachable from these.
unsafe impl RootSource for Immortals {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        for root in [&self.list, &self.reserve] {
            let v = Value(root.load(Ordering::Acquire));
            if v.is_pointer() {
                tracer.edge(v.0 as usize);
            }
        }
    }
}

/// What the threads of one program share.
pub struct Shared<S: Stores> {
    pub heap: Heap,
    pub symbols: Mutex<HashMap<Box<str>, Value>>,
    pub immortals: Arc<Immortals>,
    pub immortals_lock: Mutex<()>,
    /// Bytes of the reserve.
    pub reserve: usize,
    /// When it is tried for again if it is missing.
    pub retry: room::Retry,
    pub consts: Consts,
    pub envs: Mutex<Environments>,
    pub prims: OnceLock<&'static [Primitive<S>]>,
    /// The parameters current-input-port, current-output-port and current-error-port.
    pub ports: OnceLock<[Value; 3]>,
    /// What is raised when not even a condition object can be made.
    pub oom_condition: OnceLock<Value>,
    /// The forms still to come of files that are being loaded.
    pub sources: Mutex<Vec<VecDeque<Syntax>>>,
    /// Program arguments for `command-line`.
    pub args: Vec<String>,
}

/// One Scheme thread.
pub struct Vm<S: Stores> {
    pub mutator: Mutator,
    pub stores: S,
    pub roots: Arc<Roots>,
    pub shared: Arc<Shared<S>>,
    /// The last call that left the fast path, to say where an error is.
    pub last_call: Option<(&'static Code, usize)>,
    /// The top-level form that runs.
    pub form: Option<Pos>,
    /// The instruction that exhausted the heap last: its address, what all threads had allocated then, and how often
    /// it did so without anything to show for it.
    pub pressed: (usize, u64, u32),
}

impl<S: Stores> Vm<S> {
    /// The value of a parameter object in the current dynamic environment.
    pub fn parameter(&self, parameter: Value) -> Value {
        let mut l = self.roots.get(Reg::Dynamic);
        while is_pair(l) {
            let binding = car(l);
            if car(binding) == parameter {
                return cdr(binding);
            }
            l = cdr(l);
        }
        field(parameter, 0)
    }
    /// Runs a blocking operation while collections go on without this thread. This is a safepoint: only the arguments
    /// of the running primitive (and registers) stay alive, and `f` must not touch the heap.
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.mutator.blocking(f)
    }
    /// The output or input port of the dynamic environment: 0 input, 1 output, 2 error.
    pub fn standard_port(&self, which: usize) -> Result<Value, SchemeError> {
        match self.shared.ports.get() {
            Some(ports) => Ok(self.parameter(ports[which])),
            None => Err(SchemeError::error("there are no ports yet", &[])),
        }
    }
}
