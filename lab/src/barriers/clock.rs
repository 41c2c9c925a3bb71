//! Wall time and processor time of a piece of work.

use std::time::Instant;

/// Nanoseconds that something took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Time {
    /// On the wall.
    pub wall: f64,
    /// On processors, in user mode and in the kernel.
    pub cpu: f64,
}

impl Time {
    /// What the calling thread takes for `work`.
    pub fn of<T>(work: impl FnOnce() -> T) -> (Time, T) {
        // Asking for processor time is a system call, asking for wall time is not: so the latter is inside.
        let cpu = thread_cpu();
        let clock = Instant::now();
        let value = work();
        let wall = clock.elapsed().as_nanos() as f64;
        (Time { wall, cpu: (thread_cpu() - cpu) as f64 }, value)
    }

    /// For one of `parts`.
    pub fn by(self, parts: usize) -> Time {
        Time { wall: self.wall / parts as f64, cpu: self.cpu / parts as f64 }
    }

    /// Both together.
    pub fn and(self, other: Time) -> Time {
        Time { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// Processor time of the calling thread, in nanoseconds.
pub fn thread_cpu() -> u64 {
    cpu(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time of all threads of the process, in nanoseconds. Of a thread that runs on another processor just now, what it used since the last tick
/// is not in it.
pub fn process_cpu() -> u64 {
    cpu(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`, which is there.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime fails only for clocks that do not exist");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_uses_wall_time_and_no_processor() {
        let (time, ()) = Time::of(|| std::thread::sleep(std::time::Duration::from_millis(20)));
        assert!(time.wall >= 20e6 && time.cpu < 10e6, "{time:?}");
    }
}
