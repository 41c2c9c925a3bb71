//! Pages that move, arrive filled, turn to poison; and tracking that ends.

use std::os::fd::AsRawFd;

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Backing, Cell, SMALL, SYNC};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory::{Fill, Memory};
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};
use crate::semantics::touch::{self, Touch};
use crate::semantics::uffd;

const REMAP: Need = Need::Feature(uffd::FEATURE_EVENT_REMAP, "EVENT_REMAP");

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "mremap",
        about: "Arm, move the mapping without EVENT_REMAP, write at the new place.",
        may_hang: |cell| cell.keeps_huge_marks(),
        run: |cell| moved(cell, 0, 0),
        expected: |cell| cell.untracked().into(),
        means: |_| "A mapping that moves leaves its tracker: never mremap a part of a heap.",
        ..Case::USUAL
    },
    Case {
        name: "mremap-event",
        about: "The same with EVENT_REMAP.",
        needs: &[Need::Protection, REMAP],
        run: |cell| moved(cell, uffd::FEATURE_EVENT_REMAP, 0),
        expected: |cell| cell.mode.seen().into(),
        means: |observed| match observed {
            "unseen" | "was reported before" => {
                "With EVENT_REMAP the tracker is told where the memory went, and the arming is gone all the same."
            }
            _ => "With EVENT_REMAP a tracker hears where the memory went, and the arming goes with it.",
        },
        ..Case::USUAL
    },
    Case {
        name: "mremap-dontunmap",
        about: "Arm, move the pages with MREMAP_DONTUNMAP, write at the old place, which is empty now.",
        backings: SMALL,
        needs: &[Need::Protection, Need::Since(5, 13, "MREMAP_DONTUNMAP of any memory")],
        run: |cell| moved(cell, 0, libc::MREMAP_DONTUNMAP),
        expected: |cell| format!("{}; old place: {}", cell.untracked(), cell.mode.unarmed()),
        means: |_| "The pages leave and are not tracked where they arrive; the old place is registered still.",
        ..Case::USUAL
    },
    Case {
        name: "copy-protected",
        about: "Fill an untouched page with UFFDIO_COPY and its protect flag, write.",
        run: |cell| {
            filled(cell, |stage| stage.uffd.copy(stage.memory.at(1), &vec![1; stage.memory.page], uffd::FILL_PROTECTED))
        },
        expected: |cell| format!("ok; write: {}", cell.mode.seen()),
        means: |_| "A page can be born armed.",
        ..Case::USUAL
    },
    Case {
        name: "zeropage-then-arm",
        about: "Fill an untouched page with UFFDIO_ZEROPAGE, arm it, write.",
        run: |cell| {
            filled(cell, |stage| {
                stage.uffd.zero(stage.memory.at(1), stage.memory.page)?;
                stage.try_arm(1..2)
            })
        },
        expected: |cell| match cell.backing {
            Backing::Hugetlb => format!("EINVAL; write: {}", cell.mode.missing()),
            _ => format!("ok; write: {}", cell.mode.seen()),
        },
        means: |_| "The kernel's zero page can be armed like a page of one's own.",
        backings: SMALL,
        ..Case::USUAL
    },
    Case {
        name: "poison",
        about: "Poison an untouched page with UFFDIO_POISON, read it; MADV_DONTNEED, read again.",
        needs: &[Need::Feature(uffd::FEATURE_POISON, "POISON")],
        run: |cell| {
            let stage = Stage::new(cell, Plan::MISSING)?;
            let poisoned = named(stage.uffd.poison(stage.memory.at(1), stage.memory.page));
            let read = stage.read(1);
            let _ = stage.memory.advise(1..2, libc::MADV_DONTNEED);
            Ok(format!("{poisoned}; read: {read}; dropped, read: {}", stage.read(1)))
        },
        expected: |cell| format!("ok; read: SIGBUS; dropped, read: {}", cell.mode.missing()),
        means: |_| "Poison is SIGBUS in every mode, which a SIGBUS mechanism must tell from its own faults.",
        ..Case::USUAL
    },
    Case {
        name: "poison-armed",
        about: "Poison a page that is there and armed.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_POISON, "POISON")],
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let poisoned = named(stage.uffd.poison(stage.memory.at(1), stage.memory.page));
            Ok(format!("{poisoned}; write: {}", stage.write(1)))
        },
        expected: |cell| format!("EEXIST; write: {}", cell.mode.seen()),
        means: |_| "Pages that are there cannot be poisoned.",
        ..Case::USUAL
    },
    Case {
        name: "uffdio-move",
        about: "UFFDIO_MOVE an armed page to a place that is registered and empty, write there.",
        backings: &[Backing::Anon, Backing::ThpAnon],
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_MOVE, "UFFDIO_MOVE")],
        run: uffdio_move,
        expected: |cell| format!("ok; write: {}; content: moved", cell.mode.unarmed()),
        means: |_| "A page that is moved in is not armed where it arrives: arm it again before objects on it are read.",
        ..Case::USUAL
    },
    Case {
        name: "unregister-armed",
        about: "Arm, unregister, write; register again, write to another page.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let (start, len) = (stage.memory.base, stage.memory.len());
            let gone = named(stage.uffd.unregister(start, len));
            let write = stage.write(1);
            let back = named(stage.uffd.register(start, len, uffd::REGISTER_WP));
            Ok(format!("{gone}; write: {write}; back: {back}; write: {}", stage.write(2)))
        },
        expected: |cell| format!("ok; write: {}; back: ok; write: {}", cell.untracked(), cell.mode.unarmed()),
        means: |_| "Unregistering disarms every page.",
        ..Case::USUAL
    },
    Case {
        name: "close-armed",
        about: "Arm, close the descriptor, write.",
        may_hang: |cell| cell.keeps_huge_marks(),
        run: |cell| {
            let mut stage = Stage::armed(cell)?;
            stage.stop_server();
            close(&stage);
            Ok(stage.write(1))
        },
        expected: |cell| cell.untracked().into(),
        means: |_| "Closing the descriptor disarms every page: a tracker that dies lets the process go on, untracked.",
        ..Case::USUAL
    },
    Case {
        name: "unregister-waiting",
        about: "Let a thread wait in a write-protection fault that nobody resolves, unregister the range.",
        modes: SYNC,
        may_hang: |_| true,
        run: |cell| release(cell, |stage| named(stage.uffd.unregister(stage.memory.base, stage.memory.len()))),
        expected: |_| "ok; the thread goes on".into(),
        means: |_| "Unregistering lets waiting threads go on: a way out when the fault thread cannot.",
        ..Case::USUAL
    },
    Case {
        name: "unregister-waiting-missing",
        about: "The same with a thread that waits in a missing fault.",
        modes: SYNC,
        needs: &[],
        run: |cell| {
            let stage = Stage::new(cell, Plan { serve: false, ..Plan::MISSING })?;
            release_on(&stage, |stage| named(stage.uffd.unregister(stage.memory.base, stage.memory.len())))
        },
        expected: |_| "ok; the thread goes on".into(),
        means: |_| "Unregistering lets threads that wait for a missing page go on.",
        ..Case::USUAL
    },
    Case {
        name: "unregister-waiting-wake",
        about: "Let a thread wait in a write-protection fault, unregister the range, then UFFDIO_WAKE it.",
        modes: SYNC,
        run: |cell| {
            release(cell, |stage| {
                let (start, len) = (stage.memory.base, stage.memory.len());
                format!("{}, {}", named(stage.uffd.unregister(start, len)), named(stage.uffd.wake(start, len)))
            })
        },
        expected: |_| "ok, ok; the thread goes on".into(),
        means: |_| "Whoever unregisters must wake the range afterwards, which works though it is no longer registered.",
        ..Case::USUAL
    },
    Case {
        name: "close-waiting",
        about: "Let a thread wait in a fault that nobody resolves, close the descriptor.",
        modes: SYNC,
        may_hang: |cell| cell.keeps_huge_marks(),
        run: |cell| {
            release(cell, |stage| {
                close(stage);
                "ok".into()
            })
        },
        expected: |_| "ok; the thread goes on".into(),
        means: |_| "Closing lets waiting threads go on.",
        ..Case::USUAL
    },
];

