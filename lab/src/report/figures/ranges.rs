//! Rows of marks on one logarithmic axis of milliseconds.

use plotters::style::text_anchor::HPos;

use super::looks::Marker;
use super::scale::Scale;
use super::theme::Ink;
use super::{Fault, axes, line, mark, picture, width_of, write_text};

const WIDTH: u32 = 760;
const ROW: i32 = 22;

/// One row.
pub struct Row {
    /// Its name.
    pub label: String,
    /// Values that a line joins, in order of size.
    pub joined: Vec<(f64, Marker, Ink)>,
    /// Values that stand alone.
    pub alone: Vec<(f64, Marker, Ink)>,
}

/// Draws them.
pub fn draw(about: &str, x_title: &str, rows: &[Row]) -> Result<String, Fault> {
    let left = rows.iter().map(|row| width_of(&row.label)).max().unwrap_or(0).clamp(40, 200) + 12;
    let size = (WIDTH, 8 + 44 + (rows.len() as i32 * ROW) as u32);
    let values = rows.iter().flat_map(|row| row.joined.iter().chain(&row.alone)).map(|(value, _, _)| *value);
    let x = Scale::log_ms(values, 16);
    let y = Scale::linear_at(0.0, rows.len() as f64, &[], |_| String::new());
    let x_axis = x.clone();
    picture(size, about, |area| {
        let chart = axes(area, (x, x_title), (y, ""), left as u32)?;
        for (index, row) in rows.iter().enumerate() {
            let level = rows.len() as f64 - index as f64 - 0.5;
            let pixel = |value: f64| chart.backend_coord(&(x_axis.clamp(value), level));
            let middle = pixel(1.0).1;
            write_text(area, &row.label, (left - 4, middle), Ink::Text, HPos::Right)?;
            line(area, &[(left + 4, middle + ROW / 2), (WIDTH as i32 - 14, middle + ROW / 2)], Ink::Grid, 0, 1)?;
            for pair in row.joined.windows(2) {
                line(area, &[pixel(pair[0].0), pixel(pair[1].0)], pair[0].2, 0, 2)?;
            }
            for (value, marker, ink) in row.alone.iter().chain(&row.joined) {
                mark(area, *marker, pixel(*value), 4, *ink)?;
            }
        }
        Ok(())
    })
}
