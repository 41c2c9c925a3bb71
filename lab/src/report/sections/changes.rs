//! What changed since other results.

use crate::report::against::{Change, Comparison, METRICS, Verdict};
use crate::report::document::{Block, Entry, Section};
use crate::report::numbers::{UNKNOWN, factor, number};

/// The chapter; `then` is when the older ones were begun.
pub fn section(comparison: &Comparison, then: &str) -> Section {
    let mut section = Section::chapter(format!("What changed since {then}"));
    for warning in &comparison.warnings {
        section.blocks.push(Block::Warning(warning.clone()));
    }
    if comparison.rows.is_empty() {
        section.say("There is nothing that both results have.");
        return section;
    }
    let (found, expected) = comparison.found_and_expected();
    section.say(format!(
        "New over old: the ratio of the medians, and the interval that holds 95 % of the ratios of a bootstrap. It is called more or less where the spreads of at least \
         three runs on both sides do not touch, and noise otherwise. That was so {found} times; chance alone makes about {} in a table of this size. For time, \
         steps and memory, less is better.",
        number(expected)
    ));
    let cell = |change: &Option<Change>| match change {
        None => Entry::from(UNKNOWN),
        Some(change) => Entry {
            text: format!("{} {}", factor(change.ratio), word(change.verdict)),
            spread: Some(format!("{}–{}", number(change.interval.0), number(change.interval.1))),
        },
    };
    let rows = comparison.rows.iter().map(|row| {
        let runs = format!("{}, {}", row.runs.0, row.runs.1);
        let name = Entry::from(format!("{}, {}", row.workload, row.label));
        std::iter::once(name).chain(row.changes.iter().map(cell)).chain([Entry::from(runs)]).collect()
    });
    let head: Vec<&str> = std::iter::once("").chain(METRICS.map(|(name, _)| name)).chain(["runs: new, old"]).collect();
    section.table(&head, rows.collect());
    let means: Vec<String> = (0..METRICS.len())
        .filter_map(|metric| Some(format!("{} {}", METRICS[metric].0, factor(comparison.mean(metric)?))))
        .collect();
    section.say(format!(
        "Geometric means over all rows: {}. What moves everybody, peers included, is the machine and not a change of anybody's program.",
        means.join(", ")
    ));
    section
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::Noise => "noise",
        Verdict::TooFew => "(too few runs)",
    }
}
