//! Memory that others reach: other mappings of the same file, other threads, and the kernel's merging of equal pages.

use std::os::fd::AsRawFd;
use std::sync::Barrier;

use crate::semantics::case::Case;
use crate::semantics::cell::{Backing, Cell, FILES};
use crate::semantics::errno::Errno;
use crate::semantics::ksm;
use crate::semantics::stage::{Outcome, Stage, Stop};
use crate::semantics::touch::{self, Touch};

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "alias-write",
        about: "Arm, write through a second mapping of the same file.",
        backings: FILES,
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let alias = stage.memory.alias()? + stage.memory.page + 8;
            beside(&stage, || match touch::store(alias, 2) {
                Touch::Done(_) => String::new(),
                Touch::Signal(signal) => signal.name().into(),
            })
        },
        expected: beside_expected,
        means: |_| "Arming is of a page table, not of memory: a second mapping writes freely and unseen. So a collector can write through one, and nobody else may.",
        ..Case::USUAL
    },
    Case {
        name: "pwrite-file",
        about: "Arm, write to the page with pwrite(2) on the file.",
        backings: FILES,
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let Some(file) = &stage.memory.file else { return Err(Stop::Unsupported("not a file".into())) };
            beside(&stage, || {
                let offset = (stage.memory.page + 8) as libc::off_t;
                // SAFETY: the buffer is as long as said.
                let written = unsafe { libc::pwrite(file.as_raw_fd(), [2u8].as_ptr().cast(), 1, offset) };
                Errno::check(written as i64).map_or_else(|e| e.to_string(), |_| String::new())
            })
        },
        expected: beside_expected,
        means: |_| "Writes through the file's descriptor are seen by nobody: a heap's memfd must not leave the collector's hands.",
        ..Case::USUAL
    },
    Case {
        name: "two-threads",
        about: "Arm, let two threads write to the same page at the same time.",
        run: two_threads,
        expected: |cell| format!("{}; both go on", cell.mode.seen()),
        means: |_| "Both threads go on after one resolution, and the page is seen.",
        ..Case::USUAL
    },
    Case {
        name: "ksm",
        about: "Arm pages with equal content, let KSM merge them, write.",
        backings: &[Backing::Anon],
        alone: true,
        switches_ksm: true,
        run: merged,
        expected: |cell| cell.mode.seen().into(),
        means: |observed| match observed {
            "unseen" | "unreported" => {
                "Merging undoes the arming: writes are LOST. A heap must be MADV_UNMERGEABLE (and prctl(PR_SET_MEMORY_MERGE) off)."
            }
            "was reported before" => "Merged pages count as written at once: more work, nothing lost.",
            _ => "Merged pages stay armed.",
        },
        ..Case::USUAL
    },
];

/// Does something to the file's byte 8 of page 1 behind the mapping's back, and says what showed and what is there.
fn beside(stage: &Stage, write: impl FnOnce() -> String) -> Outcome {
    let address = stage.memory.at(1) + 8;
    let shown = stage.watch(address, write);
    let content = match touch::load(address) {
        Touch::Done(2) => "changed",
        Touch::Done(_) => "the same",
        Touch::Signal(signal) => signal.name(),
    };
    Ok(format!("{shown}; content: {content}"))
}

fn beside_expected(cell: &Cell) -> String {
    let shown = if cell.mode.is_async() { "unreported" } else { "unseen" };
    let content = if cell.backing.is_shared() { "changed" } else { "the same" };
    format!("{shown}; content: {content}")
}

fn two_threads(cell: &Cell) -> Outcome {
    let stage = Stage::armed(cell)?;
    let address = stage.memory.at(1) + 8;
    let start = Barrier::new(2);
    let write = |at: usize| {
        start.wait();
        touch::store(at, 2)
    };
    let mut results = Vec::new();
    let shown = stage.watch(address, || {
        std::thread::scope(|scope| {
            let threads = [address, address + 64].map(|at| scope.spawn(move || write(at)));
            results.extend(threads.map(|thread| thread.join().ok()));
        });
        // In SIGBUS mode nobody makes the page writable, so both must be told.
        match results[..] {
            [Some(Touch::Signal(one)), Some(Touch::Signal(other))] if one.number == other.number => one.name().into(),
            [Some(Touch::Signal(one)), _] | [_, Some(Touch::Signal(one))] => format!("{} to one of them", one.name()),
            _ => String::new(),
        }
    });
    // A thread that never goes on is a case that never answers. One that did has stored, unless a signal kept it from that.
    let stored = |at| touch::load(at) == Touch::Done(2);
    let all_well = match results[..] {
        [Some(Touch::Done(_)), Some(Touch::Done(_))] => stored(address) && stored(address + 64),
        [Some(_), Some(_)] => true,
        _ => false,
    };
    Ok(format!("{shown}; {}", if all_well { "both go on" } else { "a store is missing" }))
}

fn merged(cell: &Cell) -> Outcome {
    let stage = Stage::armed(cell)?;
    ksm::merge(&stage.memory)?;
    // One page of the first two becomes the common page and keeps its place in the page table; the others are replaced.
    Ok(stage.write(3))
}
