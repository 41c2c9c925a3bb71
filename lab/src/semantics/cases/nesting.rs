//! Two trackers on one range, trackers in other processes, and arming while the address space changes.
//!
//! A mapping has one userfaultfd. The *non-cooperative* events tell a tracker of forks, moves, frees and unmaps; the
//! thread that caused one waits until the event has been read, and as long as it waits every request that would
//! change pages answers `EAGAIN`.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Backing, Cell, SMALL};
use crate::semantics::errno::{Errno, named};
use crate::semantics::memory;
use crate::semantics::process::{Process, in_child};
use crate::semantics::scan::Scan;
use crate::semantics::stage::{self, Outcome, Plan, Stage, Stop, names};
use crate::semantics::touch::{self, Touch};
use crate::semantics::uffd::{self, Event, Uffd};

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "second-uffd",
        about: "Register the range with a second descriptor, then write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let second = stage::open(cell, 0)?;
            let registered = second.register(stage.memory.base, stage.memory.len(), uffd::REGISTER_WP);
            Ok(format!("{}; write: {}", named(registered), stage.write(1)))
        },
        expected: |cell| format!("EBUSY; write: {}", cell.mode.seen()),
        means: |_| "A heap's range has one tracker. Whoever comes second is refused, be it a debugger, a migration tool or a second collector.",
        ..Case::USUAL
    },
    Case {
        name: "reregister-missing",
        about: "Arm, register the same range again for missing faults only, write; register for write protection again, write elsewhere.",
        may_hang: |cell| cell.backing == Backing::Hugetlb,
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let register = |mode| named(stage.uffd.register(stage.memory.base, stage.memory.len(), mode));
            let missing = register(uffd::REGISTER_MISSING);
            let first = stage.write(1);
            let back = register(uffd::REGISTER_WP);
            Ok(format!("{missing}; write: {first}; back: {back}; write: {}", stage.write(2)))
        },
        expected: |cell| {
            if cell.facts.since(7, 3) {
                return format!("EBUSY; write: {0}; back: ok; write: {0}", cell.mode.seen());
            }
            // The page table keeps its marks, so a scan goes on calling the page armed; a huge page of shmem is
            // taken out of the page table by the write, and its small page comes without a mark.
            let gap = match (cell.mode.is_async(), cell.backing) {
                (true, Backing::ThpShmem) => "reported",
                (true, _) => "unreported",
                (false, _) => "unseen",
            };
            format!("ok; write: {gap}; back: ok; write: {}", cell.mode.seen())
        },
        means: |observed| {
            if observed.starts_with("EBUSY") {
                "A range keeps the mode it was registered for: the mistake is refused."
            } else if observed.ends_with("unseen") || observed.ends_with("unreported") {
                "A write while the mode was away made the whole huge page writable, marks and all: afterwards writes to it are LOST. Never register a heap's range for something else."
            } else {
                "Registering again replaces the mode: protection that was there is ignored, without an error, until the mode comes back."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "register-again",
        about: "Arm, register the same range again for the same, write.",
        run: |cell| {
            let stage = Stage::armed(cell)?;
            let again = named(stage.uffd.register(stage.memory.base, stage.memory.len(), uffd::REGISTER_WP));
            Ok(format!("{again}; write: {}", stage.write(1)))
        },
        expected: |cell| format!("ok; write: {}", cell.mode.seen()),
        means: |_| "Registering again for the same changes nothing.",
        ..Case::USUAL
    },
    Case {
        name: "tracker-outside",
        about: "Let another process hold the descriptor and serve it, while the tracked process also uses mprotect and a userfaultfd of its own.",
        run: tracker_outside,
        expected: |cell| format!("write: {0}; read-only: SIGSEGV; own uffd: EBUSY; back: {0}", cell.mode.seen()),
        means: |_| "A tracker outside sees what a collector inside sees; the tracked process cannot use a userfaultfd of its own there.",
        ..Case::USUAL
    },
    Case {
        name: "event-remove",
        about: "Let a thread MADV_DONTNEED a page under EVENT_REMOVE and arm other pages before the event is read.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EVENT_REMOVE, "EVENT_REMOVE")],
        run: |cell| arm_in_flight(cell, uffd::FEATURE_EVENT_REMOVE, remove),
        expected: |cell| in_flight(cell, "remove event"),
        ..IN_FLIGHT
    },
    Case {
        name: "event-unmap",
        about: "The same with munmap and EVENT_UNMAP.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EVENT_UNMAP, "EVENT_UNMAP")],
        run: |cell| arm_in_flight(cell, uffd::FEATURE_EVENT_UNMAP, unmap),
        expected: |cell| in_flight(cell, "unmap event"),
        ..IN_FLIGHT
    },
    Case {
        name: "event-remap",
        about: "The same with mremap and EVENT_REMAP.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EVENT_REMAP, "EVENT_REMAP")],
        run: |cell| arm_in_flight(cell, uffd::FEATURE_EVENT_REMAP, remap),
        expected: |cell| in_flight(cell, "remap event"),
        ..IN_FLIGHT
    },
    Case {
        name: "event-fork",
        about: "The same with fork and EVENT_FORK.",
        needs: &[Need::Protection, Need::Feature(uffd::FEATURE_EVENT_FORK, "EVENT_FORK")],
        run: |cell| arm_in_flight(cell, uffd::FEATURE_EVENT_FORK, |_| drop(in_child(String::new))),
        expected: |cell| in_flight(cell, "fork event"),
        ..IN_FLIGHT
    },
];

