//! The holes of one block: its free granules, a bit each.
//!
//! Free granules and the inside of objects look alike in the metadata, so what is free comes out of a walk over the whole block. Whoever takes a
//! block to allocate in its holes makes the map once, 64 granules at a time (or has it from sweeping the block), and finds each hole in it with a few
//! instructions. Nobody else allocates in the block while it has an owner, so the map stays true; and it is made of START and END only, which no
//! marker changes.

use std::ops::Range;

use crate::layout::GRANULES_PER_BLOCK;

const WORDS: usize = GRANULES_PER_BLOCK / 64;

/// See the module documentation. Holes are used up from the lowest address on.
pub struct Holes {
    /// A one for each free granule that is not used up, the lowest address in the lowest bit.
    free: [u64; WORDS],
    /// The words before this one are used up.
    word: usize,
}

impl Holes {
    /// A block without holes.
    pub const NONE: Holes = Holes { free: [0; WORDS], word: WORDS };

    /// The holes of a block whose free granules are the ones of `words`.
    pub fn new(mut words: impl FnMut(usize) -> u64) -> Holes {
        Holes { free: std::array::from_fn(&mut words), word: 0 }
    }

    /// The next hole of at least `least` granules, as granules of the block. Smaller ones before it are passed by for good.
    #[inline]
    pub fn next(&mut self, least: usize) -> Option<Range<usize>> {
        loop {
            let hole = self.next_of_any_size()?;
            if hole.len() >= least {
                return Some(hole);
            }
        }
    }

    #[inline(always)]
    fn next_of_any_size(&mut self) -> Option<Range<usize>> {
        while self.word < WORDS {
            let bits = self.free[self.word];
            if bits == 0 {
                self.word += 1;
                continue;
            }
            let start = self.word * 64 + bits.trailing_zeros() as usize;
            // Adding the lowest one turns the run it begins into zeroes, and the bit behind the run into a one.
            let lowest = bits & bits.wrapping_neg();
            let (sum, into_the_next) = bits.overflowing_add(lowest);
            self.free[self.word] = bits & sum;
            let mut end = self.word * 64 + (bits | (lowest - 1)).trailing_ones() as usize;
            if into_the_next {
                self.word += 1;
                while self.word < WORDS {
                    let bits = self.free[self.word];
                    end += bits.trailing_ones() as usize;
                    if bits != u64::MAX {
                        self.free[self.word] = bits & (bits + 1);
                        break;
                    }
                    self.word += 1;
                }
            }
            return Some(start..end);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs of ones, found a bit at a time.
    fn runs(words: &[u64; WORDS], least: usize) -> Vec<Range<usize>> {
        let free = |granule: usize| granule < GRANULES_PER_BLOCK && words[granule / 64] >> (granule % 64) & 1 == 1;
        let starts = (0..GRANULES_PER_BLOCK).filter(|at| free(*at) && (*at == 0 || !free(at - 1)));
        let runs = starts.map(|start| start..(start..).find(|at| !free(*at)).unwrap());
        runs.filter(|run| run.len() >= least).collect()
    }

    #[test]
    fn each_hole_is_found_once_and_whole() {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..400 {
            let words: [u64; WORDS] = std::array::from_fn(|_| match random() % (2 + round % 5) {
                0 => u64::MAX,
                1 => 0,
                2 => random(),
                3 => u64::MAX << (random() % 64),
                _ => u64::MAX >> (random() % 64) & !(1 << (random() % 64)),
            });
            for least in [1, 2, 5, 64, 128] {
                let mut holes = Holes::new(|word| words[word]);
                let found: Vec<_> = std::iter::from_fn(|| holes.next(least)).collect();
                assert_eq!(found, runs(&words, least), "{least} granules and more of {words:x?}");
            }
        }
        assert_eq!(Holes::new(|_| u64::MAX).next(1), Some(0..GRANULES_PER_BLOCK));
        assert_eq!({ Holes::NONE }.next(1), None);
    }
}
