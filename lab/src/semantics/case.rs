//! What a case is: a row of the matrix, with what it needs, does and means.

use super::cell::{BACKINGS, Backing, Cell, MODES, Mode};
use super::stage::Outcome;
use super::uffd;

/// One thing to try.
#[derive(Debug)]
pub struct Case {
    /// The name in the output. Never changes.
    pub name: &'static str,
    /// What is done, in one sentence.
    pub about: &'static str,
    /// Backings it makes sense on.
    pub backings: &'static [Backing],
    /// Modes it makes sense in.
    pub modes: &'static [Mode],
    /// What the kernel must have beside what backing and mode need.
    pub needs: &'static [Need],
    /// Whether it wants the machine for itself, because it changes a setting of the machine or is easily disturbed.
    pub alone: bool,
    /// Whether it switches KSM on, which somebody must switch off again.
    pub switches_ksm: bool,
    /// Whether it is known to hang here on some kernels, so that a hang is believed at once.
    pub may_hang: fn(&Cell) -> bool,
    /// Does it.
    pub run: fn(&Cell) -> Outcome,
    /// What the kernel's documentation or source leads one to expect.
    pub expected: fn(&Cell) -> String,
    /// What an observation means for a collector.
    pub means: fn(&str) -> &'static str,
}

/// Something a case needs of the kernel.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Write protection of the backing. Part of [`Case::USUAL`].
    Protection,
    /// A feature bit and its name.
    Feature(u64, &'static str),
    /// A version, and what came with it.
    Since(u32, u32, &'static str),
    /// `PAGEMAP_SCAN`.
    Scan,
}

impl Case {
    /// Every backing, every mode, write protection; the rest is to be filled in.
    pub const USUAL: Case = Case {
        name: "",
        about: "",
        backings: BACKINGS,
        modes: MODES,
        needs: &[Need::Protection],
        alone: false,
        switches_ksm: false,
        may_hang: |_| false,
        run: |_| Ok(String::new()),
        expected: |_| String::new(),
        means: |_| "",
    };

    /// Why the case cannot run in this cell, if it cannot.
    pub fn unsupported(&self, cell: &Cell) -> Option<String> {
        let facts = cell.facts;
        let missing = |need: &Need| match *need {
            Need::Protection => facts.offers_protection(cell.backing).err(),
            Need::Feature(bits, name) => (!facts.has(bits)).then(|| format!("no {name}")),
            Need::Since(major, minor, what) => {
                (!facts.since(major, minor)).then(|| format!("no {what} before {major}.{minor}"))
            }
            Need::Scan => facts.scan.err().map(|e| format!("PAGEMAP_SCAN: {e}")),
        };
        facts.offers_mode(cell.mode).err().or_else(|| self.needs.iter().find_map(missing))
    }
}

/// `WP_UNPOPULATED`.
pub const UNPOPULATED: Need = Need::Feature(uffd::FEATURE_WP_UNPOPULATED, "WP_UNPOPULATED");
