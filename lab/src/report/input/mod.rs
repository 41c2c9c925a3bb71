//! What a report is made of: the raw results of `pagemark compare`, as `docs/results-format.md` defines them.
//!
//! Keys that every report needs must be there; what can be unknown may be `null` or missing. Keys that are not named here are
//! nobody's business but the reader's of the JSON. Names carry their units.

pub mod barriers;

use serde::Deserialize;
use serde_json::Value;

use barriers::Barriers;

/// The version of the schema that this program reads.
pub const SCHEMA: u64 = 1;

/// The value of `kind`.
pub const KIND: &str = "comparison";

/// A question to what was measured of a run.
pub type Metric = fn(&Measured) -> Option<f64>;

/// A distribution: an upper bound in milliseconds, and how many are at most that long and longer than the bound before.
pub type Buckets = Vec<(f64, u64)>;

/// A whole file.
#[derive(Debug, Deserialize)]
pub struct Results {
    /// Version of the program that measured.
    pub pagemark: String,
    /// The source it was built from.
    pub commit: Option<String>,
    /// The command line that measures all of it again.
    pub command: String,
    /// When the first run began, UTC.
    pub started: String,
    /// When the last run ended; unknown if it was interrupted.
    pub finished: Option<String>,
    /// Whether everything that was asked for was run.
    pub complete: bool,
    /// Where it was measured.
    pub machine: Machine,
    /// Who was to run, those that are not installed included.
    pub contestants: Vec<Contestant>,
    /// Each run, in the order in which they were made.
    pub runs: Vec<Run>,
    /// What was asked for and not run, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What `pagemark barriers` printed.
    pub barriers: Option<Barriers>,
    /// One cycle, event by event.
    pub timeline: Option<Timeline>,
}

/// The machine.
#[derive(Clone, Debug, Deserialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Model of the processor.
    pub processor: Option<String>,
    /// Processors that could be used.
    pub processors: Option<u64>,
    /// Its memory.
    pub memory_bytes: Option<u64>,
    /// The setting of transparent huge pages, in brackets.
    pub huge_pages: Option<String>,
    /// Name of the distribution.
    pub distribution: Option<String>,
    /// Whether it is a virtual one.
    pub hypervisor: Option<bool>,
}

/// Who runs: a mechanism of ours, or a peer.
#[derive(Debug, Deserialize)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// `pagemark` for ours.
    pub kind: String,
    /// `pagemark`, or the language that it comes from.
    pub family: String,
    /// Of the compiler, the runtime or the library.
    pub version: Option<String>,
    /// Whether it could run here.
    pub installed: bool,
    /// What would make it run.
    pub how: Option<String>,
}

/// One run.
#[derive(Debug, Deserialize)]
pub struct Run {
    /// What was run.
    pub workload: String,
    /// By whom.
    pub contestant: String,
    /// The heap's limit as a multiple of what lives.
    pub multiplier: Option<f64>,
    /// The heap's limit.
    pub limit_bytes: Option<u64>,
    /// `main` for the comparison, `curve` for the heap-size curves, `timeline` for the one that was traced.
    pub purpose: String,
    /// The round, from 0: in each, everybody runs once.
    pub round: Option<u64>,
    /// The command that repeats it.
    pub command: String,
    /// Whether it ran and its check was right.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
    /// What was measured, in the same words for everybody.
    pub measured: Option<Measured>,
    /// What the program itself printed.
    pub result: Option<Value>,
}

/// What was measured of a run. All times but `setup_s` are of the part after what lives was built.
#[derive(Debug, Deserialize)]
pub struct Measured {
    /// Wall time.
    pub elapsed_s: f64,
    /// How long steps took.
    pub steps: Quantiles,
    /// How many of them a second.
    pub steps_per_s: f64,
    /// Processor time.
    pub cpu: Cpu,
    /// When the program did not run.
    pub stalls: Stalls,
    /// What was left to the program in windows of time.
    pub mmu: Mmu,
    /// Where steps are requests.
    pub latency: Option<Latency>,
    /// Resident memory of the process.
    pub memory: Memory,
    /// Empty where it is not known.
    #[serde(default)]
    pub steps_distribution: Buckets,
    /// The same of pauses, where the collector tells of each; empty if there was none.
    pub pauses_distribution: Option<Buckets>,
    /// Where the collector itself says how long it stopped the program.
    pub pauses: Option<Pauses>,
    /// How late a thread that only sleeps was woken in the same run.
    pub control: Option<Quantiles>,
}

