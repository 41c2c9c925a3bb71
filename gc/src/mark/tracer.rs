//! One worker's marking state.
//!
//! ```text
//!  references ──► ring of 16, metadata and object being prefetched ──► mark ──► stack ──► trace ──► references
//! ```
//!
//! A reference met while tracing is not looked at: its metadata byte and its first line are prefetched and the address
//! goes into a ring. Sixteen references later it comes out, and the lines are there. In random order this halves the time
//! an object takes (Cher, Hosking & Vitek 2004, FIFO prefetching in front of a mark stack).
//!
//! The stack is explicit and bounded: past [`Marking::stack_bound`] entries the object is marked but not pushed, and its page goes
//! to the overflow set, which is rescanned like a written page when the stack is empty again. A list or an array of any
//! length is marked in constant space; a pathological graph costs rescans instead of memory.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::item::{CHUNK, Item};
use crate::heap::Heap;
use crate::heap::metadata::{MARK_MASK, START};
use crate::layout::{GRANULE, PAGE};
use crate::model::ObjectModel;

const RING: usize = 16;

/// What marking needs to know about its heap, and what all its workers count together.
pub struct Marking<'h> {
    /// The heap.
    pub heap: &'h Heap,
    /// How objects are traced.
    pub model: &'h dyn ObjectModel,
    /// Entries a worker's stack may hold.
    pub stack_bound: usize,
    /// Pages with marked objects that were not pushed.
    pub overflow: Mutex<Vec<usize>>,
    /// Objects marked.
    pub objects: AtomicU64,
    /// Bytes marked.
    pub bytes: AtomicU64,
    /// Those of them that had never been marked before: objects made since the last cycle.
    pub young_bytes: AtomicU64,
    /// References that led to no object: a lost object or a broken embedder.
    pub dangling: AtomicU64,
    /// Who wants to know when helpers marked.
    pub watch: Option<&'h dyn Watch>,
}

/// Hears of each helper, on its thread, when it has done its part of a drain.
pub trait Watch: Sync {
    /// Helper `helper`, from 1, marked from `since` until now.
    fn marked(&self, helper: usize, since: Instant);
}

/// Receives the references of an object or of a root set; see [`ObjectModel::trace`] and [`crate::model::RootSource`].
pub struct Tracer<'a> {
    base: usize,
    length: usize,
    ring: [usize; RING],
    at: usize,
    /// False: references are only collected on the stack, nothing is marked.
    marking: bool,
    /// No other worker marks, so that no atomic exchange is needed.
    alone: bool,
    colour: u8,
    /// Mark stack, in encoded [`Item`]s; or, when collecting, the plain addresses.
    pub(crate) stack: Vec<usize>,
    shared: Option<&'a Marking<'a>>,
    objects: u64,
    bytes: u64,
    young_bytes: u64,
    overflow: Vec<usize>,
    _not_sync: PhantomData<*mut ()>,
}

