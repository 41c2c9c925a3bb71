//! `mprotect` on tracked memory: what comes first, and what is left of the arming afterwards.
//!
//! The mapping's own permission is checked before the page table is looked at, so a forbidden access is `SIGSEGV`
//! whatever a userfaultfd thinks. The armed bit lives in the page table entry and outlives changes of permission, with one
//! historical exception: shared mappings on kernels that computed the entry's permission without asking the tracker.

use libc::{PROT_NONE, PROT_READ, PROT_WRITE};

use crate::semantics::case::Case;
use crate::semantics::cell::{Cell, SMALL};
use crate::semantics::errno::{Errno, named};
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};

const READ_WRITE: i32 = PROT_READ | PROT_WRITE;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "mprotect-ro-armed",
        about: "Arm, mprotect read-only, write; mprotect back, write again.",
        run: |cell| forbidden(cell, PROT_READ),
        expected: |cell| format!("SIGSEGV; back: {}", cell.mode.seen()),
        means: forbidden_means,
        ..Case::USUAL
    },
    Case {
        name: "mprotect-none-armed",
        about: "The same with PROT_NONE.",
        run: |cell| forbidden(cell, PROT_NONE),
        expected: |cell| format!("SIGSEGV; back: {}", cell.mode.seen()),
        means: forbidden_means,
        ..Case::USUAL
    },
    Case {
        name: "mprotect-toggle-armed",
        about: "Arm, mprotect read-only and back without a write between, write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            toggle(&stage)?;
            Ok(stage.write(1))
        },
        expected: |cell| cell.mode.seen().into(),
        means: toggled_means,
        ..Case::USUAL
    },
    Case {
        name: "mprotect-toggle-then-arm",
        about: "Write, mprotect read-only and back, arm, write.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            stage.write(1);
            toggle(&stage)?;
            stage.arm(stage.memory.all())?;
            Ok(stage.write(1))
        },
        expected: |cell| cell.mode.seen().into(),
        means: toggled_means,
        ..Case::USUAL
    },
    Case {
        name: "mprotect-toggle-before-register",
        about: "mprotect read-only and back before registering, then register, arm, write.",
        run: |cell| {
            let stage = Stage::new(cell, Plan { register: 0, ..Plan::USUAL })?;
            toggle(&stage)?;
            let registered =
                stage.uffd.register(stage.memory.base, stage.memory.len(), crate::semantics::uffd::REGISTER_WP);
            registered.map_err(|e| Stop::failed("UFFDIO_REGISTER", e))?;
            stage.arm(stage.memory.all())?;
            Ok(stage.write(1))
        },
        expected: |cell| cell.mode.seen().into(),
        means: toggled_means,
        ..Case::USUAL
    },
    Case {
        name: "mprotect-ro-then-arm",
        about: "mprotect read-only, arm, mprotect back, write.",
        run: |cell| arm_while(cell, PROT_READ),
        expected: |cell| format!("ok; back: {}", cell.mode.seen()),
        means: |_| "Memory can be armed while it is read-only, and stays armed when it becomes writable.",
        ..Case::USUAL
    },
    Case {
        name: "mprotect-none-then-arm",
        about: "mprotect PROT_NONE, arm, mprotect back, write.",
        run: |cell| arm_while(cell, PROT_NONE),
        expected: |cell| format!("ok; back: {}", cell.mode.seen()),
        means: |_| "Memory can be armed while it is inaccessible, and stays armed when it becomes accessible.",
        ..Case::USUAL
    },
    Case {
        name: "mprotect-ro-then-disarm",
        about: "Arm, mprotect read-only, disarm, write; mprotect back, write again.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            protect(&stage, PROT_READ)?;
            let disarmed = named(stage.unarm(stage.memory.all()));
            let forbidden = stage.write(1);
            protect(&stage, READ_WRITE)?;
            Ok(format!("{disarmed}; write: {forbidden}; back: {}", stage.write(1)))
        },
        expected: |cell| format!("ok; write: SIGSEGV; back: {}", cell.mode.unarmed()),
        means: |_| "Disarming read-only memory does not make it writable, and arms nothing either: the two permissions are separate.",
        ..Case::USUAL
    },
    Case {
        name: "mprotect-part",
        about: "Arm, mprotect one page in the middle read-only and back, write to it and to its neighbour.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            stage.memory.protect(1..2, PROT_READ).map_err(|e| Stop::failed("mprotect", e))?;
            stage.memory.protect(1..2, READ_WRITE).map_err(|e| Stop::failed("mprotect", e))?;
            Ok(format!("{}; neighbour: {}", stage.write(1), stage.write(2)))
        },
        expected: |cell| format!("{0}; neighbour: {0}", cell.mode.seen()),
        means: toggled_means,
        ..Case::USUAL
    },
    Case {
        name: "missing-none",
        about: "Register untouched pages for missing faults, mprotect PROT_NONE, read.",
        needs: &[],
        run: |cell| {
            let stage = Stage::new(cell, Plan::MISSING)?;
            protect(&stage, PROT_NONE)?;
            let forbidden = stage.read(1);
            protect(&stage, READ_WRITE)?;
            Ok(format!("{forbidden}; back: {}", stage.read(1)))
        },
        expected: |cell| format!("SIGSEGV; back: {}", cell.mode.missing()),
        means: |_| "The mapping's permission is checked first for missing pages too: a tracker never hears of a forbidden access.",
        ..Case::USUAL
    },
    Case {
        name: "missing-ro",
        about: "Register untouched pages for missing faults, mprotect read-only, write, then read.",
        needs: &[],
        run: |cell| {
            let stage = Stage::new(cell, Plan::MISSING)?;
            protect(&stage, PROT_READ)?;
            let forbidden = stage.write_at(stage.memory.at(1));
            Ok(format!("write: {forbidden}; read: {}", stage.read(1)))
        },
        expected: |cell| format!("write: SIGSEGV; read: {}", cell.mode.missing()),
        means: |_| "A write to read-only memory is SIGSEGV even where the page is missing; a read is a missing fault.",
        backings: SMALL,
        ..Case::USUAL
    },
];

