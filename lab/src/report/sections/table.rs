//! The table of a workload.

use crate::report::document::{Entry, Section};
use crate::report::input::{Metric, Window};
use crate::report::numbers::{entry, megabytes};
use crate::report::samples::{Cell, Workload};

/// The window of which the utilisation is in the table.
const WINDOW_MS: f64 = 10.0;

/// Title, and what stands below it.
type Column = (&'static str, Metric);

const COLUMNS: [Column; 14] = [
    ("time, s", |measured| Some(measured.elapsed_s)),
    ("CPU, s", |measured| measured.cpu.total_s),
    ("CPU of mutators, s", |measured| measured.cpu.mutator_s),
    ("CPU of collector, s", |measured| measured.cpu.collector_s),
    ("CPU in kernel, s", |measured| measured.cpu.kernel_s),
    ("worst step, ms", |measured| Some(measured.steps.max_ms)),
    ("worst of control, ms", |measured| Some(measured.control?.max_ms)),
    ("p99.9 step, ms", |measured| Some(measured.steps.p999_ms)),
    ("worst stall seen, ms", |measured| Some(measured.stalls.seen.max_ms)),
    ("pauses", |measured| Some(measured.pauses?.count as f64)),
    ("p99 pause, ms", |measured| measured.stops()?.p99_ms),
    ("MMU 10 ms", |measured| utilisation(&measured.mmu.seen, WINDOW_MS)),
    ("peak memory, MB", |measured| measured.memory.peak_bytes.map(megabytes)),
    ("mean memory, MB", |measured| measured.memory.mean_bytes.map(megabytes)),
];

/// The point of a curve at a window.
pub fn utilisation(curve: &[Window], window_ms: f64) -> Option<f64> {
    curve.iter().find(|point| point.window_ms == window_ms)?.utilisation
}

/// Adds the table.
pub fn add(section: &mut Section, workload: &Workload) {
    let head: Vec<&str> = std::iter::once("").chain(COLUMNS.map(|(title, _)| title)).chain(["runs"]).collect();
    let row = |cell: &Cell| -> Vec<Entry> {
        let values = COLUMNS.map(|(_, of)| entry(cell.sample(of).as_ref()));
        let runs = Entry::from(cell.runs.len().to_string());
        std::iter::once(Entry::from(cell.label.as_str())).chain(values).chain([runs]).collect()
    };
    let ran = workload.main.iter().filter(|cell| !cell.runs.is_empty());
    let rows: Vec<Vec<Entry>> = ran.map(row).collect();
    if rows.is_empty() {
        section.say("No run of the comparison succeeded.");
        return;
    }
    section.table(&head, rows);
    section.say(
        "Median, and the spread from the least to the most. `p99 pause` is what the collector says of itself, `worst step` what the program saw. The kernel's \
         time is also in the mutators' and the collector's. A dash: nobody can know it.",
    );
    let failed: Vec<String> = workload
        .main
        .iter()
        .filter(|cell| !cell.failed.is_empty())
        .map(|cell| format!("`{}` ({} of {})", cell.label, cell.failed.len(), cell.failed.len() + cell.runs.len()))
        .collect();
    if !failed.is_empty() {
        section.say(format!("Failed runs: {}; why is in the chapter on failures.", failed.join(", ")));
    }
}
