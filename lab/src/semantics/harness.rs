//! Running cells: each in a process of its own, several at a time, none for ever.
//!
//! The tool forks for each cell; the child runs the case, writes one line to a pipe and exits. The parent has
//! one thread, so a fork copies no lock that somebody holds. A child that says nothing until its time is over is killed
//! with all processes it started. A busy machine can make anything late, so the first silence is not believed: the
//! cell runs again, with less beside it and several times the patience, unless its case is known to hang. A child that does not even
//! die is left behind; the verdict does not wait for it.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::case::Case;
use super::cell::Cell;
use super::errno::Errno;
use super::process;
use super::stage::Stop;
use super::touch;

/// What a run of one cell ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The case said what it observed.
    Observed(String),
    /// The case found that something it needs is not there.
    Unsupported(String),
    /// Nothing came in time. Whether the process could be killed.
    Hang { killed: bool },
}

/// One cell to run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to do.
    pub case: &'a Case,
    /// Where.
    pub cell: Cell<'a>,
}

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Processes at a time.
    pub width: usize,
    /// How long a cell may be silent.
    pub patience: Duration,
}

/// How many times longer the second try of a silent cell may take; a third as many run at a time.
const SECOND_PATIENCE: u32 = 8;
/// How many times longer a cell that runs alone may take: it waits for something the machine does when it gets to it.
const ALONE_PATIENCE: u32 = 10;
/// How long a killed process may take to die.
const DYING: Duration = Duration::from_secs(2);

struct Child {
    job: usize,
    pid: libc::pid_t,
    pipe: OwnedFd,
    said: Vec<u8>,
    until: Instant,
}

/// Runs all jobs; the answers are in the order of the jobs. `done` is called after each.
pub fn run(jobs: &[Job], limits: Limits, done: &mut dyn FnMut()) -> Result<Vec<End>, Errno> {
    let mut ends: Vec<Option<End>> = vec![None; jobs.len()];
    let (alone, together): (Vec<usize>, Vec<usize>) = (0..jobs.len()).partition(|&i| jobs[i].case.alone);
    run_some(jobs, together, limits, &mut ends, done)?;
    let unhurried = Limits { width: 1, patience: limits.patience * ALONE_PATIENCE };
    run_some(jobs, alone, unhurried, &mut ends, done)?;
    let silent = (0..jobs.len()).filter(|&i| {
        let Job { case, cell } = &jobs[i];
        matches!(ends[i], Some(End::Hang { .. })) && !case.alone && !(case.may_hang)(cell)
    });
    let again = Limits { width: limits.width.div_ceil(3), patience: limits.patience * SECOND_PATIENCE };
    run_some(jobs, silent.collect(), again, &mut ends, &mut || {})?;
    Ok(ends.into_iter().map(|end| end.unwrap_or(End::Hang { killed: false })).collect())
}

fn run_some(
    jobs: &[Job],
    indices: Vec<usize>,
    limits: Limits,
    ends: &mut [Option<End>],
    done: &mut dyn FnMut(),
) -> Result<(), Errno> {
    let mut waiting = VecDeque::from(indices);
    let mut running: Vec<Child> = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < limits.width {
            let Some(job) = waiting.pop_front() else { break };
            running.push(start(&jobs[job], job, limits.patience)?);
        }
        wait_for_any(&running)?;
        let mut still = Vec::new();
        for mut child in running {
            match child.progress()? {
                None => still.push(child),
                Some(end) => {
                    ends[child.job] = Some(end);
                    done();
                }
            }
        }
        running = still;
    }
    Ok(())
}

fn wait_for_any(running: &[Child]) -> Result<(), Errno> {
    let now = Instant::now();
    let next = running.iter().map(|c| c.until.saturating_duration_since(now)).min().unwrap_or_default();
    let mut waits: Vec<libc::pollfd> =
        running.iter().map(|c| libc::pollfd { fd: c.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let milliseconds = next.as_millis().min(60_000) as libc::c_int + 1;
    // SAFETY: the vector is writable and as long as said.
    let ready = unsafe { libc::poll(waits.as_mut_ptr(), waits.len() as libc::nfds_t, milliseconds) };
    match Errno::check(ready as i64) {
        Err(e) if e.0 != libc::EINTR => Err(e),
        _ => Ok(()),
    }
}

fn start(job: &Job, index: usize, patience: Duration) -> Result<Child, Errno> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    Errno::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as i64)?;
    // SAFETY: both descriptors were just made for us.
    let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let tool = std::process::id();
    // SAFETY: this process has one thread, so the child may do what it likes.
    let pid = Errno::check(unsafe { libc::fork() } as i64)? as libc::pid_t;
    if pid == 0 {
        drop(read);
        child(job, &write, tool)
    }
    // In both processes, whoever comes first: a signal to the group must not miss the child.
    // SAFETY: the child is ours; that it may have exited is no harm.
    unsafe { libc::setpgid(pid, pid) };
    Ok(Child { job: index, pid, pipe: read, said: Vec::new(), until: Instant::now() + patience })
}

