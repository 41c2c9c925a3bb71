//! One program, started, watched and waited for.
//!
//! While it runs the comparison does the same for all: it sleeps, and every ten milliseconds asks whether the program has ended and how much memory is
//! resident. What the program prints goes to files, so that nobody has to be there to read it. In the end the kernel says what the process used as a whole
//! (`wait4(2)`), building what lives included.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::interrupt::Interrupt;

/// From one look at a running program to the next.
const NAP: Duration = Duration::from_millis(10);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Itself(ExitStatus),
    /// It was killed because its time was over.
    TooLong,
    /// It was killed because the comparison was.
    Interrupted,
}

/// What the kernel counted for the whole process.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Process {
    /// Wall time, from its start to its end.
    pub wall_s: f64,
    /// Processor time in the program.
    pub user_s: f64,
    /// Processor time in the kernel.
    pub kernel_s: f64,
    /// The most memory that was ever resident.
    pub peak_bytes: u64,
}

/// Resident memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the program was started.
    pub at: Duration,
    /// Bytes.
    pub bytes: u64,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Outcome {
    /// How.
    pub ended: Ended,
    /// What it printed.
    pub output: String,
    /// What it complained of.
    pub errors: String,
    /// What it used.
    pub process: Process,
    /// Its memory while it ran.
    pub resident: Vec<Sample>,
}

impl Outcome {
    /// Why it is no result; `None` for one that ended well.
    pub fn failure(&self, limit: Duration) -> Option<String> {
        let status = match self.ended {
            Ended::Itself(status) if status.success() => return None,
            Ended::Itself(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with status {code}"),
                (None, Some(signal)) => format!("it was killed by signal {signal}"),
                (None, None) => "it ended in an unknown way".to_string(),
            },
            Ended::TooLong => format!("it did not end within {} s", limit.as_secs()),
            Ended::Interrupted => "it was interrupted".to_string(),
        };
        let said = tail(&self.errors);
        Some(if said.is_empty() { status } else { format!("{status}: {said}") })
    }
}

/// The last lines of a text, on one line, and no more of them than somebody would read.
fn tail(text: &str) -> String {
    const MOST: usize = 600;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = text.len().saturating_sub(MOST);
    let from = (cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    if from > 0 { format!("…{}", &text[from..]) } else { text }
}

/// Starts `command` and waits for its end. Files are made in `scratch`.
///
/// # Errors
///
/// When it cannot be started.
pub fn run(mut command: Command, scratch: &Path, limit: Duration, interrupt: &Interrupt) -> io::Result<Outcome> {
    let (output, errors) = (scratch.join("output"), scratch.join("errors"));
    command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&errors)?).process_group(0);
    let start = Instant::now();
    let id = command.spawn()?.id();
    let mut resident = Vec::new();
    let mut ended = None;
    let (status, usage) = loop {
        // Killed or not: it is reaped when it has ended.
        if let Some(reaped) = reap(id)? {
            break reaped;
        }
        if ended.is_none() && interrupt.came() {
            ended = Some(Ended::Interrupted);
        } else if ended.is_none() && start.elapsed() > limit {
            ended = Some(Ended::TooLong);
        }
        if ended.is_some() {
            kill(id);
        }
        if let Some(bytes) = resident_bytes(id) {
            resident.push(Sample { at: start.elapsed(), bytes });
        }
        std::thread::sleep(NAP);
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let process = Process {
        wall_s: start.elapsed().as_secs_f64(),
        user_s: seconds(usage.ru_utime),
        kernel_s: seconds(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * 1024,
    };
    let text = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Outcome {
        ended: ended.unwrap_or(Ended::Itself(status)),
        output: text(output)?,
        errors: text(errors)?,
        process,
        resident,
    })
}

/// Status and usage of a child that has ended; `None` while it runs.
fn reap(id: u32) -> io::Result<Option<(ExitStatus, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: all-zero is a value of this struct of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: writes one status and one `rusage`, which are there. The child is ours and nobody else waits for it.
    match unsafe { libc::wait4(id as libc::pid_t, &raw mut status, libc::WNOHANG, &raw mut usage) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some((ExitStatus::from_raw(status), usage))),
    }
}

/// Ends a child and whatever it has started. It was not reaped yet, so its number is still its own.
fn kill(id: u32) {
    // SAFETY: sends a signal to the group that the child was made the leader of; it is one of ours or is gone.
    unsafe { libc::kill(-(id as libc::pid_t), libc::SIGKILL) };
}

/// Resident memory of a process: the second word of its `statm`, in pages. One that has ended has none, which is no sample.
fn resident_bytes(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (pages > 0).then_some(pages * pagemark_gc::layout::PAGE as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Outcome {
        let scratch = super::super::scratch::Scratch::new().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, scratch.path(), limit, &Interrupt::default()).expect("there is a shell")
    }

    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn what_a_program_prints_and_how_it_ends_is_known() {
        let outcome = shell("echo good; echo bad >&2; sleep 0.5; exit 3", LONG);
        assert_eq!((outcome.output.as_str(), outcome.errors.as_str()), ("good\n", "bad\n"));
        assert_eq!(outcome.failure(LONG).as_deref(), Some("it ended with status 3: bad"));
        assert!(outcome.process.peak_bytes > 0 && !outcome.resident.is_empty());
        assert_eq!(shell("exit 0", LONG).failure(LONG), None);
        assert_eq!(shell("kill -9 $$", LONG).failure(LONG).as_deref(), Some("it was killed by signal 9"));
    }

    #[test]
    fn one_that_does_not_end_is_killed_with_what_it_has_started() {
        let start = Instant::now();
        let outcome = shell("sleep 100 & sleep 100", Duration::from_millis(50));
        assert_eq!(outcome.ended, Ended::TooLong);
        assert!(start.elapsed() < Duration::from_secs(90));
    }

    #[test]
    fn long_complaints_are_cut_at_their_beginning() {
        let long = "ä".repeat(1000) + " the end";
        assert!(tail(&long).ends_with("the end") && tail(&long).len() < 620 && tail(&long).starts_with('…'));
        assert_eq!(tail(" a\n b "), "a b");
    }
}
