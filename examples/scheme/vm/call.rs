//! Calls off the fast path, continuations, and errors on their way to handlers.
//!
//! A continuation is a chain of heap segments of a few frames each. Capturing moves the whole stack into the chain and
//! goes on with an empty stack; overflow does the same; and when the stack runs empty, one segment is copied back.
//! Segments are never changed, so continuations may be entered any number of times.

use super::run::code_of;
use super::{CONTROL_FRAMES, Frame, Reg, STACK_SLOTS, Stores, Vm};
use crate::code::{ARITY_CASES, ARITY_REST, Code, Ins};
use crate::error::{Body, Kind, SchemeError};
use crate::heap::*;
use crate::natives::special::Special;
use crate::prims::ANY;
use crate::syntax::{Name, Pos};
use crate::value::*;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// The interpreter's registers.
#[derive(Clone, Copy)]
pub struct State {
    pub pc: *const Ins,
    pub fp: *mut u64,
    pub clo: Value,
    /// The first free control frame.
    pub ct: *mut Frame,
}

/// Slots kept free behind the stack's end for the slow paths.
const STACK_SLACK: usize = 512;
/// Frames to a segment of a continuation.
const SEGMENT_FRAMES: usize = 16;
/// Most arguments of one call.
const MAX_ARGS: usize = STACK_SLOTS / 2;

/// How much room to ask for when the `attempts`th try found too little for `bytes`. What makes several objects gives
/// them all up when one does not fit; asking for that one alone might go on for ever.
fn with_slack(bytes: usize, attempts: u32) -> usize {
    if attempts == 0 { bytes } else { bytes.max(1 << (9 + attempts).min(46)) }
}

static UNDERFLOW: Ins = Ins::Underflow;

/// The code shared by all `case-lambda` procedures.
pub fn cases() -> &'static Code {
    static CODE: OnceLock<Code> = OnceLock::new();
    CODE.get_or_init(|| Code {
        arity: ARITY_CASES,
        frame_size: 0,
        start: &UNDERFLOW,
        required: 0,
        ins: Box::new([]),
        depths: Box::new([]),
        positions: Box::new([]),
        captures: [].into(),
        children: Box::new([]),
        name: Name::new("case-lambda"),
        pos: Pos { file: Name::new("prelude"), line: 0, column: 0 },
    })
}

impl<S: Stores> Vm<S> {
    fn stack_start(&self) -> *mut u64 {
        // The slots are atomics, so their memory may be written through a shared reference.
        self.roots.stack.as_ptr() as *mut u64
    }
    pub(super) fn stack_end(&self) -> *mut u64 {
        self.stack_start().wrapping_add(STACK_SLOTS - STACK_SLACK)
    }
    fn control_start(&self) -> *mut Frame {
        self.roots.control.as_ptr() as *mut Frame
    }
    pub(super) fn control_end(&self) -> *mut Frame {
        self.control_start().wrapping_add(CONTROL_FRAMES)
    }

    /// An empty stack whose lowest frame leads to the underflow instruction.
    pub(super) fn fresh_state(&self) -> State {
        let bottom = &self.roots.control[0];
        bottom.pc.store(&raw const UNDERFLOW as usize, Ordering::Relaxed);
        bottom.base.store(self.stack_start() as usize, Ordering::Relaxed);
        bottom.closure.store(Value::FALSE.0, Ordering::Relaxed);
        State { pc: &UNDERFLOW, fp: self.stack_start(), clo: Value::FALSE, ct: self.control_start().wrapping_add(1) }
    }

    /// Writes the roots for a safepoint: `live` slots of the running frame.
    pub(super) fn spill(&self, st: &State, live: usize) {
        let top = (st.fp as usize - self.stack_start() as usize) / 8 + live;
        self.roots.top.store(top, Ordering::Relaxed);
        let frames = (st.ct as usize - self.control_start() as usize) / size_of::<Frame>();
        self.roots.control_top.store(frames, Ordering::Relaxed);
        self.roots.set(Reg::Closure, st.clo);
    }
    #[cold]
    pub(super) fn safepoint(&mut self, st: &State, live: usize) {
        self.spill(st, live);
        self.mutator.poll();
        if self.reserve_is_missing() {
            self.save_reserve();
        }
    }

