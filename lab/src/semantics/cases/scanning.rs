//! `PAGEMAP_SCAN`: what it reports, what it re-arms, where it stops.

use crate::semantics::case::{Case, Need, UNPOPULATED};
use crate::semantics::cell::{ASYNC, Backing, Cell, MODES, Mode, SMALL, SYNC, THP};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory::{Fill, Memory};
use crate::semantics::scan::{self, HUGE, PRESENT, Region, Scan, WP_MATCHING, WRITTEN};
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};
use crate::semantics::uffd;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "scan-fast",
        about: "Write to pages 1, 2 and 5, take the written pages with the masks of the fast path, write to 1, take again.",
        modes: ASYNC,
        backings: SMALL,
        run: |cell| taken(cell, |scan| scan),
        expected: |_| "1-2 5; then: 1".into(),
        means: |_| "One call returns the written pages and arms them again.",
        ..Case::USUAL
    },
    Case {
        name: "scan-general",
        about: "The same with further categories in both masks, which leaves the fast path.",
        modes: ASYNC,
        backings: SMALL,
        run: |cell| {
            taken(cell, |scan| Scan { category: WRITTEN | PRESENT, returned: WRITTEN | PRESENT | HUGE, ..scan })
        },
        expected: |_| "1-2 5; then: 1".into(),
        means: |_| "The general path answers the same as the fast one.",
        ..Case::USUAL
    },
    Case {
        name: "scan-small-vector",
        about: "Write to pages 1, 2 and 5, take with room for one region, then go on where the walk ended.",
        modes: ASYNC,
        backings: SMALL,
        run: small_vector,
        expected: |_| "1-2, early; rest: 5, at the end; then: none".into(),
        means: |_| "A full vector stops the walk; what was not reported was not armed. Go on from walk_end.",
        ..Case::USUAL
    },
    Case {
        name: "scan-max-pages",
        about: "Write to pages 1, 2 and 5, take at most one page, look at the rest.",
        modes: ASYNC,
        backings: SMALL,
        run: |cell| {
            let stage = written(cell)?;
            let (start, len) = stage.memory.span(&stage.memory.all());
            let first = pages(&stage, Scan { max_pages: 1, ..Scan::take(start, len) })?;
            Ok(format!("{first}; rest: {}", pages(&stage, Scan::written(start, len))?))
        },
        expected: |_| "1; rest: 2 5".into(),
        means: |_| "A limit on pages cuts a region, and arms only what it reported.",
        ..Case::USUAL
    },
    Case {
        name: "scan-sync-region",
        about: "Take written pages of memory whose tracking is not asynchronous, with and without the check for it.",
        modes: &[Mode::Sync, Mode::SyncUser, Mode::Sigbus],
        needs: &[Need::Protection, Need::Scan],
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            let (start, len) = stage.memory.span(&stage.memory.all());
            let checked = named(Scan::take(start, len).ask());
            let unchecked = Scan { flags: WP_MATCHING, ..Scan::take(start, len) }.ask();
            let unchecked = unchecked.map_or_else(|e| e.to_string(), |(found, _)| format!("{} regions", found.len()));
            Ok(format!("{checked}; unchecked: {unchecked}; write: {}", stage.write(1)))
        },
        expected: |_| "EPERM; unchecked: 0 regions; write: unseen".into(),
        means: |_| "With the check, the mistake is refused; without it, the scan reports nothing and arms nothing, which a collector would take for 'nothing written'. Always check.",
        ..Case::USUAL
    },
    Case {
        name: "scan-unregistered",
        about: "Take written pages of memory that is not registered, with the check.",
        modes: ASYNC,
        run: |cell| {
            let stage = Stage::new(cell, Plan { register: 0, ..Plan::USUAL })?;
            let (start, len) = stage.memory.span(&stage.memory.all());
            Ok(named(Scan::take(start, len).ask()))
        },
        expected: |_| "EPERM".into(),
        means: |_| "Forgetting to register is refused.",
        ..Case::USUAL
    },
    Case {
        name: "scan-untouched-no-table",
        about: "Ask for written pages of registered memory that nobody touched and that has no page table, take, then write.",
        modes: ASYNC,
        run: |cell| untouched(cell, false),
        expected: |cell| untouched_expected(cell),
        means: untouched_means,
        ..Case::USUAL
    },
    Case {
        name: "scan-untouched",
        about: "The same where a neighbour has been touched, so that there is a page table.",
        modes: ASYNC,
        run: |cell| untouched(cell, true),
        expected: |cell| untouched_expected(cell),
        means: untouched_means,
        ..Case::USUAL
    },
    Case {
        name: "scan-huge-part",
        about: "Arm huge pages, write to one small page of a huge one, take: how much is reported?",
        modes: ASYNC,
        backings: THP,
        run: |cell| {
            let stage = Stage::armed(cell)?;
            stage.write(5);
            let (start, len) = stage.memory.span(&stage.memory.all());
            let found = pages(&stage, Scan::take(start, len))?;
            let huge = stage.memory.huge_kilobytes() / 2048;
            Ok(format!("{found}; still huge: {huge} of 2"))
        },
        expected: |cell| {
            // Arming splits huge pages of shmem already.
            let huge = if cell.backing.is_anonymous() { 1 } else { 0 };
            format!("5; still huge: {huge} of 2")
        },
        means: |observed| {
            if observed.starts_with("5;") {
                "The first write splits a huge page, and the report is of 4 KB: a tracked heap is a heap of small pages."
            } else {
                "The report is of whole huge pages: a write of a byte costs a rescan of 2 MB."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "scan-take-huge-part",
        about: "Write to huge pages, take half of one, look at what is armed.",
        modes: ASYNC,
        backings: THP,
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            let (start, len) = stage.memory.span(&(0..256));
            let first = pages(&stage, Scan::take(start, len))?;
            let (start, len) = stage.memory.span(&(0..512));
            Ok(format!("{first}; written still: {}", pages(&stage, Scan::written(start, len))?))
        },
        expected: |_| "0-255; written still: 256-511".into(),
        means: |_| "A range may end within a huge page: it is split and only the part asked for is armed.",
        ..Case::USUAL
    },
    Case {
        name: "pagemap-bit",
        about: "Look at bit 57 of /proc/self/pagemap before arming, when armed, and after a write.",
        modes: MODES,
        needs: &[Need::Protection, Need::Since(5, 14, "bit 57")],
        run: |cell| {
            let stage = Stage::new(cell, Plan::USUAL)?;
            let bit = || match scan::entry(stage.memory.at(1)) {
                Ok(entry) if entry & scan::ENTRY_ARMED != 0 => "set".to_owned(),
                Ok(_) => "clear".to_owned(),
                Err(e) => e.to_string(),
            };
            let before = bit();
            stage.arm(stage.memory.all())?;
            let armed = bit();
            stage.write(1);
            Ok(format!("before: {before}; armed: {armed}; written: {}", bit()))
        },
        expected: |cell| {
            let after = if cell.mode == Mode::Sigbus { "set" } else { "clear" };
            format!("before: clear; armed: set; written: {after}")
        },
        means: |_| "The plain page map tells what is armed in every mode, a page at a time: good for checking, too slow for collecting.",
        ..Case::USUAL
    },
    Case {
        name: "unpopulated-dontneed",
        about: "Arm with WP_UNPOPULATED, MADV_DONTNEED, write.",
        modes: SYNC,
        needs: &[Need::Protection, UNPOPULATED],
        run: |cell| {
            let stage = Stage::new(cell, Plan { features: uffd::FEATURE_WP_UNPOPULATED, ..Plan::USUAL })?;
            stage.arm(stage.memory.all())?;
            let advised = named(stage.memory.advise(1..2, libc::MADV_DONTNEED));
            Ok(format!("{advised}; write: {}", stage.write(1)))
        },
        expected: |cell| {
            // The feature is about arming what is not there, not about keeping what goes.
            let write = if cell.backing.is_anonymous() { "unseen" } else { "event" };
            format!("ok; write: {write}")
        },
        means: |observed| match observed {
            "ok; write: unseen" => "WP_UNPOPULATED does not keep the arming of anonymous pages that are given back.",
            _ => "The arming outlives the page.",
        },
        ..Case::USUAL
    },
];