impl<'a> Tracer<'a> {
    /// A tracer that marks.
    pub(crate) fn marking(shared: &'a Marking<'a>, alone: bool) -> Tracer<'a> {
        let mut tracer = Tracer::collecting(shared.heap);
        tracer.alone = alone;
        tracer.marking = true;
        tracer.colour = shared.heap.colour();
        tracer.shared = Some(shared);
        tracer
    }

    /// Whether `trace` reports no reference at all: for the checks of embedding layers.
    pub fn finds_none(heap: &Heap, trace: impl FnOnce(&mut Tracer<'_>)) -> bool {
        let mut tracer = Tracer::collecting(heap);
        trace(&mut tracer);
        tracer.stack.is_empty()
    }

    /// A tracer that only collects the references it is told.
    pub(crate) fn collecting(heap: &Heap) -> Tracer<'a> {
        let range = heap.range();
        Tracer {
            base: range.start,
            length: range.len(),
            ring: [0; RING],
            at: 0,
            marking: false,
            alone: false,
            colour: 0,
            stack: Vec::new(),
            shared: None,
            objects: 0,
            bytes: 0,
            young_bytes: 0,
            overflow: Vec::new(),
            _not_sync: PhantomData,
        }
    }

    /// Reports a reference to the object that starts at `addr`.
    #[inline(always)]
    pub fn edge(&mut self, addr: usize) {
        if addr.wrapping_sub(self.base) >= self.length {
            return self.foreign(addr);
        }
        if !self.marking {
            self.stack.push(addr);
            return;
        }
        if let Some(shared) = self.shared {
            prefetch(shared.heap.metadata.address_of(addr));
        }
        prefetch(addr as *const u8);
        let slot = &mut self.ring[self.at % RING];
        let out = std::mem::replace(slot, addr);
        self.at = self.at.wrapping_add(1);
        if out != 0 {
            self.visit(out);
        }
    }

    #[cold]
    fn foreign(&mut self, addr: usize) {
        debug_assert!(false, "the object model reported {addr:#x}, which is not in this heap");
        if let Some(shared) = self.shared {
            shared.dangling.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Marks the object at `addr` and pushes it, unless it is marked.
    #[inline]
    fn visit(&mut self, addr: usize) {
        let Some(shared) = self.shared else { return };
        let heap = shared.heap;
        let slot = heap.metadata.at(addr);
        // Acquire: pairs with the Release store that published the object, through the reference that led here.
        let byte = slot.load(Ordering::Acquire);
        if byte & MARK_MASK == self.colour {
            return;
        }
        if byte & START == 0 {
            shared.dangling.fetch_add(1, Ordering::Relaxed);
            log::error!("a reference leads to {addr:#x}, where no object starts");
            return;
        }
        // Before the mark is stored: see `item`. The end is there: what orders the start before the reference orders it too.
        let granules = if addr < heap.tracked.border { heap.metadata.granules(addr) } else { 0 };
        // Release: a worker that rescans the page and sees the colour sees what this one acquired.
        let marked = byte & !MARK_MASK | self.colour;
        if self.alone {
            slot.store(marked, Ordering::Release);
        } else if slot.compare_exchange(byte, marked, Ordering::Release, Ordering::Relaxed).is_err() {
            // Only another marker changes the start byte of a published object: it has the object now.
            return;
        }
        let small = addr < heap.tracked.border;
        let bytes = if small { (granules * GRANULE) as u64 } else { heap.object_bytes(addr) as u64 };
        self.objects += 1;
        self.bytes += bytes;
        self.young_bytes += if byte & MARK_MASK == 0 { bytes } else { 0 };
        if small {
            return self.push(addr, granules);
        }
        if !heap.is_leaf(addr) {
            // Never left to the overflow set, which stands for single pages; a large object has one chunk on a stack.
            self.stack.push(Item::Chunk(addr).encode());
        }
    }

    #[inline(always)]
    fn push(&mut self, addr: usize, granules: usize) {
        if let Some(shared) = self.shared
            && self.stack.len() >= shared.stack_bound
        {
            return self.push_pages(shared, addr, granules);
        }
        self.stack.push(Item::Object(addr, granules).encode());
    }

    /// The object is marked: rescanning its pages will trace it. All of them: a rescan traces what lies on one page, and a medium object may lie
    /// on three.
    #[cold]
    fn push_pages(&mut self, shared: &Marking<'_>, addr: usize, granules: usize) {
        self.overflow.extend((addr & !(PAGE - 1)..addr + granules * GRANULE).step_by(PAGE));
        if self.overflow.len() >= 4096 {
            self.flush_overflow(shared);
        }
    }

    fn flush_overflow(&mut self, shared: &Marking<'_>) {
        self.overflow.sort_unstable();
        self.overflow.dedup();
        let mut all = shared.overflow.lock();
        all.append(&mut self.overflow);
        if all.len() > 1 << 20 {
            all.sort_unstable();
            all.dedup();
        }
    }

    /// Marks what is in the ring.
    fn drain_ring(&mut self) {
        for i in 0..RING {
            let addr = std::mem::replace(&mut self.ring[(self.at + i) % RING], 0);
            if addr != 0 {
                self.visit(addr);
            }
        }
    }

    /// Traces one item. False when stack and ring are empty.
    #[inline]
    pub(crate) fn step(&mut self) -> bool {
        let Some(word) = self.stack.pop() else {
            self.drain_ring();
            return !self.stack.is_empty();
        };
        let Some(shared) = self.shared else { return false };
        match Item::decode(word) {
            Item::Object(addr, granules) => self.trace(shared, addr, 0..granules * GRANULE),
            Item::Chunk(addr) => {
                if let Some(object) = shared.heap.tracked.large.object_at(addr) {
                    let end = (addr + CHUNK).min(object.end);
                    if end < object.end {
                        self.stack.push(Item::Chunk(end).encode());
                    }
                    self.trace(shared, object.start, addr - object.start..end - object.start);
                }
            }
            Item::Page(page) => self.rescan(shared, page),
        }
        true
    }

    /// Traces again what lies on a written page, of objects that are marked. Objects that are not marked are not reachable
    /// yet as far as marking knows, and are traced whole when they are reached.
    fn rescan(&mut self, shared: &'a Marking<'a>, page: usize) {
        let heap = shared.heap;
        if heap.is_large(page) {
            if let Some(object) = heap.tracked.large.object_at(page)
                && heap.metadata.at(object.start).load(Ordering::Acquire) & MARK_MASK == self.colour
            {
                let from = page - object.start;
                self.trace(shared, object.start, from..from + PAGE);
            }
            return;
        }
        heap.marked_objects_on_page(page, self.colour, |start| {
            let end = start + heap.object_bytes(start);
            let from = page.max(start) - start;
            let to = (page + PAGE).min(end) - start;
            self.trace(shared, start, from..to);
        });
    }

    #[inline]
    fn trace(&mut self, shared: &'a Marking<'a>, addr: usize, range: Range<usize>) {
        // SAFETY: addresses on a stack are never null.
        let object = unsafe { NonNull::new_unchecked(addr as *mut u8) };
        // SAFETY: the object carries the live colour, so no sweeper frees it while this cycle runs; `range` was cut to its size.
        unsafe { shared.model.trace(object, range, self) };
    }

    /// Adds this worker's counts to the shared ones.
    pub(crate) fn finish(&mut self) {
        if let Some(shared) = self.shared {
            shared.objects.fetch_add(std::mem::take(&mut self.objects), Ordering::Relaxed);
            shared.bytes.fetch_add(std::mem::take(&mut self.bytes), Ordering::Relaxed);
            shared.young_bytes.fetch_add(std::mem::take(&mut self.young_bytes), Ordering::Relaxed);
            self.flush_overflow(shared);
        }
    }
}

#[inline(always)]
fn prefetch(addr: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(addr.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = addr;
}
