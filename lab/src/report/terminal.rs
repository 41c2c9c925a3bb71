//! The few numbers that fit a terminal.

use std::io::{self, Write};

use super::against::{Comparison, METRICS, Verdict};
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
    for row in &comparison.rows {
        for ((name, _), change) in METRICS.iter().zip(&row.changes) {
            let Some(change) = change else { continue };
            if matches!(change.verdict, Verdict::More | Verdict::Less) {
                writeln!(out, "  {:<14}{:<22}{name:<16}{}", row.workload, row.label, factor(change.ratio))?;
            }
        }
    }
    let (found, expected) = comparison.found_and_expected();
    writeln!(out, "  {found} changes; chance alone makes about {}", number(expected))
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
