//! The words that hold the bits: a table beside the heap, or atomics of loom's.

use crate::error::MemoryError;
use crate::primitive::atomic::AtomicU64;
use crate::sys::Kernel;

#[cfg(not(loom))]
#[derive(Debug)]
pub(super) struct Words(crate::memory::TableMapping);

#[cfg(not(loom))]
impl Words {
    /// `count` zeroes.
    pub fn new(count: usize, kernel: &Kernel) -> Result<Words, MemoryError> {
        Ok(Words(crate::memory::TableMapping::on(kernel, count * 8, "pagemark armed pages")?))
    }

    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index * 8 < self.0.len());
        // SAFETY: the index is within the table, which is page-aligned, lives as long as `self`, and is only used as atomics.
        unsafe { &*(self.0.as_ptr() as *const AtomicU64).add(index) }
    }
}

#[cfg(loom)]
#[derive(Debug)]
pub(super) struct Words(Box<[AtomicU64]>);

#[cfg(loom)]
impl Words {
    pub fn new(count: usize, _: &Kernel) -> Result<Words, MemoryError> {
        Ok(Words((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    pub fn word(&self, index: usize) -> &AtomicU64 {
        &self.0[index]
    }
}
