//! `pagemark bench WORKLOAD`: runs one workload once and prints what was measured, as one JSON object.
//!
//! ```text
//! workloads/NAME.rs   what the program does: shape, size, steps, check
//! worker.rs           one thread of it: a mutator that notes its own steps and stalls
//! run.rs              all threads, the heap, and who watches them
//! measure/            what is measured in every run
//! profile/            which places allocate, with --profile
//! result.rs           the JSON; docs/benchmarks-format.md is its schema
//! parameter.rs        what a workload can be told
//! fold.rs             one number over what lives at the end, the same in any language
//! ```
//!
//! To add a workload: a file in `workloads/`, and its name in the list there. Nothing here knows one by name.
//!
//! `bench all` runs each workload in a process of its own, so that none inherits another's memory or processor time.

mod all;
mod fold;
pub mod measure;
mod meeting;
pub mod parameter;
mod profile;
mod result;
pub mod run;
mod sizes;
mod trees;
mod worker;
pub mod workloads;

pub use result::machine;

use clap::{Arg, ArgAction, ArgMatches, FromArgMatches, Subcommand};
use serde_json::Value;

use parameter::Values;
use run::Request;
use worker::Failure;
use workloads::Workload;

/// What to run.
pub enum Command {
    /// One workload.
    One(Request),
    /// Each.
    All(all::Request),
}

/// Runs it. The result, and whether the collector was right.
///
/// # Errors
///
/// When there is no result: an impossible configuration, a heap that is too small, a failed check.
pub fn run(command: &Command) -> Result<(Value, bool), Failure> {
    match command {
        Command::One(request) => {
            let result = run::run(request)?;
            let right = result["gc"]["verify_failures"] == 0;
            Ok((result, right))
        }
        Command::All(request) => all::run(request),
    }
}

const ALL: &str = "all";

/// What threads divide among them is never less than this, so that each has some of it.
const MOST_THREADS: u64 = 64;

fn multiplier(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(multiplier) if (1.05..=1000.0).contains(&multiplier) => Ok(multiplier),
        _ => Err("allowed is 1.05 to 1000".to_string()),
    }
}

/// The options that every run has.
fn shared_arguments() -> [Arg; 3] {
    [
        Arg::new("quick").long("quick").action(ArgAction::SetTrue).help("Small enough for a look, not for a number"),
        Arg::new("multiplier")
            .long("multiplier")
            .value_name("FACTOR")
            .value_parser(multiplier)
            .help("The heap's limit as a multiple of what lives (without effect under mechanism=none)"),
        Arg::new("gc")
            .long("gc")
            .value_name("KEYS")
            .default_value("")
            .help("Collector configuration on top of PAGEMARK_GC"),
    ]
}

/// The options of a run that is profiled.
fn profile_arguments() -> [Arg; 2] {
    [
        Arg::new("profile")
            .long("profile")
            .value_name("FILE")
            .value_parser(clap::value_parser!(std::path::PathBuf))
            .help("Write a profile of the places that allocate, for pprof"),
        Arg::new("profile-every")
            .long("profile-every")
            .value_name("BYTES")
            .default_value("524288")
            .value_parser(clap::value_parser!(u64).range(1..=1 << 40))
            .help("With --profile: one sample in so many bytes"),
    ]
}

fn command_of(workload: &dyn Workload) -> clap::Command {
    let spec = workload.spec();
    let own = spec.parameters.iter().map(parameter::Parameter::argument);
    let mut command =
        clap::Command::new(spec.name).about(spec.about).args(own).args(shared_arguments()).args(profile_arguments());
    if let Some(multiplier) = spec.multiplier {
        let help = format!(
            "The heap's limit as a multiple of what lives (without effect under mechanism=none) [default: {multiplier}, unless --gc has a limit]"
        );
        command = command.mut_arg("multiplier", |argument| argument.help(help));
    }
    if spec.threaded {
        let threads = Arg::new("threads").long("threads").value_name("N").default_value("1");
        command =
            command.arg(threads.value_parser(clap::value_parser!(u64).range(1..=MOST_THREADS)).help("Mutator threads"));
    }
    command
}

fn request_of(workload: &'static dyn Workload, matches: &ArgMatches) -> Request {
    let spec = workload.spec();
    let mut values = Values::defaults(spec.parameters, matches.get_flag("quick"));
    values.take(spec.parameters, matches);
    let threads = if spec.threaded { matches.get_one::<u64>("threads").copied() } else { None };
    Request {
        workload,
        values,
        threads: threads.unwrap_or(1) as usize,
        multiplier: matches.get_one("multiplier").copied(),
        gc: matches.get_one::<String>("gc").cloned().unwrap_or_default(),
        profile: matches.get_one::<std::path::PathBuf>("profile").map(|file| profile::Request {
            file: file.clone(),
            every: matches.get_one("profile-every").copied().unwrap_or(512 << 10),
        }),
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Command, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        if name == ALL {
            return Ok(Command::All(all::Request {
                quick: matches.get_flag("quick"),
                multiplier: matches.get_one("multiplier").copied(),
                gc: matches.get_one::<String>("gc").cloned().unwrap_or_default(),
            }));
        }
        Ok(Command::One(request_of(workloads::find(name).ok_or_else(missing)?, matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Command::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let all = clap::Command::new(ALL)
            .about("Each workload, one after the other, in a process of its own")
            .args(shared_arguments());
        command.subcommands(workloads::ALL.map(command_of)).subcommand(all).subcommand_required(true)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Command::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == ALL || workloads::find(name).is_some()
    }
}
