//! `cards`: the embedder's store function says what it wrote.
//!
//! The software barrier every other collector has, here as the baseline and as the oracle: a table of one byte a card,
//! where a card is a page, so that its reports can be compared with those of the mechanisms that use the page table.
//! After each store of a reference the embedder marks the card of the slot. What it forgets to mark is not seen.
//!
//! A byte of 0 means written and 1 means armed. That way round, because all pages start as written and a table starts
//! as zeroes: a card table for a terabyte of addresses costs nothing where the heap was never used.
//!
//! Marking is one store and needs no fence. Two things could go wrong with a report that runs at the same time.
//! *The report takes the mark but reads the old slot.* It does not: the mark is a Release store after the slot's, and
//! [`take_and_arm`](Barrier::take_and_arm) takes it with a swap that acquires, so whoever reads the slot afterwards
//! sees the new value. *The report arms the card after the slot was written, and the mark is lost.* It is not: marks
//! are made unconditionally, so a mark that is late sets the card again, and the next report has it. (A store function
//! that looks first, to spare the store where the card is marked already, needs a full fence between slot and card.
//! This one must not look.) A mutator must not reach a safepoint between the slot's store and the mark, or the last
//! report would miss it.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Barrier, PageRange};
use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory::TableMapping;
use crate::sys::Kernel;

const NAME: &str = "cards";

const WRITTEN: u8 = 0;
const ARMED: u8 = 1;

const PAGE_SHIFT: u32 = PAGE.trailing_zeros();

/// The card table as the embedder's store function uses it: copied into each mutator, one shift and one store a mark.
#[derive(Debug, Clone, Copy)]
pub struct CardTable {
    /// Where the card of address 0 would be.
    biased: *const AtomicU8,
}

// SAFETY: the table is only accessed through atomics.
unsafe impl Send for CardTable {}
// SAFETY: as above.
unsafe impl Sync for CardTable {}

impl CardTable {
    /// Marks the card of a slot, after a reference was stored in it.
    ///
    /// # Safety
    /// `slot` is an address between the first and the last tracked range of the barrier this table came from, and that
    /// barrier is alive. The caller does not look at the card first, and reaches no safepoint between store and mark.
    #[inline(always)]
    pub unsafe fn mark(&self, slot: usize) {
        // SAFETY: the caller's slot lies in the span the table has cards for, and the table is alive.
        let card = unsafe { &*self.biased.wrapping_add(slot >> PAGE_SHIFT) };
        card.store(WRITTEN, Ordering::Release);
    }
}

#[derive(Debug)]
pub(crate) struct Cards {
    /// From the start of the first range to the end of the last.
    span: PageRange,
    table: TableMapping,
}

impl Cards {
    pub fn open(ranges: &[PageRange], kernel: &Kernel) -> Result<Cards, BarrierError> {
        let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let table = TableMapping::on(kernel, (end - start) / PAGE, "pagemark cards")
            .map_err(|e| BarrierError::tables(NAME, e))?;
        Ok(Cards { span: start..end, table })
    }

    fn cards(&self, range: &PageRange) -> Result<&[AtomicU8], BarrierError> {
        if range.start < self.span.start || range.end > self.span.end || range.start > range.end {
            return Err(BarrierError::range(NAME, range, "it is not tracked"));
        }
        let first = (range.start - self.span.start) / PAGE;
        // SAFETY: the cards of a range within the span lie in the table, which lives as long as `self` and is only used
        // as atomics.
        Ok(unsafe {
            std::slice::from_raw_parts((self.table.as_ptr() as *const AtomicU8).add(first), range.len() / PAGE)
        })
    }
}

impl Barrier for Cards {
    fn name(&self) -> &'static str {
        NAME
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        let cards = self.cards(&range)?;
        let mut at = 0;
        while at < cards.len() {
            // Relaxed: a mark not seen here is in the next report; in the pause, stopping the mutators made all visible.
            if cards[at].load(Ordering::Relaxed) == ARMED {
                at += 1;
                continue;
            }
            let first = at;
            // AcqRel: acquires the slots stored before the mark, and is not delayed past the caller's reading of them.
            while at < cards.len() && cards[at].load(Ordering::Relaxed) == WRITTEN {
                cards[at].swap(ARMED, Ordering::AcqRel);
                at += 1;
            }
            written(range.start + first * PAGE..range.start + at * PAGE);
        }
        Ok(())
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        for card in self.cards(&range)? {
            card.store(WRITTEN, Ordering::Release);
        }
        Ok(())
    }

    fn cards(&self) -> Option<CardTable> {
        let table = self.table.as_ptr() as *const AtomicU8;
        Some(CardTable { biased: table.wrapping_sub(self.span.start >> PAGE_SHIFT) })
    }
}
