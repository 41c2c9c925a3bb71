//! Throughput against the worst step: every contestant in one picture, with its name.
//!
//! To the right is faster, further down is smoother. The mark is the worst step, the line from it ends at the step that one in a thousand exceeds.

use plotters::style::text_anchor::HPos;

use super::looks::Look;
use super::place::{Rect, place};
use super::scale::Scale;
use super::theme::Ink;
use super::{Fault, axes, line, mark, picture, width_of, write_text};

const SIZE: (u32, u32) = (800, 460);
const LEFT: u32 = 58;
/// Height of a name.
const HEIGHT: i32 = 15;

/// What the dashed line is.
const MACHINE: &str = "the machine itself: a thread that only sleeps";

/// One contestant.
pub struct Point {
    /// Its name.
    pub label: String,
    /// How it is drawn.
    pub look: Look,
    /// Steps a second.
    pub rate: f64,
    /// Its worst step.
    pub worst_ms: f64,
    /// One step in a thousand was longer.
    pub p999_ms: f64,
}

/// Draws them; `machine_ms` is the worst lateness of a thread that only sleeps.
pub fn draw(about: &str, points: &[Point], machine_ms: Option<f64>) -> Result<String, Fault> {
    let times = points.iter().flat_map(|point| [point.worst_ms, point.p999_ms]).chain(machine_ms);
    let y = Scale::log_ms(times, 12);
    let x = Scale::linear(0.0, points.iter().map(|point| point.rate), 8);
    let y_axis = y.clone();
    picture(SIZE, about, |area| {
        let chart = axes(area, (x, "steps a second"), (y, "worst step, ms (log)"), LEFT)?;
        let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
        let mut obstacles = Vec::new();
        let mut machine_level = None;
        if let Some(machine) = machine_ms {
            let (_, level) = chart.backend_coord(&(0.0, y_axis.clamp(machine)));
            line(area, &[(LEFT as i32 + 2, level), (width - 14, level)], Ink::Faint, 1, 1)?;
            machine_level = Some(level);
        }
        let pixel = |rate: f64, ms: f64| chart.backend_coord(&(rate, y_axis.clamp(ms)));
        for point in points {
            let (top, bottom) = (pixel(point.rate, point.worst_ms), pixel(point.rate, point.p999_ms));
            line(area, &[top, bottom], point.look.ink, 0, 1)?;
            line(area, &[(bottom.0 - 3, bottom.1), (bottom.0 + 3, bottom.1)], point.look.ink, 0, 1)?;
            obstacles.push(Rect(top.0 - 5, top.1 - 5, top.0 + 6, top.1 + 6));
            obstacles.push(Rect(bottom.0 - 1, top.1.min(bottom.1), bottom.0 + 2, top.1.max(bottom.1)));
        }
        if let Some(level) = machine_level {
            // Along the line, above or below it, wherever it covers least.
            let wide = width_of(MACHINE);
            let places = (LEFT as i32 + 8..=width - 18 - wide)
                .step_by(12)
                .flat_map(|left| [level - 9, level + 9].map(|middle| Rect(left, middle - 7, left + wide, middle + 7)));
            let covered = |rect: &Rect| obstacles.iter().map(|other| rect.shared(other)).sum::<i32>();
            if let Some(rect) = places.min_by_key(covered) {
                write_text(area, MACHINE, (rect.0, (rect.1 + rect.3) / 2), Ink::Faint, HPos::Left)?;
                obstacles.push(rect);
            }
        }
        let names: Vec<_> =
            points.iter().map(|point| (pixel(point.rate, point.worst_ms), width_of(&point.label))).collect();
        let within = Rect(LEFT as i32 + 4, 2, width - 4, height - 48);
        for ((point, (at, _)), rect) in points.iter().zip(&names).zip(place(&names, HEIGHT, within, &obstacles)) {
            let middle = (rect.1 + rect.3) / 2;
            // The end of the name that is nearer to the point.
            let near = (at.0.clamp(rect.0, rect.2), middle);
            if (near.0 - at.0).abs() + (near.1 - at.1).abs() > 18 {
                line(area, &[*at, near], Ink::Faint, 0, 1)?;
            }
            mark(area, point.look.marker, *at, 4, point.look.ink)?;
            write_text(area, &point.label, (rect.0, middle), point.look.ink, HPos::Left)?;
        }
        Ok(())
    })
}
