//! Who is drawn how. A contestant looks the same in every picture of a report.
//!
//! Twenty lines in one picture cannot be told apart by anybody, so pictures of lines have three panels: the mechanisms of this collector, peers without a
//! virtual machine, and those with a runtime of their own. One mechanism of ours is in all of them, for comparison.

use super::theme::{COLOURS, Ink};
use crate::report::input::Contestant;

/// The mechanism that stands for this collector, if it ran.
const REFERENCE: &str = "async";

/// The shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A full circle.
    Disc,
    /// An empty one.
    Ring,
    /// A full square.
    Square,
    /// An empty one.
    Box,
    /// A triangle.
    Up,
    /// The other way round.
    Down,
    /// A square on its corner.
    Diamond,
    /// Two lines.
    Cross,
    /// An upright line.
    Bar,
}

const MARKERS: [Marker; 8] =
    [Marker::Disc, Marker::Square, Marker::Up, Marker::Diamond, Marker::Ring, Marker::Box, Marker::Down, Marker::Cross];

/// How one contestant is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its colour.
    pub ink: Ink,
    /// Its dash pattern.
    pub dash: usize,
    /// Its mark.
    pub marker: Marker,
    /// Width of its lines.
    pub width: u32,
}

/// Those that share a panel.
pub struct Group {
    /// What they have in common.
    pub title: &'static str,
    /// Their names.
    members: Vec<String>,
}

/// All of them.
pub struct Looks {
    groups: Vec<Group>,
    reference: Option<String>,
}

impl Looks {
    /// For those contestants.
    pub fn of(contestants: &[Contestant]) -> Looks {
        let ours: Vec<&Contestant> = contestants.iter().filter(|contestant| contestant.is_ours()).collect();
        let reference = ours.iter().find(|c| c.name == REFERENCE).or(ours.first()).map(|c| c.name.clone());
        let names = |wanted: &dyn Fn(&Contestant) -> bool| -> Vec<String> {
            let others = contestants.iter().filter(|c| wanted(c) && Some(&c.name) != reference.as_ref());
            others.map(|c| c.name.clone()).collect()
        };
        let native = |c: &Contestant| matches!(c.family.as_str(), "c" | "rust");
        let groups = vec![
            Group { title: "pagemark's mechanisms", members: names(&|c| c.is_ours()) },
            Group { title: "C and Rust", members: names(&|c| !c.is_ours() && native(c)) },
            Group { title: "Go, Java, OCaml", members: names(&|c| !c.is_ours() && !native(c)) },
        ];
        Looks { groups, reference }
    }

    /// The panels.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The mechanism that is in each panel.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Whether a contestant is drawn in a panel.
    pub fn is_in(&self, group: &Group, name: &str) -> bool {
        self.reference.as_deref() == Some(name) || group.members.iter().any(|member| member == name)
    }

    /// Whether a panel shows more than the mechanism that is in each, given who is there.
    pub fn is_worth_drawing(&self, group: &Group, mut names: impl Iterator<Item = impl AsRef<str>>) -> bool {
        names.any(|name| group.members.iter().any(|member| member == name.as_ref()))
    }

    /// How a contestant is drawn.
    pub fn look(&self, name: &str) -> Look {
        let place = |group: &Group| group.members.iter().position(|member| member == name);
        // The first look is that of the one in all panels.
        let number = self.groups.iter().find_map(place).map_or(0, |place| place + 1);
        Look {
            ink: Ink::Series(number),
            dash: number + number / COLOURS,
            marker: MARKERS[number % MARKERS.len()],
            width: if number == 0 { 3 } else { 2 },
        }
    }

    /// How a family is drawn where all contestants are in one picture.
    pub fn family(family: &str) -> Look {
        let families = ["pagemark", "c", "go", "java", "ocaml", "rust"];
        let number = families.iter().position(|name| *name == family).unwrap_or(families.len());
        Look { ink: Ink::Series(number), dash: 0, marker: MARKERS[number], width: 2 }
    }
}
