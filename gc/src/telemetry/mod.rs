//! What the collector tells about itself.
//!
//! Three consumers, three forms of the same facts, each made from the one before:
//!
//! 1. An [`EventListener`] hears each step as it is over. It serves whoever draws a timeline (`trace`, with the key of that name) or provokes
//!    a race at a given step; nobody listens by default.
//! 2. A [`CycleReport`] is what a cycle leaves behind: plain data and one log line.
//! 3. [`Stats`] adds the reports up over the life of a heap, and a [`Summary`] is its state at one moment, as one line
//!    of JSON: what a benchmark reads.
//!
//! Beside them, an [`AllocationSampler`] hears of one allocation in so many bytes: what a profile of allocation sites is made of.
//!
//! Nothing here is called from an allocation that finds room, a safepoint that finds nothing to do, or a write fault.

mod events;
mod report;
mod sampling;
mod stats;
mod summary;
mod trace;

pub use events::{
    CycleKind, CycleStart, EventListener, HeapCreated, MutatorStop, Reason, Round, StallCause, StopCause,
};
pub use report::{CycleReport, Phases, Watched};
pub use sampling::AllocationSampler;
pub use stats::Stats;
pub use summary::{Distribution, Summary};
pub(crate) use trace::Trace;
