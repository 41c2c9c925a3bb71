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
//! Smooth over the whole run means a client of constant rate; a sliding mean of begins over 100 ms means one whose rate follows the
//! program's, with a memory of 100 ms. Over the whole run a workload that is slower at the end than at the beginning
//! accumulates delay with no stall at all; the window is the better figure then. Both are printed.
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
        let (mut simple, mut windowed, mut full) = (histogram(), histogram(), histogram());
        for times in workers {
            let begins = &times[..times.len().saturating_sub(1)];
            let evenly = evenly(times);
            let sliding = sliding(begins, WINDOW);
            for (index, begin) in begins.iter().enumerate() {
                let end = times[index + 1];
                record(&mut simple, end - begin);
                record(&mut windowed, end - sliding[index].min(*begin));
                record(&mut full, end - evenly(index).min(*begin));
            }
        }
        Latency {
            simple: Quantiles::of(&simple),
            metered_100_ms: Quantiles::of(&windowed),
            metered_full: Quantiles::of(&full),
        }
    }
}

/// Where each request would have begun had they come evenly from the first begin to the last end.
fn evenly(times: &[u64]) -> impl Fn(usize) -> u64 {
    let first = times.first().copied().unwrap_or(0);
    let length = times.last().copied().unwrap_or(0) - first;
    let count = times.len().saturating_sub(1).max(1) as u128;
    move |index| first + (u128::from(length) * index as u128 / count) as u64
}

/// For each begin, the mean of the begins around it that are at most half of `window` away in *requests*: as many
/// before as after, as many as the mean rate puts into the window.
fn sliding(begins: &[u64], window: u64) -> Vec<u64> {
    let length = begins.last().copied().unwrap_or(0) - begins.first().copied().unwrap_or(0);
    let count = begins.len() as u128;
    let half = if length == 0 { 0 } else { (count * u128::from(window) / u128::from(length) / 2) as usize };
    let mut sums = Vec::with_capacity(begins.len() + 1);
    sums.push(0u128);
    for begin in begins {
        sums.push(sums[sums.len() - 1] + u128::from(*begin));
    }
    let mean = |index: usize| {
        // The same number on both sides, or the mean would be pulled to the middle near the ends.
        let half = half.min(index).min(begins.len() - 1 - index);
        ((sums[index + half + 1] - sums[index - half]) / (2 * half as u128 + 1)) as u64
    };
    (0..begins.len()).map(mean).collect()
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
    fn no_request_is_fine_too() {
        assert_eq!(Latency::of([[].as_slice(), &[5]].into_iter()).simple.count, 0);
    }
}
