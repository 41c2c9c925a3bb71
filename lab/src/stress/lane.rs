//! A lane at work: how it gets at objects, how it changes them, and what it compares on the way.
//!
//! Every reference a lane uses was loaded from the heap after its last safepoint, on a walk from a root. Each load is
//! compared with the shadow where the object is the lane's own, and the object it leads to must have a header that is
//! one: that is the continuous check, and most of what goes wrong shows here first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pagemark::{CardTable, Heap, Mutator};
use serde::{Deserialize, Serialize};

use super::check::LastCycle;
use super::fail::fail;
use super::input::Input;
use super::model::{Header, WORD, mix, word};
use super::program::{Op, Path, ROOTS};
use super::roots::{SharedRoots, ThreadRoots};
use super::shadow::{Object, Partition, Target};

const PAGE: usize = 4096;
/// Objects of more words are compared in samples while lanes run, and whole when they meet.
const WHOLE: usize = 256;

/// What all lanes of a run share.
pub struct World {
    /// The heap.
    pub heap: Heap,
    /// Under `mechanism=cards`, what every store of a reference marks.
    pub cards: Option<CardTable>,
    /// The global roots.
    pub shared: Arc<SharedRoots>,
    /// What the last cycle marked.
    pub last: Arc<LastCycle>,
    /// The limit in bytes that the heap was made with.
    pub limit: usize,
    /// The one it has; exact while there is one lane.
    pub limit_now: AtomicUsize,
    /// Whether operations may fork: not in a forked process, and not where the plan says so.
    pub forks: AtomicBool,
    /// There is one lane only.
    pub alone: bool,
    /// Lanes come to a meeting without roots.
    pub drop_all: bool,
}

/// What was done, for the report.
#[derive(Clone, Copy, Default, Serialize, Deserialize, Debug)]
pub struct Counts {
    /// Operations executed.
    pub operations: u64,
    /// Objects compared with their shadows.
    pub objects_checked: u64,
    /// Bytes of the objects that were made.
    pub bytes_allocated: u64,
    /// System calls that wrote to heap objects.
    pub reads: u64,
    /// Those of them that ended in `EFAULT`.
    pub reads_bounced: u64,
    /// Allocations that found the limit reached.
    pub exhausted: u64,
    /// Those of them for which no collection could make room.
    pub out_of_memory: u64,
    /// Forks.
    pub forks: u64,
    /// Threads that ended and were replaced.
    pub threads_ended: u64,
    /// The most bytes that were reachable at a meeting.
    pub most_reachable_bytes: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Counts) {
        self.operations += other.operations;
        self.objects_checked += other.objects_checked;
        self.bytes_allocated += other.bytes_allocated;
        self.reads += other.reads;
        self.reads_bounced += other.reads_bounced;
        self.exhausted += other.exhausted;
        self.out_of_memory += other.out_of_memory;
        self.forks += other.forks;
        self.threads_ended += other.threads_ended;
        self.most_reachable_bytes = self.most_reachable_bytes.max(other.most_reachable_bytes);
    }
}

/// Operations, each with its place in the lane's whole list.
pub type Phase = Vec<(usize, Op)>;

/// A lane between two threads: what outlives them.
pub struct Lane {
    /// Which lane.
    pub index: usize,
    /// What it does, by phase.
    pub phases: Vec<Phase>,
    /// How far it is: phase, and operation in it.
    pub at: (usize, usize),
    /// The roots of its thread.
    pub roots: Arc<ThreadRoots>,
    /// Its objects.
    pub partition: Partition,
    /// Its pipe and file.
    pub input: Input,
    /// What it did.
    pub counts: Counts,
}

/// An object in the heap, good until the next safepoint.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it starts.
    pub addr: usize,
    /// Its first word.
    pub header: Header,
}

impl Place {
    /// Itself, as a slot's shadow.
    pub fn target(self) -> Target {
        Target { number: self.header.number, addr: self.addr }
    }
}

