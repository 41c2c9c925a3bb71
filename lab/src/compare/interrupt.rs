//! Ctrl-C, as a question that is asked often: has somebody said stop?
//!
//! Signals only set a flag. The programs that are measured have process groups of their own, so a terminal's Ctrl-C does not reach them; whoever waits for
//! one sees the flag within milliseconds and ends it. So the comparison always gets to write what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether to stop. Clones ask the same.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals that ask a program to end, from now on.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn catch() -> std::io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, interrupt.0.clone())?;
        }
        Ok(interrupt)
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
