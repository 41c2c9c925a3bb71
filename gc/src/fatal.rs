//! Telling a person, and ending the process when nothing else is left.

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;

/// Prints a line on standard error. Unlike `eprintln!` it does not panic when nobody reads there any more, and takes no lock, which a
/// thread of the parent might hold for ever in the child of a fork.
pub fn say(line: &str) {
    // SAFETY: lent for as long as it is used, and `ManuallyDrop` keeps the descriptor open.
    let mut stderr = unsafe { ManuallyDrop::new(File::from_raw_fd(libc::STDERR_FILENO)) };
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
}

/// Ends the process, with a word, if it is dropped while its thread unwinds. A collector thread that is gone would leave its mutators
/// waiting for ever, and a heap whose marking broke off cannot be trusted.
pub struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(
                "pagemark: a collector thread panicked (see above); the heap cannot be trusted any more, so the process ends",
            );
            std::process::abort();
        }
    }
}
