//! What the next cycle is: full, or sticky.
//!
//! A sticky cycle costs what it marks and what it traces again on written pages, and frees what has died young. What dies after it was marked stays, so sticky
//! cycles fill the heap up, and a full one has to come:
//!
//! * when what sticky cycles have marked since the last full one takes half of the room that it had left;
//! * when less than an eighth of that room was allocated before a sticky cycle: the blocks that are free get few, the rest has holes, which are
//!   for full cycles;
//! * when more than half of what was allocated before a cycle of either kind survived it: little dies young here;
//! * when it took more than three fifths of the time of a full one: the writes are everywhere, or old objects lie on the pages of new ones.
//!
//! After one of the last two, which say that the program is not one for them, so many full cycles follow before the next try: one, then two, four,
//! up to sixteen; one that pays makes it one again.

use std::time::Duration;

use super::Lesson;
use crate::config::Sticky;
use crate::telemetry::CycleKind;

/// So many full cycles at most before sticky ones are tried again.
const LONGEST_BREAK: u32 = 16;
/// So many sticky cycles at most before a full one: a program that allocates nothing, and still has cycles, never fills the heap.
const LONGEST_RUN: u32 = 64;
/// Bytes that must have been allocated before a cycle for what survived of them to say anything.
const TELLING: u64 = 256 << 10;

/// What it remembers.
pub struct Plan {
    sticky: Sticky,
    /// Bytes that lived at the last full cycle, and how long it took.
    live: u64,
    length: Duration,
    /// Sticky cycles since then.
    run: u32,
    /// Full cycles still to come before sticky ones are tried again, and how many it will be the next time.
    break_left: u32,
    next_break: u32,
}

impl Plan {
    /// No cycle yet: the first is full.
    pub fn new(sticky: Sticky) -> Plan {
        Plan { sticky, live: 0, length: Duration::ZERO, run: 0, break_left: 0, next_break: 1 }
    }

    /// What follows a cycle that taught `lesson`, in a heap that may grow to `goal` bytes.
    pub fn next(&mut self, lesson: &Lesson, goal: u64) -> CycleKind {
        let sticky = match lesson.kind {
            CycleKind::Sticky => self.after_sticky(lesson, goal),
            CycleKind::Concurrent | CycleKind::StopTheWorld => self.after_full(lesson),
        };
        if sticky && self.sticky != Sticky::Off { CycleKind::Sticky } else { CycleKind::Concurrent }
    }

    fn after_full(&mut self, lesson: &Lesson) -> bool {
        self.live = lesson.live;
        self.length = lesson.length;
        self.run = 0;
        self.break_left = self.break_left.saturating_sub(1);
        self.sticky == Sticky::Always || self.break_left == 0 && dies_young(lesson)
    }

    fn after_sticky(&mut self, lesson: &Lesson, goal: u64) -> bool {
        self.run += 1;
        let paid = dies_young(lesson) && lesson.length <= self.length * 3 / 5;
        if self.sticky == Sticky::Auto && !paid {
            // The full cycle that comes now is the first of them.
            self.break_left = self.next_break;
            self.next_break = (self.next_break * 2).min(LONGEST_BREAK);
            return false;
        }
        self.next_break = 1;
        let room = goal.saturating_sub(self.live);
        let grown = lesson.live.saturating_sub(self.live);
        // What was allocated before a cycle that nobody needed says nothing.
        let tells = lesson.exhausted || lesson.allocated_before >= TELLING;
        let scarce = tells && lesson.allocated_before < room / 8;
        room > 0 && grown <= room / 2 && !scarce && self.run < LONGEST_RUN
    }
}

