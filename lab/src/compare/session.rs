//! A comparison under way: what is run next, and what becomes of it.
//!
//! A run that fails is a result like another. It is tried once more in the next round, as the machine may have been short of memory; after two failures, or one
//! that took all of its time, it is not tried again, and the file says so. A run that Ctrl-C ended is none.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::Value;

use super::child::{self, Ended, Outcome};
use super::contestant::Kind;
use super::interrupt::Interrupt;
use super::measured;
use super::ours::Ours;
use super::peers;
use super::results::{Results, Run};
use super::schedule::{self, Plan};
use super::scratch::Scratch;
use super::timeline;
use super::work::Work;
use crate::bench::measure::control::Control;

/// Curves have these points, in the order in which they matter if there is no time for all.
const CURVE: [f64; 6] = [1.5, 3.0, 6.0, 2.0, 4.0, 1.3];
/// A run in a smaller or larger heap takes longer than that at the workload's own multiplier, in the mean of a curve.
const CURVE_FACTOR: f64 = 1.2;
/// What of the time that is left is planned for: the machine may be slower later than in the first round.
const PLANNED: f64 = 0.95;
/// How long the barriers may be measured.
const BARRIERS: Duration = Duration::from_secs(900);
/// How often something is tried that fails.
const TRIES: u32 = 2;

/// Something to run: which work, by whom, for what, in which heap.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Task {
    work: usize,
    contestant: usize,
    purpose: &'static str,
    multiplier: Option<f64>,
}

/// How long it may take.
pub enum Time {
    /// As many rounds as are said.
    Rounds(u32),
    /// As many as there is time for, but so many at least, and at most.
    For(Duration, u32, u32),
    /// The same, and nothing is begun when it is over.
    Strictly(Duration, u32, u32),
}

/// What there is to do beside the rounds.
pub struct Extras {
    /// The workloads that have curves.
    pub curves: Vec<String>,
    /// The workload whose timeline is drawn.
    pub timeline: Option<String>,
    /// Whether the barriers are measured.
    pub barriers: bool,
    /// Whether that is a quick look.
    pub quick: bool,
}

/// Everything that runs need.
pub struct Session {
    /// What was measured so far.
    pub results: Results,
    /// The work to do.
    pub works: Vec<Work>,
    /// Our own program.
    pub ours: Ours,
    /// Somewhere for files.
    pub scratch: Scratch,
    /// Whether to stop.
    pub interrupt: Interrupt,
    /// How long a run may take.
    pub limit: Duration,
    /// What somebody looks at meanwhile.
    pub bar: ProgressBar,
    /// What failed, and how often.
    failed: Vec<(Task, u32)>,
    began: Instant,
    /// When nothing is begun any more.
    deadline: Option<Instant>,
}

impl Session {
    /// At its beginning.
    pub fn new(
        results: Results,
        works: Vec<Work>,
        ours: Ours,
        scratch: Scratch,
        interrupt: Interrupt,
        limit: Duration,
        bar: ProgressBar,
    ) -> Session {
        let (failed, began) = (Vec::new(), Instant::now());
        Session { results, works, ours, scratch, interrupt, limit, bar, failed, began, deadline: None }
    }

