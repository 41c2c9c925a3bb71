//! What a user can ask of a heap, and the one line of text that says it.
//!
//! A *configuration* is a set of **keys**, each with a value. It is written in three places and means the same in
//! all of them: in code ([`Config::builder`]), in a program's own option ([`Config::parse`]), and in the environment
//! variable [`Config::ENVIRONMENT`] of a program that is already built ([`Config::from_env`]):
//!
//! ```text
//! PAGEMARK_GC="mechanism=sigbus, limit=1.5G, log=gc, summary"
//! ```
//!
//! Everything the text form knows is one row of [`KEYS`]: the name, what is allowed, what it does, how it is set and
//! how it is shown. Parsing, error messages, `Display` and [`Config::help`] all read that table, so a key
//! cannot be parsed and not printed, or printed and not explained.
//!
//! Three rules keep a misspelt experiment from measuring the wrong thing:
//!
//! 1. *Nothing is ignored.* An unknown key, a value outside what is allowed, and a key given twice in one text are
//!    errors, and each says what would have been right.
//! 2. *A `Config` is always valid.* Its fields are private; the only ways to one are [`ConfigBuilder::build`] and the
//!    parsers, and both end in the same check. Whoever receives a `Config` checks nothing again.
//! 3. *All or nothing.* [`Config::apply`] works on a copy: after an error the configuration is what it was.
//!
//! Sizes are powers of 1024 (`K`, `M`, `G`, `T`, or `KiB`, `MiB`, `GiB`, `TiB`, in either case), and so are the sizes the
//! collector logs.

mod builder;
mod choices;
mod error;
mod keys;
mod sizes;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;

pub use builder::ConfigBuilder;
pub use choices::{Disarm, Log, Sticky, Verify, Zeal};
pub use error::ConfigError;
pub use keys::{KEYS, Key};

use crate::barrier::Mechanism;
use crate::layout::MAX_LIMIT;
use crate::memory::Backing;
use error::nearest_key;
use sizes::MIB;

/// How many threads may mark; also the range of `markers`.
const MARKERS: RangeInclusive<usize> = 1..=64;
/// How many may help them; also the range of `assists`.
const ASSISTS: RangeInclusive<usize> = 0..=64;
/// The range of `rounds`. Zero goes from marking straight to the pause.
const ROUNDS: RangeInclusive<u32> = 0..=100;
/// The range of `limit`, in bytes: below it not even one block for each of a handful of threads is left.
const LIMITS: RangeInclusive<u64> = 4 * MIB..=MAX_LIMIT as u64;
/// The smallest `growth`: closer to 1, the next cycle starts before the last one has paid off.
const MIN_GROWTH: f64 = 1.1;
/// The heap target where none is given, in bytes.
const DEFAULT_HEAP: u64 = 32 * MIB;
/// The longest `name`, in bytes: it is part of every log line.
const MAX_NAME: usize = 64;

/// A checked configuration of one heap.
///
/// `Display` prints every key; [`Config::parse`] of that text gives an equal configuration.
///
/// ```
/// # use pagemark_gc::config::Config;
/// let mut config = Config::builder().limit(256 << 20).name("compiler").build()?;
/// config.apply("growth=1.5, log=gc")?;
/// assert_eq!(config.growth(), 1.5);
/// assert_eq!(config, Config::parse(&config.to_string())?);
/// # Ok::<(), pagemark_gc::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    mechanism: Mechanism,
    backing: Backing,
    limit: Option<u64>,
    heap: Option<u64>,
    growth: f64,
    markers: usize,
    assists: usize,
    rounds: u32,
    sticky: Sticky,
    disarm: Disarm,
    log: Log,
    summary: bool,
    trace: Option<String>,
    verify: Verify,
    zeal: Zeal,
    oracle: bool,
    poison: bool,
    name: String,
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        let markers = (processors / 2).clamp(*MARKERS.start(), *MARKERS.end());
        Self {
            mechanism: Mechanism::Auto,
            backing: Backing::Anon,
            limit: None,
            heap: None,
            growth: 2.0,
            markers,
            assists: (processors - markers).min(*ASSISTS.end()),
            rounds: 16,
            sticky: Sticky::Auto,
            disarm: Disarm::Auto,
            log: Log::Off,
            summary: false,
            trace: None,
            verify: Verify::Off,
            zeal: Zeal::Off,
            oracle: false,
            poison: false,
            name: "heap".to_string(),
        }
    }
}

impl Config {
    /// The environment variable [`Config::from_env`] reads.
    pub const ENVIRONMENT: &'static str = "PAGEMARK_GC";

