//! The file of results: everything that was measured, and everything that was not, with the reason. `docs/results-format.md` is its schema.
//!
//! It is written anew after each run, under another name first, so that at any time there is a whole file on the disk: whatever ends the comparison, what
//! was measured until then is there, with `"complete": false`.
//!
//! Runs of a workload are judged against one of them: the first one of ours, or if there is none the first one at all. One that ends with another check, or
//! did another number of steps, did other work, and is a failure however fast it was.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::child::Process;
use super::contestant::{Contestant, Kind};

/// The version of the schema.
const SCHEMA: u64 = 1;

/// One run.
pub struct Run {
    /// What was run.
    pub workload: &'static str,
    /// By whom.
    pub contestant: String,
    /// The heap's limit as a multiple of what lives.
    pub multiplier: Option<f64>,
    /// The same in bytes.
    pub limit_bytes: Option<u64>,
    /// `main`, `curve` or `timeline`.
    pub purpose: &'static str,
    /// The round, from 0.
    pub round: u32,
    /// What repeats it.
    pub command: String,
    /// Why there is no result.
    pub failure: Option<String>,
    /// What was measured.
    pub measured: Option<Value>,
    /// What the program itself printed.
    pub result: Option<Value>,
    /// What the kernel counted for its process.
    pub process: Option<Process>,
}

/// Everything.
pub struct Results {
    path: PathBuf,
    /// The command line.
    pub command: String,
    /// When it began.
    pub started: String,
    /// When it ended, if it was not interrupted.
    pub finished: Option<String>,
    /// The source.
    pub commit: Option<String>,
    /// Where it was measured.
    pub machine: Value,
    /// What the order of runs comes from.
    pub seed: u64,
    /// Who was to run.
    pub contestants: Vec<Contestant>,
    /// Each run, in order.
    pub runs: Vec<Run>,
    /// What there was no time for, and what was not tried again.
    pub left_out: Vec<String>,
    /// What `pagemark barriers` printed.
    pub barriers: Option<Value>,
    /// A cycle.
    pub timeline: Option<Value>,
}

/// What a run of a workload has to come to.
struct Standard {
    by: String,
    check: Value,
    steps: Value,
}

impl Results {
    /// Nothing yet.
    pub fn new(path: &Path, command: String, machine: Value, seed: u64) -> Results {
        Results {
            path: path.to_path_buf(),
            command,
            started: super::machine::now(),
            finished: None,
            commit: super::machine::commit(),
            machine,
            seed,
            contestants: Vec::new(),
            runs: Vec::new(),
            left_out: Vec::new(),
            barriers: None,
            timeline: None,
        }
    }

    /// Why each run is a failure; `None` for those that are not.
    pub fn failures(&self) -> Vec<Option<String>> {
        let ours = |run: &Run| {
            self.contestants.iter().any(|known| known.name == run.contestant && known.kind == Kind::Pagemark)
        };
        let mut standards: HashMap<&str, Standard> = HashMap::new();
        // Ours come first; among each the order is that of the runs.
        let candidates = self.runs.iter().filter(|run| ours(run)).chain(&self.runs);
        for run in candidates.filter(|run| run.failure.is_none()) {
            if let Some(measured) = &run.measured {
                standards.entry(run.workload).or_insert_with(|| Standard {
                    by: run.contestant.clone(),
                    check: measured["check"].clone(),
                    steps: measured["steps"]["count"].clone(),
                });
            }
        }
        let judge = |run: &Run| {
            if run.failure.is_some() {
                return run.failure.clone();
            }
            let (standard, measured) = (standards.get(run.workload)?, run.measured.as_ref()?);
            let (check, steps) = (&measured["check"], &measured["steps"]["count"]);
            if *check != standard.check {
                return Some(format!(
                    "wrong check: it ended with {check}, {} with {}; it did not do the same work",
                    standard.by, standard.check
                ));
            }
            (*steps != standard.steps).then(|| format!("it did {steps} steps, {} {}", standard.by, standard.steps))
        };
        self.runs.iter().map(judge).collect()
    }

