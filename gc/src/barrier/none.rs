//! `none`: no collection.
//!
//! The baseline that costs of collection are measured against (the lower bound of overhead: Cai, Blackburn, Bond and Maas,
//! *Distilling the real cost of production garbage collectors*, ISPASS 2022): the same program, the same allocator, and memory enough never to
//! need any of it twice. No cycle starts by itself, neither in time nor when memory runs out; whoever allocates then
//! hears that there is none. A cycle that the program asks for runs all the same, as under [`stop`](super::stop), and so does one that `zeal` asks
//! for: both are requests.
//!
//! As a barrier it is `stop`: it sees nothing, so what marking there is stops the mutators.

use super::stop::Stop;
use super::{Barrier, PageRange};
use crate::error::BarrierError;

/// The barrier of a heap that is not collected.
#[derive(Debug)]
pub(super) struct NoCollection;

impl Barrier for NoCollection {
    fn name(&self) -> &'static str {
        "none"
    }

    fn sees_writes(&self) -> bool {
        Stop.sees_writes()
    }

    fn take_and_arm(&self, range: PageRange, written: &mut dyn FnMut(PageRange)) -> Result<(), BarrierError> {
        Stop.take_and_arm(range, written)
    }

    fn disarm(&self, range: PageRange) -> Result<(), BarrierError> {
        Stop.disarm(range)
    }
}
