//! `pagemark compare WORKLOAD…`: the same work by each mechanism of ours and by peers in other languages, measured in the same way.
//!
//! ```text
//! work.rs         what is done: a workload and the value of each parameter
//! contestant.rs   who does it
//! ours.rs         each mechanism, as `pagemark bench` in a process of its own
//! peers.rs        programs in other languages, found in benches/peers
//! schedule.rs     in which order, and how often
//! session.rs      what is run next, and what becomes of it
//! child.rs        one program, started, watched and waited for
//! measured.rs     what was measured, in the same words for all
//! results.rs      the file; docs/results-format.md is its schema
//! timeline.rs     one cycle out of a trace
//! table.rs        what is printed at the end
//! ```
//!
//! A comparison is fair if everybody has the same work, the same bytes and the same machine. The work is the same to the random number, and its check says whether it
//! was done. The bytes are those of the workload's multiplier: each collector gets them as its limit, in its own way. The machine is the same as far as it can be:
//! runs of all contestants are interleaved and in a random order within each round, transparent huge pages are off for all, and the lateness of a thread
//! that only sleeps is measured in each run, inside of ours and beside the others.
//!
//! Nothing is computed from several runs here. Medians, spreads and pictures are made by `pagemark report`, from the file.

mod child;
mod contestant;
mod interrupt;
mod machine;
mod measured;
mod ours;
mod peers;
mod results;
mod schedule;
mod scratch;
mod session;
mod table;
mod timeline;
mod work;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use contestant::{Contestant, Kind};
use interrupt::Interrupt;
use ours::Ours;
use results::Results;
use scratch::Scratch;
use session::{Extras, Session, Time};
use work::Work;

/// Why there is no comparison.
type Failure = Box<dyn std::error::Error>;

/// Workloads that have heap-size curves if nobody says which.
const CURVES: [&str; 2] = ["churn", "scatter"];
/// How long a quick look may take; what is not begun by then is left out. With what is under way then, and what was built before, it stays below two
/// minutes.
const QUICK: Duration = Duration::from_secs(95);

/// What `pagemark compare` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to run; a choice of seven if nothing is named, with --quick of three
    #[arg(value_name = "WORKLOAD", value_parser = PossibleValuesParser::new(work::names().collect::<Vec<_>>()))]
    workloads: Vec<String>,
    /// Where the results go; the file is written again after each run
    #[arg(long, value_name = "FILE", default_value = "results.json")]
    out: PathBuf,
    /// Run rounds until so many minutes are over; three at least
    #[arg(long, value_name = "M", default_value_t = 40.0, value_parser = minutes, conflicts_with_all = ["repeat", "quick"])]
    minutes: f64,
    /// Run so many rounds, however long they take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: Option<u32>,
    /// Small workloads, and two minutes in all once the peers are built: for a look, not for a number
    #[arg(long)]
    quick: bool,
    /// Only these contestants or families (async,malloc,java,…)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Not these
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    without: Vec<String>,
    /// Workloads that are also run in heaps of 1.3 to 6 times what lives [default: churn and scatter if they are run; none with --quick]
    #[arg(long, value_name = "WORKLOADS", value_delimiter = ',', conflicts_with = "no_curves")]
    curves: Option<Vec<String>>,
    /// No heap-size curves
    #[arg(long)]
    no_curves: bool,
    /// The workload of which one cycle is kept event by event [default: the first]
    #[arg(long, value_name = "WORKLOAD", conflicts_with = "no_timeline")]
    timeline: Option<String>,
    /// No timeline
    #[arg(long)]
    no_timeline: bool,
    /// Do not measure the barriers by themselves
    #[arg(long)]
    no_barriers: bool,
    /// Give a parameter of the workloads another value: size=1000
    #[arg(long, value_name = "NAME=N", value_parser = parameter)]
    set: Vec<(String, u64)>,
    /// Collector configuration of our own runs, beside the mechanism
    #[arg(long, value_name = "KEYS", default_value = "")]
    gc: String,
    /// Where the peers are [default: benches/peers, beside the source]
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Seconds after which a run has failed
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,
    /// Where the order of runs comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Leave transparent huge pages as the system has them; otherwise they are off for all contestants
    #[arg(long)]
    system_huge_pages: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.1..=100_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("allowed is 0.1 to 100000".to_string()),
    }
}

fn parameter(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or("it looks like size=1000")?;
    Ok((name.to_string(), value.parse().map_err(|error| format!("{value}: {error}"))?))
}

impl Arguments {
    fn works(&self) -> Result<Vec<Work>, String> {
        let default = if self.quick { work::QUICK } else { work::DEFAULT };
        let mut names: Vec<&str> = self.workloads.iter().map(String::as_str).collect();
        if names.is_empty() {
            names = default.to_vec();
        }
        let mut works: Vec<Work> = Vec::new();
        for name in names {
            if works.iter().all(|known| known.name() != name) {
                works.push(Work::new(name, self.quick, &self.set)?);
            }
        }
        for (name, _) in &self.set {
            if !works.iter().any(|work| work.options().contains(&format!("--{name}"))) {
                return Err(format!("no workload that is run has a parameter {name}"));
            }
        }
        Ok(works)
    }

    fn time(&self) -> Time {
        match self.repeat {
            Some(rounds) => Time::Rounds(rounds),
            None if self.quick => Time::Strictly(QUICK, 1, 2),
            None => Time::For(Duration::from_secs_f64(self.minutes * 60.0), schedule::FEWEST, schedule::MOST),
        }
    }

