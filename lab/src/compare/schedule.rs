//! How the time is spent: the order of runs in a round, and how many rounds there are.
//!
//! Contestants are interleaved: each round runs everything once, in an order of its own, so that what the machine does for a minute falls on all alike. The first round
//! says how long things take. What is left of the time is spent in this order: two more rounds, since a median of fewer than three is none; points of
//! the heap-size curves, the most telling ones first; more rounds.

use crate::stress::random::Random;

/// No fewer rounds, unless somebody asked for fewer.
pub const FEWEST: u32 = 3;
/// More rounds tell little more.
pub const MOST: u32 = 10;
/// Points of a curve are not run more often.
const MOST_CURVES: u32 = 3;

/// What follows the first round.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds in all, the first one included.
    pub rounds: u32,
    /// How many of the points of curves there is time for, from the first on.
    pub points: usize,
    /// In how many of the rounds they are run.
    pub curve_rounds: u32,
}

impl Plan {
    /// So many rounds, however long they take.
    pub fn of_rounds(rounds: u32, points: usize) -> Plan {
        // The first round has none.
        Plan { rounds, points, curve_rounds: (rounds - 1).clamp(1, MOST_CURVES) }
    }

    /// For `left` seconds, when a round takes `round` and the points of curves as long as they say, in the order in which they matter.
    pub fn of_time(left: f64, round: f64, points: &[f64], fewest: u32, most: u32) -> Plan {
        let spare = (left - f64::from(fewest - 1) * round).max(0.0);
        let mut sum = 0.0;
        let fits = |point: &&f64| {
            sum += **point;
            sum <= spare
        };
        let kept = points.iter().take_while(fits).count();
        let once: f64 = points[..kept].iter().sum();
        // Half of what is spare, if one round of them is not more than that already.
        let curve_rounds = if once > 0.0 { ((spare / 2.0 / once) as u32).clamp(1, MOST_CURVES) } else { 0 };
        let rest = (spare - f64::from(curve_rounds) * once).max(0.0);
        let rounds = fewest + (rest / round.max(0.001)).min(f64::from(most)) as u32;
        let rounds = rounds.min(most);
        Plan { rounds, points: kept, curve_rounds: curve_rounds.min((rounds - 1).max(1)) }
    }

    /// Whether the points of curves are run in that round, counted from 0.
    pub fn has_curves(&self, round: u32) -> bool {
        round > 0 && round <= self.curve_rounds
    }
}

/// Puts a round's runs into an order of its own.
pub fn shuffle<T>(runs: &mut [T], seed: u64, round: u32) {
    let mut random = Random::new(seed, u64::from(round));
    for last in (1..runs.len()).rev() {
        runs.swap(last, random.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rounds_come_first_then_curves_then_more_rounds() {
        let points = [10.0; 6];
        let plan = |left| Plan::of_time(left, 100.0, &points, FEWEST, MOST);
        assert_eq!(plan(0.0), Plan { rounds: 3, points: 0, curve_rounds: 0 }, "a median needs three");
        assert_eq!(plan(225.0), Plan { rounds: 3, points: 2, curve_rounds: 1 }, "some points do not fit");
        assert_eq!(plan(260.0), Plan { rounds: 3, points: 6, curve_rounds: 1 });
        assert_eq!(plan(440.0), Plan { rounds: 4, points: 6, curve_rounds: 2 });
        assert_eq!(plan(1e6), Plan { rounds: 10, points: 6, curve_rounds: 3 });
    }

    #[test]
    fn all_of_it_takes_no_longer_than_there_is_time() {
        for left in (200..3000).step_by(7) {
            let plan = Plan::of_time(f64::from(left), 97.0, &[31.0, 12.0, 55.0, 3.0], FEWEST, MOST);
            let points: f64 = [31.0, 12.0, 55.0, 3.0][..plan.points].iter().sum();
            let takes = f64::from(plan.rounds - 1) * 97.0 + f64::from(plan.curve_rounds) * points;
            assert!(takes <= f64::from(left), "{left}: {plan:?}");
            assert!(plan.curve_rounds < plan.rounds, "{left}: {plan:?}");
        }
    }

    #[test]
    fn a_round_has_all_runs_in_an_order_that_the_seed_gives() {
        let order = |seed, round| {
            let mut runs: Vec<u32> = (0..20).collect();
            shuffle(&mut runs, seed, round);
            runs
        };
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        let mut sorted = order(3, 3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
