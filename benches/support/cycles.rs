//! What the last cycle of a heap reported, for the benches of a cycle's phases.

use std::sync::{Arc, Mutex, PoisonError};

use pagemark::telemetry::{CycleReport, EventListener};
use pagemark::typed::{Heap, Mutator};

/// Keeps the report of the last cycle.
pub struct LastCycle(Mutex<CycleReport>);

impl EventListener for LastCycle {
    fn cycle_ended(&self, report: &CycleReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report.clone();
    }
}

impl LastCycle {
    /// Of this heap from now on.
    pub fn of(heap: &Heap) -> Arc<LastCycle> {
        let last = Arc::new(LastCycle(Mutex::default()));
        heap.raw().add_listener(last.clone());
        last
    }

    /// Runs a cycle and answers its report.
    pub fn run(&self, mutator: &mut Mutator) -> CycleReport {
        mutator.collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
