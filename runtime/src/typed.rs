//! The typed layer: Rust structs in the heap, safe references, no barrier.
//!
//! ```
//! use pagemark::typed::{Field, Heap};
//! use pagemark::{Config, Trace};
//!
//! #[derive(Trace)]
//! struct Node {
//!     next: Field<Node>,
//!     value: u64,
//! }
//!
//! let heap = Heap::new(&Config::default())?;
//! let mut mutator = heap.attach();
//! let list = mutator.root::<Node>(None); // a handle: keeps what it holds, cannot dangle
//! for value in 0..1000 {
//!     let node = mutator.alloc(Node { next: Field::null(), value })?;
//!     node.next.set(list.get(&mutator)); // one plain store
//!     list.set(Some(node));
//!     mutator.poll(); // a safepoint: `node` cannot be used after it
//! }
//! assert_eq!(list.get(&mutator).unwrap().value, 999);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What keeps a reference valid.** A [`Ref`] borrows its [`Mutator`] shared; every safepoint needs the mutator exclusively. So no `Ref` lives
//! across a safepoint, and between two of them nothing is freed. What must live longer is put into a [`Root`] (this thread) or a
//! [`Global`] (any thread), or into a field of an object that is reachable.
//!
//! **What the types do not rule out**: a [`Field`] outside the heap (on the stack, in a `Box`) is not seen by the collector. `get` panics there, and with a mutator of
//! another heap; do not `set` one and then move it into the heap with [`Mutator::alloc`]. A `Ref` stored into an object of another heap stops the program when
//! the collector traces it, in debug builds.
//!
//! An object is a word for its type, then the value. Types without fields that hold references ([`Trace::MAY_HOLD_REFERENCES`]) go to leaf blocks, which
//! are never traced and never armed.

mod array;
mod field;
mod roots;
mod trace;

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

pub use array::{Array, Bytes};
pub use field::Field;
pub use roots::{Global, Root};
pub use trace::Trace;

use crate::{
    CardTable, Config, Exhausted, ForkError, Forked, HeapError, ObjectModel, OutOfMemory, Space, Tracer, telemetry,
};
use roots::RootTable;

/// What the collector knows of a type: how to trace bytes of it.
struct TypeInfo {
    /// # Safety: the pointer is to an object of this type; the range lies inside it.
    trace: unsafe fn(NonNull<u8>, Range<usize>, &mut Tracer<'_>),
}

/// An object in the heap.
#[repr(C, align(16))]
struct Object<T> {
    /// Null until the object is complete.
    info: AtomicPtr<TypeInfo>,
    value: T,
}

struct InfoOf<T>(PhantomData<T>);

impl<T: Trace> InfoOf<T> {
    const INFO: &'static TypeInfo = &TypeInfo { trace: trace_value::<T> };
}

/// # Safety
///
/// `object` is a complete `Object<T>`.
unsafe fn trace_value<T: Trace>(object: NonNull<u8>, _range: Range<usize>, tracer: &mut Tracer<'_>) {
    // SAFETY: by this function's contract. Shared access: what mutators change meanwhile is in atomics.
    unsafe { object.cast::<Object<T>>().as_ref() }.value.trace(tracer);
}

/// Traces an object through its first word.
struct Typed;

// SAFETY: each type's trace function reports its fields, by the contract of `Trace`; an object whose first word is zero is not complete
// and holds nothing yet.
unsafe impl ObjectModel for Typed {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        // SAFETY: every object begins with this word. Acquire pairs with the Release in `alloc`.
        let info = unsafe { object.cast::<AtomicPtr<TypeInfo>>().as_ref() }.load(Ordering::Acquire);
        if let Some(info) = NonNull::new(info) {
            // SAFETY: the word is only ever set to a static TypeInfo of the object's type.
            unsafe { (info.as_ref().trace)(object, range, tracer) };
        }
    }
}

/// A heap of typed objects. Clones are handles to the same one.
#[derive(Clone)]
pub struct Heap {
    raw: crate::Heap,
    globals: Arc<RootTable>,
}

