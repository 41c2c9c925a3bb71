//! What is measured: something that arms pages, lets the first write to each through, and knows afterwards which they were.
//!
//! There are two of each mechanism, the collector's ([`Ours`]) and one of bare system calls ([`bare`](super::bare)), and all that is
//! done with them is the same.

use std::ops::Range;

use pagemark_gc::barrier::{self, Barrier, Mechanism};
use pagemark_gc::error::BarrierError;
use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::Mapping;
use pagemark_gc::sys::Kernel;

/// Why something could not be measured.
pub type Failure = Box<dyn std::error::Error>;

/// A mechanism on one mapping.
pub trait Subject {
    /// Arms all pages, none of which is armed. How many that are.
    fn arm(&self) -> Result<usize, Failure>;

    /// Counts the pages that were written since they were armed, and arms them.
    fn scan(&self) -> Result<usize, Failure>;

    /// Makes all pages writable.
    fn disarm(&self) -> Result<(), Failure>;

    /// Whether a thread of its own resolves faults.
    fn helps(&self) -> bool;
}

/// The collector's barrier, through the interface by which a cycle uses it.
pub struct Ours {
    barrier: Box<dyn Barrier>,
    range: Range<usize>,
}

impl Ours {
    /// Opens it as a heap does.
    ///
    /// # Errors
    /// The barrier's own, with its reason.
    pub fn open(mechanism: Mechanism, mapping: &Mapping) -> Result<Ours, BarrierError> {
        let range = mapping.range();
        let opened = barrier::open_tried(mechanism, mapping, std::slice::from_ref(&range), &Kernel::real())?;
        Ok(Ours { barrier: opened.barrier, range })
    }
}

impl Subject for Ours {
    fn arm(&self) -> Result<usize, Failure> {
        self.scan()
    }

    fn scan(&self) -> Result<usize, Failure> {
        let mut written = 0;
        self.barrier.take_and_arm(self.range.clone(), &mut |run| written += run.len() / PAGE)?;
        Ok(written)
    }

    fn disarm(&self) -> Result<(), Failure> {
        Ok(self.barrier.disarm(self.range.clone())?)
    }

    fn helps(&self) -> bool {
        self.barrier.name() == Mechanism::Sync.name()
    }
}
