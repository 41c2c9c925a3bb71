//! When a cycle starts.
//!
//! The heap is allowed to grow to a *goal*: `live × growth`, or `heap` if that is more, or the limit if that is less. While a cycle marks, mutators
//! take memory without objects (and leaf holes): free blocks, and what was never used. So a cycle must start while there is still a *reserve* of it:
//!
//! ```text
//! blocks and pages in use + reserve ≤ goal
//! ```
//!
//! Before a full cycle mutators fill holes first, and that uses up nothing. So the question is asked when a mutator takes memory without objects, and not
//! earlier: to start while there are holes would waste them, and would not make the reserve larger.
//!
//! The reserve is what will be allocated while the cycle runs, as estimated from the last ones: the larger of the last and the running mean, plus a
//! quarter. What counts of a cycle is what mutators *would* have allocated while it ran, had they not had to wait: their rate before it, times
//! its length from the moment it was asked for, if that is more than what they did allocate. Otherwise a cycle that comes too late, so that everybody
//! waits in it and allocates nothing, would teach that the next one may come as late.
//!
//! The estimate is one for full cycles and one for sticky ones, which are shorter; what the next cycle is to be (`pacer/plan.rs`) decides which counts.
//!
//! Before a full cycle at least a quarter of `goal − live` is allocated, and before any a floor: a program that allocates faster than it can be marked would
//! otherwise do nothing but collect.
//!
//! Before a sticky cycle mutators take roomy blocks and those without objects first, and other holes of tracked blocks only when there are none: then it is
//! high time. Leaves fill holes first in any case.

mod arming;
mod plan;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::{Disarm, Sticky};
use crate::telemetry::{CycleKind, Watched};
use arming::Arming;
use plan::Plan;

/// So many bytes are allocated between two cycles, however small the heap.
const FLOOR: u64 = 1 << 20;

/// What the pacer learns from a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// What cycle it was.
    pub kind: CycleKind,
    /// Bytes that carry the mark at its end.
    pub live: u64,
    /// Bytes that it marked for the first time: what survived of what was allocated since the cycle before.
    pub survived: u64,
    /// Whether memory had run out when it was asked for.
    pub exhausted: bool,
    /// How long it took by itself.
    pub length: Duration,
    /// Bytes allocated while it ran.
    pub allocated_during: u64,
    /// How long mutators could have allocated, from the moment when it was asked for to its end: nothing if they were stopped.
    pub concurrent: Duration,
    /// Bytes allocated since the cycle before.
    pub allocated_before: u64,
    /// How long that took.
    pub before: Duration,
    /// What its first scan found of the pages that stayed armed since the cycle before. `None` if none did, or if it failed, or there was none.
    pub watched: Option<Watched>,
}

impl Lesson {
    /// Bytes that mutators would have allocated while it ran, had they gone on as before, or did allocate.
    fn demand(&self) -> f64 {
        let rate = self.allocated_before as f64 / self.before.as_secs_f64().max(1e-6);
        (rate * self.concurrent.as_secs_f64()).max(self.allocated_during as f64)
    }
}

/// What is allocated while a cycle of one kind runs, as its last ones tell.
#[derive(Default)]
struct Demand {
    last: f64,
    mean: f64,
}

impl Demand {
    fn learn(&mut self, demand: f64) {
        self.mean = if self.mean == 0.0 { demand } else { 0.7 * self.mean + 0.3 * demand };
        self.last = demand;
    }

    fn reserve(&self) -> u64 {
        (self.mean.max(self.last) * 1.25) as u64
    }
}

/// What only the collector thread needs.
struct Learned {
    plan: Plan,
    arming: Arming,
    full: Demand,
    sticky: Demand,
    goal: u64,
}

/// Decides when a cycle starts, and which kind it is. The atomics are counters and thresholds; they order nothing else.
pub struct Pacer {
    growth: f64,
    sticky: Sticky,
    heap: u64,
    limit: AtomicU64,
    /// Bytes taken since the last cycle, and how many there must be before the next.
    since: AtomicU64,
    least: AtomicU64,
    goal: AtomicU64,
    reserve: AtomicU64,
    total: AtomicU64,
    marked: AtomicU64,
    last_was_sticky: AtomicBool,
    sticky_is_next: AtomicBool,
    pages_stay_armed: AtomicBool,
    learned: Mutex<Learned>,
}

