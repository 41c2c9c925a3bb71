//! What `crossbeam-deque` promises, as a lock around a queue: that library cannot run under loom.
//!
//! Each operation is one step, as its users may assume of a deque that is linearisable. What the model cannot see is
//! `crossbeam-deque` itself; and it never answers [`Steal::Retry`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::Mutex;

type Queue<T> = Arc<Mutex<VecDeque<T>>>;

/// A queue that everybody may use.
pub(crate) struct Injector<T>(Mutex<VecDeque<T>>);

/// The owner's end of a deque, where it takes what it pushed last.
pub(crate) struct Worker<T>(Queue<T>);

/// The others' end of a deque.
pub(crate) struct Stealer<T>(Queue<T>);

/// What came of an attempt to steal.
pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    /// Never here; the code under test handles it.
    #[expect(dead_code)]
    Retry,
}

impl<T> Steal<T> {
    fn from(item: Option<T>) -> Steal<T> {
        item.map_or(Steal::Empty, Steal::Success)
    }

    pub(crate) fn or_else(self, other: impl FnOnce() -> Steal<T>) -> Steal<T> {
        if let Steal::Empty = self { other() } else { self }
    }
}

/// The first success.
impl<T> FromIterator<Steal<T>> for Steal<T> {
    fn from_iter<I: IntoIterator<Item = Steal<T>>>(attempts: I) -> Steal<T> {
        attempts.into_iter().find(|steal| !matches!(steal, Steal::Empty)).unwrap_or(Steal::Empty)
    }
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Injector<T> {
        Injector(Mutex::default())
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().push_back(item);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        Steal::from(self.0.lock().pop_front())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl<T> Worker<T> {
    pub(crate) fn new_lifo() -> Worker<T> {
        Worker(Arc::default())
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer(self.0.clone())
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().push_back(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().pop_back()
    }
}

impl<T> Stealer<T> {
    pub(crate) fn steal(&self) -> Steal<T> {
        Steal::from(self.0.lock().pop_front())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
