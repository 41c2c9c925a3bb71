//! `madvise` and its relatives on armed memory.
//!
//! What is given back and comes again is a new page. On shmem and hugetlbfs a marker in the page table can stand for the
//! arming of a page that is not there; anonymous memory has no such marker unless WP_UNPOPULATED asks for it.

use std::os::fd::AsRawFd;

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Backing, Cell, Mode, SMALL};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory::{Fill, HUGE_PAGE, Memory, SMALL_PAGE};
use crate::semantics::scan;
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};
use crate::semantics::touch::{self, Touch};

const MADV_COLD: i32 = 20;
const MADV_PAGEOUT: i32 = 21;
const MADV_POPULATE_READ: i32 = 22;
const MADV_POPULATE_WRITE: i32 = 23;
const MADV_COLLAPSE: i32 = 25;
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "madvise-dontneed",
        about: "Arm, MADV_DONTNEED, write.",
        run: |cell| advised(cell, libc::MADV_DONTNEED),
        expected: |cell| format!("ok; write: {}", dropped(cell)),
        means: dropped_means,
        ..Case::USUAL
    },
    Case {
        name: "madvise-free",
        about: "Arm, MADV_FREE, write before the kernel takes the pages.",
        run: |cell| advised(cell, libc::MADV_FREE),
        expected: |cell| {
            let result = if cell.backing.is_anonymous() { "ok" } else { "EINVAL" };
            format!("{result}; write: {}", cell.mode.seen())
        },
        means: |_| "Pages marked free are armed still as long as they are there. Once reclaimed they are new: use MADV_FREE on nothing that is armed.",
        ..Case::USUAL
    },
    Case {
        name: "madvise-remove",
        about: "Arm, punch a hole with MADV_REMOVE, look at the page, write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            punched(&stage, |stage| stage.memory.advise(1..2, libc::MADV_REMOVE))
        },
        expected: |cell| {
            if cell.backing.is_shared() {
                format!("ok, {}; content: zero; write: {}", silent(cell), cell.mode.seen())
            } else if cell.backing.is_anonymous() {
                format!("EINVAL; content: kept; write: {}", cell.mode.seen())
            } else {
                format!("EACCES; content: kept; write: {}", cell.mode.seen())
            }
        },
        means: punched_means,
        ..Case::USUAL
    },
    Case {
        name: "fallocate-punch-hole",
        about: "Arm, punch a hole in the file with fallocate, look at the page, write.",
        backings: &[Backing::MemfdShared, Backing::ThpShmem],
        run: |cell| {
            let stage = Stage::armed(cell)?;
            punched(&stage, |stage| {
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                // SAFETY: plain system call on an open file.
                on_file(stage, |fd, page| unsafe { libc::fallocate(fd, mode, page as i64, page as i64) })
            })
        },
        expected: |cell| format!("ok, {}; content: zero; write: {}", silent(cell), cell.mode.seen()),
        means: punched_means,
        ..Case::USUAL
    },
    Case {
        name: "truncate",
        about: "Arm, shorten the file and lengthen it again, look at the page, write.",
        backings: &[Backing::MemfdShared, Backing::ThpShmem],
        run: |cell| {
            let stage = Stage::armed(cell)?;
            punched(&stage, |stage| {
                let len = stage.memory.len() as i64;
                // SAFETY: plain system calls on an open file.
                on_file(stage, |fd, _| unsafe { libc::ftruncate(fd, 0) | libc::ftruncate(fd, len) })
            })
        },
        expected: |cell| format!("ok, {}; content: zero; write: {}", silent(cell), cell.mode.seen()),
        means: punched_means,
        ..Case::USUAL
    },
    Case {
        name: "madvise-cold",
        about: "Arm, MADV_COLD, write.",
        needs: &[Need::Protection, Need::Since(5, 4, "MADV_COLD")],
        run: |cell| advised(cell, MADV_COLD),
        expected: |cell| format!("{}; write: {}", refused_on_hugetlb(cell), cell.mode.seen()),
        means: |_| "Advice about age leaves arming alone.",
        ..Case::USUAL
    },
    Case {
        name: "swap",
        about: "Arm, MADV_PAGEOUT, and once pages are in swap, write.",
        needs: &[Need::Protection, Need::Since(5, 4, "MADV_PAGEOUT")],
        backings: SMALL,
        run: swap,
        expected: |cell| cell.mode.seen().into(),
        means: |observed| match observed {
            "unseen" | "was reported before" => "Swapping undid the arming: writes are LOST under memory pressure.",
            _ => "Arming survives swap.",
        },
        ..Case::USUAL
    },
    Case {
        name: "madvise-collapse",
        about: "Arm 2 MB of small pages, MADV_COLLAPSE them into a huge page, write.",
        backings: SMALL,
        needs: &[Need::Protection, Need::Since(6, 1, "MADV_COLLAPSE")],
        run: collapse,
        expected: |cell| format!("EINVAL, small; write: {}", cell.mode.seen()),
        means: |_| "Armed pages are not merged into a huge page: a tracked heap stays a heap of small pages.",
        ..Case::USUAL
    },
    Case {
        name: "madvise-populate-read",
        about: "Arm, MADV_POPULATE_READ, write.",
        needs: &[Need::Protection, Need::Since(5, 14, "MADV_POPULATE_READ")],
        run: |cell| advised(cell, MADV_POPULATE_READ),
        expected: |cell| format!("ok; write: {}", cell.mode.seen()),
        means: |_| "Populating for reading leaves arming alone.",
        ..Case::USUAL
    },
    Case {
        name: "madvise-populate-write",
        about: "Arm, MADV_POPULATE_WRITE.",
        needs: &[Need::Protection, Need::Since(5, 14, "MADV_POPULATE_WRITE")],
        run: |cell| {
            let stage = Stage::armed(cell)?;
            Ok(stage.kernel_write(1, |_| stage.memory.advise(1..2, MADV_POPULATE_WRITE)))
        },
        expected: |cell| kernel_fault(cell, "EFAULT"),
        means: |_| "Populating for writing counts as a write: do it before arming.",
        ..Case::USUAL
    },
    Case {
        name: "mlock",
        about: "Arm, mlock.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let (start, len) = stage.memory.span(&(1..2));
            Ok(stage.kernel_write(1, |_| {
                // SAFETY: the range is the case's own memory.
                Errno::check(unsafe { libc::mlock(start as *const _, len) } as i64).map(drop)
            }))
        },
        expected: |cell| {
            // Private memory is populated by writing to it, shared memory by reading.
            if cell.backing.is_shared() { format!("works, {}", silent(cell)) } else { kernel_fault(cell, "ENOMEM") }
        },
        means: |observed| match observed {
            "ENOMEM" => "mlock of armed private memory fails: lock a heap before it is armed.",
            o if o.ends_with("unseen") || o.ends_with("unreported") => "mlock of shared memory only reads it.",
            _ => {
                "mlock writes to every armed page of private memory, as far as the barrier can tell: lock a heap before it is armed."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "madvise-guard-install",
        about: "Arm, MADV_GUARD_INSTALL, write; MADV_GUARD_REMOVE, write.",
        needs: &[Need::Protection, Need::Since(6, 13, "MADV_GUARD_INSTALL")],
        may_hang: |cell| !cell.backing.is_anonymous(),
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let installed = stage.memory.advise(1..2, MADV_GUARD_INSTALL);
            if installed.is_err() {
                return Ok(named(installed));
            }
            let guarded = stage.write(1);
            let removed = named(stage.memory.advise(1..2, MADV_GUARD_REMOVE));
            Ok(format!("ok; write: {guarded}; removed: {removed}; write: {}", stage.write(1)))
        },
        expected: |cell| match cell.backing {
            Backing::Hugetlb => "EINVAL".into(),
            _ if cell.backing.is_anonymous() || cell.facts.since(6, 15) => {
                format!("ok; write: SIGSEGV; removed: ok; write: {}", cell.mode.unarmed())
            }
            _ => "EINVAL".into(),
        },
        means: |observed| {
            if observed.starts_with("EINVAL") {
                "Guard pages cannot be put here."
            } else {
                "A guard page replaces the page with its arming: never put one into a heap."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "map-fixed-over",
        about: "Arm, map new memory over a page with MAP_FIXED, write to it and to its neighbour.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            stage.memory.map_again(1..2).map_err(|e| Stop::failed("mmap", e))?;
            Ok(format!("{}; neighbour: {}", stage.write(1), stage.write(2)))
        },
        expected: |cell| {
            // A new mapping of hugetlbfs has no page table, and no page is not "written" there.
            let huge = cell.mode.is_async() && cell.backing == Backing::Hugetlb && !cell.facts.since(7, 3);
            let over = if huge { "reported" } else { cell.untracked() };
            format!("{over}; neighbour: {}", cell.mode.seen())
        },
        means: |_| "A new mapping in the old place is not tracked: never map over a part of a heap.",
        ..Case::USUAL
    },
];

