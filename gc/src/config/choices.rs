//! The values that are chosen by name: how much is logged, what is checked, which cycles are forced.

use std::fmt;

use super::sizes::whole;
use crate::cycle::phase::Phase;

/// How much the collector says on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Log {
    /// Nothing but warnings.
    #[default]
    Off,
    /// One line a cycle.
    Gc,
}

impl Log {
    /// Every value, in the order of [`Config::help`](super::Config::help).
    pub const ALL: [Self; 2] = [Self::Off, Self::Gc];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Gc => "gc",
        }
    }
}

/// Which cycles keep the marks of the one before, and so mark only what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sticky {
    /// As long as that pays.
    #[default]
    Auto,
    /// None.
    Off,
    /// Whenever possible: a full one only when one is asked for, or when what sticky ones cannot free fills the heap.
    Always,
}

impl Sticky {
    /// Every value, in the order of [`Config::help`](super::Config::help).
    pub const ALL: [Self; 3] = [Self::Auto, Self::Off, Self::Always];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Always => "always",
        }
    }
}

/// After which cycles the pages that were armed for it are disarmed until the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Disarm {
    /// While the program writes to so many of the pages that stay armed that their faults cost more.
    #[default]
    Auto,
    /// None.
    Off,
    /// All.
    Always,
}

impl Disarm {
    /// Every value, in the order of [`Config::help`](super::Config::help).
    pub const ALL: [Self; 3] = [Self::Auto, Self::Off, Self::Always];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Always => "always",
        }
    }
}

/// What is checked while collecting, at a price no production run wants to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Nothing.
    #[default]
    Off,
    /// In every pause the heap is traced again from its roots, and an object that the cycle missed is named, with its
    /// page and whether that page was reported as written.
    Mark,
    /// Before and after each cycle, with the mutators stopped, the heap's own structures are checked against each other: metadata, states
    /// and lists of blocks, large objects and free runs.
    Heap,
    /// Both.
    All,
}

impl Verify {
    /// Every value, in the order of [`Config::help`](super::Config::help).
    pub const ALL: [Self; 4] = [Self::Off, Self::Mark, Self::Heap, Self::All];

    /// Whether marks are traced again.
    pub const fn marks(self) -> bool {
        matches!(self, Self::Mark | Self::All)
    }

    /// Whether structures are checked.
    pub const fn structures(self) -> bool {
        matches!(self, Self::Heap | Self::All)
    }

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mark => "mark",
            Self::Heap => "heap",
            Self::All => "all",
        }
    }
}

/// Cycles nobody needs, at moments nobody would choose: how a test finds the root that was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Zeal {
    /// Cycles start only when the pacer says so.
    #[default]
    Off,
    /// A cycle is requested every so many allocations. Never zero in a [`Config`](super::Config).
    Alloc(u64),
    /// A cycle is requested every so many safepoints. Never zero in a [`Config`](super::Config).
    Safepoint(u64),
    /// One cycle follows another, and in each the mutators are stopped for a moment after this phase.
    Phase(Phase),
}

impl Zeal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::Off);
        }
        let (kind, every) = text.split_once(':')?;
        let every = every.trim();
        match kind.trim() {
            "alloc" => Some(Self::Alloc(whole(every)?)),
            "safepoint" => Some(Self::Safepoint(whole(every)?)),
            "phase" => Phase::ALL.into_iter().find(|phase| phase.name() == every).map(Self::Phase),
            _ => None,
        }
    }
}

impl fmt::Display for Zeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Alloc(every) => write!(f, "alloc:{every}"),
            Self::Safepoint(every) => write!(f, "safepoint:{every}"),
            Self::Phase(phase) => write!(f, "phase:{}", phase.name()),
        }
    }
}
