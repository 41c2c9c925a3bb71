//! Lower bounds of what collecting costs: Cai, Blackburn, Bond and Maas, "Distilling the real cost of production garbage collectors",
//! ISPASS 2022.
//!
//! Nobody can run a program without its memory management, but a bound of what it would cost is there: of every configuration take the whole cost, subtract
//! what can be attributed to the collector, and keep the least of the differences. That is at least what the program costs by itself, since each difference
//! still contains what could not be attributed (faults of the barrier, the allocator, cold caches). A configuration's whole cost over this baseline
//! is therefore at most its overhead: a lower bound.
//!
//! Costs are wall time and processor time. Attributed are, of wall time, stops, handshakes, rests and waits for memory, which
//! mutators report of themselves, divided by the number of mutators; of processor time, what the collector's threads used. `none`, which never
//! collects, is one of the configurations, and so are the heaps of other sizes. Peers are not: another language's program is another program.

use super::input::{Measured, Run};
use super::samples::{Cell, Workload};

/// The least that the program costs, as far as is known, and which configuration said so.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// In seconds.
    pub seconds: f64,
    /// Who.
    pub whose: String,
}

/// What one configuration costs over the baselines; 1 is nothing.
#[derive(Debug)]
pub struct Overhead {
    /// Whose.
    pub label: String,
    /// In wall time.
    pub wall: Option<f64>,
    /// In processor time.
    pub cpu: Option<f64>,
}

/// The bounds of one workload.
#[derive(Debug)]
pub struct Bounds {
    /// Of wall time.
    pub wall: Option<Baseline>,
    /// Of processor time.
    pub cpu: Option<Baseline>,
    /// One for each of our configurations in the comparison.
    pub rows: Vec<Overhead>,
}

impl Bounds {
    /// Those of a workload; `None` where none of ours ran.
    pub fn of(workload: &Workload) -> Option<Bounds> {
        let wall = least(workload, |run, measured| {
            let stalls = [measured.stalls.safepoints, measured.stalls.waits];
            let stopped: f64 = stalls.iter().flatten().map(|total| total.total_ms).sum();
            Some(measured.elapsed_s - stopped / 1e3 / run.threads())
        });
        let cpu = least(workload, |_, measured| Some(measured.cpu.total_s? - measured.cpu.collector_s?));
        let over = |cost: Option<f64>, baseline: &Option<Baseline>| Some(cost? / baseline.as_ref()?.seconds);
        let rows: Vec<Overhead> = ours(&workload.main)
            .map(|cell| Overhead {
                label: cell.label.clone(),
                wall: over(cell.median(|measured| Some(measured.elapsed_s)), &wall),
                cpu: over(cell.median(|measured| measured.cpu.total_s), &cpu),
            })
            .filter(|row| row.wall.is_some() || row.cpu.is_some())
            .collect();
        if rows.is_empty() { None } else { Some(Bounds { wall, cpu, rows }) }
    }
}

fn ours<'a, 'b>(cells: &'b [Cell<'a>]) -> impl Iterator<Item = &'b Cell<'a>> {
    cells.iter().filter(|cell| cell.contestant.is_ours())
}

/// The least of the medians of what is left; nothing at or below zero can be a baseline.
fn least(workload: &Workload, left: impl Fn(&Run, &Measured) -> Option<f64>) -> Option<Baseline> {
    let medians = ours(&workload.curve).filter_map(|cell| {
        let seconds = cell.sample_of_runs(&left)?.median();
        Some(Baseline { seconds, whose: cell.label.clone() })
    });
    medians.filter(|baseline| baseline.seconds > 0.0).min_by(|a, b| a.seconds.total_cmp(&b.seconds))
}
