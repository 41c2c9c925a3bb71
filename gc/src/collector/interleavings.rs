//! Requests to the collector thread, in every interleaving with those who make them: each is answered by a cycle that
//! started late enough, and whoever waits is woken.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loom::thread::{self, JoinHandle};

use super::*;
use crate::primitive::explore;

/// A collector thread without a heap. The counts are not loom's, so that they order nothing.
#[derive(Default)]
struct Requests {
    control: Control,
    begun: AtomicU64,
    /// The last cycle that ended, and the last one with mutators stopped.
    ended: AtomicU64,
    ended_stopped: AtomicU64,
}

impl Requests {
    fn started() -> (Arc<Requests>, JoinHandle<()>) {
        let requests = Arc::new(Requests::default());
        let collector = requests.clone();
        (requests, thread::spawn(move || while collector.cycle() {}))
    }

    fn cycle(&self) -> bool {
        let Some(request) = self.control.next() else { return false };
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        self.ended.store(number, Relaxed);
        if request.stop_the_world {
            self.ended_stopped.store(number, Relaxed);
        }
        self.control.completed();
        true
    }

    /// As `Mutator::collect` and `Mutator::reclaim` ask.
    fn collect(&self, reason: Reason, stop_the_world: bool) {
        let begun = self.begun.load(Relaxed);
        self.control.request_and_wait(reason, stop_the_world);
        let ended = if stop_the_world { &self.ended_stopped } else { &self.ended };
        assert!(ended.load(Relaxed) > begun, "no cycle that began after the request has ended");
    }
}

#[test]
fn a_request_is_answered_by_a_cycle_that_starts_after_it() {
    explore(2, || {
        let (requests, collector) = Requests::started();
        let other = requests.clone();
        let thread = thread::spawn(move || other.collect(Reason::Explicit, false));
        requests.collect(Reason::OutOfMemory, true);
        thread.join().unwrap();
        requests.control.shut_down();
        collector.join().unwrap();
    });
}

#[test]
fn a_trigger_takes_nobodys_cycle_away() {
    explore(2, || {
        let (requests, collector) = Requests::started();
        let other = requests.clone();
        let thread = thread::spawn(move || {
            other.control.request(Reason::Trigger, false);
            other.control.request(Reason::LimitReached, true);
            other.control.wait_for_running();
        });
        requests.control.request(Reason::Zeal, false);
        requests.collect(Reason::Explicit, false);
        thread.join().unwrap();
        requests.control.shut_down();
        collector.join().unwrap();
    });
}

#[test]
fn a_cycle_that_somebody_waits_for_in_a_hurry_learns_of_it() {
    explore(3, || {
        let requests = Arc::new(Requests::default());
        let waiting = requests.clone();
        let thread = thread::spawn(move || {
            waiting.control.request(Reason::LimitReached, true);
            waiting.control.wait_for_running();
        });
        assert!(requests.control.next().is_some());
        while !requests.control.hurry.load(Ordering::Relaxed) {
            // A round.
            thread::yield_now();
        }
        requests.control.completed();
        thread.join().unwrap();
    });
}

#[test]
fn the_collector_thread_hears_of_the_end() {
    explore(3, || {
        let (requests, collector) = Requests::started();
        let other = requests.clone();
        let thread = thread::spawn(move || other.control.request(Reason::Trigger, false));
        requests.control.shut_down();
        thread.join().unwrap();
        collector.join().unwrap();
    });
}
