//! `PAGEMAP_SCAN`: which pages were written, and write-protect them again, in one pass (Linux 6.7).
//!
//! The request walks the page table of a range once. With the masks used here, "report pages that are written, and
//! protect what is reported", the kernel takes a fast path of under a nanosecond a page that is not written, where
//! protecting by `UFFDIO_WRITEPROTECT` costs 25 whether or not there is anything to do. The fast path asks for *exactly*
//! these masks: any further category, even one that would only be returned, leaves it.
//!
//! Reading and protecting are one step under the page table's lock, so a write lands either before it and is in
//! this report, or after it, faults, and is in the next. Regions come back in a vector of fixed length. When it is full the
//! kernel stops, having protected only what it reported, and says where; we go on from there.
//!
//! On an error we do not know whether the failed call protected pages it did not get to report. Therefore everything not
//! reported yet is reported as written before the error is returned: too much is a slow rescan, too little a lost write.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::errno;
use super::kernel::Kernel;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ScanArguments {
    /// Size of this structure, for its extension.
    pub size: u64,
    /// `PM_SCAN_*`.
    pub flags: u64,
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Out: where the walk ended.
    pub walk_end: u64,
    /// Address of the vector of regions.
    pub vec: u64,
    /// Its length in regions.
    pub vec_len: u64,
    /// Stop after so many pages; 0 for no limit.
    pub max_pages: u64,
    /// Categories to invert before matching.
    pub category_inverted: u64,
    /// Categories a page must all be in.
    pub category_mask: u64,
    /// Categories a page must be in one of.
    pub category_anyof_mask: u64,
    /// Categories to return.
    pub return_mask: u64,
}

const _: () = assert!(size_of::<ScanArguments>() == 96, "the size is part of the ioctl's number");

/// `struct page_region`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Regions asked for at a time: 12 KB of stack.
const REGIONS: usize = 512;

const PAGE_IS_WRITTEN: u64 = 1 << 1;
const PM_SCAN_WP_MATCHING: u64 = 1 << 0;
const PM_SCAN_CHECK_WPASYNC: u64 = 1 << 1;

/// This process's page map.
#[derive(Debug)]
pub struct Pagemap {
    file: File,
    kernel: Kernel,
}

/// Why the page map cannot be used.
#[derive(Debug)]
pub enum Refused {
    /// `/proc/self/pagemap` cannot be opened.
    Open(io::Error),
    /// It does not answer `PAGEMAP_SCAN`.
    Scan(io::Error),
}

impl Refused {
    /// The cause and the remedy, as sentences.
    pub fn explain(&self, kernel: &Kernel) -> (String, String) {
        let release = kernel.release();
        match self {
            Refused::Open(e) if errno::of(e) == libc::ENOENT => {
                ("/proc/self/pagemap does not exist".into(), "Mount procfs on /proc.".into())
            }
            Refused::Open(e) if !matches!(errno::of(e), libc::EACCES | libc::EPERM) => (
                format!("/proc/self/pagemap cannot be opened: {e}"),
                format!("{}.", errno::remedy("open(2)", errno::of(e))),
            ),
            Refused::Open(e) => (
                format!("/proc/self/pagemap cannot be opened: {e}"),
                "A process that is not dumpable (one that changed its user, or called prctl(PR_SET_DUMPABLE, 0)) must set \
                 PR_SET_DUMPABLE to 1 before it opens a heap; in a sandbox, allow reading /proc/self/pagemap."
                    .into(),
            ),
            Refused::Scan(e) if errno::of(e) == libc::ENOTTY => (
                format!("this Linux {release} has no PAGEMAP_SCAN, which came with 6.7"),
                "Use Linux 6.7 or later, or the barrier `sync`.".into(),
            ),
            Refused::Scan(e) => (
                format!("PAGEMAP_SCAN failed: {e}"),
                "A system call filter that inspects ioctl(2) may stand in the way: allow it.".into(),
            ),
        }
    }
}

impl Pagemap {
    /// Opens the page map and makes sure it can scan.
    pub fn open(kernel: &Kernel) -> Result<Pagemap, Refused> {
        let file = kernel.open_pagemap().map_err(Refused::Open)?;
        let pagemap = Pagemap { file, kernel: kernel.clone() };
        // A scan of nothing is answered by every kernel that has the request.
        pagemap.scan(0..0, &mut []).map_err(Refused::Scan)?;
        Ok(pagemap)
    }

