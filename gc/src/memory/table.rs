//! Tables beside the heap: marks, lengths, armed bits.
//!
//! A table is sized for the whole reserved range, but costs memory only where the heap was used: its pages get memory when
//! first touched and are zero until then. It is never part of a tracked range, so writing it never faults into a barrier.

use super::reserve::Reservation;
use crate::error::MemoryError;
use crate::layout::{PAGE, round_up};
use crate::sys::Kernel;

/// A zeroed range of memory for metadata. Unmapped when dropped.
#[derive(Debug)]
pub struct TableMapping {
    memory: Reservation,
    bytes: usize,
}

impl TableMapping {
    /// Reserves `bytes` of zeroes, page-aligned. `name` is what `/proc/self/maps` shows where the kernel can.
    ///
    /// # Errors
    /// [`MemoryError::Reserve`] where the address space or the limits do not allow it.
    pub fn new(bytes: usize, name: &str) -> Result<TableMapping, MemoryError> {
        TableMapping::on(&Kernel::real(), bytes, name)
    }

    /// The same on a kernel that may refuse.
    ///
    /// # Errors
    /// As [`TableMapping::new`].
    pub fn on(kernel: &Kernel, bytes: usize, name: &str) -> Result<TableMapping, MemoryError> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let memory = Reservation::new(kernel, round_up(bytes.max(1), PAGE), PAGE, protection, name)?;
        Ok(TableMapping { memory, bytes })
    }

    /// The first byte. Valid for reads and writes of [`len`](TableMapping::len) bytes while the table lives; who shares
    /// it uses atomics.
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.base as *mut u8
    }

    /// Size in bytes, as asked for.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks for an empty table")]
    pub fn len(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_a_terabyte_heap_is_zero_and_costs_nothing_until_touched() {
        let table = TableMapping::new((1 << 40) / 16, "pagemark test table").expect("64 GB of addresses");
        // SAFETY: the last byte of the table.
        let last = unsafe { table.as_ptr().add(table.len() - 1) };
        // SAFETY: as above; nothing else uses the table.
        assert_eq!(unsafe { last.read_volatile() }, 0);
    }
}
