//! The memory a case works on: a few pages of each backing.
//!
//! The arena is aligned to a huge page. Unless a case wants it untouched, each page holds the byte 1 before a
//! userfaultfd sees it; that makes private file pages private copies, and huge pages huge. Whether the kernel
//! gave huge pages is read from smaps: what did not come about is *unsupported*, not quietly tested as something else.

use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::cell::Backing;
use super::errno::Errno;
use super::stage::Stop;

/// The size of a small page.
pub const SMALL_PAGE: usize = 4096;
/// The size of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

const MADV_COLLAPSE: libc::c_int = 25;

/// A mapping of one backing.
#[derive(Debug)]
pub struct Memory {
    /// The first byte, aligned to a huge page.
    pub base: usize,
    /// How many pages there are.
    pub pages: usize,
    /// The size of the pages the descriptor protects.
    pub page: usize,
    /// The file, where the backing is one.
    pub file: Option<OwnedFd>,
    backing: Backing,
}

/// Whether pages have been written before the case begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Each page holds the byte 1.
    Written,
    /// Nobody touched anything.
    Untouched,
}

impl Memory {
    /// Maps pages of `backing`.
    pub fn new(backing: Backing, fill: Fill) -> Result<Memory, Stop> {
        let (page, pages) = match backing {
            Backing::Anon | Backing::MemfdShared | Backing::MemfdPrivate | Backing::SharedAnon => (SMALL_PAGE, 16),
            Backing::ThpAnon | Backing::ThpShmem => (SMALL_PAGE, 2 * HUGE_PAGE / SMALL_PAGE),
            Backing::Hugetlb => (HUGE_PAGE, 4),
        };
        Memory::sized(backing, fill, page, pages)
    }

    /// Maps a given number of pages.
    pub fn sized(backing: Backing, fill: Fill, page: usize, pages: usize) -> Result<Memory, Stop> {
        let len = page * pages;
        let file = match backing {
            Backing::MemfdShared | Backing::MemfdPrivate | Backing::ThpShmem => Some(memfd(len)?),
            _ => None,
        };
        let flags = match backing {
            Backing::Anon | Backing::ThpAnon => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            Backing::MemfdPrivate => libc::MAP_PRIVATE,
            Backing::MemfdShared | Backing::ThpShmem => libc::MAP_SHARED,
            Backing::SharedAnon => libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            Backing::Hugetlb => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB,
        };
        let fd = file.as_ref().map_or(-1, |f| f.as_raw_fd());
        let base = if backing == Backing::Hugetlb {
            map(0, len, flags, -1).map_err(|e| Stop::Unsupported(format!("no hugetlb pages ({e})")))?
        } else {
            // Reserve whole huge pages around it, so that no other mapping shares its last-level page tables: whether a
            // page table is there changes what a scan answers.
            let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let room = len.next_multiple_of(HUGE_PAGE) + HUGE_PAGE;
            let start = map(0, room, reserve, -1).map_err(|e| Stop::failed("mmap", e))?;
            let aligned = start.next_multiple_of(HUGE_PAGE);
            map(aligned, len, flags | libc::MAP_FIXED, fd).map_err(|e| Stop::failed("mmap", e))?
        };
        let memory = Memory { base, pages, page, file, backing };
        let thp = matches!(backing, Backing::ThpAnon | Backing::ThpShmem);
        if backing != Backing::Hugetlb {
            // A kernel without transparent huge pages knows neither advice, and needs neither.
            let _ = memory.advise(0..pages, if thp { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE });
        }
        if fill == Fill::Written {
            memory.fill();
            if thp {
                memory.insist_on_huge_pages()?;
            }
        }
        Ok(memory)
    }

    fn fill(&self) {
        for page in 0..self.pages {
            // SAFETY: the page is mapped writable and nothing tracks it yet.
            unsafe { ptr::write_volatile(self.at(page) as *mut u8, 1) };
        }
    }

