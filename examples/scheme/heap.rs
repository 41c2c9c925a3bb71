//! Objects: their layout, their allocation and the access to their fields.
//!
//! Every field is read and written as an `AtomicU64`, because the collector marks while programs run. Allocation is
//! never a safepoint: native code may keep values in Rust variables as long as it neither polls, blocks nor reclaims.
//! When the hard limit is reached an allocating function answers `Err(SchemeError::exhausted(bytes))`; the machine
//! then reclaims and runs the same instruction again, so natives allocate everything first and mutate afterwards.

use crate::error::SchemeError;
pub use crate::strings::*;
use crate::value::*;
use crate::vm::{Stores, Vm};
use pagemark::{ObjectModel, Space, Tracer};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The object model of the collector: a pair has no header, and every payload word of a tracked object is a value.
pub struct Model;

// SAFETY: all references lie in aligned words; every word of the object in the range is looked at once.
unsafe impl ObjectModel for Model {
    unsafe fn trace(&self, object: NonNull<u8>, range: Range<usize>, tracer: &mut Tracer<'_>) {
        let base = object.as_ptr() as *const AtomicU64;
        // SAFETY: every object has at least one word.
        let first = unsafe { (*base).load(Ordering::Acquire) };
        let words = if first & 0xF == HEADER_TAG { 1 + header_size(first) } else { 2 };
        let end = (range.end.div_ceil(8)).min(words);
        for i in range.start / 8..end {
            // SAFETY: `i` is less than the number of words of the object.
            let word = unsafe { (*base.add(i)).load(Ordering::Acquire) };
            if Value(word).is_pointer() {
                tracer.edge(word as usize);
            }
        }
    }
}

/// The `i`th word of an object, counting the header.
///
/// # Safety
/// `obj` is a pointer to an object of more than `i` words.
#[inline(always)]
pub unsafe fn word(obj: Value, i: usize) -> &'static AtomicU64 {
    // SAFETY: by contract; objects are never moved, and stay alive while a root or a running native refers to them.
    unsafe { &*(obj.0 as *const AtomicU64).add(i) }
}

/// The first word of an object (its header, or the car of a pair); 0 for immediates.
#[inline(always)]
pub fn first_word(v: Value) -> u64 {
    if v.is_pointer() {
        // SAFETY: every object has at least one word.
        unsafe { word(v, 0).load(Ordering::Relaxed) }
    } else {
        0
    }
}
#[inline(always)]
pub fn is_pair(v: Value) -> bool {
    // SAFETY: every object has at least one word.
    v.is_pointer() && unsafe { word(v, 0).load(Ordering::Relaxed) } & 0xF != HEADER_TAG
}
/// Whether `v` is a heap object of that type.
#[inline(always)]
pub fn is_type(v: Value, ty: Type) -> bool {
    header_kind(first_word(v)) == kind_of(ty)
}
/// The size in the header: payload words of a tracked object, elements of a leaf. 0 for pairs and immediates.
#[inline]
pub fn size(v: Value) -> usize {
    let h = first_word(v);
    if h & 0xF == HEADER_TAG { header_size(h) } else { 0 }
}
#[inline]
pub fn flags(v: Value) -> u64 {
    let h = first_word(v);
    if h & 0xF == HEADER_TAG { header_flags(h) } else { 0 }
}
pub fn is_string(v: Value) -> bool {
    is_type(v, Type::String)
}
pub fn is_symbol(v: Value) -> bool {
    is_type(v, Type::Symbol)
}
pub fn is_vector(v: Value) -> bool {
    is_type(v, Type::Vector)
}
pub fn is_bytevector(v: Value) -> bool {
    is_type(v, Type::Bytevector)
}
pub fn is_flonum(v: Value) -> bool {
    is_type(v, Type::Flonum)
}
pub fn is_procedure(v: Value) -> bool {
    is_type(v, Type::Closure)
        || is_type(v, Type::Primitive)
        || is_type(v, Type::Continuation)
        || is_type(v, Type::Parameter)
}

