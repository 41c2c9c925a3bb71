//! Handshakes and stops, in every interleaving of a collector and up to two mutators.
//!
//! Both use what a mutator allocates from, [`Party::locals`], which under loom fails the model when two uses are not ordered: a mutator whenever it
//! works, and whoever hands over for it. A thread that waits for ever is a deadlock, which fails the model too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use loom::thread::{self, JoinHandle};

use super::*;
use crate::model::Tracer;
use crate::primitive::explore;

struct NoRoots;

// SAFETY: the mutator of the tests has no references.
unsafe impl RootSource for NoRoots {
    fn trace_roots(&self, _: &mut Tracer<'_>) {}
}

/// A mutator, and what became of it. The counts are not loom's, so that they order nothing.
struct Seen {
    party: Arc<Party>,
    handed_over: AtomicUsize,
    working: AtomicBool,
    left: AtomicBool,
}

struct Meeting {
    rendezvous: Rendezvous,
    mutators: Vec<Seen>,
}

impl Meeting {
    fn of(mutators: usize) -> Arc<Meeting> {
        let rendezvous = Rendezvous::default();
        let mutators = (0..mutators).map(|_| Seen::joined(&rendezvous)).collect();
        Arc::new(Meeting { rendezvous, mutators })
    }

    /// What a handshake asks for.
    fn hand_over(&self, party: &Party) {
        let seen = self.mutators.iter().find(|seen| std::ptr::eq(&*seen.party, party)).expect("no other joined");
        use_locals(party);
        seen.handed_over.fetch_add(1, Relaxed);
        use_locals(party);
    }

    fn handshake(&self) {
        self.rendezvous.handshake(false, &|party| self.hand_over(party));
    }

    /// Each mutator has handed over in each of `handshakes`, or is gone.
    fn assert_handed_over(&self, handshakes: usize) {
        for seen in &self.mutators {
            let times = seen.handed_over.load(Relaxed);
            assert!(times == handshakes || times < handshakes && seen.left.load(Relaxed), "handed over {times} times");
        }
    }

    /// Stops, uses what all mutators allocate from, and lets them go on.
    fn pause(&self) {
        let (stopped, _) = self.rendezvous.stop();
        assert!(self.mutators.iter().all(|seen| !seen.working.load(Relaxed)), "a mutator works in the pause");
        for party in stopped.parties() {
            use_locals(party);
        }
        assert!(self.mutators.iter().all(|seen| !seen.working.load(Relaxed)), "a mutator works in the pause");
    }

    /// Runs a mutator's life in a thread of its own; it leaves at the end.
    fn spawn(self: &Arc<Self>, mutator: usize, life: impl FnOnce(&Meeting, &Seen) + 'static) -> JoinHandle<()> {
        let meeting = self.clone();
        thread::spawn(move || {
            let seen = &meeting.mutators[mutator];
            life(&meeting, seen);
            meeting.rendezvous.leave(&seen.party, |party| {
                use_locals(party);
                seen.left.store(true, Relaxed);
            });
        })
    }

    fn poll(&self, seen: &Seen) {
        if seen.party.asked() {
            self.rendezvous.safepoint(&seen.party, &|party| self.hand_over(party));
            if seen.party.is_throttled() {
                let rest = Duration::from_millis(1);
                self.rendezvous.rest(&seen.party, &|party| self.hand_over(party), rest);
            }
        }
    }

    /// A system call.
    fn block(&self, seen: &Seen) {
        self.rendezvous.go_away(&seen.party, &|party| self.hand_over(party));
        thread::yield_now();
        self.rendezvous.come_back(&seen.party);
    }
}

impl Seen {
    fn joined(rendezvous: &Rendezvous) -> Seen {
        Seen {
            party: rendezvous.join(Arc::new(NoRoots), false),
            handed_over: AtomicUsize::new(0),
            working: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }
    }

