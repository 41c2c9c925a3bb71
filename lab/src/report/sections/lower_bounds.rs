//! What collecting costs at least.

use super::Context;
use crate::report::document::{Block, Entry, Figure, Panel, Section};
use crate::report::figures::looks::{Look, Marker};
use crate::report::figures::theme::Ink;
use crate::report::figures::{Fault, bars, sample};
use crate::report::numbers::{UNKNOWN, factor, number};
use crate::report::overhead::{Baseline, Bounds};
use crate::report::samples::Workload;

/// The part of the chapter.
pub fn section(context: &Context, workload: &Workload) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: lower bounds of the overhead", workload.name));
    let Some(bounds) = Bounds::of(workload) else {
        section.say("No mechanism of pagemark ran: there is no bound.");
        return Ok(section);
    };
    let (wall, cpu) = (Ink::Series(1), Ink::Series(4));
    let kinds = [("wall time", wall), ("processor time", cpu)];
    let rows: Vec<bars::Row> = bounds
        .rows
        .iter()
        .map(|row| bars::Row {
            label: row.label.clone(),
            bars: [row.wall.map(|value| (value, wall)), row.cpu.map(|value| (value, cpu))]
                .into_iter()
                .flatten()
                .collect(),
        })
        .collect();
    let about = format!("{}: lower bounds of the overhead of each mechanism", workload.name);
    let svg = bars::draw(&about, "cost by the baseline; 1 is no overhead", &rows)?;
    let legend = kinds.map(|(name, ink)| {
        Ok((name.to_string(), sample(&Look { ink, dash: 0, marker: Marker::Square, width: 2 }, false)?))
    });
    let said = |baseline: &Option<Baseline>| {
        baseline.as_ref().map_or_else(
            || "unknown".to_string(),
            |baseline| format!("{} s, from `{}`", number(baseline.seconds), baseline.whose),
        )
    };
    section.blocks.push(Block::Figure(Figure {
        caption: format!(
            "Whole cost over the least that any configuration leaves when what is attributed to its collector is subtracted (LBO; Cai, Blackburn, Bond and \
             Maas, ISPASS 2022). The real overhead is at least this. Baselines: {} of wall time, {} of processor time.",
            said(&bounds.wall),
            said(&bounds.cpu)
        ),
        panels: vec![Panel { title: String::new(), svg, legend: legend.into_iter().collect::<Result<_, Fault>>()? }],
        command: context.again.clone(),
    }));
    let text = |value: Option<f64>| Entry::from(value.map_or_else(|| UNKNOWN.to_string(), factor));
    let rows = bounds.rows.iter().map(|row| vec![Entry::from(row.label.as_str()), text(row.wall), text(row.cpu)]);
    section.table(&["", "wall time", "processor time"], rows.collect());
    Ok(section)
}
