//! Processor time, told apart by who used it and where.
//!
//! A page barrier can hide its cost in two places: in other threads and in the kernel. So the process' time is split:
//!
//! * *mutator*: each mutator thread asks for its own time when it begins and when it has done its last step;
//! * *collector*: everything else of the process: markers, the collector's own thread, the thread that resolves
//!   faults, less what the measuring itself used (the control thread and the one that waits for the end);
//!
//! and each part into user and kernel time. A mutator's kernel time is faults, those of first touch that any program
//! pays and those of the barrier, and system calls for memory. What the collector makes mutators do for it, sweeping and
//! handing over roots, is in the mutator's user time.
//!
//! The collector's part is a difference of sums that were read one after the other, not at once; it is off by what
//! happened between, some tens of microseconds, and never less than zero. How the kernel divides a thread's time into
//! user and kernel depends on how it was built: exact with `VIRT_CPU_ACCOUNTING_GEN`, otherwise by sampling at
//! every clock tick, which is good for runs of seconds and not for ones of milliseconds. The sum of both is exact.
//! Sampled parts of the threads do not add up to those of the process, either; where that would give the collector
//! less than nothing of one kind, it has none of that kind, and its total stays what it is.

use serde::Serialize;

/// Processor time and faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// In the program's own code, in seconds.
    pub user_s: f64,
    /// In the kernel, in seconds.
    pub kernel_s: f64,
    /// Faults that needed no device: first touches, and writes to armed pages.
    pub minor_faults: i64,
}

impl Usage {
    /// Of the calling thread, since it began.
    pub fn of_thread() -> Usage {
        Usage::ask(libc::RUSAGE_THREAD)
    }

    /// Of all threads of the process, also those that have ended.
    pub fn of_process() -> Usage {
        Usage::ask(libc::RUSAGE_SELF)
    }

    fn ask(who: libc::c_int) -> Usage {
        // SAFETY: all-zero is a value of this struct of integers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes one `rusage`, which is there.
        let result = unsafe { libc::getrusage(who, &raw mut usage) };
        assert_eq!(result, 0, "getrusage fails only for arguments that do not exist");
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Usage {
            user_s: seconds(usage.ru_utime),
            kernel_s: seconds(usage.ru_stime),
            minor_faults: usage.ru_minflt as i64,
        }
    }

    /// What was used between `before` and this.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            user_s: self.user_s - before.user_s,
            kernel_s: self.kernel_s - before.kernel_s,
            minor_faults: self.minor_faults - before.minor_faults,
        }
    }

    /// Both together.
    pub fn and(self, other: Usage) -> Usage {
        Usage {
            user_s: self.user_s + other.user_s,
            kernel_s: self.kernel_s + other.kernel_s,
            minor_faults: self.minor_faults + other.minor_faults,
        }
    }

    /// To the microsecond, and nothing below zero.
    fn tidy(self) -> Usage {
        let tidy = |seconds: f64| (seconds.max(0.0) * 1e6).round() / 1e6;
        Usage { user_s: tidy(self.user_s), kernel_s: tidy(self.kernel_s), minor_faults: self.minor_faults.max(0) }
    }
}

/// Processor time of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// The threads that ran the program.
    pub mutator: Usage,
    /// The collector's.
    pub collector: Usage,
    /// All of it in the kernel, in seconds.
    pub kernel_s: f64,
    /// All of it, in seconds.
    pub total_s: f64,
}

impl Cpu {
    /// Of a process that used `process`, of which its mutators used `mutator` and the measuring `measuring`.
    pub fn split(process: Usage, mutator: Usage, measuring: Usage) -> Cpu {
        let collector = process.since(mutator).since(measuring);
        // The kernel divides the process' time anew, and not into the sums of its threads' parts. The total is right.
        let total = (collector.user_s + collector.kernel_s).max(0.0);
        let kernel_s = collector.kernel_s.clamp(0.0, total);
        let collector = Usage { user_s: total - kernel_s, kernel_s, ..collector }.tidy();
        let mutator = mutator.tidy();
        let both = mutator.and(collector).tidy();
        Cpu {
            mutator,
            collector,
            kernel_s: both.kernel_s,
            total_s: (both.user_s * 1e6 + both.kernel_s * 1e6).round() / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collector_has_what_is_left_and_the_sums_add_up() {
        let usage = |user_s, kernel_s, minor_faults| Usage { user_s, kernel_s, minor_faults };
        let cpu = Cpu::split(usage(10.0, 3.0, 100), usage(6.0, 2.0, 80), usage(0.5, 0.25, 1));
        assert_eq!(cpu.collector, usage(3.5, 0.75, 19));
        assert_eq!((cpu.kernel_s, cpu.total_s), (2.75, 12.25));
    }

    #[test]
    fn what_the_kernel_divided_otherwise_is_nobodys_negative_time() {
        let usage = |user_s, kernel_s| Usage { user_s, kernel_s, minor_faults: 0 };
        let cpu = Cpu::split(usage(1.9, 1.3), usage(2.0, 1.0), Usage::default());
        assert_eq!(cpu.collector, usage(0.0, 0.2));
        assert_eq!(cpu.total_s, 3.2);
    }

    #[test]
    fn what_another_thread_does_is_the_process_but_not_this_thread() {
        fn both(usage: Usage) -> f64 {
            usage.user_s + usage.kernel_s
        }
        let (thread, process) = (Usage::of_thread(), Usage::of_process());
        let other = std::thread::spawn(|| {
            let mut x = 1u64;
            while both(Usage::of_thread()) < 0.05 {
                (0..1_000_000).for_each(|_| x = std::hint::black_box(x.wrapping_mul(3)));
            }
            both(Usage::of_thread())
        });
        let other = other.join().expect("it only counts");
        let (thread, process) = (Usage::of_thread().since(thread), Usage::of_process().since(process));
        assert!(both(process) + 1e-3 >= other && other >= 0.05, "{process:?} {other}");
        assert!(both(thread) < other, "{thread:?} {other}");
    }
}
