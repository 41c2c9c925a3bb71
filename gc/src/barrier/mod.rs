//! Seeing writes: one trait, one file a mechanism.
//!
//! A mechanism keeps **one bit a page**: a page is *armed*, so that its next write will be seen, or it is *written*:
//! it was written since it was armed, or was never armed. Nothing else is known about a page, and nothing else
//! is needed: "which pages were written while I marked" is "which pages are not armed any more".
//!
//! ```text
//!            take_and_arm (reports the page)
//!          ┌───────────────────────────────┐
//!       written                          armed
//!          └───────────────────────────────┘
//!            a mutator's write, or disarm
//! ```
//!
//! All methods may be called while mutators run, from any thread, for any page-aligned range inside the ranges
//! given at creation. The cycle's thread alone calls `take_and_arm`. Pages are disarmed by the mutator that owns their block or that will soon, and by the cycle's
//! thread between cycles; several may disarm one page at the same time. A `take_and_arm` may cover the block of a mutator, where it began while the
//! block was free and lay in a gap that the scan bridges. The pages then end up armed in fact and by the book, or written.
//!
//! | name | file | who resolves a write to an armed page |
//! |---|---|---|
//! | `async` | `async_wp` | the kernel |
//! | `sync` | `sync` | the heap's fault thread |
//! | `sigbus` | `sigbus` | the writing thread, in its `SIGBUS` handler |
//! | `mprotect` | `mprotect` | the writing thread, in its `SIGSEGV` handler |
//! | `cards` | `cards` | nobody: the embedder's store function marks a card |
//! | `stop` | `stop` | nobody: nothing is armed |
//! | `none` | `none` | nobody: nothing is armed, and no cycle starts by itself |
//!
//! `sync`, `sigbus` and `mprotect` keep the bit in `armed_bits`, where the order of steps that loses no write is argued; the
//! two that work by userfaultfd and bits share `protector`, the two that work by signals `signals`, `fault_table` and `patience`.
//! Before a heap trusts any of them, `trial` makes it prove itself.

mod armed_bits;
mod async_wp;
mod auto;
mod batches;
pub mod cards;
mod fault_table;
mod mechanism;
mod mprotect;
mod none;
mod patience;
mod protector;
mod registration;
mod sigbus;
mod signals;
mod stop;
mod stripes;
mod sync;
mod trial;

use std::fmt;
use std::ops::Range;

pub use mechanism::Mechanism;

use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory::{Backing, Mapping};
use crate::sys::Kernel;

/// A page-aligned half-open range of addresses.
pub type PageRange = Range<usize>;

/// How writes are seen. See the module documentation for the state machine.
pub trait Barrier: Send + Sync {
    /// The name a configuration selects it by.
    fn name(&self) -> &'static str;

    /// Whether writes made while marking are seen. When false (`stop`, `none`), marking must stop the mutators.
    fn sees_writes(&self) -> bool {
        true
    }

    /// Whether also writes to pages that nobody looks at between two cycles are sure to be reported, which is what sticky cycles live by. A full cycle
    /// reads every page that lives.
    fn remembers_writes(&self) -> bool {
        self.sees_writes()
    }

    /// Whether the first write to an armed page costs the writer a fault.
    fn writes_fault(&self) -> bool {
        self.sees_writes() && self.cards().is_none()
    }

    /// Reports every *written* page of `range` to `written`, in ascending order and as maximal runs where that is
    /// cheap, and arms it, as one step: a write that is not part of this report is part of the next one.
    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError>;

    /// Makes all pages of `range` *written*: they are about to be filled, and who does it must not fault on each. Others may be writing to them.
    ///
    /// # Errors
    /// Pages may still fault once; no write is lost.
    fn disarm(&self, range: PageRange) -> Result<(), BarrierError>;

    /// The memory of `range` was given back to the system, by whoever owns it, and is used by nobody yet. Where that may take protection away
    /// behind the mechanism's back, all its pages now are *written*, in fact and by the book. Like `disarm` this may run beside a `take_and_arm`
    /// of the same pages.
    fn released(&self, _range: PageRange) {}

    /// Called in the pause, after every mutator stopped and before the last `take_and_arm`: returns only when
    /// every write made before the stop will be part of that report. Mechanisms with a thread of their own wait for its batch.
    fn settle(&self) {}

    /// Write faults the mutators took so far, where the mechanism can count them itself without a shared counter in
    /// the fault path (`async` cannot: the kernel resolves them; the cycle counts its written pages instead).
    fn faults(&self) -> Option<u64> {
        None
    }

