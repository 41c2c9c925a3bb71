//! Distributions of durations, and the few numbers of one that are printed.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Quantiles of what was measured, in milliseconds.
#[derive(Serialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// One in a hundred is longer.
    pub p99_ms: f64,
    /// One in a thousand is longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Quantiles {
        Quantiles {
            count: histogram.len(),
            p50_ms: milliseconds(histogram.value_at_quantile(0.5)),
            p99_ms: milliseconds(histogram.value_at_quantile(0.99)),
            p999_ms: milliseconds(histogram.value_at_quantile(0.999)),
            max_ms: milliseconds(histogram.max()),
        }
    }
}

/// Upper ends of buckets in milliseconds, from the shortest to the longest, and how many durations are in each.
pub type Distribution = Vec<(f64, u64)>;

/// How many durations of a histogram of nanoseconds were at most so many milliseconds long, and longer than the bucket below allows. There are ten buckets in a decade, and only those
/// that have any are listed, so a list has a hundred at most.
pub fn distribution(histogram: &Histogram<u64>) -> Distribution {
    let mut buckets: Vec<(u64, u64)> = Vec::new();
    for value in histogram.iter_recorded() {
        let nanoseconds = value.value_iterated_to();
        let bucket = (nanoseconds.max(1) as f64).log10() * 10.0;
        let upper = 10f64.powf(bucket.ceil() / 10.0).ceil() as u64;
        match buckets.last_mut() {
            Some((last, count)) if *last >= upper => *count += value.count_at_value(),
            _ => buckets.push((upper, value.count_at_value())),
        }
    }
    buckets.into_iter().map(|(upper, count)| (nanoseconds_as_ms(upper), count)).collect()
}

/// Milliseconds to the nanosecond: steps can be shorter than a microsecond.
fn nanoseconds_as_ms(nanoseconds: u64) -> f64 {
    if nanoseconds < 1_000_000 { nanoseconds as f64 / 1e6 } else { milliseconds(nanoseconds) }
}

/// An empty histogram of nanoseconds; it keeps three digits and takes every value.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

/// Adds a duration.
pub fn record(histogram: &mut Histogram<u64>, nanoseconds: u64) {
    histogram.record(nanoseconds).expect("an auto-resizing histogram takes every value");
}

/// Milliseconds, to the microsecond.
pub fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1e3).round() / 1e3
}
