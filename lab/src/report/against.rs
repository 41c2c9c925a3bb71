//! What changed between two files of results, and what of it chance can do.
//!
//! Medians are compared, contestant by contestant, where workload, parameters and heap were the same. A change is called one if the spreads
//! of at least three runs on both sides do not touch (`statistics.rs` says why); everything else is noise. The machine's own drift between two days moves all
//! contestants together, which no statistics of single ones can see: so the geometric mean over all of them stands beside, and of
//! two machines nothing is compared unless somebody insists.

use serde_json::Value;

use super::input::{Machine, Metric, Results};
use super::samples::{Cell, workloads};
use super::statistics::{Sample, chance_of_disjoint, geometric_mean};

/// Fewer runs than this on one side show nothing.
const FEWEST: usize = 3;

/// What is compared: its name, and where it is found.
pub const METRICS: [(&str, Metric); 4] = [
    ("time", |measured| Some(measured.elapsed_s)),
    ("processor time", |measured| measured.cpu.total_s),
    ("worst step", |measured| Some(measured.steps.max_ms)),
    ("peak memory", |measured| measured.memory.peak_bytes),
];

/// What a ratio means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new runs are all above the old ones.
    More,
    /// They are all below.
    Less,
    /// They mix.
    Noise,
    /// Nobody can say.
    TooFew,
}

/// One number, new over old.
#[derive(Debug)]
pub struct Change {
    /// Ratio of the medians.
    pub ratio: f64,
    /// 95 % of the bootstrap's ratios.
    pub interval: (f64, f64),
    /// What to make of it.
    pub verdict: Verdict,
    /// How often chance alone would have called it a change.
    chance: f64,
}

/// What changed for one contestant in one workload.
#[derive(Debug)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// The contestant.
    pub label: String,
    /// In the order of [`METRICS`].
    pub changes: Vec<Option<Change>>,
    /// Runs: new, old.
    pub runs: (usize, usize),
}

/// The whole comparison.
#[derive(Debug)]
pub struct Comparison {
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// What was compared.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Of results with older ones.
    ///
    /// # Errors
    ///
    /// If they are of different machines, and nobody insists.
    pub fn of(new: &Results, old: &Results, insist: bool) -> Result<Comparison, String> {
        let different = different_machines(&new.machine, &old.machine);
        if !different.is_empty() && !insist {
            return Err(format!(
                "the results are of different machines ({}); a ratio would compare those. `--other-machine` compares them in spite of it",
                different.join("; ")
            ));
        }
        let mut warnings: Vec<String> = different
            .iter()
            .map(|difference| format!("Different machines: {difference}. The ratios compare those as well."))
            .collect();
        warnings.extend(different_settings(&new.machine, &old.machine));
        for (name, results) in [("new", new), ("old", old)] {
            if !results.complete {
                warnings.push(format!("The {name} results are not complete: the comparison was interrupted."));
            }
        }
        let mut rows = Vec::new();
        let old_workloads = workloads(old);
        for workload in workloads(new) {
            let Some(before) = old_workloads.iter().find(|before| before.name == workload.name) else {
                warnings.push(format!("`{}` is not in the old results.", workload.name));
                continue;
            };
            let (mine, theirs) = (parameters(&workload.main), parameters(&before.main));
            if mine != theirs {
                warnings.push(format!(
                    "`{}` was not compared: its parameters are {} and were {}.",
                    workload.name,
                    written(&mine),
                    written(&theirs)
                ));
                continue;
            }
            for cell in &workload.main {
                let same =
                    |old: &&Cell| old.contestant.name == cell.contestant.name && old.multiplier == cell.multiplier;
                let Some(old) = before.main.iter().find(same) else { continue };
                if limit(cell) != limit(old) {
                    warnings.push(format!(
                        "`{}` in `{}` was not compared: its heap had another limit.",
                        cell.label, workload.name
                    ));
                    continue;
                }
                if cell.contestant.version != old.contestant.version && !cell.contestant.is_ours() {
                    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
                    let (now, then) = (version(&cell.contestant.version), version(&old.contestant.version));
                    let text = format!("`{}` is version {now} and was {then}.", cell.contestant.name);
                    if !warnings.contains(&text) {
                        warnings.push(text);
                    }
                }
                let changes = METRICS.map(|(_, of)| Some(Change::of(&cell.sample(of)?, &old.sample(of)?))).into();
                rows.push(Row {
                    workload: workload.name.to_string(),
                    label: cell.label.clone(),
                    changes,
                    runs: (cell.runs.len(), old.runs.len()),
                });
            }
        }
        Ok(Comparison { warnings, rows })
    }

