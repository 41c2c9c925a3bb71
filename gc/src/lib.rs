//! pagemark's collector: concurrent, parallel, non-moving, with the page table as write barrier.
//!
//! This crate knows addresses, objects and pages; it knows no language. What an embedder wants is the crate `pagemark`, which is built on this one.
//!
//! | room | what it does |
//! |---|---|
//! | [`memory`] | the reserved range a heap lives in, anonymous or shmem |
//! | [`barrier`] | how writes are seen: one trait, one file a mechanism |
//! | [`heap`] | blocks, metadata, allocation, large objects, sweeping, lookup |
//! | [`mark`] | the mark stack, the workers, termination |
//! | [`cycle`] | phases, rounds, the pause, pacing, handshakes |
//! | [`verify`] | a second, independent trace in the pause |
//! | [`mutator`], [`collector`], [`mod@fork`] | what an embedding layer calls |
//! | [`telemetry`], [`config`] | what is told, what can be set |
//! | `primitive` | atomics, locks and threads, real ones or loom's |
//! | [`sys`] | system calls |
//! | [`fatal`] | the last words |
//!
//! Arrows go up this table: `collector` uses everything, `memory` and `barrier` only `sys`.

#![cfg_attr(not(target_pointer_width = "64"), doc = "Only 64-bit machines are supported.")]

#[cfg(not(target_os = "linux"))]
compile_error!("pagemark stands on userfaultfd and PAGEMAP_SCAN, which only Linux has");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("pagemark reserves address ranges that need 64-bit addresses");

pub mod barrier;
pub mod collector;
pub mod config;
pub mod cycle;
pub mod error;
pub mod fatal;
pub mod fork;
pub mod heap;
pub mod layout;
pub mod mark;
pub mod memory;
pub mod model;
pub mod mutator;
mod primitive;
pub mod sys;
pub mod telemetry;
pub mod verify;
