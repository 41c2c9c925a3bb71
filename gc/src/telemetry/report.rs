//! What a cycle leaves behind: plain data, and the one line that `log=gc` prints for it.
//!
//! ```text
//! pagemark[heap] gc 12 concurrent (trigger) 268.4M->121.0M live 118.2M in 93.1 ms: handshake 0.05 arm 1.20
//!     mark 88.00 rounds 3.10 (2) stop 0.06 pause 0.71 ms; pages armed 31022 dirty 812 residual 12; faults 812;
//!     stall 0.00 ms
//! ```
//!
//! (One line; folded here.) The fields are always there and always in this order, so that a line can be read by a
//! script. What is not known is `-`. Only at the very end something may be added, and only when there is something to
//! say: how many pages had stayed armed since the cycle before and how many of those were written, the time spent waiting
//! for the sweep of the cycle before, that the cycle was blind (a scan failed, and every page was rescanned in the
//! pause), and the failures of verification. Sizes are powers of 1024
//! as in the configuration: `1.0M` is 1,048,576 bytes. Times are milliseconds of wall time on the thread that runs
//! the cycle.
//!
//! Of the pages, *dirty* are those the rounds rescanned while mutators ran, and *residual* those left for the pause:
//! the number on which the pause depends.

use std::sync::Arc;
use std::time::Duration;

use super::events::{CycleKind, Reason};

/// What one cycle did, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CycleReport {
    /// What the heap is called.
    pub heap_name: Arc<str>,
    /// The cycle's number; a heap's first cycle is 1.
    pub number: u64,
    /// Whether mutators ran while it marked.
    pub kind: CycleKind,
    /// Why it was started.
    pub reason: Reason,
    /// Bytes of the heap in use when it started.
    pub heap_before: u64,
    /// Bytes of the heap in use when it ended, what it found dead not counted although it is swept later.
    pub heap_after: u64,
    /// Bytes of the objects that carry the mark at its end; in a sticky cycle also those marked before, of which some may be dead.
    pub live_bytes: u64,
    /// Where the time went.
    pub phases: Phases,
    /// Concurrent rounds.
    pub rounds: u32,
    /// OS pages armed before marking began.
    pub pages_armed: u64,
    /// OS pages reported as written and rescanned in the concurrent rounds, a page once for each round.
    pub pages_dirty: u64,
    /// OS pages reported as written and rescanned in the pause.
    pub pages_residual: u64,
    /// What the first scan found of the pages that stayed armed since the cycle before. `None` if none did, or if it failed, or there was none.
    pub watched: Option<Watched>,
    /// Write faults mutators took during the cycle; `None` where the kernel resolves them and nobody counts.
    pub faults: Option<u64>,
    /// Objects marked by this cycle.
    pub objects_marked: u64,
    /// Bytes of those that were made since the cycle before.
    pub young_bytes: u64,
    /// Bytes mutators allocated while the cycle ran.
    pub allocated_during: u64,
    /// How long mutators stalled while the cycle ran, added up over all of them; pauses are not stalls.
    pub mutator_stall: Duration,
    /// The barrier could not say what was written, so every page was rescanned in the pause.
    pub blind: bool,
    /// Reachable objects that verification found unmarked.
    pub verify_failures: u64,
}

/// Pages that stayed armed from one cycle to the next, and in which no mutator got room to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// How many there were.
    pub armed: u64,
    /// How many of them were written, each at the price of a fault.
    pub written: u64,
}

/// Where the wall time of a cycle went; the phases do not overlap.
///
/// A stop-the-world cycle marks inside its pause: only `sweep_wait`, `time_to_stop` and `pause` are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Waiting until the sweep of the cycle before was over.
    pub sweep_wait: Duration,
    /// Waiting for every mutator to retire its allocation run and hand over its roots.
    pub handshake: Duration,
    /// Arming the pages that hold objects.
    pub arm: Duration,
    /// Marking from the roots while mutators run.
    pub mark: Duration,
    /// All concurrent rounds.
    pub rounds: Duration,
    /// From asking mutators to stop until the last of them had.
    pub time_to_stop: Duration,
    /// From then until they were let go.
    pub pause: Duration,
}

impl Phases {
    /// The sum of all phases.
    pub fn total(&self) -> Duration {
        self.sweep_wait + self.handshake + self.arm + self.mark + self.rounds + self.time_to_stop + self.pause
    }
}

