//! What the tool tells: a progress bar or plain lines while it works, and one JSON object at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::flat::Flatness;
use super::lane::Counts;
use super::plan::Plan;
use super::run::Outcome;

/// Time between two plain lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(15);

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

/// What one mechanism on one backing did.
#[derive(Default, Serialize)]
struct Row {
    runs: u64,
    failures: u64,
    cycles: u64,
    cycles_stw: u64,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flat: Vec<Flatness>,
}

impl Row {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.cycles += outcome.cycles;
        self.cycles_stw += outcome.cycles_stw;
        self.counts.add(&outcome.counts);
        self.flat.extend(outcome.flat.clone());
    }
}

/// Everything so far.
pub struct Report {
    seed: u64,
    bar: ProgressBar,
    started: Instant,
    last_line: Instant,
    total: Row,
    rows: BTreeMap<String, Row>,
    unavailable: BTreeMap<String, String>,
    /// The program that took longest, and how long.
    slowest: Option<(Duration, String)>,
}

impl Report {
    /// Nothing so far. The bar fills in `time`, if it is known how long this will take.
    pub fn new(seed: u64, time: Option<Duration>) -> Report {
        let bar = ProgressBar::with_draw_target(time.map(|time| time.as_secs()), ProgressDrawTarget::stderr());
        let style = match time {
            Some(_) => "{elapsed_precise} {wide_bar} {msg}",
            None => "{elapsed_precise} {spinner} {msg}",
        };
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let now = Instant::now();
        Report {
            seed,
            bar,
            started: now,
            last_line: now,
            total: Row::default(),
            rows: BTreeMap::new(),
            unavailable: BTreeMap::new(),
            slowest: None,
        }
    }

    fn row(&mut self, plan: &Plan) -> &mut Row {
        let part = |name| plan.key(name).unwrap_or("auto").to_string();
        self.rows.entry(format!("{} {}", part("mechanism"), part("backing"))).or_default()
    }

    /// A run found nothing wrong, and took so long.
    pub fn passed(&mut self, plan: &Plan, outcome: &Outcome, time: Duration) {
        if self.slowest.as_ref().is_none_or(|slowest| slowest.0 < time) {
            self.slowest = Some((time, plan.to_json()));
        }
        self.row(plan).add(outcome);
        self.total.add(outcome);
        self.tick();
    }

    /// A run failed.
    pub fn failed(&mut self, plan: &Plan) {
        let row = self.row(plan);
        row.runs += 1;
        row.failures += 1;
        self.total.runs += 1;
        self.total.failures += 1;
        self.tick();
    }

    /// A mechanism cannot be had here.
    pub fn refused(&mut self, what: &str, why: &str) {
        self.say(&format!("{what}: {why}"));
        self.unavailable.insert(what.to_string(), why.to_string());
    }

    /// Runs that began.
    pub fn runs(&self) -> u64 {
        self.total.runs
    }

    /// Runs that failed.
    pub fn failures(&self) -> u64 {
        self.total.failures
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn tick(&mut self) {
        let total = &self.total;
        let message = format!(
            "{} runs, {} operations, {} cycles, {} objects checked{}",
            total.runs,
            total.counts.operations,
            total.cycles,
            total.counts.objects_checked,
            if total.failures > 0 { format!(", {} FAILED", total.failures) } else { String::new() }
        );
        if !self.bar.is_hidden() {
            self.bar.set_position(self.started.elapsed().as_secs());
            self.bar.set_message(message);
        } else if self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            eprintln!("{:.0} s: {message}", self.started.elapsed().as_secs_f64());
        }
    }

    /// Prints lines that stay.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// The summary.
    pub fn finish(self) -> Value {
        self.bar.finish_and_clear();
        json!({
            "seed": self.seed,
            "seconds": seconds(self.started.elapsed()),
            "total": self.total,
            "by": self.rows,
            "unavailable": self.unavailable,
            "slowest": self.slowest.map(|(time, plan)| json!({ "seconds": seconds(time), "plan": plan })),
        })
    }
}
