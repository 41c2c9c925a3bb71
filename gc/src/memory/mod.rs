//! Where a heap lives: one reserved range of addresses, and the tables beside it.
//!
//! *mapping*: the range objects live in, reserved once at its greatest size; pages get memory when first touched and
//! lose it when released. *table*: a mapping for metadata, outside every heap range, so that the collector's own
//! writes never meet an armed page. *collector's view*: the address through which the collector may write an object.
//!
//! A mapping has one of two backings.
//! * [`anon`](Backing::Anon): private anonymous memory. The plain case, and the default.
//! * [`shmem`](Backing::Shmem): a memfd mapped twice. Mutators use the first mapping, which is armed. The second, the
//!   collector's view, is never registered with anything, so that the collector may write there what an armed page must
//!   not see.
//!
//! Reserving commits nothing (`MAP_NORESERVE`), so the size is an upper bound and may exceed the machine's memory. What limits
//! it is the address space: `RLIMIT_AS`, and `vm.overcommit_memory = 2`, under which the kernel counts reservations.
//!
//! Two kinds of memory management by the kernel work against write tracking and are turned off for the range. KSM
//! merges equal pages and *loses* their write protection under a userfaultfd: writes would not be seen; a process may have
//! asked for it wholesale (`PR_SET_MEMORY_MERGE`), so the range is marked unmergeable here. Huge pages are split at the
//! first write to an armed one, at a cost of 10 µs; they are only forbidden for ranges that are tracked
//! ([`Mapping::forbid_huge_pages`]).
//!
//! Releasing gives back memory but not addresses; the pages read as zero afterwards. What it does to a page's protection
//! depends on the backing (anonymous memory loses it, shared memory keeps it and the change is reported by no
//! mechanism), so the rule is one for both: a page is disarmed after it was released, and once more before it is used again
//! where a scan may have come in between. It then counts as written.

mod anon;
mod backing;
mod madvise;
mod reserve;
mod shmem;
mod table;

use std::ops::Range;

pub use backing::Backing;
pub(crate) use madvise::no_huge_pages;
pub use table::TableMapping;

use crate::error::MemoryError;
use crate::layout::PAGE;
use crate::sys::Kernel;

/// Heap ranges start at multiples of this: a huge page, and so a multiple of a block.
pub const ALIGNMENT: usize = 2 << 20;

const _: () = assert!(ALIGNMENT.is_multiple_of(crate::layout::BLOCK), "a heap range starts with a block");

/// The reserved range of one heap. Unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    range: Range<usize>,
    kind: Kind,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kind {
    Anon(anon::Anon),
    Shmem(shmem::Shmem),
}

impl Mapping {
    /// Reserves `bytes` (rounded up to whole pages, at least one), aligned to [`ALIGNMENT`], readable and writable, zero.
    ///
    /// `name` is what `/proc/self/maps` shows where the kernel can (anonymous memory: Linux 5.17 with
    /// `CONFIG_ANON_VMA_NAME`).
    ///
    /// # Errors
    /// [`MemoryError::Reserve`] where the address space or the limits do not allow it.
    pub fn new(backing: Backing, bytes: usize, name: &str) -> Result<Mapping, MemoryError> {
        Mapping::on(&Kernel::real(), backing, bytes, name)
    }

    /// The same on a kernel that may refuse.
    ///
    /// # Errors
    /// As [`Mapping::new`].
    pub fn on(kernel: &Kernel, backing: Backing, bytes: usize, name: &str) -> Result<Mapping, MemoryError> {
        let bytes = crate::layout::round_up(bytes.max(1), PAGE);
        let kind = match backing {
            Backing::Anon => Kind::Anon(anon::Anon::new(kernel, bytes, name)?),
            Backing::Shmem => Kind::Shmem(shmem::Shmem::new(kernel, bytes, name)?),
        };
        let base = match &kind {
            Kind::Anon(memory) => memory.base(),
            Kind::Shmem(memory) => memory.base(),
        };
        Ok(Mapping { range: base..base + bytes, kind, kernel: kernel.clone() })
    }

