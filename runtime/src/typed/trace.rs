//! Which types may live in the heap.

use std::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize,
};

use crate::Tracer;

/// A type that may live in the heap. Derive it: `#[derive(Trace)]`.
///
/// # Safety
///
/// `trace` reports every [`Field`](super::Field) of the value, through nothing that a mutator changes except atomically (`trace` runs while mutators
/// run). `MAY_HOLD_REFERENCES` is false only when there is none. The type has no destructor that matters: the collector runs none.
pub unsafe trait Trace: Send + Sync + 'static {
    /// Whether values may hold references; those of other types go to leaf blocks.
    const MAY_HOLD_REFERENCES: bool;

    /// Reports each reference in the value.
    fn trace(&self, tracer: &mut Tracer<'_>);
}

macro_rules! leaf {
    ($($type:ty),*) => {$(
        // SAFETY: holds no reference.
        unsafe impl Trace for $type {
            const MAY_HOLD_REFERENCES: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer<'_>) {}
        }
    )*};
}

leaf!((), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
leaf!(AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize);
leaf!(AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize);

// SAFETY: reports what its elements report.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    const MAY_HOLD_REFERENCES: bool = T::MAY_HOLD_REFERENCES;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.iter().for_each(|element| element.trace(tracer));
    }
}
