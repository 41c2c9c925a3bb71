//! What is measured in every run, whatever the workload.
//!
//! | file | question | source |
//! |---|---|---|
//! | [`cpu`] | who used the processors: mutators, collector, and in each the kernel | `getrusage(2)` of threads and of the process |
//! | [`stalls`] | when did a mutator not run its program | clock around safepoints; steps that took long |
//! | [`steps`] | what do the ends of steps tell: quantiles, distribution, stalls seen | one reading of the clock a step |
//! | [`mmu`] | how much of a window of n ms was left to the program at worst | the intervals of [`stalls`] |
//! | [`latency`] | what would clients have seen that do not wait for each other | ends of steps |
//! | [`memory`] | how much memory | `/proc/self/statm`, sampled |
//! | [`control`] | how much of all that is the machine | a thread that only sleeps |
//! | [`quantiles`] | how durations are told | histograms |
//!
//! Wall time needs no file: it is from the moment all threads begin to the moment the last one has done its last step.
//! Pauses and times to stop are the collector's own count, in its summary.

pub mod control;
pub mod cpu;
pub mod latency;
pub mod memory;
pub mod mmu;
pub mod quantiles;
pub mod stalls;
pub mod steps;