/// Of a distribution of durations.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50_ms: f64,
    /// One in a hundred is longer.
    pub p99_ms: f64,
    /// One in a thousand is longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Of the collector's own stops.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pauses {
    /// How many there were.
    pub count: u64,
    /// The median.
    pub p50_ms: Option<f64>,
    /// One in a hundred is longer.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

/// Processor time, in seconds.
#[derive(Debug, Deserialize)]
pub struct Cpu {
    /// All of it.
    pub total_s: Option<f64>,
    /// In the kernel, whoever it was.
    pub kernel_s: Option<f64>,
    /// The mutators', in the program and in the kernel.
    pub mutator_s: Option<f64>,
    /// The collector's, in the program and in the kernel.
    pub collector_s: Option<f64>,
}

/// Three ways to see that the program did not run.
#[derive(Debug, Deserialize)]
pub struct Stalls {
    /// What long steps took beyond the median step.
    pub seen: Total,
    /// Safepoints at which the collector had something to do. The collector's own word.
    pub safepoints: Option<Total>,
    /// Waits for memory. The collector's own word.
    pub waits: Option<Total>,
}

/// A sum of intervals.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Total {
    /// All of them, of all threads.
    pub total_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Minimum mutator utilisation.
#[derive(Debug, Deserialize)]
pub struct Mmu {
    /// From the stalls that the program sees: the one kind that everybody has.
    pub seen: Vec<Window>,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Window {
    /// The window's length.
    pub window_ms: f64,
    /// The least share of such a window that was left, 0 to 1; `None` where the run was shorter.
    pub utilisation: Option<f64>,
}

/// Of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Latency {
    /// From a request's begin to its end.
    pub simple: Quantiles,
    /// From the moment when it would have begun, had those of 100 ms come smoothly.
    pub metered_100_ms: Quantiles,
    /// The same over the whole run.
    pub metered_full: Quantiles,
}

/// Resident memory.
#[derive(Debug, Deserialize)]
pub struct Memory {
    /// The most that was seen.
    pub peak_bytes: Option<f64>,
    /// The mean.
    pub mean_bytes: Option<f64>,
}

/// A cycle as it was traced.
#[derive(Debug, Deserialize)]
pub struct Timeline {
    /// In which workload.
    pub workload: String,
    /// The command that traces one.
    pub command: String,
    /// Its number in the run.
    pub cycle: Option<u64>,
    /// The events, in the format of Chrome's tracing.
    pub trace: Trace,
}

/// A trace in the JSON object format.
#[derive(Debug, Deserialize)]
pub struct Trace {
    /// Its events.
    #[serde(rename = "traceEvents")]
    pub events: Vec<Value>,
}

impl Contestant {
    /// Whether it is a mechanism of ours.
    pub fn is_ours(&self) -> bool {
        self.kind == "pagemark"
    }
}

impl Measured {
    /// The pauses, if there were any: of none there are no quantiles, whatever stands there.
    pub fn stops(&self) -> Option<Pauses> {
        self.pauses.filter(|pauses| pauses.count > 0)
    }
}

impl Run {
    /// What was measured, if the run may be used.
    pub fn usable(&self) -> Option<&Measured> {
        self.measured.as_ref().filter(|_| self.ok)
    }

    /// Mutator threads; one where the program does not say.
    pub fn threads(&self) -> f64 {
        self.result.as_ref().and_then(|result| result["threads"].as_f64()).filter(|n| *n >= 1.0).unwrap_or(1.0)
    }
}
