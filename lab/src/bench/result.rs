//! The result of a run as JSON. `docs/benchmarks-format.md` is its schema; [`SCHEMA`] changes when a key changes its
//! meaning or goes away.

use hdrhistogram::Histogram;
use pagemark::telemetry::CycleReport;
use serde_json::{Map, Value, json};

use super::fold::Fold;
use super::measure::mmu;
use super::measure::quantiles::{Quantiles, distribution, histogram, record};
use super::measure::stalls::{Interval, Total};
use super::measure::steps::{Steps, Thread};
use super::run::Finished;
use super::workloads::Workload;

/// The version of the schema.
pub const SCHEMA: u64 = 1;

/// What a run measured.
pub fn of(workload: &dyn Workload, finished: &Finished) -> Value {
    let spec = workload.spec();
    let notes = &finished.notes;
    let waiting: Vec<(u64, Vec<Interval>)> = notes.iter().map(|note| (note.elapsed, note.log.waiting())).collect();
    let safepoints_curve = mmu::curve(waiting.iter().map(|(length, stalls)| (*length, stalls.as_slice())));
    let safepoints = notes.iter().flat_map(|note| note.log.safepoints.iter().copied());
    let waits = notes.iter().flat_map(|note| note.log.waits.iter().copied());
    let threads: Vec<_> =
        notes.iter().map(|note| Thread { elapsed: note.elapsed, log: &note.log, times: &note.ends }).collect();
    let steps = Steps::of(&threads, spec.requests);
    let pauses = pauses(&finished.cycles);
    let checks: Vec<u64> = notes.iter().map(|note| note.check).collect();

    let mut gc = serde_json::to_value(&finished.summary).expect("strings and numbers can always be written as JSON");
    gc["verify_failures"] = finished.verify_failures.into();
    let result = json!({
        "schema": SCHEMA,
        "pagemark": env!("CARGO_PKG_VERSION"),
        "workload": spec.name,
        "parameters": finished.values.all(),
        "threads": finished.threads,
        "machine": machine(),
        "configuration": finished.config.to_string(),
        "heap": {
            "live_peak_bytes": finished.live.peak,
            "live_bytes": finished.live.rest,
            "live_marked_bytes": finished.live_marked,
            "limit_bytes": finished.config.limit(),
        },
        "setup_s": finished.setup_s,
        "elapsed_s": finished.elapsed_s,
        // As text: a double, which is what many readers make of a number, has no room for it.
        "check": Fold::of_threads(&checks).to_string(),
        "steps": steps.steps,
        "steps_distribution": steps.distribution,
        "steps_per_s": finished.steps.len() as f64 / finished.elapsed_s,
        "cpu": finished.cpu,
        "stalls": {
            "safepoints": Total::of(safepoints),
            "waits": Total::of(waits),
            "seen": steps.seen,
        },
        "pauses": Quantiles::of(&pauses),
        "pauses_distribution": distribution(&pauses),
        "mmu": { "safepoints": safepoints_curve, "seen": steps.mmu },
        "latency": steps.latency,
        "memory": finished.observed.memory,
        "control": finished.observed.late,
        "gc": gc,
    });
    let Value::Object(mut result) = result else { unreachable!("it was written as an object") };
    let mut own = Map::new();
    workload.add(finished, &mut own);
    result.append(&mut own);
    Value::Object(result)
}

/// How long the cycles stopped mutators, from asking the first to letting the last one go.
fn pauses(cycles: &[CycleReport]) -> Histogram<u64> {
    let mut pauses = histogram();
    for cycle in cycles {
        record(&mut pauses, (cycle.phases.time_to_stop + cycle.phases.pause).as_nanos() as u64);
    }
    pauses
}

/// What of the machine decides about comparisons.
pub fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_string());
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processors": std::thread::available_parallelism().ok().map(|n| n.get()),
        "huge_pages": read("/sys/kernel/mm/transparent_hugepage/enabled"),
    })
}
