//! Handles: slots in a table that the collector reads as roots.
//!
//! A [`Root`] belongs to a thread, a [`Global`] to the heap. Both are an index into a table behind a lock and keep what their slot holds until they are
//! dropped; they hold no address, so they cannot dangle. The lock is taken by handle operations and while the roots are traced;
//! between safepoints code uses plain [`Ref`]s and takes none.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Mutator, Ref};
use crate::{RootSource, Tracer};

#[derive(Default)]
struct Slots {
    slots: Vec<usize>,
    free: Vec<usize>,
}

/// A table of slots, for objects of one heap.
pub(super) struct RootTable {
    /// The heap's addresses.
    range: Range<usize>,
    slots: Mutex<Slots>,
}

impl RootTable {
    /// No slots yet.
    pub(super) fn new(range: Range<usize>) -> RootTable {
        RootTable { range, slots: Mutex::default() }
    }

    /// The word of a slot that holds `object`. Here, because what a heap does not know it does not keep: a reference got back from the slot would dangle.
    fn word<T>(&self, object: Option<Ref<'_, T>>) -> usize {
        let Some(object) = object else { return 0 };
        assert!(
            self.range.contains(&object.address()),
            "this handle is of another heap than the object: it would not keep it"
        );
        object.address()
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // Nothing that runs under the lock leaves the table half-changed, so a panic elsewhere does not matter.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, addr: usize) -> usize {
        let mut table = self.lock();
        if let Some(index) = table.free.pop() {
            table.slots[index] = addr;
            return index;
        }
        table.slots.push(addr);
        table.slots.len() - 1
    }

    fn remove(&self, index: usize) {
        let mut table = self.lock();
        table.slots[index] = 0;
        table.free.push(index);
    }
}

// SAFETY: reports every slot.
unsafe impl RootSource for RootTable {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        for addr in &self.lock().slots {
            if *addr != 0 {
                tracer.edge(*addr);
            }
        }
    }
}

/// A slot of a table, given back when dropped.
struct Slot {
    table: Arc<RootTable>,
    index: usize,
}

impl Slot {
    fn get(&self) -> usize {
        self.table.lock().slots[self.index]
    }

    fn set(&self, addr: usize) {
        self.table.lock().slots[self.index] = addr;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.remove(self.index);
    }
}

/// Keeps an object for this thread, across safepoints.
pub struct Root<T> {
    slot: Slot,
    /// Not Send: it is a root of this thread only.
    target: PhantomData<*mut T>,
}

/// Keeps an object for any thread.
pub struct Global<T> {
    slot: Slot,
    target: PhantomData<fn(T) -> T>,
}

macro_rules! handle {
    ($name:ident, $table_of:ident) => {
        impl<T: Send + Sync + 'static> $name<T> {
            pub(super) fn new(table: &Arc<RootTable>, object: Option<Ref<'_, T>>) -> $name<T> {
                let index = table.insert(table.word(object));
                $name { slot: Slot { table: table.clone(), index }, target: PhantomData }
            }

            /// What it keeps.
            ///
            /// # Panics
            ///
            /// With a mutator whose safepoints do not keep it: of another heap, or for a root, any but the one that made it.
            pub fn get<'m>(&self, mutator: &'m Mutator) -> Option<Ref<'m, T>> {
                let table: &Arc<RootTable> = $table_of(mutator);
                assert!(
                    Arc::ptr_eq(&self.slot.table, table),
                    "this handle was made by another mutator or in another heap"
                );
                // SAFETY: the slot holds null or an object that it keeps alive until the next safepoint of this mutator at least, even
                // if the slot changes: the table is traced as this mutator's, or as its heap's.
                unsafe { Ref::from_addr(self.slot.get()) }
            }

            /// Keeps `object` instead.
            ///
            /// # Panics
            ///
            /// When `object` is of another heap.
            pub fn set(&self, object: Option<Ref<'_, T>>) {
                self.slot.set(self.slot.table.word(object));
            }
        }
    };
}

fn roots_of(mutator: &Mutator) -> &Arc<RootTable> {
    &mutator.roots
}

fn globals_of(mutator: &Mutator) -> &Arc<RootTable> {
    &mutator.heap.globals
}

handle!(Root, roots_of);
handle!(Global, globals_of);
