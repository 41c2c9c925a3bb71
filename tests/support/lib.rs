//! Helpers shared by the tests.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use pagemark::typed::Mutator;

/// Ends the process with a message when a test hangs, which a collector's bugs like to do.
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
                eprintln!("watchdog: {test} still runs after {time:?}");
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}

/// Runs `work` while a mutator of the same heap on another thread does nothing but collect.
pub fn while_collecting<R>(m: &mut Mutator, work: impl FnOnce(&mut Mutator) -> R) -> R {
    let heap = m.heap().clone();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let mut m = heap.attach();
            while !over.load(Ordering::Relaxed) {
                m.collect();
            }
        });
        // A failed assertion must not leave the other thread waiting for this one's safepoint.
        let result = catch_unwind(AssertUnwindSafe(|| work(m)));
        over.store(true, Ordering::Relaxed);
        m.blocking(|| collecting.join()).expect("collecting does not panic");
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}
