//! Which pages are armed, for the mechanisms whose kernel side cannot be asked (`sync`, `sigbus`, `mprotect`).
//!
//! One bit a page, in a table beside the heap: set means armed. Two parties change it. The collector arms: it *sets the
//! bit first and protects the page afterwards*. Whoever resolves a fault (the fault thread, or a handler on the
//! faulting thread) disarms: it *unprotects the page first and clears the bit afterwards*. Whoever disarms a range does it in
//! the same order as a fault.
//!
//! Both orders are needed. What must never come to be is a page whose bit is set and that is writable: a write to it is
//! not seen. Let S, P be the collector's two steps and U, C the resolver's, running at the same time on one page.
//! Suppose the page ends up writable and its bit set. Writable means the last change of protection was U, so P before
//! U; bit set means the last change of the bit was S, so C before S. But U comes before C and S before P, which closes
//! a circle: P < U < C < S < P. So it cannot be, whatever the interleaving, and however many resolvers there are. The
//! opposite state, protected with the bit clear, can be: the next write faults once more, is resolved, and the page has
//! been reported once too often. That is harmless. It is why a resolver does not ask the bit whether there is anything
//! to do.
//!
//! Giving a page's memory back to the system takes its protection away too, and nobody faults: it is a U without a resolver. So whoever
//! does it goes on with C ([`Barrier::released`](super::Barrier::released)), after a U of its own, since shared memory keeps its
//! protection. Without that, a scan may arm a free block, a mutator that is
//! short of memory give it back and take it again, and fill it with pages that are armed by the book and writable.
//!
//! What of a write that comes between S and P, on a page being reported? Its page is reported after P, and whoever
//! reads the page because of the report reads it after the write. So the caller of [`ArmedBits::arm_written`] protects
//! a run, and only then reports it.
//!
//! And a write that comes between U and C, by a thread other than the faulting one? The page still counts as armed. The
//! report that runs at that moment may miss it, the next one does not. For the last report, the one in the pause, no
//! resolver may be in between: [`Barrier::settle`](super::Barrier::settle).

mod words;

use super::PageRange;
use crate::error::MemoryError;
use crate::layout::PAGE;
use crate::primitive::atomic::Ordering;
use crate::sys::Kernel;
use words::Words;

/// One bit for each page of some ranges.
#[derive(Debug)]
pub(super) struct ArmedBits {
    sections: Box<[Section]>,
}

/// The bits of one range.
#[derive(Debug)]
struct Section {
    range: PageRange,
    words: Words,
}

const BITS: usize = u64::BITS as usize;

impl ArmedBits {
    /// No page is armed.
    pub fn new(ranges: &[PageRange], kernel: &Kernel) -> Result<ArmedBits, MemoryError> {
        let section = |range: &PageRange| {
            let words = (range.len() / PAGE).div_ceil(BITS);
            Ok(Section { range: range.clone(), words: Words::new(words, kernel)? })
        };
        Ok(ArmedBits { sections: ranges.iter().map(section).collect::<Result<_, MemoryError>>()? })
    }

    /// The tracked range an address lies in.
    pub fn tracked_range(&self, address: usize) -> Option<PageRange> {
        self.section(address).map(|section| section.range.clone())
    }

    /// All tracked ranges.
    pub fn tracked_ranges(&self) -> impl Iterator<Item = PageRange> + '_ {
        self.sections.iter().map(|section| section.range.clone())
    }

    /// Whether a page is armed. False outside the tracked ranges.
    pub fn is_armed(&self, page: usize) -> bool {
        self.section(page).is_some_and(|section| {
            let bit = (page - section.range.start) / PAGE;
            section.words.word(bit / BITS).load(Ordering::Acquire) >> (bit % BITS) & 1 == 1
        })
    }

    /// Whether any page of a range, which lies in one tracked range, is armed.
    pub fn any_armed(&self, range: &PageRange) -> bool {
        self.section(range.start).is_some_and(|section| {
            let (from, to) = section.bits(range);
            section.next(from, to, true) < to
        })
    }

    /// Marks each maximal run of pages that are not armed as armed and hands it to `protect`, in ascending order.
    ///
    /// # Errors
    /// The first error of `protect`, which must have left the run it got unprotected; the run counts as written again, and
    /// nothing behind it has been changed.
    pub fn arm_written<E>(
        &self,
        range: PageRange,
        mut protect: impl FnMut(PageRange) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(section) = self.section(range.start) else { return Ok(()) };
        let (mut from, to) = section.bits(&range);
        loop {
            from = section.next(from, to, false);
            if from >= to {
                return Ok(());
            }
            // Pages only ever leave the armed state behind our back, so this run stays a run of written pages.
            let end = section.next(from, to, true);
            section.change(from, end, true);
            let run = section.range.start + from * PAGE..section.range.start + end * PAGE;
            if let Err(error) = protect(run) {
                section.change(from, end, false);
                return Err(error);
            }
            from = end;
        }
    }

    /// Counts the pages of a range, which lies in one tracked range, as written. They must be writable already.
    /// Async-signal-safe.
    pub fn clear(&self, range: &PageRange) {
        if let Some(section) = self.section(range.start) {
            let (from, to) = section.bits(range);
            section.change(from, to, false);
        }
    }

    /// The same for the pages of a whole tracked range that are armed, without touching the words of others.
    pub fn clear_all(&self, range: &PageRange) {
        let Some(section) = self.section(range.start) else { return };
        let (mut from, to) = section.bits(range);
        loop {
            from = section.next(from, to, true);
            if from >= to {
                return;
            }
            let end = section.next(from, to, false);
            section.change(from, end, false);
            from = end;
        }
    }

    fn section(&self, address: usize) -> Option<&Section> {
        self.sections.iter().find(|section| section.range.contains(&address))
    }
}