/// A lane and the thread it runs on.
pub struct Runner<'a> {
    /// The lane.
    pub lane: &'a mut Lane,
    /// What it shares.
    pub world: &'a World,
    /// The thread's access to the heap.
    pub mutator: &'a mut Mutator,
    /// The operation it executes.
    pub op: (usize, Op),
}

/// Chooses one of `n`; half of the numbers choose one of the first eight, so that paths meet.
pub fn choose(number: u32, n: usize) -> usize {
    (number >> 1) as usize % if number & 1 == 0 { n } else { n.min(8) }
}

impl Runner<'_> {
    /// Ends the run: the heap is not what it must be.
    pub fn fail(&self, what: &str) -> ! {
        fail(&format!("lane {}, operation {} ({:?}): {what}", self.lane.index, self.op.0, self.op.1))
    }

    /// Loads a word of an object.
    pub fn load(&self, place: Place, index: usize) -> usize {
        assert!(index < place.header.words);
        // SAFETY: a place is an object loaded since the last safepoint, of that many words.
        unsafe { word(place.addr, index) }.load(Ordering::Acquire)
    }

    /// Stores a word of an object that is not a reference.
    pub fn store(&self, place: Place, index: usize, value: usize) {
        assert!(index < place.header.words);
        // SAFETY: as in `load`.
        unsafe { word(place.addr, index) }.store(value, Ordering::Relaxed);
    }

    /// Whether only this lane changes the object.
    pub fn owns(&self, place: Place) -> bool {
        place.header.number.lane() == self.lane.index
    }

    /// The shadow of an object of the lane's own.
    pub fn shadow(&self, place: Place) -> &Object {
        match self.lane.partition.get(place.header.number) {
            Some(object) if object.addr == place.addr && object.header == place.header => object,
            Some(object) => self.fail(&format!("{place:x?} should be {:x?} at {:#x}", object.header, object.addr)),
            None => self.fail(&format!("{place:x?} was unreachable and is back")),
        }
    }

    /// The same, to change it.
    pub fn shadow_mut(&mut self, place: Place) -> &mut Object {
        self.shadow(place);
        self.lane.partition.get_mut(place.header.number).expect("it was there a line ago")
    }

    /// Reads the header at `addr`; `why` says how we got there.
    fn arrive(&mut self, addr: usize, expected: Option<Header>, why: &dyn Fn() -> String) -> Place {
        if !self.world.heap.range().contains(&addr) || !addr.is_multiple_of(16) {
            self.fail(&format!("{} is {addr:#x}, which is no address of an object", why()));
        }
        // SAFETY: an address in the heap's range, mapped as long as the heap lives; if no object is there, that is
        // what this finds out.
        let first = unsafe { word(addr, 0) }.load(Ordering::Acquire);
        let found = Header::decode(first);
        let Some(header) = found.filter(|found| expected.is_none_or(|expected| expected == *found)) else {
            self.fail(&format!(
                "{} leads to {addr:#x}, where {} was expected and {} is found (first word {first:#x}); the collector knows {:x?} there",
                why(),
                expected.map_or("an object".to_string(), |expected| format!("{expected:?}")),
                found.map_or("nothing".to_string(), |found| format!("{found:?}")),
                self.world.heap.object_at(addr),
            ));
        };
        let place = Place { addr, header };
        if self.owns(place) {
            self.shadow(place);
        }
        self.lane.counts.objects_checked += 1;
        place
    }

    /// The object that root `index` or, where that is null, one of those after it refers to.
    pub fn root(&mut self, index: u8) -> Option<Place> {
        (index..index + ROOTS as u8).map(|root| root % ROOTS as u8).find_map(|root| self.root_exactly(root))
    }

    /// The object that root `index` refers to.
    pub fn root_exactly(&mut self, index: u8) -> Option<Place> {
        let (addr, header) = self.lane.roots.get(index)?;
        Some(self.arrive(addr, Some(header), &|| format!("root {index}")))
    }

    /// The object that a global root refers to, once it was taken from there.
    pub fn shared(&mut self, index: u8, object: Option<(usize, Header)>) -> Option<Place> {
        let (addr, header) = object?;
        Some(self.arrive(addr, Some(header), &|| format!("global root {index}")))
    }

    /// What a slot refers to.
    pub fn slot(&mut self, place: Place, slot: usize) -> Option<Place> {
        let addr = self.load(place, place.header.slot_word(slot));
        let mut expected = None;
        if self.owns(place) {
            let target = self.shadow(place).slots[slot];
            if target.map_or(0, |target| target.addr) != addr {
                self.fail(&format!("slot {slot} of {place:x?} should be {target:x?} and is {addr:#x}"));
            }
            expected = target;
        }
        if addr == 0 {
            return None;
        }
        let next = self.arrive(addr, None, &|| format!("slot {slot} of {place:x?}"));
        if let Some(expected) = expected
            && expected.number != next.header.number
        {
            self.fail(&format!("slot {slot} of {place:x?} should lead to {expected:x?}, and there is {next:x?}"));
        }
        Some(next)
    }

    /// Walks a path; returns the last object on it that is `wanted`.
    pub fn walk(&mut self, path: Path, wanted: impl Fn(&Self, Place) -> bool) -> Option<Place> {
        let mut at = self.root(path.root)?;
        let mut last = wanted(self, at).then_some(at);
        for step in 0..path.steps {
            let slots = at.header.slots();
            let choice = mix((path.seed as u64) << 8 | step as u64) as u32;
            let next = (0..slots.min(3)).find_map(|k| self.slot(at, (choose(choice, slots) + k) % slots));
            let Some(next) = next else { break };
            at = next;
            if wanted(self, at) {
                last = Some(at);
            }
        }
        last
    }

    /// The last object on a path.
    pub fn any(&mut self, path: Path) -> Option<Place> {
        self.walk(path, |_, _| true)
    }

    /// The last object on a path that is the lane's own and has slots.
    pub fn own_with_slots(&mut self, path: Path) -> Option<Place> {
        self.walk(path, |this, place| this.owns(place) && place.header.slots() > 0)
    }

    /// The last object on a path that is the lane's own and has data.
    pub fn own_with_data(&mut self, path: Path) -> Option<Place> {
        self.walk(path, |this, place| this.owns(place) && place.header.data() > 0)
    }

    /// Stores a reference: one plain store, and the card's mark where the mechanism is `cards`.
    pub fn store_slot(&mut self, place: Place, slot: usize, target: Option<Place>) {
        let index = place.header.slot_word(slot);
        // SAFETY: as in `load`; the slot is inside the object.
        unsafe { word(place.addr, index) }.store(target.map_or(0, |target| target.addr), Ordering::Release);
        self.mark_cards(place.addr + index * WORD, WORD);
        self.shadow_mut(place).slots[slot] = target.map(Place::target);
    }

    /// Marks the cards of `bytes` bytes of slots from `addr` on.
    pub fn mark_cards(&self, addr: usize, bytes: usize) {
        if let Some(cards) = &self.world.cards {
            for slot in (addr..addr + bytes).step_by(PAGE).chain([addr + bytes - WORD]) {
                // SAFETY: slots of a tracked object of a heap that is alive; no safepoint since they were stored.
                unsafe { cards.mark(slot) };
            }
        }
    }

    /// Compares an object of the lane's own with its shadow; a big one in samples.
    pub fn inspect(&mut self, place: Place) {
        let (slots, data) = (place.header.slots(), place.header.data());
        let stride = (place.header.words / WHOLE).max(1);
        let offset = self.op.0 % stride;
        for slot in (offset..slots).step_by(stride) {
            self.slot(place, slot);
        }
        for index in (offset..data).step_by(stride) {
            let expected = self.shadow(place).value(index);
            let found = self.load(place, place.header.data_word(index));
            if found != expected {
                self.fail(&format!("data {index} of {place:x?} should be {expected:#x} and is {found:#x}"));
            }
        }
    }
}
