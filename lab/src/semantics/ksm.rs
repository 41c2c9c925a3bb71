//! Kernel samepage merging, switched on for as long as a case needs it.
//!
//! It is a setting of the whole machine, and the case's is a costly one. So somebody must put back what was there before however the
//! run ends: the case may be killed for its silence, the tool by its user, with a signal nobody can handle. A [`Keeper`] is a process that does
//! nothing but wait for the tool to end, or to say that it is done, and then puts everything back.

use std::fs;
use std::time::{Duration, Instant};

use super::errno::Errno;
use super::memory::Memory;
use super::scan;
use super::stage::Stop;

const FOLDER: &str = "/sys/kernel/mm/ksm";
const CHANGED: [&str; 3] = ["sleep_millisecs", "pages_to_scan", "run"];

/// The process that puts the settings back, when dropped or when this process ends.
#[derive(Debug)]
pub struct Keeper(libc::pid_t);

impl Keeper {
    /// Reads the settings and starts the process. The caller has one thread.
    pub fn start() -> Result<Keeper, Errno> {
        let read = |name| fs::read_to_string(format!("{FOLDER}/{name}")).ok().map(|value| (name, value));
        let settings: Vec<_> = CHANGED.into_iter().filter_map(read).collect();
        // SAFETY: the calls only answer and fill in a signal set; a process with one thread may do what it likes after a fork.
        unsafe {
            let mut end: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut end);
            libc::sigaddset(&mut end, libc::SIGTERM);
            let tool = libc::getpid();
            let mut before: libc::sigset_t = std::mem::zeroed();
            // Blocked before the fork, so that the keeper cannot die of the signal it is to wait for.
            libc::sigprocmask(libc::SIG_BLOCK, &end, &mut before);
            let forked = Errno::check(libc::fork() as i64);
            if forked == Ok(0) {
                // What the user types at the tool is not for the keeper.
                libc::setsid();
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                if libc::getppid() == tool {
                    libc::sigwaitinfo(&end, std::ptr::null_mut());
                }
                put_back(&settings);
                libc::_exit(0);
            }
            libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
            forked.map(|pid| Keeper(pid as libc::pid_t))
        }
    }
}

impl Drop for Keeper {
    /// Returns when everything is as it was.
    fn drop(&mut self) {
        // SAFETY: the keeper is a child of ours that nobody else waits for.
        unsafe {
            libc::kill(self.0, libc::SIGTERM);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

fn put_back(settings: &[(&str, String)]) {
    for (name, value) in settings {
        if fs::read_to_string(format!("{FOLDER}/{name}")).is_ok_and(|now| now != *value) {
            // Whoever could change it can change it back.
            let _ = fs::write(format!("{FOLDER}/{name}"), value);
        }
    }
}

/// Has the pages of an arena merged, which all have the same content.
pub fn merge(memory: &Memory) -> Result<(), Stop> {
    let advised = memory.advise(memory.all(), libc::MADV_MERGEABLE);
    advised.map_err(|e| Stop::Unsupported(format!("no KSM ({e})")))?;
    for (name, value) in CHANGED.into_iter().zip(["0", "10000", "1"]) {
        let set = fs::write(format!("{FOLDER}/{name}"), value).map_err(Errno::from_io);
        set.map_err(|e| Stop::Unsupported(format!("KSM cannot be switched on ({e})")))?;
    }
    let until = Instant::now() + Duration::from_secs(20);
    while !is_merged(memory)? {
        if Instant::now() > until {
            return Err(Stop::Unsupported("KSM merged nothing".into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether all pages are the same page now.
fn is_merged(memory: &Memory) -> Result<bool, Stop> {
    let frame = |page| {
        let entry = scan::entry(memory.at(page)).map_err(|e| Stop::failed("pagemap", e))?;
        // Without privilege the frame's number reads as 0, and KSM cannot be switched on either.
        Ok(entry & ((1 << 55) - 1))
    };
    let first = frame(0)?;
    for page in memory.all() {
        if first == 0 || frame(page)? != first {
            return Ok(false);
        }
    }
    Ok(true)
}
