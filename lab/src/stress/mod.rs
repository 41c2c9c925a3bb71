//! `pagemark stress`: random programs against a shadow that knows every word.
//!
//! ```text
//! seed ──► plan ──► child process: heap, lanes (threads) ──► meetings: whole heap = whole shadow
//!            ▲                                  │
//!            └──── shrink ◄──── failure ◄───────┘  found, crashed, or hung
//! ```
//!
//! A *program* is a list of heap operations for each of one to eight lanes ([`program`]), computed from a seed; the
//! seed also chooses a collector configuration nobody would want ([`plan`]). Each program runs in a process of its
//! own ([`child`], [`mod@run`]). While lanes run, all they load is compared with the shadow ([`lane`], [`shadow`]);
//! when they meet, everything is, in both directions: nothing is lost, and nothing is kept ([`check`]). A failure is
//! printed with what reproduces it, and shrunk ([`shrink`]).
//!
//! Deterministic is the program, not the interleaving of its threads: a seed that failed once fails again soon, not
//! always.

mod check;
mod child;
mod fail;
mod flat;
mod fork;
mod input;
mod interpret;
mod lane;
mod memory;
mod model;
mod plan;
mod program;
pub(crate) mod random;
mod report;
mod roots;
mod run;
mod shadow;
mod shrink;
mod threads;

use std::cell::Cell;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::builder::PossibleValuesParser;
use pagemark::Config;
use serde_json::Value;

use child::{Failure, Kind};
use plan::{BACKINGS, Defect, MECHANISMS, Plan, Wishes};
use program::MOST_LANES;
use random::Random;
use report::Report;

/// A shrunk program of at most so many operations is printed in full.
const SHORT: usize = 60;
/// Operations of each lane between two samples of `--cycles-flat`.
const FLAT_OPS: usize = 600;

/// What to run, and for how long.
#[derive(clap::Args)]
pub struct Arguments {
    /// The first program's seed, from which the others' are computed; random if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Start programs for so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run so many programs, however long it takes
    #[arg(long, conflicts_with = "seconds")]
    runs: Option<u64>,
    /// Operations of each thread in each program; random if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    ops: Option<u64>,
    /// Threads in each program: 1 to 8, or random
    #[arg(long, default_value = "random", value_parser = threads_wished)]
    threads: Threads,
    /// How writes are seen; with all, programs take turns
    #[arg(long, default_value = "all", value_parser = PossibleValuesParser::new(MECHANISMS.into_iter().chain(["all"])))]
    mechanism: String,
    /// What the heap is made of; with all, programs take turns
    #[arg(long, default_value = "all", value_parser = PossibleValuesParser::new(BACKINGS.into_iter().chain(["all"])))]
    backing: String,
    /// Collector configuration keys that win over those a seed chooses
    #[arg(long, default_value = "")]
    gc: String,
    /// Leave out what operations fork, for tools that cannot follow a process with threads into a fork
    #[arg(long)]
    no_fork: bool,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Run one program for so many cycles on each mechanism and backing, and see whether memory grows
    #[arg(long, value_name = "CYCLES", num_args = 0..=1, default_missing_value = "10000")]
    cycles_flat: Option<u64>,
    /// Seconds after which a program hangs
    #[arg(long, default_value_t = 180)]
    patience: u64,
    /// Seconds that shrinking may take; 0 leaves a failing program as it is
    #[arg(long, default_value_t = 120)]
    shrink: u64,
    /// Run this one program here, in this process
    #[arg(long, value_name = "JSON", conflicts_with_all = ["seed", "runs", "cycles_flat"])]
    plan: Option<String>,
    /// Make the collector do something wrong
    #[arg(long, hide = true)]
    defect: Option<Defect>,
}

/// How many threads a program shall have.
#[derive(Clone, Copy)]
enum Threads {
    Random,
    Exactly(usize),
}

fn threads_wished(text: &str) -> Result<Threads, String> {
    match text.parse() {
        _ if text == "random" => Ok(Threads::Random),
        Ok(n) if (1..=MOST_LANES).contains(&n) => Ok(Threads::Exactly(n)),
        _ => Err(format!("allowed is 1 to {MOST_LANES}, or random")),
    }
}

/// Runs programs. The summary is the result, and `false` that something failed.
pub fn run(arguments: &Arguments) -> Result<(Value, bool), Box<dyn Error>> {
    if let Some(plan) = &arguments.plan {
        let outcome = run::run(&serde_json::from_str(plan)?)?;
        return Ok((serde_json::to_value(outcome)?, true));
    }
    Config::parse(&arguments.gc)?;
    let seed = arguments.seed.unwrap_or_else(seed_of_the_moment);
    Session::new(arguments, seed).run()
}

fn seed_of_the_moment() -> u64 {
    // Short, since people copy it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    model::mix(now) % 1_000_000_000
}

/// The programs of one command line.
struct Session<'a> {
    arguments: &'a Arguments,
    wishes: Wishes,
    seed: u64,
    /// Mechanisms and backings that programs take turns with.
    turns: Vec<(&'static str, &'static str)>,
    report: Report,
}