    /// Writes the file. Each contestant and each run has a line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(".new");
        let new = self.path.with_file_name(name);
        std::fs::write(&new, self.text())?;
        std::fs::rename(&new, &self.path)
    }

    fn text(&self) -> Vec<u8> {
        let run = |(run, failure): (&Run, Option<String>)| {
            json!({
                "workload": run.workload,
                "contestant": run.contestant,
                "multiplier": run.multiplier,
                "limit_bytes": run.limit_bytes,
                "purpose": run.purpose,
                "round": run.round,
                "command": run.command,
                "ok": failure.is_none(),
                "error": failure,
                "measured": run.measured,
                "result": run.result,
                "process": run.process,
            })
        };
        let head = [
            ("schema", json!(SCHEMA)),
            ("kind", json!("comparison")),
            ("pagemark", json!(env!("CARGO_PKG_VERSION"))),
            ("commit", json!(self.commit)),
            ("command", json!(self.command)),
            ("seed", json!(self.seed)),
            ("started", json!(self.started)),
            ("finished", json!(self.finished)),
            ("complete", json!(self.finished.is_some())),
            ("machine", self.machine.clone()),
            ("left_out", json!(self.left_out)),
            ("barriers", json!(self.barriers)),
            ("timeline", json!(self.timeline)),
        ];
        let mut out = b"{\n".to_vec();
        for (key, value) in head {
            line(&mut out, &format!("\"{key}\": {value},"));
        }
        list(&mut out, "contestants", self.contestants.iter().map(Contestant::describe), ",");
        list(&mut out, "runs", self.runs.iter().zip(self.failures()).map(run), "");
        out.extend(b"}\n");
        out
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    writeln!(out, "{text}").expect("a vector takes everything");
}

fn list(out: &mut Vec<u8>, key: &str, values: impl Iterator<Item = Value>, after: &str) {
    line(out, &format!("\"{key}\": ["));
    let mut values = values.peekable();
    while let Some(value) = values.next() {
        let comma = if values.peek().is_some() { "," } else { "" };
        line(out, &format!("{value}{comma}"));
    }
    line(out, &format!("]{after}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(runs: &[(&str, &str, u64, Option<&str>)]) -> Results {
        let mut results = Results::new(Path::new("/none"), String::new(), Value::Null, 0);
        for (name, kind) in [("malloc", Kind::Peer(PathBuf::new())), ("async", Kind::Pagemark)] {
            let (name, family, workloads) = (name.to_string(), String::new(), Vec::new());
            results.contestants.push(Contestant { name, kind, family, version: None, missing: None, workloads });
        }
        for (contestant, check, steps, failure) in runs {
            results.runs.push(Run {
                workload: "churn",
                contestant: contestant.to_string(),
                multiplier: None,
                limit_bytes: None,
                purpose: "main",
                round: 0,
                command: String::new(),
                failure: failure.map(str::to_string),
                measured: failure.is_none().then(|| json!({ "check": check, "steps": { "count": steps } })),
                result: None,
                process: None,
            });
        }
        results
    }

    #[test]
    fn a_run_that_did_other_work_than_ours_is_a_failure_whoever_came_first() {
        let results = results(&[("malloc", "7", 1, None), ("async", "8", 1, None), ("malloc", "8", 2, None)]);
        let failures = results.failures();
        assert!(failures[0].as_ref().is_some_and(|failure| failure.contains("wrong check")), "{failures:?}");
        assert_eq!(failures[1], None);
        assert!(failures[2].as_ref().is_some_and(|failure| failure.contains("2 steps")), "{failures:?}");
    }

    #[test]
    fn without_ours_the_first_that_ran_is_the_standard() {
        let results =
            results(&[("malloc", "", 0, Some("out of memory")), ("malloc", "7", 1, None), ("malloc", "8", 1, None)]);
        let failures = results.failures();
        assert_eq!(failures[0].as_deref(), Some("out of memory"));
        assert_eq!((failures[1].is_none(), failures[2].is_some()), (true, true));
    }

    #[test]
    fn the_text_is_json_with_a_line_a_run() {
        let results = results(&[("async", "8", 1, None), ("malloc", "8", 1, None)]);
        let text = String::from_utf8(results.text()).expect("text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((value["runs"].as_array().map(Vec::len), &value["complete"]), (Some(2), &json!(false)));
        assert_eq!(text.lines().filter(|line| line.starts_with("{\"command\"")).count(), 2);
    }
}
