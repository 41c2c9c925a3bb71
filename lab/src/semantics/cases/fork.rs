//! `fork`: what the child has of the tracking, and what the parent keeps.
//!
//! The stores of a child are observed by two parties: the child itself (signals, and the scan of its own page table)
//! and the parent's fault thread (events).

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Backing, Cell, Mode, SHARED};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory;
use crate::semantics::process::in_child;
use crate::semantics::stage::{Outcome, Plan, Stage, Stop, names};
use crate::semantics::touch::{self, Touch};
use crate::semantics::uffd;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "fork",
        about: "Arm, fork without EVENT_FORK; the child writes, then the parent writes to the same page and to another.",
        may_hang: |cell| cell.keeps_huge_marks(),
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let child = child_write(&stage, 1)?;
            Ok(format!("child: {child}; parent: {}; elsewhere: {}", stage.write(1), stage.write(2)))
        },
        expected: |cell| {
            // The child starts without page tables for shared memory, and no page table is not "written".
            let no_table = cell.mode.is_async() && cell.backing.is_shared() && !cell.facts.since(7, 3);
            let child = if no_table { "reported" } else { cell.untracked() };
            format!("child: {child}; parent: {0}; elsewhere: {0}", cell.mode.seen())
        },
        means: |observed| {
            if !observed.starts_with("child: event") {
                "The child's memory is not tracked and nobody tells it: a heap must register and arm anew after fork, or not collect in the child. The parent's tracking is whole."
            } else {
                "The child's memory is still tracked: its writes go to the parent's tracker."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "fork-parent-first",
        about: "Arm, fork; the parent writes while the child is there, then the child reads the page.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let (ours, theirs) =
                std::os::unix::net::UnixDatagram::pair().map_err(|e| Stop::failed("socketpair", Errno::from_io(e)))?;
            let address = stage.memory.at(1);
            let child = crate::semantics::process::Process::start(move || {
                let _ = theirs.recv(&mut [0; 1]);
                match touch::load(address) {
                    Touch::Done(1) => "the old value".into(),
                    Touch::Done(_) => "the new value".into(),
                    Touch::Signal(signal) => signal.name().into(),
                }
            })?;
            let shown = stage.write_at(address);
            if cell.mode == Mode::Sigbus {
                stage.unarm(1..2).map_err(|e| Stop::failed("disarm", e))?;
                touch::store(address, 2);
            }
            ours.send(&[0]).map_err(|e| Stop::failed("send", Errno::from_io(e)))?;
            Ok(format!("parent: {shown}; child reads {}", child.finish()))
        },
        expected: |cell| {
            let value = if cell.backing.is_shared() { "the new value" } else { "the old value" };
            format!("parent: {}; child reads {value}", cell.mode.seen())
        },
        means: |_| "Copy-on-write after fork and the barrier's fault do not disturb each other.",
        ..Case::USUAL
    },
    Case {
        name: "fork-event",
        about: "Arm, fork with EVENT_FORK, whose event brings a descriptor for the child; child and parent write.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EVENT_FORK, "EVENT_FORK")],
        run: |cell| {
            let stage = Stage::new(cell, Plan { features: uffd::FEATURE_EVENT_FORK, ..Plan::USUAL })?;
            stage.arm(stage.memory.all())?;
            let child = child_write(&stage, 1)?;
            Ok(format!("child: {child}; parent: {}", stage.write(1)))
        },
        expected: |cell| format!("child: fork event, {0}; parent: {0}", cell.mode.seen()),
        means: |_| "With EVENT_FORK the child's pages stay armed and the tracker gets a descriptor for them. Each fork waits for the tracker, and the C library holds the allocator's locks meanwhile: a tracker in the same process must not allocate.",
        ..Case::USUAL
    },
    Case {
        name: "fork-child-writes-shared",
        about: "Arm shared memory, fork; the child writes, then the parent looks.",
        backings: SHARED,
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let address = stage.memory.at(1) + 8;
            let shown = stage.watch(address, || {
                let wrote = in_child(|| match touch::store(address, 2) {
                    Touch::Done(_) => String::new(),
                    Touch::Signal(signal) => signal.name().into(),
                });
                wrote.unwrap_or_else(|_| "no child".into())
            });
            let value = if touch::load(address) == Touch::Done(2) { "changed" } else { "the same" };
            Ok(format!("{shown}; content: {value}"))
        },
        expected: |cell| format!("{}; content: changed", if cell.mode.is_async() { "unreported" } else { "unseen" }),
        means: |_| "Arming is of a page table, not of memory: what another process writes to shared memory is seen by nobody. A heap on shmem must not be written to by a child.",
        ..Case::USUAL
    },
    Case {
        name: "vfork",
        about: "Arm, let a child that shares the address space (as of vfork and posix_spawn) write.",
        run: vfork,
        expected: |cell| cell.mode.seen().into(),
        means: |_| "Until it execs, a vfork child writes to the parent's own memory and is tracked like a thread.",
        backings: &[Backing::Anon, Backing::MemfdShared],
        modes: &[Mode::Sync, Mode::SyncUser, Mode::Async, Mode::AsyncUser],
        ..Case::USUAL
    },
];

/// Lets a forked child write, and says what showed to the child, to the parent's fault thread, or in the child's scan.
fn child_write(stage: &Stage, page: usize) -> Result<String, Stop> {
    stage.take_events();
    let address = stage.memory.at(page) + 8;
    let line = in_child(|| {
        let before = stage.is_reported(address);
        let signal = match touch::store(address, 3) {
            Touch::Signal(signal) => return signal.name().into(),
            Touch::Done(_) if !stage.cell.mode.is_async() => return String::new(),
            Touch::Done(_) => (before, stage.is_reported(address)),
        };
        match signal {
            (Ok(true), _) => "was reported before".into(),
            (Ok(false), Ok(true)) => "reported".into(),
            (Ok(false), Ok(false)) => "unreported".into(),
            (Err(e), _) | (_, Err(e)) => format!("PAGEMAP_SCAN: {e}"),
        }
    })?;
    let events = names(&stage.take_events());
    Ok(match (events.is_empty(), line.is_empty()) {
        (true, true) => "unseen".into(),
        (true, false) => line,
        (false, true) => events,
        (false, false) => format!("{events}, {line}"),
    })
}

fn vfork(cell: &Cell) -> Outcome {
    extern "C" fn life(address: *mut libc::c_void) -> libc::c_int {
        touch::store(address as usize, 3);
        0
    }
    let stage = Stage::armed(cell)?;
    let stack_len = 64 << 10;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let stack = memory::map(0, stack_len, flags, -1).map_err(|e| Stop::failed("mmap", e))?;
    let address = stage.memory.at(1) + 8;
    Ok(stage.watch(address, || {
        // SAFETY: the stack is the child's alone, this thread sleeps until it has exited, and `life` only stores.
        let pid = unsafe {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(life, (stack + stack_len) as *mut _, flags, address as *mut _)
        };
        match Errno::check(pid as i64) {
            // SAFETY: the child is ours.
            Ok(pid) => drop(unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) }),
            e => return format!("clone: {}", named(e)),
        }
        String::new()
    }))
}