    /// First address.
    pub fn base(&self) -> usize {
        self.range.start
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// The whole range.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What it is made of.
    pub fn backing(&self) -> Backing {
        match self.kind {
            Kind::Anon(_) => Backing::Anon,
            Kind::Shmem(_) => Backing::Shmem,
        }
    }

    /// Where the collector may write the byte that mutators see at `address`.
    ///
    /// Shared memory: in the second mapping, at any time. Anonymous memory has none, and this is the address itself: the
    /// collector must disarm the page first.
    ///
    /// # Panics
    /// In debug builds, where `address` is not in the mapping.
    pub fn collector_view(&self, address: usize) -> *mut u8 {
        debug_assert!(self.range.contains(&address), "{address:#x} is not in {:#x?}", self.range);
        match &self.kind {
            Kind::Anon(_) => address as *mut u8,
            Kind::Shmem(memory) => (memory.alias() + (address - self.range.start)) as *mut u8,
        }
    }

    /// Gives the memory of whole pages back to the system; they read as zero afterwards.
    ///
    /// The caller owns the range: nothing in it is alive. It disarms the range afterwards (before is not enough, where a scan may arm it
    /// in between), and counts its pages as written.
    ///
    /// # Errors
    /// [`MemoryError::Range`] for anything but pages of this mapping, [`MemoryError::Release`] where the kernel refuses; the
    /// contents are unspecified then.
    pub fn release(&self, range: Range<usize>) -> Result<(), MemoryError> {
        self.check(&range)?;
        let released = match &self.kind {
            Kind::Anon(_) => anon::release(&self.kernel, &range),
            Kind::Shmem(memory) => memory.release(&self.kernel, range.start - self.range.start, &range),
        };
        if let Err(error) = &released {
            log::warn!("pagemark: {error}; it is kept for reuse");
        }
        released
    }

    /// Gives whole pages their memory now, in one call instead of a fault each (Linux 5.14). A hint: where the
    /// kernel cannot, the faults come later.
    pub fn populate(&self, range: Range<usize>) {
        if self.check(&range).is_ok() {
            madvise::populate(&self.kernel, &range);
        }
    }

    /// The kernel it makes its calls on.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// In the child of a fork, on its only thread: memory of its own with the same contents. Private memory is that already.
    ///
    /// # Errors
    /// [`MemoryError::Reserve`]; the memory is not there then.
    pub fn restart_in_child(&self) -> Result<(), MemoryError> {
        match &self.kind {
            Kind::Anon(_) => Ok(()),
            Kind::Shmem(memory) => memory.restart_in_child(&self.kernel),
        }
    }

    /// Keeps the kernel from backing this part with huge pages. A hint.
    pub fn forbid_huge_pages(&self, range: Range<usize>) {
        if self.check(&range).is_ok() {
            madvise::no_huge_pages(&self.kernel, &range);
        }
    }

    fn check(&self, range: &Range<usize>) -> Result<(), MemoryError> {
        let aligned = range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE);
        if aligned && !range.is_empty() && range.start >= self.range.start && range.end <= self.range.end {
            Ok(())
        } else {
            Err(MemoryError::Range { start: range.start, end: range.end })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn each(check: impl Fn(Mapping)) {
        for backing in Backing::ALL {
            check(Mapping::new(*backing, 8 * MB, "pagemark test heap").expect("8 MB of address space"));
        }
    }

    fn write(address: usize, value: u8) {
        // SAFETY: tests write only inside a live mapping nothing else refers to.
        unsafe { (address as *mut u8).write_volatile(value) }
    }

    fn read(address: usize) -> u8 {
        // SAFETY: tests read only inside a live mapping nothing else refers to.
        unsafe { (address as *const u8).read_volatile() }
    }

    #[test]
    fn a_mapping_is_aligned_and_zero() {
        each(|mapping| {
            assert_eq!(mapping.base() % ALIGNMENT, 0);
            assert_eq!(mapping.len(), 8 * MB);
            for at in mapping.range().step_by(MB / 2) {
                assert_eq!(read(at), 0);
            }
        });
    }

    #[test]
    fn released_pages_read_as_zero_and_their_neighbours_stay() {
        each(|mapping| {
            let base = mapping.base();
            for page in 0..4 {
                write(base + page * PAGE, 7);
            }
            mapping.release(base + PAGE..base + 3 * PAGE).unwrap();
            assert_eq!([0, 1, 2, 3].map(|page| read(base + page * PAGE)), [7, 0, 0, 7]);
            write(base + PAGE, 9);
            assert_eq!(read(base + PAGE), 9);
        });
    }

    #[test]
    fn released_pages_are_given_back_to_the_system() {
        each(|mapping| {
            mapping.populate(mapping.range());
            for at in mapping.range().step_by(PAGE) {
                write(at, 1);
            }
            let before = resident(&mapping);
            mapping.release(mapping.range()).unwrap();
            assert_eq!((before, resident(&mapping)), (8 * MB / PAGE, 0));
        });
    }

    /// Pages of the mapping that are in memory.
    fn resident(mapping: &Mapping) -> usize {
        let mut pages = vec![0u8; mapping.len() / PAGE];
        // SAFETY: the range is mapped and the vector has a byte for each of its pages.
        let result = unsafe { libc::mincore(mapping.base() as *mut _, mapping.len(), pages.as_mut_ptr()) };
        assert_eq!(result, 0);
        pages.iter().filter(|p| **p & 1 == 1).count()
    }

    #[test]
    fn the_collectors_view_shows_the_same_bytes() {
        each(|mapping| {
            let at = mapping.base() + 3 * PAGE + 5;
            write(at, 1);
            assert_eq!(read(mapping.collector_view(at) as usize), 1);
            write(mapping.collector_view(at) as usize, 2);
            assert_eq!(read(at), 2);
            assert_eq!(mapping.collector_view(at) as usize == at, mapping.backing() == Backing::Anon);
        });
    }

    #[test]
    fn only_pages_of_the_mapping_can_be_released() {
        each(|mapping| {
            let (start, end) = (mapping.base(), mapping.base() + mapping.len());
            for range in
                [start..start, start + 1..start + PAGE, start - PAGE..start, end..end + PAGE, start..end + PAGE]
            {
                assert!(matches!(mapping.release(range), Err(MemoryError::Range { .. })));
            }
        });
    }

    #[test]
    fn a_range_larger_than_the_machine_can_be_reserved() {
        for backing in Backing::ALL {
            let mapping = Mapping::new(*backing, 1 << 40, "pagemark test heap").expect("a terabyte of addresses");
            write(mapping.base() + (1 << 39), 1);
        }
    }

    #[test]
    fn a_reservation_that_fails_says_what_would_help() {
        for backing in Backing::ALL {
            let error = Mapping::new(*backing, 1 << 62, "pagemark test heap").unwrap_err().to_string();
            assert!(error.contains("vm.overcommit_memory") && error.contains("RLIMIT_AS"), "{error}");
        }
    }

    #[test]
    fn a_dropped_mapping_is_unmapped() {
        each(|mapping| {
            let (base, len) = (mapping.base(), mapping.len());
            let view = mapping.collector_view(base) as usize;
            drop(mapping);
            for at in [base, view] {
                // SAFETY: msync only asks about the range.
                let result = unsafe { libc::msync(at as *mut _, len, libc::MS_ASYNC) };
                let error = std::io::Error::last_os_error();
                // Another test's thread may have mapped something into the freed range meanwhile.
                assert!(result == 0 || error.raw_os_error() == Some(libc::ENOMEM));
            }
        });
    }
}
