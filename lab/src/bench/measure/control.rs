//! The machine's own stalls: how late a thread that only sleeps is woken. On a shared machine a worst case means
//! something only beside this one, of the same run.
//!
//! Every few naps the same thread also looks at the memory of the process ([`super::memory`]), after it has read the
//! clock, so that this is never part of a lateness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cpu::Usage;
use super::memory::{Memory, Samples};
use super::quantiles::{Quantiles, histogram, record};

const NAP: Duration = Duration::from_millis(1);
/// Naps from one look at the memory to the next.
const NAPS_PER_SAMPLE: u32 = 5;

/// A thread that sleeps a millisecond at a time and notes how late it wakes.
pub struct Control {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

/// What the thread saw, and what it cost.
pub struct Observed {
    /// How late it was woken.
    pub late: Quantiles,
    /// The memory of the process.
    pub memory: Memory,
    /// Its own processor time, which is nobody's in the run.
    pub usage: Usage,
}

impl Control {
    /// Starts the thread.
    pub fn start() -> Control {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || observe(&stopped));
        Control { stop, thread }
    }

    /// Ends it.
    pub fn finish(self) -> Observed {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the control thread only sleeps")
    }
}

fn observe(stopped: &AtomicBool) -> Observed {
    let mut late = histogram();
    let mut samples = Samples::default();
    samples.take();
    let mut naps = 0;
    while !stopped.load(Ordering::Relaxed) {
        let start = Instant::now();
        std::thread::sleep(NAP);
        record(&mut late, start.elapsed().saturating_sub(NAP).as_nanos() as u64);
        naps += 1;
        if naps % NAPS_PER_SAMPLE == 0 {
            samples.take();
        }
    }
    samples.take();
    Observed { late: Quantiles::of(&late), memory: samples.memory(), usage: Usage::of_thread() }
}
