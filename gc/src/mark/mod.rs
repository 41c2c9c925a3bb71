//! Marking: from grey addresses to "everything reachable carries the colour".
//!
//! [`tracer`] holds one worker's private state: a prefetch ring in front of a mark stack. [`item`] says what the entries of a stack
//! are. [`team`] runs several workers, shares work between them and decides when there is none left.

pub mod item;
pub mod team;
pub mod tracer;
