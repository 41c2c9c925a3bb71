//! What the moments tell at which steps ended, whoever ran them: a worker of ours, or a program in another language that wrote them to a file.
//!
//! One piece of code for both, so that a difference between two results is one between two programs. A worker keeps a log, since it need not keep all of its
//! steps ([`Log`]); a list of ends is replayed into such a log first.

use serde::Serialize;

use super::latency::Latency;
use super::mmu::{self, Point};
use super::quantiles::{Distribution, Quantiles, distribution, histogram};
use super::stalls::{Interval, Log, Total};

/// What one thread did in the measured part.
pub struct Thread<'a> {
    /// How long it took, in nanoseconds.
    pub elapsed: u64,
    /// Its steps.
    pub log: &'a Log,
    /// When it began, and the end of each step; empty unless steps are requests.
    pub times: &'a [u64],
}

/// What the steps of all threads tell.
#[derive(Serialize)]
pub struct Steps {
    /// How long they took.
    pub steps: Quantiles,
    /// The same as a distribution ([`distribution`]).
    pub distribution: Distribution,
    /// What long ones took beyond the median.
    pub seen: Total,
    /// The utilisation that these stalls left.
    pub mmu: Vec<Point>,
    /// Latencies, if they are requests.
    pub latency: Option<Latency>,
}

impl Steps {
    /// Of `threads`. `requests` says whether somebody waits for a step.
    pub fn of(threads: &[Thread<'_>], requests: bool) -> Steps {
        let mut all = histogram();
        for thread in threads {
            all.add(&thread.log.steps).expect("an auto-resizing histogram takes every value");
        }
        let seen: Vec<(u64, Vec<Interval>)> =
            threads.iter().map(|thread| (thread.elapsed, thread.log.seen())).collect();
        Steps {
            steps: Quantiles::of(&all),
            distribution: distribution(&all),
            seen: Total::of(seen.iter().flat_map(|(_, stalls)| stalls.iter().copied())),
            mmu: mmu::curve(seen.iter().map(|(length, stalls)| (*length, stalls.as_slice()))),
            latency: requests.then(|| Latency::of(threads.iter().map(|thread| thread.times))),
        }
    }

    /// Of one thread that began at the first of `times` and ended a step at each other, due every `interval` nanoseconds if that is so.
    pub fn of_times(times: &[u64], requests: bool, interval: Option<f64>) -> Steps {
        let elapsed = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
        Steps::of(&[Thread { elapsed, log: &Log::of_times(times, interval), times }], requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of 1 µs, of 10 µs and one of 3 ms.
    fn times() -> Vec<u64> {
        let lengths = std::iter::repeat_n(1000, 60).chain(std::iter::repeat_n(10_000, 40)).chain([3_000_000]);
        let mut times = vec![0];
        lengths.for_each(|length: u64| times.push(times[times.len() - 1] + length));
        times
    }

    #[test]
    fn a_list_of_ends_tells_what_the_log_of_a_worker_does() {
        let times = times();
        let mut log = Log::new();
        times.windows(2).for_each(|pair| log.step(pair[0], pair[1]));
        let elapsed = times[times.len() - 1];
        let worker = Steps::of(&[Thread { elapsed, log: &log, times: &times }], true);
        let list = Steps::of_times(&times, true, None);
        let json = |steps| serde_json::to_value(steps).expect("numbers");
        assert_eq!(json(worker), json(list));
    }

    #[test]
    fn every_step_is_in_the_bucket_of_its_length() {
        let told = Steps::of_times(&times(), false, None);
        assert_eq!(told.distribution.iter().map(|(_, count)| count).sum::<u64>(), 101);
        let counts: Vec<u64> = told.distribution.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [60, 40, 1], "{:?}", told.distribution);
        for ((upper, _), length) in told.distribution.iter().zip([0.001, 0.01, 3.0]) {
            assert!(*upper >= length && *upper < length * 1.3, "{upper} {length}");
        }
        assert_eq!((told.seen.count, told.latency.is_none()), (1, true));
    }

    #[test]
    fn waiting_until_a_step_is_due_is_no_part_of_it() {
        // Due at 0, 100 and 200 µs; the second is late, and so begins when the first is done.
        let told = Steps::of_times(&[0, 150_000, 160_000, 210_000], false, Some(100_000.0));
        assert_eq!((told.steps.count, told.steps.max_ms), (3, 0.15));
        assert!((told.steps.p50_ms - 0.01).abs() < 1e-4, "{}", told.steps.p50_ms);
    }

    #[test]
    fn a_program_without_steps_has_none() {
        let told = Steps::of_times(&[], true, None);
        assert_eq!((told.steps.count, told.distribution.len(), told.seen.count), (0, 0, 0));
    }
}
