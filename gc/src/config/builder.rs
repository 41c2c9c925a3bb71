//! A configuration put together in code.

use super::{Config, ConfigError, Disarm, Log, Sticky, Verify, Zeal};
use crate::barrier::Mechanism;
use crate::memory::Backing;

/// A configuration that is being put together; [`ConfigBuilder::build`] checks it.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConfigBuilder {
    pub(super) config: Config,
}

impl ConfigBuilder {
    /// Sets how writes are seen while marking.
    pub fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.config.mechanism = mechanism;
        self
    }

    /// Sets the memory the heap is made of.
    pub fn backing(mut self, backing: Backing) -> Self {
        self.config.backing = backing;
        self
    }

    /// Sets the hard limit of the heap in bytes; `None` leaves it to the control group and the machine.
    pub fn limit(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.config.limit = bytes.into();
        self
    }

    /// Sets the initial heap target in bytes; `None` is 32 MiB, or the limit where that is less.
    pub fn heap(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.config.heap = bytes.into();
        self
    }

    /// Sets the factor by which the live bytes may grow until the next cycle is due.
    pub fn growth(mut self, factor: f64) -> Self {
        self.config.growth = factor;
        self
    }

    /// Sets the number of threads that mark too while mutators wait.
    pub fn assists(mut self, threads: usize) -> Self {
        self.config.assists = threads;
        self
    }

    /// Sets the number of threads that mark.
    pub fn markers(mut self, threads: usize) -> Self {
        self.config.markers = threads;
        self
    }

    /// Sets the number of concurrent rounds after which mutators are stopped at the latest.
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.config.rounds = rounds;
        self
    }

    /// Sets which cycles keep the marks of the one before.
    pub fn sticky(mut self, sticky: Sticky) -> Self {
        self.config.sticky = sticky;
        self
    }

    /// Sets after which cycles pages are disarmed until the next.
    pub fn disarm(mut self, disarm: Disarm) -> Self {
        self.config.disarm = disarm;
        self
    }

    /// Sets what is logged.
    pub fn log(mut self, log: Log) -> Self {
        self.config.log = log;
        self
    }

    /// Sets whether one line of JSON is printed when the heap is dropped.
    pub fn summary(mut self, summary: bool) -> Self {
        self.config.summary = summary;
        self
    }

    /// Sets the file to which a timeline is written; `None` writes none.
    pub fn trace(mut self, file: impl Into<Option<String>>) -> Self {
        self.config.trace = file.into();
        self
    }

    /// Sets what is checked in every pause.
    pub fn verify(mut self, verify: Verify) -> Self {
        self.config.verify = verify;
        self
    }

    /// Sets which cycles are requested beside the pacer's.
    pub fn zeal(mut self, zeal: Zeal) -> Self {
        self.config.zeal = zeal;
        self
    }

    /// Sets whether cards are kept beside a page mechanism, and the two compared.
    pub fn oracle(mut self, oracle: bool) -> Self {
        self.config.oracle = oracle;
        self
    }

    /// Sets whether swept memory is filled, and checked when it is used again.
    pub fn poison(mut self, poison: bool) -> Self {
        self.config.poison = poison;
        self
    }

    /// Sets what the heap is called in log lines and summaries.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Checks what was put together.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for a value outside its range, [`ConfigError::HeapAboveLimit`] for a heap target
    /// that cannot be reached.
    pub fn build(self) -> Result<Config, ConfigError> {
        self.config.validate()?;
        Ok(self.config)
    }
}
