//! Resident memory of the process: heap, tables beside it, mark stacks, and the program itself.
//!
//! Sampled every few milliseconds and at both ends of the measured part, so that a peak shorter than that can be missed.
//! What the kernel has as `VmHWM` would not miss it, but cannot be set back to zero when the measured part begins.

use serde::Serialize;

/// Resident memory while the workload ran, in bytes.
#[derive(Clone, Serialize)]
pub struct Memory {
    /// The most that was seen.
    pub peak_bytes: u64,
    /// The mean of all samples.
    pub mean_bytes: u64,
    /// How often somebody looked.
    pub samples: u64,
}

/// The samples so far.
#[derive(Default)]
pub struct Samples {
    peak: u64,
    sum: u64,
    count: u64,
}

impl Samples {
    /// Looks now. A look that fails is no sample.
    pub fn take(&mut self) {
        if let Some(bytes) = resident() {
            self.peak = self.peak.max(bytes);
            self.sum += bytes;
            self.count += 1;
        }
    }

    /// What was seen.
    pub fn memory(&self) -> Memory {
        Memory { peak_bytes: self.peak, mean_bytes: self.sum.checked_div(self.count).unwrap_or(0), samples: self.count }
    }
}

/// Resident bytes now: the second word of `/proc/self/statm`, in pages.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_seen() {
        let mut samples = Samples::default();
        samples.take();
        let before = samples.memory().peak_bytes;
        let block = vec![1u8; 64 << 20];
        samples.take();
        let after = samples.memory();
        assert!(after.peak_bytes >= before + (60 << 20), "{before} {}", after.peak_bytes);
        assert!(after.mean_bytes < after.peak_bytes && after.samples == 2);
        drop(std::hint::black_box(block));
    }
}
