//! What lies on a mark stack: one word, told apart by the low bits that alignment leaves free.
//!
//! | bits | meaning |
//! |---|---|
//! | `…00` | a marked small or medium object whose references are to be traced |
//! | `…01` | a chunk of a marked large object; tracing it pushes the next chunk first, so that a big array never fills a stack and another worker can take the rest |
//! | `…10` | a written page: the references on it, of marked objects, are to be traced again |

use crate::layout::PAGE;

/// Bytes of a large object traced at once.
pub const CHUNK: usize = 8 * PAGE;

/// One entry of a mark stack, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// Start of a small or medium object.
    Object(usize),
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
            Item::Object(addr) => addr,
            Item::Chunk(addr) => addr | 1,
            Item::Page(addr) => addr | 2,
        }
    }

    /// The item that `word` stands for.
    #[inline(always)]
    pub fn decode(word: usize) -> Item {
        match word & 3 {
            0 => Item::Object(word),
            1 => Item::Chunk(word - 1),
            _ => Item::Page(word - 2),
        }
    }
}
