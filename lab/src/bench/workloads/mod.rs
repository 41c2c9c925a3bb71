//! The workloads, a file each. Each file's essay says what shape of program it stands for, where the shape comes from,
//! how much lives, and what its result is checked against.

mod arrays;
mod binary_trees;
mod churn;
mod gcold;
mod graph;
mod lru;
mod mark;
mod mt_gcbench;
mod pusher;
mod quads;
mod queue;
mod scatter;
mod splay;
mod sweep;

use serde_json::{Map, Value};

use super::parameter::{Parameter, Values};
use super::run::Finished;
use super::worker::{Failure, Worker};

/// What is known of a workload before it runs.
pub struct Spec {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What it can be told.
    pub parameters: &'static [Parameter],
    /// Whether it can have several mutator threads.
    pub threaded: bool,
    /// The heap's limit as a multiple of what lives, if nothing else is said; `None` leaves the limit to the collector.
    pub multiplier: Option<f64>,
    /// Whether a step is a request that somebody waits for, so that its latency means something.
    pub requests: bool,
}

/// Bytes that live, by arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The most that lives at any time. The heap's limit is a multiple of this.
    pub peak: u64,
    /// What lives when the last step is done.
    pub rest: u64,
}

impl Live {
    /// As much at any time.
    pub const fn always(bytes: u64) -> Live {
        Live { peak: bytes, rest: bytes }
    }
}

/// A program whose heap has one characteristic shape.
pub trait Workload: Sync {
    /// What is known of it.
    fn spec(&self) -> &'static Spec;

    /// What lives, in all threads together.
    fn live(&self, values: &Values, threads: u64) -> Live;

    /// What one thread does: builds, [`Worker::begin`]s, steps, [`Worker::end`]s, and checks what it has then. Returns the [fold](crate::bench::fold) over
    /// that, which is the same in every run with these parameters.
    ///
    /// # Errors
    ///
    /// When the check fails, or the heap is too small.
    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure>;

    /// Nanoseconds from the moment when a step is due to that of a thread's next, where steps are due at fixed moments.
    fn interval(&self, _values: &Values, _threads: u64) -> Option<f64> {
        None
    }

    /// Adds to the result what only this workload has.
    fn add(&self, _finished: &Finished, _result: &mut Map<String, Value>) {}
}

/// All of them, in the order of the documentation.
pub static ALL: [&dyn Workload; 14] = [
    &churn::Churn,
    &mark::Mark,
    &scatter::Scatter,
    &binary_trees::BinaryTrees,
    &gcold::GcOld,
    &graph::Graph,
    &arrays::Arrays,
    &splay::Splay,
    &lru::Lru,
    &queue::Fifo,
    &pusher::Pusher,
    &sweep::Sweep,
    &mt_gcbench::MtGcBench,
    &quads::Quads,
];

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static dyn Workload> {
    ALL.into_iter().find(|workload| workload.spec().name == name)
}

/// What each of `threads` threads has of `total`.
fn shares(total: u64, threads: u64) -> impl Iterator<Item = u64> {
    (0..threads).map(move |index| share(total, threads, index))
}

/// What thread `index` has: shares differ by one at most and add up to `total`.
pub fn share(total: u64, threads: u64, index: u64) -> u64 {
    total / threads + u64::from(index < total % threads)
}
