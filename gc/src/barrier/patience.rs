//! What a signal handler does when the kernel refuses the one thing it came for.
//!
//! Returning would take the same fault again. A kernel that is short of memory may have some soon, so a request that
//! failed for want of it is made again, with naps between, for a second or so. After that there is nothing left but to
//! say what happened and to let the fault kill the process: the thread cannot go on, and a collector that let it write
//! unseen would lose objects later, far from the cause.
//!
//! Everything here is async-signal-safe.

use std::io;

use crate::sys::errno;

/// How often a request is made, and the nap between two of them.
const TRIES: u32 = 100;
const NAP: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Makes a request until it succeeds, or fails with something time does not mend. Returns the errno it failed with at last.
pub(super) fn with(mut request: impl FnMut() -> io::Result<()>) -> Result<(), i32> {
    let mut tries = 0;
    loop {
        let Err(error) = request() else { return Ok(()) };
        tries += 1;
        let number = errno::of(&error);
        if tries == TRIES || !matches!(number, libc::ENOMEM | libc::EAGAIN | libc::EINTR) {
            return Err(number);
        }
        // SAFETY: sleeps for a constant time; what is left of an interrupted nap is not asked for.
        unsafe { libc::nanosleep(&NAP, std::ptr::null_mut()) };
    }
}

/// The last words of a thread that cannot go on: `what`, and the errno unless it is 0.
pub(super) fn give_up(what: &str, errno: i32) {
    let mut number = *b" (errno 000)";
    let digits = [errno / 100 % 10, errno / 10 % 10, errno % 10];
    for (place, digit) in number[8..11].iter_mut().zip(digits) {
        *place = b'0' + digit as u8;
    }
    let number = if errno == 0 { &[][..] } else { &number[..] };
    let end = b"; the program cannot go on from here and dies of the fault\n";
    for part in [b"pagemark: ".as_slice(), what.as_bytes(), number, end] {
        // SAFETY: writes from a live slice; if nobody reads standard error there is nobody to tell.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_that_passes_is_waited_for_and_other_errors_are_not() {
        let mut calls = 0;
        let mut fail = |errno: i32, times: u32| {
            calls = 0;
            let result = with(|| {
                calls += 1;
                if calls <= times { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
            });
            (result, calls)
        };
        assert_eq!(fail(libc::ENOMEM, 3), (Ok(()), 4));
        assert_eq!(fail(libc::EBADF, 3), (Err(libc::EBADF), 1));
        assert_eq!(fail(libc::EAGAIN, TRIES), (Err(libc::EAGAIN), TRIES));
    }
}
