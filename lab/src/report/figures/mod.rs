//! Pictures: each file draws one kind, as an `<svg>` element.
//!
//! ```text
//! theme.rs    colours, dashes, light and dark
//! looks.rs    who is drawn how, and in which panel
//! scale.rs    an axis
//! lines.rs    lines over two axes: distributions, utilisation, heap sizes, latency
//! scatter.rs  points with names: throughput against the worst step
//! place.rs    where names stand, so that none covers another
//! ranges.rs   rows of marks on one axis: pauses and stalls
//! bars.rs     rows of bars: overheads
//! gantt.rs    lanes of spans and counters over time: a cycle
//! ```
//!
//! The crate `plotters` lays out axes and writes the SVG. Nothing here computes a statistic.

pub mod bars;
pub mod gantt;
pub mod lines;
pub mod looks;
mod place;
pub mod ranges;
pub mod scale;
pub mod scatter;
pub mod theme;

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, ShapeStyle, TRANSPARENT, TextStyle};

use looks::Marker;
use scale::Scale;
use theme::Ink;

/// What goes wrong while drawing.
pub type Fault = Box<dyn std::error::Error>;

/// A drawing, in pixels.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Axes on a drawing.
pub type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

/// A point of a drawing.
type Pixel = (i32, i32);

/// Size of letters, in pixels.
const LETTER: f64 = 12.0;

/// The backend divides by this to get from a font's size to SVG's.
const FONT_RATIO: f64 = 1.24;

/// Draws `width` by `height` pixels; `about` is read to those who cannot see it.
pub fn picture(
    (width, height): (u32, u32),
    about: &str,
    draw: impl FnOnce(&Area) -> Result<(), Fault>,
) -> Result<String, Fault> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    let body = svg.split_once("<svg").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(_, body)| body);
    let about = super::html::escaped(about);
    Ok(theme::dressed(&format!(
        "<svg role=\"img\" aria-label=\"{about}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">{body}"
    )))
}

/// Axes with titles and a grid. `left` is the room for the labels of the vertical one.
pub fn axes<'a, 'b>(
    area: &'a Area<'b>,
    (x, x_title): (Scale, &str),
    (y, y_title): (Scale, &str),
    left: u32,
) -> Result<Chart<'a, 'b>, Fault> {
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(8).margin_right(14).margin_bottom(2).margin_left(2);
    let mut chart = builder.x_label_area_size(42).y_label_area_size(left).build_cartesian_2d(x, y).map_err(fault)?;
    chart
        .configure_mesh()
        .bold_line_style(Ink::Grid.colour())
        .light_line_style(TRANSPARENT)
        .axis_style(Ink::Faint.colour())
        .label_style(letters(Ink::Faint))
        .axis_desc_style(letters(Ink::Faint))
        .x_desc(x_title)
        .y_desc(y_title)
        .draw()
        .map_err(fault)?;
    Ok(chart)
}

/// Errors of the crate borrow from it; their text is enough.
fn fault(error: impl std::fmt::Display) -> Fault {
    error.to_string().into()
}

/// Text of the usual size.
fn letters(ink: Ink) -> TextStyle<'static> {
    ("sans-serif", LETTER * FONT_RATIO).into_font().color(&ink.colour())
}

/// About how wide a text is.
fn width_of(text: &str) -> i32 {
    (text.chars().count() as f64 * LETTER * 0.6).ceil() as i32
}

fn write_text(area: &Area, text: &str, at: Pixel, ink: Ink, horizontal: HPos) -> Result<(), Fault> {
    let style = letters(ink).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(text.to_string(), at, style)).map_err(fault)
}

fn line(area: &Area, points: &[Pixel], ink: Ink, dash: usize, width: u32) -> Result<(), Fault> {
    let style = ShapeStyle { color: ink.dashed(dash).to_rgba(), filled: false, stroke_width: width };
    area.draw(&PathElement::new(points.to_vec(), style)).map_err(fault)
}

fn rectangle(area: &Area, from: Pixel, to: Pixel, ink: Ink, opacity: f64) -> Result<(), Fault> {
    let style = ShapeStyle { color: ink.colour().mix(opacity), filled: true, stroke_width: 0 };
    area.draw(&Rectangle::new([from, to], style)).map_err(fault)
}

/// Draws a mark of about `size` pixels in each direction.
fn mark(area: &Area, marker: Marker, (x, y): Pixel, size: i32, ink: Ink) -> Result<(), Fault> {
    let full = ShapeStyle { color: ink.colour().to_rgba(), filled: true, stroke_width: 1 };
    let open = ShapeStyle { color: ink.colour().to_rgba(), filled: false, stroke_width: 2 };
    let inside = ShapeStyle { color: Ink::Page.colour().to_rgba(), filled: true, stroke_width: 1 };
    let s = size;
    let square = [(x - s, y - s), (x + s, y + s)];
    let polygon = |points: Vec<Pixel>| area.draw(&Polygon::new(points, full)).map_err(fault);
    match marker {
        Marker::Disc => area.draw(&Circle::new((x, y), s, full)).map_err(fault),
        Marker::Ring => {
            area.draw(&Circle::new((x, y), s, inside)).map_err(fault)?;
            area.draw(&Circle::new((x, y), s, open)).map_err(fault)
        }
        Marker::Square => area.draw(&Rectangle::new(square, full)).map_err(fault),
        Marker::Box => {
            area.draw(&Rectangle::new(square, inside)).map_err(fault)?;
            area.draw(&Rectangle::new(square, open)).map_err(fault)
        }
        Marker::Up => polygon(vec![(x, y - s - 1), (x + s + 1, y + s), (x - s - 1, y + s)]),
        Marker::Down => polygon(vec![(x, y + s + 1), (x + s + 1, y - s), (x - s - 1, y - s)]),
        Marker::Diamond => polygon(vec![(x, y - s - 1), (x + s + 1, y), (x, y + s + 1), (x - s - 1, y)]),
        Marker::Cross => {
            line(area, &[(x - s, y - s), (x + s, y + s)], ink, 0, 2)?;
            line(area, &[(x - s, y + s), (x + s, y - s)], ink, 0, 2)
        }
        Marker::Bar => line(area, &[(x, y - s - 2), (x, y + s + 2)], ink, 0, 2),
    }
}

/// A piece of a line or a mark, for a legend.
pub fn sample(look: &looks::Look, with_line: bool) -> Result<String, Fault> {
    let width = if with_line { 34 } else { 14 };
    picture((width, 14), "", |area| {
        if with_line {
            line(area, &[(0, 7), (width as i32, 7)], look.ink, look.dash, look.width)?;
        }
        mark(area, look.marker, (width as i32 / 2, 7), 3, look.ink)
    })
}
