//! `stop`: writes are not seen.
//!
//! The mechanism that always works, because it asks for nothing: the collector marks while all mutators are stopped, so
//! there are no writes to see. It is what `auto` falls back to, and the control in every comparison.
//!
//! It keeps to the state machine all the same. Pages start as written, and as nothing can be armed here, they stay so:
//! a report contains all of the range.

use super::{Barrier, PageRange};
use crate::error::BarrierError;

/// The barrier that sees nothing.
#[derive(Debug)]
pub(super) struct Stop;

impl Barrier for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn sees_writes(&self) -> bool {
        false
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        if !range.is_empty() {
            written(range);
        }
        Ok(())
    }

    fn disarm(&self, _range: PageRange) -> Result<(), BarrierError> {
        Ok(())
    }
}
