//! One run of one workload, from its configuration to its result.
//!
//! ```text
//! observer   heap ─ spawn ───────── clock, control ─────────────── totals ─── live bytes ─── result
//! workers             build ─ begin ┤              step step step ├ end ──── one cycle ──── check
//! ```
//!
//! The observer, the thread that called, waits while the workers run. Where they meet, everybody stands still, so the totals of
//! the process are read between two moments that all agree on. After the last step thread 0 collects once while every thread still holds
//! what it has; what that cycle marks is compared with the arithmetic by whoever reads the result.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;
use pagemark::Config;
use pagemark::telemetry::{CycleReport, EventListener, Summary};
use pagemark::typed::Heap;
use pagemark_gc::barrier::Mechanism;
use serde_json::Value;

use super::measure::control::{Control, Observed};
use super::measure::cpu::{Cpu, Usage};
use super::measure::quantiles::histogram;
use super::meeting::{GivenUp, Meeting};
use super::parameter::Values;
use super::profile::{self, Recording};
use super::result;
use super::worker::{Failure, GAVE_UP, Notes, Run, Worker};
use super::workloads::{Live, Workload};

/// No heap is smaller, or the blocks that threads hold would be all of it.
const LEAST_LIMIT: u64 = 8 << 20;

/// What somebody asked for.
pub struct Request {
    /// The workload.
    pub workload: &'static dyn Workload,
    /// Its parameters.
    pub values: Values,
    /// Mutator threads.
    pub threads: usize,
    /// The heap's limit as a multiple of what lives, if somebody said so.
    pub multiplier: Option<f64>,
    /// Collector configuration, on top of the environment's.
    pub gc: String,
    /// A profile of the places that allocate, if somebody wants one.
    pub profile: Option<profile::Request>,
}

/// A run that is over.
pub struct Finished {
    /// What was asked for.
    pub values: Values,
    /// Mutator threads.
    pub threads: usize,
    /// What lives, by arithmetic.
    pub live: Live,
    /// What the last cycle marked, with everything still held.
    pub live_marked: u64,
    /// The heap's configuration.
    pub config: Config,
    /// Until everything was built.
    pub setup_s: f64,
    /// The measured part.
    pub elapsed_s: f64,
    /// Steps of all threads.
    pub steps: Histogram<u64>,
    /// What each thread noted.
    pub notes: Vec<Notes>,
    /// Processor time.
    pub cpu: Cpu,
    /// The machine's stalls and the memory.
    pub observed: Observed,
    /// The collector's totals when the last step was done, setup included.
    pub summary: Summary,
    /// The cycles of the measured part.
    pub cycles: Vec<CycleReport>,
    /// Objects that verification found unmarked, in the whole run.
    pub verify_failures: u64,
}

/// The cycles of the measured part.
#[derive(Default)]
struct Cycles(Mutex<Vec<CycleReport>>);

impl Cycles {
    fn take(&self) -> Vec<CycleReport> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventListener for Cycles {
    fn cycle_ended(&self, report: &CycleReport) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    }
}

/// Runs it and says what was measured.
///
/// # Errors
///
/// When the configuration is not possible, the heap too small, or the workload's check fails.
pub fn run(request: &Request) -> Result<Value, Failure> {
    let workload = request.workload;
    let finished = execute(request)?;
    Ok(result::of(workload, &finished))
}

/// The configuration, with the limit that the multiplier asks for. A limit in `PAGEMARK_GC` or `--gc` wins over the
/// workload's own multiplier, not over one that was asked for. A heap that has a limit of this kind uses all of it (`heap` is
/// the limit unless somebody set it), as a fixed heap does elsewhere. Without collection a multiple of what lives would be used up at once: a run
/// under `none` has the machine's memory, or the limit that `PAGEMARK_GC` or `--gc` gives it.
fn configuration(request: &Request, live: Live) -> Result<Config, Failure> {
    let mut config = Config::from_env()?;
    config.apply(&request.gc)?;
    if config.mechanism() == Mechanism::None {
        return Ok(config);
    }
    let multiplier = match config.limit() {
        Some(_) => request.multiplier,
        None => request.multiplier.or(request.workload.spec().multiplier),
    };
    let Some(multiplier) = multiplier else { return Ok(config) };
    let limit = limit(live, multiplier);
    let heap = if config.heap() == Config::default().heap() { limit } else { config.heap() };
    Ok(config.to_builder().limit(limit).heap(heap).build()?)
}