    fn reserve_is_missing(&self) -> bool {
        self.shared.reserve > 0 && self.shared.immortals.reserve.load(Ordering::Relaxed) == Value::FALSE.0
    }
    /// Sets the reserve aside if the heap has room. Every try that fails makes the collector run, so it waits longer
    /// for the next.
    #[cold]
    pub fn save_reserve(&mut self) {
        let (countdown, last) = &self.shared.reserve_wait;
        let left = countdown.load(Ordering::Relaxed);
        if left > 0 {
            countdown.store(left - 1, Ordering::Relaxed);
            return;
        }
        match self.alloc_leaf(Type::Bytevector, 0, self.shared.reserve, self.shared.reserve) {
            Ok(v) => {
                // Another thread may have been faster.
                let slot = &self.shared.immortals.reserve;
                let _ = slot.compare_exchange(Value::FALSE.0, v.0, Ordering::Release, Ordering::Relaxed);
                last.store(0, Ordering::Relaxed);
            }
            Err(_) => {
                let wait = (2 * last.load(Ordering::Relaxed)).clamp(1, 1024);
                last.store(wait, Ordering::Relaxed);
                countdown.store(wait, Ordering::Relaxed);
            }
        }
    }

    /// Makes room for an allocation that failed. A safepoint: the roots are complete. When there is no room, the
    /// reserve is given up for the handlers of the error.
    fn reclaim(&mut self, bytes: usize, attempts: u32) -> Result<(), SchemeError> {
        let result = match self.mutator.reclaim(with_slack(bytes, attempts)) {
            Ok(()) => {
                if self.reserve_is_missing() {
                    self.save_reserve();
                }
                Ok(())
            }
            Err(_) => {
                // What is too large for the reserve may leave the handlers enough.
                if bytes < self.shared.reserve
                    && self.shared.immortals.reserve.swap(Value::FALSE.0, Ordering::Relaxed) != Value::FALSE.0
                {
                    // Whether that makes room shows when the handlers run.
                    let _ = self.mutator.reclaim(self.shared.reserve / 2);
                }
                Err(SchemeError::out_of_memory(bytes))
            }
        };
        self.roots.set(Reg::Scratch, Value::FALSE);
        result
    }

    /// Runs what may exhaust the heap while no procedure runs.
    pub fn with_room<T>(&mut self, f: impl FnMut(&mut Self) -> Result<T, SchemeError>) -> Result<T, SchemeError> {
        let st = self.fresh_state();
        self.allocate(&st, 0, Value::FALSE, f)
    }

    /// Runs an allocation, reclaiming when the heap is exhausted. `live` slots of the frame are roots, and `extra`.
    fn allocate<T>(
        &mut self,
        st: &State,
        live: usize,
        extra: Value,
        mut f: impl FnMut(&mut Self) -> Result<T, SchemeError>,
    ) -> Result<T, SchemeError> {
        let mut attempts = 0;
        loop {
            match f(self) {
                Err(SchemeError(body)) => match *body {
                    Body::Exhausted(bytes) => {
                        self.roots.set(Reg::Scratch, extra);
                        self.spill(st, live);
                        self.reclaim(bytes, attempts)?;
                        attempts += 1;
                    }
                    body => return Err(SchemeError(Box::new(body))),
                },
                ok => return ok,
            }
        }
    }

    /// Runs a primitive that exhausted the heap once more, with more room every time.
    #[cold]
    pub(super) fn retry_primitive(
        &mut self,
        st: &State,
        index: u32,
        args: *mut u64,
        n: usize,
    ) -> Result<Value, SchemeError> {
        let prims = *self.shared.prims.get().expect("primitives are installed first");
        let live = (args as usize - st.fp as usize) / 8 + n;
        self.allocate(st, live, Value::FALSE, |vm| {
            vm.spill(st, live);
            // SAFETY: the arguments lie in the frame, and nothing writes to them during the call.
            let args = unsafe { std::slice::from_raw_parts(args as *const Value, n) };
            (prims[index as usize].func)(vm, args)
        })
    }

    /// A call that the loop does not handle itself; `args` are in the caller's frame.
    #[cold]
    #[inline(never)]
    pub(super) fn call(
        &mut self,
        st: &mut State,
        f: Value,
        n: usize,
        args: *mut u64,
        tail: bool,
    ) -> Result<(), SchemeError> {
        if is_type(st.clo, Type::Closure) {
            self.last_call = Some((code_of(st.clo), st.pc as usize));
        }
        if tail {
            // SAFETY: both ranges lie in the frame.
            unsafe { std::ptr::copy(args, st.fp, n) };
        } else {
            self.push_frame(st, st.pc.wrapping_add(1));
            st.fp = args;
        }
        self.invoke(st, f, n)
    }

