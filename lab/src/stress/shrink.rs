//! From a program that fails to a small one that still does.
//!
//! Delta debugging (Zeller & Hildebrandt, TSE 2002) over what a plan holds: lanes, configuration keys, and runs of
//! operations, at first half of them, in the end single ones. Threads interleave as they like, so a program that
//! fails does not fail every time: how often it does is measured first, and each candidate is tried often enough that
//! one which fails as often is hardly ever missed.

use std::time::{Duration, Instant};

use super::child::{self, Failure, Kind};
use super::plan::{Plan, keys};

/// Runs of the whole program that tell how often it fails.
const MEASURE: u32 = 6;

/// Keys that are never left out.
const KEPT_KEYS: [&str; 3] = ["mechanism", "backing", "limit"];

/// Looks for smaller programs for a limited time.
pub struct Shrinker<'a> {
    best: Plan,
    failure: Failure,
    until: Instant,
    patience: Duration,
    tries: u32,
    /// Told when a smaller program was found.
    progress: &'a dyn Fn(&Plan),
}

/// The smallest program found within `budget` that fails, and how it does. `failure` is how `plan` did.
pub fn shrink(
    plan: &Plan,
    failure: Failure,
    budget: Duration,
    patience: Duration,
    progress: &dyn Fn(&Plan),
) -> (Plan, Failure) {
    let until = Instant::now() + budget;
    let mut shrinker = Shrinker { best: plan.clone(), failure, until, patience, tries: 1, progress };
    shrinker.measure();
    shrinker.lanes();
    loop {
        let before = shrinker.best.clone();
        shrinker.operations();
        shrinker.lanes();
        shrinker.keys();
        if shrinker.best == before || shrinker.out_of_time() {
            return (shrinker.best, shrinker.failure);
        }
    }
}

impl Shrinker<'_> {
    fn out_of_time(&self) -> bool {
        Instant::now() >= self.until
    }

    /// One run of a candidate.
    fn fails_once(&self, plan: &Plan) -> Option<Failure> {
        match child::run(plan, self.patience) {
            Ok(Err(failure)) if failure.kind != Kind::Refused => Some(failure),
            _ => None,
        }
    }

    fn measure(&mut self) {
        let (mut failures, mut runs) = (0, 0);
        while runs < MEASURE && !self.out_of_time() {
            failures += u32::from(self.fails_once(&self.best).is_some());
            runs += 1;
        }
        // Three times as many runs as one failure takes: one in twenty candidates that fail as often is missed.
        self.tries = (3 * runs.max(1)).div_ceil(failures.max(1)).clamp(2, 12);
        if failures == runs {
            self.tries = 2;
        }
    }

    /// Takes the candidate if it fails.
    fn attempt(&mut self, candidate: Plan) -> bool {
        for _ in 0..self.tries {
            if self.out_of_time() {
                return false;
            }
            if let Some(failure) = self.fails_once(&candidate) {
                self.best = candidate;
                self.failure = failure;
                (self.progress)(&self.best);
                return true;
            }
        }
        false
    }

    fn lanes(&mut self) {
        for lane in (0..self.best.threads).rev() {
            let units = units(&self.best);
            let others: Vec<_> = units.iter().copied().filter(|unit| unit.1 != lane).collect();
            if others.len() < units.len() && !others.is_empty() {
                self.attempt(with_units(&self.best, &others));
            }
        }
    }

    fn keys(&mut self) {
        let all: Vec<String> = keys(&self.best.gc).map(|(name, _)| name.to_string()).collect();
        for name in all.iter().filter(|name| !KEPT_KEYS.contains(&name.as_str())) {
            let kept = keys(&self.best.gc).filter(|(key, _)| key != name);
            let gc: Vec<String> = kept.map(|(key, value)| format!("{key}={value}")).collect();
            self.attempt(Plan { gc: gc.join(","), ..self.best.clone() });
        }
    }

    fn operations(&mut self) {
        let mut size = units(&self.best).len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            loop {
                let units = units(&self.best);
                if start >= units.len() || self.out_of_time() {
                    break;
                }
                let mut fewer = units.clone();
                fewer.drain(start..units.len().min(start + size));
                if fewer.is_empty() || !self.attempt(with_units(&self.best, &fewer)) {
                    start += size;
                }
            }
            size /= 2;
        }
    }
}

/// The operations that are left, as place and lane, in the order of their places.
fn units(plan: &Plan) -> Vec<(usize, usize)> {
    (0..plan.ops)
        .flat_map(|at| (0..plan.threads).map(move |lane| (at, lane)))
        .filter(|(at, lane)| plan.keeps(*lane, *at))
        .collect()
}

/// The plan with those operations only.
fn with_units(plan: &Plan, units: &[(usize, usize)]) -> Plan {
    let mut keep = vec![Vec::<std::ops::Range<usize>>::new(); plan.threads];
    for (at, lane) in units {
        match keep[*lane].last_mut() {
            Some(range) if range.end == *at => range.end += 1,
            _ => keep[*lane].push(*at..*at + 1),
        }
    }
    Plan { keep: Some(keep), ..plan.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::plan::Wishes;

    #[test]
    fn a_plan_with_all_its_operations_named_keeps_them_all() {
        let wishes = Wishes { threads: Some(3), ops: Some(50), ..Wishes::default() };
        let plan = Plan::new(1, "async", "anon", &wishes);
        let all = units(&plan);
        assert_eq!(all.len(), 150);
        let named = with_units(&plan, &all);
        assert_eq!(named.keep, Some(vec![vec![0..50]; 3]));
        let fewer: Vec<_> = all.into_iter().filter(|(at, lane)| at % 10 == 3 && *lane != 1).collect();
        assert_eq!(units(&with_units(&named, &fewer)), fewer);
    }
}
