//! Medians, spreads, and what chance does to the ratio of two medians.
//!
//! A comparison has three to ten runs of each kind. With so few, a standard deviation describes nothing: the spread is what was seen, from the
//! least to the most. Two samples differ if their spreads do not touch. That is the strictest outcome of the test of Mann and Whitney
//! (1947), so how often chance alone does it is known exactly ([`chance_of_disjoint`]). The interval of the ratio is a bootstrap's
//! (Efron 1979): both samples are drawn again with replacement, and the middle 95 % of the ratios are the interval.

use crate::stress::random::Random;

/// How often the bootstrap draws.
const DRAWS: usize = 2_000;

/// What several runs of one kind said.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// In order of size; at least one.
    values: Vec<f64>,
}

impl Sample {
    /// Of those values that are numbers; `None` if there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Sample> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        if values.is_empty() { None } else { Some(Sample { values }) }
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        middle(&self.values)
    }

    /// The smallest.
    pub fn least(&self) -> f64 {
        self.values[0]
    }

    /// The largest.
    pub fn most(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Whether no value of one lies between values of the other.
    pub fn is_disjoint(&self, other: &Sample) -> bool {
        self.most() < other.least() || other.most() < self.least()
    }

    /// 95 % of the ratios of the medians, `self` to `before`, of samples drawn again from both.
    pub fn ratio_interval(&self, before: &Sample) -> (f64, f64) {
        let mut random = Random::new(self.count() as u64, before.count() as u64);
        let mut again = |sample: &Sample| {
            let mut drawn: Vec<f64> =
                (0..sample.count()).map(|_| sample.values[random.below(sample.count() as u64) as usize]).collect();
            drawn.sort_by(f64::total_cmp);
            middle(&drawn)
        };
        let mut ratios: Vec<f64> = (0..DRAWS).map(|_| again(self) / again(before)).collect();
        ratios.sort_by(f64::total_cmp);
        (ratios[DRAWS / 40], ratios[DRAWS - 1 - DRAWS / 40])
    }
}

fn middle(ordered: &[f64]) -> f64 {
    let half = ordered.len() / 2;
    if ordered.len() % 2 == 1 { ordered[half] } else { (ordered[half - 1] + ordered[half]) / 2.0 }
}

/// How likely samples of `n` and `m` values of the same distribution have spreads that do not touch: two of the `(n+m)!/(n! m!)`
/// equally likely orders.
pub fn chance_of_disjoint(n: usize, m: usize) -> f64 {
    (1..=n).fold(2.0, |chance, k| chance * k as f64 / (m + k) as f64)
}

/// The geometric mean; `None` of nothing.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        None
    } else {
        Some((values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::of(values.iter().copied()).expect("it has values")
    }

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(sample(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(sample(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!((sample(&[3.0, 1.0]).least(), sample(&[3.0, 1.0]).most()), (1.0, 3.0));
        assert_eq!(Sample::of([f64::NAN]), None);
    }

    #[test]
    fn the_chance_of_disjoint_spreads_is_that_of_counting_orders() {
        // Orders of three and three in which one kind comes first: 2 of 20.
        assert!((chance_of_disjoint(3, 3) - 0.1).abs() < 1e-12);
        assert!((chance_of_disjoint(5, 5) - 2.0 / 252.0).abs() < 1e-12);
        assert!((chance_of_disjoint(1, 1) - 1.0).abs() < 1e-12);
        assert!((chance_of_disjoint(2, 4) - 2.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn spreads_that_share_a_value_touch() {
        assert!(sample(&[1.0, 2.0]).is_disjoint(&sample(&[2.1, 3.0])));
        assert!(!sample(&[1.0, 2.0]).is_disjoint(&sample(&[2.0, 3.0])));
        assert!(!sample(&[1.0, 9.0]).is_disjoint(&sample(&[4.0, 5.0])));
    }

    #[test]
    fn an_interval_of_equal_values_is_their_ratio_and_one_of_others_holds_it() {
        assert_eq!(sample(&[4.0; 5]).ratio_interval(&sample(&[2.0; 3])), (2.0, 2.0));
        let (low, high) = sample(&[9.0, 10.0, 11.0, 10.5, 9.5]).ratio_interval(&sample(&[4.5, 5.0, 5.5, 5.2, 4.8]));
        assert!(low < 2.0 && 2.0 < high && low > 1.6 && high < 2.5, "{low} {high}");
    }

    #[test]
    fn a_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean(&[4.0, 0.25]).expect("it has values") - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }
}
