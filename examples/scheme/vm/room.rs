//! Room in the heap: safepoints, and what happens when an allocation finds the heap full.
//!
//! A primitive that finds no room changes nothing and answers `Exhausted`; the machine writes its roots, collects, and runs it once more. When
//! collecting does not help, the program gets an error that it can handle. Handlers need memory too, so a reserve is set aside while there is
//! plenty, and given up for them.

use super::stack::State;
use super::{Reg, Stores, Vm};
use crate::error::{Body, SchemeError};
use crate::value::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// When a missing reserve is tried for again. Counts and hints, which order nothing: a thread that misses one tries later, or once too often.
#[derive(Default)]
pub struct Retry {
    /// Safepoints until then, and how many that was the last time: each try that fails makes the collector run.
    countdown: AtomicUsize,
    last: AtomicUsize,
    /// The reserve was given up for the handlers of an error.
    given_up: AtomicBool,
    /// And then the program threw to a continuation: it may have left what filled the heap.
    escaped: AtomicBool,
}

/// How much room to ask for when the `attempts`th try found too little for `bytes`. What makes several objects gives
/// them all up when one does not fit; asking for that one alone might go on for ever.
fn with_slack(bytes: usize, attempts: u32) -> usize {
    if attempts == 0 { bytes } else { bytes.max(1 << (9 + attempts).min(46)) }
}

impl<S: Stores> Vm<S> {
    #[cold]
    pub(super) fn safepoint(&mut self, st: &State, live: usize) {
        self.spill(st, live);
        self.mutator.poll();
        if self.reserve_is_missing() {
            self.save_reserve();
        }
    }

    pub(super) fn reserve_is_missing(&self) -> bool {
        self.shared.reserve > 0 && self.shared.immortals.reserve.load(Ordering::Relaxed) == Value::FALSE.0
    }

    /// The program throws to a continuation: perhaps the way out of a full heap.
    pub(super) fn escapes(&self) {
        if self.reserve_is_missing() {
            let Retry { countdown, given_up, escaped, .. } = &self.shared.retry;
            countdown.store(0, Ordering::Relaxed);
            // Once for each time that it was given up, so that programs that throw all the time in a full heap do not collect all the time.
            if given_up.swap(false, Ordering::Relaxed) {
                escaped.store(true, Ordering::Relaxed);
            }
        }
    }

    /// A safepoint. Sets the reserve aside if the heap has room. Every try that fails makes the collector run, so it waits longer
    /// for the next.
    #[cold]
    pub fn save_reserve(&mut self) {
        let Retry { countdown, last, given_up, escaped } = &self.shared.retry;
        let left = countdown.load(Ordering::Relaxed);
        if left > 0 {
            countdown.store(left - 1, Ordering::Relaxed);
            return;
        }
        let bytes = self.shared.reserve;
        let mut reserve = self.alloc_leaf(Type::Bytevector, 0, bytes, bytes);
        // Not left to the next cycle: the program may fill the heap before there is another safepoint.
        if reserve.is_err() && escaped.swap(false, Ordering::Relaxed) && self.mutator.reclaim(bytes).is_ok() {
            reserve = self.alloc_leaf(Type::Bytevector, 0, bytes, bytes);
        }
        match reserve {
            Ok(v) => {
                // Another thread may have been faster.
                let slot = &self.shared.immortals.reserve;
                let _ = slot.compare_exchange(Value::FALSE.0, v.0, Ordering::Release, Ordering::Relaxed);
                last.store(0, Ordering::Relaxed);
                given_up.store(false, Ordering::Relaxed);
                escaped.store(false, Ordering::Relaxed);
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
    pub(super) fn reclaim(&mut self, bytes: usize, attempts: u32) -> Result<(), SchemeError> {
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
                    self.shared.retry.given_up.store(true, Ordering::Relaxed);
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
    pub(super) fn allocate<T>(
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
}