fn protect(stage: &Stage, protection: i32) -> Result<(), Stop> {
    stage.memory.protect(stage.memory.all(), protection).map_err(|e: Errno| Stop::failed("mprotect", e))
}

fn toggle(stage: &Stage) -> Result<(), Stop> {
    protect(stage, PROT_READ)?;
    protect(stage, READ_WRITE)
}

fn forbidden(cell: &Cell, protection: i32) -> Outcome {
    let stage = Stage::armed(cell)?;
    protect(&stage, protection)?;
    let forbidden = stage.write(1);
    protect(&stage, READ_WRITE)?;
    Ok(format!("{forbidden}; back: {}", stage.write(1)))
}

fn arm_while(cell: &Cell, protection: i32) -> Outcome {
    let stage = Stage::new(cell, Plan::USUAL)?;
    protect(&stage, protection)?;
    let armed = named(stage.try_arm(stage.memory.all()));
    protect(&stage, READ_WRITE)?;
    Ok(format!("{armed}; back: {}", stage.write(1)))
}

fn forbidden_means(observed: &str) -> &'static str {
    match observed {
        o if o.ends_with("unseen") || o.ends_with("before") => LOST,
        _ => {
            "A forbidden access is SIGSEGV and no event, and arming survives: an embedder may use mprotect beside the barrier."
        }
    }
}

fn toggled_means(observed: &str) -> &'static str {
    if observed.contains("unseen") || observed.contains("before") {
        LOST
    } else {
        "Changing the permission and back keeps what is armed armed."
    }
}

const LOST: &str = "mprotect undid the arming without a word: writes are LOST. Refuse this backing on this kernel.";
