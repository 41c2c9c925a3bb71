//! Checks that an embedder can switch on in a release build, to believe this collector or to find its own mistakes.
//!
//! | key | file | what it would catch |
//! |---|---|---|
//! | `verify=mark` | `marks` | a reachable object that a cycle did not mark |
//! | `verify=heap` | `structures` | metadata, blocks, lists, large objects and free runs that contradict each other |
//! | `oracle` | `oracle` | a write that the page mechanism did not report |
//! | `poison` | [`crate::heap::poison`] | a write to memory that was swept; and a read of it shows at once |
//!
//! `verify=all` is the first two. What they find is printed, with addresses, and counted in `verify_failures`.

mod marks;
pub(crate) mod oracle;
mod structures;

pub use marks::verify as marks;
pub use structures::{Moment, verify as structures};

/// Failures printed in full by one check.
pub const PRINTED: u64 = 10;
