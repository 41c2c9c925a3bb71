//! A heap in private anonymous memory.
//!
//! `MADV_DONTNEED` gives pages back and makes them read as zero. It refuses pages that are locked in memory, which they are
//! in a process that called `mlockall(MCL_FUTURE)`; then the request for locked pages (Linux 5.18) is tried, and last
//! the pages are overwritten with zeroes and kept. (Overwriting an armed page faults and resolves like any write.)

use std::ops::Range;

use super::reserve::Reservation;
use super::{ALIGNMENT, madvise};
use crate::error::MemoryError;
use crate::sys::Kernel;

#[derive(Debug)]
pub(super) struct Anon(Reservation);

impl Anon {
    pub fn new(kernel: &Kernel, bytes: usize, name: &str) -> Result<Anon, MemoryError> {
        let memory = Reservation::new(kernel, bytes, ALIGNMENT, libc::PROT_READ | libc::PROT_WRITE, name)?;
        madvise::unmergeable(kernel, &(memory.base..memory.base + bytes));
        Ok(Anon(memory))
    }

    pub fn base(&self) -> usize {
        self.0.base
    }
}

/// Gives back whole pages of a mapping.
pub(super) fn release(kernel: &Kernel, range: &Range<usize>) -> Result<(), MemoryError> {
    let (start, bytes) = (range.start, range.len());
    // SAFETY: the range lies in the mapping and its owner says that nothing in it is alive.
    let discarded = unsafe { kernel.discard(range.clone()) }.map_err(|source| MemoryError::Release {
        start,
        bytes,
        call: "madvise(MADV_DONTNEED)",
        source,
    })?;
    if !discarded {
        // SAFETY: as above; the range is mapped readable and writable.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, bytes) };
    }
    Ok(())
}