impl Pacer {
    /// The first cycle starts when three quarters of `heap` bytes are in use. It is a full one.
    pub fn new(growth: f64, heap: u64, limit: u64, sticky: Sticky, disarm: Disarm) -> Pacer {
        let heap = heap.min(limit);
        let learned = Learned {
            plan: Plan::new(sticky),
            arming: Arming::new(sticky, disarm),
            full: Demand::default(),
            sticky: Demand::default(),
            goal: heap,
        };
        Pacer {
            growth,
            sticky,
            heap,
            limit: limit.into(),
            since: 0.into(),
            least: FLOOR.min(limit / 4).into(),
            goal: heap.into(),
            reserve: (heap / 4).into(),
            total: 0.into(),
            marked: 0.into(),
            last_was_sticky: false.into(),
            sticky_is_next: false.into(),
            pages_stay_armed: false.into(),
            learned: learned.into(),
        }
    }

    /// A mutator took `bytes`, from holes or not; true when enough was taken since the last cycle for another.
    pub fn allocated(&self, bytes: u64) -> bool {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        let since = self.since.fetch_add(bytes, Ordering::Relaxed) + bytes;
        since >= self.least.load(Ordering::Relaxed)
    }

    /// A mutator took memory without objects, and `used` bytes of blocks and pages are in use: true when it is time for a cycle.
    pub fn due(&self, used: u64) -> bool {
        let goal = self.goal.load(Ordering::Relaxed).min(self.limit.load(Ordering::Relaxed));
        used + self.reserve.load(Ordering::Relaxed) >= goal
    }

    /// Whether the next cycle is to keep the marks of the last.
    pub fn sticky_is_next(&self) -> bool {
        self.sticky_is_next.load(Ordering::Relaxed)
    }

    /// Whether pages stay armed from the end of the last cycle to the next. Not before the first.
    pub fn pages_stay_armed(&self) -> bool {
        self.pages_stay_armed.load(Ordering::Relaxed)
    }

    /// Whatever was decided, no page is armed now; so the next cycle had better be a full one.
    pub fn no_page_is_armed(&self) {
        self.pages_stay_armed.store(false, Ordering::Relaxed);
        self.sticky_is_next.store(false, Ordering::Relaxed);
    }

    /// Bytes that carried the mark when the last cycle ended.
    pub fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    /// Whether the last cycle kept the marks of the one before, so that what is marked may be dead.
    pub fn last_was_sticky(&self) -> bool {
        self.last_was_sticky.load(Ordering::Relaxed)
    }

