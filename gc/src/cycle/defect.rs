//! Deliberate mistakes, so that tests can show that the checks catch them. No configuration reaches this.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::barrier::{Barrier, PageRange, cards::CardTable};
use crate::error::BarrierError;
use crate::layout::PAGE;

/// What a cycle does wrong, or, for [`Defect::TinyMarkStack`], only with difficulty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// One page in 64 is believed to be armed and is not: its writes are never reported.
    SkipArming,
    /// One report in 8 of a written page is dropped.
    DropDirtyPage,
    /// Objects are marked before their pages are armed.
    MarkBeforeArming,
    /// Sticky cycles do not trace again what was written before they began.
    ForgetOldToYoung,
    /// Not a mistake: mark stacks of eight entries, so that they overflow all the time.
    TinyMarkStack,
}

/// Wraps `barrier` in the defect, if it is one of the barrier's.
pub fn wrap(barrier: Box<dyn Barrier>, defect: Option<Defect>) -> Box<dyn Barrier> {
    match defect {
        Some(defect @ (Defect::SkipArming | Defect::DropDirtyPage)) => {
            Box::new(Defective { barrier, defect, reports: AtomicU64::new(0) })
        }
        _ => barrier,
    }
}

struct Defective {
    barrier: Box<dyn Barrier>,
    defect: Defect,
    reports: AtomicU64,
}

impl Barrier for Defective {
    fn name(&self) -> &'static str {
        self.barrier.name()
    }

    fn sees_writes(&self) -> bool {
        self.barrier.sees_writes()
    }

    fn remembers_writes(&self) -> bool {
        self.barrier.remembers_writes()
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        self.barrier.take_and_arm(range, &mut |run| {
            for page in run.step_by(PAGE) {
                let drop = match self.defect {
                    // A page that was not armed is not reported: leaving out its reports is the same as never arming it.
                    Defect::SkipArming => (page / PAGE).is_multiple_of(64),
                    _ => self.reports.fetch_add(1, Ordering::Relaxed).is_multiple_of(8),
                };
                if !drop {
                    written(page..page + PAGE);
                }
            }
        })
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        self.barrier.disarm(range)
    }

    fn released(&self, range: PageRange) {
        self.barrier.released(range);
    }

    fn settle(&self) {
        self.barrier.settle();
    }

    fn restart_in_child(&self) -> Result<(), BarrierError> {
        self.barrier.restart_in_child()
    }

    fn faults(&self) -> Option<u64> {
        self.barrier.faults()
    }

    fn cards(&self) -> Option<CardTable> {
        self.barrier.cards()
    }
}
