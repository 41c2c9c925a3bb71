//! A plan: all that determines one run, short enough for a command line.
//!
//! It is a seed, sizes, the collector's configuration and, once it was shrunk, which operations are left. A child
//! process gets it as one argument, and so does whoever wants to see a failure again.

use std::ops::Range;

use clap::ValueEnum;
use pagemark::__private::Defect as CollectorDefect;
use serde::{Deserialize, Serialize};

use super::program::MOST_LANES;
use super::random::Random;

/// The mechanisms, in the order in which programs take turns. Not `none`: a random program in a small heap that is not collected runs out
/// of memory, and that is all.
pub const MECHANISMS: [&str; 6] = ["async", "sync", "sigbus", "mprotect", "cards", "stop"];
/// The backings.
pub const BACKINGS: [&str; 2] = ["anon", "shmem"];

/// What the collector does wrong on purpose, to see whether it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Some pages are never armed
    SkipArming,
    /// Some reports of written pages are dropped
    DropDirtyPage,
    /// Objects are marked before their pages are armed
    MarkBeforeArming,
    /// No mistake: mark stacks of eight entries, which overflow all the time
    TinyMarkStack,
}

impl From<Defect> for CollectorDefect {
    fn from(defect: Defect) -> CollectorDefect {
        match defect {
            Defect::SkipArming => CollectorDefect::SkipArming,
            Defect::DropDirtyPage => CollectorDefect::DropDirtyPage,
            Defect::MarkBeforeArming => CollectorDefect::MarkBeforeArming,
            Defect::TinyMarkStack => CollectorDefect::TinyMarkStack,
        }
    }
}

/// One run.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Plan {
    /// What the program is computed from.
    pub seed: u64,
    /// Lanes.
    pub threads: usize,
    /// Operations of each lane.
    pub ops: usize,
    /// Phases; all lanes meet at the end of each, and the heap is checked.
    pub phases: usize,
    /// The collector's configuration.
    pub gc: String,
    /// Operations that would fork do nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub no_fork: bool,
    /// What the collector does wrong on purpose; or what makes its work hard.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub defect: Option<Defect>,
    /// For each lane the ranges of operations that are left; without, all are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep: Option<Vec<Vec<Range<usize>>>>,
    /// Instead of phases: run the program over and over for so many cycles, and see whether memory grows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flat: Option<u64>,
}

/// What the user fixed; the seed chooses the rest.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Lanes.
    pub threads: Option<usize>,
    /// Operations of each lane.
    pub ops: Option<usize>,
    /// Configuration keys, which win over those the seed chose.
    pub gc: String,
    /// No forks.
    pub no_fork: bool,
    /// What the collector shall do wrong.
    pub defect: Option<Defect>,
}

impl Plan {
    /// The plan of a seed. Mechanism and backing are not the seed's to choose.
    pub fn new(seed: u64, mechanism: &str, backing: &str, wishes: &Wishes) -> Plan {
        let mut random = Random::new(seed, u64::MAX);
        let threads = random.within(1, MOST_LANES as u64) as usize;
        let ops = random.choose(&[500, 2_000, 2_000, 5_000, 10_000, 40_000]) as usize;
        let phases = random.within(1, 6) as usize;
        let tiny = random.one_in(8);
        let gc = with_keys(&fuzzed(&mut random, mechanism, backing), &wishes.gc);
        Plan {
            seed,
            threads: wishes.threads.unwrap_or(threads),
            ops: wishes.ops.unwrap_or(ops),
            phases,
            gc,
            no_fork: wishes.no_fork,
            defect: wishes.defect.or(tiny.then_some(Defect::TinyMarkStack)),
            keep: None,
            flat: None,
        }
    }