const IN_FLIGHT: Case = Case {
    backings: SMALL,
    means: |observed| {
        if observed.contains("EAGAIN") {
            "While such an event waits to be read, arming answers EAGAIN. Whoever asks for these events must read them on a thread that does not arm."
        } else {
            "Arming goes on while such an event waits to be read."
        }
    },
    ..Case::USUAL
};

fn in_flight(cell: &Cell, event: &str) -> String {
    let scan = if cell.mode.is_async() { "scan: ok; " } else { "" };
    format!("arm: EAGAIN; {scan}{event}; then: ok")
}

fn remove(range: Range<usize>) {
    // SAFETY: the range is the case's own memory.
    unsafe { libc::madvise(range.start as *mut _, range.len(), libc::MADV_DONTNEED) };
}

fn unmap(range: Range<usize>) {
    // SAFETY: the range is the case's own memory.
    unsafe { libc::munmap(range.start as *mut _, range.len()) };
}

fn remap(range: Range<usize>) {
    let len = range.len();
    let Ok(to) = memory::map(0, len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1) else { return };
    // SAFETY: both ranges are the case's own memory.
    unsafe { libc::mremap(range.start as *mut _, len, len, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, to) };
}

/// Lets a thread do `act` to page 2, which makes it wait for an event to be read, and arms pages 4 to 8 meanwhile.
fn arm_in_flight(cell: &Cell, features: u64, act: fn(Range<usize>)) -> Outcome {
    let stage = Stage::new(cell, Plan { features, serve: false, ..Plan::USUAL })?;
    let page = stage.memory.at(2)..stage.memory.at(3);
    let actor = std::thread::spawn(move || act(page));
    let mut wait = libc::pollfd { fd: stage.uffd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one writable pollfd. The harness ends a wait that has no end.
    unsafe { libc::poll(&mut wait, 1, -1) };
    let armed = named(stage.try_arm(4..8));
    let (start, len) = stage.memory.span(&(8..12));
    let scanned =
        if cell.mode.is_async() { format!("scan: {}; ", named(Scan::take(start, len).ask())) } else { String::new() };
    let events = stage.uffd.read().map_err(|e| Stop::failed("read", e))?;
    for event in &events {
        if let Event::Fork(fd) = *event {
            // SAFETY: the descriptor came with the event and is nobody else's.
            drop(unsafe { Uffd::from_raw(fd) });
        }
    }
    let _ = actor.join();
    Ok(format!("arm: {armed}; {scanned}{}; then: {}", names(&events), named(stage.try_arm(4..8))))
}

fn tracker_outside(cell: &Cell) -> Outcome {
    let stage = Stage::new(cell, Plan { serve: false, ..Plan::USUAL })?;
    stage.arm(stage.memory.all())?;
    let tracker = Tracker::start(&stage)?;
    let first = tracker.write(&stage, 1)?;
    let failed = |e: Errno| Stop::failed("mprotect", e);
    stage.memory.protect(stage.memory.all(), libc::PROT_READ).map_err(failed)?;
    let forbidden = tracker.write(&stage, 2)?;
    let second = named(stage::open(cell, 0)?.register(stage.memory.base, stage.memory.len(), uffd::REGISTER_WP));
    stage.memory.protect(stage.memory.all(), libc::PROT_READ | libc::PROT_WRITE).map_err(failed)?;
    let back = tracker.write(&stage, 3)?;
    tracker.process.kill();
    Ok(format!("write: {first}; read-only: {forbidden}; own uffd: {second}; back: {back}"))
}

/// A process that resolves what the descriptor tells, and answers questions about pages through a socket.
struct Tracker {
    process: Process,
    socket: std::os::unix::net::UnixDatagram,
}

impl Tracker {
    fn start(stage: &Stage) -> Result<Tracker, Stop> {
        let failed = |e| Stop::failed("socketpair", Errno::from_io(e));
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().map_err(failed)?;
        let tracked = std::process::id();
        let process = Process::start(|| {
            let answer = || -> Result<(), Errno> {
                let pagemap = File::open(format!("/proc/{tracked}/pagemap")).map_err(Errno::from_io)?;
                let mut log = Vec::new();
                loop {
                    let fds = [stage.uffd.as_raw_fd(), theirs.as_raw_fd()];
                    let mut waits = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
                    // SAFETY: two writable pollfds.
                    unsafe { libc::poll(waits.as_mut_ptr(), 2, -1) };
                    for event in stage.uffd.read()? {
                        log.push(event);
                        if let Event::Fault(_, address) = event {
                            let page = stage.memory.page;
                            stage.uffd.write_protect(address & !(page - 1), page, 0)?;
                        }
                    }
                    if waits[1].revents == 0 {
                        continue;
                    }
                    let mut question = [0; 8];
                    theirs.recv(&mut question).map_err(Errno::from_io)?;
                    let page = usize::from_ne_bytes(question);
                    let scan = Scan::written(stage.memory.at(page), stage.memory.page);
                    let written = stage.cell.mode.is_async() && !scan.ask_file(&pagemap)?.0.is_empty();
                    let line = format!("{}{}", names(&std::mem::take(&mut log)), if written { "reported" } else { "" });
                    theirs.send(line.as_bytes()).map_err(Errno::from_io)?;
                }
            };
            named(answer())
        })?;
        Ok(Tracker { process, socket: ours })
    }

    /// What the tracker saw on a page since it was asked last.
    fn ask(&self, page: usize) -> Result<String, Stop> {
        let failed = |e| Stop::failed("asking the tracker", Errno::from_io(e));
        self.socket.send(&page.to_ne_bytes()).map_err(failed)?;
        let mut line = [0; 256];
        let len = self.socket.recv(&mut line).map_err(failed)?;
        Ok(String::from_utf8_lossy(&line[..len]).into_owned())
    }

    /// Writes to a page and says what showed, to the writer or else to the tracker.
    fn write(&self, stage: &Stage, page: usize) -> Result<String, Stop> {
        if !self.ask(page)?.is_empty() {
            return Ok("was reported before".into());
        }
        match touch::store(stage.memory.at(page), 2) {
            Touch::Signal(signal) => Ok(signal.name().into()),
            Touch::Done(_) => {
                let seen = self.ask(page)?;
                Ok(if seen.is_empty() { "unseen".into() } else { seen })
            }
        }
    }
}
