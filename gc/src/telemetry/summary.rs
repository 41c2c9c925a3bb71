//! A heap's statistics at one moment, as one line of JSON.
//!
//! The names of the fields are an interface: benchmarks and comparisons read them. A name ends in its unit (`_us`,
//! `_ms`, `_bytes`) or counts something (`cycles`, `pages_*`, `faults`, ...). What cannot be known is `null`, never a
//! zero that looks measured. Microseconds are rounded to one decimal, milliseconds to three: the clock reads no
//! better, and a line that two runs can be compared by eye in is worth more than digits.

use std::time::Duration;

use serde::Serialize;

/// What a heap did up to now. Times are wall time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// What the heap is called.
    pub name: String,
    /// How writes were seen, by the mechanism's name; never `auto`.
    pub mechanism: String,
    /// The memory the heap was made of, by its name.
    pub backing: String,
    /// Cycles that ended, of any kind.
    pub cycles: u64,
    /// Those of them that had mutators stopped from beginning to end.
    pub cycles_stw: u64,
    /// Those of them that kept the marks of the one before.
    pub cycles_sticky: u64,
    /// Those of them in which a scan failed, so that every page was rescanned in the pause.
    pub cycles_blind: u64,
    /// Pauses: from the last mutator's stop until all were let go; in microseconds.
    pub pause_us: Distribution,
    /// Times from asking mutators to stop until the last of them had; in microseconds.
    pub time_to_stop_us: Distribution,
    /// All pauses together, in milliseconds.
    pub total_pause_ms: f64,
    /// All cycles together from their start to their end, in milliseconds.
    pub total_cycle_ms: f64,
    /// Bytes allocated since the heap was created.
    pub allocated_bytes: u64,
    /// The most bytes of the heap that were in use when somebody looked, which every cycle does.
    pub peak_heap_bytes: u64,
    /// Bytes of the objects that carried the mark after the last cycle; if that was a sticky one, those are among them that died since the
    /// last that was not.
    pub live_bytes_last: u64,
    /// Objects marked, in all cycles.
    pub objects_marked: u64,
    /// OS pages armed before marking began, in all cycles.
    pub pages_armed: u64,
    /// OS pages rescanned in concurrent rounds, in all cycles; a page counts in each round anew.
    pub pages_dirty: u64,
    /// OS pages rescanned in pauses, in all cycles.
    pub pages_residual: u64,
    /// Write faults mutators took during cycles; `null` where the kernel resolves them and nobody counts.
    pub faults: Option<u64>,
    /// How long mutators stalled, all of them together and pauses not counted, in milliseconds.
    pub mutator_stall_ms: f64,
    /// The longest of these stalls, in milliseconds.
    pub mutator_stall_max_ms: f64,
    /// Stalls in which an allocation waited for memory.
    pub stalls_allocation: u64,
    /// Stalls in which a mutator was held back because it wrote too fast.
    pub stalls_throttle: u64,
    /// Reachable objects that verification found unmarked, in all cycles.
    pub verify_failures: u64,
}

impl Summary {
    /// The summary as one line of JSON, without a newline.
    pub fn to_json_line(&self) -> String {
        // Serialising fails for maps with keys that are not strings, and this has no maps.
        serde_json::to_string(self).expect("strings and numbers can always be written as JSON")
    }
}

/// How a duration was distributed, in microseconds with one decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many were measured. Where none was, the others are zero.
    pub count: u64,
    /// The median, in microseconds.
    pub p50: f64,
    /// The 99th percentile, in microseconds.
    pub p99: f64,
    /// The longest, in microseconds.
    pub max: f64,
}

impl Distribution {
    pub(super) fn new(count: u64, p50: Duration, p99: Duration, max: Duration) -> Self {
        Self { count, p50: microseconds(p50), p99: microseconds(p99), max: microseconds(max) }
    }
}

/// Microseconds, rounded to one decimal.
fn microseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e7).round() / 10.0
}

/// Milliseconds, rounded to three decimals.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_names_others_read_are_there() {
        let value: Value = serde_json::from_str(&Summary::default().to_json_line()).unwrap();
        let names = [
            "mechanism",
            "backing",
            "cycles",
            "cycles_stw",
            "pause_us",
            "time_to_stop_us",
            "total_pause_ms",
            "allocated_bytes",
            "peak_heap_bytes",
            "live_bytes_last",
            "pages_armed",
            "pages_dirty",
            "pages_residual",
            "faults",
            "mutator_stall_ms",
            "verify_failures",
        ];
        for name in names {
            assert!(value.get(name).is_some(), "{name}");
        }
        for name in ["count", "p50", "p99", "max"] {
            assert!(value["pause_us"].get(name).is_some(), "{name}");
            assert!(value["time_to_stop_us"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_summary_is_one_line_whatever_the_heap_is_called() {
        let summary = Summary { name: "a \"b\"\n\u{2028}".to_string(), faults: Some(3), ..Summary::default() };
        let line = summary.to_json_line();
        assert!(!line.contains('\n'), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["name"], summary.name.as_str());
        assert_eq!(value["faults"], 3);
    }

    #[test]
    fn what_is_unknown_is_null() {
        assert!(Summary::default().to_json_line().contains("\"faults\":null"));
    }

    #[test]
    fn times_are_rounded_for_reading() {
        assert_eq!(microseconds(Duration::from_nanos(123_456)), 123.5);
        assert_eq!(microseconds(Duration::from_nanos(49)), 0.0);
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)), 1.235);
        let times = Distribution::new(1, Duration::from_nanos(100), Duration::from_nanos(250), Duration::from_secs(1));
        assert_eq!(serde_json::to_string(&times).unwrap(), r#"{"count":1,"p50":0.1,"p99":0.3,"max":1000000.0}"#);
    }
}
