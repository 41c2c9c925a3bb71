//! Errors of memory and barrier: every refusal names its cause and what would help.
//!
//! A collector that cannot get what it was asked for has three honest answers: do something else and say so (`auto`
//! does that), refuse with a reason the reader can act on, or fail the one call that could not be served. It
//! never goes on as if nothing had happened: a barrier that silently sees no writes frees live objects.
//!
//! So there are two kinds of barrier error. `Unavailable` is a refusal: this mechanism cannot work here, because of a
//! missing privilege, an old kernel, a container's system call filter or a used-up limit; it carries the cause and the
//! remedy as sentences. `Kernel` is a system call that failed in a way nobody planned for: it carries the call and
//! its errno. Memory errors are built the same way.

use std::io;

use crate::barrier::PageRange;
use crate::sys::errno;

/// Why a barrier could not be opened, or could not do what it was asked.
///
/// After an error from a barrier's `take_and_arm` or `disarm` the pages of that range that were not reported count as
/// *written*; a collection in progress must finish with its mutators stopped and rescan them all.
#[derive(Debug, thiserror::Error)]
pub enum BarrierError {
    /// The mechanism cannot work here.
    #[error("barrier `{mechanism}` is not available: {cause}. {remedy}")]
    Unavailable {
        /// The mechanism that was asked for.
        mechanism: &'static str,
        /// What stands in its way.
        cause: String,
        /// What would help, as a sentence.
        remedy: String,
    },
    /// The mechanism opened, and loses writes: it failed the trial every heap makes.
    #[error("barrier `{mechanism}` is not sound here: {what} {outcome}. {}", shown_by(mechanism, case))]
    Unsound {
        /// The mechanism that was asked for.
        mechanism: &'static str,
        /// What was tried.
        what: &'static str,
        /// What happened.
        outcome: &'static str,
        /// The case of `pagemark semantics` that does the same with the kernel alone. It says nothing about `mprotect`.
        case: &'static str,
    },
    /// A system call failed in a way no refusal explains.
    #[error("barrier `{mechanism}`: {call} failed: {source}. {}", errno::remedy(call, errno::of(source)))]
    Kernel {
        /// The mechanism that made the call.
        mechanism: &'static str,
        /// The call, as its manual page names it.
        call: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The caller gave a range the mechanism cannot track.
    #[error("barrier `{mechanism}`: cannot track {start:#x}..{end:#x}: {why}")]
    Range {
        /// The mechanism that was asked for.
        mechanism: &'static str,
        /// First address of the range.
        start: usize,
        /// Address behind the range.
        end: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tables a mechanism keeps beside the heap could not be reserved.
    #[error("barrier `{mechanism}`: {source}")]
    Tables {
        /// The mechanism that was asked for.
        mechanism: &'static str,
        /// Why not.
        source: MemoryError,
    },
}

impl BarrierError {
    pub(crate) fn kernel(mechanism: &'static str, call: &'static str, source: io::Error) -> BarrierError {
        BarrierError::Kernel { mechanism, call, source }
    }

    pub(crate) fn range(mechanism: &'static str, range: &PageRange, why: &'static str) -> BarrierError {
        BarrierError::Range { mechanism, start: range.start, end: range.end, why }
    }

    pub(crate) fn tables(mechanism: &'static str, source: MemoryError) -> BarrierError {
        BarrierError::Tables { mechanism, source }
    }
}

/// Where to look for the cause of a lost write.
fn shown_by(mechanism: &str, case: &str) -> String {
    if mechanism == "mprotect" {
        return "Something else in this process handles SIGSEGV or changes the protection of the heap; find it, or use another \
                barrier."
            .into();
    }
    format!("`pagemark semantics --case {case}` shows what this kernel does. Use another barrier (`auto` chooses one).")
}

/// Why memory could not be reserved or given back.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// An address range could not be reserved.
    #[error("cannot reserve {bytes} bytes for {what}: {call} failed: {source}. {remedy}")]
    Reserve {
        /// What the range was for.
        what: String,
        /// Its size in bytes.
        bytes: usize,
        /// The call that failed, as its manual page names it.
        call: &'static str,
        /// What the kernel answered.
        source: io::Error,
        /// What would help, as a sentence.
        remedy: &'static str,
    },
    /// Memory could not be given back to the system.
    #[error("cannot give back {bytes} bytes at {start:#x}: {call} failed: {source}")]
    Release {
        /// First address of the range.
        start: usize,
        /// Its size in bytes.
        bytes: usize,
        /// The call that failed, as its manual page names it.
        call: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The caller gave a range that is empty, not page-aligned, or not part of the mapping.
    #[error("{start:#x}..{end:#x} is not a range of pages of this mapping")]
    Range {
        /// First address of the range.
        start: usize,
        /// Address behind the range.
        end: usize,
    },
}

/// A name that selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{given}`; choose one of: {choices}")]
pub struct UnknownName {
    /// What was being chosen: "barrier", "backing".
    pub what: &'static str,
    /// The name that was given.
    pub given: String,
    /// The names there are.
    pub choices: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_cause_and_remedy() {
        let error = BarrierError::Unavailable {
            mechanism: "async",
            cause: "this is Linux 6.1, and asynchronous write protection came with 6.7".into(),
            remedy: "Use a newer kernel, or `sync`.".into(),
        };
        let text = error.to_string();
        assert!(text.contains("`async`") && text.contains("6.7. Use a newer kernel"), "{text}");
    }

    #[test]
    fn a_kernel_error_keeps_its_errno() {
        let error = BarrierError::kernel("mprotect", "mprotect(2)", io::Error::from_raw_os_error(libc::ENOMEM));
        let source = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(libc::ENOMEM));
    }
}