    fn insist_on_huge_pages(&self) -> Result<(), Stop> {
        if self.huge_kilobytes() < self.len() / 1024 {
            // The settings under /sys may say no to faults; a request for exactly this range they do not concern.
            let _ = self.advise(0..self.pages, MADV_COLLAPSE);
        }
        if self.huge_kilobytes() < self.len() / 1024 {
            return Err(Stop::Unsupported("no huge page was given".into()));
        }
        Ok(())
    }

    /// How much of the arena is mapped in huge pages, in KB.
    pub fn huge_kilobytes(&self) -> usize {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let (mut within, mut sum) = (false, 0);
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((start, end)) = first.split_once('-')
                && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            {
                within = start < self.base + self.len() && end > self.base;
            } else if within && matches!(first, "AnonHugePages:" | "ShmemPmdMapped:" | "FilePmdMapped:") {
                sum += words.next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            }
        }
        sum
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.pages * self.page
    }

    /// The address of a page.
    pub fn at(&self, page: usize) -> usize {
        self.base + page * self.page
    }

    /// Start and length of a range of pages.
    pub fn span(&self, pages: &Range<usize>) -> (usize, usize) {
        (self.at(pages.start), pages.len() * self.page)
    }

    /// All pages.
    pub fn all(&self) -> Range<usize> {
        0..self.pages
    }

    /// `madvise`.
    pub fn advise(&self, pages: Range<usize>, advice: libc::c_int) -> Result<(), Errno> {
        let (start, len) = self.span(&pages);
        // SAFETY: the range is this arena, whose contents no Rust object lives in.
        Errno::check(unsafe { libc::madvise(start as *mut _, len, advice) } as i64).map(drop)
    }

    /// `mprotect`.
    pub fn protect(&self, pages: Range<usize>, protection: libc::c_int) -> Result<(), Errno> {
        let (start, len) = self.span(&pages);
        // SAFETY: the range is this arena, whose contents no Rust object lives in.
        Errno::check(unsafe { libc::mprotect(start as *mut _, len, protection) } as i64).map(drop)
    }

    /// `munmap`.
    pub fn unmap(&self, pages: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.span(&pages);
        // SAFETY: the range is this arena, whose contents no Rust object lives in.
        Errno::check(unsafe { libc::munmap(start as *mut _, len) } as i64).map(drop)
    }

    /// Maps new pages of the same file, or new anonymous ones, in the place of old ones.
    pub fn map_again(&self, pages: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.span(&pages);
        let (kind, fd) = match (&self.file, self.backing) {
            (Some(file), Backing::MemfdPrivate) => (libc::MAP_PRIVATE, file.as_raw_fd()),
            (Some(file), _) => (libc::MAP_SHARED, file.as_raw_fd()),
            (None, Backing::SharedAnon) => (libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1),
            (None, Backing::Hugetlb) => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB, -1),
            (None, _) => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        map(start, len, kind | libc::MAP_FIXED, fd).map(drop)
    }

    /// A second mapping of the same file, which no descriptor tracks; its first byte.
    pub fn alias(&self) -> Result<usize, Stop> {
        let Some(file) = &self.file else { return Err(Stop::Unsupported("not a file".into())) };
        map(0, self.len(), libc::MAP_SHARED, file.as_raw_fd()).map_err(|e| Stop::failed("mmap of the alias", e))
    }
}

fn memfd(len: usize) -> Result<OwnedFd, Stop> {
    // SAFETY: the name is a C string.
    let fd = Errno::check(unsafe { libc::memfd_create(c"pagemark".as_ptr(), libc::MFD_CLOEXEC) } as i64)
        .map_err(|e| Stop::failed("memfd_create", e))?;
    // SAFETY: the kernel made this descriptor for us.
    let file = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: the descriptor is open.
    Errno::check(unsafe { libc::ftruncate(file.as_raw_fd(), len as libc::off_t) } as i64)
        .map_err(|e| Stop::failed("ftruncate", e))?;
    Ok(file)
}

/// `mmap`, readable and writable.
pub fn map(address: usize, len: usize, flags: libc::c_int, fd: i32) -> Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: with MAP_FIXED callers name a range they mapped themselves; otherwise the kernel picks a free one.
    Errno::check(unsafe { libc::mmap(address as *mut _, len, protection, flags, fd, 0) } as i64).map(|p| p as usize)
}
