//! What changed between two files of results, and what of it chance can do.
//!
//! Medians are compared, contestant by contestant, where workload, parameters and heap were the same. A change is called one if the spreads
//! of at least three runs on both sides do not touch (`statistics.rs` says why); everything else is noise. The machine's own drift moves all
//! contestants together, which no statistics of single ones can see: where there are peers enough to know it, it is taken out of everything that has time in it
//! (`drift.rs`), and what would be said without that stands beside. Of two machines nothing is compared unless somebody insists.

use serde_json::Value;

use super::drift::Drift;
use super::input::{Machine, Metric, Results};
use super::samples::{Cell, Workload, workloads};
use super::statistics::{Sample, chance_of_disjoint, geometric_mean};

/// Fewer runs than this on one side show nothing.
const FEWEST: usize = 3;

/// A quantity that is compared.
pub struct Compared {
    /// Its name.
    pub name: &'static str,
    /// Where it is found.
    of: Metric,
    /// Whether it is more on a machine that is slower.
    drifts: bool,
}

/// What is compared.
pub const METRICS: [Compared; 4] = [
    Compared { name: "time", of: |measured| Some(measured.elapsed_s), drifts: true },
    Compared { name: "processor time", of: |measured| measured.cpu.total_s, drifts: true },
    Compared { name: "worst step", of: |measured| Some(measured.steps.max_ms), drifts: true },
    Compared { name: "peak memory", of: |measured| measured.memory.peak_bytes, drifts: false },
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
    /// In the order of [`METRICS`], without the machine's drift where that is known.
    pub changes: Vec<Option<Change>>,
    /// The same with it.
    as_measured: Vec<Option<Change>>,
    /// Runs: new, old.
    pub runs: (usize, usize),
}

/// The whole comparison.
#[derive(Debug)]
pub struct Comparison {
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// By workload, what the machine did, or why that is not known and nothing was taken out.
    pub drifts: Vec<(String, Result<Drift, String>)>,
    /// What was compared.
    pub rows: Vec<Row>,
}

/// How many changes there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Ratios that a verdict was possible on.
    pub judged: usize,
    /// Changes among them.
    pub found: usize,
    /// What would have been called one with the machine's drift in it.
    pub as_measured: usize,
    /// How many chance alone would have made.
    pub by_chance: f64,
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
        let (mut drifts, mut rows) = (Vec::new(), Vec::new());
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
            let pairs = comparable(&workload, before, &mut warnings);
            let drift = Drift::of(&workload.main, &before.main, &pairs);
            rows.extend(pairs.iter().map(|(cell, old)| Row::of(workload.name, cell, old, drift.as_ref().ok())));
            drifts.push((workload.name.to_string(), drift));
        }
        Ok(Comparison { warnings, drifts, rows })
    }

    /// The geometric mean of a metric's ratios as measured.
    pub fn mean(&self, metric: usize) -> Option<f64> {
        let ratios = self.rows.iter().filter_map(|row| Some(row.as_measured[metric].as_ref()?.ratio));
        geometric_mean(&ratios.filter(|ratio| *ratio > 0.0 && ratio.is_finite()).collect::<Vec<f64>>())
    }

    /// The changes of a metric.
    pub fn count(&self, metric: usize) -> Count {
        let changes =
            |row: fn(&Row) -> &Vec<Option<Change>>| self.rows.iter().filter_map(move |of| row(of)[metric].as_ref());
        let judged: Vec<&Change> =
            changes(|row| &row.changes).filter(|change| change.verdict != Verdict::TooFew).collect();
        Count {
            judged: judged.len(),
            found: judged.iter().filter(|change| change.is_one()).count(),
            as_measured: changes(|row| &row.as_measured).filter(|change| change.is_one()).count(),
            by_chance: judged.iter().map(|change| change.chance).sum(),
        }
    }

    /// The changes of all metrics.
    pub fn count_all(&self) -> Count {
        (0..METRICS.len()).map(|metric| self.count(metric)).sum()
    }
}

impl Row {
    fn of(workload: &str, new: &Cell, old: &Cell, drift: Option<&Drift>) -> Row {
        let as_measured = |metric: &Compared| Some(Change::of(&new.sample(metric.of)?, &old.sample(metric.of)?));
        let changes = METRICS.iter().map(|metric| match drift.filter(|_| metric.drifts) {
            Some(drift) => Some(Change::of(&drift.new.divides(new, metric.of)?, &drift.old.divides(old, metric.of)?)),
            None => as_measured(metric),
        });
        Row {
            workload: workload.to_string(),
            label: new.label.clone(),
            changes: changes.collect(),
            as_measured: METRICS.iter().map(as_measured).collect(),
            runs: (new.runs.len(), old.runs.len()),
        }
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Count>>(counts: I) -> Count {
        counts.fold(Count::default(), |sum, count| Count {
            judged: sum.judged + count.judged,
            found: sum.found + count.found,
            as_measured: sum.as_measured + count.as_measured,
            by_chance: sum.by_chance + count.by_chance,
        })
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

    /// Whether it is called one.
    pub fn is_one(&self) -> bool {
        matches!(self.verdict, Verdict::More | Verdict::Less)
    }
}

/// The contestants of a workload that ran with the same heap in both results, new and old. What the reader must know of the others goes to `warnings`.
fn comparable<'a, 'b>(
    workload: &'b Workload<'a>,
    before: &'b Workload<'a>,
    warnings: &mut Vec<String>,
) -> Vec<(&'b Cell<'a>, &'b Cell<'a>)> {
    let mut pairs = Vec::new();
    for cell in &workload.main {
        let same = |old: &&Cell| old.contestant.name == cell.contestant.name && old.multiplier == cell.multiplier;
        let Some(old) = before.main.iter().find(same) else { continue };
        if limit(cell) != limit(old) {
            warnings
                .push(format!("`{}` in `{}` was not compared: its heap had another limit.", cell.label, workload.name));
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
        pairs.push((cell, old));
    }
    pairs
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