    /// The open page map.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reports the written pages of `range` in ascending order, as maximal runs (but for those the vector
    /// happens to cut), and write-protects them.
    ///
    /// # Errors
    /// `EPERM` where the range is not registered with an asynchronous userfaultfd. All pages have been reported then.
    pub fn take_written(&self, range: Range<usize>, written: &mut dyn FnMut(Range<usize>)) -> io::Result<()> {
        let mut regions = [Region { start: 0, end: 0, categories: 0 }; REGIONS];
        let mut from = range.start;
        while from < range.end {
            match self.scan(from..range.end, &mut regions) {
                Ok((filled, walk_end)) => {
                    for region in &regions[..filled] {
                        written(region.start as usize..region.end as usize);
                    }
                    // The kernel always gets on; were it not to, this loop must end all the same.
                    if walk_end <= from {
                        written(from..range.end);
                        return Err(io::Error::other("PAGEMAP_SCAN makes no progress"));
                    }
                    from = walk_end;
                }
                // Interrupted by a fatal signal or short of memory: pages may be protected and not reported.
                Err(error) => {
                    written(from..range.end);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn scan(&self, range: Range<usize>, regions: &mut [Region]) -> io::Result<(usize, usize)> {
        let mut arguments = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            flags: PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
            start: range.start as u64,
            end: range.end as u64,
            walk_end: 0,
            vec: if regions.is_empty() { 0 } else { regions.as_mut_ptr() as u64 },
            vec_len: regions.len() as u64,
            max_pages: 0,
            category_inverted: 0,
            category_mask: PAGE_IS_WRITTEN,
            category_anyof_mask: 0,
            return_mask: if regions.is_empty() { 0 } else { PAGE_IS_WRITTEN },
        };
        // SAFETY: `vec` and `vec_len` describe the slice `regions`, which is borrowed mutably for the call.
        let filled = unsafe { self.kernel.pagemap_scan(&self.file, &mut arguments) }?;
        Ok((filled, arguments.walk_end as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Denials;
    use super::*;

    #[test]
    fn a_kernel_before_6_7_is_named_as_the_cause() {
        let kernel = Kernel::denying(Denials { pagemap_scan: Some(libc::ENOTTY), ..Denials::default() });
        let (cause, remedy) = Pagemap::open(&kernel).unwrap_err().explain(&kernel);
        assert!(cause.contains("6.7") && remedy.contains("`sync`"), "{cause} {remedy}");
    }

    #[test]
    fn a_page_map_that_cannot_be_opened_names_the_dumpable_flag() {
        let kernel = Kernel::denying(Denials { pagemap_open: Some(libc::EACCES), ..Denials::default() });
        let (_, remedy) = Pagemap::open(&kernel).unwrap_err().explain(&kernel);
        assert!(remedy.contains("PR_SET_DUMPABLE"), "{remedy}");
    }

    #[test]
    fn a_shortage_of_descriptors_is_not_taken_for_a_missing_right() {
        let kernel = Kernel::denying(Denials { pagemap_open: Some(libc::EMFILE), ..Denials::default() });
        let (cause, remedy) = Pagemap::open(&kernel).unwrap_err().explain(&kernel);
        assert!(cause.contains("open files") && remedy.contains("ulimit -n"), "{cause} {remedy}");
        assert!(!remedy.contains("DUMPABLE"), "{remedy}");
    }

    #[test]
    fn a_scan_that_fails_reports_everything_it_did_not_get_to() {
        // Opened on the real kernel, then asked about memory that no userfaultfd has.
        let Ok(pagemap) = Pagemap::open(&Kernel::real()) else { return eprintln!("skipped: no PAGEMAP_SCAN here") };
        let page = Box::new([1u8; 3 * crate::layout::PAGE]);
        let start = (page.as_ptr() as usize).next_multiple_of(crate::layout::PAGE);
        let range = start..start + 2 * crate::layout::PAGE;
        let mut seen = Vec::new();
        let error = pagemap.take_written(range.clone(), &mut |run| seen.push(run)).unwrap_err();
        assert_eq!(errno::of(&error), libc::EPERM);
        assert_eq!(seen, [range]);
    }
}
