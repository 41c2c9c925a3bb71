//! Does memory grow? What a cycle leaks, thousands of cycles show.
//!
//! The program runs over and over, and before each meeting drops everything, so that every sample is taken with an
//! empty heap. What the process occupies then still varies: memory is given back a little later, by another thread.
//! So the largest sample of an early time is compared with the largest of the last.

use pagemark::Heap;
use serde::{Deserialize, Serialize};

use super::fail::fail;

/// Bytes by which a late sample may exceed an early one: a leak of less than half a kilobyte a cycle is not seen in
/// ten thousand cycles.
const SLACK: u64 = 4 << 20;

/// Memory, over the cycles of one heap.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Flatness {
    cycles: u64,
    /// The most that was in memory, and committed, in the early samples.
    early: Memory,
    /// The same, in the late ones.
    late: Memory,
    samples: u64,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, Debug)]
struct Memory {
    resident_bytes: u64,
    committed_bytes: u64,
}

impl Memory {
    fn now(heap: &Heap) -> Memory {
        const PAGE: u64 = 4096;
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        let Some(pages) = pages else { fail("/proc/self/statm does not say what is resident") };
        let pages: u64 = pages;
        Memory { resident_bytes: pages * PAGE, committed_bytes: heap.committed_bytes() }
    }

    fn raise(&mut self, other: Memory) {
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
        self.committed_bytes = self.committed_bytes.max(other.committed_bytes);
    }
}

impl Flatness {
    /// To be watched for so many cycles.
    pub fn new(cycles: u64) -> Flatness {
        Flatness { cycles, early: Memory::default(), late: Memory::default(), samples: 0 }
    }

    /// Takes a sample. True when there were enough cycles; then memory is flat, or this was the end of the run.
    pub fn sample(&mut self, heap: &Heap) -> bool {
        let (now, done) = (Memory::now(heap), heap.cycles());
        self.samples += 1;
        let part = done as f64 / self.cycles as f64;
        // The first twentieth warms up.
        if (0.05..0.25).contains(&part) {
            self.early.raise(now);
        } else if part >= 0.8 {
            self.late.raise(now);
        }
        if part < 1.0 {
            return false;
        }
        if self.early.resident_bytes == 0 {
            fail(&format!("{} cycles in {} samples are too few to tell whether memory grows", done, self.samples));
        }
        if self.late.resident_bytes > self.early.resident_bytes + SLACK
            || self.late.committed_bytes > self.early.committed_bytes + SLACK
        {
            fail(&format!("memory grew over {done} cycles: {self:?}"));
        }
        true
    }
}
