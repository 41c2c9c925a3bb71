//! Latency of requests, where steps are requests.

use super::Context;
use super::curves::{Own, panels};
use crate::report::document::{Block, Entry, Figure, Section};
use crate::report::figures::Fault;
use crate::report::figures::scale::Scale;
use crate::report::input::{Latency, Quantiles};
use crate::report::numbers::entry;
use crate::report::samples::{Cell, Workload};

/// One thing that another has.
type Of<T, U> = fn(&T) -> U;

const KINDS: [(&str, Of<Latency, Quantiles>); 3] = [
    ("simple", |latency| latency.simple),
    ("metered, 100 ms", |latency| latency.metered_100_ms),
    ("metered", |latency| latency.metered_full),
];

const QUANTILES: [(&str, Of<Quantiles, f64>); 4] =
    [("p50", |q| q.p50_ms), ("p99", |q| q.p99_ms), ("p99.9", |q| q.p999_ms), ("worst", |q| q.max_ms)];

/// The part of the chapter.
pub fn section(context: &Context, workload: &Workload, cells: &[&Cell]) -> Result<Section, Fault> {
    let mut section = Section::part(format!("{}: latency", workload.name));
    let with: Vec<&&Cell> =
        cells.iter().filter(|cell| cell.measured().any(|measured| measured.latency.is_some())).collect();
    if with.is_empty() {
        section.say("The steps of this workload are not requests: there is no latency.");
        return Ok(section);
    }
    let line = |cell: &&&Cell| {
        let point = |(index, (_, of)): (usize, &(&str, Of<Quantiles, f64>))| {
            Some((index as f64, cell.median(|measured| Some(of(&measured.latency?.metered_100_ms)))?))
        };
        Own {
            name: cell.contestant.name.clone(),
            label: cell.label.clone(),
            points: QUANTILES.iter().enumerate().filter_map(point).collect(),
        }
    };
    let lines: Vec<Own> = with.iter().map(line).collect();
    let x = Scale::linear_at(-0.15, 3.15, &[0.0, 1.0, 2.0, 3.0], |place| {
        QUANTILES.get(place.round() as usize).map_or_else(String::new, |(name, _)| (*name).to_string())
    });
    let y = Scale::log_ms(lines.iter().flat_map(|line| &line.points).map(|point| point.1), 8);
    let about = format!("{}: metered latency", workload.name);
    let panels =
        panels(context, &about, (&x, "quantile of requests"), (&y, "metered latency, ms (log)"), &lines, true)?;
    section.blocks.push(Block::Figure(Figure {
        caption: "Latency metered over 100 ms: a request begins when it would have begun had those of 100 ms come smoothly, so that all that would have waited \
                  behind a stall count. Medians of the runs. Lower is better."
            .into(),
        panels,
        command: context.again.clone(),
    }));
    let wanted = [(0, 1), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 3)];
    let titles: Vec<String> =
        wanted.iter().map(|(kind, quantile)| format!("{} {}, ms", KINDS[*kind].0, QUANTILES[*quantile].0)).collect();
    let head: Vec<&str> = std::iter::once("").chain(titles.iter().map(String::as_str)).collect();
    let row = |cell: &&&Cell| -> Vec<Entry> {
        let values = wanted.iter().map(|(kind, quantile)| {
            let (of_kind, of) = (KINDS[*kind].1, QUANTILES[*quantile].1);
            entry(cell.sample(|measured| Some(of(&of_kind(&measured.latency?)))).as_ref())
        });
        std::iter::once(Entry::from(cell.label.as_str())).chain(values).collect()
    };
    section.table(&head, with.iter().map(row).collect());
    Ok(section)
}
