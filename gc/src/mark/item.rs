//! What lies on a mark stack: one word, told apart by the low bits that alignment leaves free.
//!
//! | bits | meaning |
//! |---|---|
//! | `…00` | a marked small or medium object whose references are to be traced; its length in the highest 16 bits, which addresses leave free |
//! | `…01` | a chunk of a marked large object; tracing it pushes the next chunk first, so that a big array never fills a stack and another worker can take the rest |
//! | `…10` | a written page: the references on it, of marked objects, are to be traced again |
//!
//! Why the length: whoever marks an object has its metadata at hand. Reading it again when the object is traced, soon after one byte of it was
//! stored, would wait for that store to reach the cache.

use crate::layout::{GRANULE, LARGE_THRESHOLD, PAGE};

/// Bytes of a large object traced at once.
pub const CHUNK: usize = 8 * PAGE;

/// Bits of an address: what Linux hands out to who does not ask for more, on x86-64 and AArch64.
const ADDRESS_BITS: u32 = 48;

const _: () = assert!(LARGE_THRESHOLD / GRANULE < 1 << (usize::BITS - ADDRESS_BITS));

/// One entry of a mark stack, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// Start of a small or medium object, and its length in granules.
    Object(usize, usize),
    /// Start of a chunk in a large object, page-aligned.
    Chunk(usize),
    /// Start of a written page.
    Page(usize),
}

impl Item {
    /// The word that stands for the item.
    #[inline(always)]
    pub fn encode(self) -> usize {
        match self {
            Item::Object(addr, granules) => granules << ADDRESS_BITS | addr,
            Item::Chunk(addr) => addr | 1,
            Item::Page(addr) => addr | 2,
        }
    }

    /// The item that `word` stands for.
    #[inline(always)]
    pub fn decode(word: usize) -> Item {
        match word & 3 {
            0 => Item::Object(word & ((1 << ADDRESS_BITS) - 1), word >> ADDRESS_BITS),
            1 => Item::Chunk(word - 1),
            _ => Item::Page(word - 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_on_a_stack_comes_off_it() {
        let highest = (1 << ADDRESS_BITS) - PAGE;
        for item in [
            Item::Object(0x7000_0010, 1),
            Item::Object(highest + 16, LARGE_THRESHOLD / GRANULE),
            Item::Chunk(highest),
            Item::Page(highest),
        ] {
            assert_eq!(Item::decode(item.encode()), item);
        }
    }
}
