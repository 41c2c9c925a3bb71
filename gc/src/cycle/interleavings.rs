//! The cycle beside mutators, in every interleaving: arm, mark, rounds, pause, and no reachable object is lost.
//!
//! The cycle, the rendezvous, the marking and the heap are the real ones; so is one judge, `verify=mark`, which traces again in the pause; the other
//! traces from the mutators' roots at the end. What stands for
//! the kernel is a bit a page: a store finds out that the page is armed, makes it written and happens, in one step, as with `async`; a scan takes the
//! bit of a page in one step too. The slots of the objects are atomics of loom's beside the heap.

use std::collections::HashSet;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use loom::sync::atomic::AtomicUsize;
use loom::thread::{self, JoinHandle};

use super::*;
use crate::barrier::{Barrier, PageRange};
use crate::config::Config;
use crate::cycle::rendezvous::Party;
use crate::heap::interleavings::{heap_with_objects, is_marked};
use crate::layout::PAGE;
use crate::model::{ObjectModel, RootSource, Tracer};
use crate::primitive::{Mutex, explore};
use crate::sys::Kernel;

/// Objects 0 and 1 lie on a page each, object 2 beside object 1. Each has one slot.
const OBJECTS: usize = 3;
const ON_PAGE: [usize; OBJECTS] = [0, 1, 1];

/// A cycle's mistake that the model must find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    MarkBeforeArming,
    NoScanInThePause,
    RootsOnlyOnce,
}

/// The pages and slots that mutators and the collector share.
struct Memory {
    objects: [usize; OBJECTS],
    slots: [AtomicUsize; OBJECTS],
    armed: [Mutex<bool>; 2],
    /// Pages that nobody writes: reported once.
    others: parking_lot::Mutex<HashSet<usize>>,
    mistake: Mistake,
    in_pause: AtomicBool,
}

impl Memory {
    /// A store instruction: the page is written from here on.
    fn store(&self, object: usize, reference: usize) {
        let mut armed = self.armed[ON_PAGE[object]].lock();
        *armed = false;
        self.slots[object].store(reference, Ordering::Release);
    }

    fn load(&self, object: usize) -> usize {
        self.slots[object].load(Ordering::Acquire)
    }

    /// Whether the page was written; it is armed now.
    fn take(&self, page: usize) -> bool {
        match [0, 1].into_iter().find(|index| self.objects[*index] & !(PAGE - 1) == page) {
            Some(index) => !std::mem::replace(&mut *self.armed[index].lock(), true),
            None => self.others.lock().insert(page),
        }
    }
}

struct Kernels(Arc<Memory>);

impl Barrier for Kernels {
    fn name(&self) -> &'static str {
        "model"
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        let skip = self.0.mistake == Mistake::NoScanInThePause && self.0.in_pause.load(Ordering::Relaxed);
        for page in range.step_by(PAGE) {
            if self.0.take(page) && !skip {
                written(page..page + PAGE);
            }
        }
        Ok(())
    }

    fn disarm(&self, _: PageRange) -> Result<(), BarrierError> {
        Ok(())
    }

    fn settle(&self) {
        self.0.in_pause.store(true, Ordering::Relaxed);
    }
}

struct Slots(Arc<Memory>);

// SAFETY: the objects' one word is their slot.
unsafe impl ObjectModel for Slots {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        let index = self.0.objects.iter().position(|other| *other == object.as_ptr() as usize);
        if let (Some(index), 0) = (index, range.start) {
            let reference = self.0.load(index);
            if reference != 0 {
                tracer.edge(reference);
            }
        }
    }
}

/// A mutator's roots; with [`Mistake::RootsOnlyOnce`] those it began with are all that is ever told.
struct Roots {
    now: parking_lot::Mutex<Vec<usize>>,
    told: Option<Vec<usize>>,
}

// SAFETY: reports all roots, where the model is not meant to fail.
unsafe impl RootSource for Roots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        self.told.as_ref().unwrap_or(&self.now.lock()).iter().for_each(|root| tracer.edge(*root));
    }
}

struct Mutator {
    shared: Arc<Shared>,
    memory: Arc<Memory>,
    party: Arc<Party>,
    roots: Arc<Roots>,
}

impl Mutator {
    /// Runs `life`; then the thread is in a system call for the rest of the model, with the roots it has.
    fn spawn(self, life: impl FnOnce(&Mutator) + 'static) -> JoinHandle<()> {
        thread::spawn(move || {
            life(&self);
            self.shared.rendezvous.go_away(&self.party, &|party| self.shared.hand_over(party));
        })
    }

