//! `fork`: two processes go on from the same heap, and each must be right.
//!
//! The parent goes on with all its lanes. In the child only the lane that forked is left: what other lanes' threads
//! held is garbage there, and objects of other lanes that are still reachable never change again. Their shadows are
//! copies of what other threads were holding locks on, so the child does without: it walks the heap by the objects'
//! own headers, compares its own objects with their shadows on the way, and then knows what two full cycles must have
//! marked. It goes on with its operations for a while, does the same again, and ends; the parent waits for it as for
//! any blocking call.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use pagemark::{ForkError, Forked};

use super::input::Input;
use super::lane::{Place, Runner};
use super::program::ROOTS;
use super::roots::ALL_SHARED;

/// Operations that a child executes before it ends.
const OPS_OF_A_CHILD: usize = 200;

impl Runner<'_> {
    /// Forks, and returns in the parent only.
    pub fn fork(&mut self) {
        if !self.world.forks.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: what the child uses that other threads might have been changing is the heap, which `fork` looks
        // after, and the global roots, whose lock nobody holds who is stopped at a safepoint; the C library makes its
        // allocator usable in the child.
        match unsafe { self.mutator.fork() } {
            Ok(Forked::Parent { child }) => self.wait_for(child),
            Ok(Forked::Child) => self.live_as_child(),
            // No more processes to be had: a program has to live with that.
            Err(ForkError::Fork(_)) => {}
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn wait_for(&mut self, child: libc::pid_t) {
        self.lane.counts.forks += 1;
        let mut status = 0;
        let waited = self.mutator.blocking(|| {
            // SAFETY: waits for our own child.
            unsafe { libc::waitpid(child, &mut status, 0) }
        });
        if waited != child || status != 0 {
            self.fail(&format!("the forked process {child} ended with wait status {status:#x}; see above"));
        }
    }

    fn live_as_child(&mut self) -> ! {
        self.world.forks.store(false, Ordering::Relaxed);
        // The pipe and the file are still the parent's too.
        match Input::new() {
            Ok(input) => self.lane.input = input,
            Err(error) => self.fail(&format!("a forked process cannot open a pipe: {error}")),
        }
        self.check_alone();
        let (phase, next) = self.lane.at;
        let ops: Vec<_> = self.lane.phases[phase].iter().skip(next).take(OPS_OF_A_CHILD).copied().collect();
        for op in ops {
            self.op = op;
            if self.execute().is_some() {
                break;
            }
        }
        self.check_alone();
        // SAFETY: always sound. Exit handlers are for threads that are not here.
        unsafe { libc::_exit(0) }
    }

    /// The heap against itself and what this lane knows of it, where no other thread changes anything.
    fn check_alone(&mut self) {
        self.mutator.collect();
        self.mutator.collect();
        let failures = self.world.heap.summary().verify_failures;
        if failures > 0 {
            self.fail(&format!("in a forked process the collector's own checks failed {failures} times; see above"));
        }
        let mut pending: Vec<Place> = (0..ROOTS as u8).filter_map(|root| self.root_exactly(root)).collect();
        for root in 0..ALL_SHARED as u8 {
            let object = self.world.shared.get(root);
            pending.extend(self.shared(root, object));
        }
        let mut seen = HashSet::new();
        let mut bytes = 0;
        while let Some(place) = pending.pop() {
            if !seen.insert(place.addr) {
                continue;
            }
            bytes += place.header.occupied() as u64;
            if self.owns(place) {
                self.inspect(place);
            }
            pending.extend((0..place.header.slots()).filter_map(|slot| self.slot(place, slot)));
        }
        self.world.last.must_be((seen.len() as u64, bytes));
    }
}
