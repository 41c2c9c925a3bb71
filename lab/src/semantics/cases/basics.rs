//! Arming, the first write, and ranges that are not quite right.

use std::os::fd::AsRawFd;

use crate::semantics::case::{Case, Need, UNPOPULATED};
use crate::semantics::cell::{Backing, Cell, Mode, SMALL};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory::{Fill, Memory};
use crate::semantics::stage::{self, Outcome, Plan, Stage, Stop};
use crate::semantics::uffd;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "write-armed",
        about: "Arm written pages, then write to one.",
        run: |cell| Ok(Stage::armed(cell)?.write(1)),
        expected: |cell| cell.mode.seen().into(),
        means: |_| "The barrier itself: the first write to an armed page is seen.",
        ..Case::USUAL
    },
    Case {
        name: "write-twice",
        about: "Arm, write, let the page be made writable, write again; then arm again and write.",
        run: write_twice,
        expected: |cell| {
            format!("{}; again: {}; re-armed: {}", cell.mode.seen(), cell.mode.unarmed(), cell.mode.seen())
        },
        means: |_| "One fault a page and cycle: after the first write the page costs nothing until it is armed again.",
        ..Case::USUAL
    },
    Case {
        name: "read-armed",
        about: "Arm, read, then write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            Ok(format!("read: {}; write: {}", stage.read(1), stage.write(1)))
        },
        expected: |cell| format!("read: unseen; write: {}", cell.mode.seen()),
        means: |_| "The marker can read armed pages for nothing.",
        ..Case::USUAL
    },
    Case {
        name: "arm-twice",
        about: "Arm the same pages twice, then write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            stage.arm(stage.memory.all())?;
            Ok(stage.write(1))
        },
        expected: |cell| cell.mode.seen().into(),
        means: |_| "Arming what is armed is harmless.",
        ..Case::USUAL
    },
    Case {
        name: "disarm",
        about: "Arm, make a page writable by request, write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let disarmed = named(stage.unarm(1..2));
            Ok(format!("{disarmed}; write: {}; neighbour: {}", stage.write(1), stage.write(2)))
        },
        expected: |cell| format!("ok; write: {}; neighbour: {}", cell.mode.unarmed(), cell.mode.seen()),
        means: |_| "A page that will be written anyway can be spared its fault.",
        ..Case::USUAL
    },
    Case {
        name: "registered-not-armed",
        about: "Register written pages, do not arm them, write.",
        run: |cell| Ok(Stage::new(cell, Plan::USUAL)?.write(1)),
        expected: |cell| cell.mode.unarmed().into(),
        means: |_| "Registering alone tracks nothing; the scan calls such pages written, which is the safe side.",
        ..Case::USUAL
    },
    Case {
        name: "arm-unpopulated",
        about: "Arm pages nobody has touched, without WP_UNPOPULATED (which WP_ASYNC implies), then write.",
        run: |cell| unpopulated(cell, 0),
        expected: |cell| {
            let passed_over = cell.backing.is_anonymous() && !cell.mode.is_async();
            if passed_over { "unseen" } else { cell.mode.seen() }.into()
        },
        means: |observed| match observed {
            "unseen" => {
                "Arming passes over pages nobody touched: the first write to them is lost. Arm only what holds objects, or ask for WP_UNPOPULATED."
            }
            _ => "Pages nobody touched can be armed, at the price of page tables.",
        },
        ..Case::USUAL
    },
    Case {
        name: "arm-unpopulated-feature",
        about: "The same with WP_UNPOPULATED.",
        needs: &[Need::Protection, UNPOPULATED],
        run: |cell| unpopulated(cell, uffd::FEATURE_WP_UNPOPULATED),
        expected: |cell| cell.mode.seen().into(),
        means: |_| "Pages nobody touched can be armed, at the price of page tables.",
        ..Case::USUAL
    },
    Case {
        name: "arm-zero-page",
        about: "Read pages nobody has written, so that they map the zero page or the file's page, arm, write.",
        run: |cell| {
            let stage = Stage::new(cell, Plan { fill: Fill::Untouched, ..Plan::USUAL })?;
            for page in stage.memory.all() {
                stage.read(page);
            }
            stage.arm(stage.memory.all())?;
            Ok(stage.write(1))
        },
        expected: |cell| cell.mode.seen().into(),
        means: |_| "A page that was only read can be armed like any other.",
        ..Case::USUAL
    },
    Case {
        name: "range-unaligned",
        about: "Arm a range whose start, then one whose length, is no multiple of a page.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            let (base, page) = (stage.memory.base, stage.memory.page);
            let start = named(stage.uffd.write_protect(base + 16, page, uffd::PROTECT));
            let len = named(stage.uffd.write_protect(base, page + 16, uffd::PROTECT));
            Ok(format!("start: {start}; length: {len}"))
        },
        expected: |_| "start: EINVAL; length: EINVAL".into(),
        means: |_| "A mistake in the range is refused, not rounded.",
        ..Case::USUAL
    },
    Case {
        name: "range-empty",
        about: "Arm a range of length 0.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            Ok(named(stage.uffd.write_protect(stage.memory.base, 0, uffd::PROTECT)))
        },
        expected: |_| "EINVAL".into(),
        means: |_| "An empty range is an error: a collector must skip it itself.",
        ..Case::USUAL
    },
    Case {
        name: "range-several-mappings",
        about: "Split the registered memory into three mappings with madvise, arm it with one request, write to each part.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            if let Err(e) = stage.memory.advise(1..2, libc::MADV_DONTFORK) {
                return Ok(format!("madvise: {e}"));
            }
            parts(&stage)
        },
        expected: |cell| parts_expected(cell, ["ok", "ENOENT"], 3),
        means: |observed| {
            if observed.starts_with("ok") {
                "One request covers a heap whatever the embedder's madvise did to its mappings."
            } else {
                "One request covers one mapping; a heap that somebody split must be armed piece by piece."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "range-over-hole",
        about: "Unmap a page in the middle, arm the whole with one request, write before and after the hole.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            if let Err(e) = stage.memory.unmap(1..2) {
                return Ok(format!("munmap: {e}"));
            }
            parts(&stage)
        },
        expected: |cell| parts_expected(cell, ["ok", "ENOENT"], 3),
        means: |observed| {
            if observed.starts_with("ok") {
                "A hole is passed over without a word: success does not say that all of the range was there."
            } else {
                "A hole is an error, and nothing was armed."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "range-over-unregistered",
        about: "Unregister a page in the middle, arm the whole with one request, write before and after it.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            if let Err(e) = stage.uffd.unregister(stage.memory.at(1), stage.memory.page) {
                return Ok(format!("UFFDIO_UNREGISTER: {e}"));
            }
            parts(&stage)
        },
        expected: |cell| parts_expected(cell, ["ENOENT", "ENOENT"], 1),
        means: |_| "The range is protected up to the first mapping that is not registered, and the request fails: an error leaves a half-armed range.",
        ..Case::USUAL
    },
    Case {
        name: "range-never-registered",
        about: "Arm memory that was never registered.",
        run: |cell| {
            let stage = Stage::new(cell, Plan { register: 0, ..Plan::USUAL })?;
            Ok(named(stage.try_arm(stage.memory.all())))
        },
        expected: |_| "ENOENT".into(),
        means: |_| "Forgetting to register is refused.",
        ..Case::USUAL
    },
    Case {
        name: "protect-without-waking",
        about: "Ask for protection and DONTWAKE in one request.",
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            let (start, len) = stage.memory.span(&stage.memory.all());
            Ok(named(stage.uffd.write_protect(start, len, uffd::PROTECT | uffd::DONT_WAKE)))
        },
        expected: |_| "EINVAL".into(),
        means: |_| "Arming never wakes anybody, so the flag is an error.",
        backings: SMALL,
        ..Case::USUAL
    },
    Case {
        name: "register-read-only-file",
        about: "Register a shared mapping that was opened for reading only.",
        run: register_read_only,
        expected: |_| "EPERM".into(),
        means: |_| "A heap must own its memory for writing: the kernel refuses to track what could not be written.",
        backings: &[Backing::MemfdShared],
        ..Case::USUAL
    },
];

