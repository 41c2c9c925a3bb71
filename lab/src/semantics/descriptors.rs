//! Room for open files: without it cases fail for a reason that has nothing to do with what they ask.
//!
//! Most processes start with a soft limit that is enough, and with a hard limit far above it. Where the soft one is too low it is raised, for this
//! process and the cases it forks; where the hard one is too low as well, nothing is run.

/// Descriptors a case may have open, beside those it inherits: the streams and a pipe for each case that runs at the time.
const OF_A_CASE: u64 = 32;

/// Sees to it that so many cases can run at a time.
pub fn make_room(width: usize) -> Result<(), String> {
    let needed = width as u64 + OF_A_CASE;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a writable rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 || limit.rlim_cur >= needed {
        return Ok(());
    }
    let raised = libc::rlimit { rlim_cur: needed, ..limit };
    // SAFETY: `raised` is an rlimit.
    if limit.rlim_max < needed || unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } != 0 {
        return Err(format!(
            "the limit on open files is {}, and {needed} are needed to run {width} cases at a time: raise it (ulimit -n {needed})",
            limit.rlim_max
        ));
    }
    Ok(())
}