impl Heap {
    /// Reserves a heap and starts its collector. Errors as [`crate::Heap::new`].
    pub fn new(config: &Config) -> Result<Heap, HeapError> {
        Ok(Heap::over(crate::Heap::new(config, Typed)?))
    }

    #[doc(hidden)]
    pub fn with_kernel(config: &Config, kernel: &crate::__private::Kernel) -> Result<Heap, HeapError> {
        Ok(Heap::over(crate::Heap::with_kernel(config, Typed, kernel)?))
    }

    #[doc(hidden)]
    pub fn with_defect(config: &Config, defect: crate::__private::Defect) -> Result<Heap, HeapError> {
        Ok(Heap::over(crate::Heap::with_defect(config, Typed, defect)?))
    }

    fn over(raw: crate::Heap) -> Heap {
        let globals = Arc::new(RootTable::new(raw.range()));
        raw.add_global_roots(globals.clone());
        Heap { raw, globals }
    }

    /// The calling thread becomes a mutator. A thread has one mutator of a heap at a time, and drops it before it ends: every cycle waits for
    /// one that was leaked (`mem::forget`), for ever. After ten seconds a line on standard error names the thread.
    ///
    /// # Panics
    ///
    /// When the calling thread is a mutator of this heap already: each of the two would wait for the other's safepoint.
    pub fn attach(&self) -> Mutator {
        let range = self.raw.range();
        let roots = Arc::new(RootTable::new(range.clone()));
        Mutator {
            raw: self.raw.attach(roots.clone()),
            roots,
            heap: self.clone(),
            base: range.start,
            length: range.len(),
        }
    }

    /// The raw heap below: telemetry, listeners, lookup.
    pub fn raw(&self) -> &crate::Heap {
        &self.raw
    }

    /// Everything measured so far.
    pub fn summary(&self) -> telemetry::Summary {
        self.raw.summary()
    }
}

/// One thread's access to a typed heap.
pub struct Mutator {
    raw: crate::Mutator,
    roots: Arc<RootTable>,
    heap: Heap,
    /// The heap's address range, to check fields against.
    base: usize,
    length: usize,
}