/// A stage, armed, with pages 1, 2 and 5 written.
fn written<'a>(cell: &'a Cell<'a>) -> Result<Stage<'a>, Stop> {
    let stage = Stage::armed(cell)?;
    for page in [1, 2, 5] {
        stage.write(page);
    }
    Ok(stage)
}

/// Asks, and names the pages of the answer.
fn pages(stage: &Stage, scan: Scan) -> Result<String, Stop> {
    let (regions, _) = scan.ask().map_err(|e| Stop::failed("PAGEMAP_SCAN", e))?;
    Ok(page_numbers(&stage.memory, &regions))
}

/// `1-2 5`, or `none`. Adjacent regions are one.
fn page_numbers(memory: &Memory, regions: &[Region]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for region in regions {
        let first = (region.start as usize - memory.base) / memory.page;
        let last = (region.end as usize - memory.base) / memory.page - 1;
        match runs.last_mut() {
            Some(run) if run.1 + 1 == first => run.1 = last,
            _ => runs.push((first, last)),
        }
    }
    let name =
        |&(first, last): &(usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if runs.is_empty() { "none".into() } else { runs.iter().map(name).collect::<Vec<_>>().join(" ") }
}

fn taken(cell: &Cell, masks: fn(Scan) -> Scan) -> Outcome {
    let stage = written(cell)?;
    let (start, len) = stage.memory.span(&stage.memory.all());
    let first = pages(&stage, masks(Scan::take(start, len)))?;
    stage.write(1);
    Ok(format!("{first}; then: {}", pages(&stage, masks(Scan::take(start, len)))?))
}

fn small_vector(cell: &Cell) -> Outcome {
    let stage = written(cell)?;
    let (start, len) = stage.memory.span(&stage.memory.all());
    let end = start + len;
    let failed = |e: Errno| Stop::failed("PAGEMAP_SCAN", e);
    let (regions, walk_end) = Scan { vector: 1, ..Scan::take(start, len) }.ask().map_err(failed)?;
    let place = |walk_end| if walk_end == end { "at the end" } else { "early" };
    let first = page_numbers(&stage.memory, &regions);
    let (rest, rest_end) = Scan::take(walk_end, end - walk_end).ask().map_err(failed)?;
    let rest = page_numbers(&stage.memory, &rest);
    let then = pages(&stage, Scan::written(start, len))?;
    Ok(format!("{first}, {}; rest: {rest}, {}; then: {then}", place(walk_end), place(rest_end)))
}

fn untouched(cell: &Cell, neighbour: bool) -> Outcome {
    let stage = Stage::new(cell, Plan { fill: Fill::Untouched, ..Plan::USUAL })?;
    if neighbour {
        stage.write(3);
    }
    let (start, len) = stage.memory.span(&(0..2));
    let before = pages(&stage, Scan::written(start, len))?;
    let took = pages(&stage, Scan::take(start, len))?;
    Ok(format!("{before}; taken: {took}; write: {}", stage.write(1)))
}

fn untouched_expected(cell: &Cell) -> String {
    // hugetlbfs has no page table where there is no page, and calls nothing written there.
    let untouched = if cell.backing == Backing::Hugetlb { "none" } else { "0-1" };
    format!("{untouched}; taken: {untouched}; write: reported")
}

fn untouched_means(observed: &str) -> &'static str {
    match observed {
        o if !o.ends_with("; write: reported") => "A first write that nobody reports: LOST.",
        o if o.starts_with("none") => {
            "Memory without a page table is not called written and is not armed by the scan, yet its first write is reported: nothing is lost."
        }
        _ => {
            "Untouched pages count as written, and taking them arms them, at the price of page tables: scan only what holds objects."
        }
    }
}
