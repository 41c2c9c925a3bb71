//! A heap in private anonymous memory.
//!
//! `MADV_DONTNEED` gives pages back and makes them read as zero. It refuses pages that are locked in memory, which they are
//! in a process that called `mlockall(MCL_FUTURE)`; then the request for locked pages (Linux 5.18) is tried, and last
//! the pages are overwritten with zeroes and kept. (Overwriting an armed page faults and resolves like any write.)

use std::io;
use std::ops::Range;

use super::reserve::Reservation;
use super::{ALIGNMENT, madvise};
use crate::error::MemoryError;

/// `MADV_DONTNEED` that also takes locked pages.
const MADV_DONTNEED_LOCKED: libc::c_int = 24;

#[derive(Debug)]
pub(super) struct Anon(Reservation);

impl Anon {
    pub fn new(bytes: usize, name: &str) -> Result<Anon, MemoryError> {
        let memory = Reservation::new(bytes, ALIGNMENT, libc::PROT_READ | libc::PROT_WRITE, name)?;
        madvise::unmergeable(&(memory.base..memory.base + bytes));
        Ok(Anon(memory))
    }

    pub fn base(&self) -> usize {
        self.0.base
    }
}

/// Gives back whole pages of a mapping.
pub(super) fn release(range: &Range<usize>) -> Result<(), MemoryError> {
    let (start, bytes) = (range.start as *mut libc::c_void, range.len());
    for advice in [libc::MADV_DONTNEED, MADV_DONTNEED_LOCKED] {
        // SAFETY: the range lies in the mapping and its owner says that nothing in it is alive.
        if unsafe { libc::madvise(start, bytes, advice) } == 0 {
            return Ok(());
        }
        let source = io::Error::last_os_error();
        if source.raw_os_error() != Some(libc::EINVAL) {
            return Err(MemoryError::Release { start: range.start, bytes, call: "madvise(MADV_DONTNEED)", source });
        }
    }
    // SAFETY: as above; the range is mapped readable and writable.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0, bytes) };
    Ok(())
}
