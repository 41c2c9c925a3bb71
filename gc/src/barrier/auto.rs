//! `auto`: the best mechanism that works here.
//!
//! `async` is transparent, cheapest and needs no privilege, so wherever the kernel has it, it is the one. `sync` comes
//! next: it too is transparent (with a full-privilege descriptor), and installs no signal handlers in a process that
//! may have its own. If that does not work either, marking stops the mutators. `sigbus` and `mprotect` are faster than
//! `sync` in some programs, but break system calls that store into the heap; they are for those who ask for them. Nor does `none` ever come into it: a program that
//! is not collected is a measurement, not a way out.
//!
//! Each refusal is kept, and the embedder is told once why it got what it got: a program that silently runs with long
//! pauses in a container, because of a line in a system call filter, is a program somebody will curse.

use super::{Mechanism, Opened};
use crate::error::BarrierError;

const CANDIDATES: [Mechanism; 3] = [Mechanism::Async, Mechanism::Sync, Mechanism::Stop];

/// The first candidate that `open` opens.
pub(super) fn choose(open: &dyn Fn(Mechanism) -> Result<Opened, BarrierError>) -> Result<Opened, BarrierError> {
    let mut refusals = Vec::new();
    for candidate in CANDIDATES {
        match open(candidate) {
            Ok(opened) if refusals.is_empty() => return Ok(opened),
            Ok(opened) => {
                let consequence = match candidate {
                    Mechanism::Stop => "marking stops the mutators",
                    _ => "write faults are resolved by a thread",
                };
                refusals.extend(opened.reason);
                let reason = format!("barrier `{candidate}` ({consequence}): {}", refusals.join("; "));
                return Ok(Opened { barrier: opened.barrier, reason: Some(reason) });
            }
            // A wrong range is wrong for every mechanism, and is the caller's to hear about.
            Err(error @ BarrierError::Range { .. }) => return Err(error),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    unreachable!("`stop` refuses nothing but wrong ranges")
}
