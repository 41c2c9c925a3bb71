//! One bit a page that says that it was written: the record of the mechanisms whose kernel keeps none.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use pagemark_gc::layout::PAGE;

use crate::semantics::errno::Errno;

/// The bits of a range. Setting one is async-signal-safe.
#[derive(Debug)]
pub struct Written {
    range: Range<usize>,
    words: Box<[AtomicU64]>,
}

impl Written {
    /// All pages count as written.
    pub fn new(range: Range<usize>) -> Written {
        let words = (range.len() / PAGE).div_ceil(64);
        let written = Written { range, words: (0..words).map(|_| AtomicU64::new(0)).collect() };
        written.set_all();
        written
    }

    /// Whether the address lies in the range.
    pub fn covers(&self, address: usize) -> bool {
        self.range.contains(&address)
    }

    /// The page was written.
    pub fn set(&self, page: usize) {
        let index = (page - self.range.start) / PAGE;
        // Relaxed: writers are done, and have said so, before anybody looks.
        self.words[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
    }

    /// All pages are written.
    pub fn set_all(&self) {
        let pages = self.range.len() / PAGE;
        for (word, bits) in self.words.iter().enumerate() {
            let rest = pages - word * 64;
            bits.store(if rest >= 64 { u64::MAX } else { (1 << rest) - 1 }, Ordering::Relaxed);
        }
    }

    /// No page is.
    pub fn clear_all(&self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Arms each run of written pages, after which none is. How many pages that were.
    pub fn take(&self, arm: impl Fn(Range<usize>) -> Result<(), Errno>) -> Result<usize, Errno> {
        let address = |index: usize| self.range.start + index * PAGE;
        let (mut found, mut run) = (0, 0..0);
        for (word, bits) in self.words.iter().enumerate() {
            if bits.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut rest = bits.swap(0, Ordering::Relaxed);
            while rest != 0 {
                let first = rest.trailing_zeros() as usize;
                let length = (rest >> first).trailing_ones() as usize;
                // Clears the run, also one of 64.
                rest &= !((u64::MAX >> (64 - length)) << first);
                let (start, end) = (word * 64 + first, word * 64 + first + length);
                found += length;
                if start == run.end {
                    run.end = end;
                } else {
                    if !run.is_empty() {
                        arm(address(run.start)..address(run.end))?;
                    }
                    run = start..end;
                }
            }
        }
        if !run.is_empty() {
            arm(address(run.start)..address(run.end))?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn runs_are_whole_across_words_and_taken_once() {
        const BASE: usize = 0x10_0000;
        let written = Written::new(BASE..BASE + 200 * PAGE);
        let take = || {
            let runs = RefCell::new(Vec::new());
            let pages = |run: Range<usize>| ((run.start - BASE) / PAGE, (run.end - BASE) / PAGE);
            let found = written.take(|run| {
                runs.borrow_mut().push(pages(run));
                Ok(())
            });
            (found.expect("nothing fails"), runs.into_inner())
        };
        assert_eq!(take(), (200, vec![(0, 200)]));
        assert_eq!(take(), (0, Vec::new()));
        [0, 5, 63, 64, 65, 199].into_iter().for_each(|page| written.set(BASE + page * PAGE));
        assert_eq!(take(), (6, vec![(0, 1), (5, 6), (63, 66), (199, 200)]));
        written.set_all();
        written.clear_all();
        assert_eq!(take(), (0, Vec::new()));
    }
}
