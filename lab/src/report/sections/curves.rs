//! Pictures of lines with a line for each contestant: how long steps take and pauses last, and what is left in windows of time.

use std::collections::BTreeMap;

use super::Context;
use crate::report::document::{Block, Figure, Panel, Section};
use crate::report::figures::lines::{self, Line};
use crate::report::figures::scale::Scale;
use crate::report::figures::{Fault, sample};
use crate::report::input::{Buckets, Measured};
use crate::report::numbers::{compact, short};
use crate::report::samples::{Cell, Workload};
use crate::report::statistics::Sample;

/// A line, and whose it is.
pub struct Own {
    /// The contestant.
    pub name: String,
    /// How this line is called.
    pub label: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// One panel for each group of contestants that has lines, all with the same axes.
pub fn panels(
    context: &Context,
    about: &str,
    (x, x_title): (&Scale, &str),
    (y, y_title): (&Scale, &str),
    lines: &[Own],
    marks: bool,
) -> Result<Vec<Panel>, Fault> {
    let looks = &context.looks;
    let own = looks.groups().first().map(|group| group.title);
    let mut panels = Vec::new();
    for group in looks.groups() {
        let worth = looks.is_worth_drawing(group, lines.iter().map(|line| &line.name));
        // The first has the one of all panels, also if it is alone.
        if !worth && own != Some(group.title) {
            continue;
        }
        let drawn: Vec<Line> = lines
            .iter()
            .filter(|line| looks.is_in(group, &line.name))
            .map(|line| Line {
                label: line.label.clone(),
                look: looks.look(&line.name),
                points: line.points.clone(),
                marks,
            })
            .collect();
        if drawn.is_empty() {
            continue;
        }
        let legend = drawn.iter().map(|line| Ok((line.label.clone(), sample(&line.look, true)?)));
        let legend = legend.collect::<Result<Vec<_>, Fault>>()?;
        let svg =
            lines::draw(&format!("{about}, {}", group.title), (x.clone(), x_title), (y.clone(), y_title), &drawn)?;
        panels.push(Panel { title: group.title.into(), svg, legend });
    }
    Ok(panels)
}

/// What is distributed, and how a picture of it is called and read.
struct Lengths {
    /// What is counted, in the plural.
    of: &'static str,
    /// Title of the part, after the workload's name.
    title: &'static str,
    /// What is at the bottom.
    x: &'static str,
    /// What is at the left.
    y: &'static str,
    /// What is written at the left.
    written: fn(f64) -> String,
    /// Of one run; `None` where it is not known.
    buckets: fn(&Measured) -> Option<&Buckets>,
    /// What counts are divided by: of how many runs they are, and how many there are in all.
    whole: fn(runs: u64, all: u64) -> u64,
    /// What stands below.
    caption: &'static str,
}

const STEPS: Lengths = Lengths {
    of: "steps",
    title: "how long steps take",
    x: "a step takes at least, ms (log)",
    y: "share of steps (log)",
    written: share,
    buckets: |measured| Some(&measured.steps_distribution),
    whole: |_, all| all,
    caption: "Which share of all steps takes at least so long; both axes are logarithmic, so that one step in a million is seen. Steps of all runs together. A \
              line that falls steeply and ends far to the left is a program that is never held up.",
};

/// Their number rather than a share: half as long and ten times as often is no better.
const PAUSES: Lengths = Lengths {
    of: "pauses",
    title: "how long pauses last",
    x: "a pause lasts at least, ms (log)",
    y: "pauses per run (log)",
    written: compact,
    buckets: |measured| measured.pauses_distribution.as_ref(),
    whole: |runs, _| runs,
    caption: "How many pauses of a run last at least so long, by what the collector says of itself; both axes are logarithmic. All runs together, divided by their number, \
              so that there can be less than one. A line begins at the left with all pauses and ends at the right with the longest: further down is fewer of \
              them, further left shorter ones. Who has no line had none, or does not tell of each.",
};

/// All runs of a cell that know: for each bucket its upper end, and how many reach it, divided by [`Lengths::whole`].
fn survivors(lengths: &Lengths, cell: &Cell) -> Vec<(f64, f64)> {
    let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
    let mut runs = 0;
    for run in cell.measured().filter_map(lengths.buckets) {
        runs += 1;
        for (upper, count) in run {
            // In nanoseconds, since numbers with a point are no keys.
            *buckets.entry((upper * 1e6).round() as u64).or_default() += count;
        }
    }
    let all: u64 = buckets.values().sum();
    let whole = (lengths.whole)(runs, all) as f64;
    let mut left = all;
    let mut points = Vec::new();
    for (upper, count) in buckets {
        if count > 0 {
            points.push((upper as f64 / 1e6, left as f64 / whole));
        }
        left -= count;
    }
    points
}

/// How long steps take.
pub fn steps(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    distribution(context, workload, cells, &STEPS)
}

/// How long pauses last.
pub fn pauses(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    distribution(context, workload, cells, &PAUSES)
}

fn distribution(context: &Context, workload: &Workload, cells: &[&Cell], lengths: &Lengths) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: {}", workload.name, lengths.title));
    let lines: Vec<Own> = cells
        .iter()
        .map(|cell| Own {
            name: cell.contestant.name.clone(),
            label: cell.label.clone(),
            points: survivors(lengths, cell),
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    if lines.is_empty() {
        section.say(format!("These results have no distribution of {}.", lengths.of));
        return Ok(section);
    }
    let x = Scale::log_ms(lines.iter().flat_map(|line| &line.points).map(|point| point.0), 7);
    let y = Scale::log(lines.iter().flat_map(|line| &line.points).map(|point| point.1), 7).written(lengths.written);
    let about = format!("{}: distribution of {}", workload.name, lengths.of);
    let panels = panels(context, &about, (&x, lengths.x), (&y, lengths.y), &lines, false)?;
    section.blocks.push(Block::Figure(Figure {
        caption: lengths.caption.into(),
        panels,
        command: context.again.clone(),
    }));
    Ok(section)
}

/// A share, as a part of a whole.
fn share(value: f64) -> String {
    if value >= 0.01 { short(value) } else { format!("1/{}", whole(1.0 / value)) }
}

fn whole(value: f64) -> String {
    match value.round() {
        v if v >= 1e6 => format!("{} M", short(v / 1e6)),
        v if v >= 1e3 => format!("{} k", short(v / 1e3)),
        v => short(v),
    }
}

/// What is left to the program in windows of time.
pub fn utilisation(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: minimum mutator utilisation", workload.name));
    let mut windows: Vec<f64> = Vec::new();
    for point in cells.iter().flat_map(|cell| cell.measured()).flat_map(|measured| &measured.mmu.seen) {
        if !windows.contains(&point.window_ms) {
            windows.push(point.window_ms);
        }
    }
    windows.sort_by(f64::total_cmp);
    let median = |cell: &Cell, window: f64| {
        let shares = cell.measured().filter_map(|measured| super::table::utilisation(&measured.mmu.seen, window));
        Some((window, Sample::of(shares)?.median()))
    };
    let lines: Vec<Own> = cells
        .iter()
        .map(|cell| Own {
            name: cell.contestant.name.clone(),
            label: cell.label.clone(),
            points: windows.iter().filter_map(|window| median(cell, *window)).collect(),
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        section.say("These results have no utilisation.");
        return Ok(section);
    };
    if lines.is_empty() {
        section.say("All runs were shorter than the shortest window.");
        return Ok(section);
    }
    let x = Scale::log_at(*first, last.max(first * 1.1), &windows);
    let y = Scale::linear_at(0.0, 1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], short);
    let about = format!("{}: minimum mutator utilisation by window", workload.name);
    let panels = panels(context, &about, (&x, "window, ms (log)"), (&y, "least share left"), &lines, true)?;
    section.blocks.push(Block::Figure(Figure {
        caption: "Of all windows of that length, the one that left the program least, and how much that was. Stalls are those that the program sees, \
                  for everybody: what long steps take beyond the median step. Medians of the runs. Higher is better."
            .into(),
        panels,
        command: context.again.clone(),
    }));
    Ok(section)
}