    /// In the child of a fork, on its only thread: starts over with every page *written*. The kernel gives a child no userfaultfd, its memory is not
    /// armed, and the descriptors it inherits are for the parent's memory: no request may be made on them.
    ///
    /// # Errors
    /// As [`open`]; the barrier is of no use then.
    fn restart_in_child(&self) -> Result<(), BarrierError> {
        Ok(())
    }

    /// The card table mutators must mark, for the software mechanism.
    fn cards(&self) -> Option<cards::CardTable> {
        None
    }
}

/// A barrier, and what to tell about it.
pub struct Opened {
    /// The barrier. It is dropped before the memory it tracks is unmapped.
    pub barrier: Box<dyn Barrier>,
    /// Why it is this one and not a better one, or what works less well than one may think: to be logged once.
    pub reason: Option<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("barrier", &self.barrier.name()).field("reason", &self.reason).finish()
    }
}

/// Opens a barrier that tracks `ranges`: page-aligned parts of one [`Mapping`] of this backing,
/// not overlapping. All their pages count as *written*.
///
/// # Errors
/// [`BarrierError::Unavailable`] where the mechanism cannot work here, [`BarrierError::Range`] where a range cannot be tracked.
/// `auto` falls back to a mechanism that opens, and only fails on a wrong range.
pub fn open(
    mechanism: Mechanism,
    backing: Backing,
    ranges: &[PageRange],
    kernel: &Kernel,
) -> Result<Opened, BarrierError> {
    check(mechanism.name(), ranges)?;
    let (barrier, reason): (Box<dyn Barrier>, Option<String>) = match mechanism {
        Mechanism::Auto => return auto::choose(&|candidate| open(candidate, backing, ranges, kernel)),
        Mechanism::Async => {
            let (barrier, warning) = async_wp::AsyncWp::open(backing, ranges, kernel)?;
            (Box::new(barrier), warning)
        }
        Mechanism::Sync => {
            let (barrier, warning) = sync::Sync::open(backing, ranges, kernel)?;
            (Box::new(barrier), warning)
        }
        Mechanism::Sigbus => {
            let (barrier, warning) = sigbus::Sigbus::open(backing, ranges, kernel)?;
            (Box::new(barrier), warning)
        }
        Mechanism::Mprotect => (Box::new(mprotect::Mprotect::open(ranges, kernel)?), None),
        Mechanism::Cards => (Box::new(cards::Cards::open(ranges, kernel)?), None),
        Mechanism::Stop => (Box::new(stop::Stop), None),
        Mechanism::None => (Box::new(none::NoCollection), None),
    };
    Ok(Opened { barrier, reason })
}

/// Opens a barrier as [`open`] does, and tries it on the first four pages of the first of `ranges` before it is believed: that
/// writes are seen there, also the second one to a page, also after `mprotect(2)`, also to memory that was given back and used again. Nothing is in
/// the ranges yet; afterwards the pages are zero, have no memory, and count as *written*.
///
/// # Errors
/// As [`open`]; and [`BarrierError::Unsound`] where the mechanism opens and loses writes, which leads `auto` on to the next.
pub fn open_tried(
    mechanism: Mechanism,
    mapping: &Mapping,
    ranges: &[PageRange],
    kernel: &Kernel,
) -> Result<Opened, BarrierError> {
    if mechanism == Mechanism::Auto {
        return auto::choose(&|candidate| open_tried(candidate, mapping, ranges, kernel));
    }
    let opened = open(mechanism, mapping.backing(), ranges, kernel)?;
    if let Some(first) = ranges.first() {
        trial::run(&*opened.barrier, mapping, first)?;
    }
    Ok(opened)
}

fn check(mechanism: &'static str, ranges: &[PageRange]) -> Result<(), BarrierError> {
    for (index, range) in ranges.iter().enumerate() {
        if range.is_empty() || !range.start.is_multiple_of(PAGE) || !range.end.is_multiple_of(PAGE) {
            return Err(BarrierError::range(mechanism, range, "it is empty or not page-aligned"));
        }
        if ranges[..index].iter().any(|other| other.start < range.end && range.start < other.end) {
            return Err(BarrierError::range(mechanism, range, "it overlaps another range"));
        }
    }
    Ok(())
}

/// The refusal of the mechanisms that work by signals, when the table the handlers look in is full.
fn too_many_heaps(mechanism: &'static str) -> BarrierError {
    BarrierError::Unavailable {
        mechanism,
        cause: format!("{} heaps of this process already use barriers that work by signals", fault_table::SLOTS),
        remedy: "Use `async` or `sync` for some of the heaps, or drop a heap first.".into(),
    }
}