/// Car of a pair. Panics on anything else: check with [`is_pair`] first.
#[inline(always)]
pub fn car(v: Value) -> Value {
    debug_assert!(is_pair(v));
    assert!(v.is_pointer());
    // SAFETY: every object has two words.
    Value(unsafe { word(v, 0).load(Ordering::Relaxed) })
}
/// Cdr of a pair.
#[inline(always)]
pub fn cdr(v: Value) -> Value {
    debug_assert!(is_pair(v));
    assert!(v.is_pointer());
    // SAFETY: every object has two words (the smallest is 16 bytes).
    Value(unsafe { word(v, 1).load(Ordering::Relaxed) })
}
/// The `i`th payload word of a tracked object with a header (a vector's element `i`).
#[inline(always)]
pub fn field(v: Value, i: usize) -> Value {
    let h = first_word(v);
    assert!(h & 0xF == HEADER_TAG && i < header_size(h));
    // SAFETY: the object has `header_size` payload words.
    Value(unsafe { word(v, i + 1).load(Ordering::Relaxed) })
}
/// The number in a flonum.
#[inline]
pub fn flonum_value(v: Value) -> f64 {
    debug_assert!(is_flonum(v));
    assert!(v.is_pointer());
    // SAFETY: every object has two words.
    f64::from_bits(unsafe { word(v, 1).load(Ordering::Relaxed) })
}
/// Limb `i` of a bignum.
pub fn bignum_limb(v: Value, i: usize) -> u64 {
    assert!(is_type(v, Type::Bignum) && i < size(v));
    // SAFETY: a bignum has `size` limbs after the header.
    unsafe { word(v, i + 1).load(Ordering::Relaxed) }
}
/// Byte `i` of a bytevector.
#[inline]
pub fn byte_at(v: Value, i: usize) -> &'static AtomicU8 {
    assert!(is_bytevector(v) && i < size(v));
    // SAFETY: a bytevector has `size` bytes after the header.
    unsafe { &*((v.0 as *const u8).add(8 + i) as *const AtomicU8) }
}
/// A copy of the bytes `start..end`; panics when out of range.
pub fn bytes_of(v: Value, start: usize, end: usize) -> Vec<u8> {
    assert!(is_bytevector(v) && start <= end && end <= size(v));
    (start..end).map(|i| byte_at(v, i).load(Ordering::Relaxed)).collect()
}

/// A list as a Rust vector; `None` if `v` is not a proper list.
pub fn list_to_vec(v: Value) -> Option<Vec<Value>> {
    let (mut out, mut at, mut marked) = (Vec::new(), v, v);
    while is_pair(at) {
        out.push(car(at));
        at = cdr(at);
        if at == marked {
            // Back at a pair met before: a cycle.
            return None;
        }
        if out.len().is_power_of_two() {
            marked = at;
        }
    }
    at.is_nil().then_some(out)
}

/// No object is larger: the sizes of smaller ones fit the header.
const MAX_BYTES: usize = 1 << 46;

