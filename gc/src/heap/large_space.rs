//! Objects larger than 8 KB, each on pages of its own.
//!
//! Two tables with an entry a page: `heads` says which page an object starts on (so that any interior
//! address finds its object with one load) and `lengths`, at that page, how many pages it has, and whether a scan has armed them. The start's metadata byte
//! carries START and the mark, as everywhere. Free pages are kept as coalesced runs: *stale* ones still have memory behind them, *clean* ones
//! have none and read as zero.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::AtomicU32;

use super::footprint::Footprint;
use super::metadata::{MARK_MASK, Metadata, START};
use crate::layout::{MAX_LIMIT, PAGE};
use crate::memory::TableMapping;
use crate::primitive::Mutex;
use crate::primitive::atomic::{AtomicUsize, Ordering};

/// In an entry of `lengths`: a scan has armed the object's pages. No object is so long.
const ARMED: u32 = 1 << 31;

const _: () = assert!(MAX_LIMIT / PAGE < ARMED as usize);

/// Free page runs, found by length (best fit) and by place (to coalesce).
#[derive(Default)]
struct FreeRuns {
    by_start: BTreeMap<usize, usize>,
    by_length: BTreeSet<(usize, usize)>,
    pages: usize,
}

impl FreeRuns {
    fn insert(&mut self, mut start: usize, mut length: usize) {
        self.pages += length;
        if let Some((&before, &before_length)) = self.by_start.range(..start).next_back()
            && before + before_length == start
        {
            self.remove(before, before_length);
            start = before;
            length += before_length;
        }
        if let Some(&after_length) = self.by_start.get(&(start + length)) {
            self.remove(start + length, after_length);
            length += after_length;
        }
        self.by_start.insert(start, length);
        self.by_length.insert((length, start));
    }

    fn remove(&mut self, start: usize, length: usize) {
        self.by_start.remove(&start);
        self.by_length.remove(&(length, start));
    }

    fn take(&mut self, pages: usize) -> Option<usize> {
        let &(length, start) = self.by_length.range((pages, 0)..).next()?;
        self.remove(start, length);
        if length > pages {
            self.by_start.insert(start + pages, length - pages);
            self.by_length.insert((length - pages, start + pages));
        }
        self.pages -= pages;
        Some(start)
    }

    fn pop(&mut self) -> Option<(usize, usize)> {
        let (start, length) = self.by_start.pop_last()?;
        self.by_length.remove(&(length, start));
        self.pages -= length;
        Some((start, length))
    }
}

#[derive(Default)]
struct Inner {
    stale: FreeRuns,
    clean: FreeRuns,
    /// Head pages of all objects, in the order in which they were published.
    objects: Vec<u32>,
    /// So many of them, the oldest, are noted as armed.
    armed: usize,
}

/// Pages handed out for one object.
pub struct LargeRun {
    /// Address range of the pages.
    pub range: Range<usize>,
    /// Whether all bytes are zero already.
    pub zeroed: bool,
}

/// What all pages belong to, as address ranges, for verification.
pub struct PageMap {
    /// Objects.
    pub objects: Vec<Range<usize>>,
    /// Free runs with memory behind them.
    pub stale: Vec<Range<usize>>,
    /// Free runs without.
    pub clean: Vec<Range<usize>>,
    /// The end of what was ever used.
    pub end: usize,
}

/// Large objects of one region.
pub struct LargeSpace {
    base: usize,
    capacity: usize,
    heads: TableMapping,
    lengths: TableMapping,
    inner: Mutex<Inner>,
    high_water: AtomicUsize,
    used_pages: AtomicUsize,
}

impl LargeSpace {
    /// No objects yet. `heads` and `lengths` are zeroed tables of one `u32` a page of `range`.
    pub fn new(range: Range<usize>, heads: TableMapping, lengths: TableMapping) -> LargeSpace {
        let capacity = range.len() / PAGE;
        assert!(heads.len() >= capacity * 4 && lengths.len() >= capacity * 4 && capacity < u32::MAX as usize);
        LargeSpace {
            base: range.start,
            capacity,
            heads,
            lengths,
            inner: Mutex::default(),
            high_water: AtomicUsize::new(0),
            used_pages: AtomicUsize::new(0),
        }
    }

