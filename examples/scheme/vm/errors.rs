//! Errors on their way to handlers.
//!
//! An error in native code becomes a condition object that says where in the program it happened, and is raised there as if the program had
//! called `raise`. One for which there is no handler, or no room even for the condition, ends the run.

use super::run::code_of;
use super::stack::State;
use super::{Frame, Stores, Vm};
use crate::code::{Code, Ins};
use crate::error::{Body, Kind, SchemeError};
use crate::heap::*;
use crate::syntax::Pos;
use crate::value::*;
use std::sync::atomic::Ordering;

impl<S: Stores> Vm<S> {
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
