//! What is measured of a run, in the same words for ours and for peers. `docs/results-format.md` is the schema.
//!
//! Ours says most of it itself. Of a peer, the statistics of steps are computed here, by the same code, from the moments at which its steps ended; its
//! memory is what was resident from `setup_s` after its start until it ended. That is the measured part and a bit: the time that a virtual machine takes to
//! start, which is not in `setup_s`, and the check at the end, which allocates nothing to speak of. What only a collector itself can know is `null` unless it says so;
//! if it lists its pauses, they become a distribution here, by the code that makes ours, and the list is not kept.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::Sample;
use super::work::Work;
use crate::bench::measure::quantiles::{Distribution, Quantiles, distribution, histogram, record};
use crate::bench::measure::steps::Steps;

/// Of a run of ours, which printed `result`.
pub fn of_ours(result: &Value) -> Value {
    let cpu = &result["cpu"];
    let sum = |of: &[&str]| of.iter().map(|path| cpu.pointer(path).and_then(Value::as_f64)).sum::<Option<f64>>();
    json!({
        "setup_s": result["setup_s"],
        "elapsed_s": result["elapsed_s"],
        "check": result["check"],
        "steps": result["steps"],
        "steps_per_s": result["steps_per_s"],
        "steps_distribution": result["steps_distribution"],
        "cpu": {
            "total_s": cpu["total_s"],
            "user_s": sum(&["/mutator/user_s", "/collector/user_s"]),
            "kernel_s": cpu["kernel_s"],
            "mutator_s": sum(&["/mutator/user_s", "/mutator/kernel_s"]),
            "mutator_kernel_s": cpu["mutator"]["kernel_s"],
            "collector_s": sum(&["/collector/user_s", "/collector/kernel_s"]),
            "collector_kernel_s": cpu["collector"]["kernel_s"],
        },
        "stalls": result["stalls"],
        "mmu": result["mmu"],
        "latency": result["latency"],
        "memory": { "peak_bytes": result["memory"]["peak_bytes"], "mean_bytes": result["memory"]["mean_bytes"] },
        "pauses": result["pauses"],
        "pauses_distribution": result["pauses_distribution"],
        "control": result["control"],
    })
}

/// What a peer prints at its end.
#[derive(Deserialize)]
pub struct Line {
    workload: String,
    setup_s: f64,
    elapsed_s: f64,
    check: String,
    cpu_user_s: Option<f64>,
    cpu_kernel_s: Option<f64>,
    pauses: Option<Pauses>,
}

/// What a peer's memory manager says of its pauses.
#[derive(Deserialize, Serialize)]
struct Pauses {
    count: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
    /// The length of each, in any order. There can be thousands, so the list is written nowhere.
    #[serde(skip_serializing)]
    each_ms: Option<Vec<f64>>,
}

impl Pauses {
    /// How long they were, if each is listed.
    fn distribution(&self) -> Result<Option<Distribution>, String> {
        let Some(each) = &self.each_ms else { return Ok(None) };
        if each.len() as u64 != self.count {
            return Err(format!("it tells of {} pauses and lists {}", self.count, each.len()));
        }
        let mut lengths = histogram();
        for length in each {
            // More than a century is more than any histogram is for.
            if !(0.0..=1e13).contains(length) {
                return Err(format!("it lists a pause of {length} ms"));
            }
            record(&mut lengths, (length * 1e6).round() as u64);
        }
        Ok(Some(distribution(&lengths)))
    }
}

/// The last line of what a peer printed, without the list of its pauses, and understood.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn line(output: &str) -> Result<(Value, Line), String> {
    let last = output.lines().rev().find(|line| !line.trim().is_empty()).ok_or("it printed no result")?;
    let not_one = |error| format!("it printed what is no result: {error}");
    let mut value: Value = serde_json::from_str(last).map_err(not_one)?;
    let line = Line::deserialize(&value).map_err(not_one)?;
    if let Some(pauses) = value["pauses"].as_object_mut() {
        pauses.remove("each_ms");
    }
    Ok((value, line))
}

/// Of a run of a peer.
///
/// # Errors
///
/// When it did other work than it was asked for, or its list of steps or of pauses is not one.
pub fn of_peer(
    line: Line,
    work: &Work,
    steps: &Path,
    resident: &[Sample],
    control: &Quantiles,
) -> Result<Value, String> {
    if line.workload != work.name() {
        return Err(format!("it ran {}, not {}", line.workload, work.name()));
    }
    if !(line.elapsed_s > 0.0 && line.setup_s >= 0.0) {
        return Err("its times are none".to_string());
    }
    let bytes = std::fs::read(steps).map_err(|error| format!("it wrote no steps: {error}"))?;
    let times = times(&bytes)?;
    let told = Steps::of_times(&times, work.workload.spec().requests, work.interval());
    let pauses_distribution = match &line.pauses {
        Some(pauses) => pauses.distribution()?,
        None => None,
    };
    let (user, kernel) = (line.cpu_user_s, line.cpu_kernel_s);
    Ok(json!({
        "setup_s": line.setup_s,
        "elapsed_s": line.elapsed_s,
        "check": line.check,
        "steps_per_s": told.steps.count as f64 / line.elapsed_s,
        "steps": told.steps,
        "steps_distribution": told.distribution,
        "cpu": {
            "total_s": user.zip(kernel).map(|(user, kernel)| user + kernel),
            "user_s": user,
            "kernel_s": kernel,
            "mutator_s": null,
            "mutator_kernel_s": null,
            "collector_s": null,
            "collector_kernel_s": null,
        },
        "stalls": { "seen": told.seen, "safepoints": null, "waits": null },
        "mmu": { "seen": told.mmu, "safepoints": null },
        "latency": told.latency,
        "memory": memory(resident, line.setup_s),
        "pauses": line.pauses,
        "pauses_distribution": pauses_distribution,
        "control": control,
    }))
}

