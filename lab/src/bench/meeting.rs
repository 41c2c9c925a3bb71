//! Where the threads of a run wait for each other, with a way out when one of them fails.
//!
//! A barrier of the standard library would leave the others waiting for ever for a thread that has given up.

use std::sync::{Condvar, Mutex, PoisonError};

/// Somebody gave up; the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp;

#[derive(Default)]
struct State {
    arrived: usize,
    meetings: u64,
    given_up: bool,
}

/// A place for a fixed number of threads to meet, again and again.
pub struct Meeting {
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Meeting {
    /// For `threads` threads.
    pub fn new(threads: usize) -> Meeting {
        Meeting { threads, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until all are here. A mutator calls this away from its heap, or no cycle ends meanwhile.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] if somebody will not come.
    pub fn meet(&self) -> Result<(), GivenUp> {
        // Nothing that runs under this lock panics.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.given_up {
            return Err(GivenUp);
        }
        state.arrived += 1;
        let this = state.meetings;
        if state.arrived == self.threads {
            state.arrived = 0;
            state.meetings += 1;
            self.changed.notify_all();
        }
        while state.meetings == this && !state.given_up {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.meetings == this { Err(GivenUp) } else { Ok(()) }
    }

    /// Lets go everybody who waits or will.
    pub fn give_up(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).given_up = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_meet_as_often_as_they_like() {
        let meeting = Meeting::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..100).for_each(|_| assert_eq!(meeting.meet(), Ok(()))));
            }
        });
    }

    #[test]
    fn nobody_waits_for_one_who_gave_up() {
        let meeting = Meeting::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| meeting.meet());
            meeting.give_up();
            assert_eq!(waiting.join().expect("it returns"), Err(GivenUp));
        });
        assert_eq!(meeting.meet(), Err(GivenUp));
    }
}
