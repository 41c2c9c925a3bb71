//! What a mechanism costs here: a first write to an armed page, arming a page, and looking at a page that was not written.
//!
//! Measured through the interface the collector uses, on a few megabytes, round after round until the time is up; of each the
//! median is told, since a busy machine only ever makes a round slower. A small mapping is kind to caches and page tables, and one
//! thread meets no other: the figures compare mechanisms on one machine, and are lower bounds for a large heap with many threads.

use std::ops::Range;
use std::time::{Duration, Instant};

use pagemark_gc::barrier::Barrier;
use pagemark_gc::error::BarrierError;
use pagemark_gc::layout::PAGE;

/// Pages of the mapping that is measured on.
pub const PAGES: usize = 1024;

/// One in so many pages is written in a round.
const STRIDE: usize = 4;

/// Rounds there are at least, whatever the time.
const LEAST_ROUNDS: usize = 3;

/// Medians, in nanoseconds.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Cost {
    /// The first write to an armed page.
    pub first_write_ns: f64,
    /// Arming a page that was written, one of many in one call.
    pub arm_page_ns: f64,
    /// Finding that an armed page was not written.
    pub scan_clean_page_ns: f64,
    /// How many rounds the medians are of.
    pub rounds: usize,
}

/// Measures on `range`, which the barrier tracks and which holds nothing, for about as long as `time`.
pub fn measure(barrier: &dyn Barrier, range: &Range<usize>, time: Duration) -> Result<Cost, BarrierError> {
    let start = Instant::now();
    let pages = range.len() / PAGE;
    let (mut first_write, mut arm, mut scan) = (Vec::new(), Vec::new(), Vec::new());
    while start.elapsed() < time || arm.len() < LEAST_ROUNDS {
        barrier.disarm(range.clone())?;
        write(barrier, range, 1);
        barrier.settle();
        arm.push(timed(pages, || barrier.take_and_arm(range.clone(), &mut |_| {}))?);
        scan.push(timed(pages, || barrier.take_and_arm(range.clone(), &mut |_| {}))?);
        first_write.push(timed(pages / STRIDE, || {
            write(barrier, range, STRIDE);
            Ok(())
        })?);
    }
    let rounds = arm.len();
    Ok(Cost { first_write_ns: median(first_write), arm_page_ns: median(arm), scan_clean_page_ns: median(scan), rounds })
}

/// Nanoseconds that `work` takes for each of `parts`.
fn timed(parts: usize, work: impl FnOnce() -> Result<(), BarrierError>) -> Result<f64, BarrierError> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_nanos() as f64 / parts as f64)
}

/// Writes to one in `stride` pages, as a mutator does.
fn write(barrier: &dyn Barrier, range: &Range<usize>, stride: usize) {
    let cards = barrier.cards();
    for page in range.clone().step_by(stride * PAGE) {
        // SAFETY: the page is mapped and holds nothing; what a write to it does while it is armed, the barrier resolves.
        unsafe { (page as *mut u8).write_volatile(1) };
        if let Some(cards) = &cards {
            // SAFETY: the address is tracked by this barrier, which is alive.
            unsafe { cards.mark(page) };
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(vec![9.0, 1.0, 100.0]), 9.0);
    }
}
