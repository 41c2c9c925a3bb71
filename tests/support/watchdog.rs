//! Turns a hang into stack dumps and a failure.
//!
//! When a test has run too long, every thread of the process is told, one after the other, to print where it is; then the process
//! aborts. A thread prints from a signal handler. That is not something a handler may do: unwinding takes locks and memory,
//! which the thread may hold just now. So each gets a few seconds and the next one follows in any case, and what can be read of a thread
//! from outside (its name, its state, what it waits for in the kernel) is printed first.
//!
//! This file stands alone, so that tests of other crates can include it by its path.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// `eprintln!` would go into the output that the test harness keeps for a test that ends, which this one does not.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// How long one thread may take to print its stack.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread that was told last has printed its stack.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Ends the process with every thread's stack when a test hangs, which a collector's bugs like to do.
pub struct Watchdog {
    /// Dropping it tells the thread that the test is over.
    _alive: Sender<()>,
}

impl Watchdog {
    /// From now until it is dropped, `time` may pass.
    pub fn start(time: Duration) -> Watchdog {
        let (alive, over) = channel::<()>();
        let test = std::thread::current().name().unwrap_or("a test").to_string();
        std::thread::spawn(move || {
            if over.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                say!("watchdog: {test} still runs after {time:?}; all threads:");
                dump_threads();
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}

/// Prints where every other thread of this process is.
pub fn dump_threads() {
    let signal = libc::SIGRTMIN() + 7;
    // SAFETY: a handler for a signal nobody else in a test process uses; what it does is argued above.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = print_stack as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
    // SAFETY: only asks.
    let (process, own) = unsafe { (libc::getpid(), libc::gettid()) };
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
    let threads = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<libc::pid_t>().ok());
    for thread in threads.filter(|thread| *thread != own) {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).unwrap_or_default();
        let status = read("status");
        let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or("").replace('\t', " ");
        say!("--- {thread}: {}, {}, in {}", line("Name"), line("State"), read("wchan"));
        PRINTED.store(false, Ordering::SeqCst);
        // SAFETY: sends a signal to a thread of this process, whose handler is installed.
        if unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) } != 0 {
            continue;
        }
        let start = Instant::now();
        while !PRINTED.load(Ordering::SeqCst) {
            if start.elapsed() > PATIENCE {
                say!("    does not answer: it holds signals back, or a lock that printing needs");
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

extern "C" fn print_stack(_signal: libc::c_int) {
    say!("{}", std::backtrace::Backtrace::force_capture());
    PRINTED.store(true, Ordering::SeqCst);
}
