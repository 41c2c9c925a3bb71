//! Read-write protection (7.3): pages that fault on any access.
//!
//! It is a mode of registration of its own, `UFFDIO_REGISTER_MODE_RWP`, with a request of its own, and uses the page table's
//! one tracking bit, which it cannot share with write protection.

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Cell, Mode};
use crate::semantics::errno::named;
use crate::semantics::stage::{Plan, Stage, Stop};
use crate::semantics::uffd;

const NEEDS: &[Need] = &[Need::Feature(uffd::FEATURE_RWP, "read-write protection")];

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "rwp-read",
        about: "Register for read-write protection, protect, read, then write.",
        needs: NEEDS,
        run: |cell| {
            let stage = protected(cell)?;
            let read = stage.read(1);
            Ok(format!("read: {read}; write elsewhere: {}", shown(&stage, 2)))
        },
        expected: |cell| format!("read: {0}; write elsewhere: {0}", fault(cell)),
        means,
        ..Case::USUAL
    },
    Case {
        name: "rwp-with-wp",
        about: "Register for read-write protection and write protection together.",
        needs: NEEDS,
        run: |cell| {
            let stage = Stage::new(cell, Plan { register: 0, features: features(cell), ..Plan::USUAL })?;
            let both = uffd::REGISTER_RWP | uffd::REGISTER_WP;
            Ok(named(stage.uffd.register(stage.memory.base, stage.memory.len(), both)))
        },
        expected: |_| "EINVAL".into(),
        means: |_| "The two protections share a bit of the page table: a range has one or the other.",
        ..Case::USUAL
    },
];

fn means(observed: &str) -> &'static str {
    if observed.contains("unseen") {
        "The kernel resolves the access itself and the page's accessed bit is the record: what is cold can be found, for evacuation."
    } else {
        "Reads can be intercepted: a load barrier without instructions, at the price of a fault."
    }
}

fn features(cell: &Cell) -> u64 {
    uffd::FEATURE_RWP | if cell.mode.is_async() { uffd::FEATURE_RWP_ASYNC } else { 0 }
}

fn fault(cell: &Cell) -> &'static str {
    match cell.mode {
        Mode::Sync | Mode::SyncUser => "read-write event",
        Mode::Sigbus => "SIGBUS",
        Mode::Async | Mode::AsyncUser => "unseen",
    }
}

fn protected<'a>(cell: &'a Cell<'a>) -> Result<Stage<'a>, Stop> {
    let plan = Plan { register: uffd::REGISTER_RWP, features: features(cell), ..Plan::USUAL };
    let stage = Stage::new(cell, plan)?;
    let (start, len) = stage.memory.span(&stage.memory.all());
    stage.uffd.read_write_protect(start, len, uffd::PROTECT).map_err(|e| Stop::failed("UFFDIO_RWPROTECT", e))?;
    Ok(stage)
}

/// What a write shows, where the scan's notion of written has no meaning.
fn shown(stage: &Stage, page: usize) -> String {
    use crate::semantics::touch::{Touch, store};
    stage.take_events();
    match store(stage.memory.at(page), 2) {
        Touch::Signal(signal) => signal.name().into(),
        Touch::Done(_) => {
            let names = crate::semantics::stage::names(&stage.take_events());
            if names.is_empty() { "unseen".into() } else { names }
        }
    }
}