fn refused_on_hugetlb(cell: &Cell) -> &'static str {
    if cell.backing == Backing::Hugetlb { "EINVAL" } else { "ok" }
}

/// What shows where nothing is written.
fn silent(cell: &Cell) -> &'static str {
    if cell.mode.is_async() { "unreported" } else { "unseen" }
}

/// How a fault that the kernel takes on behalf of a request shows.
fn kernel_fault(cell: &Cell, error: &str) -> String {
    match cell.mode {
        Mode::Sync | Mode::Async | Mode::AsyncUser => format!("works, {}", cell.mode.seen()),
        Mode::SyncUser | Mode::Sigbus => error.into(),
    }
}

fn advised(cell: &Cell, advice: i32) -> Outcome {
    let stage = Stage::armed(cell)?;
    let result = named(stage.memory.advise(1..2, advice));
    Ok(format!("{result}; write: {}", stage.write(1)))
}

/// How a write shows after the page was dropped from the page table.
fn dropped(cell: &Cell) -> &'static str {
    if cell.backing.is_anonymous() { cell.mode.unarmed() } else { cell.mode.seen() }
}

fn dropped_means(observed: &str) -> &'static str {
    match observed {
        "ok; write: unseen" => {
            "The arming is gone with the page and the next write is not seen: treat pages given back as written."
        }
        "ok; write: was reported before" => "The page counts as written at once: safe.",
        _ => "The arming outlives the page.",
    }
}

