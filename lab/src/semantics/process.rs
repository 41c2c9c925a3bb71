//! A second process within a case: it runs a closure and says one line.
//!
//! The child of a fork has one thread, a copy of private memory and the same descriptors. Its line comes back through a
//! pipe; the harness kills it with the rest if it never speaks.

use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};

use super::errno::Errno;
use super::stage::Stop;
use super::touch;

/// A forked process.
#[derive(Debug)]
pub struct Process {
    pid: libc::pid_t,
    pipe: OwnedFd,
}

impl Process {
    /// Forks; the child runs `life` and ends.
    pub fn start(life: impl FnOnce() -> String) -> Result<Process, Stop> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two descriptors.
        let made = Errno::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as i64);
        made.map_err(|e| Stop::failed("pipe", e))?;
        // SAFETY: both descriptors were just made for us.
        let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let case = std::process::id();
        // The library's fork holds the allocator's locks until the kernel returns, and the kernel returns once a fault
        // thread has read the fork event: a fault thread that allocates would wait for ever. So this is the bare call.
        // SAFETY: the other threads of a case wait in poll(2) or in a fault and hold no lock that the child would miss.
        let forked = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        let pid = Errno::check(forked).map_err(|e| Stop::not_started("fork", e))? as libc::pid_t;
        if pid == 0 {
            die_with(case);
            let line = life();
            // SAFETY: the buffer is as long as said, and `_exit` runs nothing that was copied from the parent.
            unsafe {
                libc::write(std::os::fd::AsRawFd::as_raw_fd(&write), line.as_ptr().cast(), line.len());
                libc::_exit(0)
            }
        }
        Ok(Process { pid, pipe: read })
    }

    /// Waits for the child's line and its end. A child that died without a line is "killed by" its signal.
    pub fn finish(self) -> String {
        let mut line = String::new();
        let read = std::fs::File::from(self.pipe).read_to_string(&mut line);
        let mut status = 0;
        // SAFETY: `status` is writable, and the child is ours.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        match read {
            Ok(_) if libc::WIFSIGNALED(status) => format!("killed by {}", touch::signal_name(libc::WTERMSIG(status))),
            Ok(_) => line,
            Err(e) => format!("pipe: {}", Errno::from_io(e)),
        }
    }

    /// Kills the child.
    pub fn kill(self) {
        // SAFETY: the child is ours and has not been waited for.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// From now on this process ends when the one that forked it does, which was `parent`. Nobody may be left to end it then: the tool itself
/// can be killed. A forking thread waits for its child or lives as long as its process.
pub fn die_with(parent: u32) {
    // SAFETY: plain system calls about this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(0);
        }
    }
}

/// Runs `life` in a forked process and returns its line.
pub fn in_child(life: impl FnOnce() -> String) -> Result<String, Stop> {
    Process::start(life).map(Process::finish)
}
