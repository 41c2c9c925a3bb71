//! Calls off the fast path: anything but a closure with the right number of arguments and room on the stack.
//!
//! `call` makes the frame, `invoke` finds out what is applied: a closure with optional arguments or clauses, a primitive, a continuation, a
//! parameter. Primitives that change the stack themselves (`apply`, `call/cc`, `eval`) answer what to apply next.

use super::run::code_of;
use super::stack::{STACK_SLACK, State, UNDERFLOW};
use super::{Reg, STACK_SLOTS, Stores, Vm};
use crate::code::{ARITY_CASES, ARITY_REST, Code};
use crate::error::{Kind, SchemeError};
use crate::heap::*;
use crate::natives::special::Special;
use crate::prims::ANY;
use crate::syntax::{Name, Pos};
use crate::value::*;
use std::sync::OnceLock;

/// Most arguments of one call: they lie on the stack, all at once.
const MAX_ARGS: usize = STACK_SLOTS / 2;

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
                    let message = format!("apply: {} arguments, and a call takes at most {MAX_ARGS}", args.len());
                    return Err(SchemeError::error(message, &[]));
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
}
