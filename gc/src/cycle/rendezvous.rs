//! Where mutators and the collector meet: handshakes, stops, and threads that are away.
//!
//! *handshake*: each mutator does one thing (hand over its roots, retire its blocks) at its own next safepoint and goes on. *stop*: all
//! mutators are at a safepoint at the same time and stay there. *away*: a mutator in a system call or foreign code; the
//! collector acts for it, and it cannot come back while that happens.
//!
//! All status is guarded by one lock, taken only when something is asked for. A mutator's poll is one relaxed load of its
//! own word. Relaxed is enough: the word only says "look"; what to do is then read under the lock, and the lock orders
//! everything the mutator did before its safepoint with everything the collector does after.
//!
//! The collector waits for a thread however long it takes, but says so after a while (`who`).

mod who;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::heap::local::Local;
use crate::model::{RootSource, Space};
use crate::primitive::atomic::{AtomicU8, AtomicU32, Ordering};
use crate::primitive::meeting::{Condvar, Mutex, MutexGuard};
use crate::primitive::{UnsafeCell, thread};
use crate::telemetry::{MutatorStop, StopCause};
use who::{Waiting, Who};

/// The poll word: hand over roots and blocks.
const HANDSHAKE: u32 = 1;
/// The poll word: stop until told to go on.
const STOP: u32 = 2;
/// The poll word: rest now and then, pages are written faster than they are rescanned ([`super::throttle`]).
const THROTTLE: u32 = 4;

/// The poll word: always set under `zeal=safepoint`, so that every poll counts.
const ZEAL: u32 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    Running,
    Stopped,
    Away,
}

/// What a mutator allocates from.
pub struct Locals {
    /// In [`Space::Tracked`].
    pub tracked: Local,
    /// In [`Space::Leaf`].
    pub leaf: Local,
}

/// One mutator as the collector sees it.
pub struct Party {
    poll: AtomicU32,
    status: AtomicU8,
    /// Used by the mutator's thread while it runs, by the collector while it is stopped or away.
    locals: UnsafeCell<Locals>,
    /// Where the mutator's roots are.
    pub roots: Arc<dyn RootSource>,
    /// Its thread.
    who: Who,
}

// SAFETY: `locals` is handed between the mutator and the collector under the rendezvous lock, as its comment says.
unsafe impl Send for Party {}
// SAFETY: as above.
unsafe impl Sync for Party {}

impl Party {
    /// Whether the mutator should go to its safepoint's slow path.
    #[inline(always)]
    pub fn asked(&self) -> bool {
        self.poll.load(Ordering::Relaxed) != 0
    }

    /// Whether it is to rest now and then.
    pub fn is_throttled(&self) -> bool {
        self.poll.load(Ordering::Relaxed) & THROTTLE != 0
    }

    /// Whether nothing else is asked of it.
    pub fn is_only_throttled(&self) -> bool {
        self.poll.load(Ordering::Relaxed) == THROTTLE
    }

    /// Nobody is held back any more.
    pub fn ends_throttling(&self) {
        self.poll.fetch_and(!THROTTLE, Ordering::Relaxed);
    }

    /// What the mutator allocates from.
    ///
    /// # Safety
    ///
    /// The caller is the mutator's thread outside its safepoint, or the collector while the mutator is stopped or away.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub unsafe fn locals(&self) -> &mut Locals {
        // SAFETY: exclusive, by this function's contract.
        unsafe { &mut *self.locals.get() }
    }

    fn status(&self) -> Status {
        // Relaxed: read and written under the lock.
        match self.status.load(Ordering::Relaxed) {
            0 => Status::Running,
            1 => Status::Stopped,
            _ => Status::Away,
        }
    }

    fn set_status(&self, status: Status) {
        self.status.store(status as u8, Ordering::Relaxed);
    }
}

/// What the lock guards.
#[derive(Default)]
pub struct State {
    parties: Vec<Arc<Party>>,
    stopping: bool,
    /// The last handshake told everybody to rest now and then.
    throttled: bool,
}

/// What a mutator did at a safepoint that had something to do.
#[derive(Default)]
pub struct Visit {
    /// It handed over.
    pub handshake: Option<MutatorStop>,
    /// It was stopped.
    pub pause: Option<MutatorStop>,
}

