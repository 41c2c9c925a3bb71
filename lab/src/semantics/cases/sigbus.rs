//! Faults of several kinds on one page, and what a handler is told about them.

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Backing, Cell, Mode, SYNC};
use crate::semantics::errno::named;
use crate::semantics::memory::Fill;
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};
use crate::semantics::touch::{self, Touch};
use crate::semantics::uffd::{self, Event};

const MINOR: Need = Need::Feature(uffd::FEATURE_MINOR_SHMEM, "minor faults on shmem");

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "sigbus-kinds",
        about: "In SIGBUS mode, register for missing and write-protect faults; compare the signals of a missing and of a protected page.",
        modes: &[Mode::Sigbus],
        run: |cell| {
            let stage = both(cell, 0)?;
            let zeroes = vec![0; stage.memory.page];
            stage.uffd.copy(stage.memory.at(1), &zeroes, 0).map_err(|e| Stop::failed("UFFDIO_COPY", e))?;
            stage.arm(1..2)?;
            Ok(format!("protected: {}; missing: {}", signal(&stage, 1), signal(&stage, 2)))
        },
        expected: |_| "protected: SIGBUS BUS_ADRERR, to the byte; missing: SIGBUS BUS_ADRERR, to the byte".into(),
        means: |_| "The signal does not say whether the page was missing or protected: in SIGBUS mode register for one of the two only.",
        ..Case::USUAL
    },
    Case {
        name: "missing-then-protected",
        about: "Register for missing and write-protect faults; write to a page that is missing and is filled protected.",
        run: missing_then_protected,
        expected: |cell| {
            match cell.mode {
                Mode::Sigbus => "SIGBUS; filled: ok; SIGBUS",
                Mode::Sync | Mode::SyncUser => "missing event, event",
                // What is not there is "written", but on hugetlbfs.
                Mode::Async | Mode::AsyncUser if cell.backing == Backing::Hugetlb => "missing event, reported",
                Mode::Async | Mode::AsyncUser => "missing event, was reported before",
            }
            .into()
        },
        means: |_| "One page can go through both kinds of fault; filling protected leaves no moment in which a write goes unseen.",
        ..Case::USUAL
    },
    Case {
        name: "minor",
        about: "Register for minor faults, write the page through the file, then read it.",
        backings: &[Backing::MemfdShared],
        needs: &[MINOR],
        run: |cell| minor(cell, uffd::REGISTER_MINOR, 0, false),
        expected: |cell| if cell.mode == Mode::Sigbus { "SIGBUS" } else { "minor event" }.into(),
        means: |_| "A page that is in the file and not in the page table is a fault of its own kind, in every mode but SIGBUS.",
        ..Case::USUAL
    },
    Case {
        name: "minor-then-protected",
        about: "Register for minor and write-protect faults, fill the page through the file, write, and continue it protected.",
        backings: &[Backing::MemfdShared],
        needs: &[Need::Protection, MINOR, Need::Since(6, 4, "UFFDIO_CONTINUE_MODE_WP")],
        modes: &[Mode::Sync, Mode::SyncUser, Mode::Async, Mode::AsyncUser],
        run: |cell| minor(cell, uffd::REGISTER_MINOR | uffd::REGISTER_WP, uffd::FILL_PROTECTED, true),
        expected: |cell| {
            if cell.mode.is_async() { "minor event, was reported before" } else { "minor event, event" }.into()
        },
        means: |_| "Continuing protected leaves no moment in which a write goes unseen.",
        ..Case::USUAL
    },
    Case {
        name: "event-address",
        about: "Arm, write to byte 8 of a page, look at the event's address; again with EXACT_ADDRESS.",
        modes: SYNC,
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EXACT_ADDRESS, "EXACT_ADDRESS")],
        run: |cell| Ok(format!("usual: {}; exact: {}", address(cell, 0)?, address(cell, uffd::FEATURE_EXACT_ADDRESS)?)),
        expected: |_| "usual: the page's; exact: the byte's".into(),
        means: |_| "A fault thread can log cards finer than a page only with EXACT_ADDRESS.",
        ..Case::USUAL
    },
];

fn both<'a>(cell: &'a Cell<'a>, fill_mode: u64) -> Result<Stage<'a>, Stop> {
    let register = uffd::REGISTER_MISSING | uffd::REGISTER_WP;
    Stage::new(cell, Plan { fill: Fill::Untouched, register, fill_mode, ..Plan::USUAL })
}

fn signal(stage: &Stage, page: usize) -> String {
    let address = stage.memory.at(page) + 8;
    match touch::store(address, 2) {
        Touch::Done(_) => "unseen".into(),
        Touch::Signal(signal) => {
            let code = match signal.code {
                1 => "BUS_ADRALN",
                2 => "BUS_ADRERR",
                3 => "BUS_OBJERR",
                4 => "BUS_MCEERR_AR",
                _ => "another code",
            };
            let precision = if signal.address == address { "to the byte" } else { "to the page" };
            format!("{} {code}, {precision}", signal.name())
        }
    }
}

fn missing_then_protected(cell: &Cell) -> Outcome {
    let stage = both(cell, uffd::FILL_PROTECTED)?;
    let first = stage.write(1);
    if cell.mode != Mode::Sigbus {
        return Ok(first);
    }
    let zeroes = vec![0; stage.memory.page];
    let filled = named(stage.uffd.copy(stage.memory.at(1), &zeroes, uffd::FILL_PROTECTED));
    Ok(format!("{first}; filled: {filled}; {}", stage.write(1)))
}

fn minor(cell: &Cell, register: u64, fill_mode: u64, write: bool) -> Outcome {
    let features = uffd::FEATURE_MINOR_SHMEM;
    let stage = Stage::new(cell, Plan { fill: Fill::Untouched, register, features, fill_mode, ..Plan::USUAL })?;
    let alias = stage.memory.alias()?;
    touch::store(alias + stage.memory.page, 1);
    Ok(if write { stage.write(1) } else { stage.read(1) })
}

fn address(cell: &Cell, features: u64) -> Result<&'static str, Stop> {
    let stage = Stage::new(cell, Plan { features, ..Plan::USUAL })?;
    stage.arm(stage.memory.all())?;
    let at = stage.memory.at(1) + 8;
    touch::store(at, 2);
    Ok(match stage.take_events().first() {
        Some(Event::Fault(_, address)) if *address == at => "the byte's",
        Some(Event::Fault(_, address)) if *address == stage.memory.at(1) => "the page's",
        Some(_) => "another",
        None => "no event",
    })
}
