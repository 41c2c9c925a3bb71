//! A reference in an object.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Mutator, Ref, Trace};
use crate::Tracer;

/// A reference field of a heap object, null or to a `T`.
///
/// `set` compiles to one plain store on x86-64 (`mov`), `get` to one load. A field is only made null; it gets its value in its object.
pub struct Field<T> {
    addr: AtomicUsize,
    /// Invariant in `T`: what is read from a shared field may have been stored through another reference to it.
    target: PhantomData<fn(T) -> T>,
}

impl<T: Send + Sync + 'static> Field<T> {
    /// Holds nothing.
    pub const fn null() -> Field<T> {
        Field { addr: AtomicUsize::new(0), target: PhantomData }
    }

    /// What it holds.
    ///
    /// # Panics
    ///
    /// When the field is not in the heap of `mutator`.
    #[inline(always)]
    pub fn get<'m>(&self, mutator: &'m Mutator) -> Option<Ref<'m, T>> {
        // The type system rules out neither a field outside the heap, which the collector does not see, nor another heap's mutator, whose
        // safepoints do not count here. One subtraction and compare.
        assert!(
            self.address().wrapping_sub(mutator.base) < mutator.length,
            "this Field is not in an object of this mutator's heap: the collector does not see it"
        );
        // SAFETY: a field of a reachable object holds null or a complete object that is reachable through it; nothing is freed before the next safepoint of
        // this mutator. Acquire pairs with the Release of `set`.
        unsafe { Ref::from_addr(self.addr.load(Ordering::Acquire)) }
    }

    /// Holds `target` from now on. One plain store: the collector sees it through the page table.
    ///
    /// The field must be in an object of the heap that `target` is of. Nothing here checks it, or the store would not be one store. Debug builds
    /// find out later: [`Mutator::alloc`] panics for a field that was set before, and the collector ends the process when it meets a reference that
    /// leads out of its heap. A release build skips such a reference, which keeps nothing alive and is counted in `verify_failures`; a field outside
    /// the heap keeps nothing alive either, and [`Field::get`] panics there.
    #[inline(always)]
    pub fn set(&self, target: Option<Ref<'_, T>>) {
        // Release: a thread or the collector that loads this reference sees the object behind it complete.
        self.addr.store(target.map_or(0, Ref::address), Ordering::Release);
    }

    /// The field's address, for [`crate::CardTable::mark`].
    pub fn address(&self) -> usize {
        self.addr.as_ptr() as usize
    }
}

// SAFETY: reports the one reference it holds, loaded once. Acquire: see `ObjectModel`.
unsafe impl<T: Send + Sync + 'static> Trace for Field<T> {
    const MAY_HOLD_REFERENCES: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        let addr = self.addr.load(Ordering::Acquire);
        if addr != 0 {
            tracer.edge(addr);
        }
    }
}