    fn push_frame(&mut self, st: &mut State, pc: *const Ins) {
        // SAFETY: the control stack has slack behind the limit that calls check.
        unsafe {
            (*st.ct).pc.store(pc as usize, Ordering::Relaxed);
            (*st.ct).base.store(st.fp as usize, Ordering::Relaxed);
            (*st.ct).closure.store(st.clo.0, Ordering::Relaxed);
            st.ct = st.ct.add(1);
        }
    }

    fn arg(&self, st: &State, i: usize) -> Value {
        // SAFETY: the caller knows that the slot is in use.
        Value(unsafe { *st.fp.add(i) })
    }
    fn set_arg(&self, st: &State, i: usize, v: Value) {
        // SAFETY: the caller knows that there is room.
        unsafe { *st.fp.add(i) = v.0 }
    }

    /// Returns `v` from the procedure whose frame starts at `fp`.
    fn answer(&self, st: &mut State, v: Value) {
        self.set_arg(st, 0, v);
        // SAFETY: there is always a frame to return to.
        unsafe {
            st.ct = st.ct.sub(1);
            st.pc = (*st.ct).pc.load(Ordering::Relaxed) as *const Ins;
            st.fp = (*st.ct).base.load(Ordering::Relaxed) as *mut u64;
            st.clo = Value((*st.ct).closure.load(Ordering::Relaxed));
        }
    }

    /// Applies `f` to the `n` arguments at `st.fp`; whoever gets the answer is on the control stack.
    pub(super) fn invoke(&mut self, st: &mut State, f: Value, n: usize) -> Result<(), SchemeError> {
        let (mut f, mut n) = (f, n);
        loop {
            st.clo = f;
            let h = first_word(f);
            if header_kind(h) == kind_of(Type::Closure) {
                let code = code_of(f);
                if code.arity == ARITY_CASES {
                    let fits = |c: &Value| {
                        let code = code_of(*c);
                        code.arity == n as i32 || (code.arity == ARITY_REST && n >= code.required as usize)
                    };
                    let clause = (1..size(f)).map(|i| field(f, i)).find(fits);
                    match clause {
                        Some(c) => f = c,
                        None => return Err(self.wrong_count("case-lambda", n, None)),
                    }
                    continue;
                }
                let required = code.required as usize;
                if code.arity != n as i32 && (code.arity != ARITY_REST || n < required) {
                    return Err(self.wrong_count(code.name.text(), n, Some((required, code.arity == ARITY_REST))));
                }
                let end = st.fp.wrapping_add((code.frame_size as usize).max(n));
                if end > self.stack_end() || st.ct >= self.control_end().wrapping_sub(16) {
                    self.flush(st, n, f)?;
                    if code.frame_size as usize > STACK_SLOTS - STACK_SLACK {
                        return Err(SchemeError::error("a procedure needs more stack than there is", &[]));
                    }
                }
                if code.arity == ARITY_REST {
                    let s = *st;
                    let list = self.allocate(&s, n, f, |vm| {
                        (required..n).rev().try_fold(Value::NIL, |l, i| vm.cons(vm.arg(&s, i), l))
                    })?;
                    self.set_arg(st, required, list);
                    n = required + 1;
                }
                st.pc = code.start;
                if self.mutator.poll_requested() {
                    self.safepoint(st, n);
                }
                return Ok(());
            }
            if header_kind(h) == kind_of(Type::Primitive) {
                let index = field(f, 0).as_fixnum() as usize;
                let prims = *self.shared.prims.get().expect("primitives are installed first");
                let p = &prims[index];
                if n < p.min as usize || (p.max != ANY && n > p.max as usize) {
                    return Err(self.wrong_count(p.name, n, Some((p.min as usize, p.max != p.min))));
                }
                if let Some(special) = Special::of(index) {
                    match self.special(st, special, n)? {
                        Some((g, m)) => {
                            f = g;
                            n = m;
                            continue;
                        }
                        None => return Ok(()),
                    }
                }
                let s = *st;
                let v = self.allocate(&s, n, f, |vm| {
                    vm.spill(&s, n);
                    // SAFETY: the arguments lie on the stack, and nothing writes to them during the call.
                    let args = unsafe { std::slice::from_raw_parts(s.fp as *const Value, n) };
                    (p.func)(vm, args)
                })?;
                self.answer(st, v);
                return Ok(());
            }
            if header_kind(h) == kind_of(Type::Continuation) {
                let v = match n {
                    1 => self.arg(st, 0),
                    _ => {
                        let s = *st;
                        self.allocate(&s, n, f, |vm| {
                            // SAFETY: the arguments lie on the stack.
                            let args = unsafe { std::slice::from_raw_parts(s.fp as *const Value, n) };
                            vm.object(Type::Values, 0, args)
                        })?
                    }
                };
                if field(f, 2) != self.roots.get(Reg::Winders) {
                    self.set_arg(st, 0, f);
                    self.set_arg(st, 1, v);
                    f = self.system_value("%throw-winding")?;
                    n = 2;
                    continue;
                }
                self.throw(st, f, v);
                return Ok(());
            }
            if header_kind(h) == kind_of(Type::Parameter) && n == 0 {
                let v = self.parameter(f);
                self.answer(st, v);
                return Ok(());
            }
            return Err(SchemeError::condition(Kind::Type, "not a procedure:", vec![f]));
        }
    }

