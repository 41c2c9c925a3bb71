//! What the heap must hold: every object of a lane, word for word.
//!
//! Only the lane changes its objects, so their shadows need no lock while it runs, and are exact at any moment.
//! References lead anywhere, also to objects of other lanes; a slot's shadow is the number and the address of its
//! target.
//!
//! A lane does not know which of its objects are reachable, since other lanes' objects refer to them. It need not: it
//! gets at objects only by walking the heap from roots. What has become unreachable is found and forgotten by the
//! check when all lanes meet.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use super::fail::fail;
use super::model::{Header, Number, mix};

/// Numbers, quickly found.
pub type NumberMap<T> = HashMap<Number, T, BuildHasherDefault<NumberHasher>>;
/// The same without values.
pub type NumberSet = HashSet<Number, BuildHasherDefault<NumberHasher>>;

/// Hashes a number with one mixing step; nobody attacks these tables.
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(*byte as u64);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a slot or root refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Which object.
    pub number: Number,
    /// Where it starts.
    pub addr: usize,
}

/// A part of an object's data that was written again.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Which data.
    pub range: Range<usize>,
    /// The salt of its values.
    pub salt: u32,
}

/// One object.
#[derive(Debug)]
pub struct Object {
    /// Where it starts.
    pub addr: usize,
    /// Its first word.
    pub header: Header,
    /// What its slots refer to.
    pub slots: Box<[Option<Target>]>,
    /// Data outside it has salt 0.
    pub window: Window,
}

impl Object {
    /// A new object: its slots are null.
    pub fn new(addr: usize, header: Header) -> Object {
        Object { addr, header, slots: vec![None; header.slots()].into(), window: Window::default() }
    }

    /// What the piece of data at `index` holds.
    pub fn value(&self, index: usize) -> usize {
        let salt = if self.window.range.contains(&index) { self.window.salt } else { 0 };
        self.header.value(index, salt)
    }
}

/// The objects of one lane.
#[derive(Default)]
pub struct Partition {
    lane: usize,
    made: u64,
    objects: NumberMap<Object>,
}

impl Partition {
    /// No objects yet.
    pub fn new(lane: usize) -> Partition {
        Partition { lane, ..Partition::default() }
    }

    /// The number of the next object.
    pub fn number(&mut self) -> Number {
        self.made += 1;
        Number::new(self.lane, self.made)
    }

    /// Adds an object.
    pub fn insert(&mut self, object: Object) {
        self.objects.insert(object.header.number, object);
    }

    /// The object with this number, if it is the lane's and not forgotten.
    pub fn get(&self, number: Number) -> Option<&Object> {
        self.objects.get(&number)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, number: Number) -> Option<&mut Object> {
        self.objects.get_mut(&number)
    }

    /// Forgets the objects that `keep` does not want, and returns them.
    pub fn forget(&mut self, keep: impl Fn(Number) -> bool) -> Vec<Object> {
        self.objects.extract_if(|number, _| !keep(*number)).map(|(_, object)| object).collect()
    }
}

/// Every object that can be reached from `roots`. `find` knows the objects, and does not return for one that must not
/// be reachable.
pub fn reach<'a>(roots: impl Iterator<Item = Target>, find: impl Fn(Number) -> &'a Object) -> NumberSet {
    let mut reached = NumberSet::default();
    let mut pending: Vec<Target> = roots.collect();
    while let Some(target) = pending.pop() {
        if !reached.insert(target.number) {
            continue;
        }
        let object = find(target.number);
        if object.addr != target.addr {
            fail(&format!("a reference to {:?} at {:#x} leads to {:#x}", target.number, object.addr, target.addr));
        }
        pending.extend(object.slots.iter().flatten().filter(|next| !reached.contains(&next.number)));
    }
    reached
}