    fn entry(table: &TableMapping, page: usize) -> &AtomicU32 {
        debug_assert!(page * 4 < table.len());
        // SAFETY: the table has an entry for each page of the region, zeroed at first, accessed as atomics only.
        unsafe { &*(table.as_ptr() as *const AtomicU32).add(page) }
    }

    /// How many pages the object has that starts at page `head`.
    fn pages(&self, head: usize) -> usize {
        (Self::entry(&self.lengths, head).load(Ordering::Relaxed) & !ARMED) as usize
    }

    fn is_noted(&self, head: usize) -> bool {
        Self::entry(&self.lengths, head).load(Ordering::Relaxed) & ARMED != 0
    }

    fn page(&self, addr: usize) -> usize {
        (addr - self.base) / PAGE
    }

    /// Takes pages for an object of `bytes`; the caller disarms and zeroes them, then calls [`LargeSpace::publish`].
    pub fn take(&self, bytes: usize, footprint: &Footprint) -> Option<LargeRun> {
        let pages = bytes.div_ceil(PAGE);
        let mut inner = self.inner.lock();
        let (start, zeroed) = if let Some(start) = inner.stale.take(pages) {
            (start, false)
        } else {
            if !footprint.commit(pages * PAGE) {
                return None;
            }
            let start = inner.clean.take(pages).or_else(|| {
                let start = self.high_water.load(Ordering::Relaxed);
                let end = start.checked_add(pages).filter(|end| *end <= self.capacity)?;
                self.high_water.store(end, Ordering::Release);
                Some(start)
            });
            let Some(start) = start else {
                footprint.release(pages * PAGE);
                return None;
            };
            (start, true)
        };
        self.used_pages.fetch_add(pages, Ordering::Relaxed);
        let addr = self.base + start * PAGE;
        Some(LargeRun { range: addr..addr + pages * PAGE, zeroed })
    }

    /// Takes back pages that were not published.
    pub fn give_back(&self, range: Range<usize>) {
        self.inner.lock().stale.insert(self.page(range.start), range.len() / PAGE);
        self.used_pages.fetch_sub(range.len() / PAGE, Ordering::Relaxed);
    }

    /// Makes the run an object with the mark colour `colour`.
    pub fn publish(&self, range: &Range<usize>, metadata: &Metadata, colour: u8) {
        let head = self.page(range.start);
        let pages = range.len() / PAGE;
        // Relaxed: ordered before the object becomes reachable by the store that publishes it.
        Self::entry(&self.lengths, head).store(pages as u32, Ordering::Relaxed);
        for page in head..head + pages {
            // Release: whoever finds the head by an interior address finds its length.
            Self::entry(&self.heads, page).store(head as u32 + 1, Ordering::Release);
        }
        metadata.at(range.start).store(START | colour, Ordering::Relaxed);
        self.inner.lock().objects.push(head as u32);
    }

    /// The object that covers `addr`, as its address range.
    pub fn object_at(&self, addr: usize) -> Option<Range<usize>> {
        let head = Self::entry(&self.heads, self.page(addr)).load(Ordering::Acquire).checked_sub(1)? as usize;
        let pages = self.pages(head);
        let start = self.base + head * PAGE;
        Some(start..start + pages * PAGE)
    }

    /// Frees every object without the colour `live`; called between the end of a cycle and the start of the next, when new objects are
    /// published with that colour. `free` hears of each while nobody else can have its pages. Returns bytes freed.
    pub fn sweep(&self, metadata: &Metadata, live: u8, free: impl Fn(&Range<usize>)) -> usize {
        let mut inner = self.inner.lock();
        let mut freed = 0;
        let objects = std::mem::take(&mut inner.objects);
        let mut armed = 0;
        let kept = objects.into_iter().filter(|&head| {
            let head = head as usize;
            let addr = self.base + head * PAGE;
            if metadata.at(addr).load(Ordering::Relaxed) & MARK_MASK == live {
                armed += usize::from(self.is_noted(head));
                return true;
            }
            let pages = self.pages(head);
            metadata.at(addr).store(0, Ordering::Relaxed);
            for page in head..head + pages {
                Self::entry(&self.heads, page).store(0, Ordering::Relaxed);
            }
            free(&(addr..addr + pages * PAGE));
            inner.stale.insert(head, pages);
            freed += pages;
            false
        });
        inner.objects = kept.collect();
        inner.armed = armed;
        drop(inner);
        self.used_pages.fetch_sub(freed, Ordering::Relaxed);
        freed * PAGE
    }

