//! Runs by what they are runs of: workload, contestant, and multiple of what lives.

use super::input::{Contestant, Measured, Results, Run};
use super::statistics::Sample;

/// All runs of one workload.
pub struct Workload<'a> {
    /// Its name.
    pub name: &'a str,
    /// The comparison: one of each contestant, in the order of `contestants`; more where several multiples were compared.
    pub main: Vec<Cell<'a>>,
    /// The same with heaps of other sizes, those of the comparison included.
    pub curve: Vec<Cell<'a>>,
}

/// The runs of one contestant at one size.
pub struct Cell<'a> {
    /// Who ran.
    pub contestant: &'a Contestant,
    /// Its heap's limit as a multiple of what lives.
    pub multiplier: Option<f64>,
    /// How tables and pictures call it.
    pub label: String,
    /// Those that ran and were right.
    pub runs: Vec<&'a Run>,
    /// Those that were not.
    pub failed: Vec<&'a Run>,
}

impl<'a> Cell<'a> {
    /// What each usable run has to say to a question.
    pub fn sample(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<Sample> {
        self.sample_of_runs(|_, measured| of(measured))
    }

    /// The same where the question is about more than what was measured.
    pub fn sample_of_runs(&self, of: impl Fn(&Run, &Measured) -> Option<f64>) -> Option<Sample> {
        Sample::of(self.runs.iter().filter_map(|run| of(run, run.usable()?)))
    }

    /// The middle of that.
    pub fn median(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        self.sample(of).map(|sample| sample.median())
    }

    /// What was measured, run by run.
    pub fn measured(&self) -> impl Iterator<Item = &'a Measured> {
        self.runs.iter().filter_map(|run| run.usable())
    }

    /// The command of the first of its runs.
    pub fn command(&self) -> Option<&'a str> {
        self.runs.iter().chain(&self.failed).next().map(|run| run.command.as_str())
    }
}

/// The workloads, in the order in which they were first run.
pub fn workloads(results: &Results) -> Vec<Workload<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for run in results.runs.iter().filter(|run| run.purpose != "timeline") {
        if !names.contains(&run.workload.as_str()) {
            names.push(&run.workload);
        }
    }
    names
        .into_iter()
        .map(|name| Workload {
            name,
            main: cells(results, name, |run| run.purpose == "main"),
            curve: cells(results, name, |run| run.purpose == "main" || run.purpose == "curve"),
        })
        .collect()
}

fn cells<'a>(results: &'a Results, workload: &str, wanted: impl Fn(&Run) -> bool) -> Vec<Cell<'a>> {
    let mut cells: Vec<Cell<'a>> = Vec::new();
    for contestant in &results.contestants {
        let first = cells.len();
        let theirs = |run: &&Run| run.workload == workload && run.contestant == contestant.name && wanted(run);
        for run in results.runs.iter().filter(theirs) {
            let index = match cells[first..].iter().position(|cell| cell.multiplier == run.multiplier) {
                Some(index) => first + index,
                None => {
                    let (runs, failed, label) = (Vec::new(), Vec::new(), contestant.name.clone());
                    cells.push(Cell { contestant, multiplier: run.multiplier, label, runs, failed });
                    cells.len() - 1
                }
            };
            if run.usable().is_some() { &mut cells[index].runs } else { &mut cells[index].failed }.push(run);
        }
        cells[first..].sort_by(|a, b| a.multiplier.unwrap_or(0.0).total_cmp(&b.multiplier.unwrap_or(0.0)));
        if cells.len() > first + 1 {
            for cell in &mut cells[first..] {
                if let Some(multiplier) = cell.multiplier {
                    cell.label = format!("{} {multiplier}×", cell.label);
                }
            }
        }
    }
    cells
}