impl Mutator {
    /// The heap.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// Puts `value` into the heap. Never a safepoint.
    ///
    /// Its fields are null: a field that is set while it is not in the heap is seen by nobody, and what it holds may be gone by now.
    ///
    /// # Panics
    ///
    /// In debug builds, when a field of `value` is not null.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] at the hard limit: `value` is dropped, nothing was allocated; see [`Mutator::reclaim`] and [`Mutator::alloc_or_collect`].
    #[inline(always)]
    pub fn alloc<T: Trace>(&self, value: T) -> Result<Ref<'_, T>, Exhausted> {
        const { assert!(align_of::<T>() <= 16, "objects are aligned to 16 bytes") };
        const { assert!(!std::mem::needs_drop::<T>(), "the collector runs no destructors") };
        const { assert!(size_of::<T>() <= 8 * 1024 - 16, "a struct is at most 8 KB; use an Array or Bytes") };
        let space = if T::MAY_HOLD_REFERENCES { Space::Tracked } else { Space::Leaf };
        debug_assert!(
            self.heap.raw.holds_none(|tracer| value.trace(tracer)),
            "a Field was set before its object was in the heap: the collector did not see it, and what it holds may be gone"
        );
        let object = self.raw.alloc(size_of_object::<T>(), space)?.cast::<Object<T>>();
        // SAFETY: fresh memory of that size and alignment, which nobody else knows yet.
        unsafe {
            (&raw mut (*object.as_ptr()).value).write(value);
            // Release: whoever sees the type sees the value.
            (*object.as_ptr()).info.store(std::ptr::from_ref(InfoOf::<T>::INFO).cast_mut(), Ordering::Release);
        }
        Ok(Ref { object, mutator: PhantomData })
    }

    /// Puts `make()` into the heap and into a handle, collecting first when it is full: a safepoint only then.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`] when a full collection does not make room.
    pub fn alloc_or_collect<T: Trace>(&mut self, make: impl Fn() -> T) -> Result<Root<T>, OutOfMemory> {
        loop {
            if let Ok(object) = self.alloc(make()) {
                return Ok(self.root(Some(object)));
            }
            self.raw.reclaim(size_of_object::<T>())?;
        }
    }

    /// An array of `length` references, all null. Never a safepoint. Errors as [`Mutator::alloc`].
    pub fn alloc_array<T: Send + Sync + 'static>(&self, length: usize) -> Result<Ref<'_, Array<T>>, Exhausted> {
        array::alloc(&self.raw, length)
    }

    /// `length` zero bytes. Never a safepoint. Errors as [`Mutator::alloc`].
    pub fn alloc_bytes(&self, length: usize) -> Result<Ref<'_, Bytes>, Exhausted> {
        array::alloc_bytes(&self.raw, length)
    }

    /// A handle of this thread that keeps what it holds.
    ///
    /// # Panics
    ///
    /// When `object` is of another heap.
    pub fn root<T: Send + Sync + 'static>(&self, object: Option<Ref<'_, T>>) -> Root<T> {
        Root::new(&self.roots, object)
    }

    /// A handle that keeps what it holds and may go to other threads.
    ///
    /// # Panics
    ///
    /// When `object` is of another heap.
    pub fn global<T: Send + Sync + 'static>(&self, object: Option<Ref<'_, T>>) -> Global<T> {
        Global::new(&self.heap.globals, object)
    }

    /// Whether [`Mutator::poll`] may have something to do. Not a condition to wait for: while mutators are held back it stays true.
    #[inline(always)]
    pub fn poll_requested(&self) -> bool {
        self.raw.poll_requested()
    }

    /// The safepoint: a load and a branch when nothing is asked.
    #[inline(always)]
    pub fn poll(&mut self) {
        self.raw.poll();
    }

    /// A safepoint: collects until `bytes` can be allocated. Errors as [`crate::Mutator::reclaim`].
    pub fn reclaim(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.raw.reclaim(bytes)
    }

    /// A safepoint: one full cycle.
    pub fn collect(&mut self) {
        self.raw.collect();
    }

    /// Runs `f` while pauses go on without this thread.
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.raw.blocking(f)
    }

    /// Forks the process, as [`crate::Mutator::fork`]: handles of this thread hold in the child what they hold here.
    ///
    /// # Errors
    ///
    /// [`ForkError`]: there is no child, and nothing has changed.
    ///
    /// # Safety
    ///
    /// As [`crate::Mutator::fork`]; and no thread that is not a mutator makes, sets or drops a [`Global`] of this heap meanwhile.
    pub unsafe fn fork(&mut self) -> Result<Forked, ForkError> {
        // SAFETY: by this function's contract.
        unsafe { self.raw.fork() }
    }

    /// The card table, only under `mechanism=cards`: after each [`Field::set`], mark [`Field::address`].
    pub fn cards(&self) -> Option<CardTable> {
        self.heap.raw.cards()
    }
}

const fn size_of_object<T>() -> usize {
    // `Object` is aligned to 16 so that its size is whole granules.
    size_of::<Object<T>>()
}

/// A reference to an object, valid until its mutator's next safepoint.
pub struct Ref<'m, T> {
    object: NonNull<Object<T>>,
    mutator: PhantomData<&'m Mutator>,
}

impl<T> Clone for Ref<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<'_, T> {}

impl<T> PartialEq for Ref<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl<T> Eq for Ref<'_, T> {}

impl<'m, T> Ref<'m, T> {
    /// # Safety
    ///
    /// `addr` is an `Object<T>` that stays allocated for `'m`.
    #[inline(always)]
    unsafe fn from_addr(addr: usize) -> Option<Ref<'m, T>> {
        Some(Ref { object: NonNull::new(addr as *mut Object<T>)?, mutator: PhantomData })
    }

    /// The object's address: stable for its life, and so usable as identity or hash.
    #[inline(always)]
    pub fn address(self) -> usize {
        self.object.as_ptr() as usize
    }

    /// The value, for as long as the reference is valid.
    #[inline(always)]
    pub fn value(self) -> &'m T {
        // SAFETY: the object is complete and is not freed before the mutator's next safepoint, which needs the borrow `'m` to be over.
        unsafe { &(*self.object.as_ptr()).value }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.value()
    }
}
