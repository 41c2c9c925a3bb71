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
//! Sizes are powers of 1024 (`K`, `M`, `G`, or `KiB`, `MiB`, `GiB`, in either case), and so are the sizes the
//! collector logs.

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::barrier::Mechanism;
use crate::memory::Backing;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// How many threads may mark; also the range of `markers`.
const MARKERS: RangeInclusive<usize> = 1..=64;
/// The range of `rounds`. Zero goes from marking straight to the pause.
const ROUNDS: RangeInclusive<u32> = 0..=100;
/// The smallest `limit`, in bytes: below it not even one block for each of a handful of threads is left.
const MIN_LIMIT: u64 = 4 * MIB;
/// The smallest `growth`: closer to 1, the next cycle starts before the last one has paid off.
const MIN_GROWTH: f64 = 1.1;
/// The heap target where none is given, in bytes.
const DEFAULT_HEAP: u64 = 32 * MIB;
/// The longest `name`, in bytes: it is part of every log line.
const MAX_NAME: usize = 64;

/// How much the collector says on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Log {
    /// Nothing but warnings.
    #[default]
    Off,
    /// One line a cycle.
    Gc,
}

impl Log {
    /// Every value, in the order of [`Config::help`].
    pub const ALL: [Self; 2] = [Self::Off, Self::Gc];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Gc => "gc",
        }
    }
}

/// What is checked while collecting, at a price no production run wants to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Nothing.
    #[default]
    Off,
    /// In every pause the heap is traced again from its roots, and an object that the cycle missed is named, with its
    /// page and whether that page was reported as written.
    Mark,
}

impl Verify {
    /// Every value, in the order of [`Config::help`].
    pub const ALL: [Self; 2] = [Self::Off, Self::Mark];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mark => "mark",
        }
    }
}

/// Cycles nobody needs, at moments nobody would choose: how a test finds the root that was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Zeal {
    /// Cycles start only when the pacer says so.
    #[default]
    Off,
    /// A cycle is requested every so many allocations. Never zero in a [`Config`].
    Alloc(u64),
    /// A cycle is requested every so many safepoints. Never zero in a [`Config`].
    Safepoint(u64),
}

impl Zeal {
    fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::Off);
        }
        let (kind, every) = text.split_once(':')?;
        let every = whole(every.trim())?;
        match kind.trim() {
            "alloc" => Some(Self::Alloc(every)),
            "safepoint" => Some(Self::Safepoint(every)),
            _ => None,
        }
    }
}

impl fmt::Display for Zeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Alloc(every) => write!(f, "alloc:{every}"),
            Self::Safepoint(every) => write!(f, "safepoint:{every}"),
        }
    }
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text names a key that does not exist.
    #[error("unknown key `{key}`{}; the keys are {}", did_you_mean(*suggestion), key_names())]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// The one key that is at most two typing errors away, where there is one.
        suggestion: Option<&'static str>,
    },
    /// A key that needs a value stands alone.
    #[error("`{key}` needs a value: {key}={allowed}")]
    MissingValue {
        /// The key.
        key: &'static str,
        /// What may follow it.
        allowed: &'static str,
    },
    /// A value is not one of those allowed, or lies outside its range.
    #[error("`{key}={value}` is not possible: allowed is {allowed}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value as it was written, or as it would have been.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// One text gives the same key twice.
    #[error("`{key}` is given twice")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// The heap could reach its limit before its first cycle.
    #[error("`heap={}` is above `limit={}`: the first cycle would never start", size_text(*heap), size_text(*limit))]
    HeapAboveLimit {
        /// The initial heap target in bytes.
        heap: u64,
        /// The hard limit in bytes.
        limit: u64,
    },
    /// The environment variable holds something that is not text.
    #[error("the value is not valid UTF-8")]
    NotText,
    /// The environment variable was refused.
    #[error("in the environment variable {}: {source}", Config::ENVIRONMENT)]
    Environment {
        /// What was wrong with it.
        source: Box<ConfigError>,
    },
}

