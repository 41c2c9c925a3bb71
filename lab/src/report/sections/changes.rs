//! What changed since other results.

use crate::report::against::{Change, Comparison, Count, METRICS, Verdict};
use crate::report::document::{Block, Entry, Section};
use crate::report::numbers::{UNKNOWN, factor, number};

/// The chapter and its parts; `then` is when the older ones were begun.
pub fn sections(comparison: &Comparison, then: &str) -> Vec<Section> {
    let mut section = Section::chapter(format!("What changed since {then}"));
    for warning in &comparison.warnings {
        section.blocks.push(Block::Warning(warning.clone()));
    }
    if comparison.rows.is_empty() {
        section.say("There is nothing that both results have.");
        return vec![section];
    }
    let count = comparison.count_all();
    section.say(format!(
        "New over old: the ratio of the medians, and the interval that holds 95 % of the ratios of a bootstrap. It is called more or less where the spreads of at least \
         three runs on both sides do not touch, and noise otherwise. That was so {} times; chance alone makes about {} in a table of this size. For time, \
         steps and memory, less is better.",
        count.found,
        number(count.by_chance)
    ));
    if comparison.drifts.iter().any(|(_, drift)| drift.is_ok()) {
        section.say(format!(
            "Times, processor times and worst steps are without the drift of the machine where that is known (the next part): ×1 is what happened to the peers, and more is more \
             than that. As measured, {} would have been called changes.",
            count.as_measured
        ));
    }
    let rows = comparison.rows.iter().map(|row| {
        let runs = format!("{}, {}", row.runs.0, row.runs.1);
        let name = Entry::from(format!("{}, {}", row.workload, row.label));
        std::iter::once(name).chain(row.changes.iter().map(entry)).chain([Entry::from(runs)]).collect()
    });
    let names = METRICS.iter().map(|metric| metric.name);
    let head: Vec<&str> = std::iter::once("").chain(names).chain(["runs: new, old"]).collect();
    section.table(&head, rows.collect());
    vec![section, machine(comparison), counts(comparison)]
}

/// What the machine did by itself, how it is taken out, and what that cannot see.
fn machine(comparison: &Comparison) -> Section {
    let mut section = Section::part("The machine's drift");
    section.say(
        "The reference is the peers that have the same version and heap on both sides and were right in every round. Each run is divided by the geometric mean of the \
         reference's wall times in the same workload and round, before medians are taken. The drift is the geometric mean of the ratios of the peers' medians, new over old, \
         with the least and the largest of them. Peak memory is compared as measured.",
    );
    let rows = comparison.drifts.iter().map(|(workload, drift)| {
        let [ratio, peers] = match drift {
            Err(_) => [UNKNOWN; 2].map(Entry::from),
            Ok(drift) => [
                Entry {
                    text: factor(drift.ratio),
                    spread: Some(format!("{}–{}", number(drift.range.0), number(drift.range.1))),
                },
                Entry::from(drift.peers.to_string()),
            ],
        };
        vec![Entry::from(workload.as_str()), ratio, peers]
    });
    section.table(&["", "drift", "peers"], rows.collect());
    let as_measured: Vec<String> = comparison
        .drifts
        .iter()
        .filter_map(|(workload, drift)| Some((workload, drift.as_ref().err()?)))
        .map(|(workload, reason)| format!("`{workload}` was compared as measured: {reason}."))
        .collect();
    if !as_measured.is_empty() {
        section.blocks.push(Block::List(as_measured));
    }
    section.say(
        "What this cannot see: if most of the peers changed without a new version (their programs, or the compiler that builds them), that looks like the machine. A drift that hits programs \
         that wait for memory more than others is taken out by its mean only, and what is left looks like a change of theirs. A peer is compared with a reference that contains itself: \
         it shows a little less than it moved, by one part in as many as there are peers. All of a workload have the reference in common, so what chance makes comes in clusters: many changes in \
         one workload, all in one direction, may be the reference's and not theirs.",
    );
    section
}

/// How many changes there are, with the machine's drift and without, and how many would be there of nothing.
fn counts(comparison: &Comparison) -> Section {
    let mut section = Section::part("Changes, and those that chance makes");
    let row = |name: &str, count: Count| {
        let numbers = [count.judged, count.as_measured, count.found].map(|n| Entry::from(n.to_string()));
        std::iter::once(Entry::from(name)).chain(numbers).chain([Entry::from(number(count.by_chance))]).collect()
    };
    let rows = METRICS.iter().enumerate().map(|(index, metric)| row(metric.name, comparison.count(index)));
    section.table(
        &["", "compared", "changes as measured", "changes", "by chance alone, about"],
        rows.chain([row("all", comparison.count_all())]).collect(),
    );
    let means: Vec<String> = (0..METRICS.len())
        .filter_map(|metric| Some(format!("{} {}", METRICS[metric].name, factor(comparison.mean(metric)?))))
        .collect();
    section.say(format!(
        "Geometric means over all rows, as measured: {}. What moves everybody, peers included, is the machine and not a change of anybody's program.",
        means.join(", ")
    ));
    section
}

fn entry(change: &Option<Change>) -> Entry {
    match change {
        None => Entry::from(UNKNOWN),
        Some(change) => Entry {
            text: format!("{} {}", factor(change.ratio), word(change.verdict)),
            spread: Some(format!("{}–{}", number(change.interval.0), number(change.interval.1))),
        },
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::Noise => "noise",
        Verdict::TooFew => "(too few runs)",
    }
}
