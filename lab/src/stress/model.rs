//! What an object of a stress program looks like in the heap.
//!
//! The first word is the **header**: a number no other object of the run ever has, the layout, the size, and ten bits
//! that check the rest. It is written before the object is linked and never again. So whoever holds a reference can
//! tell, without asking anybody, whether it still leads to the object it was made for: memory that was freed and
//! handed out again has another number, memory that was freed and zeroed has none, and anything else fails the check
//! bits.
//!
//! The other words are **slots** (references, or null) and **data** in one of five layouts. A data word's value is a
//! function of the object's number, the word's place and a salt, so every word of the heap can be computed from the
//! shadow.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use pagemark::{ObjectModel, Space, Tracer};

/// Bytes of a word.
pub const WORD: usize = 8;
/// The most words an object may have.
pub const MAX_WORDS: usize = (1 << WORDS_BITS) - 1;

/// Bytes that a thread takes at a time.
pub const BLOCK: usize = 64 << 10;
/// Objects of more bytes have pages of their own.
pub const LARGE_ABOVE: usize = 8192;

const CHECK_BITS: u32 = 10;
const WORDS_BITS: u32 = 17;
const LAYOUT_BITS: u32 = 3;
const NUMBER_BITS: u32 = 34;
/// Bits of a number that count; those above say which lane made the object.
const SERIAL_BITS: u32 = 30;

const _: () = assert!(CHECK_BITS + WORDS_BITS + LAYOUT_BITS + NUMBER_BITS == usize::BITS);

/// Where an object has its slots and data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Data only, in a leaf block.
    Leaf,
    /// Data only, in a tracked block.
    Plain,
    /// Slots only.
    Slots,
    /// Slots, then as much data.
    Halves,
    /// Slots and data in turn.
    Striped,
}

impl Layout {
    /// Every layout, by the number it has in a header.
    pub const ALL: [Layout; 5] = [Layout::Leaf, Layout::Plain, Layout::Slots, Layout::Halves, Layout::Striped];

    /// The space objects of this layout are allocated in.
    pub fn space(self) -> Space {
        match self {
            Layout::Leaf => Space::Leaf,
            _ => Space::Tracked,
        }
    }
}

/// An object's number: which lane made it, and how many it had made before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    /// The `serial`th object of `lane`; serials start at 1, so that no number is 0.
    pub fn new(lane: usize, serial: u64) -> Number {
        assert!(serial > 0 && serial < 1 << SERIAL_BITS, "a run makes fewer objects than a number can count");
        Number((lane as u64) << SERIAL_BITS | serial)
    }

    /// The lane that made the object, and alone changes it.
    pub fn lane(self) -> usize {
        (self.0 >> SERIAL_BITS) as usize
    }
}

/// The first word of an object, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Which object this is.
    pub number: Number,
    /// Where its slots and data are.
    pub layout: Layout,
    /// Words it has, the header among them.
    pub words: usize,
}

impl Header {
    /// The word.
    pub fn encode(self) -> usize {
        let layout = Layout::ALL.iter().position(|layout| *layout == self.layout).unwrap_or(0) as u64;
        let rest = (self.number.0 << LAYOUT_BITS | layout) << WORDS_BITS | self.words as u64;
        (rest << CHECK_BITS | check_bits(rest)) as usize
    }

    /// `None` if the word is not a header.
    pub fn decode(word: usize) -> Option<Header> {
        let rest = word as u64 >> CHECK_BITS;
        let words = (rest & MAX_WORDS as u64) as usize;
        let layout = *Layout::ALL.get((rest >> WORDS_BITS & ((1 << LAYOUT_BITS) - 1)) as usize)?;
        let number = Number(rest >> (WORDS_BITS + LAYOUT_BITS));
        (words > 0 && number.0 != 0 && word as u64 & ((1 << CHECK_BITS) - 1) == check_bits(rest)).then_some(Header {
            number,
            layout,
            words,
        })
    }

    /// Bytes the program asks for.
    pub fn bytes(self) -> usize {
        self.words * WORD
    }

