//! Rows of bars that begin at one: overheads.

use plotters::style::text_anchor::HPos;

use super::scale::Scale;
use super::theme::Ink;
use super::{Fault, axes, picture, rectangle, width_of, write_text};
use crate::report::numbers::number;

const WIDTH: u32 = 760;
const BAR: i32 = 14;

/// Bars that belong together.
pub struct Row {
    /// Whose they are.
    pub label: String,
    /// Each with its colour.
    pub bars: Vec<(f64, Ink)>,
}

/// Draws them.
pub fn draw(about: &str, x_title: &str, rows: &[Row]) -> Result<String, Fault> {
    let left = rows.iter().map(|row| width_of(&row.label)).max().unwrap_or(0).clamp(40, 200) + 12;
    let bars = rows.iter().map(|row| row.bars.len()).max().unwrap_or(1) as i32;
    let row_height = bars * BAR + 10;
    let size = (WIDTH, (8 + 44 + rows.len() as i32 * row_height) as u32);
    let largest = rows.iter().flat_map(|row| &row.bars).map(|(value, _)| *value).fold(1.0, f64::max);
    // Room for the number at the end of the longest.
    let x = Scale::linear(1.0, std::iter::once(1.0 + (largest - 1.0) * 1.08), 8);
    let y = Scale::linear_at(0.0, rows.len() as f64, &[], |_| String::new());
    let x_axis = x.clone();
    picture(size, about, |area| {
        let chart = axes(area, (x, x_title), (y, ""), left as u32)?;
        for (index, row) in rows.iter().enumerate() {
            let pixel =
                |value: f64| chart.backend_coord(&(x_axis.clamp(value), rows.len() as f64 - index as f64 - 0.5));
            let middle = pixel(1.0).1;
            write_text(area, &row.label, (left - 4, middle), Ink::Text, HPos::Right)?;
            for (place, (value, ink)) in row.bars.iter().enumerate() {
                let top = middle - bars * BAR / 2 + place as i32 * BAR;
                let end = pixel(*value).0;
                rectangle(area, (pixel(1.0).0, top + 1), (end.max(pixel(1.0).0 + 1), top + BAR - 1), *ink, 1.0)?;
                write_text(area, &number(*value), (end + 5, top + BAR / 2), Ink::Text, HPos::Left)?;
            }
        }
        Ok(())
    })
}
