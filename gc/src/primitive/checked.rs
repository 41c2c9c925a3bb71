//! The primitives under loom, with the interfaces that the code uses.

use std::ops::{Deref, DerefMut};

pub(crate) use super::checked_deque as deque;
pub(crate) use loom::hint;
pub(crate) use loom::sync::atomic;

/// Threads; to sleep is to let the others go first.
pub(crate) mod thread {
    use loom::thread::Builder;
    pub(crate) use loom::thread::{ThreadId, current, yield_now};

    /// A thread that was started.
    pub(crate) struct JoinHandle(loom::thread::JoinHandle<()>);

    /// Starts a thread.
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle> {
        Builder::new().name(name.into()).spawn(run).map(JoinHandle)
    }

    impl JoinHandle {
        /// Waits for its end.
        pub(crate) fn join(self) {
            let _ = self.0.join();
        }

        /// Whether it is the thread that asks.
        pub(crate) fn is_current(&self) -> bool {
            self.0.thread().id() == current().id()
        }
    }

    /// Time does not pass in a model.
    pub(crate) fn sleep(_: std::time::Duration) {
        yield_now();
    }
}

/// A mutex with `parking_lot`'s interface.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// The lock is held while this lives.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().ok())
    }
}

impl<T> MutexGuard<'_, T> {
    /// Loom tries every next owner, fair or not.
    pub(crate) fn unlock_fair(guard: Self) {
        drop(guard);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held but while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held but while it waits")
    }
}

/// A condition variable with `parking_lot`'s interface.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held");
        guard.0 = self.0.wait(held).ok();
    }

    /// Time does not pass in a model.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: std::time::Duration) {
        self.wait(guard);
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A cell that fails the model when it is got by a thread that the last getter does not come before.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(loom::cell::UnsafeCell::new(value))
    }

    /// Counts as a write at this moment; loom does not know how long the pointer is used.
    pub(crate) fn get(&self) -> *mut T {
        self.0.with_mut(|pointer| pointer)
    }
}
