//! Reserving aligned ranges of addresses.
//!
//! The kernel aligns a mapping to a page. To get one aligned to more, a larger range is reserved and what sticks
//! out on both sides is given back; in between nobody else can take the part we want.

use std::io;

use super::madvise;
use crate::error::MemoryError;

/// What to try when the kernel gives no address range.
pub(super) const REMEDY: &str = "Set a smaller heap limit, raise RLIMIT_AS (ulimit -v), or do not set \
                                 vm.overcommit_memory=2, under which reserved memory counts as used";

/// A range of addresses, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    pub base: usize,
    pub bytes: usize,
}

impl Reservation {
    /// Reserves private anonymous memory. `alignment` is a power of two of at least a page.
    pub fn new(
        bytes: usize,
        alignment: usize,
        protection: libc::c_int,
        name: &str,
    ) -> Result<Reservation, MemoryError> {
        let failed = |call, source| MemoryError::Reserve { what: name.to_owned(), bytes, call, source, remedy: REMEDY };
        let padded = bytes
            .checked_add(alignment)
            .ok_or_else(|| failed("mmap(2)", io::Error::from_raw_os_error(libc::ENOMEM)))?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), padded, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(failed("mmap(2)", io::Error::last_os_error()));
        }
        let start = address as usize;
        let base = start.next_multiple_of(alignment);
        unmap(start, base - start);
        unmap(base + bytes, start + padded - (base + bytes));
        madvise::name(&(base..base + bytes), name);
        Ok(Reservation { base, bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        unmap(self.base, self.bytes);
    }
}

/// Unmaps a part of a range this file reserved; nothing where `bytes` is zero.
fn unmap(start: usize, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the range is ours, and its owner is gone or never knew of this part.
        let result = unsafe { libc::munmap(start as *mut libc::c_void, bytes) };
        debug_assert_eq!(result, 0, "munmap of a whole mapping does not fail");
    }
}
