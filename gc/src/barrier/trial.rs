//! Before a heap trusts its mechanism: a few writes whose answers are known.
//!
//! That a kernel has a feature does not say that the feature works. Kernels before 6.2 grant write protection of shared memory and
//! lose it after `mprotect(2)`; a system call filter may answer a request with success and do nothing; a later kernel may have a
//! defect nobody knows yet. A mechanism that loses a write frees live objects, much later and far from the cause. So what a cycle relies on is
//! done once on the first pages of the heap's own range, before there is an object in it:
//!
//! 1. pages that were written are reported, and are armed by that;
//! 2. a page that is disarmed counts as written;
//! 3. a write to an armed page is reported, and its neighbours, which were not written, are not;
//! 4. the same again: a page is armed by the report that contains it;
//! 5. a write is also seen after `mprotect(2)` took the right to write and gave it back, which an embedder may do;
//! 6. memory that was disarmed and given back is new memory: a write to it is reported. (A hole in a file is punched without a report, which
//!    is why the heap disarms first.)
//!
//! What is written is zero, and the pages are disarmed and given back at the end, so nothing is left of it: the memory reads as zero
//! in any case. It costs a handful of faults: less than a tenth of a millisecond where the kernel or the writing thread resolves them, and not much more under `sync` unless the
//! machine is busy.
//!
//! A mechanism that fails is refused by an error that names the case of `pagemark semantics` which shows the kernel's behaviour by itself.
//! Cards are marked by the embedder, and `stop` and `none` see nothing, so there is nothing to try.

use super::{Barrier, PageRange};
use crate::error::BarrierError;
use crate::layout::PAGE;
use crate::memory::{Backing, Mapping};
use crate::sys::errno;

/// Pages the trial needs.
const PAGES: usize = 4;

/// Tries a barrier that was just opened, on the first pages of `range`, which hold nothing and lie in `mapping`.
///
/// # Errors
/// [`BarrierError::Unsound`] where a write is lost, and what the barrier answers where a call fails. [`BarrierError::Range`] where the
/// range is shorter than four pages, or was left without the right to write.
pub(super) fn run(barrier: &dyn Barrier, mapping: &Mapping, range: &PageRange) -> Result<(), BarrierError> {
    if barrier.cards().is_some() || !barrier.sees_writes() {
        return Ok(());
    }
    if range.len() < PAGES * PAGE {
        return Err(BarrierError::range(barrier.name(), range, "it is shorter than the four pages it is tried on"));
    }
    let trial = Trial { barrier, mapping, pages: range.start..range.start + PAGES * PAGE };
    let result = trial.steps();
    // Whatever happened: a page that is armed still would fault on an embedder's first write, and nobody may be there to resolve it.
    let disarmed = barrier.disarm(trial.pages.clone());
    // A refusal keeps the memory, which is zero; it is logged there.
    let _ = mapping.release(trial.pages.clone());
    result.and(disarmed)
}

struct Trial<'a> {
    barrier: &'a dyn Barrier,
    mapping: &'a Mapping,
    pages: PageRange,
}

/// Bit `n` stands for page `n`.
const ALL: u8 = (1 << PAGES) - 1;

