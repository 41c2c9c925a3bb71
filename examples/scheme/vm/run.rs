//! The interpreter loop.
//!
//! `pc`, the frame pointer, the running closure and the top of the control stack live in Rust locals; the rare cases
//! (anything but a closure with the right number of arguments and room on the stack) go through `call` in this file's
//! sibling. A procedure call and the jump that closes a loop are the safepoints: before one, the live part of the
//! stack and the registers are written to the thread's [`Roots`](super::Roots).

use super::stack::State;
use super::{Frame, Reg, Stores, Vm};
use crate::code::{Capture, Code, Ins};
use crate::error::{Kind, SchemeError};
use crate::heap::*;
use crate::natives::special::Special;
use crate::standard::numbers;
use crate::value::*;
use pagemark::Space;
use std::sync::atomic::Ordering;

/// The code of a closure.
#[inline(always)]
pub fn code_of(clo: Value) -> &'static Code {
    // SAFETY: the first captured word of a closure is the address of immortal code, tagged as a fixnum.
    unsafe { &*((word(clo, 1).load(Ordering::Relaxed) - 1) as *const Code) }
}

#[cold]
fn unbound(cell: Value) -> SchemeError {
    let name = symbol_name(field(cell, 1));
    SchemeError::condition(Kind::Unbound, format!("unbound variable: {name}"), Vec::new())
}

#[cold]
fn early() -> SchemeError {
    SchemeError::condition(Kind::Unbound, "a variable was used before its definition", Vec::new())
}

