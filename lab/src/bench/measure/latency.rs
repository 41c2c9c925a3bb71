//! What clients would have seen: simple and metered latency, as DaCapo has them (Blackburn and others, 2025).
//!
//! A workload that begins one request when the last has ended hides its own stalls: while it stands still no request
//! arrives, so a pause of 100 ms is one slow request, where a server would have had a hundred waiting (coordinated
//! omission). *Metered* latency gives each request the moment at which it would have arrived had arrivals been
//! smooth, and counts from there if that is earlier than its real beginning:
//!
//! ```text
//! latency = end − min(begin, smooth begin)
//! ```
//!
//! The kernel is DaCapo's: the requests of all threads in the order of their begins; around each a window of requests, cut off at both ends
//! of the run; and within the window smooth begins lie at equal distances between its first begin and its last end. Two windows are printed. One is the whole
//! run: a client of constant rate. The other has as many requests as come in 100 ms in the mean: a client whose rate follows the
//! program's. Over the whole run a workload that is slower at the end than at the beginning accumulates delay with no stall at all; the
//! window is the better figure then.
//!
//! One choice is ours. DaCapo has two kinds of windows, a number of requests and a stretch of time, and prints the second. In that one a stall longer than
//! half a window leaves the window of the requests behind it empty on that side, so that those begin, smoothed, when they did begin, and nobody waited.
//! A number of requests reaches over the stall however long it is.
//!
//! A worker's requests follow one another without a gap: each begins where the last ended, so the ends are all that is
//! kept.

use serde::Serialize;

use super::quantiles::{Quantiles, histogram, record};

/// The window over which begins are smoothed, in nanoseconds.
const WINDOW: u64 = 100_000_000;

/// Latencies of the requests of all workers.
#[derive(Serialize)]
pub struct Latency {
    /// From begin to end.
    pub simple: Quantiles,
    /// From the begin smoothed over a window of 100 ms.
    pub metered_100_ms: Quantiles,
    /// From the begin smoothed over the whole run.
    pub metered_full: Quantiles,
}

impl Latency {
    /// Of workers, each of which began at its first number and ended a request at each other.
    pub fn of<'a>(workers: impl Iterator<Item = &'a [u64]>) -> Latency {
        let mut requests = Vec::new();
        for times in workers {
            requests.extend(times.windows(2).map(|pair| (pair[0], pair[1])));
        }
        requests.sort_unstable();
        let windowed = Smooth::over(&requests, WINDOW);
        let full = Smooth::over(&requests, u64::MAX);
        let quantiles = |latency: &dyn Fn(usize, u64, u64) -> u64| {
            let mut latencies = histogram();
            for (index, (begin, end)) in requests.iter().enumerate() {
                record(&mut latencies, latency(index, *begin, *end));
            }
            Quantiles::of(&latencies)
        };
        Latency {
            simple: quantiles(&|_, begin, end| end - begin),
            metered_100_ms: quantiles(&|index, begin, end| end.saturating_sub(windowed.begin(index).min(begin))),
            metered_full: quantiles(&|index, begin, end| end.saturating_sub(full.begin(index).min(begin))),
        }
    }
}

/// Begins as they would be had requests come smoothly.
struct Smooth<'a> {
    /// Begin and end of each, in order.
    requests: &'a [(u64, u64)],
    /// Requests on each side of one that its window has.
    half: usize,
}

impl Smooth<'_> {
    /// With windows of as many requests as come in `window` nanoseconds in the mean.
    fn over(requests: &[(u64, u64)], window: u64) -> Smooth<'_> {
        let length = match (requests.first(), requests.last()) {
            (Some((begin, _)), Some((_, end))) => (end - begin).max(1),
            _ => 1,
        };
        let events = requests.len() as u128 * u128::from(window) / u128::from(length);
        Smooth { requests, half: (events / 2).min(requests.len() as u128) as usize }
    }

    fn begin(&self, index: usize) -> u64 {
        let from = index.saturating_sub(self.half);
        let last = (index + self.half).min(self.requests.len() - 1);
        let begin = self.requests[from].0;
        let length = u128::from(self.requests[last].1 - begin);
        begin + (length * (index - from) as u128 / (last - from + 1) as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A request every millisecond, and in the middle one that takes 50 ms.
    fn stalled() -> Vec<u64> {
        (0..=1000).map(|i| i * MS + if i > 500 { 50 * MS } else { 0 }).collect()
    }

    #[test]
    fn requests_that_come_evenly_have_the_latency_they_have() {
        let times: Vec<u64> = (0..=1000).map(|i| i * MS).collect();
        let latency = Latency::of(std::iter::once(times.as_slice()));
        for quantiles in [latency.simple, latency.metered_100_ms, latency.metered_full] {
            assert_eq!(quantiles.count, 1000);
            assert!((quantiles.max_ms - 1.0).abs() < 0.01, "{}", quantiles.max_ms);
        }
    }

    #[test]
    fn those_that_wait_behind_a_slow_one_are_seen_only_when_metered() {
        let latency = Latency::of(std::iter::once(stalled().as_slice()));
        assert!((latency.simple.p99_ms - 1.0).abs() < 0.01, "one in a thousand was slow: {}", latency.simple.p99_ms);
        assert!((latency.simple.max_ms - 51.0).abs() < 0.1);
        assert!(latency.metered_100_ms.p99_ms > 15.0, "{}", latency.metered_100_ms.p99_ms);
        assert!(latency.metered_full.p99_ms > 15.0, "{}", latency.metered_full.p99_ms);
        assert!(latency.metered_full.max_ms >= latency.simple.max_ms);
    }

    #[test]
    fn a_stall_longer_than_the_window_is_seen_by_those_behind_it() {
        let times: Vec<u64> = (0..=1000).map(|i| i * MS + if i > 500 { 400 * MS } else { 0 }).collect();
        let latency = Latency::of(std::iter::once(times.as_slice()));
        assert!(latency.metered_100_ms.p99_ms > 100.0, "{}", latency.metered_100_ms.p99_ms);
    }

    #[test]
    fn threads_are_smoothed_together() {
        // One thread has a request every millisecond and the other one of 100 ms now and then: alone, each is smooth.
        let fast: Vec<u64> = (0..=1000).map(|i| i * MS).collect();
        let slow: Vec<u64> = (0..=10).map(|i| i * 100 * MS).collect();
        let alone = Latency::of(std::iter::once(slow.as_slice()));
        assert!((alone.metered_full.max_ms - 100.0).abs() < 0.2, "{}", alone.metered_full.max_ms);
        let both = Latency::of([fast.as_slice(), &slow].into_iter());
        assert_eq!(both.metered_full.count, 1010);
        assert!(both.metered_full.p50_ms < 12.0, "{}", both.metered_full.p50_ms);
        assert!(both.metered_full.max_ms >= 100.0, "{}", both.metered_full.max_ms);
    }

    #[test]
    fn no_request_is_fine_too() {
        assert_eq!(Latency::of([[].as_slice(), &[5]].into_iter()).simple.count, 0);
    }
}
