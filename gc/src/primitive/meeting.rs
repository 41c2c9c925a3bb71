//! Locks at which threads wait for each other, with `parking_lot`'s interface and `std`'s insides.
//!
//! Why not `parking_lot`'s: it keeps those who wait in a table of the process. After a fork the child inherits the table with the threads in
//! it that only the parent has, and a lock may be handed on to one of them. `std`'s locks are one word each, on which the kernel keeps the
//! queue, and a child's queue is empty. So everything that a thread may wait at while another forks is one of these; locks that are only ever
//! held for a few steps, by threads that a fork stops first, are `parking_lot`'s.
//!
//! A panic while a lock is held does not poison it: what these guard is changed in single steps.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

/// A mutex.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

/// The lock is held while this lives.
#[derive(Debug)]
pub struct MutexGuard<'a, T>(Option<std::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
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

/// A condition variable.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Lets go of the lock, waits, and takes it again.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// The same, but no longer than `time`.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, time: Duration) {
        let held = guard.0.take().expect("held");
        guard.0 = Some(self.0.wait_timeout(held, time).unwrap_or_else(PoisonError::into_inner).0);
    }

    /// Wakes all who wait.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
