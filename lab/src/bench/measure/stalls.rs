//! When a mutator did not run its program, as the mutator itself sees it.
//!
//! Two kinds of intervals, because no single one is honest:
//!
//! * **At safepoints.** Everything in which the collector makes a mutator wait happens at one: pauses, handshakes (it
//!   hands over its roots), rests while rounds do not converge, waits for memory. A worker reads the clock on both sides of
//!   each safepoint that has something to do. These intervals are the collector's and nobody else's: a lower bound.
//! * **Seen.** A worker's run is a sequence of steps of the same size. What a long step took beyond the run's median
//!   step is time that something took from the program: safepoints, but also write faults, sweeping and zeroing inside an
//!   allocation, cold caches after a pause, and the machine. An upper bound; the control thread says how much of it the machine
//!   had anyway. Excesses below [`SHORTEST`] are not intervals: they are throughput.
//!
//! Times are nanoseconds since the measured part began.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::quantiles::{histogram, milliseconds, record};

/// The shortest excess of a step that counts as a stall.
pub const SHORTEST: u64 = 50_000;

/// From, to.
pub type Interval = (u64, u64);

/// What one worker notes while it runs.
pub struct Log {
    /// Safepoints at which there was something to do.
    pub safepoints: Vec<Interval>,
    /// Those in which it had no memory, and waited for some.
    pub waits: Vec<Interval>,
    /// How long steps took, safepoint included.
    pub steps: Histogram<u64>,
    /// The steps that took longer than [`SHORTEST`].
    long: Vec<Interval>,
}

impl Log {
    /// Nothing yet.
    pub fn new() -> Log {
        Log { safepoints: Vec::new(), waits: Vec::new(), steps: histogram(), long: Vec::new() }
    }

    /// That of a thread which began at the first of `times` and ended a step at each other. Where steps are due every `interval` nanoseconds a step
    /// begins when it is due, if the one before it is done by then.
    pub fn of_times(times: &[u64], interval: Option<f64>) -> Log {
        let mut log = Log::new();
        for (index, pair) in times.windows(2).enumerate() {
            let due = interval.map_or(0, |interval| (index as f64 * interval) as u64);
            log.step(pair[0].max(due).min(pair[1]), pair[1]);
        }
        log
    }

    /// Notes a step.
    pub fn step(&mut self, from: u64, to: u64) {
        record(&mut self.steps, to - from);
        if to - from > SHORTEST {
            self.long.push((from, to));
        }
    }

    /// All waiting at safepoints, in order.
    pub fn waiting(&self) -> Vec<Interval> {
        let mut all = [self.safepoints.as_slice(), &self.waits].concat();
        all.sort_unstable();
        all
    }

    /// What long steps took beyond the median, placed at their ends.
    pub fn seen(&self) -> Vec<Interval> {
        let median = self.steps.value_at_quantile(0.5);
        let excess = self.long.iter().map(|(from, to)| ((from + median).min(*to), *to));
        excess.filter(|(from, to)| to - from >= SHORTEST).collect()
    }
}

/// Intervals of all workers, added up.
#[derive(Serialize)]
pub struct Total {
    /// How many.
    pub count: u64,
    /// All together, of all workers.
    pub total_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Total {
    /// Of all of `intervals`.
    pub fn of(intervals: impl IntoIterator<Item = Interval>) -> Total {
        let (mut count, mut total, mut max) = (0, 0, 0);
        for (from, to) in intervals {
            count += 1;
            total += to - from;
            max = max.max(to - from);
        }
        Total { count, total_ms: milliseconds(total), max_ms: milliseconds(max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_is_a_stall_of_what_it_took_beyond_the_median() {
        let mut log = Log::new();
        for i in 0..100 {
            log.step(i * 10_000, (i + 1) * 10_000);
        }
        log.step(1_000_000, 3_000_000);
        let seen = log.seen();
        assert_eq!(seen.len(), 1);
        let (from, to) = seen[0];
        assert_eq!(to, 3_000_000);
        // A histogram keeps three digits.
        assert!((1_010_000..1_010_050).contains(&from), "{from}");
        assert_eq!(Total::of(seen).count, 1);
    }

    #[test]
    fn steps_that_are_all_long_are_no_stalls() {
        let mut log = Log::new();
        for i in 0..100 {
            log.step(i * 1_000_000, (i + 1) * 1_000_000);
        }
        assert_eq!(log.seen(), []);
    }
}