    /// What a mutator does between safepoints; it can be interrupted in the middle.
    fn work(&self) {
        self.working.store(true, Relaxed);
        use_locals(&self.party);
        let _ = self.party.asked();
        use_locals(&self.party);
        self.working.store(false, Relaxed);
    }
}

fn use_locals(party: &Party) {
    // SAFETY: that the caller may is what these tests check; no reference is kept.
    unsafe { party.locals() };
}

fn work_and_poll(meeting: &Meeting, seen: &Seen) {
    seen.work();
    meeting.poll(seen);
    seen.work();
}

fn work_and_block(meeting: &Meeting, seen: &Seen) {
    seen.work();
    meeting.block(seen);
    seen.work();
}

fn all_end(threads: [JoinHandle<()>; 2]) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_handshake_reaches_every_mutator_once() {
    explore(3, || {
        let meeting = Meeting::of(2);
        let threads = [meeting.spawn(0, work_and_poll), meeting.spawn(1, work_and_block)];
        meeting.handshake();
        meeting.assert_handed_over(1);
        all_end(threads);
    });
}

#[test]
fn a_second_handshake_reaches_every_mutator_again() {
    explore(2, || {
        let meeting = Meeting::of(2);
        let threads = [meeting.spawn(0, work_and_poll), meeting.spawn(1, work_and_block)];
        meeting.handshake();
        meeting.handshake();
        meeting.assert_handed_over(2);
        all_end(threads);
    });
}

#[test]
fn nobody_works_while_all_are_stopped() {
    explore(3, || {
        let meeting = Meeting::of(2);
        let threads = [meeting.spawn(0, work_and_poll), meeting.spawn(1, work_and_block)];
        meeting.pause();
        all_end(threads);
    });
}

#[test]
fn a_stop_may_follow_a_handshake_and_another_stop() {
    explore(2, || {
        let meeting = Meeting::of(2);
        let threads = [
            meeting.spawn(0, |meeting, seen| {
                work_and_poll(meeting, seen);
                work_and_poll(meeting, seen);
            }),
            meeting.spawn(1, work_and_block),
        ];
        meeting.handshake();
        meeting.pause();
        meeting.pause();
        meeting.assert_handed_over(1);
        all_end(threads);
    });
}

#[test]
fn a_mutator_that_rests_is_away() {
    explore(2, || {
        let meeting = Meeting::of(2);
        let threads = [meeting.spawn(0, work_and_poll), meeting.spawn(1, work_and_poll)];
        meeting.rendezvous.handshake(true, &|party| meeting.hand_over(party));
        meeting.assert_handed_over(1);
        meeting.pause();
        all_end(threads);
    });
}

#[test]
fn a_mutator_may_leave_from_where_it_was_away() {
    explore(3, || {
        let meeting = Meeting::of(1);
        let thread = meeting.spawn(0, |meeting, seen| {
            meeting.rendezvous.go_away(&seen.party, &|party| meeting.hand_over(party));
        });
        meeting.handshake();
        meeting.pause();
        meeting.assert_handed_over(1);
        thread.join().unwrap();
        assert_eq!(meeting.rendezvous.count(), 0);
    });
}

#[test]
fn a_thread_that_joins_waits_for_the_end_of_a_stop() {
    explore(3, || {
        let meeting = Meeting::of(1);
        let stopped = Arc::new(AtomicBool::new(false));
        let (polling, pausing, now) = (meeting.clone(), meeting.clone(), stopped.clone());
        let threads = [
            meeting.spawn(0, move |_, seen| work_and_poll(&polling, seen)),
            thread::spawn(move || {
                let newcomer = Seen::joined(&pausing.rendezvous);
                assert!(!now.load(Relaxed), "joined in the pause");
                newcomer.work();
                pausing.rendezvous.leave(&newcomer.party, use_locals);
            }),
        ];
        let (all, _) = meeting.rendezvous.stop();
        stopped.store(true, Relaxed);
        // Or nobody else would have a turn in the pause.
        thread::yield_now();
        all.parties().iter().for_each(|party| use_locals(party));
        stopped.store(false, Relaxed);
        drop(all);
        all_end(threads);
    });
}
