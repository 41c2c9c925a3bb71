//! Holding writers back while a cycle does not converge.
//!
//! A round traces again what mutators wrote during the round before, and while it does so they write. If they write as fast as pages can be traced again, the
//! rounds do not get shorter, and what is left over would have to be traced in the pause. So when a round finds no fewer written pages than the one
//! before, mutators run for half of the time from then on: in each millisecond for a part, and then they rest, at a safepoint. With each further round that does
//! not shrink the part is halved. What they write in a round is proportional to it, so the rounds shrink, if the program reaches a safepoint
//! several times in that part: one that polls every five milliseconds runs for those five. A share of the memory that is allocated would be no
//! measure, since a program may write a great deal and allocate little. A rest is what a mutator can notice; it is about a millisecond at most, and is
//! counted as a stall.
//!
//! A round finds what was written during the round before, so each share is judged one round too early, and may end up one step too small. That
//! is meant: shorter rounds cost fewer faults. Only giving up waits for what the smallest share does: if that does not help, the rounds are
//! over, since what another would find the pause would find again. There is a smallest because a thread that sleeps wakes a twentieth of a
//! millisecond late.
//!
//! Metronome (Bacon, Cheng and Rajan, POPL 2003) divides time between collector and mutator like this; there the share is a promise to the program, here
//! it follows the program.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// In each period a mutator runs, and then rests.
const PERIOD: Duration = Duration::from_millis(1);
/// It runs for at least 1/16 of it.
const MOST_HALVINGS: u32 = 4;

/// Which part of the time mutators run: all of it, when all is well. A number that orders nothing else.
#[derive(Default)]
pub struct Throttle {
    halvings: AtomicU32,
}

/// What a mutator does in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// For so long it runs.
    pub run: Duration,
    /// And then it rests.
    pub rest: Duration,
}

impl Throttle {
    /// The share now; `None` if mutators run all the time.
    pub fn share(&self) -> Option<Share> {
        let halvings = self.halvings.load(Ordering::Relaxed);
        let run = PERIOD / (1 << halvings);
        (halvings > 0).then(|| Share { run, rest: PERIOD - run })
    }

    /// A round did not shrink: half of the share. False if it is as small as it gets.
    pub fn tighten(&self) -> bool {
        let halvings = self.halvings.load(Ordering::Relaxed);
        self.halvings.store((halvings + 1).min(MOST_HALVINGS), Ordering::Relaxed);
        halvings < MOST_HALVINGS
    }

    /// The rounds are over.
    pub fn end(&self) {
        self.halvings.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_halves_down_to_a_bound_and_ends() {
        let throttle = Throttle::default();
        assert_eq!(throttle.share(), None);
        assert!(throttle.tighten());
        assert_eq!(throttle.share(), Some(Share { run: PERIOD / 2, rest: PERIOD / 2 }));
        assert_eq!((0..20).filter(|_| throttle.tighten()).count(), 3);
        assert_eq!(throttle.share(), Some(Share { run: PERIOD / 16, rest: PERIOD / 16 * 15 }));
        throttle.end();
        assert_eq!(throttle.share(), None);
    }
}
