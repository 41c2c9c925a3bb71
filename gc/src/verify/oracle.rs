//! `oracle`: software cards beside a page mechanism. Every card that a mutator marked must lie on a page that was reported as written.
//!
//! Two independent witnesses of the same stores: the page table, and the embedder's store function, which marks a card after each store when
//! `Heap::cards` gives it a table, as under `mechanism=cards`. Each round takes the marked cards *before* it scans the pages. The store behind a card that was taken came
//! before the scan, so the page is in this scan's report; or it came before an earlier scan and its mark after that scan's cards were
//! taken, and then the page is in the report of the scan before: store and mark have no safepoint between them, and each round has one.
//! Or the page is in a block that its mutator owns, which no scan covers until it is retired: so a card waits until the pause, by which
//! everything is retired, and there it must have been reported since the scan before it was taken.
//!
//! The other inclusion does not hold and is not asked for: pages are reported that no store function wrote to.

use std::collections::HashSet;

use crate::barrier::cards::{CardTable, Cards};
use crate::barrier::{Barrier, PageRange};
use crate::error::BarrierError;
use crate::heap::{Heap, Regions};
use crate::layout::PAGE;
use crate::sys::Kernel;

/// The cards of one heap.
pub struct Oracle {
    cards: Cards,
}

impl Oracle {
    /// Cards for the tracked range.
    pub fn open(tracked: &PageRange, kernel: &Kernel) -> Result<Oracle, BarrierError> {
        Ok(Oracle { cards: Cards::open(std::slice::from_ref(tracked), kernel)? })
    }

    /// The table that the embedder's store function marks.
    pub fn table(&self) -> Option<CardTable> {
        self.cards.cards()
    }

    /// The pages whose cards were marked since the last call, in all of the tracked memory that was ever used.
    fn take(&self, heap: &Heap) -> Vec<usize> {
        let Regions { blocks, large, border, range } = &heap.tracked;
        let used = [range.start..blocks.address(blocks.high_water()), *border..large.end()];
        let mut pages = Vec::new();
        for range in used {
            // The ranges lie in the table's span, which is the only thing it refuses.
            let _ = self.cards.take_and_arm(range, &mut |run| pages.extend(run.step_by(PAGE)));
        }
        pages
    }
}

/// The comparison in one cycle.
pub struct Comparison<'o> {
    oracle: &'o Oracle,
    /// Pages with cards that were taken and that no report has explained yet.
    unexplained: HashSet<usize>,
    /// What the last scan reported.
    last: HashSet<usize>,
}

impl<'o> Comparison<'o> {
    /// Before the pages are armed. What was written until now is of no interest to a cycle that marks everything. One that keeps marks lives by it.
    pub fn begin(oracle: &'o Oracle, heap: &Heap, keeps_marks: bool) -> Comparison<'o> {
        let mut cards = oracle.take(heap);
        if !keeps_marks {
            cards.clear();
        }
        Comparison { oracle, unexplained: cards.into_iter().collect(), last: HashSet::new() }
    }

    /// Before a scan: takes the cards.
    pub fn before_scan(&mut self, heap: &Heap) {
        let last = &self.last;
        self.unexplained.extend(self.oracle.take(heap).into_iter().filter(|page| !last.contains(page)));
    }

    /// After it, and after the one that armed the pages: `reported` explains cards.
    pub fn after_scan(&mut self, reported: impl Iterator<Item = usize>) {
        self.last = reported.collect();
        let last = &self.last;
        self.unexplained.retain(|page| !last.contains(page));
    }

    /// After the scan in the pause: pages with objects that were written, by the embedder's own account, and never reported. Of memory
    /// without objects nobody asks for reports, and its cards say nothing: they count as marked until they are taken for the first time.
    pub fn unseen(&self, heap: &Heap) -> Vec<usize> {
        let Regions { blocks, large, border, .. } = &heap.tracked;
        let holds_objects = |page: usize| {
            if page < *border {
                blocks.state(blocks.index(page)).holds_objects()
            } else {
                large.object_at(page).is_some()
            }
        };
        self.unexplained.iter().copied().filter(|page| holds_objects(*page)).collect()
    }
}
