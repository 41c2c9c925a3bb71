//! How long each figure is measured: short, for there are many, and enough for a median.

use std::time::Duration;

use criterion::Criterion;

/// For every bench.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
}
