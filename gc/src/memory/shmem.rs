//! A heap in shared memory: one memfd, mapped twice.
//!
//! The file is as long as the heap and holds only pages that were touched. The mutators' mapping is laid over a reserved, aligned
//! range; the collector's view is a second reservation like it. Pages are given back by punching a hole into the file,
//! which takes them out of both mappings. Write protection belongs to a mapping, not to the file, so the view is never armed.
//!
//! The child of a fork gets neither mapping: it would share the memory with its parent, and each would collect under the other. Where a
//! mutator forks, its child copies what the file holds into one of its own and maps that at the same addresses.
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
    name: CString,
    file: OwnedFd,
    mutators: Reservation,
    collector: Reservation,
}

impl Shmem {
    pub fn new(kernel: &Kernel, bytes: usize, name: &str) -> Result<Shmem, MemoryError> {
        let failed = |call| move |source| refused(name, bytes, call, source);
        let memfd = failed("memfd_create(2)");
        let label = CString::new(madvise::printable(name)).map_err(io::Error::other).map_err(memfd)?;
        let file = kernel.memfd(&label).map_err(failed("memfd_create(2)"))?;
        kernel.set_length(&file, bytes).map_err(failed("ftruncate(2)"))?;
        let map = || -> Result<Reservation, MemoryError> {
            let range = Reservation::new(kernel, bytes, ALIGNMENT, libc::PROT_NONE, name)?;
            // SAFETY: the range was reserved for this and nobody knows of it.
            unsafe { kernel.map_over(range.base..range.base + range.bytes, &file) }.map_err(failed("mmap(2)"))?;
            Ok(range)
        };
        let (mutators, collector) = (map()?, map()?);
        let memory = Shmem { name: label, file, mutators, collector };
        memory.advise(kernel);
        Ok(memory)
    }

    fn advise(&self, kernel: &Kernel) {
        madvise::unmergeable(kernel, &self.mutators.range());
        for range in [self.mutators.range(), self.collector.range()] {
            madvise::keep_from_children(kernel, &range);
        }
    }

    /// In the child of a fork, where neither mapping is: the same memory again in a file of its own, at the same addresses.
    pub fn restart_in_child(&self, kernel: &Kernel) -> Result<(), MemoryError> {
        let bytes = self.mutators.bytes;
        let what = self.name.to_string_lossy();
        let failed = |call| {
            let what = &what;
            move |source| refused(what, bytes, call, source)
        };
        let file = kernel.memfd(&self.name).map_err(failed("memfd_create(2)"))?;
        kernel.set_length(&file, bytes).map_err(failed("ftruncate(2)"))?;
        for range in [self.mutators.range(), self.collector.range()] {
            kernel.map_into_gap(range, &file).map_err(failed("mmap(2)"))?;
        }
        // SAFETY: the range was just mapped, as long as the old file, and nobody else has seen it.
        unsafe { kernel.copy_file_to(&self.file, self.collector.base) }.map_err(failed("pread(2)"))?;
        kernel.replace_descriptor(&self.file, &file).map_err(failed("dup3(2)"))?;
        self.advise(kernel);
        Ok(())
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