fn moved(cell: &Cell, features: u64, flags: i32) -> Outcome {
    let stage = Stage::new(cell, Plan { features, ..Plan::USUAL })?;
    stage.arm(stage.memory.all())?;
    let (old, len) = (stage.memory.base, stage.memory.len());
    let to = Memory::new(cell.backing, Fill::Untouched)?;
    let flags = flags | libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: both ranges are the case's own memory.
    let result = unsafe { libc::mremap(old as *mut _, len, len, flags, to.base) };
    if let Err(e) = Errno::check(result as i64) {
        return Err(if cell.backing == Backing::Hugetlb && e.0 == libc::EINVAL {
            Stop::Unsupported("no mremap of hugetlb".into())
        } else {
            Stop::failed("mremap", e)
        });
    }
    let shown = stage.write_at(to.at(1) + 8);
    let shown = shown.strip_prefix("remap event, ").unwrap_or(&shown);
    if flags & libc::MREMAP_DONTUNMAP != 0 {
        return Ok(format!("{shown}; old place: {}", stage.write(1)));
    }
    Ok(shown.to_owned())
}

/// Drops the last reference to the userfaultfd. Its number is taken over by another file, so that the stage, which closes
/// it in the end, closes nobody else's.
fn close(stage: &Stage) {
    // SAFETY: plain system calls on descriptors of this process.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        libc::dup2(null, stage.uffd.as_raw_fd());
    }
}

