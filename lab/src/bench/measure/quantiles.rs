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
