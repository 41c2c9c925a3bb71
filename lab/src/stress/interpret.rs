//! What each operation does, in the heap and in the shadow.
//!
//! An operation that cannot be done where the program is (no root, no slot, nothing of its own on the path) is
//! skipped. One that allocates does so first: running into the limit is a safepoint, and nothing may be held across
//! one but roots.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane::{Place, Runner, choose};
use super::memory;
use super::model::{Header, Layout, WORD, mix, word};
use super::program::{Copying, End, Op, Path, ROOTS, Shape, Source, Wait};
use super::shadow::{Object, Window};

/// Words a fresh object may have to be looked through for anything but zero every time.
const ALWAYS_LOOKED_THROUGH: usize = 2048;
/// One in so many operations that are refused memory does not ask for any: a program may do without.
const GIVES_UP: usize = 16;
/// Objects of an array that are made between two polls.
const BETWEEN_POLLS: usize = 32;
/// `reclaim` promised room so many times in a row, and there was none: nothing a program can live with.
const IN_VAIN: u32 = 400;

impl Runner<'_> {
    /// Executes the current operation. Says so when the thread shall end.
    pub fn execute(&mut self) -> Option<End> {
        self.lane.counts.operations += 1;
        match self.op.1 {
            Op::Build { root, count, seed } => self.build(root, count as usize, seed),
            Op::Alloc { shape, root } => {
                if let Some(fresh) = self.alloc(shape) {
                    self.set_root(root, Some(fresh));
                }
            }
            Op::Grow { shape, at, slot } => {
                if let Some(fresh) = self.alloc(shape)
                    && let Some(at) = self.own_with_slots(at)
                {
                    self.store_slot(at, choose(slot, at.header.slots()), Some(fresh));
                }
            }
            Op::Link { at, slot, to } => {
                if let Some(to) = self.any(to)
                    && let Some(at) = self.own_with_slots(at)
                {
                    self.store_slot(at, choose(slot, at.header.slots()), Some(to));
                }
            }
            Op::Unlink { at, slot } => {
                if let Some(at) = self.own_with_slots(at) {
                    self.store_slot(at, choose(slot, at.header.slots()), None);
                }
            }
            Op::Hide { from, slot, at, into } => self.hide(from, slot, at, into),
            Op::Lift { at, slot, root } => {
                if let Some(at) = self.own_with_slots(at) {
                    let slot = choose(slot, at.header.slots());
                    let target = self.slot(at, slot);
                    self.set_root(root, target);
                    self.store_slot(at, slot, None);
                }
            }
            Op::Lower { root, at, slot } => {
                if let Some(at) = self.own_with_slots(at)
                    && let Some((addr, header)) = self.lane.roots.get(root)
                {
                    self.store_slot(at, choose(slot, at.header.slots()), Some(Place { addr, header }));
                    self.set_root(root, None);
                }
            }
            Op::Fill { at, start, length, to } => {
                if let Some(to) = self.any(to)
                    && let Some(at) = self.own_with_slots(at)
                {
                    for slot in part(start, length, at.header.slots()) {
                        self.store_slot(at, slot, Some(to));
                    }
                }
            }
            Op::Copy { from, start, at, into, length, how } => {
                if let Some(from) = self.own_with_slots(from)
                    && let Some(at) = self.own_with_slots(at)
                {
                    self.copy(from, start, at, into, length, how);
                }
            }
            Op::Write { at, start, length, salt } => {
                if let Some(at) = self.own_with_data(at) {
                    let range = part(start, length, at.header.data());
                    self.reset_window(at);
                    for index in range.clone() {
                        self.store(at, at.header.data_word(index), at.header.value(index, salt));
                    }
                    self.shadow_mut(at).window = Window { range, salt };
                }
            }
            Op::Read { at, start, length, salt, source } => {
                if let Some(at) = self.own_with_data(at) {
                    self.read(at, part(start, length, at.header.data()), salt, source);
                }
            }
            Op::Root { root, to } => {
                let target = self.any(to);
                self.set_root(root, target);
            }
            Op::Drop { root } => self.set_root(root, None),
            Op::Publish { root, shared } => {
                if let Some(place) = self.root(root) {
                    self.world.shared.replace(shared, Some((place.addr, place.header)));
                }
            }
            Op::Fetch { shared, root } => {
                let object = self.world.shared.get(shared);
                let place = self.shared(shared, object);
                self.set_root(root, place);
            }
            Op::Take { shared, root } => {
                let object = self.world.shared.replace(shared, None);
                let place = self.shared(shared, object);
                self.set_root(root, place);
            }
            Op::Withdraw { shared } => {
                self.world.shared.replace(shared, None);
            }
            Op::Inspect { at } => {
                let own = RefCell::new(Vec::new());
                self.walk(at, |this, place| {
                    own.borrow_mut().extend(this.owns(place).then_some(place));
                    false
                });
                own.take().into_iter().for_each(|place| self.inspect(place));
            }
            Op::Poll => self.mutator.poll(),
            Op::Block { wait } => self.block(wait),
            Op::Collect => self.mutator.collect(),
            Op::Reclaim { bytes } => {
                // An answer of either kind changes nothing for a program that was refused nothing.
                let _ = self.mutator.reclaim(bytes as usize);
            }
            Op::Limit { eighths } => self.limit(self.world.limit / 8 * eighths as usize),
            Op::Fork => self.fork(),
            Op::Finish { end } => return Some(end),
        }
        None
    }

    fn set_root(&mut self, root: u8, place: Option<Place>) {
        self.lane.roots.set(root, place.map(|place| (place.addr, place.header)));
    }

    fn build(&mut self, root: u8, count: usize, seed: u32) {
        let Some(array) = self.alloc(Shape { words: count as u32 + 1, layout: Layout::Slots }) else { return };
        self.set_root(root, Some(array));
        for slot in 0..count {
            let number = mix((seed as u64) << 32 | slot as u64) as usize;
            let layout = Layout::ALL[number % Layout::ALL.len()];
            let Some(fresh) = self.alloc(Shape { words: 2 + (number >> 8) as u32 % 12, layout }) else { return };
            // The allocation may have been a safepoint. Whoever was out of memory may have dropped the root.
            let Some((addr, header)) = self.lane.roots.get(root) else { return };
            let array = Place { addr, header };
            if header.number.lane() != self.lane.index || header.slots() <= slot {
                return;
            }
            if fresh.header.slots() > 0 {
                let earlier = self.slot(array, (number >> 16) % (slot + 1));
                self.store_slot(fresh, 0, earlier);
            }
            self.store_slot(array, slot, Some(fresh));
            if slot % BETWEEN_POLLS == 0 {
                self.mutator.poll();
            }
        }
    }

    /// A new object, in nobody's hands yet; `None` when there is no memory, after something was dropped.
    fn alloc(&mut self, shape: Shape) -> Option<Place> {
        let number = self.lane.partition.number();
        let header = Header { number, layout: shape.layout, words: shape.words as usize };
        let mut in_vain = 0;
        let addr = loop {
            match self.mutator.alloc(header.bytes(), shape.layout.space()) {
                Ok(memory) => break memory.as_ptr() as usize,
                Err(_) => {
                    self.lane.counts.exhausted += 1;
                    if self.op.0.is_multiple_of(GIVES_UP) {
                        return None;
                    }
                    in_vain += 1;
                    if in_vain > IN_VAIN {
                        self.fail("`reclaim` says again and again that there is room, and there is none");
                    }
                    if self.mutator.reclaim(header.bytes()).is_err() {
                        self.lane.counts.out_of_memory += 1;
                        if self.world.alone
                            && let Some(why) = memory::has_room(self.world, self.lane, header)
                        {
                            self.fail(&why);
                        }
                        self.drop_something();
                        return None;
                    }
                }
            }
        };
        let place = Place { addr, header };
        self.check_fresh(place);
        for index in 0..header.data() {
            self.store(place, header.data_word(index), header.value(index, 0));
        }
        // SAFETY: the new object, which has a first word. Release, as the store that publishes it must find it
        // complete.
        unsafe { word(addr, 0) }.store(header.encode(), Ordering::Release);
        self.lane.partition.insert(Object::new(addr, header));
        self.lane.counts.bytes_allocated += header.occupied() as u64;
        Some(place)
    }

    fn check_fresh(&self, place: Place) {
        let known = self.world.heap.object_at(place.addr);
        if known != Some((place.addr, place.header.occupied())) {
            self.fail(&format!("{place:x?} was allocated just now, and the collector knows {known:x?} there"));
        }
        if place.header.words <= ALWAYS_LOOKED_THROUGH || self.op.0.is_multiple_of(4) {
            for index in 0..place.header.words {
                let found = self.load(place, index);
                if found != 0 {
                    self.fail(&format!("{place:x?} was allocated just now, and its word {index} is {found:#x}"));
                }
            }
        }
    }

    /// What a program does that is out of memory.
    fn drop_something(&mut self) {
        let phase = self.lane.counts.out_of_memory;
        for root in (0..ROOTS as u8).filter(|root| phase.is_multiple_of(4) || (*root as u64 + phase).is_multiple_of(2))
        {
            self.set_root(root, None);
        }
        if phase.is_multiple_of(2) {
            self.world.shared.clear();
        }
    }

    fn limit(&self, bytes: usize) {
        if self.world.limit == usize::MAX {
            return;
        }
        match self.world.heap.set_limit(bytes) {
            Ok(()) => self.world.limit_now.store(bytes, Ordering::Relaxed),
            Err(error) if bytes < error.least => {}
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn hide(&mut self, from: Path, slot: u32, at: Path, into: u32) {
        let Some(at) = self.own_with_slots(at) else { return };
        let Some(from) = self.own_with_slots(from) else { return };
        let slot = choose(slot, from.header.slots());
        let into = choose(into, at.header.slots());
        let target = self.slot(from, slot);
        self.store_slot(at, into, target);
        if (from.addr, slot) != (at.addr, into) {
            self.store_slot(from, slot, None);
        }
    }

    fn copy(&mut self, from: Place, start: u32, at: Place, into: u32, length: u32, how: Copying) {
        let source = part(start, length, from.header.slots());
        let destination = part(into, source.len() as u32, at.header.slots());
        let length = source.len().min(destination.len());
        let (source, destination) = (source.start, destination.start);
        let words = (from.header.slot_word(source), at.header.slot_word(destination));
        if how == Copying::Memcpy && from.header.contiguous() && at.header.contiguous() {
            let copied = self.shadow(from).slots[source..source + length].to_vec();
            let (source, to) = (from.addr + words.0 * WORD, at.addr + words.1 * WORD);
            // SAFETY: both runs lie in their objects. They may overlap, so it is memmove. The C library copies
            // aligned words whole, which is what the collector asks of code that is not compiled by Rust: it may
            // trace the destination meanwhile.
            unsafe { libc::memmove(to as *mut libc::c_void, source as *const libc::c_void, length * WORD) };
            // The C library writes nothing where a run is copied onto itself, and no page would ever explain the cards.
            if source != to {
                self.mark_cards(to, length * WORD);
            }
            self.shadow_mut(at).slots[destination..destination + length].copy_from_slice(&copied);
            return;
        }
        let one = |this: &mut Self, k: usize| {
            let target = this.slot(from, source + k);
            this.store_slot(at, destination + k, target);
        };
        if from.addr == at.addr && source < destination {
            (0..length).rev().for_each(|k| one(self, k));
        } else {
            (0..length).for_each(|k| one(self, k));
        }
    }

    /// Writes the original data over what was written later.
    fn reset_window(&mut self, place: Place) {
        let window = std::mem::take(&mut self.shadow_mut(place).window);
        for index in window.range {
            self.store(place, place.header.data_word(index), place.header.value(index, 0));
        }
    }

    fn read(&mut self, at: Place, range: Range<usize>, salt: u32, source: Source) {
        self.reset_window(at);
        // A striped object is written piece by piece.
        let (piece, range) = match at.header.contiguous() {
            true => (range.len(), range),
            false => (1, range.start..range.end.min(range.start + 8)),
        };
        for start in range.clone().step_by(piece) {
            let bytes: Vec<u8> =
                (start..start + piece).flat_map(|index| at.header.value(index, salt).to_ne_bytes()).collect();
            let to = at.addr + at.header.data_word(start) * WORD;
            self.lane.counts.reads += 1;
            // SAFETY: data of an object of this lane's, and no safepoint before the call is over.
            if let Err(error) = unsafe { self.lane.input.read(&bytes, to, source) } {
                self.fail(&format!("a system call cannot write to {at:x?}: {error}"));
            }
        }
        self.shadow_mut(at).window = Window { range, salt };
    }

    fn block(&mut self, wait: Wait) {
        match wait {
            Wait::Nothing => self.mutator.blocking(|| ()),
            Wait::Yield => self.mutator.blocking(std::thread::yield_now),
            Wait::Sleep(microseconds) => {
                self.mutator.blocking(|| std::thread::sleep(Duration::from_micros(microseconds as u64)));
            }
            Wait::Read => self.read_blocking(),
        }
    }

    /// A thread that waits for input: the buffer is a leaf object, and a root.
    fn read_blocking(&mut self) {
        let is_buffer = |header: &Header| {
            header.layout == Layout::Leaf && header.data() > 0 && header.number.lane() == self.lane.index
        };
        let roots = (0..ROOTS as u8).filter_map(|root| self.lane.roots.get(root));
        let Some((addr, header)) = roots.into_iter().find(|(_, header)| is_buffer(header)) else { return };
        let place = Place { addr, header };
        self.reset_window(place);
        let (range, salt) = (0..header.data(), self.op.0 as u32);
        let bytes: Vec<u8> = range.clone().flat_map(|index| header.value(index, salt).to_ne_bytes()).collect();
        let input = &mut self.lane.input;
        let result = self.mutator.blocking(|| {
            // SAFETY: data of a leaf object that is a root during the call.
            unsafe { input.read(&bytes, addr + header.data_word(0) * WORD, Source::Pipe) }
        });
        self.lane.counts.reads += 1;
        if let Err(error) = result {
            self.fail(&format!("a system call cannot write to the leaf object {place:x?}: {error}"));
        }
        self.shadow_mut(place).window = Window { range, salt };
    }
}

/// A part of `n` things: `length` of them, or as many as there are from the start on.
fn part(start: u32, length: u32, n: usize) -> Range<usize> {
    let start = choose(start, n);
    start..n.min(start + length as usize)
}