    #[cold]
    fn wrong_count(&self, name: &str, n: usize, wanted: Option<(usize, bool)>) -> SchemeError {
        let wanted = match wanted {
            Some((m, more)) => format!(", wants {}{m}", if more { "at least " } else { "" }),
            None => String::new(),
        };
        SchemeError::condition(Kind::Arity, format!("{name}: wrong number of arguments: {n}{wanted}"), Vec::new())
    }

    /// Replaces the continuation and returns `v` to it.
    pub(super) fn throw(&mut self, st: &mut State, k: Value, v: Value) {
        if self.reserve_is_missing() {
            // Perhaps the way out of a full heap.
            self.shared.reserve_wait.0.store(0, Ordering::Relaxed);
        }
        self.roots.set(Reg::Chain, field(k, 0));
        self.roots.set(Reg::Handlers, field(k, 1));
        self.roots.set(Reg::Winders, field(k, 2));
        self.roots.set(Reg::Dynamic, field(k, 3));
        *st = self.fresh_state();
        self.answer(st, v);
    }

    /// Moves all suspended frames to the heap, and the `n` arguments at `fp` to the bottom of the stack.
    pub(super) fn flush(&mut self, st: &mut State, n: usize, f: Value) -> Result<(), SchemeError> {
        let s = *st;
        let total = (s.ct as usize - self.control_start() as usize) / size_of::<Frame>();
        let start = self.stack_start() as usize;
        let chain = self.allocate(&s, n, f, |vm| {
            let roots = vm.roots.clone();
            let base = |i: usize| {
                let address = if i < total { roots.control[i].base.load(Ordering::Relaxed) } else { s.fp as usize };
                (address - start) / 8
            };
            // Frame 0 is the underflow frame of this stack.
            let (mut chain, mut at) = (roots.get(Reg::Chain), 1);
            while at < total {
                let end = (at + SEGMENT_FRAMES).min(total);
                let (low, high) = (base(at), base(end));
                let frames = end - at;
                let seg = vm.alloc_tracked(Type::Segment, 0, 3 + 3 * frames + (high - low))?;
                vm.init(seg, 0, chain);
                vm.init(seg, 1, Value::fixnum(frames as i64));
                vm.init(seg, 2, Value::fixnum((high - low) as i64));
                for i in 0..frames {
                    let frame = &roots.control[at + i];
                    vm.init(seg, 3 + 3 * i, Value(frame.pc.load(Ordering::Relaxed) as u64 | 1));
                    vm.init(seg, 4 + 3 * i, Value::fixnum((base(at + i) - low) as i64));
                    vm.init(seg, 5 + 3 * i, Value(frame.closure.load(Ordering::Relaxed)));
                }
                for i in low..high {
                    vm.init(seg, 3 + 3 * frames + i - low, Value(roots.stack[i].load(Ordering::Relaxed)));
                }
                chain = seg;
                at = end;
            }
            Ok(chain)
        })?;
        self.roots.set(Reg::Chain, chain);
        let fresh = self.fresh_state();
        // SAFETY: both ranges lie on the stack.
        unsafe { std::ptr::copy(s.fp, fresh.fp, n) };
        *st = State { clo: st.clo, ..fresh };
        Ok(())
    }

