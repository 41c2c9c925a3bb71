//! Memory that a mechanism tracks, for the benches of barriers: 16 MB, all of which has memory behind it.

use std::ops::Range;
use std::time::{Duration, Instant};

use pagemark_gc::barrier::{self, Barrier, Mechanism};
use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::{Backing, Mapping};
use pagemark_gc::sys::kernel::Kernel;

/// How many pages there are.
pub const PAGES: usize = 4096;

/// One mechanism on one backing.
pub struct Tracked {
    /// Dropped before the memory it tracks.
    barrier: Box<dyn Barrier>,
    mapping: Mapping,
}

impl Tracked {
    /// Calls `bench` with each mechanism that works here on each backing, and its name.
    pub fn each(mut bench: impl FnMut(&str, &Tracked)) {
        for backing in Backing::ALL {
            for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
                let mapping = Mapping::new(*backing, PAGES * PAGE, "bench").expect("16 MB");
                let range = mapping.range();
                match barrier::open(mechanism, *backing, std::slice::from_ref(&range), &Kernel::real()) {
                    Ok(opened) => {
                        let tracked = Tracked { barrier: opened.barrier, mapping };
                        tracked.rewrite();
                        bench(&format!("{mechanism}/{backing}"), &tracked);
                    }
                    Err(error) => eprintln!("left out: {error}"),
                }
            }
        }
    }

    fn range(&self) -> Range<usize> {
        self.mapping.range()
    }

    /// Writes to one in `stride` pages, in the order of addresses.
    pub fn write(&self, stride: usize) {
        for page in self.range().step_by(stride * PAGE) {
            // SAFETY: the page is mapped and nobody else uses it; a fault is resolved by the mechanism.
            unsafe { (page as *mut u64).write_volatile(1) };
        }
    }

    /// Makes all pages writable, and writes to each.
    pub fn rewrite(&self) {
        self.barrier.disarm(self.range()).expect("it can be made writable");
        self.write(1);
    }

    /// What a cycle does at its start and in each round: finds the written pages and arms them. How many they were.
    pub fn take_and_arm(&self) -> usize {
        let mut written = 0;
        self.barrier.take_and_arm(self.range(), &mut |run| written += run.len() / PAGE).expect("it can be armed");
        written
    }
}

/// What each of `parts` takes of `work`, done `iterations` times with `before` before it.
pub fn each_takes(iterations: u64, parts: usize, before: impl Fn(), work: impl Fn()) -> Duration {
    let once = || {
        before();
        let clock = Instant::now();
        work();
        clock.elapsed()
    };
    (0..iterations).map(|_| once()).sum::<Duration>() / parts as u32
}
