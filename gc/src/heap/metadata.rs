//! One metadata byte a granule, in a table outside the heap range.
//!
//! ```text
//! bit 0-1  mark   0: allocated since the last flip; 1, 2: the two mark colours, used in turn
//! bit 2    START  an object starts on this granule
//! bit 3    END    an object ends on this granule
//! ```
//!
//! The start byte carries the mark. An object of one granule has both START and END in its one byte; the bytes
//! between start and end are zero, as are those of free granules, so **free and interior look alike** and every walk
//! goes from a start to its end.
//!
//! Who may write a byte, and when: the allocating mutator writes START and END before it publishes the
//! object; markers then rewrite the start byte with the current colour (a load and a store when one worker
//! marks, an exchange when several do, so that each object is traced once); the sweeper, which owns the block, zeroes the bytes of dead objects.
//! Colours are flipped by meaning: before a cycle starts, every block has been swept, so each object has the last
//! colour or 0, and the other colour appears nowhere.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::layout::{GRANULE, LARGE_THRESHOLD};
use crate::memory::TableMapping;

/// Mask of the mark colour.
pub const MARK_MASK: u8 = 0b0011;
/// An object starts here.
pub const START: u8 = 0b0100;
/// An object ends here.
pub const END: u8 = 0b1000;

/// A byte with `END` in each lane, for scanning eight granules at once.
const END_LANES: u64 = 0x0808_0808_0808_0808;

/// Eight bytes at any address. As bytes, a volatile read of them would be eight loads.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned(u64);

/// The metadata bytes of one heap.
pub struct Metadata {
    table: TableMapping,
    bytes: *const AtomicU8,
    base: usize,
}

// SAFETY: all access to the table goes through atomics.
unsafe impl Send for Metadata {}
// SAFETY: as above.
unsafe impl Sync for Metadata {}

impl Metadata {
    /// Metadata for a heap range that starts at `base`; `table` has a byte for each of its granules, and eight spare.
    pub fn new(table: TableMapping, base: usize) -> Metadata {
        let bytes = table.as_ptr() as *const AtomicU8;
        Metadata { table, bytes, base }
    }

    /// Bytes the table occupies in address space.
    pub fn reserved_bytes(&self) -> usize {
        self.table.len()
    }

    /// The byte of the granule at `addr`.
    #[inline(always)]
    pub fn at(&self, addr: usize) -> &AtomicU8 {
        debug_assert!(addr >= self.base && (addr - self.base) / GRANULE < self.table.len());
        // SAFETY: callers pass addresses of this heap's range, for which the table has a byte each.
        unsafe { &*self.bytes.add((addr - self.base) / GRANULE) }
    }

    /// The address of the granule's byte, for prefetching.
    #[inline(always)]
    pub fn address_of(&self, addr: usize) -> *const u8 {
        self.bytes.wrapping_add((addr.wrapping_sub(self.base)) / GRANULE) as *const u8
    }

    /// Eight metadata bytes from the granule at `addr` on, lowest address in the lowest byte.
    #[inline(always)]
    pub fn eight(&self, addr: usize) -> u64 {
        let p = self.at(addr) as *const AtomicU8 as *const Unaligned;
        // SAFETY: the table has eight spare bytes. The bytes may be changing under a racing marker or allocating mutator; the volatile read, one
        // load, stands for eight relaxed byte loads (there is no unaligned atomic), and callers use only bits that are stable.
        u64::from_le(unsafe { p.read_volatile() }.0)
    }

    /// Writes eight metadata bytes from the granule at `addr` on. The caller owns the block and no marker runs, so no other write is lost.
    #[inline(always)]
    pub fn set_eight(&self, addr: usize, eight: u64) {
        let p = self.at(addr) as *const AtomicU8 as *mut Unaligned;
        // SAFETY: as in `eight` for the place; nobody else writes these bytes, by this function's contract, and who looks objects up
        // meanwhile takes each byte as it is before or after.
        unsafe { p.write_volatile(Unaligned(eight.to_le())) };
    }

    /// Records an object of `granules` granules at `addr`, in the block or run the caller owns.
    #[inline(always)]
    pub fn record(&self, addr: usize, granules: usize) {
        // Relaxed: the object is not reachable yet; the Release store that publishes it orders these before it.
        if granules == 1 {
            self.at(addr).store(START | END, Ordering::Relaxed);
        } else {
            self.at(addr).store(START, Ordering::Relaxed);
            self.at(addr + (granules - 1) * GRANULE).store(END, Ordering::Relaxed);
        }
    }

    /// Granules of the small or medium object that starts at `addr`.
    #[inline(always)]
    pub fn granules(&self, addr: usize) -> usize {
        let lanes = self.eight(addr) & END_LANES;
        if lanes != 0 {
            return lanes.trailing_zeros() as usize / 8 + 1;
        }
        let mut n = 8;
        loop {
            let lanes = self.eight(addr + n * GRANULE) & END_LANES;
            if lanes != 0 {
                return n + lanes.trailing_zeros() as usize / 8 + 1;
            }
            n += 8;
            if n >= LARGE_THRESHOLD / GRANULE {
                // Only a walk over a block that its owner is just filling gets here: the end is not written yet.
                return n;
            }
        }
    }

    /// Zeroes the bytes of `granules` granules from `addr` on, which the caller owns.
    pub fn clear(&self, addr: usize, granules: usize) {
        let p = self.at(addr) as *const AtomicU8 as *mut u8;
        // SAFETY: no reference to these granules exists any more, so no marker writes their bytes, and the caller owns the block.
        unsafe { std::ptr::write_bytes(p, 0, granules) };
    }
}
