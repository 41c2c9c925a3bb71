//! Who wants to know where a program allocates.

/// Hears of some allocations: of those that contain one of the points that [`crate::heap::sampling`] strews over the bytes allocated.
///
/// It is called by the allocating thread, inside the allocation, so that the stack tells who allocates. It may not use the heap.
pub trait AllocationSampler: Send + Sync {
    /// A sample: an object of `bytes` bytes, as the heap counts them (whole granules; whole pages where the object is large).
    fn sampled(&self, bytes: usize);
}
