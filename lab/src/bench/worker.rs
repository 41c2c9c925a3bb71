//! One thread of a workload: a mutator, and the notes it takes about itself.
//!
//! A workload's thread reads from top to bottom: build what lives, [`Worker::begin`], [`Worker::step`] again and again,
//! [`Worker::end`], check. What lies between `begin` and `end` is measured.
//!
//! A step is the program's unit of work: long enough that reading the clock once is nothing in it (ten microseconds and
//! more), short enough that a stall stands out. It ends with a safepoint. The clock is read once a step, since a step begins
//! where the last ended; so nothing falls between.

use std::any::Any;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use pagemark::typed::{Field, Heap, Mutator, Ref};
use pagemark::{CardTable, Exhausted, OutOfMemory};

use super::measure::cpu::Usage;
use super::measure::quantiles::{histogram, record};
use super::measure::stalls::Log;
use super::meeting::{GivenUp, Meeting};
use super::parameter::{Parameter, Values};
use super::workloads;
use crate::stress::random::Random;

/// Why a run has no result.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a thread says that stopped because another one failed.
pub const GAVE_UP: &str = "another thread failed";

/// How often memory may run out in one step. What others take between a collection and the next try is a race that can be lost, but not for
/// ever.
const PATIENCE: u32 = 100;

/// A safepoint shorter than this did no more than read the clock: one that hands over roots takes a lock, and a rest half a millisecond.
const NOTED_NS: u64 = 500;

/// What the threads of a run have in common.
pub struct Run {
    /// The value of each parameter.
    pub values: Values,
    /// Mutator threads.
    pub threads: usize,
    /// Whether the ends of all steps are kept, for latencies.
    pub requests: bool,
    /// All workers.
    pub workers: Meeting,
    /// All workers, and the thread that waits for them.
    pub all: Meeting,
    /// When the measured part began.
    pub clock: OnceLock<Instant>,
    /// What one thread made for all.
    pub common: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What a worker noted.
pub struct Notes {
    /// Its stalls and steps.
    pub log: Log,
    /// Ends of steps, after the moment it began; empty unless the steps are requests.
    pub ends: Vec<u64>,
    /// From the beginning to its end, in nanoseconds.
    pub elapsed: u64,
    /// Processor time meanwhile.
    pub usage: Usage,
    /// The fold over what lives at the end.
    pub check: u64,
    /// Of steps that were due at a given moment, how long after it they were done.
    pub done_after_due: Histogram<u64>,
}

/// One thread of a workload.
pub struct Worker<'r> {
    /// Its access to the heap.
    pub mutator: Mutator,
    /// Which thread it is, from 0.
    pub index: usize,
    run: &'r Run,
    cards: Option<CardTable>,
    notes: Notes,
    /// When the last step ended; `None` outside of the measured part.
    last: Option<u64>,
}

impl<'r> Worker<'r> {
    /// The calling thread becomes worker `index`.
    pub fn new(heap: &Heap, run: &'r Run, index: usize) -> Worker<'r> {
        let mutator = heap.attach();
        let cards = mutator.cards();
        let notes = Notes {
            log: Log::new(),
            ends: Vec::new(),
            elapsed: 0,
            usage: Usage::default(),
            check: 0,
            done_after_due: histogram(),
        };
        Worker { mutator, index, run, cards, notes, last: None }
    }

    /// The value of one of the workload's parameters.
    pub fn value(&self, parameter: &Parameter) -> u64 {
        self.run.values.get(parameter)
    }

    /// Mutator threads.
    pub fn threads(&self) -> usize {
        self.run.threads
    }

    /// This thread's share of `total`: all shares add up to it.
    pub fn share(&self, total: u64) -> u64 {
        workloads::share(total, self.run.threads as u64, self.index as u64)
    }

    /// Random numbers: the same in each run, different in each thread.
    pub fn random(&self) -> Random {
        Random::new(1, self.index as u64)
    }

    /// Waits for the other workers, away from the heap.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] if one of them failed.
    pub fn meet(&mut self) -> Result<(), Failure> {
        let meeting = &self.run.workers;
        self.mutator.blocking(|| meeting.meet()).map_err(given_up)
    }

    /// The same, and the thread that measures the process comes too.
    fn meet_observer(&mut self) -> Result<(), Failure> {
        let meeting = &self.run.all;
        self.mutator.blocking(|| meeting.meet()).map_err(given_up)
    }

    /// What thread 0 makes for all, and all get. All call it, and meet in it.
    ///
    /// # Errors
    ///
    /// That of `make`; and [`GivenUp`].
    pub fn common<T: Send + Sync + 'static>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<&'r T, Failure> {
        if self.index == 0 {
            let made = make(self)?;
            assert!(self.run.common.set(Box::new(made)).is_ok(), "a workload has one thing in common");
        }
        self.meet()?;
        let common = self.run.common.get().expect("thread 0 set it before it came");
        Ok(common.downcast_ref().expect("all threads ask for the same type"))
    }

    /// All workers are ready; from here on it is measured. `steps` of this thread will follow.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] if a worker failed before.
    pub fn begin(&mut self, steps: u64) -> Result<(), Failure> {
        if self.run.requests {
            // All at once, or growing it would be a stall.
            self.notes.ends = Vec::with_capacity(steps as usize + 1);
        }
        self.meet_observer()?;
        self.meet_observer()?;
        self.notes.usage = Usage::of_thread();
        let now = self.now();
        self.last = Some(now);
        if self.run.requests {
            self.notes.ends.push(now);
        }
        Ok(())
    }

    /// The last step is done. Waits for the others; then one cycle runs, while everything that lives is still held.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] if another worker failed.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.notes.elapsed = self.now();
        self.notes.usage = Usage::of_thread().since(self.notes.usage);
        self.last = None;
        self.meet_observer()?;
        self.meet_observer()?;
        if self.index == 0 {
            self.mutator.collect();
        }
        self.meet_observer()
    }