/// The limit of a heap that is a multiple of what lives.
pub fn limit(live: Live, multiplier: f64) -> u64 {
    ((live.peak as f64 * multiplier) as u64).max(LEAST_LIMIT)
}

fn execute(request: &Request) -> Result<Finished, Failure> {
    let workload = request.workload;
    let threads = request.threads;
    let live = workload.live(&request.values, threads as u64);
    let config = configuration(request, live)?;
    let heap = Heap::new(&config)?;
    let recording = request.profile.as_ref().map(|wanted| Recording::start(wanted, &heap)).transpose()?;
    let run = Run {
        values: request.values.clone(),
        threads,
        requests: workload.spec().requests,
        workers: Meeting::new(threads),
        all: Meeting::new(threads + 1),
        clock: OnceLock::new(),
        common: OnceLock::new(),
    };
    let setup = Instant::now();
    let (observed, notes) = std::thread::scope(|scope| {
        let work = |index| {
            let (heap, run) = (&heap, &run);
            move || {
                let _way_out = WayOut(run);
                let mut worker = Worker::new(heap, run, index);
                workload.thread(&mut worker).map(|check| worker.into_notes(check))
            }
        };
        let workers: Vec<_> = (0..threads).map(|index| scope.spawn(work(index))).collect();
        let observed = observe(&heap, &run, setup);
        let notes: Vec<_> = workers.into_iter().map(|worker| worker.join().map_err(panicked)?).collect();
        (observed, notes)
    });
    // The thread that failed says why; the others only that one did.
    let (notes, failures): (Vec<_>, Vec<_>) = notes.into_iter().partition(Result::is_ok);
    let failures = failures.into_iter().filter_map(Result::err);
    if let Some(failure) = failures.min_by_key(|failure| failure.to_string() == GAVE_UP) {
        return Err(failure);
    }
    let notes: Vec<Notes> = notes.into_iter().filter_map(Result::ok).collect();
    let observed = observed.map_err(|GivenUp| "the workload ended before its work did")?;
    recording.map_or(Ok(()), Recording::finish)?;

    let mut steps = histogram();
    for note in &notes {
        steps.add(&note.log.steps).expect("an auto-resizing histogram takes every value");
    }
    let mutators = notes.iter().map(|note| note.usage).fold(Usage::default(), Usage::and);
    let elapsed = notes.iter().map(|note| note.elapsed).max().unwrap_or(0);
    Ok(Finished {
        values: request.values.clone(),
        threads,
        live,
        live_marked: observed.live_marked,
        config,
        setup_s: observed.setup_s,
        elapsed_s: elapsed as f64 / 1e9,
        steps,
        cpu: Cpu::split(observed.process, mutators, observed.measuring.and(observed.control.usage)),
        observed: observed.control,
        summary: observed.summary,
        cycles: observed.cycles,
        verify_failures: heap.summary().verify_failures,
        notes,
    })
}

/// What the observer has when all have ended.
struct Observation {
    setup_s: f64,
    control: Observed,
    process: Usage,
    measuring: Usage,
    summary: Summary,
    cycles: Vec<CycleReport>,
    live_marked: u64,
}

/// The observer's side of `begin` and `end`.
fn observe(heap: &Heap, run: &Run, setup: Instant) -> Result<Observation, GivenUp> {
    run.all.meet()?;
    let setup_s = setup.elapsed().as_secs_f64();
    let cycles = Arc::new(Cycles::default());
    heap.raw().add_listener(cycles.clone());
    let control = Control::start();
    let (process, measuring) = (Usage::of_process(), Usage::of_thread());
    run.clock.set(Instant::now()).expect("it is set once");
    run.all.meet()?;

    let ended = run.all.meet();
    let control = control.finish();
    ended?;
    let (process, measuring) = (Usage::of_process().since(process), Usage::of_thread().since(measuring));
    let (summary, cycles) = (heap.summary(), cycles.take());
    run.all.meet()?;
    run.all.meet()?;
    let live_marked = heap.summary().live_bytes_last;
    Ok(Observation { setup_s, control, process, measuring, summary, cycles, live_marked })
}

/// A thread that leaves, for whatever reason, is waited for by nobody.
struct WayOut<'r>(&'r Run);

impl Drop for WayOut<'_> {
    fn drop(&mut self) {
        self.0.workers.give_up();
        self.0.all.give_up();
    }
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Failure {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    format!("a thread of the workload panicked: {}", text.unwrap_or("no message")).into()
}
