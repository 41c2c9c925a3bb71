//! When a cycle starts.
//!
//! Two inequalities must hold. The heap is allowed to grow to a *goal*: `live × growth`, or `heap` if that is more, or the
//! limit if that is less. A cycle must end before the goal is reached:
//!
//! ```text
//! live + allocated since the last cycle + allocated while this one runs ≤ goal
//! ```
//!
//! What is allocated while a cycle runs is estimated from the last ones: the larger of the last and the running mean, plus a quarter. What counts of a
//! cycle is what mutators *would* have allocated while it ran, had they not had to wait: their rate before it began, times its length, if that is more
//! than what they did allocate. Otherwise a cycle that comes too late, so that everybody waits in it and allocates nothing, would teach that the next one
//! may come as late.
//!
//! So the *budget*, what may be allocated before the next cycle starts, is `goal − live − estimate`. It is never less than a quarter of
//! `goal − live`, nor less than a floor: a program that allocates faster than it can be marked would otherwise do nothing but collect.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// No budget is smaller than this many bytes.
const FLOOR: u64 = 1 << 20;

/// What the pacer learns from a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// Bytes marked.
    pub live: u64,
    /// Bytes allocated while it ran.
    pub allocated_during: u64,
    /// How long mutators could have allocated, from the moment when it was asked for to its end: nothing if they were stopped.
    pub concurrent: Duration,
    /// Bytes allocated since the cycle before.
    pub allocated_before: u64,
    /// How long that took.
    pub before: Duration,
}

impl Lesson {
    /// Bytes that mutators would have allocated while it ran, had they gone on as before, or did allocate.
    fn demand(&self) -> f64 {
        let rate = self.allocated_before as f64 / self.before.as_secs_f64().max(1e-6);
        (rate * self.concurrent.as_secs_f64()).max(self.allocated_during as f64)
    }
}

/// Decides when a cycle starts. The atomics are counters and thresholds; they order nothing else.
pub struct Pacer {
    growth: f64,
    heap: u64,
    limit: AtomicU64,
    since: AtomicU64,
    budget: AtomicU64,
    total: AtomicU64,
    demand_mean: Mutex<f64>,
}

impl Pacer {
    /// The first cycle starts when three quarters of `heap` bytes are allocated.
    pub fn new(growth: f64, heap: u64, limit: u64) -> Pacer {
        let heap = heap.min(limit);
        Pacer {
            growth,
            heap,
            limit: limit.into(),
            since: 0.into(),
            budget: (heap / 4 * 3).max(FLOOR.min(limit / 4)).into(),
            total: 0.into(),
            demand_mean: 0.0.into(),
        }
    }

    /// A mutator took `bytes`; true when it is time for a cycle.
    pub fn allocated(&self, bytes: u64) -> bool {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        let since = self.since.fetch_add(bytes, Ordering::Relaxed) + bytes;
        since >= self.budget.load(Ordering::Relaxed)
    }

    /// Bytes taken by mutators since creation.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The hard limit changed. The next budget heeds it.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A cycle ended: sets the next budget, and returns the goal in bytes.
    pub fn learn(&self, lesson: Lesson) -> u64 {
        let demand = lesson.demand();
        let mut mean = self.demand_mean.lock();
        *mean = if *mean == 0.0 { demand } else { 0.7 * *mean + 0.3 * demand };
        let estimate = (mean.max(demand) * 1.25) as u64;
        let limit = self.limit.load(Ordering::Relaxed);
        let goal = ((lesson.live as f64 * self.growth) as u64).max(self.heap).min(limit);
        let room = goal.saturating_sub(lesson.live);
        let budget = room.saturating_sub(estimate).max(room / 4).max(FLOOR.min(limit / 4));
        // What was allocated while the cycle ran and survived is part of `live`; the rest is swept with everything else.
        self.since.store(0, Ordering::Relaxed);
        self.budget.store(budget, Ordering::Relaxed);
        goal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cycle of 10 ms, 50 ms after the one before.
    fn lesson(live: u64, allocated_before: u64, allocated_during: u64) -> Lesson {
        let (concurrent, before) = (Duration::from_millis(10), Duration::from_millis(50));
        Lesson { live, allocated_during, concurrent, allocated_before, before }
    }

    /// What a mutator allocates until a cycle starts.
    fn allocated_until_a_cycle_starts(pacer: &Pacer) -> u64 {
        let mut allocated = 0u64;
        while !pacer.allocated(1 << 16) {
            allocated += 1 << 16;
        }
        allocated
    }

    #[test]
    fn a_cycle_starts_early_enough_to_end_below_the_goal() {
        let pacer = Pacer::new(2.0, 32 << 20, 1 << 30);
        let goal = pacer.learn(lesson(100 << 20, 0, 20 << 20));
        assert_eq!(goal, 200 << 20);
        let allocated = allocated_until_a_cycle_starts(&pacer);
        assert!((100 << 20) + allocated + (20 << 20) <= goal, "{allocated}");
    }

    #[test]
    fn a_cycle_in_which_everybody_waited_teaches_to_start_earlier() {
        let pacer = Pacer::new(2.0, 32 << 20, 200 << 20);
        // A MB a millisecond before it, nothing in it: in its 10 ms it would have been 10 MB.
        pacer.learn(lesson(100 << 20, 50 << 20, 0));
        let allocated = allocated_until_a_cycle_starts(&pacer);
        assert!((80 << 20..90 << 20).contains(&allocated), "{allocated}");
    }

    #[test]
    fn a_cycle_with_the_world_stopped_needs_no_room() {
        let pacer = Pacer::new(2.0, 32 << 20, 200 << 20);
        pacer.learn(Lesson { concurrent: Duration::ZERO, ..lesson(100 << 20, 50 << 20, 0) });
        assert!(allocated_until_a_cycle_starts(&pacer) > 99 << 20);
    }

    #[test]
    fn a_full_heap_still_gets_a_budget() {
        let pacer = Pacer::new(2.0, 32 << 20, 64 << 20);
        pacer.learn(lesson(64 << 20, 64 << 20, 64 << 20));
        assert!(!pacer.allocated(1024));
    }
}
