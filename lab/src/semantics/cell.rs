//! The three coordinates of the matrix: what is tried, on which memory, with which kind of userfaultfd.
//!
//! A *cell* is one case on one backing in one mode. Names in this file are part of the output format and do not
//! change: tables of different kernels and different versions of the tool are compared by them.

use super::facts::Facts;
use super::uffd;

/// What kind of memory is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Private anonymous memory in 4 KB pages.
    Anon,
    /// A memfd, mapped shared.
    MemfdShared,
    /// A memfd, mapped private.
    MemfdPrivate,
    /// Shared anonymous memory, which is a nameless file of shmem.
    SharedAnon,
    /// Private anonymous memory in huge pages.
    ThpAnon,
    /// A shared memfd in huge pages.
    ThpShmem,
    /// Private memory of hugetlbfs.
    Hugetlb,
}

/// What kind of userfaultfd tracks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A fault waits for a thread that reads the descriptor.
    Sync,
    /// The same with `UFFD_USER_MODE_ONLY`.
    SyncUser,
    /// A fault is a `SIGBUS`.
    Sigbus,
    /// The kernel resolves the fault; `PAGEMAP_SCAN` tells.
    Async,
    /// The same with `UFFD_USER_MODE_ONLY`.
    AsyncUser,
}

use Backing::*;
use Mode::*;

/// Every backing.
pub const BACKINGS: &[Backing] = &[Anon, MemfdShared, MemfdPrivate, SharedAnon, ThpAnon, ThpShmem, Hugetlb];
/// Those whose smallest unit is a 4 KB page from the beginning.
pub const SMALL: &[Backing] = &[Anon, MemfdShared, MemfdPrivate, SharedAnon];
/// Those whose memory other mappings of the same file share.
pub const SHARED: &[Backing] = &[MemfdShared, SharedAnon, ThpShmem];
/// Those that are a file descriptor.
pub const FILES: &[Backing] = &[MemfdShared, MemfdPrivate, ThpShmem];
/// Those in huge pages that the kernel may split.
pub const THP: &[Backing] = &[ThpAnon, ThpShmem];
/// Every mode.
pub const MODES: &[Mode] = &[Sync, SyncUser, Sigbus, Async, AsyncUser];
/// Modes in which a thread reads events.
pub const SYNC: &[Mode] = &[Sync, SyncUser];
/// Modes in which the kernel resolves write faults.
pub const ASYNC: &[Mode] = &[Async, AsyncUser];

impl Backing {
    /// The name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Anon => "anon",
            MemfdShared => "memfd-shared",
            MemfdPrivate => "memfd-private",
            SharedAnon => "shared-anon",
            ThpAnon => "thp-anon",
            ThpShmem => "thp-shmem",
            Hugetlb => "hugetlb",
        }
    }

    /// Whether other mappings of the same file see what is written.
    pub fn is_shared(self) -> bool {
        SHARED.contains(&self)
    }

    /// Whether the mapping is of no file at all.
    pub fn is_anonymous(self) -> bool {
        matches!(self, Anon | ThpAnon)
    }
}

impl Mode {
    /// The name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Sync => "sync",
            SyncUser => "sync-user",
            Sigbus => "sigbus",
            Async => "async",
            AsyncUser => "async-user",
        }
    }

    /// Whether the descriptor serves faults of user mode only.
    pub fn is_user_only(self) -> bool {
        matches!(self, SyncUser | AsyncUser)
    }

    /// Whether the kernel resolves write faults.
    pub fn is_async(self) -> bool {
        ASYNC.contains(&self)
    }

    /// How the first write to an armed page shows in this mode.
    pub fn seen(self) -> &'static str {
        match self {
            Sync | SyncUser => "event",
            Sigbus => "SIGBUS",
            Async | AsyncUser => "reported",
        }
    }

    /// How a write to a page that is not armed shows in this mode. `PAGEMAP_SCAN` calls such a page written whether
    /// or not it was.
    pub fn unarmed(self) -> &'static str {
        if self.is_async() { "was reported before" } else { "unseen" }
    }

    /// What a missing page shows as.
    pub fn missing(self) -> &'static str {
        if self == Sigbus { "SIGBUS" } else { "missing event" }
    }

    /// Features the mode is made of.
    pub fn features(self) -> u64 {
        match self {
            Sync | SyncUser => 0,
            Sigbus => uffd::FEATURE_SIGBUS,
            Async | AsyncUser => uffd::FEATURE_WP_ASYNC,
        }
    }
}

/// One case on one backing in one mode on one kernel.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The memory.
    pub backing: Backing,
    /// The descriptor.
    pub mode: Mode,
    /// The kernel.
    pub facts: &'a Facts,
}
