//! The chapter of one workload: a table, pictures, and the commands of its runs.

use super::{Context, curves, heaps, latency, lower_bounds, table};
use crate::report::document::{Block, Figure, Panel, Section};
use crate::report::figures::looks::{Look, Looks, Marker};
use crate::report::figures::theme::Ink;
use crate::report::figures::{Fault, ranges, sample, scatter};
use crate::report::numbers::short;
use crate::report::samples::{Cell, Workload};
use crate::report::statistics::Sample;

/// The chapter and its parts.
pub fn sections(context: &Context, workload: &Workload) -> Result<Vec<Section>, Fault> {
    let mut chapter = Section::chapter(workload.name);
    let mut sizes: Vec<String> =
        workload.main.iter().filter_map(|cell| Some(format!("{}×", short(cell.multiplier?)))).collect();
    sizes.sort();
    sizes.dedup();
    if !sizes.is_empty() {
        chapter.say(format!("Heaps of {} of what lives.", sizes.join(" and ")));
    }
    table::add(&mut chapter, workload);
    let cells: Vec<&Cell> = workload.main.iter().filter(|cell| !cell.runs.is_empty()).collect();
    let mut sections = vec![chapter];
    if !cells.is_empty() {
        sections.push(throughput(context, workload, &cells)?);
        sections.push(curves::steps(context, workload, &cells)?);
        sections.push(curves::pauses(context, workload, &cells)?);
        sections.push(stalls(context, workload, &cells)?);
        sections.push(curves::utilisation(context, workload, &cells)?);
        sections.push(latency::section(context, workload, &cells)?);
    }
    sections.push(heaps::section(context, workload)?);
    sections.push(lower_bounds::section(context, workload)?);
    let mut commands = Section::part(format!("{}: commands", workload.name));
    let cells = workload.curve.iter();
    let lines = cells.filter_map(|cell| Some(format!("{}\n    {}", cell_name(cell), cell.command()?)));
    let summary = "What repeats one run of each contestant at each size".to_string();
    commands.blocks.push(Block::Commands { summary, lines: lines.collect() });
    sections.push(commands);
    Ok(sections)
}

fn cell_name(cell: &Cell) -> String {
    let size = cell.multiplier.map_or_else(String::new, |multiplier| format!(", {}×", short(multiplier)));
    format!("# {}{size}", cell.contestant.name)
}

fn throughput(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: throughput against the worst step", workload.name));
    let points: Vec<scatter::Point> = cells
        .iter()
        .filter_map(|cell| {
            Some(scatter::Point {
                label: cell.label.clone(),
                look: Looks::family(&cell.contestant.family),
                rate: cell.median(|measured| Some(measured.steps_per_s))?,
                worst_ms: cell.median(|measured| Some(measured.steps.max_ms))?,
                p999_ms: cell.median(|measured| Some(measured.steps.p999_ms))?,
            })
        })
        .collect();
    let machine = Sample::of(cells.iter().filter_map(|cell| cell.median(|measured| Some(measured.control?.max_ms))));
    let about = format!("{}: steps a second against the worst step of {} contestants", workload.name, points.len());
    let svg = scatter::draw(&about, &points, machine.map(|sample| sample.median()))?;
    let mut legend: Vec<(String, String)> = Vec::new();
    for cell in cells {
        let family = &cell.contestant.family;
        if legend.iter().all(|(name, _)| name != family) {
            legend.push((family.clone(), sample(&Looks::family(family), false)?));
        }
    }
    section.blocks.push(Block::Figure(Figure {
        caption: "To the right is faster, further down is smoother. The mark is the median of the runs' worst steps; the line from it goes to the step that one \
                  in a thousand exceeds. Below the dashed line a worst case may be the machine's."
            .into(),
        panels: vec![Panel { title: String::new(), svg, legend }],
        command: context.again.clone(),
    }));
    Ok(section)
}

fn stalls(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: pauses and stalls", workload.name));
    let (pause, stall, control) = (Ink::Series(1), Ink::Series(0), Ink::Faint);
    let kinds = [
        ("pause, median", Marker::Ring, pause),
        ("pause, p99", Marker::Diamond, pause),
        ("pause, worst", Marker::Bar, pause),
        ("worst stall seen", Marker::Cross, stall),
        ("control, worst", Marker::Box, control),
    ];
    let rows: Vec<ranges::Row> = cells
        .iter()
        .map(|cell| {
            let pauses = [
                cell.median(|measured| measured.stops()?.p50_ms),
                cell.median(|measured| measured.stops()?.p99_ms),
                cell.median(|measured| measured.stops()?.max_ms),
            ];
            let others = [
                cell.median(|measured| Some(measured.stalls.seen.max_ms)),
                cell.median(|measured| Some(measured.control?.max_ms)),
            ];
            let marks = |values: &[Option<f64>], first: usize| {
                let kinds = &kinds[first..];
                values
                    .iter()
                    .zip(kinds)
                    .filter_map(|(value, (_, marker, ink))| Some(((*value)?, *marker, *ink)))
                    .collect()
            };
            ranges::Row { label: cell.label.clone(), joined: marks(&pauses, 0), alone: marks(&others, 3) }
        })
        .collect();
    let svg = ranges::draw(&format!("{}: pauses and stalls of each contestant", workload.name), "ms (log)", &rows)?;
    let legend = kinds
        .map(|(name, marker, ink)| Ok((name.to_string(), sample(&Look { ink, dash: 0, marker, width: 2 }, false)?)));
    section.blocks.push(Block::Figure(Figure {
        caption: "Pauses are what a collector says of itself; those without such marks had none, or do not say. The cross is the longest time that a step took beyond \
                  the median step, whatever the reason. Medians of the runs."
            .into(),
        panels: vec![Panel { title: String::new(), svg, legend: legend.into_iter().collect::<Result<_, Fault>>()? }],
        command: context.again.clone(),
    }));
    Ok(section)
}
