//! What the collector asks of Linux, one file a subject.
//!
//! * [`kernel`]: every call goes through a [`Kernel`], so that a test can make each fail.
//! * [`uffd`]: opening a userfaultfd with the least privilege that serves, and protecting ranges with it.
//! * [`pagemap`]: `PAGEMAP_SCAN`, which reads and re-arms write protection in one pass.
//! * [`errno`]: the thread's last error, from crates and in signal handlers.
//! * [`limits`]: how much memory this process may use.
//! * [`thread`]: threads that can be started in the child of a fork.
//!
//! Nothing here knows what a heap, an object or a barrier is.

pub mod errno;
pub mod kernel;
pub mod limits;
pub mod pagemap;
pub mod thread;
pub mod uffd;

pub use kernel::{Call, Denials, FaultPlan, Kernel, Outcome, When};
