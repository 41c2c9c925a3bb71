//! Sweeping beside a cycle, in every interleaving, on a real heap of two blocks a space. The metadata bytes are not loom's.
//!
//! Also what other models need of a heap: one, and objects in it that refer to each other.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use loom::thread;

use super::local::Local;
use super::metadata::{MARK_MASK, START};
use super::*;
use crate::barrier::{Mechanism, open};
use crate::model::{ObjectModel, Tracer};
use crate::primitive::explore;
use crate::sys::Kernel;

/// Bytes of an object: four words, each a reference or null.
pub(crate) const OBJECT: usize = 32;

/// The object model of the tests. The words are not loom's atomics.
pub(crate) struct Words;

// SAFETY: reports every word of the range that is not null.
unsafe impl ObjectModel for Words {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        for offset in range.step_by(8) {
            let reference = word(object.as_ptr() as usize, offset / 8).load(Ordering::Acquire);
            if reference != 0 {
                tracer.edge(reference);
            }
        }
    }
}

/// A word of an object.
pub(crate) fn word(object: usize, index: usize) -> &'static AtomicUsize {
    // SAFETY: the tests pass objects of a heap that lives as long as their model, and use the words as atomics only.
    unsafe { &*(object as *const AtomicUsize).add(index) }
}

/// A heap of two blocks a space, with `N` objects in the first, retired.
pub(crate) fn heap_with_objects<const N: usize>() -> (Heap, [usize; N]) {
    let heap = Heap::reserve(&Kernel::real(), Backing::Anon, 2 * BLOCK, false, "pagemark test heap").unwrap();
    let barrier = open(Mechanism::Stop, Backing::Anon, std::slice::from_ref(&heap.tracked.range), &Kernel::real());
    let barrier = barrier.unwrap().barrier;
    let mut local = Local::new(Space::Tracked);
    let objects = [(); N].map(|()| {
        local.bump(&heap, OBJECT).unwrap_or_else(|| local.refill_and_alloc(&heap, &*barrier, OBJECT).unwrap())
    });
    local.retire(&heap);
    (heap, objects)
}

/// Whether the object carries the live colour.
pub(crate) fn is_marked(heap: &Heap, object: usize) -> bool {
    heap.metadata.at(object).load(Ordering::Relaxed) & MARK_MASK == heap.colour()
}

/// What a cycle does to an object that stays reachable.
fn cycle(heap: &Heap, object: usize) {
    heap.finish_sweeping();
    heap.start_marking(false);
    let byte = heap.metadata.at(object);
    byte.store(byte.load(Ordering::Relaxed) & !MARK_MASK | heap.colour(), Ordering::Relaxed);
    heap.end_marking(false);
}

#[test]
fn what_a_cycle_marked_survives_a_sweeper_that_slept_through_it() {
    explore(2, || {
        let (heap, [object]) = heap_with_objects();
        let heap = Arc::new(heap);
        cycle(&heap, object);
        let away = heap.clone();
        // A mutator that waits for the first cycle: no later pause waits for it.
        let thread = thread::spawn(move || away.finish_sweeping());
        cycle(&heap, object);
        heap.finish_sweeping();
        thread.join().unwrap();
        assert!(heap.metadata.at(object).load(Ordering::Relaxed) & START != 0, "a live object was swept");
    });
}
