//! Where this collector stands, in one table: beside the best of all others, workload by workload.

use super::Context;
use crate::report::document::{Entry, Section};
use crate::report::input::Metric;
use crate::report::numbers::{UNKNOWN, factor, megabytes};
use crate::report::samples::{Cell, Workload};

/// What is compared. Less is better in each.
const METRICS: [(&str, Metric); 5] = [
    ("time", |measured| Some(measured.elapsed_s)),
    ("processor time", |measured| measured.cpu.total_s),
    ("worst step", |measured| Some(measured.steps.max_ms)),
    ("p99.9 step", |measured| Some(measured.steps.p999_ms)),
    ("peak memory", |measured| measured.memory.peak_bytes.map(megabytes)),
];

/// The chapter.
pub fn section(context: &Context, workloads: &[Workload]) -> Section {
    let mut section = Section::chapter("Where it stands");
    let Some(reference) = context.looks.reference() else {
        section.say("No mechanism of pagemark is in these results.");
        return section;
    };
    let rows: Vec<Vec<Entry>> = workloads
        .iter()
        .filter_map(|workload| {
            let ours = workload.main.iter().find(|cell| cell.contestant.name == reference && !cell.runs.is_empty())?;
            let peers: Vec<&Cell> = workload.main.iter().filter(|cell| !cell.contestant.is_ours()).collect();
            let cells = METRICS.map(|(_, of)| standing(ours, &peers, of));
            Some(std::iter::once(Entry::from(workload.name)).chain(cells).collect())
        })
        .collect();
    if rows.is_empty() {
        section.say(format!("`{reference}` has no run that succeeded."));
        return section;
    }
    section.say(format!(
        "`{reference}` beside the best peer in each respect: the ratio of the medians, and whom it is to. Below ×1 it is better than all peers. The best peer \
         in one respect may be the worst in another; the place is that among all peers that ran."
    ));
    let head: Vec<&str> = std::iter::once("").chain(METRICS.map(|(name, _)| name)).collect();
    section.table(&head, rows);
    section
}

fn standing(ours: &Cell, peers: &[&Cell], of: Metric) -> Entry {
    let Some(own) = ours.median(of) else { return UNKNOWN.into() };
    let mut theirs: Vec<(f64, &str)> =
        peers.iter().filter_map(|cell| Some((cell.median(of)?, cell.label.as_str()))).collect();
    theirs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((best, name)) = theirs.first() else { return "no peer ran".into() };
    let place = theirs.iter().filter(|(value, _)| *value < own).count() + 1;
    Entry {
        text: format!("{} of {name}", factor(own / best)),
        spread: Some(format!("place {place} of {}", theirs.len() + 1)),
    }
}
