//! How much free memory a heap keeps.
//!
//! Memory that was given back costs a fault and the clearing of a page when it is needed again, which is more than allocating the objects on it costs. A heap
//! that works swings between its live bytes and the most it used at the end of a cycle; giving back what is free at the low end would be paid
//! for at every swing. So what was needed lately is kept: the most that was in use at the end of a cycle, halved for every second since. A
//! heap that shrank gives its memory back within seconds, or at once when the embedder asks for a cycle, as it does when it knows that a phase is over.

use std::time::{Duration, Instant};

/// In this time half of what is not needed any more goes.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// What a heap needed lately.
pub struct Retention {
    bytes: f64,
    at: Instant,
}

impl Retention {
    /// Nothing needed yet.
    pub fn new(now: Instant) -> Retention {
        Retention { bytes: 0.0, at: now }
    }

    /// A cycle ended at `now` with `used` bytes in use before the sweep: how many bytes to keep. `forget`: whatever was needed before.
    pub fn keep(&mut self, used: u64, now: Instant, forget: bool) -> u64 {
        let halves = now.duration_since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let faded = if forget { 0.0 } else { self.bytes * 0.5f64.powf(halves) };
        self.bytes = faded.max(if forget { 0.0 } else { used as f64 });
        self.at = now;
        self.bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swing_keeps_its_high_end_and_a_heap_that_shrank_lets_go() {
        let start = Instant::now();
        let mut retention = Retention::new(start);
        assert_eq!(retention.keep(1000, start, false), 1000);
        assert_eq!(retention.keep(1100, start + HALF_LIFE / 10, false), 1100);
        assert_eq!(retention.keep(100, start + HALF_LIFE / 10 + HALF_LIFE, false), 550);
        assert_eq!(retention.keep(100, start + 20 * HALF_LIFE, false), 100);
    }

    #[test]
    fn an_explicit_cycle_forgets() {
        let start = Instant::now();
        let mut retention = Retention::new(start);
        retention.keep(1000, start, false);
        assert_eq!(retention.keep(500, start, true), 0);
    }
}
