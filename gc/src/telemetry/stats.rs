//! Everything a heap's cycles did, added up.
//!
//! Times to stop and pauses go into histograms of logarithmic buckets that keep three significant digits (Tene's HDR
//! histogram), because a mean says nothing about a pause and keeping every value would grow with the program. Their
//! maxima are kept beside them exactly: a bucket's upper end is up to 0.1 % above what was measured.
//!
//! One mutex guards it all. It is taken by the thread that runs cycles, once a cycle; by a mutator that has just
//! stalled, which has lost far more than a lock already; and by whoever asks for a [`Summary`]. No allocation,
//! safepoint or write fault touches it. What mutators allocate is therefore not counted here: the heap has that
//! number from the allocation runs it hands out and tells it through [`Stats::record_heap`].

use std::time::Duration;

use crate::primitive::meeting::Mutex;
use hdrhistogram::Histogram;

use super::events::{CycleKind, StallCause};
use super::report::CycleReport;
use super::summary::{Distribution, Summary, milliseconds};
use crate::barrier::Mechanism;
use crate::memory::Backing;

/// Durations above this are counted as this (an hour), which bounds the histograms' memory.
const LONGEST: Duration = Duration::from_secs(3600);

/// The running totals of one heap. See the module documentation for who may call it.
#[derive(Debug)]
pub struct Stats {
    name: String,
    mechanism: Mechanism,
    backing: Backing,
    totals: Mutex<Totals>,
}

#[derive(Debug)]
struct Totals {
    pauses: Times,
    times_to_stop: Times,
    cycles: u64,
    cycles_stw: u64,
    cycles_sticky: u64,
    cycles_blind: u64,
    cycle_time: Duration,
    allocated_bytes: u64,
    peak_heap_bytes: u64,
    live_bytes_last: u64,
    objects_marked: u64,
    pages_armed: u64,
    pages_dirty: u64,
    pages_residual: u64,
    faults: Option<u64>,
    stall: Duration,
    stall_max: Duration,
    stalls: [u64; 2],
    verify_failures: u64,
}

impl Stats {
    /// Statistics of a heap that has done nothing yet.
    pub fn new(name: &str, mechanism: Mechanism, backing: Backing) -> Self {
        let totals = Totals {
            pauses: Times::new(),
            times_to_stop: Times::new(),
            cycles: 0,
            cycles_stw: 0,
            cycles_sticky: 0,
            cycles_blind: 0,
            cycle_time: Duration::ZERO,
            allocated_bytes: 0,
            peak_heap_bytes: 0,
            live_bytes_last: 0,
            objects_marked: 0,
            pages_armed: 0,
            pages_dirty: 0,
            pages_residual: 0,
            faults: None,
            stall: Duration::ZERO,
            stall_max: Duration::ZERO,
            stalls: [0; 2],
            verify_failures: 0,
        };
        Self { name: name.to_string(), mechanism, backing, totals: Mutex::new(totals) }
    }

