//! The primitives of a normal build.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::cell::UnsafeCell;
pub(crate) use std::hint;
pub(crate) use std::sync::atomic;

/// Threads, as the child of a fork can start them.
pub(crate) mod thread {
    pub(crate) use crate::sys::thread::{JoinHandle, spawn};
    pub(crate) use std::thread::{ThreadId, current, sleep, yield_now};
}

/// Queues of packets of work.
pub(crate) mod deque {
    pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker};
}