    /// Bytes taken by mutators since creation.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The hard limit changed.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A cycle ended: decides what the next one is and when it is due, and returns the goal in bytes. Only a full cycle moves the goal:
    /// after a sticky one nobody knows how much of what is marked lives.
    pub fn learn(&self, lesson: Lesson) -> u64 {
        let mut learned = self.learned.lock();
        let limit = self.limit.load(Ordering::Relaxed);
        let demand = lesson.demand();
        if lesson.kind == CycleKind::Sticky {
            learned.sticky.learn(demand);
        } else {
            learned.full.learn(demand);
            learned.goal = ((lesson.live as f64 * self.growth) as u64).max(self.heap);
        }
        let goal = learned.goal.min(limit);
        // A cycle with the world stopped armed nothing, and disarmed nothing.
        let stay_armed =
            if lesson.kind.is_concurrent() { learned.arming.stays(lesson.watched) } else { self.pages_stay_armed() };
        let sticky =
            learned.plan.next(&lesson, goal) == CycleKind::Sticky && (stay_armed || self.sticky == Sticky::Always);
        // Of the first sticky cycle nothing is known but that it will hardly be longer.
        let known = if sticky && learned.sticky.mean > 0.0 { &learned.sticky } else { &learned.full };
        let floor = FLOOR.min(limit / 4);
        // What a sticky cycle costs goes with what was allocated before it.
        let least = if sticky { floor } else { (goal.saturating_sub(lesson.live) / 4).max(floor) };
        self.since.store(0, Ordering::Relaxed);
        self.least.store(least, Ordering::Relaxed);
        self.reserve.store(known.reserve(), Ordering::Relaxed);
        self.goal.store(goal, Ordering::Relaxed);
        self.marked.store(lesson.live, Ordering::Relaxed);
        self.last_was_sticky.store(lesson.kind == CycleKind::Sticky, Ordering::Relaxed);
        self.sticky_is_next.store(sticky, Ordering::Relaxed);
        self.pages_stay_armed.store(stay_armed, Ordering::Relaxed);
        goal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cycle of 10 ms, 50 ms after the one before.
    fn lesson(live: u64, allocated_before: u64, allocated_during: u64) -> Lesson {
        let (concurrent, before) = (Duration::from_millis(10), Duration::from_millis(50));
        let (kind, survived, length) = (CycleKind::Concurrent, 1 << 20, concurrent);
        Lesson {
            kind,
            live,
            survived,
            exhausted: false,
            length,
            allocated_during,
            concurrent,
            allocated_before,
            before,
            watched: None,
        }
    }

    /// What is in use when a cycle starts, in a heap that has `used` bytes in use after the last one and no holes.
    fn used_when_a_cycle_starts(pacer: &Pacer, mut used: u64) -> u64 {
        while !(pacer.allocated(1 << 16) && pacer.due(used + (1 << 16))) {
            used += 1 << 16;
        }
        used
    }

    #[test]
    fn a_cycle_starts_early_enough_to_end_below_the_goal() {
        let pacer = Pacer::new(2.0, 32 << 20, 1 << 30, Sticky::Off, Disarm::Auto);
        let goal = pacer.learn(lesson(100 << 20, 0, 20 << 20));
        assert_eq!(goal, 200 << 20);
        let used = used_when_a_cycle_starts(&pacer, 100 << 20);
        assert!(used + (20 << 20) <= goal, "{used}");
    }

    #[test]
    fn a_cycle_in_which_everybody_waited_teaches_to_start_earlier() {
        let pacer = Pacer::new(2.0, 32 << 20, 200 << 20, Sticky::Off, Disarm::Auto);
        // A MB a millisecond before it, nothing in it: in its 10 ms it would have been 10 MB.
        pacer.learn(lesson(100 << 20, 50 << 20, 0));
        let used = used_when_a_cycle_starts(&pacer, 100 << 20);
        assert!((180 << 20..190 << 20).contains(&used), "{used}");
    }

    #[test]
    fn a_cycle_with_the_world_stopped_needs_no_room() {
        let pacer = Pacer::new(2.0, 32 << 20, 200 << 20, Sticky::Off, Disarm::Auto);
        pacer.learn(Lesson { concurrent: Duration::ZERO, ..lesson(100 << 20, 50 << 20, 0) });
        assert!(used_when_a_cycle_starts(&pacer, 100 << 20) > 199 << 20);
    }

    #[test]
    fn memory_in_use_that_has_holes_is_filled_before_the_next_cycle() {
        let pacer = Pacer::new(2.0, 32 << 20, 200 << 20, Sticky::Off, Disarm::Auto);
        pacer.learn(lesson(100 << 20, 50 << 20, 10 << 20));
        // Blocks with holes fill the heap: the first block without objects is asked for when they are full.
        assert!(pacer.due(195 << 20));
        assert!(!pacer.due(150 << 20));
    }

    #[test]
    fn a_full_heap_is_not_collected_all_the_time() {
        let pacer = Pacer::new(2.0, 32 << 20, 64 << 20, Sticky::Off, Disarm::Auto);
        pacer.learn(lesson(64 << 20, 64 << 20, 64 << 20));
        assert!(!pacer.allocated(1024));
    }

    #[test]
    fn the_reserve_of_a_sticky_cycle_is_its_own_and_only_a_full_one_moves_the_goal() {
        let pacer = Pacer::new(2.0, 32 << 20, 1 << 30, Sticky::Auto, Disarm::Auto);
        // A MB a millisecond: the full cycle needs 10 MB, and so does the first sticky one for all one knows.
        let full = lesson(100 << 20, 50 << 20, 0);
        assert_eq!(pacer.learn(full), 200 << 20);
        assert!(pacer.sticky_is_next());
        assert!((180 << 20..190 << 20).contains(&used_when_a_cycle_starts(&pacer, 100 << 20)));
        let short = Duration::from_millis(1);
        let sticky = Lesson { kind: CycleKind::Sticky, live: 101 << 20, length: short, concurrent: short, ..full };
        assert_eq!(pacer.learn(sticky), 200 << 20);
        assert!(pacer.sticky_is_next());
        assert!((197 << 20..200 << 20).contains(&used_when_a_cycle_starts(&pacer, 101 << 20)));
    }
}