    /// Keeps everybody from reading and writing until the lock is dropped.
    pub(crate) fn lock(&self) -> impl Sized + '_ {
        self.totals.lock()
    }

    /// Adds a cycle that has ended. Its `mutator_stall` is not added: each of those stalls is recorded on its own.
    pub fn record_cycle(&self, report: &CycleReport) {
        let mut totals = self.totals.lock();
        totals.pauses.record(report.phases.pause);
        totals.times_to_stop.record(report.phases.time_to_stop);
        totals.cycles += 1;
        totals.cycles_stw += u64::from(report.kind == CycleKind::StopTheWorld);
        totals.cycles_sticky += u64::from(report.kind == CycleKind::Sticky);
        totals.cycles_blind += u64::from(report.blind);
        totals.cycle_time += report.phases.total();
        totals.peak_heap_bytes = totals.peak_heap_bytes.max(report.heap_before).max(report.heap_after);
        totals.live_bytes_last = report.live_bytes;
        totals.objects_marked += report.objects_marked;
        totals.pages_armed += report.pages_armed;
        totals.pages_dirty += report.pages_dirty;
        totals.pages_residual += report.pages_residual;
        if let Some(faults) = report.faults {
            totals.faults = Some(totals.faults.unwrap_or(0) + faults);
        }
        totals.verify_failures += report.verify_failures;
    }

    /// Adds one stall of one mutator.
    pub fn record_stall(&self, duration: Duration, cause: StallCause) {
        let mut totals = self.totals.lock();
        totals.stall = totals.stall.saturating_add(duration);
        totals.stall_max = totals.stall_max.max(duration);
        totals.stalls[cause as usize] += 1;
    }

    /// Tells how many bytes were allocated since the heap was created, and how many bytes of it are in use. Neither
    /// the first nor the peak of the second ever goes back.
    pub fn record_heap(&self, allocated_bytes: u64, heap_bytes: u64) {
        let mut totals = self.totals.lock();
        totals.allocated_bytes = totals.allocated_bytes.max(allocated_bytes);
        totals.peak_heap_bytes = totals.peak_heap_bytes.max(heap_bytes);
    }

    /// All stalls recorded so far, added up: a cycle's `mutator_stall` is the difference of two of these.
    pub fn total_stall(&self) -> Duration {
        self.totals.lock().stall
    }

    /// The totals as they are now.
    pub fn snapshot(&self) -> Summary {
        let totals = self.totals.lock();
        Summary {
            name: self.name.clone(),
            mechanism: self.mechanism.name().to_string(),
            backing: self.backing.name().to_string(),
            cycles: totals.cycles,
            cycles_stw: totals.cycles_stw,
            cycles_sticky: totals.cycles_sticky,
            cycles_blind: totals.cycles_blind,
            pause_us: totals.pauses.distribution(),
            time_to_stop_us: totals.times_to_stop.distribution(),
            total_pause_ms: milliseconds(totals.pauses.total),
            total_cycle_ms: milliseconds(totals.cycle_time),
            allocated_bytes: totals.allocated_bytes,
            peak_heap_bytes: totals.peak_heap_bytes,
            live_bytes_last: totals.live_bytes_last,
            objects_marked: totals.objects_marked,
            pages_armed: totals.pages_armed,
            pages_dirty: totals.pages_dirty,
            pages_residual: totals.pages_residual,
            faults: totals.faults,
            mutator_stall_ms: milliseconds(totals.stall),
            mutator_stall_max_ms: milliseconds(totals.stall_max),
            stalls_allocation: totals.stalls[StallCause::Allocation as usize],
            stalls_throttle: totals.stalls[StallCause::Throttle as usize],
            verify_failures: totals.verify_failures,
        }
    }
}

/// The distribution of a duration, in nanoseconds.
#[derive(Debug)]
struct Times {
    histogram: Histogram<u64>,
    max: Duration,
    total: Duration,
}

impl Times {
    fn new() -> Self {
        // Three digits are within what the histogram supports, so that this cannot fail; it resizes itself.
        let histogram = Histogram::new(3).expect("0 to 5 significant digits are supported");
        Self { histogram, max: Duration::ZERO, total: Duration::ZERO }
    }

