//! What an embedder tells the collector about its objects and roots.
//!
//! The collector imposes no header. It keeps where an object starts and ends in metadata of its own, and asks
//! the embedder's [`ObjectModel`] for the references an object holds.
//!
//! Tracing runs **while mutators write**. It is sound in Rust's memory model when both sides use atomic accesses:
//! a mutator publishes with a `Release` store, which is a plain `mov` on x86-64 and one `stlr` on
//! AArch64, and the tracer loads with `Acquire` (again a plain load on x86-64). The pair gives the
//! tracer everything that was written to the new object before it was published: its fields and, in the
//! collector's own tables, its start.

use std::ops::Range;
use std::ptr::NonNull;

pub use crate::mark::tracer::Tracer;

/// Where an object is allocated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// May hold references: traced, and armed while marking.
    Tracked,
    /// Never holds references: never traced, never armed. Strings, byte buffers, float arrays.
    Leaf,
}

/// How the collector finds the references in the embedder's objects.
///
/// # Safety
///
/// `trace` must report every reference held in bytes `range` of the object, and may report others of the same object.
/// Every address reported must be the start of an object that was allocated in this heap.
/// It runs on collector threads while mutators write the fields, so it loads each word once, atomically.
/// An object whose bytes are all zero holds no reference. It must not allocate in the heap or wait for a mutator.
pub unsafe trait ObjectModel: Send + Sync + 'static {
    /// Reports the references in bytes `range` (offsets from its start) of `object`.
    ///
    /// # Safety
    ///
    /// `object` is the start of an object in [`Space::Tracked`] that stays allocated during the call, and
    /// `range` lies inside its size, which is what was asked for rounded up to a granule, or to a page if the object is larger than 8 KB.
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>);
}

/// The references a thread, or the embedder as a whole, holds outside the heap.
///
/// # Safety
///
/// It must report every reference its owner can still use after the safepoint. For a mutator's source: it is called on the thread itself
/// inside its own safepoint, or by a collector thread while that thread is stopped or blocked, never otherwise.
/// It must not wait for anything that a mutator may hold at a safepoint: the collector calls it under the lock that safepoints need.
/// A global source (see `Heap::add_global_roots`) is called while mutators run and synchronises itself.
pub unsafe trait RootSource: Send + Sync {
    /// Reports each root.
    fn trace_roots(&self, tracer: &mut Tracer<'_>);
}
