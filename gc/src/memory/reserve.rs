//! Reserving aligned ranges of addresses.
//!
//! The kernel aligns a mapping to a page. To get one aligned to more, a larger range is reserved and what sticks
//! out on both sides is given back; in between nobody else can take the part we want.
//!
//! Unmapping can fail, though hardly ever: a process at the limit of its mappings (`vm.max_map_count`) may not cut one in
//! two. Then the addresses stay reserved until the process ends, which is told to the log and costs nothing else: what
//! memory lay there is given back by other calls, or was never committed.

use std::io;
use std::ops::Range;

use super::madvise;
use crate::error::MemoryError;
use crate::sys::{Kernel, errno};

/// What to try when the kernel gives no address range.
const REMEDY: &str = "Set a smaller heap limit, raise RLIMIT_AS (ulimit -v), or do not set \
                      vm.overcommit_memory=2, under which reserved memory counts as used";

/// The same where the process asked for all its memory to be locked, and may not lock as much.
const REMEDY_LOCKED: &str = "Raise RLIMIT_MEMLOCK (ulimit -l), or do not call mlockall(MCL_FUTURE) before the heap is \
                             created: what it reserves would count as locked";

/// The error of a call without which there is no range.
pub(super) fn refused(what: &str, bytes: usize, call: &'static str, source: io::Error) -> MemoryError {
    let remedy = match errno::of(&source) {
        libc::EAGAIN => REMEDY_LOCKED,
        libc::ENOMEM => REMEDY,
        number => errno::remedy(call, number),
    };
    MemoryError::Reserve { what: what.to_owned(), bytes, call, source, remedy }
}

/// A range of addresses, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    pub base: usize,
    pub bytes: usize,
    kernel: Kernel,
}

impl Reservation {
    /// Reserves private anonymous memory. `alignment` is a power of two of at least a page.
    pub fn new(
        kernel: &Kernel,
        bytes: usize,
        alignment: usize,
        protection: libc::c_int,
        name: &str,
    ) -> Result<Reservation, MemoryError> {
        let failed = |source| refused(name, bytes, "mmap(2)", source);
        let padded = bytes.checked_add(alignment).ok_or_else(|| failed(io::Error::from_raw_os_error(libc::ENOMEM)))?;
        let start = kernel.reserve(padded, protection).map_err(failed)?;
        let base = start.next_multiple_of(alignment);
        unmap(kernel, start..base);
        unmap(kernel, base + bytes..start + padded);
        madvise::name(kernel, &(base..base + bytes), name);
        Ok(Reservation { base, bytes, kernel: kernel.clone() })
    }
}

impl Reservation {
    /// The addresses.
    pub fn range(&self) -> Range<usize> {
        self.base..self.base + self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        unmap(&self.kernel, self.base..self.base + self.bytes);
    }
}

/// Unmaps a part of a range this file reserved; nothing where it is empty.
fn unmap(kernel: &Kernel, range: Range<usize>) {
    if range.is_empty() {
        return;
    }
    // SAFETY: the range is ours, and its owner is gone or never knew of this part.
    if let Err(error) = unsafe { kernel.unmap(range.clone()) } {
        log::warn!("pagemark: munmap(2) of {} bytes at {:#x} failed: {error}", range.len(), range.start);
    }
}
