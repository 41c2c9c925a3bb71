//! The primitives of a normal build.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::cell::UnsafeCell;
pub(crate) use std::hint;
pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

/// Queues of packets of work.
pub(crate) mod deque {
    pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker};
}