    /// The stack is empty and the answer lies at its bottom: reinstates a segment, or answers at the very end.
    pub(super) fn underflow(&mut self, st: &mut State) -> Option<Value> {
        let v = Value(self.roots.stack[0].load(Ordering::Relaxed));
        let seg = self.roots.get(Reg::Chain);
        if !is_type(seg, Type::Segment) {
            return Some(v);
        }
        self.roots.set(Reg::Chain, field(seg, 0));
        *st = self.fresh_state();
        let frames = field(seg, 1).as_fixnum() as usize;
        let values = field(seg, 2).as_fixnum() as usize;
        let start = self.stack_start();
        for i in 0..frames {
            let frame = &self.roots.control[1 + i];
            frame.pc.store((field(seg, 3 + 3 * i).0 - 1) as usize, Ordering::Relaxed);
            let base = start.wrapping_add(field(seg, 4 + 3 * i).as_fixnum() as usize);
            frame.base.store(base as usize, Ordering::Relaxed);
            frame.closure.store(field(seg, 5 + 3 * i).0, Ordering::Relaxed);
        }
        for i in 0..values {
            self.roots.stack[i].store(field(seg, 3 + 3 * frames + i).0, Ordering::Relaxed);
        }
        st.ct = self.control_start().wrapping_add(1 + frames);
        st.fp = start.wrapping_add(values);
        self.answer(st, v);
        None
    }

    /// What the primitives do that need the machine. Answers the procedure to go on with, its arguments at `fp`.
    fn special(&mut self, st: &mut State, special: Special, n: usize) -> Result<Option<(Value, usize)>, SchemeError> {
        match special {
            Special::Apply | Special::ApplyReversed => {
                // A safepoint must not come between reading the list and writing the arguments: another thread may
                // change the list meanwhile.
                if st.fp.wrapping_add(MAX_ARGS) > self.stack_end() {
                    let f = self.arg(st, 0);
                    self.flush(st, n, f)?;
                }
                let f = self.arg(st, 0);
                let last = self.arg(st, n - 1);
                let mut args: Vec<Value> = (1..n - 1).map(|i| self.arg(st, i)).collect();
                match list_to_vec(last) {
                    Some(mut more) => {
                        if special == Special::ApplyReversed {
                            more.reverse();
                        }
                        args.extend(more);
                    }
                    None => return Err(SchemeError::wrong_type("apply", n, "list", last)),
                }
                if args.len() > MAX_ARGS {
                    return Err(SchemeError::error("apply: too many arguments", &[]));
                }
                for (i, a) in args.iter().enumerate() {
                    self.set_arg(st, i, *a);
                }
                Ok(Some((f, args.len())))
            }
            Special::CallCc => {
                let f = self.arg(st, 0);
                self.flush(st, n, f)?;
                let s = *st;
                let k = self.allocate(&s, n, f, |vm| {
                    let r = &vm.roots;
                    let saved = [Reg::Chain, Reg::Handlers, Reg::Winders, Reg::Dynamic].map(|x| r.get(x));
                    vm.object(Type::Continuation, 0, &saved)
                })?;
                self.set_arg(st, 0, k);
                Ok(Some((f, 1)))
            }
            Special::Spread => {
                // (%spread consumer value): the values of `value` become the arguments.
                let (f, v) = (self.arg(st, 0), self.arg(st, 1));
                if is_type(v, Type::Values) {
                    let m = size(v);
                    if st.fp.wrapping_add(m) > self.stack_end() {
                        self.flush(st, n, f)?;
                    }
                    (0..m).for_each(|i| self.set_arg(st, i, field(v, i)));
                    return Ok(Some((f, m)));
                }
                self.set_arg(st, 0, v);
                Ok(Some((f, 1)))
            }
            Special::Throw => {
                let (k, v) = (self.arg(st, 0), self.arg(st, 1));
                if !is_type(k, Type::Continuation) {
                    return Err(SchemeError::wrong_type("%throw", 1, "continuation", k));
                }
                self.throw(st, k, v);
                Ok(None)
            }
            Special::Eval => {
                let s = *st;
                let env = if n > 1 { self.arg(st, 1) } else { Value::DEFAULT };
                let thunk = self.allocate(&s, n, Value::FALSE, |vm| vm.compile_value(vm.arg(&s, 0), env))?;
                Ok(Some((thunk, 0)))
            }
        }
    }

