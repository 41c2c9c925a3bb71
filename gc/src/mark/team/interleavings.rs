//! Marking by two workers, in every interleaving: everything reachable is marked, by one worker each, no helper leaves while there is
//! work, and everybody comes to an end. Team and tracers are the real ones on a real heap; the deques are loom's (see [`crate::primitive`]). The
//! metadata is not: the race of two workers for one object is not part of the model.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::heap::interleavings::{Words, heap_with_objects, is_marked, word};
use crate::model::ObjectModel;
use crate::primitive::explore;
use crate::sys::Kernel;

/// Tells when an object is traced after a helper has left the drain.
struct Watching(Arc<Shared>);

// SAFETY: as `Words`.
unsafe impl ObjectModel for Watching {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        let helpers = self.0.stealers.len() - 1;
        assert_eq!(self.0.job.lock().running, helpers, "a helper left while there was work");
        // SAFETY: this function's contract is the same.
        unsafe { Words.trace(object, range, tracer) };
    }
}

fn mark_together(drains: usize, preemptions: usize) {
    explore(preemptions, move || {
        let (heap, objects) = heap_with_objects::<5>();
        // A tree: 0 has 1 and 2, which have 3 and 4.
        for (from, slot, to) in [(0, 0, 1), (0, 1, 2), (1, 0, 3), (2, 0, 4)] {
            word(objects[from], slot).store(objects[to], Ordering::Relaxed);
        }
        let team = Team::new(2, 0, "test", &Kernel::real()).unwrap();
        let model = Watching(team.shared.clone());
        for _ in 0..drains {
            heap.start_marking(false);
            let marking = Marking {
                heap: &heap,
                model: &model,
                stack_bound: usize::MAX,
                overflow: Default::default(),
                objects: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                young_bytes: AtomicU64::new(0),
                watch: None,
                dangling: AtomicU64::new(0),
            };
            team.drain(&marking, Vec::new(), &objects[..1], 2);
            assert!(objects.iter().all(|object| is_marked(&heap, *object)), "not everything is marked");
            assert_eq!(marking.objects.load(Ordering::Relaxed), objects.len() as u64);
            assert!(team.shared.injector.is_empty() && team.shared.stealers.iter().all(Stealer::is_empty));
            assert_eq!(team.shared.active.load(Ordering::Relaxed), 0);
        }
    });
}

#[test]
fn two_workers_mark_everything_and_stop() {
    mark_together(1, 3);
}

#[test]
fn helpers_join_each_drain_once() {
    mark_together(2, 2);
}
