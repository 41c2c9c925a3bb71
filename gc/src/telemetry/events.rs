//! The steps of a cycle, as callbacks whose names are verbs in the past tense: each is called when the step is over.
//!
//! One concurrent cycle calls them in this order, all on the thread that runs the cycle:
//!
//! ```text
//! cycle_started  sweep_awaited  handshake_done  pages_armed  marking_done  round_done, round_done, ...
//! mutators_stopped  roots_traced  pause_ended  cycle_ended  pages_disarmed  sweep_done
//! ```
//!
//! `pages_armed` is the first arming; what a round arms again belongs to its `round_done`. `pages_disarmed` comes only where pages do not stay armed until
//! the next cycle.
//!
//! A stop-the-world cycle has only `cycle_started`, `sweep_awaited`, `mutators_stopped`, `roots_traced`, `pause_ended`, `cycle_ended` and
//! `sweep_done`: it marks between the fourth and the fifth. `heap_created` comes before everything else.
//! `memory_released` and `mutator_stalled` may come at any time and from any thread; a stall is reported by the thread
//! that stalled, once it goes on. `scan_failed` comes before the step in whose scan the kernel refused; the steps that
//! need to know what was written are then left out.
//!
//! What single threads do (`worker_marked`, `mutator_attached`, `mutator_detached`, `mutator_resumed`) is told by each of them, and only
//! where a listener asks for it (`hears_threads`): every mutator calls these at each safepoint that had something to do.
//!
//! **What a callback may do.** While `mutators_stopped` and `roots_traced` run every mutator waits, so what they do is
//! part of the pause; `pause_ended` is called when mutators already run again. No callback may allocate in a
//! collected heap, wait for a mutator, or call back into the heap it hears from, and one that panics takes the
//! collector down with it. Counting and writing to a buffer are fine.

use std::fmt;
use std::time::{Duration, Instant};

use super::report::CycleReport;
use crate::barrier::Mechanism;
use crate::error::BarrierError;
use crate::memory::Backing;

/// Hears what a heap does. Every callback does nothing unless it is overridden; `()` overrides none.
///
/// The module documentation says when each is called and what it may do.
#[expect(unused_variables, reason = "the parameters of the empty defaults are named for whoever overrides them")]
pub trait EventListener: Send + Sync {
    /// The first thing a listener hears: what heap it was added to; `auto` has been resolved.
    fn heap_created(&self, heap: &HeapCreated<'_>) {}
    /// Whether it wants to hear what single threads do; asked once, when it is added.
    fn hears_threads(&self) -> bool {
        false
    }
    /// A cycle began.
    fn cycle_started(&self, cycle: &CycleStart) {}
    /// What the cycle before left unswept was swept: a cycle begins with that.
    fn sweep_awaited(&self) {}
    /// Every mutator retired its allocation run and handed over its roots.
    fn handshake_done(&self) {}
    /// The pages that hold objects were armed: `pages` OS pages that were not armed before.
    fn pages_armed(&self, pages: u64) {}
    /// While mutators ran, what is reachable from the roots of the handshake was marked.
    fn marking_done(&self) {}
    /// A concurrent round took the dirty pages, armed them again and rescanned them.
    fn round_done(&self, round: &Round) {}
    /// The barrier could not say what was written, and why: this cycle rescans every page in its pause.
    fn scan_failed(&self, error: &BarrierError) {}
    /// The last mutator stopped, `time_to_stop` after all were asked to.
    fn mutators_stopped(&self, time_to_stop: Duration) {}
    /// In the pause, the roots of every mutator and of the heap were traced; what they lead to is marked next.
    fn roots_traced(&self) {}
    /// Mutators were let go, `pause` after the last of them had stopped.
    fn pause_ended(&self, pause: Duration) {}
    /// A cycle ended. What it found dead is swept later.
    fn cycle_ended(&self, report: &CycleReport) {}
    /// Until the next cycle writes are free: `pages` OS pages were disarmed.
    fn pages_disarmed(&self, pages: u64) {}
    /// What the cycle that ended found dead was swept.
    fn sweep_done(&self) {}
    /// The calling thread, helper `worker` of those that mark (the collector's own thread, which is worker 0, tells its phases instead), took part in
    /// marking from `since` until now. With mutators stopped or not.
    fn worker_marked(&self, worker: usize, since: Instant) {}
    /// The calling thread became a mutator.
    fn mutator_attached(&self) {}
    /// The calling thread is about to be a mutator no more.
    fn mutator_detached(&self) {}
    /// The calling mutator goes on after a stop. Waits that `mutator_stalled` tells are not told here.
    fn mutator_resumed(&self, stop: &MutatorStop) {}
    /// `bytes` bytes of free memory were given back to the operating system.
    fn memory_released(&self, bytes: u64) {}
    /// A mutator went on after the collector had made it wait, for `duration` from `since` on; pauses are not stalls.
    fn mutator_stalled(&self, since: Instant, duration: Duration, cause: StallCause) {}
}

impl EventListener for () {}

/// What [`EventListener::heap_created`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapCreated<'a> {
    /// What the heap is called.
    pub name: &'a str,
    /// How writes are seen: never `auto`.
    pub mechanism: Mechanism,
    /// The memory the heap is made of.
    pub backing: Backing,
    /// The hard limit in bytes.
    pub limit_bytes: u64,
}

