//! How much faster or slower the machine was, and how that is taken out of what is compared.
//!
//! A virtual machine shares its processor and its caches with strangers, and an hour later everything on it may take a seventh longer. Runs
//! within one comparison have that in common, so the spread of a contestant does not show it, and two comparisons of the same programs differ where
//! neither program did. Statistics of single contestants cannot tell such a drift from a change. Their neighbours can: a round runs
//! everybody once, in a random order, within minutes, so what the machine does falls on all, and the peers' programs are the same
//! on both sides.
//!
//! The *reference* of a workload are the peers that are in it on both sides with the same version and the same heap, and were
//! right in every round. The value of a run is divided by the geometric mean of what the reference took, in wall time, in the
//! same workload and the same round; medians, intervals and verdicts are then of those quotients. Since both sides have the
//! same reference, its size cancels, and what is left of a ratio is how much more somebody changed than the peers did.
//! Per round and not per file: a bad hour is often shorter than a comparison. The geometric mean, since it weighs a
//! peer that takes twice as long in one of two runs alike whether it is fast or slow. Wall time for all three metrics that
//! have time in them: worst steps are single events, too wild to divide by. Memory is not divided: the machine does not change it.
//!
//! None of it is new. To compare within blocks that share their conditions is Fisher's ("The design of experiments", 1935); for machines in
//! somebody's cloud, rounds in random order are Abedi and Brecht's (ICPE 2017), and the quotient of what ran under the same
//! conditions is Bulej and others' ("Duet benchmarking", ICPE 2020). The geometric mean of several references that are supposed not to
//! change is how genes are counted (Vandesompele and others, Genome Biology 2002).
//!
//! What it cannot see. If most of the peers changed without a new version (their programs, the compiler that built them, a library),
//! that looks like a drift of the machine. A drift that hits those who wait for memory more than others is taken out by its mean, and
//! what is left is called a change of theirs; the range of the peers' own ratios shows how even it was. A peer is
//! compared with a reference that contains itself: of *n*, its own change appears as its power of 1 − 1/*n*. And each quotient has the noise of
//! the reference in it: that is why it takes several peers, and why verdicts in one workload are no independent ones. Chance makes as many as
//! it is said to on average, but in clusters.

use std::collections::{BTreeMap, BTreeSet};

use super::input::{Metric, Run};
use super::samples::Cell;
use super::statistics::{Sample, geometric_mean};

/// With fewer peers nothing is taken out: one that changed would be a large part of the reference.
pub const FEWEST_PEERS: usize = 5;

/// What the machine did in one workload between two results.
#[derive(Debug)]
pub struct Drift {
    /// How many peers the reference has.
    pub peers: usize,
    /// The geometric mean of the ratios of their median wall times, new over old.
    pub ratio: f64,
    /// The least and the largest of these ratios.
    pub range: (f64, f64),
    /// The reference in the new results.
    pub new: Reference,
    /// The same peers in the old ones.
    pub old: Reference,
}

/// What the peers took on one side: seconds, by round.
#[derive(Debug)]
pub struct Reference(BTreeMap<u64, f64>);

impl Drift {
    /// Between all that ran in a workload on both sides; `pairs` are those that can be compared, new and old.
    ///
    /// # Errors
    ///
    /// Says why there is no reference.
    pub fn of(new: &[Cell], old: &[Cell], pairs: &[(&Cell, &Cell)]) -> Result<Drift, String> {
        let (Some(now), Some(then)) = (rounds(new), rounds(old)) else {
            return Err("not all of its runs say in which round they were".to_string());
        };
        let mut peers = BTreeSet::new();
        let (mut new_times, mut old_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for (new, old) in pairs.iter().filter(|(new, old)| is_same_peer(new, old)) {
            let (Some(times), Some(before)) = (times(new, &now), times(old, &then)) else { continue };
            let (Some(median), Some(median_before)) = (median(&times), median(&before)) else { continue };
            peers.insert(&new.contestant.name);
            new_times.push(times);
            old_times.push(before);
            ratios.push(median / median_before);
        }
        match (geometric_mean(&ratios), Sample::of(ratios)) {
            (Some(ratio), Some(spread)) if peers.len() >= FEWEST_PEERS => Ok(Drift {
                peers: peers.len(),
                ratio,
                range: (spread.least(), spread.most()),
                new: Reference::of(&now, &new_times),
                old: Reference::of(&then, &old_times),
            }),
            _ => Err(format!(
                "{} of its peers had the same version and heap on both sides and were right in every round, and it takes {FEWEST_PEERS}",
                peers.len()
            )),
        }
    }
}

impl Reference {
    fn of(rounds: &BTreeSet<u64>, peers: &[BTreeMap<u64, f64>]) -> Reference {
        let mean = |round: &u64| {
            let times: Vec<f64> = peers.iter().filter_map(|times| times.get(round).copied()).collect();
            Some((*round, geometric_mean(&times)?))
        };
        Reference(rounds.iter().filter_map(mean).collect())
    }

    /// The runs of a cell as multiples of the reference in the same round.
    pub fn divides(&self, cell: &Cell, of: Metric) -> Option<Sample> {
        cell.sample_of_runs(|run, measured| Some(of(measured)? / self.0.get(&run.round?)?))
    }
}

/// The rounds that somebody ran in; `None` if a run does not say.
fn rounds(cells: &[Cell]) -> Option<BTreeSet<u64>> {
    cells.iter().flat_map(|cell| cell.runs.iter().chain(&cell.failed)).map(|run| run.round).collect()
}

/// Whether both are a peer that is known not to have changed.
fn is_same_peer(new: &Cell, old: &Cell) -> bool {
    let is_peer = !new.contestant.is_ours() && !old.contestant.is_ours();
    is_peer && new.contestant.version.is_some() && new.contestant.version == old.contestant.version
}

/// Wall times by round; `None` unless there is one of each round.
fn times(cell: &Cell, rounds: &BTreeSet<u64>) -> Option<BTreeMap<u64, f64>> {
    let time = |run: &&Run| Some((run.round?, run.usable()?.elapsed_s));
    let times: BTreeMap<u64, f64> = cell.runs.iter().filter_map(time).filter(|(_, seconds)| *seconds > 0.0).collect();
    // Two runs in a round are no round, whichever of them would be taken.
    (times.len() == rounds.len() && cell.runs.len() == rounds.len()).then_some(times)
}

fn median(times: &BTreeMap<u64, f64>) -> Option<f64> {
    Some(Sample::of(times.values().copied())?.median())
}