/// One row of [`KEYS`]: a key of the text form.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// What may follow the `=`.
    pub allowed: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Whether the key may stand alone, meaning `true`.
    pub bare: bool,
    /// Sets the value, or returns `None` if that text is not a value at all. Ranges are checked by `validate`.
    set: fn(&mut Config, &str) -> Option<()>,
    /// The value as text that `set` accepts.
    show: fn(&Config) -> String,
}

/// Every key of the text form, in the order in which it is printed.
pub static KEYS: [Key; 12] = [
    Key {
        name: "mechanism",
        allowed: "auto|async|sync|sigbus|mprotect|cards|stop",
        doc: "how writes are seen while marking",
        bare: false,
        set: |c, v| Mechanism::ALL.iter().find(|m| m.name() == v).map(|m| c.mechanism = *m),
        show: |c| c.mechanism.name().to_string(),
    },
    Key {
        name: "backing",
        allowed: "anon|shmem",
        doc: "the memory the heap is made of; shmem has a second mapping that is never armed",
        bare: false,
        set: |c, v| Backing::ALL.iter().find(|b| b.name() == v).map(|b| c.backing = *b),
        show: |c| c.backing.name().to_string(),
    },
    Key {
        name: "limit",
        allowed: "auto|SIZE (at least 4M)",
        doc: "the hard limit of the heap; auto asks the control group and the machine",
        bare: false,
        set: |c, v| size_or_auto(v).map(|limit| c.limit = limit),
        show: |c| size_or_auto_text(c.limit),
    },
    Key {
        name: "heap",
        allowed: "auto|SIZE (at most the limit)",
        doc: "the size up to which the heap may grow before a cycle ends; auto is 32M, or the limit where that is less",
        bare: false,
        set: |c, v| size_or_auto(v).map(|heap| c.heap = heap),
        show: |c| size_or_auto_text(c.heap),
    },
    Key {
        name: "growth",
        allowed: "FACTOR (at least 1.1)",
        doc: "the next cycle should end before the heap reaches the live bytes times this, or `heap` if that is more",
        bare: false,
        set: |c, v| v.parse().ok().map(|growth| c.growth = growth),
        show: |c| format!("{:?}", c.growth),
    },
    Key {
        name: "markers",
        allowed: "N (1 to 64)",
        doc: "threads that mark; by default half the processors this process may use",
        bare: false,
        set: |c, v| whole(v).and_then(|n| usize::try_from(n).ok()).map(|n| c.markers = n),
        show: |c| c.markers.to_string(),
    },
    Key {
        name: "rounds",
        allowed: "N (0 to 100)",
        doc: "rescans of written pages before mutators are stopped, at most",
        bare: false,
        set: |c, v| whole(v).and_then(|n| u32::try_from(n).ok()).map(|n| c.rounds = n),
        show: |c| c.rounds.to_string(),
    },
    Key {
        name: "log",
        allowed: "off|gc",
        doc: "what is printed on stderr: nothing, or a line a cycle",
        bare: false,
        set: |c, v| Log::ALL.iter().find(|l| l.name() == v).map(|l| c.log = *l),
        show: |c| c.log.name().to_string(),
    },
    Key {
        name: "summary",
        allowed: "true|false, or `summary` alone",
        doc: "the embedder prints one line of JSON, the summary, when the program ends",
        bare: true,
        set: |c, v| v.parse().ok().map(|summary| c.summary = summary),
        show: |c| c.summary.to_string(),
    },
    Key {
        name: "verify",
        allowed: "off|mark",
        doc: "trace again in every pause and name what the cycle missed",
        bare: false,
        set: |c, v| Verify::ALL.iter().find(|x| x.name() == v).map(|x| c.verify = *x),
        show: |c| c.verify.name().to_string(),
    },
    Key {
        name: "zeal",
        allowed: "off|alloc:N|safepoint:N (N at least 1)",
        doc: "request a cycle at every Nth refill of a mutator's hole (at most 64 KB) or large object, or at every Nth safepoint",
        bare: false,
        set: |c, v| Zeal::parse(v).map(|zeal| c.zeal = zeal),
        show: |c| c.zeal.to_string(),
    },
    Key {
        name: "name",
        allowed: "TEXT (1 to 64 bytes; no comma, square bracket or control character, no space at either end)",
        doc: "what the heap is called in log lines and summaries",
        bare: false,
        set: |c, v| {
            c.name = v.to_string();
            Some(())
        },
        show: |c| c.name.clone(),
    },
];

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
    rounds: u32,
    log: Log,
    summary: bool,
    verify: Verify,
    zeal: Zeal,
    name: String,
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            mechanism: Mechanism::Auto,
            backing: Backing::Anon,
            limit: None,
            heap: None,
            growth: 2.0,
            markers: (processors / 2).clamp(*MARKERS.start(), *MARKERS.end()),
            rounds: 16,
            log: Log::Off,
            summary: false,
            verify: Verify::Off,
            zeal: Zeal::Off,
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

    /// The number of concurrent rounds after which mutators are stopped at the latest, 0 to 100.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// What is logged.
    pub fn log(&self) -> Log {
        self.log
    }

    /// Whether one line of JSON is printed when the heap is dropped.
    pub fn summary(&self) -> bool {
        self.summary
    }

    /// What is checked in every pause.
    pub fn verify(&self) -> Verify {
        self.verify
    }

    /// Which cycles are requested beside the pacer's.
    pub fn zeal(&self) -> Zeal {
        self.zeal
    }

    /// What the heap is called in log lines and summaries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks what the types do not say. Every way to a `Config` ends here.
    fn validate(&self) -> Result<(), ConfigError> {
        let name_is_plain = !self.name.contains(|c: char| c.is_control() || matches!(c, ',' | '[' | ']'));
        let name_has_edges = self.name.trim() != self.name;
        let checks = [
            ("limit", self.limit.is_none_or(|limit| limit >= MIN_LIMIT)),
            ("growth", self.growth.is_finite() && self.growth >= MIN_GROWTH),
            ("markers", MARKERS.contains(&self.markers)),
            ("rounds", ROUNDS.contains(&self.rounds)),
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

/// A configuration that is being put together; [`ConfigBuilder::build`] checks it.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConfigBuilder {
    config: Config,
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

/// A whole number without sign, underscore or space.
fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `auto` or a size.
fn size_or_auto(text: &str) -> Option<Option<u64>> {
    if text == "auto" { Some(None) } else { parse_size(text).map(Some) }
}

/// A size in bytes: a decimal number and a unit. A fraction of a byte is cut off; a fraction without a unit, which
/// could only be a mistake, is none.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => KIB,
        "m" | "mib" => MIB,
        "g" | "gib" => GIB,
        _ => return None,
    };
    let (integer, fraction) = match number.split_once('.') {
        Some((integer, fraction)) if unit > 1 && !fraction.is_empty() => (integer, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    // In whole numbers, so that 0.1G is the same on every machine: nine decimals are finer than a byte of any unit.
    let fraction = &fraction[..fraction.len().min(9)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { whole(fraction)? };
    let scaled = u128::from(whole(integer)?) * scale + u128::from(fraction);
    u64::try_from(scaled * u128::from(unit) / scale).ok()
}

/// A size as [`parse_size`] accepts it: in the largest unit that says it exactly.
fn size_text(bytes: u64) -> String {
    for (unit, suffix) in [(GIB, "G"), (MIB, "M"), (KIB, "K")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{suffix}", bytes / unit);
        }
    }
    bytes.to_string()
}

fn size_or_auto_text(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "auto".to_string(), size_text)
}

fn key_names() -> String {
    KEYS.map(|key| key.name).join(", ")
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |key| format!(" (did you mean `{key}`?)"))
}