    /// Whether operation `at` of lane `lane` is left.
    pub fn keeps(&self, lane: usize, at: usize) -> bool {
        match &self.keep {
            None => true,
            Some(lanes) => lanes.get(lane).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&at))),
        }
    }

    /// How many operations are left in all lanes.
    pub fn operations(&self) -> usize {
        match &self.keep {
            None => self.threads * self.ops,
            Some(lanes) => lanes.iter().flatten().map(|range| range.len()).sum(),
        }
    }

    /// The plan as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers can always be written as JSON")
    }

    /// A value of the configuration.
    pub fn key(&self, name: &str) -> Option<&str> {
        keys(&self.gc).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// A configuration nobody would choose, mostly: small heaps, few or no rounds, cycles at odd moments.
fn fuzzed(random: &mut Random, mechanism: &str, backing: &str) -> String {
    let mut keys = vec![format!("mechanism={mechanism}"), format!("backing={backing}")];
    let limit = random.choose(&[6, 12, 24, 64]);
    keys.push(format!("limit={limit}M"));
    keys.push(format!("heap={}M", random.within(1, limit.min(16))));
    if random.one_in(2) {
        keys.push(format!("growth={}", random.choose(&["1.1", "1.3", "2.0", "4.0"])));
    }
    keys.push(format!("markers={}", random.within(1, 4)));
    if random.one_in(2) {
        keys.push(format!("rounds={}", random.choose(&[0, 1, 2, 5, 100])));
    }
    for key in ["sticky", "disarm"] {
        keys.push(format!("{key}={}", random.choose(&["auto", "off", "always"])));
    }
    match random.below(5) {
        0 => {}
        4 => {
            let phases = ["handshake", "arm", "mark", "round", "pause", "sweep"];
            keys.push(format!("zeal=phase:{}", random.choose(&phases)));
        }
        1 => keys.push(format!("zeal=safepoint:{}", random.choose(&[5, 50, 500]))),
        _ => keys.push(format!("zeal=alloc:{}", random.choose(&[1, 3, 20, 200]))),
    }
    if random.one_in(2) {
        keys.push(format!("verify={}", random.choose(&["mark", "heap", "all"])));
    }
    if random.one_in(4) {
        keys.push("poison".to_string());
    }
    if random.one_in(4) && !["cards", "stop"].contains(&mechanism) {
        keys.push("oracle".to_string());
    }
    keys.join(",")
}

/// The keys and values of a configuration's text.
pub fn keys(gc: &str) -> impl Iterator<Item = (&str, &str)> {
    gc.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "true")))
}

/// `gc` with the keys of `wished` in place of its own.
pub fn with_keys(gc: &str, wished: &str) -> String {
    let kept = keys(gc).filter(|(name, _)| keys(wished).all(|(other, _)| other.trim() != name.trim()));
    let all: Vec<String> =
        kept.chain(keys(wished)).map(|(name, value)| format!("{}={}", name.trim(), value.trim())).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_a_configuration_that_is_one() {
        for seed in 0..500 {
            let plan = Plan::new(seed, "async", "anon", &Wishes::default());
            let config = pagemark::Config::parse(&plan.gc);
            assert!(config.is_ok(), "{}: {config:?}", plan.gc);
        }
    }

    #[test]
    fn a_plan_survives_its_text_form() {
        let mut plan = Plan::new(3, "sync", "shmem", &Wishes::default());
        plan.keep = Some(vec![vec![0..3, 7..9], vec![]]);
        assert_eq!(serde_json::from_str::<Plan>(&plan.to_json()).expect("it was written just now"), plan);
        assert_eq!(plan.operations(), 5);
        assert!(plan.keeps(0, 7) && !plan.keeps(0, 3) && !plan.keeps(1, 0) && !plan.keeps(2, 0));
    }

    #[test]
    fn what_the_user_wishes_wins() {
        let gc = with_keys("mechanism=async,heap=4M,markers=2", "heap = 2M, summary");
        assert_eq!(gc, "mechanism=async,markers=2,heap=2M,summary=true");
    }
}