/// The meeting place of one heap.
#[derive(Default)]
pub struct Rendezvous {
    /// The heap's name.
    name: String,
    state: Mutex<State>,
    /// A mutator did what was asked, went away or left.
    arrived: Condvar,
    /// A stop ended.
    resumed: Condvar,
}

/// All mutators are stopped or away while this lives.
pub struct Stopped<'a> {
    rendezvous: &'a Rendezvous,
    parties: Vec<Arc<Party>>,
}

impl<'a> Stopped<'a> {
    /// Every mutator.
    pub fn parties(&self) -> &[Arc<Party>] {
        &self.parties
    }

    /// Keeps everybody from joining, leaving, going away and coming back, until the lock is dropped.
    pub fn lock(&self) -> MutexGuard<'a, State> {
        self.rendezvous.state.lock()
    }
}

impl State {
    /// In the child of a fork, where the other mutators' threads are not: returns the mutators that are gone.
    pub fn keep_only(&mut self, party: &Arc<Party>) -> Vec<Arc<Party>> {
        let (kept, gone) = self.parties.drain(..).partition(|other| Arc::ptr_eq(other, party));
        self.parties = kept;
        party.who.forked();
        gone
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut state = self.rendezvous.state.lock();
        state.stopping = false;
        for party in &state.parties {
            party.poll.fetch_and(!STOP, Ordering::Relaxed);
        }
        self.rendezvous.resumed.notify_all();
    }
}

impl Rendezvous {
    /// Nobody is here yet.
    pub fn new(heap: &str) -> Rendezvous {
        Rendezvous { name: heap.into(), ..Rendezvous::default() }
    }

    /// Whether the calling thread is a mutator already. Only it can change that.
    pub fn includes_caller(&self) -> bool {
        self.state.lock().parties.iter().any(|party| party.who.is_calling())
    }

    /// The calling thread becomes a mutator; with `count_polls` each of its polls takes the slow path.
    pub fn join(&self, roots: Arc<dyn RootSource>, count_polls: bool) -> Arc<Party> {
        let mut state = self.state.lock();
        while state.stopping {
            self.resumed.wait(&mut state);
        }
        let party = Arc::new(Party {
            poll: AtomicU32::new(if count_polls { ZEAL } else { 0 } | if state.throttled { THROTTLE } else { 0 }),
            status: AtomicU8::new(Status::Running as u8),
            locals: UnsafeCell::new(Locals { tracked: Local::new(Space::Tracked), leaf: Local::new(Space::Leaf) }),
            roots,
            who: Who::calls(),
        });
        // A handshake under way does not include it: it holds no block yet, and its roots are traced again in the pause.
        state.parties.push(party.clone());
        party
    }

    /// The mutator ends. `retire` gives back what it allocates from.
    pub fn leave(&self, party: &Arc<Party>, retire: impl FnOnce(&Party)) {
        let mut state = self.state.lock();
        // A stop under way counts this thread as running until it is gone from the list, so nothing else touches its locals.
        while state.stopping && party.status() == Status::Away {
            self.resumed.wait(&mut state);
        }
        retire(party);
        state.parties.retain(|other| !Arc::ptr_eq(other, party));
        self.arrived.notify_all();
    }

    /// Mutators now.
    pub fn count(&self) -> usize {
        self.state.lock().parties.len()
    }

    /// The slow path of a mutator's poll. `hand_over` is what a handshake asks for.
    pub fn safepoint(&self, party: &Party, hand_over: &dyn Fn(&Party)) -> Visit {
        let mut visit = Visit::default();
        let start = Instant::now();
        let asked = party.poll.load(Ordering::Relaxed);
        if asked & HANDSHAKE != 0 {
            // Outside the lock, so that mutators hand over in parallel; the collector waits for the flag to fall.
            hand_over(party);
        }
        let mut state = self.state.lock();
        if asked & HANDSHAKE != 0 {
            party.poll.fetch_and(!HANDSHAKE, Ordering::Relaxed);
            self.arrived.notify_all();
            visit.handshake = Some(MutatorStop::until_now(StopCause::Handshake, start));
        }
        if state.stopping {
            let start = Instant::now();
            party.set_status(Status::Stopped);
            self.arrived.notify_all();
            while state.stopping {
                self.resumed.wait(&mut state);
            }
            party.set_status(Status::Running);
            visit.pause = Some(MutatorStop::until_now(StopCause::Pause, start));
        }
        visit
    }

