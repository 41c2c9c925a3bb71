//! What the barrier tests share: a tracked heap of a few pages, and tests that run in a child process.

#![allow(dead_code, reason = "each test file uses a part of this")]

#[path = "../../../tests/support/child.rs"]
mod child;

use std::sync::atomic::{AtomicU64, Ordering};

#[allow(unused_imports, reason = "each test file uses a part of this")]
pub use child::{in_child, succeeds_in_child};
use pagemark_gc::barrier::{self, Mechanism, Opened, PageRange};
use pagemark_gc::error::BarrierError;
pub use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::{Backing, Mapping};
use pagemark_gc::sys::Kernel;

/// Mechanisms that arm pages.
pub const ARMING: [Mechanism; 5] =
    [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect, Mechanism::Cards];

/// A mapping whose pages are all tracked. The barrier is dropped before the memory.
pub struct Tracked {
    pub opened: Opened,
    pub mapping: Mapping,
}

impl Tracked {
    pub fn open(
        mechanism: Mechanism,
        backing: Backing,
        pages: usize,
        kernel: &Kernel,
    ) -> Result<Tracked, BarrierError> {
        let mapping = Mapping::new(backing, pages * PAGE, "pagemark test heap").expect("address space for a test");
        let opened = barrier::open(mechanism, backing, &[mapping.range()], kernel)?;
        Ok(Tracked { opened, mapping })
    }

    pub fn address(&self, page: usize) -> usize {
        self.mapping.base() + page * PAGE
    }

    pub fn pages(&self, from: usize, to: usize) -> PageRange {
        self.address(from)..self.address(to)
    }

    /// The `slot`th word of a page.
    pub fn word(&self, page: usize, slot: usize) -> &AtomicU64 {
        assert!((page + 1) * PAGE <= self.mapping.len() && slot < PAGE / 8);
        // SAFETY: within the mapping, which lives as long as `self`; tests use it as atomics only.
        unsafe { &*((self.address(page) + slot * 8) as *const AtomicU64) }
    }

    /// Stores as a mutator does, marking the card where there are cards.
    pub fn store(&self, page: usize, slot: usize, value: u64) {
        let word = self.word(page, slot);
        word.store(value, Ordering::Release);
        if let Some(cards) = self.opened.barrier.cards() {
            // SAFETY: the word is tracked and the barrier is alive.
            unsafe { cards.mark(word.as_ptr() as usize) };
        }
    }

    pub fn write(&self, page: usize) {
        self.store(page, 0, 1);
    }

    /// Takes and arms a range; the runs reported, as page numbers.
    pub fn take(&self, from: usize, to: usize) -> Vec<std::ops::Range<usize>> {
        let mut runs = Vec::new();
        let page = |address: usize| (address - self.mapping.base()) / PAGE;
        self.opened
            .barrier
            .take_and_arm(self.pages(from, to), &mut |run| runs.push(page(run.start)..page(run.end)))
            .expect("arming a few pages");
        runs
    }

    /// Every page, as one flat report.
    pub fn report(&self) -> Vec<usize> {
        self.take(0, self.mapping.len() / PAGE).into_iter().flatten().collect()
    }
}

/// Runs a check on every mechanism that arms pages, on both backings; says so where this machine cannot.
pub fn each(pages: usize, check: impl Fn(Tracked, &str)) {
    for mechanism in ARMING {
        each_backing(mechanism, pages, &Kernel::real(), &check);
    }
}

/// Runs a check on one mechanism, on both backings.
pub fn each_backing(mechanism: Mechanism, pages: usize, kernel: &Kernel, check: impl Fn(Tracked, &str)) {
    for backing in Backing::ALL {
        let what = format!("{mechanism} on {backing}");
        match Tracked::open(mechanism, *backing, pages, kernel) {
            Ok(tracked) => check(tracked, &what),
            Err(error) => eprintln!("skipped {what}: {error}"),
        }
    }
}