/// The child's life.
fn child(job: &Job, pipe: &OwnedFd, tool: u32) -> ! {
    process::die_with(tool);
    // SAFETY: plain system calls about this process, which leaves no cores.
    unsafe {
        libc::setpgid(0, 0);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(|| {
        touch::catch_faults().map_err(|e| Stop::failed("sigaction", e))?;
        (job.case.run)(&job.cell)
    });
    let (kind, text) = match outcome {
        Ok(Ok(observed)) => ('O', observed),
        Ok(Err(Stop::Failed(step))) => ('O', step),
        Ok(Err(Stop::Unsupported(reason))) => ('U', reason),
        Err(_) => ('O', "the case itself panicked".to_owned()),
    };
    say(pipe, &format!("{kind}{text}"));
    // SAFETY: ends the process without running anything of the parent's that was copied.
    unsafe { libc::_exit(0) }
}

fn say(pipe: &OwnedFd, line: &str) {
    // SAFETY: the buffer is as long as said. A line is shorter than PIPE_BUF, so it is written whole.
    unsafe { libc::write(pipe.as_raw_fd(), line.as_ptr().cast(), line.len()) };
}

impl Child {
    /// Reads what the child said; the end, if it has come.
    fn progress(&mut self) -> Result<Option<End>, Errno> {
        if self.has_input()? {
            let mut file = std::fs::File::from(self.pipe.try_clone().map_err(Errno::from_io)?);
            let mut buffer = [0; 4096];
            let read = file.read(&mut buffer).map_err(Errno::from_io)?;
            self.said.extend_from_slice(&buffer[..read]);
            // One line is all a child says. A grandchild may hold the pipe open for longer.
            if read > 0 || !self.said.is_empty() {
                self.kill();
                self.reap(DYING);
                return Ok(Some(self.end()));
            }
            // Closed without a word: dead, or about to be.
            let status = self.reap(DYING);
            self.kill();
            return Ok(Some(match status {
                Some(status) if libc::WIFSIGNALED(status) => {
                    End::Observed(format!("killed by {}", touch::signal_name(libc::WTERMSIG(status))))
                }
                Some(_) => End::Observed("the process ended without a word".into()),
                None => End::Hang { killed: false },
            }));
        }
        if Instant::now() < self.until {
            return Ok(None);
        }
        self.kill();
        let killed = self.reap(DYING).is_some();
        Ok(Some(End::Hang { killed }))
    }

    fn has_input(&self) -> Result<bool, Errno> {
        let mut wait = libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one writable pollfd.
        match Errno::check(unsafe { libc::poll(&mut wait, 1, 0) } as i64) {
            Ok(ready) => Ok(ready > 0),
            Err(e) if e.0 == libc::EINTR => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn end(&self) -> End {
        let said = String::from_utf8_lossy(&self.said).into_owned();
        match said.split_at_checked(1) {
            Some(("U", reason)) => End::Unsupported(reason.to_owned()),
            Some((_, observed)) => End::Observed(observed.to_owned()),
            None => End::Observed(said),
        }
    }

    fn kill(&self) {
        // SAFETY: the group holds this child and what it started, nothing else.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
    }

    /// Waits for the child's death, not for ever.
    fn reap(&self, patience: Duration) -> Option<libc::c_int> {
        let until = Instant::now() + patience;
        loop {
            let mut status = 0;
            // SAFETY: `status` is writable, and the child is ours.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                0 => return None,
                _ => return Some(status),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::{Backing, Mode};
    use super::super::facts::Facts;
    use super::super::stage::Outcome;
    use super::*;

    fn end_of(case: &Case) -> End {
        let facts = Facts::read();
        let cell = Cell { backing: Backing::Anon, mode: Mode::Sync, facts: &facts };
        let limits =
            Limits { width: 1, patience: Duration::from_millis(if (case.may_hang)(&cell) { 300 } else { 30_000 }) };
        run(&[Job { case, cell }], limits, &mut || {}).expect("processes can be made").remove(0)
    }

    #[test]
    fn a_case_that_answers_is_what_it_said() {
        let case = Case { run: |_| Ok("seen".into()), ..Case::USUAL };
        assert_eq!(end_of(&case), End::Observed("seen".into()));
    }

    #[test]
    fn a_case_that_never_answers_is_a_hang_and_is_killed() {
        fn sleep(_: &Cell) -> Outcome {
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        let case = Case { run: sleep, may_hang: |_| true, ..Case::USUAL };
        assert_eq!(end_of(&case), End::Hang { killed: true });
    }

    #[test]
    fn a_case_that_dies_is_named_by_its_signal() {
        fn die(_: &Cell) -> Outcome {
            // SAFETY: ends this process, a child of the test's.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            Ok(String::new())
        }
        assert_eq!(end_of(&Case { run: die, ..Case::USUAL }), End::Observed("killed by SIGKILL".into()));
    }

    #[test]
    fn a_fault_outside_a_probe_kills_the_case_and_not_the_tool() {
        fn fault(_: &Cell) -> Outcome {
            let memory = super::super::memory::Memory::new(Backing::Anon, super::super::memory::Fill::Written)?;
            memory.protect(memory.all(), libc::PROT_NONE).map_err(|e| Stop::failed("mprotect", e))?;
            // SAFETY: deliberately not: the page is inaccessible, and the process is to die of it.
            Ok(unsafe { std::ptr::read_volatile(memory.base as *const u8) }.to_string())
        }
        assert_eq!(end_of(&Case { run: fault, ..Case::USUAL }), End::Observed("killed by SIGSEGV".into()));
    }

    #[test]
    fn what_a_case_cannot_have_is_unsupported() {
        let case = Case { run: |_| Err(Stop::Unsupported("no swap".into())), ..Case::USUAL };
        assert_eq!(end_of(&case), End::Unsupported("no swap".into()));
    }
}