    /// The geometric mean of a metric's ratios.
    pub fn mean(&self, metric: usize) -> Option<f64> {
        let ratios = self.changes().filter(|(index, _)| *index == metric).map(|(_, change)| change.ratio);
        geometric_mean(&ratios.filter(|ratio| *ratio > 0.0 && ratio.is_finite()).collect::<Vec<f64>>())
    }

    /// How many were called changes, and how many chance alone would have made.
    pub fn found_and_expected(&self) -> (usize, f64) {
        let found =
            self.changes().filter(|(_, change)| matches!(change.verdict, Verdict::More | Verdict::Less)).count();
        let judged = self.changes().filter(|(_, change)| change.verdict != Verdict::TooFew);
        (found, judged.map(|(_, change)| change.chance).sum())
    }

    fn changes(&self) -> impl Iterator<Item = (usize, &Change)> {
        self.rows
            .iter()
            .flat_map(|row| row.changes.iter().enumerate().filter_map(|(index, c)| Some((index, c.as_ref()?))))
    }
}

impl Change {
    /// From `old` to `new`.
    pub fn of(new: &Sample, old: &Sample) -> Change {
        let verdict = if new.count() < FEWEST || old.count() < FEWEST {
            Verdict::TooFew
        } else if !new.is_disjoint(old) {
            Verdict::Noise
        } else if new.median() > old.median() {
            Verdict::More
        } else {
            Verdict::Less
        };
        let chance = chance_of_disjoint(new.count(), old.count());
        Change { ratio: new.median() / old.median(), interval: new.ratio_interval(old), verdict, chance }
    }
}

/// What makes two machines two.
fn different_machines(new: &Machine, old: &Machine) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, new: Option<String>, old: Option<String>| {
        if new != old {
            let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_string());
            found.push(format!("{what}: {} and {}", text(new), text(old)));
        }
    };
    compare("processor", new.processor.clone(), old.processor.clone());
    compare("processors", new.processors.map(|n| n.to_string()), old.processors.map(|n| n.to_string()));
    compare("virtual", new.hypervisor.map(|n| n.to_string()), old.hypervisor.map(|n| n.to_string()));
    found
}

/// What may be set otherwise on the same machine.
fn different_settings(new: &Machine, old: &Machine) -> Vec<String> {
    let memory = |machine: &Machine| machine.memory_bytes.map(|bytes| format!("{} MB", bytes >> 20));
    [
        ("kernel", new.kernel.clone(), old.kernel.clone()),
        ("memory", memory(new), memory(old)),
        ("huge pages", new.huge_pages.clone(), old.huge_pages.clone()),
        ("distribution", new.distribution.clone(), old.distribution.clone()),
    ]
    .into_iter()
    .filter(|(_, new, old)| new != old)
    .map(|(what, new, old)| {
        let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_string());
        format!("Another setting, {what}: {} now, {} then.", text(new), text(old))
    })
    .collect()
}

/// What a workload was told, by those of ours that ran it; peers were told the same.
fn parameters(cells: &[Cell]) -> Option<Value> {
    let mut runs = cells.iter().filter(|cell| cell.contestant.is_ours()).flat_map(|cell| &cell.runs);
    runs.find_map(|run| Some(serde_json::json!([run.result.as_ref()?.get("parameters")?, run.threads()])))
}

fn written(parameters: &Option<Value>) -> String {
    parameters.as_ref().map_or_else(|| "unknown".into(), |value| super::document::code(&value.to_string()))
}

fn limit(cell: &Cell) -> Option<u64> {
    cell.runs.first().and_then(|run| run.limit_bytes)
}