fn write_twice(cell: &Cell) -> Outcome {
    let stage = Stage::armed(cell)?;
    let first = stage.write(1);
    // In `sigbus` the probe skipped its store; what a collector's handler does is done here.
    if cell.mode == Mode::Sigbus {
        stage.unarm(1..2).map_err(|e| Stop::failed("disarm", e))?;
    }
    let again = stage.write(1);
    stage.arm(1..2)?;
    Ok(format!("{first}; again: {again}; re-armed: {}", stage.write(1)))
}

fn unpopulated(cell: &Cell, features: u64) -> Outcome {
    let stage = Stage::new(cell, Plan { fill: Fill::Untouched, features, ..Plan::USUAL })?;
    stage.arm(stage.memory.all())?;
    Ok(stage.write(1))
}

/// Arms all of a stage whose page 1 is special, and writes before, in (unless it is gone) and after it.
fn parts(stage: &Stage) -> Outcome {
    let armed = named(stage.try_arm(stage.memory.all()));
    Ok(format!("{armed}; before: {}; after: {}", stage.write(0), stage.write(2)))
}

/// Since 6.4 a request goes on over several mappings; an error leaves `reached` of the three parts armed.
fn parts_expected(cell: &Cell, [now, before]: [&str; 2], reached: usize) -> String {
    let goes_on = cell.facts.since(6, 4);
    let (result, reached) = if goes_on { (now, reached) } else { (before, 0) };
    let show = |armed: bool| if armed { cell.mode.seen() } else { cell.mode.unarmed() };
    format!("{result}; before: {}; after: {}", show(reached > 0), show(reached > 2))
}

fn register_read_only(cell: &Cell) -> Outcome {
    let memory = Memory::new(cell.backing, Fill::Written)?;
    let Some(file) = &memory.file else { return Err(Stop::Unsupported("not a file".into())) };
    let reader = std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|e| Stop::failed("open", Errno::from_io(e)))?;
    // SAFETY: a new mapping where the kernel likes.
    let mapped = unsafe {
        libc::mmap(std::ptr::null_mut(), memory.len(), libc::PROT_READ, libc::MAP_SHARED, reader.as_raw_fd(), 0)
    };
    let start = Errno::check(mapped as i64).map_err(|e| Stop::failed("mmap", e))? as usize;
    Ok(named(stage::open(cell, 0)?.register(start, memory.len(), uffd::REGISTER_WP)))
}