fn on_file(stage: &Stage, act: impl FnOnce(i32, usize) -> i32) -> Result<(), Errno> {
    let Some(file) = &stage.memory.file else { return Err(Errno(libc::EBADF)) };
    Errno::check(act(file.as_raw_fd(), stage.memory.page) as i64).map(drop)
}

/// Does something to page 1 that empties it, and says what showed, what is there now, and what a write then shows.
fn punched(stage: &Stage, punch: impl FnOnce(&Stage) -> Result<(), Errno>) -> Outcome {
    let address = stage.memory.at(1);
    let mut result = Ok(());
    let shown = stage.watch(address, || {
        result = punch(stage);
        String::new()
    });
    let content = match touch::load(address) {
        Touch::Done(0) => "zero",
        Touch::Done(_) => "kept",
        Touch::Signal(signal) => signal.name(),
    };
    let result = result.map_or_else(|e| e.to_string(), |()| format!("ok, {shown}"));
    Ok(format!("{result}; content: {content}; write: {}", stage.write(1)))
}

fn punched_means(observed: &str) -> &'static str {
    match observed {
        o if !o.starts_with("ok") => "Holes cannot be punched here.",
        o if o.contains("unseen; content: zero") || o.contains("unreported; content: zero") => {
            "The content changed and nobody was told: after punching a hole a collector must treat the pages as written itself."
        }
        _ => "Punching a hole shows.",
    }
}

fn swap(cell: &Cell) -> Outcome {
    let stage = Stage::armed(cell)?;
    stage.memory.advise(stage.memory.all(), MADV_PAGEOUT).map_err(|e| Stop::failed("MADV_PAGEOUT", e))?;
    let entry = scan::entry(stage.memory.at(1)).map_err(|e| Stop::failed("pagemap", e))?;
    // Private pages show that they are swapped; shared ones are merely not mapped, and mincore knows.
    let mut resident = 1u8;
    // SAFETY: one page, one byte of answer.
    unsafe { libc::mincore(stage.memory.at(1) as *mut _, stage.memory.page, &mut resident) };
    let swapped = entry & scan::ENTRY_SWAPPED != 0 || entry & scan::ENTRY_PRESENT == 0 && resident & 1 == 0;
    if !swapped {
        return Err(Stop::Unsupported("nothing was paged out: no swap".into()));
    }
    Ok(stage.write(1))
}

fn collapse(cell: &Cell) -> Outcome {
    let pages = HUGE_PAGE / SMALL_PAGE;
    let memory = Memory::sized(cell.backing, Fill::Written, SMALL_PAGE, pages)?;
    let stage = Stage::on(cell, Plan::USUAL, memory)?;
    stage.arm(stage.memory.all())?;
    // The arena was told to stay small.
    stage.memory.advise(stage.memory.all(), libc::MADV_HUGEPAGE).map_err(|e| Stop::failed("MADV_HUGEPAGE", e))?;
    let collapsed = named(stage.memory.advise(stage.memory.all(), MADV_COLLAPSE));
    let size = if stage.memory.huge_kilobytes() > 0 { "huge" } else { "small" };
    Ok(format!("{collapsed}, {size}; write: {}", stage.write(1)))
}