    /// Polls until the collector asks for something, and does it.
    fn answer(&self) {
        while !self.party.asked() {
            thread::yield_now();
        }
        self.shared.rendezvous.safepoint(&self.party, &|party| self.shared.hand_over(party));
    }

    /// Moves the reference in the slot of `from` to that of `to`.
    fn move_reference(&self, from: usize, to: usize) {
        let reference = self.memory.load(from);
        self.memory.store(to, reference);
        self.memory.store(from, 0);
    }

    /// Moves the reference in the slot of `from` to the roots.
    fn take_root(&self, from: usize) {
        let reference = self.memory.load(from);
        if reference != 0 {
            self.roots.now.lock().push(reference);
            self.memory.store(from, 0);
        }
    }
}

/// One cycle beside mutators with the given lives. Their roots are objects 1 and 0, so that marking traces 0 first; a rescan looks at page 1 first.
/// Object 2 is in the slot of object 1.
fn check(preemptions: usize, mistake: Mistake, lives: &'static [fn(&Mutator)]) {
    let config = Config::parse("markers=1,assists=0,verify=mark,log=off").unwrap();
    explore(preemptions, move || {
        let (heap, all) = heap_with_objects::<130>();
        let memory = Arc::new(Memory {
            objects: [all[0], all[128], all[129]],
            slots: [0, all[129], 0].map(AtomicUsize::new),
            armed: [(); 2].map(|()| Mutex::new(false)),
            others: parking_lot::Mutex::default(),
            mistake,
            in_pause: AtomicBool::new(false),
        });
        let defect = (mistake == Mistake::MarkBeforeArming).then_some(Defect::MarkBeforeArming);
        let (model, barrier) = (Slots(memory.clone()), Box::new(Kernels(memory.clone())));
        let shared = Arc::new(Shared::new(&config, model, heap, barrier, defect, &Kernel::real()).unwrap());
        let mut roots = Vec::new();
        let threads: Vec<JoinHandle<()>> = lives
            .iter()
            .map(|life| {
                let first = vec![memory.objects[1], memory.objects[0]];
                let told = (mistake == Mistake::RootsOnlyOnce).then(|| first.clone());
                let own = Arc::new(Roots { now: parking_lot::Mutex::new(first), told });
                let party = shared.rendezvous.join(own.clone(), false);
                roots.push(own.clone());
                Mutator { shared: shared.clone(), memory: memory.clone(), party, roots: own }.spawn(life)
            })
            .collect();
        let report = Cycle::new(&shared, 1, Reason::Explicit, CycleKind::Concurrent).run();
        assert_eq!(report.verify_failures, 0, "a reachable object was lost");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // Nothing was allocated: what is reachable now was so at the end of the pause, whoever was told of it.
        let mut reachable: Vec<usize> = roots.iter().flat_map(|own| own.now.lock().clone()).collect();
        while let Some(object) = reachable.pop() {
            assert!(is_marked(&shared.heap, object), "a reachable object was lost");
            let slot = memory.objects.iter().position(|other| *other == object).map(|index| memory.load(index));
            reachable.extend(slot.filter(|reference| *reference != 0));
        }
    });
}

/// Hides the reference from marking, if it comes at the right moment, and then from the round.
fn hide_twice(mutator: &Mutator) {
    mutator.answer();
    mutator.move_reference(1, 0);
    mutator.answer();
    mutator.move_reference(0, 1);
}

/// Hides the reference from marking, if it comes at the right moment.
fn hide(mutator: &Mutator) {
    mutator.answer();
    mutator.move_reference(1, 0);
}

/// Leaves the reference in the roots alone, while marking or during the round.
fn take_away(mutator: &Mutator) {
    mutator.answer();
    mutator.take_root(1);
    mutator.answer();
    mutator.take_root(0);
}

#[test]
fn a_reference_that_moves_behind_the_marker_is_found() {
    check(4, Mistake::None, &[hide_twice]);
}

#[test]
fn a_reference_that_goes_to_the_roots_is_found() {
    check(4, Mistake::None, &[take_away]);
}

#[test]
fn two_mutators_together_hide_nothing() {
    check(1, Mistake::None, &[hide, |mutator| mutator.take_root(0)]);
}

#[test]
#[should_panic = "a reachable object was lost"]
fn marking_before_arming_is_found_out() {
    check(3, Mistake::MarkBeforeArming, &[hide]);
}

#[test]
#[should_panic = "a reachable object was lost"]
fn a_pause_without_a_scan_is_found_out() {
    check(4, Mistake::NoScanInThePause, &[hide_twice]);
}

#[test]
#[should_panic = "a reachable object was lost"]
fn roots_that_are_not_told_again_are_found_out() {
    check(4, Mistake::RootsOnlyOnce, &[take_away]);
}
