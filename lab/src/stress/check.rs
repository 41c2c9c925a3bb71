//! The whole heap against the whole shadow, while all lanes stand still.
//!
//! Both directions. *Nothing is lost*: every object that the shadow can reach from the roots is in the heap, where it
//! was, and every word of it is right; no two overlap; and the collector finds each from an address inside it.
//! *Nothing is kept*: all roots are precise and nothing moves, so after two full cycles the collector must have
//! marked exactly the objects the shadow reaches, and exactly their bytes, and must know no object any more where one
//! died. Two cycles, since what the first finds dead may be swept as late as the beginning of the second.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pagemark::telemetry::{CycleKind, CycleReport, EventListener};

use super::fail::fail;
use super::lane::{Lane, World};
use super::model::{Number, word};
use super::roots::ThreadRoots;
use super::shadow::{NumberSet, Object, reach};

/// Remembers what the last full cycle marked: a sticky one marks what is new, and at the end of a check there is nothing new.
#[derive(Default)]
pub struct LastCycle(Mutex<Option<(u64, u64)>>);

impl LastCycle {
    /// It marked so many objects and bytes, or the run ends.
    pub fn must_be(&self, reachable: (u64, u64)) {
        let marked = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if marked != Some(reachable) {
            fail(&format!(
                "objects and bytes marked by the last of two full cycles are {marked:?}; reachable are {reachable:?}, and \
                 nobody changed anything meanwhile"
            ));
        }
    }
}

impl EventListener for LastCycle {
    fn cycle_ended(&self, report: &CycleReport) {
        if report.kind != CycleKind::Sticky {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((report.objects_marked, report.live_bytes));
        }
    }
}

/// Checks the heap; every lane is in a blocking region, or has no thread. Returns how many objects are reachable, and
/// how many bytes they occupy.
pub fn check(world: &World, lanes: &mut [MutexGuard<'_, Lane>]) -> (u64, u64) {
    // The roots are those of the lanes, so this mutator has none.
    let mut mutator = world.heap.attach(Arc::new(ThreadRoots::new()));
    mutator.collect();
    mutator.collect();

    let shadow = Shadow { by_lane: lanes.iter().enumerate().map(|(at, lane)| (lane.index, at)).collect(), lanes };
    let roots = shadow.lanes.iter().flat_map(|lane| lane.roots.targets()).chain(world.shared.targets());
    let reached = reach(roots, |number| shadow.object(number));
    let bytes = reached.iter().map(|number| shadow.object(*number).header.occupied() as u64).sum();
    let failures = world.heap.summary().verify_failures;
    if failures > 0 {
        fail(&format!("the collector's own checks failed {failures} times; see above"));
    }
    let expected = (reached.len() as u64, bytes);
    world.last.must_be(expected);
    for number in &reached {
        compare(world, &shadow, shadow.object(*number));
    }
    no_overlap(&shadow, &reached);

    let starts: HashSet<usize> = reached.iter().map(|number| shadow.object(*number).addr).collect();
    for lane in lanes.iter_mut() {
        for dead in lane.partition.forget(|number| reached.contains(&number)) {
            for at in [dead.addr, dead.addr + dead.header.occupied() - 1] {
                if let Some((start, _)) = world.heap.object_at(at)
                    && !starts.contains(&start)
                {
                    fail(&format!(
                        "{:?} at {:#x} is unreachable for two full cycles, and the collector still knows an object at {start:#x}",
                        dead.header, dead.addr
                    ));
                }
            }
        }
    }
    expected
}

struct Shadow<'a, 'l> {
    lanes: &'a [MutexGuard<'l, Lane>],
    by_lane: HashMap<usize, usize>,
}

impl Shadow<'_, '_> {
    fn find(&self, number: Number) -> Option<&Object> {
        self.lanes[*self.by_lane.get(&number.lane())?].partition.get(number)
    }

    fn object(&self, number: Number) -> &Object {
        self.find(number).unwrap_or_else(|| fail(&format!("{number:?} was unreachable and is back")))
    }
}

/// Every word of one object.
fn compare(world: &World, shadow: &Shadow<'_, '_>, object: &Object) {
    let header = object.header;
    let load = |index: usize| {
        // SAFETY: the shadow can reach the object, so it is reachable and stays; if it was freed all the same, its
        // memory is still mapped or the process dies of it, which its parent reports.
        unsafe { word(object.addr, index) }.load(Ordering::Acquire)
    };
    let wrong = |what: &str, index: usize, expected: usize| {
        fail(&format!(
            "{what} of {header:?} at {:#x} should be {expected:#x} and is {:#x}; the collector knows {:x?} there",
            object.addr,
            load(index),
            world.heap.object_at(object.addr),
        ))
    };
    if load(0) != header.encode() {
        wrong("the header", 0, header.encode());
    }
    for (slot, target) in object.slots.iter().enumerate() {
        let expected = target.map_or(0, |target| target.addr);
        if load(header.slot_word(slot)) != expected {
            wrong(&format!("slot {slot}"), header.slot_word(slot), expected);
        }
        if let Some(target) = target {
            // That its header is the right one is seen when it is its turn.
            shadow.object(target.number);
        }
    }
    for index in 0..header.data() {
        let expected = object.value(index);
        if load(header.data_word(index)) != expected {
            wrong(&format!("data {index}"), header.data_word(index), expected);
        }
    }
    let (from, size) = (object.addr, header.occupied());
    for at in [from, from + size / 2, from + size - 1] {
        let known = world.heap.object_at(at);
        if known != Some((from, size)) {
            fail(&format!("{header:?} lies at {from:#x}; at {at:#x} the collector knows {known:x?}"));
        }
    }
}

fn no_overlap(shadow: &Shadow<'_, '_>, reached: &NumberSet) {
    let mut places: Vec<(usize, usize)> = reached
        .iter()
        .map(|number| shadow.object(*number))
        .map(|object| (object.addr, object.addr + object.header.occupied()))
        .collect();
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        fail(&format!("two objects overlap: {pair:x?}"));
    }
}
