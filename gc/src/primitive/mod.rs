//! What threads synchronise with, so that the real code can be model-checked.
//!
//! The parts of the collector whose correctness lies in the order of steps of several threads take their atomics, locks and threads from
//! here. In every normal build these are the items of `std`, `parking_lot` and `crossbeam-deque`, under other names and at no cost; [`meeting`] says which lock is whose.
//! Compiled with `--cfg loom` they are [loom]'s, which runs a test once for each order in which its threads can take their steps, and
//! for each value that a load may return in the memory model of C11; the tests are the modules called `interleavings` beside the
//! code they check, and `ci/loom` runs them.
//!
//! Modules that do not take part (system calls, telemetry, the metadata bytes, the objects) use `std` directly: under loom they run as if
//! each of their steps were one with the step before. One rule follows: a lock of `parking_lot` is never held across an
//! operation of this module, or loom's threads, which are coroutines of one thread, would block all together.
//!
//! [loom]: https://docs.rs/loom

#[cfg(loom)]
mod checked;
#[cfg(loom)]
pub(crate) mod checked_deque;
#[cfg(all(test, loom))]
mod explore;
#[cfg(not(any(loom, pagemark_tsan)))]
pub(crate) mod meeting;
#[cfg(not(loom))]
mod plain;

#[cfg(loom)]
pub(crate) use checked::*;
#[cfg(all(test, loom))]
pub(crate) use explore::explore;
#[cfg(not(loom))]
pub(crate) use plain::*;

/// Loom's locks serve both purposes.
#[cfg(loom)]
pub(crate) mod meeting {
    pub(crate) use super::checked::{Condvar, Mutex, MutexGuard};
}

/// ThreadSanitizer sees into `parking_lot`, which is built with it, and not into `std`.
#[cfg(pagemark_tsan)]
pub(crate) mod meeting {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
}