impl<S: Stores> Vm<S> {
    /// Zeroed memory for an object with a header. `bytes` includes the header.
    #[inline]
    fn raw(&self, bytes: usize, space: Space) -> Result<Value, SchemeError> {
        if bytes > MAX_BYTES {
            return Err(SchemeError::out_of_memory(bytes));
        }
        match self.mutator.alloc(bytes, space) {
            Ok(p) => Ok(Value(p.as_ptr() as u64)),
            Err(_) => Err(SchemeError::exhausted(bytes)),
        }
    }
    /// A tracked object of `words` payload words, all 0 (fill them with [`Vm::init`]).
    #[inline]
    pub fn alloc_tracked(&self, ty: Type, flags: u64, words: usize) -> Result<Value, SchemeError> {
        let v = self.raw(words.saturating_mul(8).saturating_add(8).max(16), Space::Tracked)?;
        // SAFETY: the object was just allocated.
        unsafe { word(v, 0) }.store(header(ty, flags, words), Ordering::Release);
        Ok(v)
    }
    /// A leaf of `payload` bytes, all 0, and the given size field.
    #[inline]
    pub fn alloc_leaf(&self, ty: Type, flags: u64, size: usize, payload: usize) -> Result<Value, SchemeError> {
        let v = self.raw(payload.saturating_add(8).max(16), Space::Leaf)?;
        // SAFETY: the object was just allocated.
        unsafe { word(v, 0) }.store(header(ty, flags, size), Ordering::Release);
        Ok(v)
    }
    /// First store to payload word `i` of an object that was just allocated: needs no barrier.
    #[inline(always)]
    pub fn init(&self, obj: Value, i: usize, v: Value) {
        assert!(i < size(obj));
        // SAFETY: the object has more than `i` payload words.
        unsafe { word(obj, i + 1) }.store(v.0, Ordering::Release);
    }
    /// A new tracked object with these payload words.
    pub fn object(&self, ty: Type, flags: u64, fields: &[Value]) -> Result<Value, SchemeError> {
        let v = self.alloc_tracked(ty, flags, fields.len())?;
        for (i, f) in fields.iter().enumerate() {
            self.init(v, i, *f);
        }
        Ok(v)
    }
    /// Store to payload word `i` of an existing object.
    #[inline(always)]
    pub fn set_field(&self, obj: Value, i: usize, v: Value) {
        let h = first_word(obj);
        assert!(h & 0xF == HEADER_TAG && i < header_size(h));
        // SAFETY: the object has `header_size` payload words.
        self.stores.store(unsafe { word(obj, i + 1) }, v);
    }
    #[inline(always)]
    pub fn cons(&self, a: Value, d: Value) -> Result<Value, SchemeError> {
        let v = self.raw(16, Space::Tracked)?;
        // SAFETY: the pair was just allocated.
        unsafe {
            word(v, 1).store(d.0, Ordering::Release);
            word(v, 0).store(a.0, Ordering::Release);
        }
        Ok(v)
    }
    #[inline(always)]
    pub fn set_car(&self, pair: Value, v: Value) {
        assert!(pair.is_pointer());
        // SAFETY: every object has two words.
        self.stores.store(unsafe { word(pair, 0) }, v);
    }
    #[inline(always)]
    pub fn set_cdr(&self, pair: Value, v: Value) {
        assert!(pair.is_pointer());
        // SAFETY: every object has two words.
        self.stores.store(unsafe { word(pair, 1) }, v);
    }
    pub fn list(&self, items: &[Value]) -> Result<Value, SchemeError> {
        self.list_with_tail(items, Value::NIL)
    }
    pub fn list_with_tail(&self, items: &[Value], tail: Value) -> Result<Value, SchemeError> {
        items.iter().rev().try_fold(tail, |l, v| self.cons(*v, l))
    }
    #[inline]
    pub fn flonum(&self, x: f64) -> Result<Value, SchemeError> {
        let v = self.raw(16, Space::Leaf)?;
        // SAFETY: the flonum was just allocated.
        unsafe {
            word(v, 1).store(x.to_bits(), Ordering::Relaxed);
            word(v, 0).store(header(Type::Flonum, 0, 1), Ordering::Release);
        }
        Ok(v)
    }
    /// A bignum from its limbs (least significant first). The caller normalises: no fixnum-sized bignums.
    pub fn bignum(&self, negative: bool, limbs: &[u64]) -> Result<Value, SchemeError> {
        let v = self.alloc_leaf(Type::Bignum, u64::from(negative), limbs.len(), 8 * limbs.len())?;
        for (i, l) in limbs.iter().enumerate() {
            // SAFETY: the bignum was just allocated with that many limbs.
            unsafe { word(v, i + 1) }.store(*l, Ordering::Relaxed);
        }
        Ok(v)
    }
    pub fn vector(&self, items: &[Value]) -> Result<Value, SchemeError> {
        self.object(Type::Vector, 0, items)
    }
    pub fn vector_filled(&self, n: usize, fill: Value) -> Result<Value, SchemeError> {
        let v = self.alloc_tracked(Type::Vector, 0, n)?;
        for i in 0..n {
            // SAFETY: the vector was just allocated with `n` elements.
            unsafe { word(v, i + 1) }.store(fill.0, Ordering::Release);
        }
        Ok(v)
    }
    pub fn bytevector(&self, bytes: &[u8]) -> Result<Value, SchemeError> {
        let v = self.alloc_leaf(Type::Bytevector, 0, bytes.len(), bytes.len())?;
        for (i, b) in bytes.iter().enumerate() {
            byte_at(v, i).store(*b, Ordering::Relaxed);
        }
        Ok(v)
    }
    /// The symbol of that name.
    pub fn intern(&self, name: &str) -> Result<Value, SchemeError> {
        let mut table = self.shared.symbols.lock();
        if let Some(v) = table.get(name) {
            return Ok(*v);
        }
        let text = self.string_from(name)?;
        let sym = self.object(Type::Symbol, 0, &[text])?;
        self.immortal(sym)?;
        table.insert(name.into(), sym);
        Ok(sym)
    }
    /// Keeps `v` alive for ever.
    pub fn immortal(&self, v: Value) -> Result<(), SchemeError> {
        let _guard = self.shared.immortals_lock.lock();
        let head = &self.shared.immortals.list;
        let link = self.cons(v, Value(head.load(Ordering::Relaxed)))?;
        head.store(link.0, Ordering::Release);
        Ok(())
    }
}