    fn record(&mut self, duration: Duration) {
        let clamped = u64::try_from(duration.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        // It can only fail to resize, and an hour fits.
        let recorded = self.histogram.record(clamped);
        debug_assert!(recorded.is_ok(), "{recorded:?}");
        self.max = self.max.max(duration);
        self.total = self.total.saturating_add(duration);
    }

    fn distribution(&self) -> Distribution {
        let quantile = |q| Duration::from_nanos(self.histogram.value_at_quantile(q)).min(self.max);
        Distribution::new(self.histogram.len(), quantile(0.50), quantile(0.99), self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::report::Phases;

    fn stats() -> Stats {
        Stats::new("heap", Mechanism::Async, Backing::Anon)
    }

    fn cycle(pause: Duration) -> CycleReport {
        CycleReport {
            heap_before: 100,
            heap_after: 60,
            live_bytes: 50,
            phases: Phases { pause, time_to_stop: pause / 10, mark: Duration::from_millis(1), ..Phases::default() },
            pages_armed: 10,
            pages_dirty: 4,
            pages_residual: 1,
            objects_marked: 7,
            ..CycleReport::default()
        }
    }

    #[test]
    fn a_heap_that_did_nothing_reports_zeros() {
        let summary = stats().snapshot();
        assert_eq!((summary.cycles, summary.pause_us.count), (0, 0));
        assert_eq!((summary.pause_us.p50, summary.pause_us.p99, summary.pause_us.max), (0.0, 0.0, 0.0));
        assert_eq!(summary.faults, None);
        assert_eq!((summary.mechanism.as_str(), summary.backing.as_str()), ("async", "anon"));
    }

    #[test]
    fn cycles_add_up() {
        let stats = stats();
        stats.record_cycle(&cycle(Duration::from_micros(100)));
        let second = CycleReport {
            kind: CycleKind::StopTheWorld,
            blind: true,
            heap_before: 90,
            heap_after: 400,
            live_bytes: 30,
            faults: Some(5),
            verify_failures: 2,
            mutator_stall: Duration::from_secs(1),
            ..cycle(Duration::from_micros(300))
        };
        stats.record_cycle(&second);
        stats.record_cycle(&CycleReport { faults: Some(6), ..cycle(Duration::from_micros(200)) });
        let summary = stats.snapshot();
        assert_eq!((summary.cycles, summary.cycles_stw, summary.cycles_blind), (3, 1, 1));
        assert_eq!(summary.pause_us.count, 3);
        assert_eq!((summary.total_pause_ms, summary.total_cycle_ms), (0.6, 3.66));
        assert_eq!((summary.peak_heap_bytes, summary.live_bytes_last), (400, 50));
        assert_eq!((summary.pages_armed, summary.pages_dirty, summary.pages_residual), (30, 12, 3));
        assert_eq!((summary.objects_marked, summary.faults, summary.verify_failures), (21, Some(11), 2));
        assert_eq!(summary.mutator_stall_ms, 0.0, "a stall is counted where it is recorded, once");
    }

    #[test]
    fn quantiles_keep_three_digits_and_the_maximum_is_exact() {
        let stats = stats();
        for micros in 1..=1000 {
            stats.record_cycle(&cycle(Duration::from_micros(micros)));
        }
        let worst = Duration::from_nanos(123_456_789);
        stats.record_cycle(&cycle(worst));
        let pauses = stats.snapshot().pause_us;
        assert_eq!(pauses.count, 1001);
        assert!((pauses.p50 - 501.0).abs() < 1.0, "{pauses:?}");
        assert!((pauses.p99 - 991.0).abs() < 2.0, "{pauses:?}");
        assert_eq!(pauses.max, 123_456.8);
        let stops = stats.snapshot().time_to_stop_us;
        assert!((stops.p99 - 99.1).abs() < 0.2 && stops.max == 12_345.7, "{stops:?}");
    }

    #[test]
    fn no_quantile_is_above_the_maximum_and_no_duration_is_too_long() {
        let stats = stats();
        stats.record_cycle(&cycle(Duration::from_nanos(1_000_001)));
        let pauses = stats.snapshot().pause_us;
        assert!(pauses.p50 <= pauses.max && pauses.p99 <= pauses.max, "{pauses:?}");
        stats.record_cycle(&cycle(Duration::from_secs(u64::MAX / 2)));
        assert_eq!(stats.snapshot().pause_us.count, 2);
    }

    #[test]
    fn stalls_are_added_and_told_apart() {
        let stats = stats();
        stats.record_stall(Duration::from_millis(2), StallCause::Allocation);
        stats.record_stall(Duration::from_micros(500), StallCause::Throttle);
        stats.record_stall(Duration::from_micros(500), StallCause::Throttle);
        assert_eq!(stats.total_stall(), Duration::from_millis(3));
        stats.record_stall(Duration::from_millis(1), StallCause::Throttle);
        let summary = stats.snapshot();
        assert_eq!((summary.mutator_stall_ms, summary.mutator_stall_max_ms), (4.0, 2.0));
        assert_eq!((summary.stalls_allocation, summary.stalls_throttle), (1, 3));
    }

    #[test]
    fn what_the_heap_tells_never_goes_back() {
        let stats = stats();
        stats.record_heap(1000, 500);
        stats.record_heap(900, 100);
        let summary = stats.snapshot();
        assert_eq!((summary.allocated_bytes, summary.peak_heap_bytes), (1000, 500));
    }

    #[test]
    fn threads_may_record_at_once() {
        let stats = stats();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        stats.record_cycle(&cycle(Duration::from_micros(10)));
                        stats.record_stall(Duration::from_micros(1), StallCause::Allocation);
                    }
                });
            }
        });
        let summary = stats.snapshot();
        assert_eq!((summary.cycles, summary.stalls_allocation), (1000, 1000));
    }
}
