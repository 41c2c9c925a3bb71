//! Telling a person, and ending the process when nothing else is left.

use std::io::Write;

/// Prints a line on standard error. Unlike `eprintln!` it does not panic when nobody reads there any more.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
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
