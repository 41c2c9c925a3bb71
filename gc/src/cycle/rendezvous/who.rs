//! Which thread a mutator is, and what to say when the collector has waited for it for long.
//!
//! A handshake or a stop that a thread does not answer waits for ever, and the program with it: not a crash, not a message, nothing that
//! says where to look. The reasons are few and all are mistakes of the embedder, so after [`PATIENCE`] one line on standard error names the
//! thread and them. The wait goes on: a thread that computes for a minute without a poll is slow, not lost.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::fatal::say;
use crate::primitive::thread;

/// How long a thread may let the collector wait before somebody is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mutator's thread.
pub struct Who {
    id: thread::ThreadId,
    name: Option<String>,
    /// The kernel's number, which a fork changes.
    tid: AtomicU32,
}

impl Who {
    /// The calling thread.
    pub fn calls() -> Who {
        let current = thread::current();
        Who { id: current.id(), name: current.name().map(str::to_owned), tid: tid().into() }
    }

    /// Whether the calling thread is this one. A number is never used for a second thread.
    pub fn is_calling(&self) -> bool {
        self.id == thread::current().id()
    }

    /// In the child of a fork, on this thread.
    pub fn forked(&self) {
        self.tid.store(tid(), Ordering::Relaxed);
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tid = self.tid.load(Ordering::Relaxed);
        match &self.name {
            Some(name) => write!(f, "thread `{name}` (tid {tid})")?,
            None => write!(f, "a thread without a name (tid {tid})")?,
        }
        if !Path::new("/proc/self/task").join(tid.to_string()).exists() {
            write!(f, ", which has ended")?;
        }
        Ok(())
    }
}

fn tid() -> u32 {
    // SAFETY: only asks.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// One wait for mutators.
pub struct Waiting {
    since: Instant,
    said: bool,
}

impl Waiting {
    /// From now on.
    pub fn new() -> Waiting {
        Waiting { since: Instant::now(), said: false }
    }

    /// How long to wait before [`Waiting::is_long`] is worth asking.
    pub fn patience(&self) -> Duration {
        // Once all is said there is nothing to wake up for.
        if self.said { Duration::from_secs(3600) } else { PATIENCE.saturating_sub(self.since.elapsed()) }
    }

    /// Whether somebody should be told, with [`Waiting::tell`].
    pub fn is_long(&self) -> bool {
        !self.said && self.since.elapsed() >= PATIENCE
    }

    /// Says once for whom `what` waits.
    pub fn tell(&mut self, heap: &str, what: &str, threads: &[String]) {
        self.said = true;
        say(&format!(
            "pagemark[{heap}] {what} has waited {} s for {}, and waits on. Usually such a thread does not poll (a long loop without \
             Mutator::poll, a system call or join outside Mutator::blocking), or its Mutator was leaked (mem::forget)",
            self.since.elapsed().as_secs(),
            threads.join(" and "),
        ));
    }
}