impl Session<'_> {
    fn new(arguments: &Arguments, seed: u64) -> Session<'_> {
        let wanted = |name: &str, wish: &str| wish == "all" || wish == name;
        let turns = BACKINGS
            .into_iter()
            .filter(|backing| wanted(backing, &arguments.backing))
            .flat_map(|backing| MECHANISMS.into_iter().map(move |mechanism| (mechanism, backing)))
            .filter(|(mechanism, _)| wanted(mechanism, &arguments.mechanism))
            .collect();
        let threads = match arguments.threads {
            Threads::Random => None,
            Threads::Exactly(n) => Some(n),
        };
        let ops = arguments.ops.map(|ops| ops as usize);
        let wishes =
            Wishes { threads, ops, gc: arguments.gc.clone(), no_fork: arguments.no_fork, defect: arguments.defect };
        let time = (arguments.runs.is_none() && arguments.cycles_flat.is_none())
            .then_some(Duration::from_secs(arguments.seconds));
        Session { arguments, wishes, seed, turns, report: Report::new(seed, time) }
    }

    fn run(mut self) -> Result<(Value, bool), Box<dyn Error>> {
        self.report.say(&format!("seed {}", self.seed));
        let mut number = 0;
        while self.goes_on(number) {
            let (mechanism, backing) = self.turns[number as usize % self.turns.len()];
            let seed = if number == 0 { self.seed } else { Random::new(self.seed, number).any() >> 16 };
            let plan = self.plan(seed, mechanism, backing);
            let start = Instant::now();
            match child::run(&plan, self.patience())? {
                Ok(outcome) => self.report.passed(&plan, &outcome, start.elapsed()),
                Err(failure) if failure.kind == Kind::Refused => {
                    self.turns.retain(|turn| *turn != (mechanism, backing));
                    self.report.refused(&format!("{mechanism} {backing}"), &failure.text);
                    if self.turns.is_empty() {
                        return Err(format!("nothing is left to run: {}", failure.text).into());
                    }
                    continue;
                }
                Err(failure) => {
                    self.report.failed(&plan);
                    self.explain(&plan, failure);
                    if !self.arguments.keep_going {
                        break;
                    }
                }
            }
            number += 1;
        }
        if self.report.runs() == 0 {
            return Err("no program ran: none of the mechanisms and backings asked for works here".into());
        }
        let clean = self.report.failures() == 0;
        Ok((self.report.finish(), clean))
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.arguments.patience)
    }

    fn goes_on(&self, number: u64) -> bool {
        match (self.arguments.cycles_flat, self.arguments.runs) {
            (Some(_), _) => number < self.turns.len() as u64,
            (None, Some(runs)) => number < runs,
            (None, None) => self.report.elapsed() < Duration::from_secs(self.arguments.seconds),
        }
    }

    fn plan(&self, seed: u64, mechanism: &str, backing: &str) -> Plan {
        let mut plan = Plan::new(seed, mechanism, backing, &self.wishes);
        if let Some(cycles) = self.arguments.cycles_flat {
            plan.threads = self.wishes.threads.unwrap_or(2);
            plan.ops = self.wishes.ops.unwrap_or(FLAT_OPS);
            plan.phases = 1;
            plan.flat = Some(cycles);
            plan.defect = self.wishes.defect;
            let keys = format!("mechanism={mechanism},backing={backing},limit=12M,heap=2M,zeal=alloc:2");
            plan.gc = plan::with_keys(&keys, &self.wishes.gc);
        }
        plan
    }

    /// Says what failed and how to see it again, and looks for a smaller program.
    fn explain(&self, plan: &Plan, failure: Failure) {
        self.report.say(&format!(
            "FAILED ({:?}): seed {}, {} threads, {}\n{}\nto see it again:\n  {}",
            failure.kind,
            plan.seed,
            plan.threads,
            plan.gc,
            failure.text,
            self.command(plan)
        ));
        if self.arguments.shrink == 0 || plan.flat.is_some() {
            return;
        }
        let budget = Duration::from_secs(self.arguments.shrink);
        let last = Cell::new(plan.operations());
        let progress = |smaller: &Plan| {
            if smaller.operations() <= last.get() / 2 {
                last.set(smaller.operations());
                self.report.say(&format!("  still fails with {} operations", smaller.operations()));
            }
        };
        // A smaller program needs less time, and one that hangs should not use up the budget.
        let patience = self.patience().min(budget / 4);
        let (smallest, failure) = shrink::shrink(plan, failure, budget, patience, &progress);
        self.report.say(&format!(
            "the smallest program found has {} operations and fails so ({:?}):\n{}\n  pagemark stress --plan '{}'{}",
            smallest.operations(),
            failure.kind,
            failure.text,
            smallest.to_json(),
            listing(&smallest)
        ));
    }

    /// The command line that runs one program of this call.
    fn command(&self, plan: &Plan) -> String {
        let mut command = format!(
            "pagemark stress --seed {} --mechanism {} --backing {}",
            plan.seed,
            plan.key("mechanism").unwrap_or("all"),
            plan.key("backing").unwrap_or("all")
        );
        match plan.flat {
            Some(cycles) => command += &format!(" --cycles-flat {cycles}"),
            None => command += " --runs 1",
        }
        if let Some(threads) = self.wishes.threads {
            command += &format!(" --threads {threads}");
        }
        if let Some(ops) = self.wishes.ops {
            command += &format!(" --ops {ops}");
        }
        if self.wishes.no_fork {
            command += " --no-fork";
        }
        if !self.wishes.gc.is_empty() {
            command += &format!(" --gc '{}'", self.wishes.gc);
        }
        if let Some(defect) = self.arguments.defect.and_then(|defect| clap::ValueEnum::to_possible_value(&defect)) {
            command += &format!(" --defect {}", defect.get_name());
        }
        command
    }
}

/// The operations of a short program.
fn listing(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.operations() <= SHORT {
        for lane in 0..plan.threads {
            for (at, op) in program::generate(plan.seed, lane, plan.ops).iter().enumerate() {
                if plan.keeps(lane, at) {
                    text += &format!("\n  lane {lane}, {at}: {op:?}");
                }
            }
        }
    }
    text
}
