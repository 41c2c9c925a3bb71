//! `async` with system calls alone: the kernel resolves the faults and keeps the record.

use std::fs::File;
use std::ops::Range;

use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::Mapping;

use super::{protect, register};
use crate::barriers::subject::{Failure, Subject};
use crate::semantics::scan::{Region, Scan};
use crate::semantics::uffd::{FEATURE_WP_ASYNC, Uffd};

/// Regions asked for at a time, as many as the collector asks for.
const REGIONS: usize = 512;

pub struct Asynchronous {
    uffd: Uffd,
    pagemap: File,
    range: Range<usize>,
}

impl Asynchronous {
    pub fn open(mapping: &Mapping) -> Result<Asynchronous, Failure> {
        let uffd = register(FEATURE_WP_ASYNC, mapping)?;
        Ok(Asynchronous { uffd, pagemap: File::open("/proc/self/pagemap")?, range: mapping.range() })
    }
}

impl Subject for Asynchronous {
    fn arm(&self) -> Result<usize, Failure> {
        protect(&self.uffd, &self.range, true)?;
        Ok(self.range.len() / PAGE)
    }

    fn scan(&self) -> Result<usize, Failure> {
        let mut regions = [Region::default(); REGIONS];
        let (mut written, mut from) = (0, self.range.start);
        while from < self.range.end {
            let (filled, walk_end) = Scan::take(from, self.range.end - from).ask_into(&self.pagemap, &mut regions)?;
            written +=
                regions[..filled].iter().map(|region| (region.end - region.start) as usize / PAGE).sum::<usize>();
            if walk_end <= from {
                return Err("PAGEMAP_SCAN makes no progress".into());
            }
            from = walk_end;
        }
        Ok(written)
    }

    fn disarm(&self) -> Result<(), Failure> {
        Ok(protect(&self.uffd, &self.range, false)?)
    }

    fn helps(&self) -> bool {
        false
    }
}