impl Section {
    /// The numbers of the first page of a range and of the one behind its last.
    fn bits(&self, range: &PageRange) -> (usize, usize) {
        debug_assert!(range.start >= self.range.start && range.end <= self.range.end, "{range:#x?} is not tracked");
        ((range.start - self.range.start) / PAGE, (range.end.min(self.range.end) - self.range.start) / PAGE)
    }

    /// The first page in `from..to` whose bit is `armed`; `to` where there is none.
    fn next(&self, from: usize, to: usize, armed: bool) -> usize {
        let mut at = from;
        while at < to {
            // Acquire: pairs with the Release of `change`; who sees a page written also sees what was done before.
            let word = self.words.word(at / BITS).load(Ordering::Acquire);
            let wanted = if armed { word } else { !word } >> (at % BITS);
            if wanted != 0 {
                return (at + wanted.trailing_zeros() as usize).min(to);
            }
            at = (at / BITS + 1) * BITS;
        }
        to
    }

    fn change(&self, from: usize, to: usize, armed: bool) {
        let mut at = from;
        while at < to {
            let end = ((at / BITS + 1) * BITS).min(to);
            let mask = (u64::MAX >> (BITS - (end - at))) << (at % BITS);
            // AcqRel: the protection of a page changes before (clearing) or after (setting) this, in the system call
            // next to it, and must not be reordered with it.
            if armed {
                self.words.word(at / BITS).fetch_or(mask, Ordering::AcqRel);
            } else {
                self.words.word(at / BITS).fetch_and(!mask, Ordering::AcqRel);
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x7000_0000;
    const PAGES: usize = 300;

    fn bits() -> ArmedBits {
        let ranges = [BASE..BASE + PAGES * PAGE, BASE + 1000 * PAGE..BASE + 1010 * PAGE];
        ArmedBits::new(&ranges, &Kernel::real()).unwrap()
    }

    fn pages(from: usize, to: usize) -> PageRange {
        BASE + from * PAGE..BASE + to * PAGE
    }

    fn armed(bits: &ArmedBits, range: PageRange) -> Vec<PageRange> {
        let mut runs = Vec::new();
        bits.arm_written(range, |run| {
            runs.push(run);
            Ok::<(), ()>(())
        })
        .unwrap();
        runs
    }

    #[test]
    fn fresh_pages_are_one_run_and_armed_pages_none() {
        let bits = bits();
        assert_eq!(armed(&bits, pages(0, PAGES)), [pages(0, PAGES)]);
        assert!(armed(&bits, pages(0, PAGES)).is_empty());
        assert!(bits.is_armed(BASE + 299 * PAGE) && !bits.is_armed(BASE + 300 * PAGE));
    }

    #[test]
    fn exactly_the_cleared_pages_come_back_as_maximal_runs() {
        let bits = bits();
        armed(&bits, pages(0, PAGES));
        for run in [pages(0, 1), pages(62, 66), pages(127, 129), pages(190, 260), pages(299, 300)] {
            bits.clear(&run);
        }
        assert!(bits.any_armed(&pages(60, 63)) && !bits.any_armed(&pages(62, 66)));
        let expected = [pages(0, 1), pages(62, 66), pages(127, 129), pages(190, 260), pages(299, 300)];
        assert_eq!(armed(&bits, pages(0, PAGES)), expected);
    }

    #[test]
    fn a_part_is_armed_without_its_surroundings() {
        let bits = bits();
        assert_eq!(armed(&bits, pages(70, 80)), [pages(70, 80)]);
        assert_eq!(armed(&bits, pages(60, 90)), [pages(60, 70), pages(80, 90)]);
        assert_eq!(armed(&bits, pages(1000, 1010)), [pages(1000, 1010)]);
        assert!(!bits.is_armed(BASE) && !bits.is_armed(BASE + 90 * PAGE));
    }

    #[test]
    fn a_run_that_could_not_be_protected_stays_written() {
        let bits = bits();
        armed(&bits, pages(0, PAGES));
        bits.clear(&pages(10, 20));
        bits.clear(&pages(30, 40));
        bits.clear(&pages(50, 60));
        let mut calls = 0;
        let result = bits.arm_written(pages(0, PAGES), |_| {
            calls += 1;
            if calls == 2 { Err("no") } else { Ok(()) }
        });
        assert_eq!((result, calls), (Err("no"), 2));
        assert!(bits.is_armed(BASE + 15 * PAGE));
        assert_eq!(armed(&bits, pages(0, PAGES)), [pages(30, 40), pages(50, 60)]);
    }
}

#[cfg(all(test, loom))]
mod interleavings;
