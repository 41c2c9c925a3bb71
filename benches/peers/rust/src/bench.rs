//! What the workloads have in common: their parameters, the log of their steps, and the line of JSON at the end.
//!
//! A workload builds what lives, calls [`Bench::start`], [`Bench::end_step`] after each step, [`Bench::stop`], checks what it has, and returns the
//! fold of it. What lies between `start` and `stop` is measured.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use crate::random::Random;

/// Why a run has no result.
pub type Failure = Box<dyn std::error::Error>;

/// A workload.
pub type Workload = fn(&mut Bench) -> Result<u64, Failure>;

/// Where the log goes, among the arguments.
const FILE: &str = "file";

/// Processor time of the process.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// In its own code.
    pub user: Duration,
    /// In the kernel.
    pub kernel: Duration,
}

impl Usage {
    fn now() -> Usage {
        // SAFETY: a structure of numbers, for which zeros are right.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: it writes to the structure only.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
        let of =
            |time: libc::timeval| Duration::new(time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs() as u32 * 1000);
        Usage { user: of(usage.ru_utime), kernel: of(usage.ru_stime) }
    }
}

/// One run.
pub struct Bench {
    arguments: BTreeMap<String, String>,
    launched: Instant,
    began: Instant,
    ends: Vec<u64>,
    /// The measured part.
    elapsed: Duration,
    usage: Usage,
}

impl Bench {
    /// Takes `--NAME VALUE`, for each name. The first `--steps` is the file for the log; a second one is a parameter that some workloads have.
    pub fn new(mut words: impl Iterator<Item = String>) -> Result<Bench, Failure> {
        let launched = Instant::now();
        let mut arguments = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("not understood: {word}"))?;
            let name = if name == "steps" && !arguments.contains_key(FILE) { FILE } else { name };
            let value = words.next().ok_or_else(|| format!("{word} has no value"))?;
            arguments.insert(name.to_string(), value);
        }
        let elapsed = Duration::ZERO;
        Ok(Bench { arguments, launched, began: launched, ends: Vec::new(), elapsed, usage: Usage::default() })
    }

    /// A parameter that must be there.
    pub fn parameter(&self, name: &str) -> Result<u64, Failure> {
        let value = self.arguments.get(name).and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("--{name} NUMBER is missing").into())
    }

    /// The heap's limit as a multiple of what lives.
    pub fn multiplier(&self) -> Result<f64, Failure> {
        Ok(self.parameter("heap")? as f64 / self.parameter("live")?.max(1) as f64)
    }

    /// The random numbers of the only thread.
    pub fn random(&self) -> Random {
        Random::new(1, 0)
    }

    /// At most `steps` steps will follow.
    pub fn start(&mut self, steps: u64) {
        self.ends = vec![1; steps as usize];
        self.ends.clear();
        self.usage = Usage::now();
        self.began = Instant::now();
    }

    /// A step is done.
    pub fn end_step(&mut self) {
        self.ends.push(self.began.elapsed().as_nanos() as u64);
    }

    /// The last step is done.
    pub fn stop(&mut self) {
        self.elapsed = self.began.elapsed();
        let now = Usage::now();
        self.usage = Usage { user: now.user - self.usage.user, kernel: now.kernel - self.usage.kernel };
    }

    /// Writes when each step ended, if somebody wants to know.
    pub fn write_steps(&self) -> std::io::Result<()> {
        let Some(file) = self.arguments.get(FILE) else { return Ok(()) };
        let mut out = BufWriter::new(std::fs::File::create(file)?);
        for number in std::iter::once(&(self.ends.len() as u64)).chain(&self.ends) {
            out.write_all(&number.to_le_bytes())?;
        }
        out.flush()
    }

    /// The result as a line of JSON.
    pub fn result(&self, peer: &str, version: &str, workload: &str, check: u64) -> String {
        let setup = (self.began - self.launched).as_secs_f64();
        let elapsed = self.elapsed.as_secs_f64();
        let (user, kernel) = (self.usage.user.as_secs_f64(), self.usage.kernel.as_secs_f64());
        format!(
            r#"{{"peer":"{peer}","version":"{version}","workload":"{workload}","setup_s":{setup},"elapsed_s":{elapsed},"check":"{check}","cpu_user_s":{user},"cpu_kernel_s":{kernel},"pauses":null}}"#
        )
    }
}
