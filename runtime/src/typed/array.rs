//! Arrays of references and byte buffers, of a length known when they are made.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::{Field, Object, Ref, Trace, TypeInfo};
use crate::{Exhausted, Mutator, Space, Tracer};

/// `length` references. A big one is traced in parts, and only its written pages are traced again.
#[repr(C)]
pub struct Array<T> {
    length: usize,
    fields: [Field<T>; 0],
}

/// `length` bytes. They live in a leaf block, so `read(2)` into them needs nothing of the kernel.
#[repr(C)]
pub struct Bytes {
    length: usize,
    bytes: [AtomicU8; 0],
}

impl<T: Send + Sync + 'static> Array<T> {
    /// The fields; set and get them like fields of a struct.
    #[inline(always)]
    pub fn fields(&self) -> &[Field<T>] {
        // SAFETY: an array is made with `length` fields behind its length, zeroed, which is null; they are only shared.
        unsafe { std::slice::from_raw_parts(self.fields.as_ptr(), self.length) }
    }
}

impl<T: Send + Sync + 'static> std::ops::Deref for Array<T> {
    type Target = [Field<T>];

    #[inline(always)]
    fn deref(&self) -> &[Field<T>] {
        self.fields()
    }
}

impl Bytes {
    /// The bytes. They are atomics because other mutators may have this object too.
    #[inline(always)]
    pub fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: made with `length` bytes behind its length; they are only shared.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.length) }
    }
}

struct ArrayInfo<T>(PhantomData<T>);

impl<T: Send + Sync + 'static> ArrayInfo<T> {
    const INFO: &'static TypeInfo = &TypeInfo { trace: trace_array::<T> };
}

static BYTES: TypeInfo = TypeInfo { trace: trace_nothing };

/// # Safety
///
/// None needed: it looks at nothing.
unsafe fn trace_nothing(_: NonNull<u8>, _: Range<usize>, _: &mut Tracer<'_>) {}

/// # Safety
///
/// `object` is a complete `Object<Array<T>>`, `range` lies inside it.
unsafe fn trace_array<T: Send + Sync + 'static>(object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
    // SAFETY: by this function's contract.
    let array = unsafe { &object.cast::<Object<Array<T>>>().as_ref().value };
    let first = std::mem::offset_of!(Object<Array<T>>, value) + std::mem::offset_of!(Array<T>, fields);
    let fields = array.fields();
    let from = (range.start.saturating_sub(first) / size_of::<Field<T>>()).min(fields.len());
    let to = range.end.saturating_sub(first).div_ceil(size_of::<Field<T>>()).min(fields.len());
    fields[from..to.max(from)].iter().for_each(|field| field.trace(tracer));
}

pub(super) fn alloc<T: Send + Sync + 'static>(
    mutator: &Mutator,
    length: usize,
) -> Result<Ref<'_, Array<T>>, Exhausted> {
    let bytes = length.checked_mul(size_of::<Field<T>>()).ok_or(Exhausted)?;
    // SAFETY: an `Array` is its length, then `length` fields, for which zero is null.
    unsafe { alloc_tail(mutator, bytes, length, Space::Tracked, ArrayInfo::<T>::INFO) }
}

pub(super) fn alloc_bytes(mutator: &Mutator, length: usize) -> Result<Ref<'_, Bytes>, Exhausted> {
    // SAFETY: `Bytes` is its length, then `length` bytes.
    unsafe { alloc_tail(mutator, length, length, Space::Leaf, &BYTES) }
}

/// # Safety
///
/// `A` is `repr(C)`: a `usize`, which gets `length`, then a tail of `tail` bytes for which zero is valid; `info` traces it.
unsafe fn alloc_tail<'m, A>(
    mutator: &'m Mutator,
    tail: usize,
    length: usize,
    space: Space,
    info: &'static TypeInfo,
) -> Result<Ref<'m, A>, Exhausted> {
    let bytes = tail.checked_add(size_of::<Object<usize>>()).ok_or(Exhausted)?;
    let object = mutator.alloc(bytes, space)?.cast::<Object<A>>();
    // SAFETY: fresh zeroed memory with room for the word of the type, the length and the tail; nobody else knows it yet.
    unsafe {
        (&raw mut (*object.as_ptr()).value).cast::<usize>().write(length);
        let word: *const AtomicPtr<TypeInfo> = &raw const (*object.as_ptr()).info;
        (*word).store(std::ptr::from_ref(info).cast_mut(), Ordering::Release);
        Ok(Ref::from_addr(object.as_ptr() as usize).unwrap_unchecked())
    }
}
