//! `sigbus`: the writing thread resolves its own fault, in a `SIGBUS` handler.
//!
//! The tracked ranges are registered with a userfaultfd in `UFFD_FEATURE_SIGBUS` mode. A write to a protected page
//! sends the writing thread `SIGBUS`; the handler unprotects the page through the descriptor, clears its armed bit, and
//! returns to the instruction, which now succeeds. No other thread is involved, so a fault costs 2 to 3 µs where `sync`
//! costs 60.
//!
//! The price is that the kernel cannot send itself a signal: a system call that stores into an armed page, `read(2)`
//! into a tracked object, fails with `EFAULT`; and a signal frame pushed on an armed stack kills the process.
//!
//! The order of the steps, unprotect and then clear, is argued in [`armed_bits`](super::armed_bits). In the pause no
//! handler can be between them: it runs on a mutator, holds back all signals, and a mutator reaches its safepoint only
//! after the handler returned. (A mutator that the pause does not wait for, because it is in foreign code, must not
//! write to tracked memory there.) So there is nothing to settle.
//!
//! A handler whose request fails cannot give up, the mutator must proceed. Where the kernel is short of memory it tries
//! again for a second ([`patience`](super::patience)); then it says why on standard error, and the process dies of the fault.

use std::sync::Arc;

use super::fault_table::{self, Registration, Resolver};
use super::protector::Protector;
use super::stripes::FaultCounter;
use super::{Barrier, PageRange, patience, signals, too_many_heaps};
use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory::Backing;
use crate::sys::Kernel;
use crate::sys::uffd::{self, Waiters};

const NAME: &str = "sigbus";

#[derive(Debug)]
pub(super) struct Sigbus {
    /// Dropped first: no handler uses the rest after that.
    _registration: Registration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    protector: Protector,
    faults: FaultCounter,
}

impl Sigbus {
    pub fn open(
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(Sigbus, Option<String>), BarrierError> {
        let (protector, warning) = Protector::open(NAME, uffd::FEATURE_SIGBUS, backing, ranges, kernel)?;
        let shared = Arc::new(Shared { protector, faults: FaultCounter::default() });
        signals::install(libc::SIGBUS, kernel).map_err(|e| BarrierError::kernel(NAME, "sigaction(2)", e))?;
        let registration = fault_table::register(libc::SIGBUS, shared.clone()).ok_or_else(|| too_many_heaps(NAME))?;
        Ok((Sigbus { _registration: registration, shared }, warning))
    }
}

impl Resolver for Shared {
    fn resolve(&self, address: usize) -> bool {
        let page = address & !(PAGE - 1);
        let Protector { bits, uffd, kernel, .. } = &self.protector;
        if bits.tracked_range(page).is_none() {
            return false;
        }
        if !self.faults.count(page, bits.is_armed(page)) {
            patience::give_up("SIGBUS in a page of the heap that is not armed", 0);
            return false;
        }
        let pages = page..page + PAGE;
        // Nobody waits for a page in this mode.
        let result = patience::with(|| uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep));
        match result {
            // Somebody closed the descriptor. The kernel drops all protection then, and reports fail from now on, so nothing
            // is lost by trying again. Should the page fault all the same, it is one that is not armed.
            Ok(()) | Err(libc::EBADF | libc::ENOTTY) => {
                bits.clear(&pages);
                true
            }
            Err(errno) => {
                patience::give_up("ioctl(UFFDIO_WRITEPROTECT) on an armed page of the heap failed", errno);
                false
            }
        }
    }
}

impl Barrier for Sigbus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        self.shared.protector.take_and_arm(range, written)
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        self.shared.protector.disarm(range)
    }

    fn released(&self, range: PageRange) {
        self.shared.protector.released(range);
    }

    fn restart_in_child(&self) -> Result<(), BarrierError> {
        // The handler and the table it looks in are the child's as they were the parent's, but for the visits of threads that are not there.
        fault_table::restart_in_child();
        self.shared.protector.restart_in_child()
    }

    fn faults(&self) -> Option<u64> {
        Some(self.shared.faults.sum())
    }
}
