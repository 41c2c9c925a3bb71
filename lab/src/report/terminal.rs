//! The few numbers that fit a terminal.

use std::io::{self, Write};

use super::against::{Comparison, METRICS};
use super::input::Results;
use super::numbers::{UNKNOWN, factor, megabytes, number};
use super::samples::{Cell, workloads};

/// Writes them.
pub fn write(out: &mut impl Write, results: &Results, comparison: Option<&Comparison>) -> io::Result<()> {
    for workload in workloads(results) {
        writeln!(out, "{}", workload.name)?;
        writeln!(
            out,
            "  {:<22}{:>10}{:>10}{:>12}{:>12}{:>12}{:>6}",
            "", "time s", "CPU s", "worst ms", "control ms", "peak MB", "runs"
        )?;
        for cell in &workload.main {
            line(out, cell)?;
        }
    }
    for contestant in results.contestants.iter().filter(|contestant| !contestant.installed) {
        writeln!(out, "{} is not installed: {}", contestant.name, contestant.how.as_deref().unwrap_or(UNKNOWN))?;
    }
    let Some(comparison) = comparison else { return Ok(()) };
    writeln!(out, "\nsince the older results")?;
    for warning in &comparison.warnings {
        writeln!(out, "  {warning}")?;
    }
    for (workload, drift) in &comparison.drifts {
        match drift {
            Ok(drift) => writeln!(
                out,
                "  {workload:<14}the machine itself {}, by {} peers: taken out",
                factor(drift.ratio),
                drift.peers
            )?,
            Err(reason) => writeln!(out, "  {workload:<14}compared as measured: {reason}")?,
        }
    }
    for row in &comparison.rows {
        for (metric, change) in METRICS.iter().zip(&row.changes) {
            let Some(change) = change.as_ref().filter(|change| change.is_one()) else { continue };
            writeln!(out, "  {:<14}{:<22}{:<16}{}", row.workload, row.label, metric.name, factor(change.ratio))?;
        }
    }
    let count = comparison.count_all();
    writeln!(
        out,
        "  {} changes, {} as measured; chance alone makes about {}",
        count.found,
        count.as_measured,
        number(count.by_chance)
    )
}

fn line(out: &mut impl Write, cell: &Cell) -> io::Result<()> {
    let text = |value: Option<f64>| value.map_or_else(|| UNKNOWN.to_string(), number);
    let failed = if cell.failed.is_empty() { String::new() } else { format!("  {} failed", cell.failed.len()) };
    writeln!(
        out,
        "  {:<22}{:>10}{:>10}{:>12}{:>12}{:>12}{:>6}{failed}",
        cell.label,
        text(cell.median(|measured| Some(measured.elapsed_s))),
        text(cell.median(|measured| measured.cpu.total_s)),
        text(cell.median(|measured| Some(measured.steps.max_ms))),
        text(cell.median(|measured| Some(measured.control?.max_ms))),
        text(cell.median(|measured| measured.memory.peak_bytes.map(megabytes))),
        cell.runs.len(),
    )
}
