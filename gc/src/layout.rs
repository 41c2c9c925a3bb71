//! Sizes everything else is computed from.
//!
//! *granule*: 16 bytes, the unit of object alignment and of metadata. *page*: 4 KB, the OS page, the unit
//! of protection. *block*: 64 KB, the unit a mutator allocates in.

/// Bytes in a granule; every object starts on a granule and occupies whole granules.
pub const GRANULE: usize = 16;
/// Bytes in an OS page.
pub const PAGE: usize = 4096;
/// Bytes in a block.
pub const BLOCK: usize = 64 * 1024;
/// Objects larger than this own their pages.
pub const LARGE_THRESHOLD: usize = 8 * 1024;
/// The largest limit of a heap in bytes: the tables number pages, of which a region of large objects has twice as many as the limit, in
/// 32 bits.
pub const MAX_LIMIT: usize = 4 << 40;

/// Granules in a page.
pub const GRANULES_PER_PAGE: usize = PAGE / GRANULE;
/// Granules in a block.
pub const GRANULES_PER_BLOCK: usize = BLOCK / GRANULE;
/// Pages in a block.
pub const PAGES_PER_BLOCK: usize = BLOCK / PAGE;

const _: () = assert!(GRANULE.is_power_of_two() && PAGE.is_power_of_two() && BLOCK.is_power_of_two());
const _: () = assert!(2 * MAX_LIMIT / PAGE < u32::MAX as usize);
const _: () = assert!(LARGE_THRESHOLD <= BLOCK / 4, "a medium object must leave an overflow block mostly usable");

/// Rounds `n` up to a multiple of `to`, a power of two.
pub const fn round_up(n: usize, to: usize) -> usize {
    (n + to - 1) & !(to - 1)
}