/// Moves arguments to the start of the frame, as tail calls do.
///
/// # Safety
/// `n` slots can be read at `from` and written at `to`, and `to` is not above `from`.
#[inline(always)]
unsafe fn move_down(from: *mut u64, to: *mut u64, n: usize) {
    for i in 0..n {
        // SAFETY: by contract; a slot is only written after everything at or below it was read.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
}

/// Frames kept free on the control stack for the slow paths.
const SLACK: usize = 8;

impl<S: Stores> Vm<S> {
    /// Runs a closure of no arguments (or a primitive) to its end.
    pub fn run(&mut self, thunk: Value) -> Result<Value, SchemeError> {
        self.run_with(thunk, &[])
    }
    /// Applies a procedure to a few arguments and runs it to its end.
    pub fn run_with(&mut self, f: Value, args: &[Value]) -> Result<Value, SchemeError> {
        let mut state = self.fresh_state();
        self.roots.set(Reg::Chain, Value::FALSE);
        for (slot, v) in self.roots.stack.iter().zip(args) {
            slot.store(v.0, Ordering::Relaxed);
        }
        match self.invoke(&mut state, f, args.len()) {
            Ok(()) => {}
            Err(e) => self.handle_error(&mut state, e)?,
        }
        self.finish(state)
    }
    /// Lets the handlers have an error that happened outside of any procedure.
    pub fn run_error(&mut self, e: SchemeError) -> Result<Value, SchemeError> {
        let mut state = self.fresh_state();
        self.roots.set(Reg::Chain, Value::FALSE);
        self.last_call = None;
        self.handle_error(&mut state, e)?;
        self.finish(state)
    }
    fn finish(&mut self, mut state: State) -> Result<Value, SchemeError> {
        let result = loop {
            match self.interpret(&mut state) {
                Ok(v) => break Ok(v),
                Err(e) => {
                    if let Err(e) = self.handle_error(&mut state, e) {
                        break Err(e);
                    }
                }
            }
        };
        self.roots.idle();
        result
    }

    #[allow(clippy::too_many_lines)]
    fn interpret(&mut self, state: &mut State) -> Result<Value, SchemeError> {
        let State { mut pc, mut fp, mut clo, mut ct } = *state;
        let consts = self.shared.consts.base();
        let stack_end = self.stack_end();
        let control_end = self.control_end().wrapping_sub(SLACK);
        let prims = *self.shared.prims.get().expect("primitives are installed first");

        macro_rules! get {
            ($i:expr) => {{
                let i = $i as usize;
                // SAFETY: the compiler numbers slots below the frame size, and room was checked on entry.
                Value(unsafe { *fp.add(i) })
            }};
        }
        macro_rules! put {
            ($i:expr, $v:expr) => {{
                let (i, v): (usize, Value) = ($i as usize, $v);
                // SAFETY: as for reading.
                unsafe { *fp.add(i) = v.0 }
            }};
        }
        macro_rules! save {
            () => {
                *state = State { pc, fp, clo, ct }
            };
        }
        macro_rules! load {
            () => {
                State { pc, fp, clo, ct } = *state
            };
        }
        macro_rules! fail {
            ($e:expr) => {{
                save!();
                return Err($e);
            }};
        }
        macro_rules! attempt {
            ($e:expr) => {
                match $e {
                    Ok(v) => v,
                    Err(e) => fail!(e),
                }
            };
        }
        macro_rules! next {
            () => {{
                // SAFETY: no procedure ends without a jump, return or tail call.
                pc = unsafe { pc.add(1) };
                continue;
            }};
        }
        macro_rules! jump {
            ($off:expr) => {{
                let off = $off as isize;
                // SAFETY: jumps stay within their procedure.
                pc = unsafe { pc.offset(off) };
                continue;
            }};
        }
        macro_rules! branch {
            ($cond:expr, $off:expr) => {{
                if $cond {
                    jump!($off)
                }
                next!()
            }};
        }
        macro_rules! constant {
            ($k:expr) => {{
                let k = $k as usize;
                // SAFETY: the compiler only uses numbers that the table has given out.
                Value(unsafe { *consts.add(k) })
            }};
        }
        // The first payload word of a cell or box.
        macro_rules! content {
            ($cell:expr) => {{
                let cell: Value = $cell;
                // SAFETY: the compiler knows that this is a cell or a box.
                Value(unsafe { word(cell, 1).load(Ordering::Relaxed) })
            }};
        }
        macro_rules! captured {
            ($i:expr) => {{
                let i = $i as usize;
                // SAFETY: the closure has captured that many values.
                Value(unsafe { word(clo, i + 2).load(Ordering::Relaxed) })
            }};
        }
        macro_rules! poll {
            ($live:expr) => {
                if self.mutator.poll_requested() {
                    save!();
                    self.safepoint(state, $live);
                }
            };
        }
        macro_rules! compare {
            ($a:expr, $b:expr, $op:tt, $slow:expr) => {{
                let (a, b) = ($a, $b);
                if a.0 & b.0 & 1 != 0 {
                    (a.0 as i64) $op (b.0 as i64)
                } else if is_flonum(a) && is_flonum(b) {
                    flonum_value(a) $op flonum_value(b)
                } else {
                    attempt!($slow(self, a, b))
                }
            }};
        }
        macro_rules! float_or {
            ($d:expr, $a:expr, $b:expr, $op:tt, $slow:path) => {{
                let v = if is_flonum($a) && is_flonum($b) {
                    attempt!(self.flonum(flonum_value($a) $op flonum_value($b)))
                } else {
                    attempt!($slow(self, $a, $b))
                };
                put!($d, v);
                next!()
            }};
        }
        // Calls the plain primitive `index` with the arguments at `$base`.
        macro_rules! primitive {
            ($index:expr, $n:expr, $base:expr) => {{
                let (n, base) = ($n as usize, $base as usize);
                // SAFETY: the arguments lie in the frame, and nothing writes to them during the call.
                let args = unsafe { std::slice::from_raw_parts(fp.add(base) as *const Value, n) };
                let live = (fp as usize - self.roots.stack.as_ptr() as usize) / 8 + (base + n);
                self.roots.top.store(live, Ordering::Relaxed);
                let frames = (ct as usize - self.roots.control.as_ptr() as usize) / size_of::<Frame>();
                self.roots.control_top.store(frames, Ordering::Relaxed);
                self.roots.set(Reg::Closure, clo);
                let v = match (prims[$index as usize].func)(self, args) {
                    Err(e) if e.is_exhausted() => {
                        save!();
                        let args = args.as_ptr() as *mut u64;
                        attempt!(self.retry_primitive(state, $index as u32, args, n))
                    }
                    other => attempt!(other),
                };
                put!(base, v);
            }};
        }
        macro_rules! call {
            ($f:expr, $n:expr, $base:expr, $tail:literal) => {{
                let f: Value = $f;
                let n = $n as usize;
                // SAFETY: the arguments lie within the frame.
                let args = unsafe { fp.add($base as usize) };
                let h = first_word(f);
                if header_kind(h) == kind_of(Type::Closure) {
                    let code = code_of(f);
                    let base = if $tail { fp } else { args };
                    let end = base.wrapping_add(code.frame_size as usize);
                    if code.arity == n as i32 && end <= stack_end && ct < control_end {
                        if $tail {
                            // SAFETY: both ranges lie in the frame.
                            unsafe { move_down(args, fp, n) };
                        } else {
                            // SAFETY: room on the control stack was checked.
                            unsafe {
                                (*ct).pc.store(pc as usize + size_of::<Ins>(), Ordering::Relaxed);
                                (*ct).base.store(fp as usize, Ordering::Relaxed);
                                (*ct).closure.store(clo.0, Ordering::Relaxed);
                                ct = ct.add(1);
                            }
                            fp = args;
                        }
                        clo = f;
                        pc = code.start;
                        poll!(n);
                        continue;
                    }
                } else if !$tail && header_kind(h) == kind_of(Type::Primitive) {
                    let index = content!(f).as_fixnum() as usize;
                    let p = &prims[index];
                    if Special::of(index).is_none() && n >= p.min as usize && n <= p.max as usize {
                        primitive!(index, n, $base);
                        next!();
                    }
                }
                save!();
                self.call(state, f, n, args, $tail)?;
                load!();
                continue;
            }};
        }

        loop {
            // SAFETY: `pc` points to an instruction of immortal code.
            match unsafe { *pc } {
                Ins::Move(d, a) => {
                    put!(d, get!(a));
                    next!()
                }
                Ins::Const(d, k) => {
                    put!(d, constant!(k));
                    next!()
                }
                Ins::Int(d, n) => {
                    put!(d, Value::fixnum(n as i64));
                    next!()
                }
                Ins::Global(d, k) => {
                    let v = content!(constant!(k));
                    if v == Value::UNBOUND {
                        fail!(unbound(constant!(k)))
                    }
                    put!(d, v);
                    next!()
                }
                Ins::SetGlobal(a, k) => {
                    let cell = constant!(k);
                    if field(cell, 0) == Value::UNBOUND {
                        fail!(unbound(cell))
                    }
                    self.set_field(cell, 0, get!(a));
                    next!()
                }
                Ins::Define(a, k) => {
                    self.set_field(constant!(k), 0, get!(a));
                    next!()
                }
                Ins::Free(d, i) => {
                    put!(d, captured!(i));
                    next!()
                }
                Ins::This(d) => {
                    put!(d, clo);
                    next!()
                }
                Ins::BoxNew(d, a) => {
                    put!(d, attempt!(self.object(Type::Box, 0, &[get!(a)])));
                    next!()
                }
                Ins::BoxGet(d, a) => {
                    put!(d, content!(get!(a)));
                    next!()
                }
                Ins::BoxGetChecked(d, a) => {
                    let v = field(get!(a), 0);
                    if v == Value::UNBOUND {
                        fail!(early())
                    }
                    put!(d, v);
                    next!()
                }
                Ins::FreeBox(d, i) => {
                    put!(d, content!(captured!(i)));
                    next!()
                }
                Ins::FreeBoxChecked(d, i) => {
                    let v = field(field(clo, i as usize + 1), 0);
                    if v == Value::UNBOUND {
                        fail!(early())
                    }
                    put!(d, v);
                    next!()
                }
                Ins::BoxSet(b, a) => {
                    self.set_field(get!(b), 0, get!(a));
                    next!()
                }
                Ins::FreeBoxSet(i, a) => {
                    self.set_field(field(clo, i as usize + 1), 0, get!(a));
                    next!()
                }
                Ins::Closure(d, i) => {
                    let code = code_of(clo).children[i as usize];
                    let n = code.captures.len() + 1;
                    let v = attempt!(self.alloc_tracked(Type::Closure, 0, n));
                    self.init(v, 0, Value(code as *const Code as u64 | 1));
                    for (i, c) in code.captures.iter().enumerate() {
                        let x = match *c {
                            Capture::Slot(s) => get!(s),
                            Capture::Free(f) => field(clo, f as usize + 1),
                            Capture::This => clo,
                            Capture::Pending => Value::UNBOUND,
                        };
                        self.init(v, i + 1, x);
                    }
                    put!(d, v);
                    next!()
                }
                Ins::Patch(c, i, a) => {
                    self.set_field(get!(c), i as usize + 1, get!(a));
                    next!()
                }
                Ins::CaseLambda(d, base, n) => {
                    let v = attempt!(self.alloc_tracked(Type::Closure, 0, n as usize + 1));
                    self.init(v, 0, Value(super::call::cases() as *const Code as u64 | 1));
                    for i in 0..n {
                        self.init(v, i as usize + 1, get!(base + i));
                    }
                    put!(d, v);
                    next!()
                }

                Ins::Jump(off) => jump!(off),
                Ins::JumpBack(off) => {
                    if self.mutator.poll_requested() {
                        save!();
                        let live = code_of(clo).depth(pc);
                        self.safepoint(state, live);
                    }
                    jump!(off)
                }
                Ins::JFalse(a, off) => branch!(get!(a).is_false(), off),
                Ins::JTrue(a, off) => branch!(get!(a).is_true(), off),
                Ins::JNull(a, off) => branch!(get!(a).is_nil(), off),
                Ins::JNotNull(a, off) => branch!(!get!(a).is_nil(), off),
                Ins::JPair(a, off) => branch!(is_pair(get!(a)), off),
                Ins::JNotPair(a, off) => branch!(!is_pair(get!(a)), off),
                Ins::JEq(a, b, off) => branch!(get!(a) == get!(b), off),
                Ins::JNotEq(a, b, off) => branch!(get!(a) != get!(b), off),
                Ins::JLt(a, b, off) => branch!(compare!(get!(a), get!(b), <, Self::slow_lt), off),
                Ins::JNotLt(a, b, off) => branch!(!compare!(get!(a), get!(b), <, Self::slow_lt), off),
                Ins::JLe(a, b, off) => branch!(compare!(get!(a), get!(b), <=, Self::slow_le), off),
                Ins::JNotLe(a, b, off) => branch!(!compare!(get!(a), get!(b), <=, Self::slow_le), off),
                Ins::JNumEq(a, b, off) => branch!(compare!(get!(a), get!(b), ==, Self::slow_eq), off),
                Ins::JNotNumEq(a, b, off) => branch!(!compare!(get!(a), get!(b), ==, Self::slow_eq), off),
                Ins::JLtI(a, n, off) => branch!(compare!(get!(a), Value::fixnum(n as i64), <, Self::slow_lt), off),
                Ins::JNotLtI(a, n, off) => branch!(!compare!(get!(a), Value::fixnum(n as i64), <, Self::slow_lt), off),
                Ins::JLeI(a, n, off) => branch!(compare!(get!(a), Value::fixnum(n as i64), <=, Self::slow_le), off),
                Ins::JNotLeI(a, n, off) => branch!(!compare!(get!(a), Value::fixnum(n as i64), <=, Self::slow_le), off),
                Ins::JGtI(a, n, off) => branch!(compare!(Value::fixnum(n as i64), get!(a), <, Self::slow_lt), off),
                Ins::JNotGtI(a, n, off) => branch!(!compare!(Value::fixnum(n as i64), get!(a), <, Self::slow_lt), off),
                Ins::JGeI(a, n, off) => branch!(compare!(Value::fixnum(n as i64), get!(a), <=, Self::slow_le), off),
                Ins::JNotGeI(a, n, off) => branch!(!compare!(Value::fixnum(n as i64), get!(a), <=, Self::slow_le), off),
                Ins::JNumEqI(a, n, off) => branch!(compare!(get!(a), Value::fixnum(n as i64), ==, Self::slow_eq), off),
                Ins::JNotNumEqI(a, n, off) => {
                    branch!(!compare!(get!(a), Value::fixnum(n as i64), ==, Self::slow_eq), off)
                }

                Ins::Not(d, a) => {
                    put!(d, Value::bool(get!(a).is_false()));
                    next!()
                }
                Ins::NullP(d, a) => {
                    put!(d, Value::bool(get!(a).is_nil()));
                    next!()
                }
                Ins::PairP(d, a) => {
                    put!(d, Value::bool(is_pair(get!(a))));
                    next!()
                }
                Ins::Eq(d, a, b) => {
                    put!(d, Value::bool(get!(a) == get!(b)));
                    next!()
                }
                Ins::Eqv(d, a, b) => {
                    put!(d, Value::bool(crate::natives::equal::is_eqv(get!(a), get!(b))));
                    next!()
                }
                Ins::Is(d, a, ty) => {
                    put!(d, Value::bool(header_kind(first_word(get!(a))) == HEADER_TAG | u64::from(ty) << 8));
                    next!()
                }
                Ins::Car(d, a) => {
                    let p = get!(a);
                    if !is_pair(p) {
                        fail!(SchemeError::wrong_type("car", 1, "pair", p))
                    }
                    put!(d, car(p));
                    next!()
                }
                Ins::Cdr(d, a) => {
                    let p = get!(a);
                    if !is_pair(p) {
                        fail!(SchemeError::wrong_type("cdr", 1, "pair", p))
                    }
                    put!(d, cdr(p));
                    next!()
                }
                Ins::Cadr(d, a) => {
                    let p = get!(a);
                    if !is_pair(p) || !is_pair(cdr(p)) {
                        fail!(SchemeError::wrong_type("cadr", 1, "list of two", p))
                    }
                    put!(d, car(cdr(p)));
                    next!()
                }
                Ins::Cddr(d, a) => {
                    let p = get!(a);
                    if !is_pair(p) || !is_pair(cdr(p)) {
                        fail!(SchemeError::wrong_type("cddr", 1, "list of two", p))
                    }
                    put!(d, cdr(cdr(p)));
                    next!()
                }
                Ins::SetCar(a, b) => {
                    let p = get!(a);
                    if !is_pair(p) {
                        fail!(SchemeError::wrong_type("set-car!", 1, "pair", p))
                    }
                    self.set_car(p, get!(b));
                    next!()
                }
                Ins::SetCdr(a, b) => {
                    let p = get!(a);
                    if !is_pair(p) {
                        fail!(SchemeError::wrong_type("set-cdr!", 1, "pair", p))
                    }
                    self.set_cdr(p, get!(b));
                    next!()
                }
                Ins::Cons(d, a, b) => {
                    let Ok(p) = self.mutator.alloc(16, Space::Tracked) else { fail!(SchemeError::exhausted(16)) };
                    let v = Value(p.as_ptr() as u64);
                    let (head, tail) = (get!(a), get!(b));
                    // SAFETY: the pair was just allocated.
                    unsafe {
                        word(v, 1).store(tail.0, Ordering::Release);
                        word(v, 0).store(head.0, Ordering::Release);
                    }
                    put!(d, v);
                    next!()
                }
                Ins::Add(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    if a.0 & b.0 & 1 != 0
                        && let Some(s) = (a.0 as i64 - 1).checked_add(b.0 as i64)
                    {
                        put!(d, Value(s as u64));
                        next!()
                    }
                    float_or!(d, a, b, +, numbers::add)
                }
                Ins::AddI(d, a, n) => {
                    let a = get!(a);
                    if a.is_fixnum()
                        && let Some(s) = (a.0 as i64).checked_add(2 * n as i64)
                    {
                        put!(d, Value(s as u64));
                        next!()
                    }
                    put!(d, attempt!(numbers::add(self, a, Value::fixnum(n as i64))));
                    next!()
                }
                Ins::Sub(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    if a.0 & b.0 & 1 != 0
                        && let Some(s) = (a.0 as i64).checked_sub(b.0 as i64 - 1)
                    {
                        put!(d, Value(s as u64));
                        next!()
                    }
                    float_or!(d, a, b, -, numbers::sub)
                }
                Ins::Mul(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    if a.0 & b.0 & 1 != 0
                        && let Some(s) = (a.0 as i64 - 1).checked_mul(b.as_fixnum())
                    {
                        put!(d, Value(s as u64 | 1));
                        next!()
                    }
                    float_or!(d, a, b, *, numbers::mul)
                }
                Ins::Quotient(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    let v = if a.0 & b.0 & 1 != 0 && b.as_fixnum() > 0 {
                        Value::fixnum(a.as_fixnum() / b.as_fixnum())
                    } else {
                        attempt!(self.slow_primitive("quotient", &[a, b]))
                    };
                    put!(d, v);
                    next!()
                }
                Ins::Remainder(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    let v = if a.0 & b.0 & 1 != 0 && b.as_fixnum() > 0 {
                        Value::fixnum(a.as_fixnum() % b.as_fixnum())
                    } else {
                        attempt!(self.slow_primitive("remainder", &[a, b]))
                    };
                    put!(d, v);
                    next!()
                }
                Ins::Modulo(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    let v = if a.0 & b.0 & 1 != 0 && b.as_fixnum() > 0 {
                        Value::fixnum(a.as_fixnum().rem_euclid(b.as_fixnum()))
                    } else {
                        attempt!(self.slow_primitive("modulo", &[a, b]))
                    };
                    put!(d, v);
                    next!()
                }
                Ins::Lt(d, a, b) => {
                    put!(d, Value::bool(compare!(get!(a), get!(b), <, Self::slow_lt)));
                    next!()
                }
                Ins::Le(d, a, b) => {
                    put!(d, Value::bool(compare!(get!(a), get!(b), <=, Self::slow_le)));
                    next!()
                }
                Ins::NumEq(d, a, b) => {
                    put!(d, Value::bool(compare!(get!(a), get!(b), ==, Self::slow_eq)));
                    next!()
                }
                Ins::VectorRef(d, a, i) => {
                    let (v, i) = (get!(a), get!(i));
                    let h = first_word(v);
                    if header_kind(h) != kind_of(Type::Vector) {
                        fail!(SchemeError::wrong_type("vector-ref", 1, "vector", v))
                    }
                    if !i.is_fixnum() {
                        fail!(SchemeError::wrong_type("vector-ref", 2, "index", i))
                    }
                    if i.as_fixnum() as u64 >= header_size(h) as u64 {
                        fail!(SchemeError::range("vector-ref", 2, i))
                    }
                    // SAFETY: the index is less than the length.
                    let x = Value(unsafe { word(v, i.as_fixnum() as usize + 1).load(Ordering::Relaxed) });
                    put!(d, x);
                    next!()
                }
                Ins::VectorSet(a, i, b) => {
                    let (v, i) = (get!(a), get!(i));
                    let h = first_word(v);
                    if header_kind(h) != kind_of(Type::Vector) {
                        fail!(SchemeError::wrong_type("vector-set!", 1, "vector", v))
                    }
                    if !i.is_fixnum() {
                        fail!(SchemeError::wrong_type("vector-set!", 2, "index", i))
                    }
                    if i.as_fixnum() as u64 >= header_size(h) as u64 {
                        fail!(SchemeError::range("vector-set!", 2, i))
                    }
                    // SAFETY: the index is less than the length.
                    let slot = unsafe { word(v, i.as_fixnum() as usize + 1) };
                    self.stores.store(slot, get!(b));
                    next!()
                }
                Ins::VectorLength(d, a) => {
                    let v = get!(a);
                    if !is_vector(v) {
                        fail!(SchemeError::wrong_type("vector-length", 1, "vector", v))
                    }
                    put!(d, Value::fixnum(size(v) as i64));
                    next!()
                }
                Ins::StringRef(d, a, i) => {
                    let (s, i) = (get!(a), get!(i));
                    if !is_string(s) {
                        fail!(SchemeError::wrong_type("string-ref", 1, "string", s))
                    }
                    if !i.is_fixnum() {
                        fail!(SchemeError::wrong_type("string-ref", 2, "index", i))
                    }
                    if i.as_fixnum() as u64 >= str_len(s) as u64 {
                        fail!(SchemeError::range("string-ref", 2, i))
                    }
                    put!(d, Value::char(str_ref(s, i.as_fixnum() as usize)));
                    next!()
                }
                Ins::CharEq(d, a, b) => {
                    let (a, b) = (get!(a), get!(b));
                    if !a.is_char() {
                        fail!(SchemeError::wrong_type("char=?", 1, "character", a))
                    }
                    if !b.is_char() {
                        fail!(SchemeError::wrong_type("char=?", 2, "character", b))
                    }
                    put!(d, Value::bool(a == b));
                    next!()
                }

                Ins::Call { n, base, f } => call!(get!(f), n, base, false),
                Ins::TailCall { n, base, f } => call!(get!(f), n, base, true),
                Ins::CallGlobal { n, base, k } => {
                    let f = content!(constant!(k));
                    if f == Value::UNBOUND {
                        fail!(unbound(constant!(k)))
                    }
                    call!(f, n, base, false)
                }
                Ins::TailCallGlobal { n, base, k } => {
                    let f = content!(constant!(k));
                    if f == Value::UNBOUND {
                        fail!(unbound(constant!(k)))
                    }
                    call!(f, n, base, true)
                }
                Ins::Primitive { n, base, index } => {
                    primitive!(index, n, base);
                    next!()
                }
                Ins::Return(a) => {
                    let v = get!(a);
                    // SAFETY: every running procedure has a frame below it; the lowest leads to `Underflow`.
                    unsafe {
                        *fp = v.0;
                        ct = ct.sub(1);
                        pc = (*ct).pc.load(Ordering::Relaxed) as *const Ins;
                        fp = (*ct).base.load(Ordering::Relaxed) as *mut u64;
                        clo = Value((*ct).closure.load(Ordering::Relaxed));
                    }
                }
                Ins::Underflow => {
                    save!();
                    if let Some(v) = self.underflow(state) {
                        return Ok(v);
                    }
                    load!();
                }
            }
        }
    }
}
