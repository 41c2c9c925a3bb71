//! A heap in shared memory: one memfd, mapped twice.
//!
//! The file is as long as the heap and holds only pages that were touched. The mutators' mapping is laid over a reserved, aligned
//! range; the collector's view is a second reservation like it. Pages are given back by punching a hole into the file,
//! which takes them out of both mappings. Write protection belongs to a mapping, not to the file, so the view is never armed.
//!
//! The file is sealed against becoming executable where the kernel can (Linux 6.3), which some distributions ask for
//! (`vm.memfd_noexec`), and closes on exec.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use super::reserve::{Reservation, refused};
use super::{ALIGNMENT, madvise};
use crate::error::MemoryError;
use crate::sys::Kernel;

#[derive(Debug)]
pub(super) struct Shmem {
    file: OwnedFd,
    mutators: Reservation,
    collector: Reservation,
}

impl Shmem {
    pub fn new(kernel: &Kernel, bytes: usize, name: &str) -> Result<Shmem, MemoryError> {
        let failed = |call| move |source| refused(name, bytes, call, source);
        let file = CString::new(madvise::printable(name))
            .map_err(io::Error::other)
            .and_then(|name| kernel.memfd(&name))
            .map_err(failed("memfd_create(2)"))?;
        kernel.set_length(&file, bytes).map_err(failed("ftruncate(2)"))?;
        let map = || -> Result<Reservation, MemoryError> {
            let range = Reservation::new(kernel, bytes, ALIGNMENT, libc::PROT_NONE, name)?;
            // SAFETY: the range was reserved for this and nobody knows of it.
            unsafe { kernel.map_over(range.base..range.base + range.bytes, &file) }.map_err(failed("mmap(2)"))?;
            Ok(range)
        };
        let (mutators, collector) = (map()?, map()?);
        madvise::unmergeable(kernel, &(mutators.base..mutators.base + bytes));
        Ok(Shmem { file, mutators, collector })
    }

    pub fn base(&self) -> usize {
        self.mutators.base
    }

    /// First address of the collector's view.
    pub fn alias(&self) -> usize {
        self.collector.base
    }

    /// Gives back the pages at `offset` of the file, which mutators see at `range`.
    pub fn release(&self, kernel: &Kernel, offset: usize, range: &Range<usize>) -> Result<(), MemoryError> {
        kernel.punch_hole(&self.file, offset..offset + range.len()).map_err(|source| MemoryError::Release {
            start: range.start,
            bytes: range.len(),
            call: "fallocate(FALLOC_FL_PUNCH_HOLE)",
            source,
        })
    }
}
