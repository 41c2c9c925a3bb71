//! Advice to the kernel about ranges of ours. All of it is best effort: a kernel that does not know the request
//! answers `EINVAL`, and nothing but speed or a name in a listing is lost (but see [`unmergeable`]).

use std::ffi::CString;
use std::ops::Range;

/// Names an anonymous range in `/proc/self/maps`.
pub(super) fn name(range: &Range<usize>, name: &str) {
    let Ok(name) = CString::new(printable(name)) else { return };
    // SAFETY: naming a range changes nothing but the listing; the kernel copies the string.
    unsafe {
        libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, range.start, range.len(), name.as_ptr());
    }
}

/// The name without the characters the kernel refuses, and no longer than it takes.
pub(super) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() && !"\\`$[]".contains(c) { c } else { ' ' }).take(79).collect()
}

/// Keeps KSM off the range: merging pages loses their write protection. `EINVAL` means a kernel without KSM.
pub(super) fn unmergeable(range: &Range<usize>) {
    advise(range, libc::MADV_UNMERGEABLE);
}

/// Keeps huge pages off the range.
pub(crate) fn no_huge_pages(range: &Range<usize>) {
    advise(range, libc::MADV_NOHUGEPAGE);
}

/// Gives the pages of the range their memory, writable.
pub(super) fn populate(range: &Range<usize>) {
    advise(range, libc::MADV_POPULATE_WRITE);
}

fn advise(range: &Range<usize>, advice: libc::c_int) {
    // SAFETY: none of the advice above changes what the range contains.
    unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), advice) };
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
