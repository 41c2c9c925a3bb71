//! The thread's last error.
//!
//! Three places need it: turning the answer of a `libc` call into an `io::Error`; doing the same for crate
//! `userfaultfd`, whose errors wrap another crate's errno type; and a signal handler, which must leave `errno` as it
//! found it, because the code it interrupted may be about to read it.

use std::io;

/// Turns the `-1` of a C call into the error it left in `errno`.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The errno an error carries; `EIO` where it carries none.
pub fn of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// What would help against a failure of `call`, named as in its manual page, that says nothing but its number: a sentence without its full stop.
pub fn remedy(call: &str, errno: i32) -> &'static str {
    match errno {
        libc::EMFILE | libc::ENFILE => "Raise the limit on open files (ulimit -n, fs.file-max), or close some",
        libc::ENOMEM => {
            "The kernel is short of memory, or the process has as many mappings as vm.max_map_count allows: free memory, \
             or raise the limit (cgroup, sysctl)"
        }
        libc::EAGAIN if call.starts_with("pthread_create") => {
            "Raise the limit on threads (ulimit -u, the cgroup's pids.max, kernel.threads-max)"
        }
        libc::EAGAIN | libc::EINTR => {
            "Look for what changes the mappings of the process without end: the kernel said each time to try again, as it does while they \
             change"
        }
        libc::EPERM | libc::EACCES | libc::ENOSYS => {
            "A system call filter (seccomp) or a missing privilege stands in the way: allow the call"
        }
        libc::EBADF | libc::ENOTTY => {
            "Somebody closed a descriptor of the collector's: look for close_range(2) or closefrom(3)"
        }
        _ => "Nothing is known to help: the system log may say more",
    }
}

/// The error of crate `userfaultfd` as an `io::Error`. Allocates only for errors that carry no errno.
pub fn from_userfaultfd(error: userfaultfd::Error) -> io::Error {
    match error {
        userfaultfd::Error::SystemError(errno) => io::Error::from_raw_os_error(errno as i32),
        other => io::Error::other(other.to_string()),
    }
}

/// The address of this thread's `errno`. Also serves as a number that differs between running threads.
pub fn location() -> *mut libc::c_int {
    // SAFETY: the function only computes an address in the thread's static storage.
    unsafe { libc::__errno_location() }
}

/// Puts `errno` back, when dropped, to what it was when made. For signal handlers.
pub struct Preserved(libc::c_int);

impl Preserved {
    /// Remembers `errno`.
    pub fn new() -> Preserved {
        // SAFETY: `location` is this thread's errno, always readable.
        Preserved(unsafe { *location() })
    }
}

impl Default for Preserved {
    fn default() -> Preserved {
        Preserved::new()
    }
}

impl Drop for Preserved {
    fn drop(&mut self) {
        // SAFETY: `location` is this thread's errno, always writable.
        unsafe { *location() = self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_depends_on_the_call_that_was_told_to_try_again() {
        assert!(remedy("pthread_create(3)", libc::EAGAIN).contains("ulimit -u"));
        for call in ["ioctl(UFFDIO_WRITEPROTECT)", "ioctl(UFFDIO_WAKE)", "ioctl(UFFDIO_REGISTER)"] {
            let remedy = remedy(call, libc::EAGAIN);
            assert!(!remedy.contains("ulimit") && remedy.contains("mappings"), "{call}: {remedy}");
        }
        assert!(remedy("eventfd(2)", libc::EMFILE).contains("ulimit -n"));
    }

    #[test]
    fn a_failed_call_between_leaves_errno_as_it_was() {
        // SAFETY: this thread's errno.
        unsafe { *location() = libc::EXDEV };
        {
            let _preserved = Preserved::new();
            // SAFETY: closing no descriptor fails and has no other effect.
            let error = check(unsafe { libc::close(-1) }).unwrap_err();
            assert_eq!(of(&error), libc::EBADF);
        }
        // SAFETY: this thread's errno.
        assert_eq!(unsafe { *location() }, libc::EXDEV);
    }
}
