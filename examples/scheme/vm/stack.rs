//! The stack of values, the control stack, and the interpreter's registers into them.
//!
//! The frame that runs starts at `fp` on the value stack. A frame that waits for an answer also has an entry on the control stack: where
//! it goes on, where its values start, its closure. The lowest entry leads to the underflow instruction, which looks for more of the stack in
//! the heap (`continuations`).

use super::{CONTROL_FRAMES, Frame, Reg, STACK_SLOTS, Stores, Vm};
use crate::code::Ins;
use crate::value::Value;
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
pub(super) const STACK_SLACK: usize = 512;

pub(super) static UNDERFLOW: Ins = Ins::Underflow;

impl<S: Stores> Vm<S> {
    pub(super) fn stack_start(&self) -> *mut u64 {
        // The slots are atomics, so their memory may be written through a shared reference.
        self.roots.stack.as_ptr() as *mut u64
    }

    pub(super) fn stack_end(&self) -> *mut u64 {
        self.stack_start().wrapping_add(STACK_SLOTS - STACK_SLACK)
    }

    pub(super) fn control_start(&self) -> *mut Frame {
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

    pub(super) fn push_frame(&mut self, st: &mut State, pc: *const Ins) {
        // SAFETY: the control stack has slack behind the limit that calls check.
        unsafe {
            (*st.ct).pc.store(pc as usize, Ordering::Relaxed);
            (*st.ct).base.store(st.fp as usize, Ordering::Relaxed);
            (*st.ct).closure.store(st.clo.0, Ordering::Relaxed);
            st.ct = st.ct.add(1);
        }
    }

    pub(super) fn arg(&self, st: &State, i: usize) -> Value {
        // SAFETY: the caller knows that the slot is in use.
        Value(unsafe { *st.fp.add(i) })
    }

    pub(super) fn set_arg(&self, st: &State, i: usize, v: Value) {
        // SAFETY: the caller knows that there is room.
        unsafe { *st.fp.add(i) = v.0 }
    }

    /// Returns `v` from the procedure whose frame starts at `fp`.
    pub(super) fn answer(&self, st: &mut State, v: Value) {
        self.set_arg(st, 0, v);
        // SAFETY: there is always a frame to return to.
        unsafe {
            st.ct = st.ct.sub(1);
            st.pc = (*st.ct).pc.load(Ordering::Relaxed) as *const Ins;
            st.fp = (*st.ct).base.load(Ordering::Relaxed) as *mut u64;
            st.clo = Value((*st.ct).closure.load(Ordering::Relaxed));
        }
    }
}
