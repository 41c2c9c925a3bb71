//! What `pagemark barriers` printed, as `docs/barriers-format.md` defines it.

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
pub struct Barriers {
    /// A command that measures it again.
    pub command: String,
    /// Pages of each mapping.
    pub pages: u64,
    /// Rounds that the spreads are of.
    pub rounds: u64,
    /// Mechanism by backing by threads by what was done.
    pub rows: Vec<Row>,
    /// What no barrier has a part in.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// What could not be measured.
    #[serde(default)]
    pub unavailable: Vec<Unavailable>,
}

/// One operation.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// How writes are seen.
    pub mechanism: String,
    /// `anon` or `shmem`.
    pub backing: String,
    /// How many threads wrote.
    pub threads: u64,
    /// `first-write`, `arm`, `scan-clean`, `scan-1%` and so on.
    pub what: String,
    /// Wall time for a page, by the collector's barrier.
    pub ours_ns: Option<Spread>,
    /// The same by system calls alone.
    pub bare_ns: Option<Spread>,
    /// Processor time for a page, by the collector's barrier.
    pub ours_cpu_ns: Option<Spread>,
    /// The same by system calls alone.
    pub bare_cpu_ns: Option<Spread>,
}

/// Something that happens to any program.
#[derive(Debug, Deserialize)]
pub struct Control {
    /// `untracked-write` or `first-touch`.
    pub what: String,
    /// `anon` or `shmem`.
    pub backing: String,
    /// How many threads wrote.
    pub threads: u64,
    /// Wall time for a page.
    pub ns: Spread,
}

/// Of several rounds, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// A quarter is below.
    pub q1: f64,
    /// A quarter is above.
    pub q3: f64,
}

/// A mechanism that could not be measured.
#[derive(Debug, Deserialize)]
pub struct Unavailable {
    /// Its name.
    pub mechanism: String,
    /// On which backing.
    pub backing: String,
    /// Why not.
    pub why: String,
}