    /// Starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        Self::default().to_builder()
    }

    /// Starts from this configuration.
    pub fn to_builder(&self) -> ConfigBuilder {
        ConfigBuilder { config: self.clone() }
    }

    /// The defaults, changed by `text`: keys and values separated by commas, such as `limit=1G, summary`. Space
    /// around keys and values does not matter, nor do empty parts.
    ///
    /// # Errors
    /// See [`Config::apply`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.apply(text)?;
        Ok(config)
    }

    /// The defaults, changed by the environment variable [`Config::ENVIRONMENT`] where it is set.
    ///
    /// # Errors
    /// [`ConfigError::Environment`], which holds what was wrong with its text.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.apply_env()?;
        Ok(config)
    }

    /// Changes what `text` names and keeps the rest. See [`Config::parse`] for the form.
    ///
    /// # Errors
    /// An unknown key, a missing or impossible value, a key given twice in `text`, or a heap target above the
    /// limit. After an error nothing has changed.
    pub fn apply(&mut self, text: &str) -> Result<(), ConfigError> {
        let mut config = self.clone();
        let mut seen = [false; KEYS.len()];
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (part, None),
            };
            let Some(index) = KEYS.iter().position(|key| key.name == name) else {
                return Err(ConfigError::UnknownKey { key: name.to_string(), suggestion: nearest_key(name) });
            };
            let key = &KEYS[index];
            if std::mem::replace(&mut seen[index], true) {
                return Err(ConfigError::DuplicateKey { key: key.name });
            }
            let value = match value {
                Some("") => None,
                Some(value) => Some(value),
                None => key.bare.then_some("true"),
            };
            let Some(value) = value else {
                return Err(ConfigError::MissingValue { key: key.name, allowed: key.allowed });
            };
            let bad = || ConfigError::BadValue { key: key.name, value: value.to_string(), allowed: key.allowed };
            (key.set)(&mut config, value).ok_or_else(bad)?;
        }
        config.validate()?;
        *self = config;
        Ok(())
    }

    /// Changes what the environment variable [`Config::ENVIRONMENT`] names, where it is set: how a program with its own
    /// defaults lets its user have the last word.
    ///
    /// # Errors
    /// [`ConfigError::Environment`], which holds what was wrong with its text. After an error nothing has changed.
    pub fn apply_env(&mut self) -> Result<(), ConfigError> {
        self.apply_variable(std::env::var_os(Self::ENVIRONMENT))
    }

    fn apply_variable(&mut self, variable: Option<OsString>) -> Result<(), ConfigError> {
        let Some(variable) = variable else { return Ok(()) };
        variable
            .to_str()
            .ok_or(ConfigError::NotText)
            .and_then(|text| self.apply(text))
            .map_err(|source| ConfigError::Environment { source: Box::new(source) })
    }

    /// Every key, what is allowed, its default and what it does: several lines for a terminal, the last without a
    /// newline.
    pub fn help() -> String {
        let default = Self::default();
        let lines = KEYS
            .iter()
            .map(|key| format!("{}={}\n    {} (default: {})", key.name, key.allowed, key.doc, (key.show)(&default)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How writes are seen while marking.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The memory the heap is made of.
    pub fn backing(&self) -> Backing {
        self.backing
    }

    /// The hard limit of the heap in bytes; `None` leaves it to the control group and the machine.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The initial heap target in bytes: no cycle starts below it. Never above [`Config::limit`].
    pub fn heap(&self) -> u64 {
        self.heap.unwrap_or_else(|| self.limit.map_or(DEFAULT_HEAP, |limit| limit.min(DEFAULT_HEAP)))
    }

    /// The factor by which the live bytes may grow until the next cycle is due; finite, at least 1.1.
    pub fn growth(&self) -> f64 {
        self.growth
    }

    /// The number of threads that mark, 1 to 64.
    pub fn markers(&self) -> usize {
        self.markers
    }

    /// The number of threads that mark too while mutators wait, 0 to 64.
    pub fn assists(&self) -> usize {
        self.assists
    }

    /// The number of concurrent rounds after which mutators are stopped at the latest, 0 to 100.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Which cycles keep the marks of the one before.
    pub fn sticky(&self) -> Sticky {
        self.sticky
    }

    /// After which cycles pages are disarmed until the next.
    pub fn disarm(&self) -> Disarm {
        self.disarm
    }

    /// What is logged.
    pub fn log(&self) -> Log {
        self.log
    }

    /// Whether one line of JSON is printed when the heap is dropped.
    pub fn summary(&self) -> bool {
        self.summary
    }

    /// The file to which a timeline is written; `%p` in it stands for the process id.
    pub fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// What is checked around and in every pause.
    pub fn verify(&self) -> Verify {
        self.verify
    }

    /// Which cycles are requested beside the pacer's.
    pub fn zeal(&self) -> Zeal {
        self.zeal
    }

    /// Whether cards are kept beside a page mechanism, and the two compared.
    pub fn oracle(&self) -> bool {
        self.oracle
    }

    /// Whether swept memory is filled, and checked when it is used again.
    pub fn poison(&self) -> bool {
        self.poison
    }

    /// What the heap is called in log lines and summaries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks what the types do not say. Every way to a `Config` ends here.
    fn validate(&self) -> Result<(), ConfigError> {
        let name_is_plain = !self.name.contains(|c: char| c.is_control() || matches!(c, ',' | '[' | ']'));
        let name_has_edges = self.name.trim() != self.name;
        // What the text form cannot say.
        let file_is_plain = |file: &String| {
            !file.contains(|c: char| c.is_control() || c == ',')
                && file.trim() == file
                && !file.is_empty()
                && file != "off"
        };
        let checks = [
            ("limit", self.limit.is_none_or(|limit| LIMITS.contains(&limit))),
            ("growth", self.growth.is_finite() && self.growth >= MIN_GROWTH),
            ("markers", MARKERS.contains(&self.markers)),
            ("assists", ASSISTS.contains(&self.assists)),
            ("rounds", ROUNDS.contains(&self.rounds)),
            ("trace", self.trace.as_ref().is_none_or(file_is_plain)),
            ("zeal", !matches!(self.zeal, Zeal::Alloc(0) | Zeal::Safepoint(0))),
            ("name", (1..=MAX_NAME).contains(&self.name.len()) && name_is_plain && !name_has_edges),
        ];
        for key in &KEYS {
            if checks.contains(&(key.name, false)) {
                return Err(ConfigError::BadValue { key: key.name, value: (key.show)(self), allowed: key.allowed });
            }
        }
        match (self.heap, self.limit) {
            (Some(heap), Some(limit)) if heap > limit => Err(ConfigError::HeapAboveLimit { heap, limit }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in KEYS.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}={}", key.name, (key.show)(self))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}
