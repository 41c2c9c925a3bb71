//! Lines over two axes.

use plotters::series::LineSeries;
use plotters::style::{Color, ShapeStyle};

use super::looks::Look;
use super::scale::Scale;
use super::{Fault, axes, mark, picture};

/// Size of a panel: three fit beside each other on a desk, one on a telephone.
const SIZE: (u32, u32) = (380, 290);

/// Marks stand at least so far apart, in pixels.
const APART: i32 = 34;

/// One line.
pub struct Line {
    /// Its name in the legend.
    pub label: String,
    /// How it is drawn.
    pub look: Look,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    /// Whether every point has a mark; else there are some on the line, to tell it by.
    pub marks: bool,
}

/// Draws them.
pub fn draw(about: &str, x: (Scale, &str), y: (Scale, &str), lines: &[Line]) -> Result<String, Fault> {
    let (x_scale, y_scale) = (x.0.clone(), y.0.clone());
    picture(SIZE, about, |area| {
        let mut chart = axes(area, x, y, 56)?;
        let on_axes = |(x, y): &(f64, f64)| (x_scale.clamp(*x), y_scale.clamp(*y));
        for (number, line) in lines.iter().enumerate() {
            let style = ShapeStyle {
                color: line.look.ink.dashed(line.look.dash).to_rgba(),
                filled: false,
                stroke_width: line.look.width,
            };
            let points: Vec<(f64, f64)> = line.points.iter().map(on_axes).collect();
            chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(super::fault)?;
            // Lines that lie on each other have their marks at different places. The last point has one if no other has: a line of one point is seen by it alone.
            let offset = (number as i32 * 13) % APART;
            let mut last: Option<(i32, i32)> = None;
            for (index, point) in points.iter().enumerate() {
                let at = chart.backend_coord(point);
                let far = match last {
                    Some((x, y)) => (at.0 - x).abs() + (at.1 - y).abs() >= APART,
                    None => at.0 % APART >= offset || index + 1 == points.len(),
                };
                if line.marks || far {
                    mark(area, line.look.marker, at, 3, line.look.ink)?;
                    last = Some(at);
                }
            }
        }
        Ok(())
    })
}
