//! All figures of all rounds, and what they come to: the rows and controls of the result.

use std::collections::BTreeMap;

use pagemark_gc::barrier::Mechanism;
use pagemark_gc::memory::Backing;
use serde_json::{Value, json};

use super::bare;
use super::clock::Time;
use super::round::{Figures, WHAT};
use super::spread::Spread;

/// The mechanisms that arm pages, best first.
pub const MECHANISMS: [Mechanism; 4] = [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect];

/// What no barrier has a part in.
pub const CONTROLS: [&str; 2] = ["untracked-write", "first-touch"];

/// Who did it, in [`Table::add`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The collector's barrier.
    Ours,
    /// The system calls alone.
    Bare,
}

/// A place in the table: indices of the mechanism and the backing, threads, index of the kind, who.
type Place = (usize, usize, usize, usize, Who);

/// Figures by place.
#[derive(Default)]
pub struct Table {
    figures: BTreeMap<Place, Vec<Time>>,
    controls: BTreeMap<(usize, usize, usize), Vec<Time>>,
    unavailable: BTreeMap<(usize, usize), String>,
}

impl Table {
    /// The figures of a round.
    pub fn add(&mut self, mechanism: usize, backing: usize, threads: usize, who: Who, figures: Figures) {
        for (what, time) in figures.into_iter().enumerate() {
            self.figures.entry((mechanism, backing, threads, what, who)).or_default().push(time);
        }
    }

    /// The figures of the controls, in the order of [`CONTROLS`].
    pub fn add_controls(&mut self, backing: usize, threads: usize, times: [Time; CONTROLS.len()]) {
        for (what, time) in times.into_iter().enumerate() {
            self.controls.entry((backing, threads, what)).or_default().push(time);
        }
    }

    /// The mechanism has no rows on this backing. The first reason is the one that is told.
    pub fn refuse(&mut self, mechanism: usize, backing: usize, why: String) {
        self.unavailable.entry((mechanism, backing)).or_insert(why);
    }

    /// Whether it was refused.
    pub fn is_refused(&self, mechanism: usize, backing: usize) -> bool {
        self.unavailable.contains_key(&(mechanism, backing))
    }

    /// `rows` of the result.
    pub fn rows(&self) -> Vec<Value> {
        let ours = self.figures.iter().filter(|((.., who), _)| *who == Who::Ours);
        ours.filter(|((mechanism, backing, ..), _)| !self.is_refused(*mechanism, *backing))
            .map(|(&(mechanism, backing, threads, what, _), times)| {
                let bare = self.figures.get(&(mechanism, backing, threads, what, Who::Bare));
                let bare: &[Time] = bare.map_or(&[], Vec::as_slice);
                let (ours_ns, bare_ns) = (wall(times), wall(bare));
                let ratio = ours_ns.zip(bare_ns).map(|(ours, bare)| ours.median / bare.median);
                json!({
                    "mechanism": MECHANISMS[mechanism].name(),
                    "backing": Backing::ALL[backing].name(),
                    "threads": threads,
                    "what": WHAT[what],
                    "ours_ns": ours_ns,
                    "bare_ns": bare_ns,
                    "ratio": ratio.filter(|ratio| ratio.is_finite()).map(|ratio| (ratio * 1e3).round() / 1e3),
                    "ours_cpu_ns": cpu(times),
                    "bare_cpu_ns": cpu(bare),
                    "bare": bare::describe(MECHANISMS[mechanism], WHAT[what]),
                })
            })
            .collect()
    }

    /// `controls` of the result.
    pub fn controls(&self) -> Vec<Value> {
        let each = self.controls.iter().map(|(&(backing, threads, what), times)| {
            json!({
                "what": CONTROLS[what],
                "backing": Backing::ALL[backing].name(),
                "threads": threads,
                "ns": wall(times),
                "cpu_ns": cpu(times),
            })
        });
        each.collect()
    }

    /// `unavailable` of the result.
    pub fn unavailable(&self) -> Vec<Value> {
        let each = self.unavailable.iter().map(|(&(mechanism, backing), why)| {
            json!({ "mechanism": MECHANISMS[mechanism].name(), "backing": Backing::ALL[backing].name(), "why": why })
        });
        each.collect()
    }
}

fn wall(times: &[Time]) -> Option<Spread> {
    Spread::of(times.iter().map(|time| time.wall).collect())
}

fn cpu(times: &[Time]) -> Option<Spread> {
    Spread::of(times.iter().map(|time| time.cpu).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(nanoseconds: f64) -> Figures {
        [Time { wall: nanoseconds, cpu: nanoseconds }; WHAT.len()]
    }

    #[test]
    fn a_row_compares_the_medians_and_has_no_ratio_where_there_is_nothing_to_compare_with() {
        let mut table = Table::default();
        for nanoseconds in [30.0, 10.0, 20.0] {
            table.add(0, 0, 1, Who::Ours, figures(nanoseconds));
            table.add(0, 0, 1, Who::Bare, figures(nanoseconds / 2.0));
            table.add(0, 1, 1, Who::Ours, figures(nanoseconds));
        }
        let rows = table.rows();
        assert_eq!(rows.len(), 2 * WHAT.len());
        assert_eq!((&rows[0]["ours_ns"]["median"], &rows[0]["ratio"]), (&json!(20.0), &json!(2.0)));
        assert_eq!(
            (&rows[7]["backing"], &rows[7]["bare_ns"], &rows[7]["ratio"]),
            (&json!("shmem"), &json!(null), &json!(null))
        );
    }

    #[test]
    fn what_failed_in_a_later_round_has_no_rows() {
        let mut table = Table::default();
        table.add(3, 0, 1, Who::Ours, figures(1.0));
        table.refuse(3, 0, "no mappings left".into());
        table.refuse(3, 0, "another reason".into());
        assert_eq!(table.rows(), Vec::<Value>::new());
        assert_eq!(
            table.unavailable(),
            [json!({ "mechanism": "mprotect", "backing": "anon", "why": "no mappings left" })]
        );
    }
}