/// Whether at most half of what was allocated survived its first cycle.
fn dies_young(lesson: &Lesson) -> bool {
    let allocated = lesson.allocated_before + lesson.allocated_during;
    allocated < TELLING || lesson.survived <= allocated / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn full(live: u64) -> Lesson {
        Lesson {
            kind: CycleKind::Concurrent,
            live: live * MB,
            survived: MB,
            exhausted: false,
            length: Duration::from_millis(100),
            allocated_during: 10 * MB,
            concurrent: Duration::from_millis(100),
            allocated_before: 40 * MB,
            before: Duration::from_millis(500),
            watched: None,
        }
    }

    /// One that found `live` MB marked in the end, of which it marked so many, in so many milliseconds.
    fn sticky(live: u64, survived: u64, ms: u64) -> Lesson {
        let length = Duration::from_millis(ms);
        Lesson { kind: CycleKind::Sticky, live: live * MB, survived: survived * MB, length, ..full(live) }
    }

    #[test]
    fn sticky_cycles_follow_a_full_one_until_half_of_the_room_is_taken() {
        let mut plan = Plan::new(Sticky::Auto);
        assert_eq!(plan.next(&full(100), 200 * MB), CycleKind::Sticky);
        assert_eq!(plan.next(&sticky(110, 10, 10), 200 * MB), CycleKind::Sticky);
        assert_eq!(plan.next(&sticky(150, 20, 10), 200 * MB), CycleKind::Sticky);
        assert_eq!(plan.next(&sticky(151, 1, 10), 200 * MB), CycleKind::Concurrent);
        assert_eq!(plan.next(&full(100), 200 * MB), CycleKind::Sticky);
    }

    #[test]
    fn a_sticky_cycle_that_does_not_pay_is_followed_by_full_ones_and_by_more_of_them_each_time() {
        // By what it marked of the 50 MB, and by its time.
        for poor in [sticky(100, 26, 10), sticky(100, 1, 61)] {
            let mut plan = Plan::new(Sticky::Auto);
            plan.next(&full(100), 200 * MB);
            for expected in [1, 2, 4, 8, 16, 16] {
                assert_eq!(plan.next(&poor, 200 * MB), CycleKind::Concurrent);
                let mut count = 1;
                while plan.next(&full(100), 200 * MB) == CycleKind::Concurrent {
                    count += 1;
                }
                assert_eq!(count, expected);
            }
            // One that pays.
            assert_eq!(plan.next(&sticky(101, 1, 10), 200 * MB), CycleKind::Sticky);
            assert_eq!(plan.next(&poor, 200 * MB), CycleKind::Concurrent);
            assert_eq!(plan.next(&full(100), 200 * MB), CycleKind::Sticky);
        }
    }

    #[test]
    fn a_full_one_follows_when_little_could_be_allocated_between_sticky_ones() {
        let mut plan = Plan::new(Sticky::Auto);
        plan.next(&full(100), 200 * MB);
        assert_eq!(
            plan.next(&Lesson { allocated_before: 12 * MB, ..sticky(100, 1, 10) }, 200 * MB),
            CycleKind::Concurrent
        );
    }

    #[test]
    fn a_full_cycle_that_most_of_the_young_survive_says_that_there_is_no_use_in_trying() {
        let mut plan = Plan::new(Sticky::Auto);
        let old = Lesson { survived: 26 * MB, ..full(100) };
        assert_eq!(plan.next(&old, 200 * MB), CycleKind::Concurrent);
        assert_eq!(plan.next(&full(100), 200 * MB), CycleKind::Sticky);
    }

    #[test]
    fn off_is_never_and_always_does_not_ask_whether_it_pays() {
        let mut plan = Plan::new(Sticky::Off);
        assert_eq!(plan.next(&full(100), 200 * MB), CycleKind::Concurrent);
        let mut plan = Plan::new(Sticky::Always);
        plan.next(&full(100), 200 * MB);
        assert_eq!(plan.next(&sticky(120, 26, 99), 200 * MB), CycleKind::Sticky);
        assert_eq!(plan.next(&sticky(151, 1, 1), 200 * MB), CycleKind::Concurrent);
    }

    #[test]
    fn a_program_that_allocates_nothing_has_full_cycles_too() {
        let mut plan = Plan::new(Sticky::Auto);
        plan.next(&full(100), 200 * MB);
        let nothing = Lesson { allocated_before: 0, allocated_during: 0, ..sticky(100, 0, 1) };
        let run = (1..).find(|_| plan.next(&nothing, 200 * MB) == CycleKind::Concurrent);
        assert_eq!(run, Some(LONGEST_RUN));
    }
}
