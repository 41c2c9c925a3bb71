//! What `sync` and `sigbus` have in common once they are open: a userfaultfd that protects, and a bit a page.
//!
//! Arming and disarming follow the order argued in [`armed_bits`](super::armed_bits). What is added here is what happens
//! when the kernel refuses.
//!
//! *Protecting a run fails half-way.* The run is made writable again and counts as written, so the part that was
//! protected is not believed to be armed; and the caller is told, because what it has been reported so far is not all.
//! Should making it writable fail as well, some pages stay protected with their bits clear: a fault each, and nothing lost.
//!
//! *Making writable fails in `disarm`.* The same state, and as harmless.
//!
//! *Somebody closed our descriptor*, as programs do that close all they do not know before they start another. The
//! kernel then drops all protection, but the bits still say armed: writes would be lost in silence. So a report ends
//! with a request that does nothing (it wakes whoever waits for a page; nobody does, or it would fault again) and fails
//! where the descriptor is gone. The protection is dropped after the number is, so a report whose last request
//! succeeded had all of its pages protected to its end.

use userfaultfd::Uffd;

use super::armed_bits::ArmedBits;
use super::registration::{self, Registered};
use super::{BarrierError, PageRange};
use crate::layout::PAGE;
use crate::memory::Backing;
use crate::sys::Kernel;
use crate::sys::uffd::{self, Waiters};

#[derive(Debug)]
pub(super) struct Protector {
    mechanism: &'static str,
    pub uffd: Uffd,
    pub bits: ArmedBits,
    pub kernel: Kernel,
    skips_unpopulated: bool,
    features: u64,
    backing: Backing,
}

impl Protector {
    /// Opens a descriptor with `features` and registers the ranges with it; no page is armed. And what the embedder should hear about it.
    pub fn open(
        mechanism: &'static str,
        features: u64,
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(Protector, Option<String>), BarrierError> {
        let Registered { uffd, skips_unpopulated, warning } =
            registration::register(mechanism, features, backing, ranges, kernel)?;
        let bits = ArmedBits::new(ranges, kernel).map_err(|e| BarrierError::tables(mechanism, e))?;
        let protector =
            Protector { mechanism, uffd, bits, kernel: kernel.clone(), skips_unpopulated, features, backing };
        Ok((protector, warning))
    }

    /// In the child of a fork: a descriptor of its own under the number of the parent's, which handlers know, and no page armed.
    pub fn restart_in_child(&self) -> Result<(), BarrierError> {
        let ranges: Vec<PageRange> = self.bits.tracked_ranges().collect();
        let fresh = registration::register(self.mechanism, self.features, self.backing, &ranges, &self.kernel)?;
        self.kernel
            .replace_descriptor(&self.uffd, &fresh.uffd)
            .map_err(|error| BarrierError::kernel(self.mechanism, "dup3(2)", error))?;
        ranges.iter().for_each(|range| self.bits.clear_all(range));
        Ok(())
    }

    /// Arms the written pages of a range, a run at a time, and reports each run once it is protected.
    pub fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        if range.is_empty() {
            return Ok(());
        }
        self.bits.arm_written(range.clone(), |run| {
            if self.skips_unpopulated {
                registration::touch(&run);
            }
            if let Err(error) = uffd::protect(&self.kernel, &self.uffd, run.clone()) {
                let _ = uffd::unprotect(&self.kernel, &self.uffd, run, Waiters::Wake);
                return Err(BarrierError::kernel(self.mechanism, "ioctl(UFFDIO_WRITEPROTECT)", error));
            }
            written(run);
            Ok(())
        })?;
        uffd::wake(&self.kernel, &self.uffd, &(range.start..range.start + PAGE))
            .map_err(|error| BarrierError::kernel(self.mechanism, "ioctl(UFFDIO_WAKE)", error))
    }

    /// Makes a range written, in the order of a fault.
    pub fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        if !self.bits.any_armed(&range) {
            return Ok(());
        }
        let result = uffd::unprotect(&self.kernel, &self.uffd, range.clone(), Waiters::Wake);
        self.bits.clear(&range);
        result.map_err(|error| BarrierError::kernel(self.mechanism, "ioctl(UFFDIO_WRITEPROTECT)", error))
    }

    /// The pages of a range have no memory any more. With it went the protection of anonymous memory; a memfd's page keeps it, and so does one
    /// whose memory the kernel would not take. All are made writable before the bits are cleared: a page that is protected and not armed costs
    /// a fault that nobody needs. If that fails, they cost it.
    pub fn released(&self, range: PageRange) {
        let _ = self.disarm(range);
    }
}