    fn extras(&self, works: &[Work]) -> Result<Extras, String> {
        let is_run = |name: &str| works.iter().any(|work| work.name() == name);
        let curves = match &self.curves {
            _ if self.no_curves => Vec::new(),
            Some(curves) => curves.clone(),
            None if self.quick => Vec::new(),
            None => CURVES.iter().filter(|name| is_run(name)).map(|name| name.to_string()).collect(),
        };
        let first = works.first().map(|work| work.name().to_string());
        let timeline = if self.no_timeline { None } else { self.timeline.clone().or(first) };
        if let Some(name) = curves.iter().chain(&timeline).find(|name| !is_run(name)) {
            return Err(format!("{name} is not among the workloads that are run"));
        }
        Ok(Extras { curves, timeline, barriers: !self.no_barriers, quick: self.quick })
    }
}

/// Compares, writes the results and prints a table.
///
/// # Errors
///
/// When something cannot be asked for, results cannot be written, it was interrupted, or a run of ours failed. What was measured is in the file all the same.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let works = arguments.works()?;
    let extras = arguments.extras(&works)?;
    let interrupt = Interrupt::catch()?;
    let huge_pages_off = !arguments.system_huge_pages;
    if huge_pages_off {
        machine::without_huge_pages()?;
    }
    let scratch = Scratch::new()?;
    let ours = Ours::new(&arguments.gc)?;
    let mut results = Results::new(&arguments.out, command_line(), machine::describe(huge_pages_off), arguments.seed);
    // Before anybody has waited for anything.
    results.write().map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    let bar = progress()?;
    results.contestants = contestants(arguments, &ours, scratch.path(), &interrupt, &bar)?;
    let limit = Duration::from_secs(arguments.time_limit);
    let mut session = Session::new(results, works, ours, scratch, interrupt.clone(), limit, bar);
    if !interrupt.came() {
        introduce(&session, arguments.seed);
        session.results.write()?;
        session.run(&arguments.time(), &extras, arguments.seed)?;
    }
    session.bar.finish_and_clear();
    conclude(session.results, &interrupt, &arguments.out)
}

/// The command line, as somebody would type it.
fn command_line() -> String {
    let mut words = vec!["pagemark".to_string()];
    words.extend(std::env::args().skip(1));
    words.join(" ")
}

fn progress() -> Result<ProgressBar, Failure> {
    let bar = ProgressBar::new(0);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}")?);
    bar.enable_steady_tick(Duration::from_secs(1));
    Ok(bar)
}

/// Everybody who was asked for: ours tried, peers built.
fn contestants(
    arguments: &Arguments,
    ours: &Ours,
    scratch: &Path,
    interrupt: &Interrupt,
    bar: &ProgressBar,
) -> Result<Vec<Contestant>, Failure> {
    bar.set_message("who is there");
    let mut all = ours.contestants(scratch, interrupt)?;
    let directory = arguments.peers.clone().unwrap_or_else(peers::directory);
    let families = peers::families(&directory);
    if families.is_empty() {
        bar.suspend(|| eprintln!("there are no peers in {}", directory.display()));
    }
    for (family, program) in &families {
        all.extend(peers::list(family, program, scratch, interrupt)?);
    }
    let mut chosen = contestant::chosen(all, &arguments.only, &arguments.without)?;
    let mut built: HashMap<PathBuf, Result<(), String>> = HashMap::new();
    for contestant in chosen.iter_mut().filter(|contestant| contestant.missing.is_none()) {
        let Kind::Peer(program) = &contestant.kind else { continue };
        bar.set_message(format!("building the peers in {}", contestant.family));
        let built = built.entry(program.clone()).or_insert_with(|| peers::build(program, scratch, interrupt));
        contestant.missing = built.clone().err();
    }
    Ok(chosen)
}

/// Says who takes part, and who does not.
fn introduce(session: &Session, seed: u64) {
    let contestants = &session.results.contestants;
    let names = |of: &mut dyn Iterator<Item = String>| of.collect::<Vec<_>>().join(" ");
    let there = names(&mut contestants.iter().filter(|c| c.missing.is_none()).map(|c| c.name.clone()));
    session.say(format!("contestants: {there}"));
    for contestant in contestants {
        if let Some(missing) = &contestant.missing {
            session.say(format!("not installed: {}: {missing}", contestant.name));
        }
    }
    let works = names(&mut session.works.iter().map(|work| work.name().to_string()));
    session.say(format!("workloads: {works}; the order of runs comes from seed {seed}"));
}

/// Writes the last version, prints the table, and says what went wrong.
fn conclude(mut results: Results, interrupt: &Interrupt, out: &Path) -> Result<(), Failure> {
    if !interrupt.came() {
        results.finished = Some(machine::now());
    }
    results.write()?;
    write!(std::io::stdout(), "{}", table::of(&results))?;
    let out = out.display();
    if results.finished.is_none() {
        return Err(format!("interrupted; {} runs are in {out}, marked as incomplete", results.runs.len()).into());
    }
    eprintln!("{} runs are in {out}", results.runs.len());
    let is_ours = |name: &str| results.contestants.iter().any(|c| c.name == name && c.kind == Kind::Pagemark);
    let failures = results.failures();
    let failed = results
        .runs
        .iter()
        .zip(&failures)
        .filter(|(run, failure)| run.purpose == "main" && is_ours(&run.contestant) && failure.is_some());
    match failed.count() {
        0 => Ok(()),
        count => Err(format!("{count} of our own runs failed; {out} says how").into()),
    }
}
