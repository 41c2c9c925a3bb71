//! Advice to the kernel about ranges of ours. All of it is best effort: a kernel that does not know the request
//! answers `EINVAL`, and nothing but speed or a name in a listing is lost. What else may be lost, [`unmergeable`] says.

use std::ffi::CString;
use std::ops::Range;

use crate::sys::{Kernel, errno};

/// Names an anonymous range in `/proc/self/maps`.
pub(super) fn name(kernel: &Kernel, range: &Range<usize>, name: &str) {
    let Ok(name) = CString::new(printable(name)) else { return };
    let _ = kernel.name_range(range, &name);
}

/// The name without the characters the kernel refuses, and no longer than it takes.
pub(super) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() && !"\\`$[]".contains(c) { c } else { ' ' }).take(79).collect()
}

/// Keeps KSM off the range: merging pages loses their write protection. `EINVAL` means a kernel without KSM; any other
/// refusal leaves the range as it was, which is unmergeable unless the process asked for merging wholesale
/// (`PR_SET_MEMORY_MERGE`), and is told.
pub(super) fn unmergeable(kernel: &Kernel, range: &Range<usize>) {
    if let Err(error) = kernel.unmergeable(range)
        && errno::of(&error) != libc::EINVAL
    {
        crate::fatal::say(&format!(
            "pagemark: madvise(MADV_UNMERGEABLE) failed: {error}; a process that asks for its memory to be merged \
             (PR_SET_MEMORY_MERGE) may lose writes under `sync` and `sigbus`"
        ));
    }
}

/// Keeps the range out of the children of forks. Where the kernel refuses, a child that touches it shares it with its parent.
pub(super) fn keep_from_children(kernel: &Kernel, range: &Range<usize>) {
    if let Err(error) = kernel.keep_from_children(range) {
        log::warn!("pagemark: madvise(MADV_DONTFORK) failed: {error}; a forked child must not touch this heap");
    }
}

/// Keeps huge pages off the range.
pub(crate) fn no_huge_pages(kernel: &Kernel, range: &Range<usize>) {
    let _ = kernel.no_huge_pages(range);
}

/// Gives the pages of the range their memory, writable.
pub(super) fn populate(kernel: &Kernel, range: &Range<usize>) {
    let _ = kernel.populate(range);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_acceptable_to_the_kernel() {
        assert_eq!(printable("héap [1]$"), "h ap  1  ");
        assert_eq!(printable(&"x".repeat(200)).len(), 79);
    }
}