    /// Says something to whoever looks.
    pub fn say(&self, text: impl Display) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Everything, until it is done or interrupted.
    ///
    /// # Errors
    ///
    /// When results cannot be written.
    pub fn run(&mut self, time: &Time, extras: &Extras, seed: u64) -> io::Result<()> {
        let main = self.main();
        let points = self.points(&extras.curves);
        let whole = match time {
            Time::Rounds(_) => None,
            Time::For(whole, ..) => Some(*whole),
            Time::Strictly(whole, ..) => {
                self.deadline = Some(self.began + *whole);
                Some(*whole)
            }
        };
        let expected = match time {
            Time::Rounds(rounds) => *rounds,
            Time::For(_, fewest, _) | Time::Strictly(_, fewest, _) => *fewest,
        };
        self.bar.set_length((main.len() as u64) * u64::from(expected) + points.len() as u64);

        let costs = self.round(&main, 0, seed)?;
        // Now rather than at the end: whoever interrupts the rest shall have them.
        self.barriers(extras)?;
        self.timeline(extras)?;
        if self.is_over() {
            return Ok(());
        }
        let cost = |task: &Task| {
            let same = |of: &Task| (of.work, of.contestant) == (task.work, task.contestant);
            costs.iter().find(|(of, _)| same(of)).map_or(0.0, |(_, seconds)| *seconds)
        };
        let round: f64 = main.iter().filter(|task| !self.is_given_up(task)).map(cost).sum();
        let point_costs: Vec<f64> = points.iter().map(|task| cost(task) * CURVE_FACTOR).collect();
        let plan = match (time, whole) {
            (Time::Rounds(rounds), _) => Plan::of_rounds(*rounds, points.len()),
            (Time::For(_, fewest, most) | Time::Strictly(_, fewest, most), whole) => {
                let left = whole.unwrap_or_default().saturating_sub(self.began.elapsed()).as_secs_f64();
                Plan::of_time(left * PLANNED, round, &point_costs, *fewest, *most)
            }
        };
        self.announce(&plan, &points, round);
        let points = &points[..plan.points];
        let curve_runs = points.len() as u64 * u64::from(plan.curve_rounds);
        self.bar.set_length(main.len() as u64 * u64::from(plan.rounds) + curve_runs);

        for index in 1..plan.rounds.max(plan.curve_rounds + 1) {
            let late = whole.is_some_and(|whole| self.began.elapsed().as_secs_f64() + round > whole.as_secs_f64());
            if late && index >= expected {
                self.leave_out(format!("rounds {} to {}: the time was over", index + 1, plan.rounds));
                break;
            }
            let mut tasks = if index < plan.rounds { main.clone() } else { Vec::new() };
            if plan.has_curves(index) {
                tasks.extend(points);
            }
            self.round(&tasks, index, seed)?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Each workload by each contestant that can.
    fn main(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (index, work) in self.works.iter().enumerate() {
            for (who, contestant) in self.results.contestants.iter().enumerate() {
                if contestant.runs(work.name()) {
                    let multiplier = contestant.is_limited().then(|| work.multiplier());
                    tasks.push(Task { work: index, contestant: who, purpose: "main", multiplier });
                }
            }
        }
        tasks
    }

    /// The points of the curves, without those that are run anyway; the most telling first.
    fn points(&self, curves: &[String]) -> Vec<Task> {
        let mut tasks = Vec::new();
        for multiplier in CURVE {
            for task in self.main() {
                let work = &self.works[task.work];
                let wanted = curves.iter().any(|name| name == work.name()) && multiplier != work.multiplier();
                if wanted && self.results.contestants[task.contestant].has_curve() {
                    tasks.push(Task { purpose: "curve", multiplier: Some(multiplier), ..task });
                }
            }
        }
        tasks
    }

    /// Says what there is time for, and notes what not.
    fn announce(&mut self, plan: &Plan, points: &[Task], round: f64) {
        let minutes = |seconds: f64| format!("{:.1} min", seconds / 60.0);
        let text = format!("a round takes {}; {} rounds in all", minutes(round), plan.rounds);
        match points.len() {
            0 => self.say(text),
            all => self.say(format!(
                "{text}, and {} of {all} points of curves, in {} of them",
                plan.points, plan.curve_rounds
            )),
        }
        if plan.points < points.len() {
            let mut left: Vec<f64> = points[plan.points..].iter().filter_map(|task| task.multiplier).collect();
            left.dedup();
            let left: Vec<String> = left.iter().map(f64::to_string).collect();
            let count = points.len() - plan.points;
            self.leave_out(format!(
                "{count} points of curves, at {} × live: there is no time for them",
                left.join(", ")
            ));
        }
    }

    fn leave_out(&mut self, what: String) {
        self.say(format!("left out: {what}"));
        self.results.left_out.push(what);
    }

    fn is_given_up(&self, task: &Task) -> bool {
        self.failed.iter().any(|(failed, times)| failed == task && *times >= TRIES)
    }

    /// Whether nothing is begun any more.
    fn is_over(&self) -> bool {
        self.interrupt.came() || self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    /// Runs everything once in an order of its own, and says how long each took.
    fn round(&mut self, tasks: &[Task], round: u32, seed: u64) -> io::Result<Vec<(Task, f64)>> {
        let mut tasks = tasks.to_vec();
        schedule::shuffle(&mut tasks, seed, round);
        let mut costs = Vec::new();
        for (done, task) in tasks.iter().enumerate() {
            if self.is_over() {
                if !self.interrupt.came() {
                    let left = tasks.len() - done;
                    self.leave_out(format!("{left} of the runs of round {}: the time was over", round + 1));
                }
                break;
            }
            if self.is_given_up(task) {
                self.bar.inc(1);
                continue;
            }
            let start = Instant::now();
            self.task(*task, round, "")?;
            costs.push((*task, start.elapsed().as_secs_f64()));
        }
        Ok(costs)
    }

    /// One run. `more` is configuration for our own.
    fn task(&mut self, task: Task, round: u32, more: &str) -> io::Result<()> {
        let (work, contestant) = (&self.works[task.work], &self.results.contestants[task.contestant]);
        let (name, who) = (work.name(), contestant.name.clone());
        self.bar.set_message(format!("round {}: {name} {who}{}", round + 1, self.remaining()));
        let limit_bytes = task.multiplier.map(|multiplier| work.limit(multiplier));
        let steps = self.scratch.path().join("steps");
        let _ = std::fs::remove_file(&steps);
        let (command, text) = match &contestant.kind {
            Kind::Pagemark => self.ours.bench(work, &who, task.multiplier, more),
            Kind::Peer(program) => peers::run(program, &who, work, limit_bytes.unwrap_or(u64::MAX), &steps),
        };
        let is_ours = contestant.kind == Kind::Pagemark;
        // Inside of our own runs there is such a thread already.
        let control = (!is_ours).then(Control::start);
        let outcome = child::run(command, self.scratch.path(), self.limit, &self.interrupt);
        let control = control.map(Control::finish);
        let mut run = Run {
            workload: name,
            contestant: who,
            multiplier: task.multiplier,
            limit_bytes,
            purpose: task.purpose,
            round,
            command: text,
            failure: None,
            measured: None,
            result: None,
            process: None,
        };
        let mut ended = None;
        match outcome {
            Err(error) => run.failure = Some(format!("it cannot be started: {error}")),
            Ok(outcome) => {
                ended = Some(outcome.ended);
                run.process = Some(outcome.process);
                run.failure = outcome.failure(self.limit);
                if run.failure.is_none() {
                    let understood = match control {
                        None => ours(&outcome),
                        Some(control) => measured::line(&outcome.output).and_then(|(result, line)| {
                            let measured = measured::of_peer(line, work, &steps, &outcome.resident, &control.late)?;
                            Ok((result, measured))
                        }),
                    };
                    match understood {
                        Ok((result, measured)) => {
                            run.result = Some(result);
                            run.measured = Some(measured);
                        }
                        Err(failure) => run.failure = Some(failure),
                    }
                }
            }
        }
        if ended == Some(Ended::Interrupted) {
            return Ok(());
        }
        self.results.runs.push(run);
        self.bar.inc(1);
        let failure = self.results.failures().pop().flatten();
        if let Some(failure) = failure {
            self.note_failure(task, &failure, ended == Some(Ended::TooLong));
        }
        self.results.write()
    }

    fn note_failure(&mut self, task: Task, failure: &str, at_once: bool) {
        let what = format!("{} {}", self.works[task.work].name(), self.results.contestants[task.contestant].name);
        self.say(format!("{what}: {failure}"));
        let times = match self.failed.iter_mut().find(|(failed, _)| *failed == task) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                self.failed.push((task, if at_once { TRIES } else { 1 }));
                if at_once { TRIES } else { 1 }
            }
        };
        if times == TRIES {
            let heap = task.multiplier.map(|multiplier| format!(" at {multiplier} × live")).unwrap_or_default();
            self.leave_out(format!("{what}{heap} is not tried again: {failure}"));
        }
    }

    /// For the progress bar: how long the rest will take if it is like what was.
    fn remaining(&self) -> String {
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if done == 0 {
            return String::new();
        }
        let left = self.began.elapsed().as_secs_f64() / done as f64 * all.saturating_sub(done) as f64;
        if left < 90.0 { format!(", about {left:.0} s left") } else { format!(", about {:.0} min left", left / 60.0) }
    }

    fn barriers(&mut self, extras: &Extras) -> io::Result<()> {
        if !extras.barriers || self.is_over() {
            return Ok(());
        }
        self.bar.set_message("barriers");
        let outcome = child::run(self.ours.barriers(extras.quick), self.scratch.path(), BARRIERS, &self.interrupt)?;
        if outcome.ended == Ended::Interrupted {
            return Ok(());
        }
        let failure = outcome.failure(BARRIERS);
        match failure.map_or_else(|| json(&outcome.output), Err) {
            Ok(value) => self.results.barriers = Some(value),
            Err(failure) => self.leave_out(format!("barriers: {failure}")),
        }
        self.results.write()
    }

    fn timeline(&mut self, extras: &Extras) -> io::Result<()> {
        let Some(workload) = &extras.timeline else { return Ok(()) };
        if self.is_over() {
            return Ok(());
        }
        let task = self.main().into_iter().find(|task| {
            self.works[task.work].name() == workload && self.results.contestants[task.contestant].name == "async"
        });
        let Some(task) = task else {
            self.leave_out(format!("timeline: async does not run {workload} here"));
            return self.results.write();
        };
        let trace = self.scratch.path().join("trace.json");
        let more = format!("trace={}", trace.display());
        let before = self.results.runs.len();
        self.task(Task { purpose: "timeline", ..task }, 0, &more)?;
        let Some(run) = self.results.runs.get_mut(before) else { return Ok(()) };
        run.command = run.command.replace(&*trace.to_string_lossy(), "trace.json");
        let (workload, command) = (run.workload, run.command.clone());
        let found = match &run.failure {
            Some(failure) => Err(failure.clone()),
            None => typical_cycle(&trace),
        };
        match found {
            Ok((cycle, trace)) => {
                let timeline =
                    serde_json::json!({ "workload": workload, "command": command, "cycle": cycle, "trace": trace });
                self.results.timeline = Some(timeline);
            }
            Err(failure) => self.leave_out(format!("timeline: {failure}")),
        }
        self.results.write()
    }
}

fn typical_cycle(trace: &Path) -> Result<(u64, Value), String> {
    let text = std::fs::read_to_string(trace).map_err(|error| format!("there is no trace: {error}"))?;
    timeline::typical_cycle(&json(&text)?).ok_or_else(|| "the trace has no concurrent cycle".to_string())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("what it wrote is not JSON: {error}"))
}

/// What a run of ours printed, and what of it is in all runs.
fn ours(outcome: &Outcome) -> Result<(Value, Value), String> {
    let result = json(&outcome.output)?;
    let measured = measured::of_ours(&result);
    Ok((result, measured))
}