    /// A mutator that is held back rests. Returns how long, and the wait for a stop that was under way when the rest was over.
    pub fn rest(&self, party: &Party, hand_over: &dyn Fn(&Party), rest: Duration) -> (Duration, Option<MutatorStop>) {
        let start = Instant::now();
        self.go_away(party, hand_over);
        thread::sleep(rest);
        let rested = start.elapsed();
        (rested, self.come_back(party))
    }

    /// The mutator's thread is about to block. Its roots stay as they are until [`Rendezvous::come_back`].
    pub fn go_away(&self, party: &Party, hand_over: &dyn Fn(&Party)) {
        let asked = party.poll.load(Ordering::Relaxed) & HANDSHAKE != 0;
        if asked {
            hand_over(party);
        }
        let _state = self.state.lock();
        if asked {
            party.poll.fetch_and(!HANDSHAKE, Ordering::Relaxed);
        }
        party.set_status(Status::Away);
        self.arrived.notify_all();
    }

    /// The mutator's thread is back; waits until a stop has ended. Returns that wait, if there was one.
    pub fn come_back(&self, party: &Party) -> Option<MutatorStop> {
        let mut state = self.state.lock();
        let start = state.stopping.then(Instant::now);
        while state.stopping {
            self.resumed.wait(&mut state);
        }
        party.set_status(Status::Running);
        start.map(|start| MutatorStop::until_now(StopCause::Pause, start))
    }

    /// Every mutator hands over at its next safepoint, those away by the calling thread. Returns when all did.
    /// With `throttle`, each rests now and then from now on, those away too when they are back, and those that join.
    pub fn handshake(&self, throttle: bool, hand_over: &dyn Fn(&Party)) {
        let mut state = self.state.lock();
        state.throttled = throttle;
        let asked: Vec<Arc<Party>> = state.parties.clone();
        let held_back = if throttle { THROTTLE } else { 0 };
        for party in &asked {
            if party.status() == Status::Away {
                hand_over(party);
                party.poll.fetch_or(held_back, Ordering::Relaxed);
            } else {
                party.poll.fetch_or(HANDSHAKE | held_back, Ordering::Relaxed);
            }
        }
        let mut waiting = Waiting::new();
        loop {
            let mut awaited = Vec::new();
            for party in &asked {
                if party.poll.load(Ordering::Relaxed) & HANDSHAKE == 0 {
                    continue;
                }
                if !state.parties.iter().any(|other| Arc::ptr_eq(other, party)) {
                    continue;
                }
                if party.status() == Status::Away {
                    // It went away between being asked and its next safepoint.
                    hand_over(party);
                    party.poll.fetch_and(!HANDSHAKE, Ordering::Relaxed);
                } else {
                    awaited.push(party.clone());
                }
            }
            if awaited.is_empty() {
                return;
            }
            state = self.wait_for(state, &mut waiting, "a handshake", &awaited);
        }
    }

    /// Stops all mutators and says how long that took.
    pub fn stop(&self) -> (Stopped<'_>, Duration) {
        let start = Instant::now();
        let mut state = self.state.lock();
        state.stopping = true;
        for party in &state.parties {
            party.poll.fetch_or(STOP, Ordering::Relaxed);
        }
        let mut waiting = Waiting::new();
        loop {
            let running: Vec<Arc<Party>> =
                state.parties.iter().filter(|party| party.status() == Status::Running).cloned().collect();
            if running.is_empty() {
                break;
            }
            state = self.wait_for(state, &mut waiting, "a pause", &running);
        }
        let parties = state.parties.clone();
        drop(state);
        (Stopped { rendezvous: self, parties }, start.elapsed())
    }

    /// Waits until something changed, and says for whom when that takes long.
    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        waiting: &mut Waiting,
        what: &str,
        awaited: &[Arc<Party>],
    ) -> MutexGuard<'a, State> {
        self.arrived.wait_for(&mut state, waiting.patience());
        if !waiting.is_long() {
            return state;
        }
        // Without the lock: whoever holds standard error may be a mutator on its way here.
        drop(state);
        let threads: Vec<String> = awaited.iter().map(|party| party.who.to_string()).collect();
        waiting.tell(&self.name, what, &threads);
        self.state.lock()
    }
}

#[cfg(all(test, loom))]
mod interleavings;
