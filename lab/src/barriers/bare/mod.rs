//! The same mechanisms without the collector: the fewest system calls that see a first write to a page, and nothing that makes them safe.
//!
//! What is missing against the collector's: any order between writers and the one that arms, which here never run at the same time;
//! retries; a table of heaps that handlers look in, and the chain to other handlers; looking after descriptors that somebody closed. What is left is what
//! the kernel takes, so the difference is what the collector adds.
//!
//! | | a write is let through by | how written pages are found |
//! |---|---|---|
//! | `async` ([`asynchronous`]) | the kernel | `PAGEMAP_SCAN`, which arms them as well |
//! | `sync` ([`fault_thread`]) | a thread that polls, reads, and unprotects | a bit a page, set by that thread |
//! | `sigbus`, `mprotect` ([`signals`]) | a handler that unprotects the page | a bit a page, set by the handler |

mod asynchronous;
mod fault_thread;
mod signals;
mod written;

use std::ops::Range;

use pagemark_gc::barrier::Mechanism;
use pagemark_gc::memory::{Backing, Mapping};

use super::subject::{Failure, Subject};
use crate::semantics::errno::Errno;
use crate::semantics::uffd::{self, Uffd};

/// Opens the bare program of a mechanism, all of whose pages are writable.
///
/// # Errors
/// Where the kernel refuses; and for a mechanism that arms no pages.
pub fn open(mechanism: Mechanism, mapping: &Mapping) -> Result<Box<dyn Subject>, Failure> {
    Ok(match mechanism {
        Mechanism::Async => Box::new(asynchronous::Asynchronous::open(mapping)?),
        Mechanism::Sync => Box::new(fault_thread::FaultThread::open(mapping)?),
        Mechanism::Sigbus => Box::new(signals::Signals::open(signals::Unprotect::Uffd, mapping)?),
        Mechanism::Mprotect => Box::new(signals::Signals::open(signals::Unprotect::Mprotect, mapping)?),
        Mechanism::Auto | Mechanism::Cards | Mechanism::Stop | Mechanism::None => {
            return Err(format!("{mechanism} arms no page").into());
        }
    })
}

/// What the bare program of a mechanism does for each kind of row.
pub fn describe(mechanism: Mechanism, what: &str) -> &'static str {
    match (mechanism, what) {
        (Mechanism::Async, "first-write") => "a write that the kernel lets through (WP_ASYNC)",
        (Mechanism::Sync, "first-write") => {
            "a thread polls, reads the event, unprotects the page with UFFDIO_WRITEPROTECT, which wakes the writer, and sets a bit"
        }
        (Mechanism::Sigbus, "first-write") => {
            "a SIGBUS handler unprotects the page with UFFDIO_WRITEPROTECT and sets a bit"
        }
        (Mechanism::Mprotect, "first-write") => "a SIGSEGV handler unprotects the page with mprotect and sets a bit",
        (Mechanism::Mprotect, "arm") => "mprotect of the whole range",
        (_, "arm") => "UFFDIO_WRITEPROTECT of the whole range",
        (Mechanism::Async, _) => "PAGEMAP_SCAN that also protects what it reports",
        (Mechanism::Mprotect, _) => "a look at a bit a page, mprotect of each run of written ones",
        (_, _) => "a look at a bit a page, UFFDIO_WRITEPROTECT of each run of written ones",
    }
}

/// A descriptor with these features that has the whole mapping.
fn register(features: u64, mapping: &Mapping) -> Result<Uffd, Errno> {
    let shared = if mapping.backing() == Backing::Shmem { uffd::FEATURE_WP_HUGETLBFS_SHMEM } else { 0 };
    let descriptor = Uffd::open(false).or_else(|_| Uffd::open(true))?;
    descriptor.enable(features | uffd::FEATURE_WP | shared)?;
    descriptor.register(mapping.base(), mapping.range().len(), uffd::REGISTER_WP)?;
    Ok(descriptor)
}

/// Arms a range, or makes it writable.
fn protect(descriptor: &Uffd, range: &Range<usize>, armed: bool) -> Result<(), Errno> {
    descriptor.write_protect(range.start, range.len(), if armed { uffd::PROTECT } else { 0 })
}