    /// Sends an error on: retries after exhaustion, calls the handler, or gives up to the caller of `run`.
    #[cold]
    pub(super) fn handle_error(&mut self, st: &mut State, e: SchemeError) -> Result<(), SchemeError> {
        let mut e = e;
        let mut full = 0;
        loop {
            let (code, pc) = self.faulting(st);
            match *e.0 {
                Body::Exhausted(bytes) => {
                    let live = code.map_or(0, |c| c.depth(pc as *const Ins));
                    self.spill(st, live);
                    let (last, then, attempts) = self.pressed;
                    let now = self.shared.heap.allocated_bytes();
                    let in_vain = last == st.pc as usize && now - then < 64 * 1024;
                    let attempts = if in_vain { attempts + 1 } else { 0 };
                    self.pressed = (st.pc as usize, now, attempts);
                    match self.reclaim(bytes, attempts) {
                        Ok(()) => return Ok(()),
                        Err(next) => e = next,
                    }
                }
                Body::Raise(v) | Body::RaiseContinuable(v) => {
                    self.set_arg(st, 0, v);
                    let hook = self.system_value("%raise-native")?;
                    match self.invoke(st, hook, 1) {
                        Ok(()) => return Ok(()),
                        Err(next) => e = next,
                    }
                }
                Body::Condition { kind: Kind::OutOfMemory, .. } if full == 2 => {
                    // There is no room for the handler either.
                    let condition = self.shared.oom_condition.get().copied().unwrap_or(Value::FALSE);
                    return Err(SchemeError::uncaught(condition));
                }
                Body::Condition { kind, message, irritants } => {
                    full += u32::from(kind == Kind::OutOfMemory);
                    let at = code.map(|c| self.source_position(st, c, pc as *const Ins));
                    for (i, v) in irritants.iter().enumerate().take(64) {
                        self.set_arg(st, i, *v);
                    }
                    let (s, n) = (*st, irritants.len().min(64));
                    let made = self.allocate(&s, n, Value::FALSE, |vm| {
                        let items: Vec<Value> = (0..n).map(|i| vm.arg(&s, i)).collect();
                        let at = match at {
                            Some(p) => vm.string_from(&p.to_string())?,
                            None => Value::FALSE,
                        };
                        vm.make_condition(kind, &message, &items, at)
                    });
                    let v = match made {
                        Ok(v) => v,
                        Err(_) => self.shared.oom_condition.get().copied().unwrap_or(Value::FALSE),
                    };
                    e = SchemeError::raise(v);
                }
                Body::Uncaught(v, _) => {
                    let at = code.map(|c| self.source_position(st, c, pc as *const Ins));
                    return Err(SchemeError(Box::new(Body::Uncaught(v, at))));
                }
                body @ Body::Exit(_) => return Err(SchemeError(Box::new(body))),
            }
        }
    }

    /// The instruction at fault: the running one, or the call on its way to something that is no compiled procedure.
    fn faulting(&mut self, st: &State) -> (Option<&'static Code>, usize) {
        if is_type(st.clo, Type::Closure) {
            let code = code_of(st.clo);
            let i = (st.pc as usize).wrapping_sub(code.start as usize) / size_of::<Ins>();
            if i < code.ins.len() {
                return (Some(code), st.pc as usize);
            }
        }
        match self.last_call {
            Some((code, pc)) => (Some(code), pc),
            None => (None, 0),
        }
    }

    /// Where to say the error is: the innermost place that is not in the prelude.
    fn source_position(&self, st: &State, code: &'static Code, pc: *const Ins) -> Pos {
        let own = code.position(pc);
        let prelude = |p: &Pos| p.file.text().starts_with("prelude");
        if !prelude(&own) {
            return own;
        }
        let frames = (st.ct as usize - self.control_start() as usize) / size_of::<Frame>();
        for frame in self.roots.control[..frames].iter().rev() {
            let clo = Value(frame.closure.load(Ordering::Relaxed));
            if is_type(clo, Type::Closure) {
                let ret = frame.pc.load(Ordering::Relaxed) as *const Ins;
                let p = code_of(clo).position(ret.wrapping_sub(1));
                if !prelude(&p) {
                    return p;
                }
            }
        }
        self.form.unwrap_or(own)
    }
}