fn filled(cell: &Cell, fill: impl FnOnce(&Stage) -> Result<(), Errno>) -> Outcome {
    let register = uffd::REGISTER_MISSING | uffd::REGISTER_WP;
    let stage = Stage::new(cell, Plan { fill: Fill::Untouched, register, ..Plan::USUAL })?;
    let result = named(fill(&stage));
    Ok(format!("{result}; write: {}", stage.write(1)))
}

fn uffdio_move(cell: &Cell) -> Outcome {
    let register = uffd::REGISTER_MISSING | uffd::REGISTER_WP;
    let stage = Stage::new(cell, Plan { fill: Fill::Untouched, register, ..Plan::USUAL })?;
    let source = Memory::new(cell.backing, Fill::Written)?;
    let failed = |e| Stop::failed("source", e);
    stage.uffd.register(source.base, source.len(), uffd::REGISTER_WP).map_err(failed)?;
    stage.uffd.write_protect(source.base, source.len(), uffd::PROTECT).map_err(failed)?;
    let moved = named(stage.uffd.move_pages(stage.memory.at(1), source.at(1), source.page));
    let content =
        if moved == "ok" && touch::load(stage.memory.at(1)) == Touch::Done(1) { "moved" } else { "not moved" };
    Ok(format!("{moved}; write: {}; content: {content}", stage.write(1)))
}

/// Lets a thread run into a fault that nobody serves, then does `act`, which should let it go on.
fn release(cell: &Cell, act: impl FnOnce(&Stage) -> String) -> Outcome {
    let stage = Stage::new(cell, Plan { serve: false, ..Plan::USUAL })?;
    stage.arm(stage.memory.all())?;
    release_on(&stage, act)
}

fn release_on(stage: &Stage, act: impl FnOnce(&Stage) -> String) -> Outcome {
    let address = stage.memory.at(1);
    let waiter = std::thread::spawn(move || touch::store(address, 2));
    let mut wait = libc::pollfd { fd: stage.uffd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one writable pollfd. The harness ends a wait that has no end.
    unsafe { libc::poll(&mut wait, 1, -1) };
    let result = act(stage);
    Ok(match waiter.join() {
        Ok(Touch::Done(_)) => format!("{result}; the thread goes on"),
        Ok(Touch::Signal(signal)) => format!("{result}; the thread gets {}", signal.name()),
        Err(_) => format!("{result}; the thread panicked"),
    })
}
