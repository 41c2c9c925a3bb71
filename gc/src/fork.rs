//! Forking a process with a heap: parent and child both go on, each with a heap and a collector of its own.
//!
//! A fork copies memory and one thread. What a heap needs beyond memory the child does not have: the collector thread, the markers and the fault
//! thread are the parent's; a userfaultfd does not follow the fork, and pages are not armed in the child; shared memory is the same memory.
//! And locks that other threads held at that moment are held in the child for ever. So [`Mutator::fork`] first makes the heap quiet:
//!
//! 1. The forking mutator goes away: it is at a safepoint, and its roots stand.
//! 2. It waits until the collector thread has nothing to do, and holds back the next cycle; then it sweeps what is left to sweep.
//! 3. All other mutators stop. Now no thread of the heap holds a lock or changes anything.
//! 4. It takes the locks that threads may take which are no mutators (to attach, to read the summary), so that nobody has one.
//!
//! Then it forks. The threads of the child are started without `std`, which would take a lock for it that somebody may have held
//! ([`sys::thread`](crate::sys::thread)). In the child the other mutators are gone, and so are their roots; their blocks are retired for them. Shared memory is
//! copied, the barrier starts over with every page written, and threads are started. The parent waits for the child to say that this worked, with
//! its mutators stopped, since until then the child may be copying. If it did not, the child ends and the parent has the error: either
//! there are two heaps that work or the one there was.
//!
//! A child that was forked in any other way has no collector. It may read and write its copy of an `anon` heap, and allocate until a cycle is
//! needed; then it is told so by a panic. A `shmem` heap is not in its address space.

use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use crate::mutator::{Away, Mutator};
use crate::sys::errno;

/// Which process this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forked {
    /// The one that forked.
    Parent {
        /// The child's process id; the caller waits for it, as for any child.
        child: libc::pid_t,
    },
    /// The new one.
    Child,
}

/// Why there is no child. The heap is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The kernel made no process, or no pipe to it.
    #[error(
        "cannot fork: {0}; is the limit on processes or memory reached (RLIMIT_NPROC, pids cgroup, vm.overcommit_memory)?"
    )]
    Fork(#[source] io::Error),
    /// The child could not make its heap work, and has ended.
    #[error("the forked child could not go on with its heap, and ended: {0}")]
    Child(String),
}

/// What a child writes when its heap works.
const WORKS: &[u8] = b"+";

impl Mutator {
    /// Forks the process. A safepoint. Parent and child each go on with their own heap, which begins the same in both; in the child this is the only
    /// mutator, and what only other threads' roots held is garbage. Other heaps of the process do not work in the child.
    ///
    /// Takes as long as a cycle that is running, and as copying the heap where its backing is `shmem`; all mutators stop meanwhile.
    ///
    /// # Errors
    ///
    /// [`ForkError`]: there is no child, and nothing has changed.
    ///
    /// # Safety
    ///
    /// As for any `fork(2)` of a process with threads: in the child, what threads outside of this heap were changing stays half changed, and the
    /// locks they held stay held. What the child uses afterwards must not depend on those; a root source that locks is such a thing, if threads that
    /// are no mutators take its lock.
    pub unsafe fn fork(&mut self) -> Result<Forked, ForkError> {
        let (mut ours, mut childs) = pipe().map_err(ForkError::Fork)?;
        let away = Away::go(self);
        let mutator = away.mutator();
        let shared = mutator.collector().shared();
        let hold = Hold::new(&shared.control);
        shared.heap.finish_sweeping();
        shared.team().settle();
        let (stopped, _) = shared.rendezvous.stop();
        shared.barrier().settle();
        // Never the other way round: who holds one of these takes no other.
        let control = shared.control.lock();
        let mut meeting = stopped.lock();
        let handed_over = shared.handed_over.lock();
        let globals = shared.globals.lock();
        let listeners = shared.listeners.lock();
        let stats = shared.stats.lock();
        let sampling = shared.sampling.lock();
        let trace = shared.trace.as_ref().map(|trace| trace.lock());

        // SAFETY: every lock of the heap is free or ours, and no thread of it is in the middle of anything; the rest is the caller's word.
        let child = unsafe { shared.heap.mapping.kernel().fork() };

        drop((control, handed_over, globals, listeners, stats, sampling, trace));
        let forked = match child {
            Err(error) => Err(ForkError::Fork(error)),
            Ok(0) => {
                drop(ours);
                for gone in meeting.keep_only(mutator.party()) {
                    shared.retire(&gone);
                }
                if let Err(why) = restart(mutator) {
                    let _ = childs.write_all(why.as_bytes());
                    // SAFETY: ends this process and runs nothing of it.
                    unsafe { libc::_exit(127) };
                }
                // Fails where the parent is gone, which is none of the child's business.
                let _ = childs.write_all(WORKS);
                drop(childs);
                Ok(Forked::Child)
            }
            Ok(child) => {
                drop(childs);
                let mut said = Vec::new();
                let heard = ours.read_to_end(&mut said);
                if heard.is_ok() && said == WORKS {
                    Ok(Forked::Parent { child })
                } else {
                    let mut status = 0;
                    // SAFETY: waits for our own child, which has ended or is about to.
                    unsafe { libc::waitpid(child, &mut status, 0) };
                    let said = String::from_utf8_lossy(&said).into_owned();
                    Err(ForkError::Child(if said.is_empty() {
                        format!("it died with wait status {status}")
                    } else {
                        said
                    }))
                }
            }
        };
        drop(meeting);
        drop(stopped);
        drop(hold);
        drop(away);
        forked
    }
}

/// In the child: everything that the fork did not copy.
fn restart(mutator: &Mutator) -> Result<(), String> {
    let collector = mutator.collector();
    let shared = collector.shared();
    shared.heap.mapping.restart_in_child().map_err(|error| error.to_string())?;
    shared.barrier().restart_in_child().map_err(|error| error.to_string())?;
    if shared.barrier().writes_fault() {
        shared.pacer.no_page_is_armed();
        shared.heap.prefer_fresh(false);
    }
    if let Some(trace) = &shared.trace {
        trace.restart_in_child().map_err(|error| format!("cannot write a trace of its own: {error}"))?;
    }
    collector.restart_threads().map_err(|error| format!("cannot start a collector thread: {error}"))
}

/// Cycles are held back while this lives.
struct Hold<'a>(&'a crate::collector::Control);

impl<'a> Hold<'a> {
    fn new(control: &'a crate::collector::Control) -> Hold<'a> {
        control.hold();
        Hold(control)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A pipe, its reading end first.
fn pipe() -> io::Result<(std::fs::File, std::fs::File)> {
    let mut ends = [0; 2];
    // SAFETY: an array of two numbers, which the call fills.
    errno::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel just made these descriptors for us, nobody else owns them.
    Ok(ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }.into()).into())
}