/// When the measured part began, which is 0, and when each step ended: the file of `--steps`, a count and so many moments, all of 64 bits, the lowest byte first.
fn times(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let count = words.next().ok_or("its list of steps is empty")?;
    let times: Vec<u64> = std::iter::once(0).chain(words).collect();
    if !rest.is_empty() || times.len() as u64 - 1 != count {
        return Err(format!("its list of steps has {}, not the {count} it says", times.len() - 1));
    }
    if !times.is_sorted() {
        return Err("a step in its list ended before the one before it".to_string());
    }
    Ok(times)
}

/// What was resident after `setup_s`; in the whole run if nobody looked after that.
fn memory(resident: &[Sample], setup_s: f64) -> Value {
    let from = Duration::try_from_secs_f64(setup_s).unwrap_or(Duration::MAX);
    let measured: Vec<u64> = resident.iter().filter(|sample| sample.at >= from).map(|sample| sample.bytes).collect();
    let of = if measured.is_empty() { resident.iter().map(|sample| sample.bytes).collect() } else { measured };
    let mean = of.iter().sum::<u64>().checked_div(of.len() as u64);
    json!({ "peak_bytes": of.iter().max(), "mean_bytes": mean })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_list_of_steps_that_cannot_be_one_is_refused() {
        assert_eq!(times(&file(&[2, 5, 9])), Ok(vec![0, 5, 9]));
        assert_eq!(times(&file(&[0])), Ok(vec![0]));
        for wrong in [&file(&[])[..], &file(&[3, 5, 9]), &file(&[2, 9, 5]), &file(&[1, 5])[..15]] {
            assert!(times(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn memory_is_not_that_of_the_time_before_all_was_built() {
        let sample = |(at, bytes)| Sample { at: Duration::from_secs(at), bytes };
        let samples = [(0, 900), (1, 800), (2, 100), (3, 200), (4, 300)].map(sample);
        assert_eq!(memory(&samples, 1.5), json!({ "peak_bytes": 300, "mean_bytes": 200 }));
        assert_eq!(memory(&samples, 4.5)["peak_bytes"], 900, "nobody looked: all of it");
        assert_eq!(memory(&[], 1.0)["peak_bytes"], Value::Null);
    }

    #[test]
    fn the_last_line_is_the_result() {
        let text = "warming up\n{\"workload\":\"churn\",\"setup_s\":1,\"elapsed_s\":2,\"check\":\"3\",\"cpu_user_s\":1,\"cpu_kernel_s\":0}\n\n";
        let (_, line) = line(text).expect("it is one");
        assert_eq!((line.check.as_str(), line.pauses.is_none()), ("3", true));
        assert!(super::line("").is_err() && super::line("{}").is_err_and(|error| error.contains("workload")));
    }

    /// A line with these pauses: what is kept of it, and what their distribution is.
    fn with_pauses(pauses: Value) -> (Value, Result<Option<Distribution>, String>) {
        let text = json!({ "workload": "churn", "setup_s": 1, "elapsed_s": 2, "check": "3", "pauses": pauses });
        let (value, line) = line(&text.to_string()).expect("it is one");
        let pauses = line.pauses.expect("it has some");
        assert_eq!(json!(pauses), value["pauses"], "both without the list");
        (value, pauses.distribution())
    }

    #[test]
    fn every_pause_that_is_listed_is_in_the_bucket_of_its_length_and_the_list_is_not_kept() {
        let pauses = |count: u64, each: Value| json!({ "count": count, "p50_ms": 0.3, "p99_ms": 7.0, "max_ms": 7.0, "each_ms": each });
        let (value, told) = with_pauses(pauses(4, json!([7, 0.3, 0.25, 0.3])));
        assert_eq!(value["pauses"], json!({ "count": 4, "p50_ms": 0.3, "p99_ms": 7.0, "max_ms": 7.0 }));
        let told = told.expect("it is right").expect("they are listed");
        assert_eq!(told.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 2, 1], "{told:?}");
        for ((upper, _), length) in told.iter().zip([0.25, 0.3, 7.0]) {
            assert!(*upper >= length && *upper < length * 1.3, "{upper} {length}");
        }
        assert_eq!(with_pauses(pauses(0, json!([]))).1, Ok(Some(Vec::new())), "none is not unknown");
        assert_eq!(with_pauses(pauses(4, Value::Null)).1, Ok(None), "quantiles alone");
        assert!(with_pauses(pauses(3, json!([1, 2]))).1.is_err_and(|error| error.contains("3 pauses and lists 2")));
        assert!(with_pauses(pauses(1, json!([-1]))).1.is_err_and(|error| error.contains("-1 ms")));
    }
}