impl Trial<'_> {
    fn steps(&self) -> Result<(), BarrierError> {
        let by_scan = self.barrier.name() == "async";
        let arming = if by_scan { "scan-fast" } else { "write-armed" };

        (0..PAGES).for_each(|page| self.write(page));
        self.expect(ALL, "a page that was written before it was armed", if by_scan { arming } else { "arm-twice" })?;

        self.barrier.disarm(self.pages.clone())?;
        self.expect(ALL, "a page that was made writable", "disarm")?;

        self.write(1);
        self.expect(1 << 1, "a write to an armed page", arming)?;

        self.write(1);
        self.write(2);
        self.expect(
            1 << 1 | 1 << 2,
            "a second write, after the page was armed again",
            if by_scan { arming } else { "write-twice" },
        )?;

        // The mechanism `mprotect` cannot bear it: the right to write is its barrier.
        if self.barrier.name() != "mprotect" {
            self.toggle()?;
            self.write(3);
            self.expect(1 << 3, "a write to an armed page after mprotect(2) and back", "mprotect-toggle-armed")?;
        }

        self.barrier.disarm(self.pages.clone())?;
        if self.mapping.release(self.pages.clone()).is_ok() {
            (0..PAGES).for_each(|page| self.write(page));
            let case = match self.mapping.backing() {
                Backing::Anon => "madvise-dontneed",
                Backing::Shmem => "fallocate-punch-hole",
            };
            self.expect(ALL, "a write to memory that was given back and used again", case)?;
        }
        Ok(())
    }

    /// Stores a zero in a page.
    fn write(&self, page: usize) {
        let address = self.pages.start + page * PAGE;
        // SAFETY: the page lies in the heap's range, which is mapped and readable, and nothing is in it yet; a write to it while it is
        // armed is what the barrier resolves.
        unsafe { (address as *mut u8).write_volatile(0) };
    }

    /// Takes a report, which must contain the pages of `expected`, and no others where the mechanism knows each page by itself.
    fn expect(&self, expected: u8, what: &'static str, case: &'static str) -> Result<(), BarrierError> {
        self.barrier.settle();
        let mut reported = 0u8;
        self.barrier.take_and_arm(self.pages.clone(), &mut |run| {
            for page in run.step_by(PAGE) {
                reported |= 1 << ((page - self.pages.start) / PAGE);
            }
        })?;
        // Where mappings run short, the handler of `mprotect` opens more than the page that was written.
        let exact = self.barrier.name() != "mprotect";
        let lost = expected & !reported != 0;
        if lost || exact && reported != expected {
            let outcome =
                if lost { "was not reported" } else { "was reported together with pages that were not written" };
            return Err(BarrierError::Unsound { mechanism: self.barrier.name(), what, outcome, case });
        }
        Ok(())
    }

    /// Takes the right to write from the pages, and gives it back.
    fn toggle(&self) -> Result<(), BarrierError> {
        let failed = |error| BarrierError::kernel(self.barrier.name(), "mprotect(2)", error);
        let kernel = self.mapping.kernel();
        kernel.mprotect(self.pages.clone(), false).map_err(failed)?;
        let mut back = kernel.mprotect(self.pages.clone(), true);
        if back.as_ref().is_err_and(|error| errno::of(error) == libc::ENOMEM) {
            back = kernel.mprotect(self.pages.clone(), true);
        }
        // Memory nobody can write to is no heap for any other mechanism either.
        back.map_err(|_| {
            BarrierError::range(self.barrier.name(), &self.pages, "mprotect(2) does not make it writable again")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::barrier::{self, Mechanism};
    use crate::sys::Kernel;

    /// A barrier that leaves a page out of one of its reports: what a kernel does that loses the write to it.
    struct Forgetful {
        barrier: Box<dyn Barrier>,
        /// The report, counted from 0, and the page in it.
        forgets: Option<(usize, usize)>,
        reports: AtomicUsize,
    }

    impl Barrier for Forgetful {
        fn name(&self) -> &'static str {
            self.barrier.name()
        }

        fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
            let report = self.reports.fetch_add(1, Ordering::Relaxed);
            let start = range.start;
            self.barrier.take_and_arm(range, &mut |run| {
                for page in run.step_by(PAGE) {
                    if self.forgets != Some((report, (page - start) / PAGE)) {
                        written(page..page + PAGE);
                    }
                }
            })
        }

        fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
            self.barrier.disarm(range)
        }

        fn settle(&self) {
            self.barrier.settle();
        }
    }

    /// Runs `check` on each mechanism that arms pages and works here, on both backings.
    fn each(forgets: Option<(usize, usize)>, check: impl Fn(Result<(), BarrierError>, Forgetful, &Mapping)) {
        for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
            for backing in Backing::ALL {
                let mapping = Mapping::new(*backing, 16 * PAGE, "pagemark test heap").expect("addresses");
                match barrier::open(mechanism, *backing, &[mapping.range()], &Kernel::real()) {
                    Ok(opened) => {
                        let barrier = Forgetful { barrier: opened.barrier, forgets, reports: AtomicUsize::new(0) };
                        check(run(&barrier, &mapping, &mapping.range()), barrier, &mapping);
                    }
                    Err(error) => eprintln!("skipped {mechanism} on {backing}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_mechanism_that_works_is_believed_and_leaves_no_trace() {
        each(None, |result, barrier, mapping| {
            let what = format!("{} on {}", barrier.name(), mapping.backing());
            result.unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut resident = [0u8; 16];
            // SAFETY: the range is mapped and there is a byte for each of its pages.
            assert_eq!(unsafe { libc::mincore(mapping.base() as *mut _, mapping.len(), resident.as_mut_ptr()) }, 0);
            assert!(resident.iter().all(|page| page & 1 == 0), "{what}: {resident:?}");
            for page in mapping.range().step_by(PAGE) {
                // SAFETY: the mapping is alive and nothing refers into it.
                unsafe {
                    assert_eq!(std::slice::from_raw_parts(page as *const u8, PAGE), [0; PAGE], "{what}");
                    (page as *mut u8).write_volatile(1);
                }
            }
            let faults = barrier.barrier.faults();
            let mut written = 0;
            barrier.take_and_arm(mapping.range(), &mut |run| written += run.len() / PAGE).expect("arming");
            assert_eq!((written, barrier.barrier.faults()), (16, faults), "{what}: all pages count as written");
        });
    }

    #[test]
    fn a_write_that_is_lost_is_named_with_the_case_that_shows_it() {
        for (report, page, scanning, others) in [
            (0, 0, "scan-fast", "arm-twice"),
            (1, 3, "disarm", "disarm"),
            (2, 1, "scan-fast", "write-armed"),
            (3, 1, "scan-fast", "write-twice"),
            (4, 3, "mprotect-toggle-armed", "mprotect-toggle-armed"),
        ] {
            each(Some((report, page)), |result, barrier, mapping| {
                let what = format!("{} on {}, report {report}", barrier.name(), mapping.backing());
                let error = result.expect_err(&what).to_string();
                let case = if barrier.name() == "async" { scanning } else { others };
                if barrier.name() == "mprotect" {
                    assert!(error.contains("SIGSEGV") && !error.contains("semantics"), "{what}: {error}");
                } else {
                    assert!(error.contains(&format!("--case {case}`")), "{what}: {error}");
                }
                assert!(error.contains("was not reported"), "{what}: {error}");
            });
        }
        each(Some((5, 2)), |result, barrier, mapping| {
            // `mprotect` has one report less.
            let case = match mapping.backing() {
                _ if barrier.name() == "mprotect" => return,
                Backing::Anon => "--case madvise-dontneed`",
                Backing::Shmem => "--case fallocate-punch-hole`",
            };
            let error = result.expect_err("lost").to_string();
            assert!(error.contains(case), "{error}");
        });
    }
}
