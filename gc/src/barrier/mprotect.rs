//! `mprotect`: the writing thread resolves its own fault, in a `SIGSEGV` handler.
//!
//! The oldest way, and the one every Unix has: armed pages are read-only. It needs no userfaultfd and no privilege, and
//! works where a container filters both. Like `sigbus` it cannot serve the kernel's own stores (`read(2)` into an armed
//! page: `EFAULT`), a fault costs 5 µs, and above all it costs mappings.
//!
//! *mapping* here: what `/proc/self/maps` shows as one line. The kernel keeps neighbouring pages with unlike protection in
//! different mappings, so every boundary between armed and written pages is one, and a process may have
//! `vm.max_map_count` of them, 65,530 by default. Past that `mprotect` fails with `ENOMEM`, and so does every other
//! `mmap` in the process. Two things keep that from hurting more than it must.
//! * Arming that fails gives up: the whole tracked range is made writable, which gives the mappings back, counts as
//!   written, and the caller gets an error that names the limit.
//! * A handler cannot give up, the mutator must proceed. Where one page cannot be made writable because that would
//!   split a mapping, it makes more pages writable, 16 times as many each try, up to the whole tracked range, which
//!   needs no split: the range's ends are boundaries already, or need none. All those pages then count as written.
//!
//! The same growth serves `disarm`. A try that fails may have made part of its pages writable, which still count as
//! armed; the next try covers them all, so the state is right again when the last one is done. If the last one fails too,
//! all its pages count as written whatever their protection: read-only and not armed costs a fault, writable and armed
//! would lose a write. A handler then waits and tries again, and dies with a word at last ([`patience`](super::patience)).
//!
//! The order of the steps is argued in [`armed_bits`](super::armed_bits), also for a growth that reaches into pages the
//! collector is just arming: they end up protected and written at worst. Nothing is to be settled in the pause, for the
//! reason given in [`sigbus`](super::sigbus).

use std::io;
use std::sync::Arc;

use super::armed_bits::ArmedBits;
use super::fault_table::{self, Registration, Resolver};
use super::stripes::FaultCounter;
use super::{Barrier, PageRange, patience, signals, too_many_heaps};
use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory;
use crate::sys::{Kernel, errno};

const NAME: &str = "mprotect";

#[derive(Debug)]
pub(super) struct Mprotect {
    /// Dropped first: no handler uses the rest after that.
    _registration: Registration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bits: ArmedBits,
    faults: FaultCounter,
    kernel: Kernel,
}

impl Mprotect {
    pub fn open(ranges: &[PageRange], kernel: &Kernel) -> Result<Mprotect, BarrierError> {
        let bits = ArmedBits::new(ranges, kernel).map_err(|e| BarrierError::tables(NAME, e))?;
        let shared = Arc::new(Shared { bits, faults: FaultCounter::default(), kernel: kernel.clone() });
        ranges.iter().for_each(|range| memory::no_huge_pages(kernel, range));
        signals::install(libc::SIGSEGV, kernel).map_err(|e| BarrierError::kernel(NAME, "sigaction(2)", e))?;
        let registration = fault_table::register(libc::SIGSEGV, shared.clone()).ok_or_else(|| too_many_heaps(NAME))?;
        Ok(Mprotect { _registration: registration, shared })
    }
}

impl Shared {
    /// Makes a range, which lies in one tracked range, writable and counts it as written, or a larger range where the limit on
    /// mappings wants it so. Async-signal-safe.
    fn open_up(&self, range: &PageRange) -> io::Result<()> {
        let Some(whole) = self.bits.tracked_range(range.start) else { return Ok(()) };
        let mut unit = PAGE;
        loop {
            let start = (range.start & !(unit - 1)).max(whole.start);
            let end = range.end.checked_next_multiple_of(unit).unwrap_or(usize::MAX).min(whole.end);
            match self.kernel.mprotect(start..end, true) {
                Ok(()) => {
                    self.bits.clear(&(start..end));
                    return Ok(());
                }
                Err(e) if errno::of(&e) == libc::ENOMEM && (start..end) != whole => unit = unit.saturating_mul(16),
                Err(e) => {
                    self.bits.clear(&(start..end));
                    return Err(e);
                }
            }
        }
    }
}

impl Resolver for Shared {
    fn resolve(&self, address: usize) -> bool {
        let page = address & !(PAGE - 1);
        if self.bits.tracked_range(page).is_none() {
            return false;
        }
        if !self.faults.count(page, self.bits.is_armed(page)) {
            patience::give_up("SIGSEGV in a page of the heap that is not armed", 0);
            return false;
        }
        let result = patience::with(|| self.open_up(&(page..page + PAGE)));
        if let Err(errno) = result {
            patience::give_up("mprotect(2) of an armed page of the heap failed", errno);
        }
        result.is_ok()
    }
}

impl Barrier for Mprotect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        let shared = &self.shared;
        let whole = shared.bits.tracked_range(range.start);
        shared.bits.arm_written(range, |run| match shared.kernel.mprotect(run.clone(), false) {
            Ok(()) => {
                written(run);
                Ok(())
            }
            Err(error) => {
                // Part of the run may be protected, and the process may have no mapping left for anything else.
                let _ = shared.open_up(whole.as_ref().unwrap_or(&run));
                Err(refused(error))
            }
        })
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        if !self.shared.bits.any_armed(&range) {
            return Ok(());
        }
        self.shared.open_up(&range).map_err(refused)
    }

    fn faults(&self) -> Option<u64> {
        Some(self.shared.faults.sum())
    }

    /// A fork copies the protection of private memory; but shared memory is mapped anew in the child, and all of it is writable. So
    /// all is made writable and counts as written. This splits no mapping: the ends of a tracked range are boundaries.
    fn restart_in_child(&self) -> Result<(), BarrierError> {
        fault_table::restart_in_child();
        for range in self.shared.bits.tracked_ranges() {
            if self.shared.bits.any_armed(&range) {
                self.shared.kernel.mprotect(range.clone(), true).map_err(refused)?;
                self.shared.bits.clear_all(&range);
            }
        }
        Ok(())
    }
}

impl Drop for Mprotect {
    fn drop(&mut self) {
        // The memory outlives its barrier: nobody would resolve a fault on it any more. The handler still stands by.
        for range in self.shared.bits.tracked_ranges() {
            if self.shared.bits.any_armed(&range) {
                let _ = self.shared.open_up(&range);
            }
        }
    }
}

fn refused(error: io::Error) -> BarrierError {
    if errno::of(&error) != libc::ENOMEM {
        return BarrierError::kernel(NAME, "mprotect(2)", error);
    }
    BarrierError::Unavailable {
        mechanism: NAME,
        cause: "mprotect(2) failed with ENOMEM: armed and written pages alternate so often that the process would need \
                more mappings than vm.max_map_count allows"
            .into(),
        remedy: "Raise vm.max_map_count (sysctl), use a smaller heap, or use another barrier: `async`, `sync` and `sigbus` need \
                 no mappings."
            .into(),
    }
}
