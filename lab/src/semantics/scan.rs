//! `PAGEMAP_SCAN` with any masks, and the plain page map.
//!
//! As with the descriptor, the collector has a module for the one way it uses this; here every way is tried.

use std::fs::File;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::errno::Errno;

/// The page is not write-protected, or is no page.
pub const WRITTEN: u64 = 1 << 1;
/// The page is mapped.
pub const PRESENT: u64 = 1 << 3;
/// The page is mapped huge.
pub const HUGE: u64 = 1 << 6;

/// Write-protect what is reported.
pub const WP_MATCHING: u64 = 1 << 0;
/// Fail where the memory is not tracked by an asynchronous userfaultfd.
pub const CHECK_WPASYNC: u64 = 1 << 1;

/// A run of pages of the same categories.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// Categories that were asked for and hold.
    pub categories: u64,
}

#[repr(C)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// One question to the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// First byte.
    pub start: usize,
    /// Number of bytes.
    pub len: usize,
    /// `WP_MATCHING`, `CHECK_WPASYNC`.
    pub flags: u64,
    /// Categories a page must have.
    pub category: u64,
    /// Categories to return.
    pub returned: u64,
    /// Most regions to return.
    pub vector: usize,
    /// Most pages to report; 0 for no limit.
    pub max_pages: u64,
}

/// The answer: what was found, and where the walk ended.
pub type Answer = Result<(Vec<Region>, usize), Errno>;

impl Scan {
    /// "Which pages are written?", changing nothing.
    pub fn written(start: usize, len: usize) -> Scan {
        Scan { start, len, flags: 0, category: WRITTEN, returned: WRITTEN, vector: 1024, max_pages: 0 }
    }

    /// The collector's question: which pages are written, and protect those again.
    pub fn take(start: usize, len: usize) -> Scan {
        Scan { flags: WP_MATCHING | CHECK_WPASYNC, ..Scan::written(start, len) }
    }

    /// Asks about this process.
    pub fn ask(&self) -> Answer {
        self.ask_file(&File::open("/proc/self/pagemap").map_err(Errno::from_io)?)
    }

    /// Asks about the process whose page map this is.
    pub fn ask_file(&self, pagemap: &File) -> Answer {
        let mut regions = vec![Region::default(); self.vector];
        let (filled, walk_end) = self.ask_into(pagemap, &mut regions)?;
        regions.truncate(filled);
        Ok((regions, walk_end))
    }

    /// The same with the caller's vector, whatever `vector` says: how many regions are in it now, and where the walk ended.
    pub fn ask_into(&self, pagemap: &File, regions: &mut [Region]) -> Result<(usize, usize), Errno> {
        let mut arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            flags: self.flags,
            start: self.start as u64,
            end: (self.start + self.len) as u64,
            walk_end: 0,
            vec: if regions.is_empty() { 0 } else { regions.as_mut_ptr() as u64 },
            vec_len: regions.len() as u64,
            max_pages: self.max_pages,
            category_inverted: 0,
            category_mask: self.category,
            category_anyof_mask: 0,
            return_mask: self.returned,
        };
        const PAGEMAP_SCAN: u64 = 0xC060_6610;
        // SAFETY: Arguments is struct pm_scan_arg, and `vec` with `vec_len` describes `regions`.
        let filled = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN as _, &mut arguments as *mut Arguments) };
        Ok((Errno::check(filled as i64)? as usize, arguments.walk_end as usize))
    }
}

/// Whether there is `PAGEMAP_SCAN`.
pub fn probe() -> Result<(), Errno> {
    Scan { vector: 0, returned: 0, ..Scan::written(0, 0) }.ask().map(drop)
}

/// Whether `PAGEMAP_SCAN` reports the page at `address` as written.
pub fn is_written(address: usize, page: usize) -> Result<bool, Errno> {
    Ok(!Scan::written(address, page).ask()?.0.is_empty())
}

/// The entry of `/proc/self/pagemap` for an address.
pub fn entry(address: usize) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    let pagemap = File::open("/proc/self/pagemap").map_err(Errno::from_io)?;
    pagemap.read_exact_at(&mut bytes, (address / 4096 * 8) as u64).map_err(Errno::from_io)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Bit 57 of an entry: write-protected through a userfaultfd (5.14).
pub const ENTRY_ARMED: u64 = 1 << 57;
/// Bit 62 of an entry: swapped out.
pub const ENTRY_SWAPPED: u64 = 1 << 62;
/// Bit 63 of an entry: mapped.
pub const ENTRY_PRESENT: u64 = 1 << 63;