    /// Bytes the collector gives: whole granules, or whole pages for a large object.
    pub fn occupied(self) -> usize {
        const GRANULE: usize = 16;
        const PAGE: usize = 4096;
        self.bytes().next_multiple_of(if self.bytes() > LARGE_ABOVE { PAGE } else { GRANULE })
    }

    /// How many slots it has.
    pub fn slots(self) -> usize {
        match self.layout {
            Layout::Leaf | Layout::Plain => 0,
            Layout::Slots => self.words - 1,
            Layout::Halves => (self.words - 1) / 2,
            Layout::Striped => self.words / 2,
        }
    }

    /// How many words of data it has.
    pub fn data(self) -> usize {
        self.words - 1 - self.slots()
    }

    /// The word a slot is.
    pub fn slot_word(self, slot: usize) -> usize {
        match self.layout {
            Layout::Striped => 1 + 2 * slot,
            _ => 1 + slot,
        }
    }

    /// The word a piece of data is.
    pub fn data_word(self, index: usize) -> usize {
        match self.layout {
            Layout::Striped => 2 + 2 * index,
            _ => 1 + self.slots() + index,
        }
    }

    /// Whether neighbouring pieces of data are neighbouring words, and slots too.
    pub fn contiguous(self) -> bool {
        self.layout != Layout::Striped
    }

    /// What the piece of data at `index` holds under `salt`.
    pub fn value(self, index: usize, salt: u32) -> usize {
        mix(self.number.0 ^ (index as u64) << NUMBER_BITS ^ (salt as u64).rotate_right(13)) as usize
    }
}

fn check_bits(rest: u64) -> u64 {
    mix(rest) >> (u64::BITS - CHECK_BITS)
}

/// A mixing function (SplitMix64's): every bit of the result depends on every bit of `x`.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The word at `index` of the object at `addr`.
///
/// # Safety
///
/// An object of the heap starts at `addr`, it has more than `index` words, and the calling thread reaches no
/// safepoint while the result lives, or the object stays reachable.
pub unsafe fn word<'a>(addr: usize, index: usize) -> &'a AtomicUsize {
    // SAFETY: by the contract the word lies in an object that is not freed; heap memory is accessed through atomics
    // only.
    unsafe { &*((addr + index * WORD) as *const AtomicUsize) }
}

/// The trace function of these objects.
pub struct Model;

// SAFETY: reports every slot in the range, each loaded once. A header of zero, or one that is broken, has no slots:
// what such an object referred to is then missing, which is what the stress program looks for.
unsafe impl ObjectModel for Model {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        let addr = object.as_ptr() as usize;
        // SAFETY: every object has a first word, and the caller keeps the object.
        let Some(header) = Header::decode(unsafe { word(addr, 0) }.load(Ordering::Acquire)) else { return };
        let step = if header.contiguous() { 1 } else { 2 };
        let end = header.slots() * step + 1;
        let from = range.start.div_ceil(WORD).max(1);
        // Slots of a striped object are its odd words.
        let from = if step == 2 { from | 1 } else { from };
        for index in (from..end.min(range.end.div_ceil(WORD))).step_by(step) {
            // SAFETY: a slot of the object.
            match unsafe { word(addr, index) }.load(Ordering::Acquire) {
                0 => {}
                target => tracer.edge(target),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_encoding_and_zero_is_none() {
        for layout in Layout::ALL {
            for words in [1, 2, 3, 1024, MAX_WORDS] {
                for number in [Number::new(0, 1), Number::new(8, (1 << SERIAL_BITS) - 1)] {
                    let header = Header { number, layout, words };
                    assert_eq!(Header::decode(header.encode()), Some(header));
                }
            }
        }
        assert_eq!(Header::decode(0), None);
    }

    #[test]
    fn header_slots_and_data_are_all_the_words_and_each_once() {
        for layout in Layout::ALL {
            for words in 1..40 {
                let header = Header { number: Number::new(0, 1), layout, words };
                let mut all: Vec<usize> = (0..header.slots()).map(|slot| header.slot_word(slot)).collect();
                all.extend((0..header.data()).map(|index| header.data_word(index)));
                all.push(0);
                all.sort_unstable();
                assert_eq!(all, (0..words).collect::<Vec<_>>(), "{header:?}");
            }
        }
    }
}