/// The key nearest to what was written, if it is near enough to be what was meant.
fn nearest_key(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let near = KEYS.iter().map(|key| (edit_distance(&written, key.name), key.name));
    near.filter(|(distance, _)| *distance <= 2).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many characters must be inserted, deleted or replaced to make one text the other (Levenshtein 1966), by the
/// two-row recurrence (Wagner & Fischer 1974) with one of the rows folded away.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ConfigError {
        Config::parse(text).expect_err(text)
    }

    fn bad(text: &str) -> (&'static str, String) {
        match error(text) {
            ConfigError::BadValue { key, value, .. } => (key, value),
            other => panic!("{text}: {other}"),
        }
    }

    #[test]
    fn nothing_asked_for_is_the_default() {
        let default = Config::default();
        for text in ["", "   ", ",", " , ,"] {
            assert_eq!(Config::parse(text).unwrap(), default, "{text:?}");
        }
        assert_eq!(Config::builder().build().unwrap(), default);
        assert_eq!(default.mechanism(), Mechanism::Auto);
        assert_eq!(default.backing(), Backing::Anon);
        assert_eq!(default.limit(), None);
        assert_eq!(default.heap(), 32 << 20);
        assert_eq!(default.growth(), 2.0);
        assert!(MARKERS.contains(&default.markers()));
        assert_eq!(default.rounds(), 16);
        assert_eq!((default.log(), default.verify(), default.zeal()), (Log::Off, Verify::Off, Zeal::Off));
        assert!(!default.summary());
        assert_eq!(default.name(), "heap");
    }

    #[test]
    fn every_key_reaches_its_field_however_it_is_set() {
        let parsed = Config::parse(
            "mechanism=sigbus, backing = shmem ,limit=1G,heap=64M,growth=1.5,markers=3,\n rounds=2,log=gc,summary,\
             verify=mark,zeal=alloc:100,name=my heap=1",
        )
        .unwrap();
        let built = Config::builder()
            .mechanism(Mechanism::Sigbus)
            .backing(Backing::Shmem)
            .limit(1 << 30)
            .heap(64 << 20)
            .growth(1.5)
            .markers(3)
            .rounds(2)
            .log(Log::Gc)
            .summary(true)
            .verify(Verify::Mark)
            .zeal(Zeal::Alloc(100))
            .name("my heap=1")
            .build()
            .unwrap();
        assert_eq!(parsed, built);
        assert_eq!(built.mechanism(), Mechanism::Sigbus);
        assert_eq!(built.backing(), Backing::Shmem);
        assert_eq!((built.limit(), built.heap()), (Some(1 << 30), 64 << 20));
        assert_eq!((built.growth(), built.markers(), built.rounds()), (1.5, 3, 2));
        assert_eq!((built.log(), built.summary()), (Log::Gc, true));
        assert_eq!((built.verify(), built.zeal(), built.name()), (Verify::Mark, Zeal::Alloc(100), "my heap=1"));
        assert_eq!(built.to_builder().build().unwrap(), built);
    }

    #[test]
    fn what_is_printed_parses_back() {
        let mut configs = vec![Config::default()];
        for mechanism in Mechanism::ALL.iter().copied() {
            configs.push(Config::builder().mechanism(mechanism).build().unwrap());
        }
        for backing in Backing::ALL.iter().copied() {
            configs.push(Config::builder().backing(backing).build().unwrap());
        }
        for log in Log::ALL {
            configs.push(Config::builder().log(log).build().unwrap());
        }
        for verify in Verify::ALL {
            configs.push(Config::builder().verify(verify).summary(true).build().unwrap());
        }
        for zeal in [Zeal::Off, Zeal::Alloc(1), Zeal::Safepoint(u64::MAX)] {
            configs.push(Config::builder().zeal(zeal).name("größe 7 :=").build().unwrap());
        }
        for bytes in [4 << 20, (4 << 20) + 1, (1 << 30) + 1024, 3 << 29, 1 << 40, u64::MAX] {
            configs.push(Config::builder().limit(bytes).build().unwrap());
            configs.push(Config::builder().heap(bytes).build().unwrap());
        }
        for growth in [1.1, 1.0 + 1.0 / 3.0, 100.0, 1e300] {
            configs.push(Config::builder().growth(growth).heap(0).rounds(0).markers(64).build().unwrap());
        }
        for config in configs {
            let text = config.to_string();
            assert_eq!(Config::parse(&text).unwrap(), config, "{text}");
            assert_eq!(text.parse::<Config>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_canonical_text_names_every_key_once() {
        let config = Config::parse("markers=2,limit=1536M,zeal=safepoint:7,summary").unwrap();
        assert_eq!(
            config.to_string(),
            "mechanism=auto,backing=anon,limit=1536M,heap=auto,growth=2.0,markers=2,rounds=16,log=off,summary=true,\
             verify=off,zeal=safepoint:7,name=heap"
        );
    }

    #[test]
    fn the_table_says_what_the_enums_know() {
        let allowed = |name| KEYS.iter().find(|key| key.name == name).unwrap().allowed;
        let joined = |names: Vec<&str>| names.join("|");
        assert_eq!(allowed("mechanism"), joined(Mechanism::ALL.iter().map(|m| m.name()).collect()));
        assert_eq!(allowed("backing"), joined(Backing::ALL.iter().map(|b| b.name()).collect()));
        assert_eq!(allowed("log"), joined(Log::ALL.iter().map(|l| l.name()).collect()));
        assert_eq!(allowed("verify"), joined(Verify::ALL.iter().map(|v| v.name()).collect()));
        assert!(allowed("markers").contains("1 to 64") && MARKERS == (1..=64));
        assert!(allowed("rounds").contains("0 to 100") && ROUNDS == (0..=100));
    }

    #[test]
    fn help_explains_every_key() {
        let help = Config::help();
        for key in &KEYS {
            assert!(help.contains(&format!("{}={}", key.name, key.allowed)), "{help}");
            assert!(help.contains(key.doc), "{help}");
        }
        assert!(help.contains("(default: auto)") && !help.ends_with('\n'), "{help}");
    }

    #[test]
    fn sizes_are_powers_of_1024_with_decimals() {
        let sizes = [
            ("0", 0),
            ("4096", 4096),
            ("1K", 1 << 10),
            ("1k", 1 << 10),
            ("3M", 3 << 20),
            ("2G", 2 << 30),
            ("1KiB", 1 << 10),
            ("1 MiB", 1 << 20),
            ("1gib", 1 << 30),
            ("1.5G", 3 << 29),
            ("0.25M", 1 << 18),
            ("0.1K", 102),
            ("1.0000000000000001M", 1 << 20),
            ("17179869183G", u64::MAX - (1 << 30) + 1),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        let impossible = [
            "",
            "K",
            "1.5",
            "1.",
            ".5G",
            "1.G",
            "1..5G",
            "1.5.0G",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "1T",
            "1KB",
            "1 0",
            "17179869184G",
            "18446744073709551616",
            "99999999999999999999G",
            "٣M",
            "1.٣M",
        ];
        for text in impossible {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_print_in_the_largest_exact_unit() {
        let sizes =
            [(0, "0"), (1, "1"), (1023, "1023"), (1536, "1536"), (2048, "2K"), (3 << 29, "1536M"), (1 << 40, "1024G")];
        for (bytes, text) in sizes {
            assert_eq!(size_text(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
    }

    #[test]
    fn an_unknown_key_lists_the_keys_and_suggests_the_nearest() {
        for (written, meant) in
            [("grwoth", "growth"), ("limt", "limit"), ("HEAP", "heap"), ("marker", "markers"), ("logs", "log")]
        {
            let error = error(&format!("{written}=1"));
            assert_eq!(error, ConfigError::UnknownKey { key: written.to_string(), suggestion: Some(meant) });
            let message = error.to_string();
            assert!(message.contains(&format!("did you mean `{meant}`?")), "{message}");
            for key in &KEYS {
                assert!(message.contains(key.name), "{message}");
            }
        }
        let error = error("generational");
        assert_eq!(error, ConfigError::UnknownKey { key: "generational".to_string(), suggestion: None });
        assert!(!error.to_string().contains("did you mean"), "{error}");
        assert!(matches!(self::error("=1"), ConfigError::UnknownKey { key, .. } if key.is_empty()));
    }

    #[test]
    fn a_bad_value_says_what_is_allowed() {
        let cases = [
            ("mechanism=magic", "mechanism"),
            ("mechanism=ASYNC", "mechanism"),
            ("backing=file", "backing"),
            ("limit=lots", "limit"),
            ("limit=3M", "limit"),
            ("limit=0", "limit"),
            ("limit=4194303", "limit"),
            ("heap=-1", "heap"),
            ("heap=1.5", "heap"),
            ("growth=fast", "growth"),
            ("growth=1.09", "growth"),
            ("growth=0", "growth"),
            ("growth=-2", "growth"),
            ("growth=inf", "growth"),
            ("growth=NaN", "growth"),
            ("markers=0", "markers"),
            ("markers=65", "markers"),
            ("markers=+4", "markers"),
            ("markers=two", "markers"),
            ("markers=99999999999999999999999", "markers"),
            ("rounds=101", "rounds"),
            ("rounds=-1", "rounds"),
            ("rounds=4294967296", "rounds"),
            ("log=gc:2", "log"),
            ("summary=yes", "summary"),
            ("verify=on", "verify"),
            ("zeal=on", "zeal"),
            ("zeal=alloc", "zeal"),
            ("zeal=alloc:", "zeal"),
            ("zeal=alloc:0", "zeal"),
            ("zeal=safepoint:0", "zeal"),
            ("zeal=safepoint:-1", "zeal"),
            ("zeal=store:1", "zeal"),
            ("name=a[0]", "name"),
            ("name=a\tb", "name"),
        ];
        for (text, key) in cases {
            let (named, value) = bad(text);
            assert_eq!(named, key, "{text}");
            let message = error(text).to_string();
            let allowed = KEYS.iter().find(|row| row.name == key).unwrap().allowed;
            assert!(message.contains(allowed) && message.contains(&format!("`{key}={value}`")), "{message}");
        }
        assert_eq!(bad("markers=65").1, "65");
        assert_eq!(bad("limit=lots").1, "lots");
        assert_eq!(bad(&format!("name={}", "x".repeat(65))).0, "name");
    }

    #[test]
    fn a_value_cannot_be_left_out_except_of_a_flag() {
        for key in &KEYS {
            for text in [format!("{}=", key.name), format!(" {} = ", key.name)] {
                assert_eq!(error(&text), ConfigError::MissingValue { key: key.name, allowed: key.allowed });
            }
            if key.bare {
                assert!(Config::parse(key.name).is_ok());
            } else {
                let message = error(key.name).to_string();
                assert!(message.contains("needs a value") && message.contains(key.allowed), "{message}");
            }
        }
        assert!(Config::parse("summary").unwrap().summary());
        assert!(!Config::parse("summary=false").unwrap().summary());
    }

    #[test]
    fn a_key_given_twice_is_refused_by_name() {
        let twice = error("heap=8M, log=gc, heap=8M");
        assert_eq!(twice, ConfigError::DuplicateKey { key: "heap" });
        assert_eq!(twice.to_string(), "`heap` is given twice");
        assert_eq!(error("summary,summary=true"), ConfigError::DuplicateKey { key: "summary" });
    }

    #[test]
    fn a_given_heap_stays_below_a_given_limit_and_the_default_follows_it() {
        let above = error("heap=64M,limit=32M");
        assert_eq!(above, ConfigError::HeapAboveLimit { heap: 64 << 20, limit: 32 << 20 });
        assert!(above.to_string().contains("`heap=64M` is above `limit=32M`"), "{above}");
        assert!(Config::parse("heap=32M,limit=32M").is_ok());
        assert_eq!(Config::parse("limit=16M").unwrap().heap(), 16 << 20);
        assert_eq!(Config::parse("limit=1G").unwrap().heap(), 32 << 20);

        let mut config = Config::parse("heap=64M").unwrap();
        assert!(matches!(config.apply("limit=32M"), Err(ConfigError::HeapAboveLimit { .. })));
        config.apply("limit=32M,heap=auto").unwrap();
        assert_eq!(config.heap(), 32 << 20);
        config.apply("limit=auto").unwrap();
        assert_eq!(config.limit(), None);
    }

    #[test]
    fn a_builder_refuses_what_the_text_refuses() {
        let builders = [
            (Config::builder().limit(1 << 20), "limit"),
            (Config::builder().growth(f64::NAN), "growth"),
            (Config::builder().growth(1.0), "growth"),
            (Config::builder().markers(0), "markers"),
            (Config::builder().rounds(101), "rounds"),
            (Config::builder().zeal(Zeal::Alloc(0)), "zeal"),
            (Config::builder().zeal(Zeal::Safepoint(0)), "zeal"),
            (Config::builder().name(""), "name"),
            (Config::builder().name("a,b"), "name"),
            (Config::builder().name(" a"), "name"),
            (Config::builder().name("a\n"), "name"),
        ];
        for (builder, key) in builders {
            match builder.build() {
                Err(ConfigError::BadValue { key: named, .. }) => assert_eq!(named, key),
                other => panic!("{key}: {other:?}"),
            }
        }
        let above = Config::builder().heap(8 << 20).limit(4 << 20).build();
        assert_eq!(above, Err(ConfigError::HeapAboveLimit { heap: 8 << 20, limit: 4 << 20 }));
    }

    #[test]
    fn a_text_that_fails_changes_nothing() {
        let mut config = Config::parse("growth=3,name=kept").unwrap();
        let before = config.clone();
        for text in ["growth=4,nonsense", "name=new,growth=1", "log=gc,log=gc", "heap=8M,limit=4M", "rounds=1,markers"]
        {
            assert!(config.apply(text).is_err(), "{text}");
            assert_eq!(config, before, "{text}");
        }
        config.apply("rounds=1").unwrap();
        assert_eq!((config.growth(), config.rounds(), config.name()), (3.0, 1, "kept"));
    }

    #[test]
    fn the_environment_is_applied_on_top_and_named_in_its_errors() {
        use std::os::unix::ffi::OsStringExt;

        let mut config = Config::parse("growth=3").unwrap();
        config.apply_variable(None).unwrap();
        config.apply_variable(Some(OsString::new())).unwrap();
        assert_eq!(config, Config::parse("growth=3").unwrap());
        config.apply_variable(Some("log=gc".into())).unwrap();
        assert_eq!((config.growth(), config.log()), (3.0, Log::Gc));

        let before = config.clone();
        let error = config.apply_variable(Some("rounds=2,lgo=gc".into())).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("in the environment variable PAGEMARK_GC: unknown key `lgo`"), "{message}");
        assert!(std::error::Error::source(&error).is_some());
        let error = config.apply_variable(Some(OsString::from_vec(vec![b'a', 0xff]))).unwrap_err();
        assert_eq!(error, ConfigError::Environment { source: Box::new(ConfigError::NotText) });
        assert!(error.to_string().contains("UTF-8"));
        assert_eq!(config, before);
    }

    #[test]
    fn edit_distance_counts_single_character_edits() {
        for (a, b, distance) in
            [("", "", 0), ("", "log", 3), ("heap", "heap", 0), ("haep", "heap", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(edit_distance(a, b), distance);
            assert_eq!(edit_distance(b, a), distance);
        }
    }
}
