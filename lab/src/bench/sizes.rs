//! How many bytes objects of the typed layer take, so that live sizes can be computed instead of measured.
//!
//! An object is one word for its type, then its value, rounded up to granules of 16 bytes. Arrays and byte buffers have
//! their length before their elements. Over 8 KB an object has pages of its own, and its last page counts whole. The test that runs
//! every workload compares the sums with what the collector marks.

use pagemark_gc::layout::{GRANULE, LARGE_THRESHOLD, PAGE};

const WORD: u64 = size_of::<usize>() as u64;

/// Of a struct.
pub const fn of<T>() -> u64 {
    const { assert!(align_of::<T>() <= size_of::<usize>(), "the value follows the word without a gap") };
    rounded(WORD + size_of::<T>() as u64)
}

/// Of an array of `length` references.
pub const fn array(length: u64) -> u64 {
    rounded(2 * WORD + length * WORD)
}

/// Of a buffer of `length` bytes.
pub const fn bytes(length: u64) -> u64 {
    rounded(2 * WORD + length)
}

const fn rounded(bytes: u64) -> u64 {
    bytes.next_multiple_of(if bytes > LARGE_THRESHOLD as u64 { PAGE as u64 } else { GRANULE as u64 })
}
