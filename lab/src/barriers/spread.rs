//! What the rounds gave, in four numbers.

use serde::Serialize;

/// Of one figure in all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// A quarter of the values is less.
    pub q1: f64,
    /// A quarter of the values is more.
    pub q3: f64,
    /// The least: what it costs when nothing else happens.
    pub min: f64,
}

impl Spread {
    /// Of some values; `None` of none. A quartile is the value at its rank, rounded to the nearest.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| tidy(values[(share * last as f64).round() as usize]);
        Some(Spread { median: at(0.5), q1: at(0.25), q3: at(0.75), min: at(0.0) })
    }
}

/// Picoseconds are the last that is told.
fn tidy(nanoseconds: f64) -> f64 {
    (nanoseconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rounds_does_not_matter() {
        let spread = Spread { median: 3.0, q1: 2.0, q3: 4.0, min: 1.0 };
        assert_eq!(Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]), Some(spread));
    }

    #[test]
    fn one_round_has_no_spread_and_none_has_no_figure() {
        assert_eq!(Spread::of(vec![7.0]), Some(Spread { median: 7.0, q1: 7.0, q3: 7.0, min: 7.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
