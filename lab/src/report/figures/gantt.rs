//! Lanes of spans over time, and counters under them.

use plotters::style::text_anchor::HPos;

use super::scale::Scale;
use super::theme::Ink;
use super::{Fault, axes, line, picture, rectangle, width_of, write_text};
use crate::report::numbers::short;

const WIDTH: u32 = 1160;
const ROW: i32 = 20;
const GAP: i32 = 8;
const COUNTER: i32 = 54;

/// Something that lasted.
pub struct Span {
    /// When it began, in milliseconds.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// In how many others it lies.
    pub depth: usize,
    /// What stands in it, if there is room.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// Whether it is drawn empty: there are more kinds than colours.
    pub open: bool,
}

/// What one thread did.
pub struct Lane {
    /// Whose it is.
    pub name: String,
    /// What it did.
    pub spans: Vec<Span>,
}

/// A number over time.
pub struct Counter {
    /// What is counted.
    pub name: String,
    /// Each value holds from its time, in milliseconds, until the next.
    pub points: Vec<(f64, f64)>,
}

impl Lane {
    fn rows(&self) -> i32 {
        self.spans.iter().map(|span| span.depth as i32 + 1).max().unwrap_or(1)
    }
}

/// Draws them from 0 to `end` milliseconds.
pub fn draw(about: &str, end: f64, lanes: &[Lane], counters: &[Counter]) -> Result<String, Fault> {
    let names = lanes.iter().map(|lane| &lane.name).chain(counters.iter().map(|counter| &counter.name));
    let left = names.map(|name| width_of(name)).max().unwrap_or(0).clamp(40, 220) + 12;
    let lanes_height: i32 = lanes.iter().map(|lane| lane.rows() * ROW + GAP).sum();
    let height = 8 + 44 + GAP + lanes_height + counters.len() as i32 * COUNTER;
    let x = Scale::linear(0.0, std::iter::once(end / 1.08), 12);
    let y = Scale::linear_at(0.0, 1.0, &[], |_| String::new());
    let right = WIDTH as i32 - 14;
    picture((WIDTH, height as u32), about, |area| {
        let chart = axes(area, (x, "ms since the first event of the cycle"), (y, ""), left as u32)?;
        let across = |at: f64| chart.backend_coord(&(at, 0.0)).0;
        let mut top = 8 + GAP;
        for lane in lanes {
            let bottom = top + lane.rows() * ROW;
            write_text(area, &lane.name, (left - 4, (top + bottom) / 2), Ink::Text, HPos::Right)?;
            for span in &lane.spans {
                let from = across(span.from);
                let to = across(span.to).max(from + 1);
                let row = top + span.depth as i32 * ROW;
                rectangle(area, (from, row + 1), (to, row + ROW - 1), span.ink, if span.open { 0.06 } else { 0.32 })?;
                line(area, &[(from, row + 1), (from, row + ROW - 1)], span.ink, 0, 2)?;
                if span.open {
                    let (upper, lower) = (row + 1, row + ROW - 2);
                    line(area, &[(from, upper), (to, upper), (to, lower), (from, lower)], span.ink, 0, 1)?;
                }
                if width_of(&span.name) + 8 < to - from {
                    write_text(area, &span.name, (from + 5, row + ROW / 2), Ink::Text, HPos::Left)?;
                }
            }
            line(area, &[(left + 4, bottom + GAP / 2), (right, bottom + GAP / 2)], Ink::Grid, 0, 1)?;
            top = bottom + GAP;
        }
        for counter in counters {
            let most = counter.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            let floor = top + COUNTER - 8;
            let level = |value: f64| {
                floor - if most > 0.0 { (value / most * f64::from(COUNTER - 22)).round() as i32 } else { 0 }
            };
            write_text(area, &counter.name, (left - 4, top + COUNTER / 2 - 8), Ink::Text, HPos::Right)?;
            write_text(
                area,
                &format!("≤ {}", counted(&counter.name, most)),
                (left - 4, top + COUNTER / 2 + 7),
                Ink::Faint,
                HPos::Right,
            )?;
            let mut steps = Vec::new();
            for (index, (at, value)) in counter.points.iter().enumerate() {
                let until = counter.points.get(index + 1).map_or(end, |next| next.0);
                steps.extend([(across(*at), level(*value)), (across(until), level(*value))]);
            }
            line(area, &steps, Ink::Series(1), 0, 2)?;
            line(area, &[(left + 4, floor + 4), (right, floor + 4)], Ink::Grid, 0, 1)?;
            top += COUNTER;
        }
        Ok(())
    })
}

/// Bytes are too many to read.
fn counted(name: &str, value: f64) -> String {
    if name.contains("bytes") {
        format!("{} MB", short(crate::report::numbers::megabytes(value)))
    } else {
        short(value)
    }
}
