//! Sweeping beside a cycle, in every interleaving, on a real heap of two blocks a space. The metadata bytes are not loom's.

use std::sync::Arc;

use loom::thread;

use super::local::Local;
use super::metadata::{MARK_MASK, START};
use super::*;
use crate::barrier::{Mechanism, open};
use crate::primitive::explore;
use crate::sys::Kernel;

/// What a cycle does to an object that stays reachable.
fn cycle(heap: &Heap, object: usize) {
    heap.finish_sweeping();
    heap.start_marking();
    let byte = heap.metadata.at(object);
    byte.store(byte.load(Ordering::Relaxed) & !MARK_MASK | heap.colour(), Ordering::Relaxed);
    heap.end_marking();
}

#[test]
fn what_a_cycle_marked_survives_a_sweeper_that_slept_through_it() {
    explore(2, || {
        let heap =
            Arc::new(Heap::reserve(&Kernel::real(), Backing::Anon, 2 * BLOCK, false, "pagemark test heap").unwrap());
        let barrier = open(Mechanism::Stop, Backing::Anon, std::slice::from_ref(&heap.tracked.range), &Kernel::real());
        let mut local = Local::new(Space::Tracked);
        let object = local.refill_and_alloc(&heap, &*barrier.unwrap().barrier, 32).unwrap();
        local.retire(&heap);
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