/// What [`EventListener::cycle_started`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleStart {
    /// The cycle's number; a heap's first cycle is 1.
    pub number: u64,
    /// Whether mutators run while it marks.
    pub kind: CycleKind,
    /// Why it was started.
    pub reason: Reason,
    /// Bytes of the heap in use when it was started.
    pub heap_bytes: u64,
}

/// What [`EventListener::round_done`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The round's place in its cycle; the first is 0.
    pub index: u32,
    /// OS pages reported as written and rescanned.
    pub dirty_pages: u64,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// Whether mutators run while a cycle marks, and what it marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CycleKind {
    /// They run until the pause, which only finishes what they changed.
    #[default]
    Concurrent,
    /// They do, and the marks of the cycle before are kept: only what was made since then is marked, or found dead.
    Sticky,
    /// They are stopped from beginning to end.
    StopTheWorld,
}

impl CycleKind {
    /// Whether mutators run while the cycle marks.
    pub fn is_concurrent(self) -> bool {
        self != Self::StopTheWorld
    }
}

impl fmt::Display for CycleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Concurrent => "concurrent",
            Self::Sticky => "sticky",
            Self::StopTheWorld => "stop-the-world",
        })
    }
}

/// Why a cycle was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The pacer: the heap reached the size at which a cycle should begin to end in time.
    #[default]
    Trigger,
    /// The configuration asks for cycles at odd moments.
    Zeal,
    /// The embedder asked for it.
    Explicit,
    /// The heap reached its hard limit.
    LimitReached,
    /// An allocation failed, also after the last cycle.
    OutOfMemory,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trigger => "trigger",
            Self::Zeal => "zeal",
            Self::Explicit => "explicit",
            Self::LimitReached => "limit reached",
            Self::OutOfMemory => "out of memory",
        })
    }
}

/// What [`EventListener::mutator_resumed`] tells: what one mutator did for the collector, or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutatorStop {
    /// What it was.
    pub cause: StopCause,
    /// When it began.
    pub since: Instant,
    /// How long it lasted.
    pub duration: Duration,
}

impl MutatorStop {
    /// From `since` until now.
    pub fn until_now(cause: StopCause, since: Instant) -> MutatorStop {
        MutatorStop { cause, since, duration: since.elapsed() }
    }
}

/// What a mutator stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// It handed over its roots and blocks.
    Handshake,
    /// It waited for the end of a pause: at a safepoint, or coming back from where it was away.
    Pause,
    /// It waited for a collection that it had asked for.
    Collection,
}

/// What made a mutator wait, apart from pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallCause {
    /// There was no memory to hand out until a cycle ended.
    Allocation,
    /// It wrote faster than the rounds could rescan, and was held back.
    Throttle,
}

impl fmt::Display for StallCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allocation => "allocation",
            Self::Throttle => "throttle",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Overrides two callbacks and inherits the rest.
    #[derive(Default)]
    struct Counting {
        armed: AtomicU64,
        cycles: AtomicU64,
    }

    impl EventListener for Counting {
        fn pages_armed(&self, pages: u64) {
            self.armed.fetch_add(pages, Ordering::Relaxed);
        }

        fn cycle_ended(&self, report: &CycleReport) {
            self.cycles.fetch_add(report.number, Ordering::Relaxed);
        }
    }

    fn play(listener: &dyn EventListener) {
        listener.heap_created(&HeapCreated {
            name: "heap",
            mechanism: Mechanism::Async,
            backing: Backing::Anon,
            limit_bytes: 1 << 30,
        });
        listener.cycle_started(&CycleStart {
            number: 7,
            kind: CycleKind::Concurrent,
            reason: Reason::Trigger,
            heap_bytes: 4096,
        });
        listener.handshake_done();
        listener.pages_armed(3);
        listener.marking_done();
        listener.round_done(&Round { index: 0, dirty_pages: 1, ms: 0.5 });
        listener.mutators_stopped(Duration::from_micros(60));
        listener.roots_traced();
        listener.pause_ended(Duration::from_micros(700));
        listener.cycle_ended(&CycleReport { number: 7, ..CycleReport::default() });
        listener.memory_released(1 << 16);
        listener.mutator_stalled(Instant::now(), Duration::from_millis(1), StallCause::Throttle);
    }

    #[test]
    fn a_listener_hears_what_it_overrides_and_ignores_the_rest() {
        let counting = Counting::default();
        play(&counting);
        play(&());
        assert_eq!(counting.armed.into_inner(), 3);
        assert_eq!(counting.cycles.into_inner(), 7);
    }

    #[test]
    fn reasons_kinds_and_causes_read_as_words() {
        let reasons = [Reason::Trigger, Reason::Zeal, Reason::Explicit, Reason::LimitReached, Reason::OutOfMemory];
        assert_eq!(reasons.map(|r| r.to_string()), ["trigger", "zeal", "explicit", "limit reached", "out of memory"]);
        let kinds = [CycleKind::Concurrent, CycleKind::StopTheWorld];
        assert_eq!(kinds.map(|k| k.to_string()), ["concurrent", "stop-the-world"]);
        let causes = [StallCause::Allocation, StallCause::Throttle];
        assert_eq!(causes.map(|c| c.to_string()), ["allocation", "throttle"]);
        assert_eq!(format!("{:>9}", Reason::Zeal), "     zeal");
    }
}
