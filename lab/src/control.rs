//! The machine's own stalls: how late a thread that only sleeps is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

const NAP: Duration = Duration::from_millis(1);

/// A thread that sleeps a millisecond at a time and notes how late it wakes.
pub struct Control {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Histogram<u64>>,
}

/// Quantiles of what was measured, in milliseconds.
#[derive(Serialize)]
pub struct Stalls {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Stalls {
    pub fn of(histogram: &Histogram<u64>) -> Stalls {
        let ms = |nanoseconds: u64| (nanoseconds as f64 / 1e3).round() / 1e3;
        Stalls {
            count: histogram.len(),
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            p999_ms: ms(histogram.value_at_quantile(0.999)),
            max_ms: ms(histogram.max()),
        }
    }
}

/// A histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

impl Control {
    pub fn start() -> Control {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut late = histogram();
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                std::thread::sleep(NAP);
                late.record(start.elapsed().saturating_sub(NAP).as_nanos() as u64)
                    .expect("an auto-resizing histogram takes every value");
            }
            late
        });
        Control { stop, thread }
    }

    pub fn finish(self) -> Stalls {
        self.stop.store(true, Ordering::Relaxed);
        Stalls::of(&self.thread.join().expect("the control thread only sleeps"))
    }
}