impl CycleReport {
    /// One line for a log, without a newline. The module documentation says how to read it.
    pub fn log_line(&self) -> String {
        let phases = &self.phases;
        let mut line = format!(
            "pagemark[{}] gc {} {} ({}) {}->{} live {} in {:.1} ms: handshake {:.2} arm {:.2} mark {:.2} \
             rounds {:.2} ({}) stop {:.2} pause {:.2} ms; pages armed {} dirty {} residual {}; faults {}; stall {:.2} ms",
            self.heap_name,
            self.number,
            self.kind,
            self.reason,
            size(self.heap_before),
            size(self.heap_after),
            size(self.live_bytes),
            ms(phases.total()),
            ms(phases.handshake),
            ms(phases.arm),
            ms(phases.mark),
            ms(phases.rounds),
            self.rounds,
            ms(phases.time_to_stop),
            ms(phases.pause),
            self.pages_armed,
            self.pages_dirty,
            self.pages_residual,
            self.faults.map_or_else(|| "-".to_string(), |faults| faults.to_string()),
            ms(self.mutator_stall),
        );
        if let Some(Watched { armed, written }) = self.watched {
            line += &format!("; stayed armed {armed} written {written}");
        }
        if phases.sweep_wait > Duration::from_micros(5) {
            line += &format!("; sweep wait {:.2} ms", ms(phases.sweep_wait));
        }
        if self.blind {
            line += "; BLIND";
        }
        if self.verify_failures > 0 {
            line += &format!("; VERIFY FAILURES {}", self.verify_failures);
        }
        line
    }
}

/// Milliseconds.
fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Bytes with one decimal. Gigabytes start at ten of them, so that a change of a few megabytes stays visible below.
fn size(bytes: u64) -> String {
    let (unit, suffix) = match bytes {
        0..=0x3ff => return format!("{bytes}B"),
        0x400..=0xf_ffff => (1_u64 << 10, "K"),
        0x10_0000..=0x2_7fff_ffff => (1 << 20, "M"),
        _ => (1 << 30, "G"),
    };
    format!("{:.1}{suffix}", bytes as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CycleReport {
        CycleReport {
            heap_name: "heap".into(),
            number: 12,
            kind: CycleKind::Concurrent,
            reason: Reason::Trigger,
            heap_before: 281_437_798,
            heap_after: 121 << 20,
            live_bytes: 123_941_683,
            phases: Phases {
                sweep_wait: Duration::ZERO,
                handshake: Duration::from_micros(50),
                arm: Duration::from_micros(1200),
                mark: Duration::from_millis(88),
                rounds: Duration::from_micros(3100),
                time_to_stop: Duration::from_micros(60),
                pause: Duration::from_micros(710),
            },
            rounds: 2,
            pages_armed: 31022,
            pages_dirty: 812,
            pages_residual: 12,
            watched: None,
            faults: Some(812),
            objects_marked: 3_000_000,
            young_bytes: 1 << 20,
            allocated_during: 5 << 20,
            mutator_stall: Duration::ZERO,
            blind: false,
            verify_failures: 0,
        }
    }

    #[test]
    fn a_cycle_is_one_line_with_fixed_fields() {
        assert_eq!(
            report().log_line(),
            "pagemark[heap] gc 12 concurrent (trigger) 268.4M->121.0M live 118.2M in 93.1 ms: handshake 0.05 arm 1.20 \
             mark 88.00 rounds 3.10 (2) stop 0.06 pause 0.71 ms; pages armed 31022 dirty 812 residual 12; faults 812; \
             stall 0.00 ms"
        );
    }

    #[test]
    fn what_is_unknown_is_a_dash_and_what_is_wrong_comes_last() {
        let mut report = report();
        report.faults = None;
        report.watched = Some(Watched { armed: 900, written: 20 });
        report.kind = CycleKind::StopTheWorld;
        report.reason = Reason::OutOfMemory;
        report.phases.sweep_wait = Duration::from_millis(2);
        report.blind = true;
        report.verify_failures = 3;
        let line = report.log_line();
        assert!(line.contains("gc 12 stop-the-world (out of memory) "), "{line}");
        assert!(line.contains(" in 95.1 ms: "), "{line}");
        assert!(
            line.ends_with(
                "; faults -; stall 0.00 ms; stayed armed 900 written 20; sweep wait 2.00 ms; BLIND; VERIFY FAILURES 3"
            ),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn an_empty_report_still_makes_a_line() {
        let line = CycleReport::default().log_line();
        assert!(line.starts_with("pagemark[] gc 0 concurrent (trigger) 0B->0B live 0B in 0.0 ms: "), "{line}");
    }

    #[test]
    fn the_total_is_the_sum_of_the_phases() {
        let one = Duration::from_secs(1);
        let phases =
            Phases { sweep_wait: one, handshake: one, arm: one, mark: one, rounds: one, time_to_stop: one, pause: one };
        assert_eq!(phases.total(), Duration::from_secs(7));
    }

    #[test]
    fn sizes_keep_a_readable_unit() {
        let sizes = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0K"),
            (1 << 20, "1.0M"),
            (1945 << 20, "1945.0M"),
            (10 << 30, "10.0G"),
            (u64::MAX, "17179869184.0G"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }
}