    /// One step: `work`, again from its beginning whenever memory ran out in it, then a safepoint. So `work` allocates
    /// first and changes what others see last. `largest` is the size of the largest *object* it allocates: asking for all of
    /// its bytes would ask for that much in one piece.
    ///
    /// # Errors
    ///
    /// When collections make no room.
    #[inline(always)]
    pub fn step<R>(&mut self, largest: u64, work: impl FnMut(&Mutator) -> Result<R, Exhausted>) -> Result<R, Failure> {
        let result = self.attempt(largest, work)?;
        self.end_step();
        Ok(result)
    }

    /// A part of a step, with a safepoint after it. As [`Worker::step`].
    ///
    /// # Errors
    ///
    /// When collections make no room.
    #[inline(always)]
    pub fn attempt<R>(
        &mut self,
        largest: u64,
        mut work: impl FnMut(&Mutator) -> Result<R, Exhausted>,
    ) -> Result<R, Failure> {
        for _ in 0..PATIENCE {
            match work(&self.mutator) {
                Ok(result) => {
                    self.safepoint();
                    return Ok(result);
                }
                Err(Exhausted) => self.wait_for_memory(largest)?,
            }
        }
        Err(format!("memory ran out {PATIENCE} times in one step: the heap is too small").into())
    }

    /// Before a step that is due at `due` nanoseconds and not earlier: waits until then, away from the heap. The waiting is part of no step.
    pub fn wait_until_due(&mut self, due: u64) {
        let ahead = due.saturating_sub(self.now());
        if ahead > 0 {
            self.mutator.blocking(|| std::thread::sleep(Duration::from_nanos(ahead)));
            self.last = Some(self.now());
        }
    }

    /// Notes how long after it was due the step was done that has just ended.
    pub fn done_when_due(&mut self, due: u64) {
        if let Some(end) = self.last {
            record(&mut self.notes.done_after_due, end.saturating_sub(due));
        }
    }

    /// Ends a step that was not made by [`Worker::step`] alone.
    #[inline(always)]
    pub fn end_step(&mut self) {
        if let Some(last) = self.last {
            let now = self.now();
            self.notes.log.step(last, now);
            if self.run.requests {
                self.notes.ends.push(now);
            }
            self.last = Some(now);
        }
    }

    /// A safepoint, noted as a stall if there was something to do. While mutators are held back each poll looks whether a rest is due; that alone is none.
    #[inline(always)]
    pub fn safepoint(&mut self) {
        if self.mutator.poll_requested() {
            let from = self.now();
            self.mutator.poll();
            if self.last.is_some() {
                let to = self.now();
                if to - from >= NOTED_NS {
                    self.notes.log.safepoints.push((from, to));
                }
            }
        }
    }

    /// A safepoint: waits until an object of `bytes` can be allocated.
    #[cold]
    fn wait_for_memory(&mut self, bytes: u64) -> Result<(), OutOfMemory> {
        let from = self.now();
        self.mutator.reclaim(bytes as usize)?;
        if self.last.is_some() {
            let to = self.now();
            self.notes.log.waits.push((from, to));
        }
        Ok(())
    }

    /// The store function, for fields of objects that others may know already.
    #[inline(always)]
    pub fn stores(&self) -> Stores {
        Stores(self.cards)
    }

    /// What it noted. `check` is the fold over what it had at the end.
    pub fn into_notes(self, check: u64) -> Notes {
        Notes { check, ..self.notes }
    }

    /// Nanoseconds since the measured part began; 0 before.
    #[inline(always)]
    fn now(&self) -> u64 {
        self.run.clock.get().map_or(0, |clock| clock.elapsed().as_nanos() as u64)
    }
}

fn given_up(GivenUp: GivenUp) -> Failure {
    GAVE_UP.into()
}

/// Stores references. One plain store, and with software cards the card's mark.
#[derive(Clone, Copy)]
pub struct Stores(Option<CardTable>);

impl Stores {
    /// `field` holds `target` from now on.
    #[inline(always)]
    pub fn set<T: Send + Sync + 'static>(self, field: &Field<T>, target: Option<Ref<'_, T>>) {
        field.set(target);
        if let Some(cards) = self.0 {
            // SAFETY: a field that a mutator reached without a safepoint since, so of a tracked object of its heap that is alive.
            unsafe { cards.mark(field.address()) };
        }
    }
}
