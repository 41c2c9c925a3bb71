//! Time and processor time against the size of the heap.

use super::Context;
use super::curves::{Own, panels};
use crate::report::document::{Block, Figure, Section};
use crate::report::figures::Fault;
use crate::report::figures::scale::Scale;
use crate::report::input::Metric;
use crate::report::numbers::short;
use crate::report::samples::{Cell, Workload};

/// The part of the chapter.
pub fn section(context: &Context, workload: &Workload) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: size of the heap", workload.name));
    let mut sizes: Vec<f64> = workload.curve.iter().filter_map(|cell| cell.multiplier).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < 2 {
        section.say("It was run with one size of heap only: there is no curve.");
        return Ok(section);
    }
    for (title, what, of) in [
        ("time, s", "Wall time", (|measured| Some(measured.elapsed_s)) as Metric),
        ("CPU, s", "Processor time", |measured| measured.cpu.total_s),
    ] {
        let lines = lines(workload, of);
        if lines.is_empty() {
            section.say("No contestant ran with two sizes of heap.");
            return Ok(section);
        }
        let x = Scale::log_at(sizes[0] * 0.97, sizes[sizes.len() - 1] * 1.03, &readable(&sizes))
            .written(|m| format!("{}×", short(m)));
        let y = Scale::log(lines.iter().flat_map(|line| &line.points).map(|point| point.1), 8);
        let about = format!("{}: {title} by size of the heap", workload.name);
        let y_title = format!("{title} (log)");
        let panels = panels(context, &about, (&x, "heap by what lives (log)"), (&y, &y_title), &lines, true)?;
        section.blocks.push(Block::Figure(Figure {
            caption: format!("{what}, against the heap's limit as a multiple of what lives. Medians. A line that begins late could not run with less."),
            panels,
            command: context.again.clone(),
        }));
    }
    let failed: Vec<String> = workload
        .curve
        .iter()
        .filter(|cell| cell.runs.is_empty())
        .filter_map(|cell| Some(format!("`{}` at {}×", cell.contestant.name, short(cell.multiplier?))))
        .collect();
    if !failed.is_empty() {
        section.say(format!("Did not run: {}; why is in the chapter on failures.", failed.join(", ")));
    }
    Ok(section)
}

/// A line for each contestant that ran with at least two sizes.
fn lines(workload: &Workload, of: Metric) -> Vec<Own> {
    let mut lines: Vec<Own> = Vec::new();
    for cell in &workload.curve {
        let point = |cell: &Cell| Some((cell.multiplier?, cell.median(of)?));
        let Some(point) = point(cell) else { continue };
        let name = &cell.contestant.name;
        match lines.last_mut().filter(|line| &line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Own { name: name.clone(), label: name.clone(), points: vec![point] }),
        }
    }
    lines.retain(|line| line.points.len() > 1);
    lines
}

/// Those of the sizes that can be written beside each other.
fn readable(sizes: &[f64]) -> Vec<f64> {
    let span = (sizes[sizes.len() - 1] / sizes[0]).ln();
    let mut kept: Vec<f64> = Vec::new();
    for size in sizes {
        if kept.last().is_none_or(|last| (size / last).ln() > span * 0.09) {
            kept.push(*size);
        }
    }
    kept
}
