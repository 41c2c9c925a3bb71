//! Holding writers back while a cycle does not converge.
//!
//! A round marks what mutators made reachable during the round before. If they make it as fast as it can be marked, the rounds do not get shorter, and what is
//! left over would have to be marked in the pause. So when a round finds no fewer written pages than the one before, mutators
//! rest: each at its safepoint after a handshake, and after every 256 KB it allocates. The rest doubles with each round that still does not
//! shrink, which divides the share of the time they run, until they are slower than the marker. One rest is what a
//! mutator can notice; it is never longer than a few milliseconds, and is counted as a stall.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_micros(250);
const LONGEST: Duration = Duration::from_millis(4);

/// How long a mutator rests; zero when all is well. A threshold that orders nothing else.
#[derive(Default)]
pub struct Rest(AtomicU64);

impl Rest {
    /// How long now.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// A round did not shrink: longer.
    pub fn lengthen(&self) {
        let longer = (self.get() * 2).clamp(FIRST, LONGEST);
        self.0.store(longer.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The rounds are over.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_a_bound_and_end() {
        let rest = Rest::default();
        assert!(rest.get().is_zero());
        rest.lengthen();
        rest.lengthen();
        assert_eq!(rest.get(), 2 * FIRST);
        (0..20).for_each(|_| rest.lengthen());
        assert_eq!(rest.get(), LONGEST);
        rest.end();
        assert!(rest.get().is_zero());
    }
}
