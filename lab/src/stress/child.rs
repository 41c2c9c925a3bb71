//! A run in a process of its own, under a watchdog.
//!
//! A collector that is wrong crashes, hangs, or finds itself wrong; none of the three may take the tool down. The
//! child's output goes to memory files, so nobody has to read along.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::fail::FOUND;
use super::plan::Plan;
use super::run::Outcome;

/// How a process exits whose first thread panicked: a debug assertion, ours or the collector's.
const PANICKED: i32 = 101;

/// How a run that is not in order ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A check found the heap wrong.
    Found,
    /// The process was killed by a signal.
    Crashed(i32),
    /// It did not end in time.
    Hung,
    /// It ended with an error that is not about the heap: a mechanism is missing, a thread cannot be started.
    Refused,
}

/// What is known of such a run.
#[derive(Debug)]
pub struct Failure {
    /// How it ended.
    pub kind: Kind,
    /// What it said, and what its threads did if it hung.
    pub text: String,
}

/// Runs a plan in a child process for at most `patience`.
///
/// # Errors
///
/// [`Failure`] if the run did not end well. An error of the outer result means that no child could be started.
pub fn run(plan: &Plan, patience: Duration) -> io::Result<Result<Outcome, Failure>> {
    let (mut out, mut err) = (memory_file()?, memory_file()?);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["stress", "--plan", &plan.to_json()])
        .env_remove(pagemark::Config::ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        // A group of its own, so that what it forks is killed with it.
        .process_group(0)
        .spawn()?;
    let status = wait(&mut child, patience)?;
    let mut hung = String::new();
    if status.is_none() {
        hung = format!("still running after {patience:?}; its threads:\n{}", super::threads::describe(child.id()));
        // SAFETY: kills the group that was made for the child, which we have not waited for, so the number is still its.
        unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        child.wait()?;
    }
    let text = |file: &mut File| -> io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (said, mut complained) = (text(&mut out)?, text(&mut err)?);
    complained += &hung;
    let failure = |kind| Ok(Err(Failure { kind, text: complained.trim().to_string() }));
    match status {
        None => failure(Kind::Hung),
        Some(status) if status.success() => match serde_json::from_str(&said) {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(_) => failure(Kind::Refused),
        },
        Some(status) if matches!(status.code(), Some(FOUND | PANICKED)) => failure(Kind::Found),
        Some(status) => failure(status.signal().map_or(Kind::Refused, Kind::Crashed)),
    }
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut nap = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > patience {
            return Ok(None);
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a string; the result is checked.
    let fd = unsafe { libc::memfd_create(c"stress output".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
