//! `async`: the kernel notes which pages were written.
//!
//! The tracked ranges are registered with a userfaultfd in `WP_ASYNC` mode. A write to a protected page still faults,
//! but the kernel resolves it by itself, in under a microsecond: it drops the protection and lets the write happen.
//! There is no event, no signal, no thread. The page table entry is the record, and `PAGEMAP_SCAN` reads it: an entry
//! that is not protected was written. (Hence "a page never touched counts as written": it has no entry.)
//!
//! Reading and re-arming are one step in the kernel, under the page table's lock, so nothing is needed here to keep
//! writes from falling in between: see [`sys::pagemap`](crate::sys::pagemap). Nor is there anything to settle in the
//! pause: when a mutator's write instruction is done, so is the fault it took.
//!
//! Because the kernel also resolves its own faults this way, `read(2)` into an armed page, a signal frame pushed on
//! one, or a futex in one work as ever. That makes this the only mechanism that is transparent, and it needs no
//! privilege.
//!
//! The descriptor is only kept open: closing it ends the tracking.

use std::os::fd::AsRawFd;

use userfaultfd::Uffd;

use super::registration::{self, Registered};
use super::{Barrier, PageRange};
use crate::error::BarrierError;
use crate::memory::Backing;
use crate::sys::pagemap::Pagemap;
use crate::sys::uffd::{self, Waiters};
use crate::sys::{Kernel, errno};

const NAME: &str = "async";

#[derive(Debug)]
pub(super) struct AsyncWp {
    uffd: Uffd,
    pagemap: Pagemap,
    backing: Backing,
    ranges: Box<[PageRange]>,
    kernel: Kernel,
}

impl AsyncWp {
    pub fn open(
        backing: Backing,
        ranges: &[PageRange],
        kernel: &Kernel,
    ) -> Result<(AsyncWp, Option<String>), BarrierError> {
        let Registered { uffd, warning, .. } =
            registration::register(NAME, uffd::FEATURE_WP_ASYNC, backing, ranges, kernel)?;
        let pagemap = Pagemap::open(kernel).map_err(|refused| {
            let (cause, remedy) = refused.explain(kernel);
            BarrierError::Unavailable { mechanism: NAME, cause, remedy }
        })?;
        Ok((AsyncWp { uffd, pagemap, backing, ranges: ranges.into(), kernel: kernel.clone() }, warning))
    }
}

impl Barrier for AsyncWp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn remembers_writes(&self) -> bool {
        // What is read is swapped in, and then told rightly.
        !registration::may_misread_swapped_pages(&self.kernel.release())
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        self.pagemap.take_written(range.clone(), written).map_err(|error| match errno::of(&error) {
            libc::EPERM => {
                BarrierError::range(NAME, &range, "it is not registered: mapped over, or the userfaultfd was closed")
            }
            _ => BarrierError::kernel(NAME, "ioctl(PAGEMAP_SCAN)", error),
        })
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        // Nobody ever waits for a page in this mode, so there is nobody to wake.
        uffd::unprotect(&self.kernel, &self.uffd, range, Waiters::LeaveAsleep)
            .map_err(|error| BarrierError::kernel(NAME, "ioctl(UFFDIO_WRITEPROTECT)", error))
    }

    fn restart_in_child(&self) -> Result<(), BarrierError> {
        let (fresh, _) = AsyncWp::open(self.backing, &self.ranges, &self.kernel)?;
        let replace = |old: &dyn AsRawFd, new: &dyn AsRawFd| {
            self.kernel.replace_descriptor(old, new).map_err(|error| BarrierError::kernel(NAME, "dup3(2)", error))
        };
        replace(&self.uffd, &fresh.uffd)?;
        replace(self.pagemap.file(), fresh.pagemap.file())
    }
}
