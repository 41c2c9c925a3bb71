//! An axis, linear or logarithmic, with ticks at round numbers.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::report::numbers::compact;

/// Nothing shorter was measured: times are kept to the microsecond, which is this in milliseconds.
const SMALLEST: f64 = 0.001;

/// From where to where, and what is written at it.
#[derive(Clone, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<f64>,
    write: fn(f64) -> String,
}

impl Scale {
    /// A logarithmic axis around those values, with at most so many ticks.
    pub fn log(values: impl Iterator<Item = f64>, most: usize) -> Scale {
        let (least, largest) = bounds(values).unwrap_or((1.0, 10.0));
        let (least, largest) = (least.max(1e-12), largest.max(1e-12));
        let round = |value: f64, up: bool| {
            let decade = 10f64.powf(value.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
            if up {
                steps.into_iter().find(|step| *step >= value * 1.02).unwrap_or(decade * 20.0)
            } else {
                steps.into_iter().rev().find(|step| *step <= value * 0.98).unwrap_or(decade / 2.0)
            }
        };
        let (from, to) = (round(least, false), round(largest, true));
        Scale { from, to, log: true, ticks: log_ticks(from, to, most), write: compact }
    }

    /// The same for times in milliseconds, of which those that were measured as nothing are drawn as the shortest.
    pub fn log_ms(values: impl Iterator<Item = f64>, most: usize) -> Scale {
        Scale::log(values.map(|value| value.max(SMALLEST)), most)
    }

    /// A logarithmic axis between two values, with ticks where somebody says.
    pub fn log_at(from: f64, to: f64, ticks: &[f64]) -> Scale {
        Scale { from, to, log: true, ticks: ticks.to_vec(), write: compact }
    }

    /// A linear axis from `least` to above those values.
    pub fn linear(least: f64, values: impl Iterator<Item = f64>, most: usize) -> Scale {
        let largest = bounds(values).map_or(least + 1.0, |(_, largest)| largest);
        let span = if largest > least { largest - least } else { least.abs().max(1.0) * 0.1 };
        let step = step_of(span, most);
        let count = (span * 1.04 / step).ceil() as usize;
        let ticks: Vec<f64> = (0..=count).map(|k| least + k as f64 * step).collect();
        Scale { from: least, to: least + span * 1.08, log: false, ticks, write: compact }.clipped()
    }

    /// A linear axis between two values, with ticks where somebody says.
    pub fn linear_at(from: f64, to: f64, ticks: &[f64], write: fn(f64) -> String) -> Scale {
        Scale { from, to, log: false, ticks: ticks.to_vec(), write }
    }

    /// The same axis with other text at its ticks.
    pub fn written(self, write: fn(f64) -> String) -> Scale {
        Scale { write, ..self }
    }

    /// The nearest value on it.
    pub fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.from, self.to)
    }

    fn clipped(mut self) -> Scale {
        let to = self.to;
        self.ticks.retain(|tick| *tick <= to);
        self
    }

    fn share(&self, value: f64) -> f64 {
        let value = self.clamp(value);
        if self.log {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }
}

/// The least and the largest of the finite ones.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |bounds, value| {
        let (least, largest) = bounds.unwrap_or((value, value));
        Some((f64::min(least, value), f64::max(largest, value)))
    })
}

fn step_of(span: f64, most: usize) -> f64 {
    let rough = span / most.max(1) as f64;
    let decade = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * decade)
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(decade * 10.0)
}

/// As many as fit of: 1, 2 and 5 in each decade; each decade; every second, third and so on.
fn log_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let first = (from * 1.0001).log10().floor() as i32;
    let last = (to * 1.0001).log10().floor() as i32;
    let within = |tick: &f64| *tick >= from * 0.9999 && *tick <= to * 1.0001;
    // In this way, since powers of ten below one are not exact.
    let power = |k: i32| if k >= 0 { 10f64.powi(k) } else { 1.0 / 10f64.powi(-k) };
    let fine: Vec<f64> = (first..=last).flat_map(|k| [1.0, 2.0, 5.0].map(|s| s * power(k))).filter(within).collect();
    if fine.len() <= most {
        return fine;
    }
    let decades: Vec<f64> = (first..=last).map(power).filter(within).collect();
    let every = decades.len().div_ceil(most.max(1)).max(1);
    decades.into_iter().step_by(every).collect()
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + ((f64::from(limit.1 - limit.0)) * self.share(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(value: &f64) -> String {
        compact(*value)
    }

    fn format_ext(&self, value: &f64) -> String {
        (self.write)(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_holds_its_values_and_has_round_ticks() {
        let scale = Scale::log([0.03, 41.0].into_iter(), 12);
        assert_eq!(scale.range(), 0.02..50.0);
        assert_eq!(scale.ticks, [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(Scale::log([0.03, 41.0].into_iter(), 5).ticks, [0.1, 1.0, 10.0]);
        assert_eq!((scale.map(&0.02, (0, 100)), scale.map(&1.0, (0, 100)), scale.map(&50.0, (100, 0))), (0, 50, 0));
    }

    #[test]
    fn a_linear_axis_begins_where_it_is_told_and_ends_above_its_values() {
        let scale = Scale::linear(0.0, [3.0, 87.0].into_iter(), 6);
        assert_eq!(scale.ticks, [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert!(scale.range().end > 87.0);
    }

    #[test]
    fn no_values_and_equal_values_make_an_axis_too() {
        assert!(!Scale::log(std::iter::empty(), 5).ticks.is_empty());
        let scale = Scale::linear(1.0, [1.0].into_iter(), 5);
        assert!(scale.range().end > 1.0 && scale.ticks.len() > 1);
    }
}
