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

use std::sync::Arc;

use userfaultfd::Uffd;

use super::armed_bits::ArmedBits;
use super::fault_table::{self, Registration, Resolver};
use super::registration;
use super::stripes::FaultCounter;
use super::{Barrier, PageRange, signals, too_many_heaps};
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
    uffd: Uffd,
    bits: ArmedBits,
    faults: FaultCounter,
    skips_unpopulated: bool,
}

impl Sigbus {
    pub fn open(
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(Sigbus, Option<String>), BarrierError> {
        let registered = registration::register(NAME, uffd::FEATURE_SIGBUS, backing, ranges, kernel)?;
        let shared = Arc::new(Shared {
            uffd: registered.uffd,
            bits: ArmedBits::new(ranges).map_err(|e| BarrierError::tables(NAME, e))?,
            faults: FaultCounter::default(),
            skips_unpopulated: registered.skips_unpopulated,
        });
        signals::install(libc::SIGBUS).map_err(|e| BarrierError::kernel(NAME, "sigaction(2)", e))?;
        let registration = fault_table::register(libc::SIGBUS, shared.clone()).ok_or_else(|| too_many_heaps(NAME))?;
        Ok((Sigbus { _registration: registration, shared }, registered.warning))
    }
}

impl Resolver for Shared {
    fn resolve(&self, address: usize) -> bool {
        let page = address & !(PAGE - 1);
        if self.bits.tracked_range(page).is_none() || !self.faults.count(self.bits.is_armed(page)) {
            return false;
        }
        let pages = page..page + PAGE;
        // Nobody waits for a page in this mode.
        let unprotected = uffd::unprotect(&self.uffd, pages.clone(), Waiters::LeaveAsleep).is_ok();
        if unprotected {
            self.bits.clear(&pages);
        }
        unprotected
    }
}

impl Barrier for Sigbus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        arm_written(NAME, &self.shared.uffd, &self.shared.bits, self.shared.skips_unpopulated, range, written)
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        disarm(NAME, &self.shared.uffd, &self.shared.bits, range)
    }

    fn faults(&self) -> Option<u64> {
        Some(self.shared.faults.sum())
    }
}

/// The common part of `sync` and `sigbus`: arms the written pages of a range, a run at a time, and reports each run once it is
/// protected.
pub(super) fn arm_written(
    mechanism: &'static str,
    uffd: &Uffd,
    bits: &ArmedBits,
    skips_unpopulated: bool,
    range: PageRange,
    written: &mut dyn FnMut(PageRange),
) -> Result<(), BarrierError> {
    bits.arm_written(range, |run| {
        if skips_unpopulated {
            registration::touch(&run);
        }
        if let Err(error) = uffd::protect(uffd, run.clone()) {
            // Part of the run may be protected. A page that stays so by another error costs a fault and loses nothing.
            let _ = uffd::unprotect(uffd, run, Waiters::Wake);
            return Err(BarrierError::kernel(mechanism, "ioctl(UFFDIO_WRITEPROTECT)", error));
        }
        written(run);
        Ok(())
    })
}

/// The common part of `sync` and `sigbus`: makes a range written, in the order of a fault.
pub(super) fn disarm(
    mechanism: &'static str,
    uffd: &Uffd,
    bits: &ArmedBits,
    range: PageRange,
) -> Result<(), BarrierError> {
    if bits.any_armed(&range) {
        let result = uffd::unprotect(uffd, range.clone(), Waiters::Wake);
        // Also after an error: a page that stays protected with its bit clear faults once and loses nothing.
        bits.clear(&range);
        result.map_err(|error| BarrierError::kernel(mechanism, "ioctl(UFFDIO_WRITEPROTECT)", error))?;
    }
    Ok(())
}