    /// Address ranges that may hold objects; free runs shorter than `bridge` pages are included.
    pub fn runs(&self, bridge: usize) -> Vec<Range<usize>> {
        let inner = self.inner.lock();
        let mut gaps: Vec<(usize, usize)> = [&inner.stale, &inner.clean]
            .iter()
            .flat_map(|runs| runs.by_start.iter().map(|(start, length)| (*start, *length)))
            .filter(|(_, length)| *length >= bridge)
            .collect();
        gaps.sort_unstable();
        let mut runs = Vec::new();
        let mut at = 0;
        for (start, length) in gaps {
            if start > at {
                runs.push(self.base + at * PAGE..self.base + start * PAGE);
            }
            at = start + length;
        }
        let end = self.high_water.load(Ordering::Acquire);
        if end > at {
            runs.push(self.base + at * PAGE..self.base + end * PAGE);
        }
        runs
    }

    /// Hands free pages to `give_back`, which says whether they are gone, until at most `keep` bytes of them are left. Returns bytes
    /// released.
    pub fn release_free(&self, keep: usize, footprint: &Footprint, give_back: impl Fn(Range<usize>) -> bool) -> usize {
        let mut released = 0;
        let mut inner = self.inner.lock();
        while inner.stale.pages * PAGE > keep {
            let Some((start, length)) = inner.stale.pop() else { break };
            let addr = self.base + start * PAGE;
            if !give_back(addr..addr + length * PAGE) {
                inner.stale.insert(start, length);
                break;
            }
            inner.clean.insert(start, length);
            footprint.release(length * PAGE);
            released += length * PAGE;
        }
        released
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.inner.lock().objects.len()
    }

    /// Notes that a scan armed the first `count` objects, of which none was freed since they were counted.
    pub fn note_armed(&self, count: usize) {
        let mut inner = self.inner.lock();
        let new = inner.armed..count;
        for head in &inner.objects[new] {
            // Relaxed: the cycle's thread alone asks. An exchange, for the length that markers read beside it.
            Self::entry(&self.lengths, *head as usize).fetch_or(ARMED, Ordering::Relaxed);
        }
        inner.armed = count;
    }

    /// Whether `addr` lies in an object whose pages a scan has armed.
    pub fn is_armed(&self, addr: usize) -> bool {
        self.object_at(addr).is_some_and(|object| self.is_noted(self.page(object.start)))
    }

    /// Bytes of pages in such objects.
    pub fn armed_bytes(&self) -> usize {
        let inner = self.inner.lock();
        inner.objects[..inner.armed].iter().map(|head| self.pages(*head as usize) * PAGE).sum()
    }

    /// Bytes of pages in objects.
    pub fn used_bytes(&self) -> usize {
        self.used_pages.load(Ordering::Relaxed) * PAGE
    }

    /// The end of what was ever used.
    pub fn end(&self) -> usize {
        self.base + self.high_water.load(Ordering::Acquire) * PAGE
    }

    /// What the pages belong to now.
    pub fn map(&self) -> PageMap {
        let inner = self.inner.lock();
        let range = |start: usize, pages: usize| self.base + start * PAGE..self.base + (start + pages) * PAGE;
        let runs = |runs: &FreeRuns| runs.by_start.iter().map(|(start, pages)| range(*start, *pages)).collect();
        let object = |head: &u32| {
            let head = *head as usize;
            range(head, self.pages(head))
        };
        PageMap {
            objects: inner.objects.iter().map(object).collect(),
            stale: runs(&inner.stale),
            clean: runs(&inner.clean),
            end: self.end(),
        }
    }
}
