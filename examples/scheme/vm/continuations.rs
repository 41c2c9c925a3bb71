//! Continuations: the stack moved to the heap, and back.
//!
//! A continuation is a chain of heap segments of a few frames each. Capturing moves the whole stack into the chain and
//! goes on with an empty stack; overflow does the same; and when the stack runs empty, one segment is copied back.
//! Segments are never changed, so continuations may be entered any number of times.

use super::stack::State;
use super::{Frame, Reg, Stores, Vm};
use crate::error::SchemeError;
use crate::heap::*;
use crate::value::*;
use std::sync::atomic::Ordering;

/// Frames to a segment of a continuation.
const SEGMENT_FRAMES: usize = 16;

impl<S: Stores> Vm<S> {
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

    /// Replaces the continuation and returns `v` to it.
    pub(super) fn throw(&mut self, st: &mut State, k: Value, v: Value) {
        self.escapes();
        self.roots.set(Reg::Chain, field(k, 0));
        self.roots.set(Reg::Handlers, field(k, 1));
        self.roots.set(Reg::Winders, field(k, 2));
        self.roots.set(Reg::Dynamic, field(k, 3));
        *st = self.fresh_state();
        self.answer(st, v);
    }
}
