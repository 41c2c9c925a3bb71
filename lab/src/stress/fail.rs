//! The end of a run that found something wrong.

use std::io::Write;
use std::sync::Mutex;

/// How a process exits whose run found the heap wrong.
pub const FOUND: i32 = 3;

/// Says what is wrong, and ends the process at once: whatever ran on would only bury the first cause under its
/// consequences.
pub fn fail(what: &str) -> ! {
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock();
    // When not even stderr can be written the exit code has to do.
    let _ = writeln!(std::io::stderr(), "{what}");
    // SAFETY: always sound. Exit handlers would run beside threads that still work on the heap.
    unsafe { libc::_exit(FOUND) }
}
