//! Tests that need a process of their own: because they end it, or change what belongs to all of it (handlers, limits, descriptors).
//!
//! This file stands alone, so that tests of other crates can include it by its path.

use std::process::{Command, Output};

/// The exit code of a child whose body ran to its end.
const DONE: i32 = 99;

/// Runs `body` in a process of its own: this test, started again. `test` is the name of the calling test.
pub fn in_child(test: &str, body: impl FnOnce()) -> Output {
    const MARK: &str = "PAGEMARK_TEST_CHILD";
    if std::env::var(MARK).as_deref() == Ok(test) {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a child that is meant to die leaves no core behind.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        body();
        std::process::exit(DONE);
    }
    let output = Command::new(std::env::current_exe().expect("the test's own path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .output()
        .expect("the test starts again");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Like [`in_child`], for a body that must end well.
pub fn succeeds_in_child(test: &str, body: impl FnOnce()) {
    let output = in_child(test, body);
    assert_eq!(output.status.code(), Some(DONE), "{test}: the child ended with {}", output.status);
}
