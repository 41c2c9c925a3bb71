//! `pagemark`: measures the collector, tries to break it, and asks the kernel under it.
//!
//! `pagemark bench churn` allocates trees beside a live one and says how many nodes a second that is and how long the worst tree took;
//! `pagemark bench mark` says what marking one object costs. Both print a control thread's stalls in the same run: on a
//! shared machine a worst case means something only beside the machine's own.
//!
//! `pagemark stress` runs random programs on it and compares the whole heap with what it must hold. `pagemark semantics` finds out what the kernel does
//! with write protection; `pagemark doctor` says what that means for a heap on this machine.

mod churn;
mod control;
mod doctor;
mod marking;
mod node;
mod semantics;
mod stress;

use std::io::Write;

use clap::{Parser, Subcommand};
use pagemark::Config;

#[derive(Parser)]
#[command(
    name = "pagemark",
    version,
    about = "Measure, stress and question the pagemark collector and the kernel under it"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a workload and print what it measured, as one JSON object
    #[command(subcommand)]
    Bench(Bench),
    /// Run random programs of heap operations and compare the heap, word for word, with what it must hold
    Stress(stress::Arguments),
    /// Say which mechanisms work here, what they cost, and what would help; exits with 0 if heaps mark concurrently, 1 if only with
    /// the program stopped, 2 if there can be no heap
    Doctor(doctor::Arguments),
    /// Find out what this kernel does with userfaultfd write protection, by doing it
    Semantics(semantics::Arguments),
}

#[derive(Subcommand)]
enum Bench {
    /// A live tree of 2^23 nodes of 32 bytes, then trees of 2,047 nodes, every 16th replacing a live subtree
    Churn {
        /// Levels of the live tree (it has 2^LEVELS - 1 nodes)
        #[arg(long, default_value_t = 23, value_parser = clap::value_parser!(u32).range(12..=28))]
        levels: u32,
        /// Trees to build
        #[arg(long, default_value_t = 20_000)]
        trees: u64,
        /// Collector configuration on top of PAGEMARK_GC
        #[arg(long, default_value = "")]
        gc: String,
    },
    /// Mark a live tree again and again and say what an object costs
    Mark {
        /// Levels of the tree
        #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u32).range(12..=28))]
        levels: u32,
        /// Cycles
        #[arg(long, default_value_t = 9)]
        cycles: u32,
        /// Build the tree so that neighbours in it are not neighbours in memory
        #[arg(long)]
        shuffled: bool,
        /// Collector configuration on top of PAGEMARK_GC
        #[arg(long, default_value = "")]
        gc: String,
    },
}

fn configuration(keys: &str) -> Result<Config, pagemark::ConfigError> {
    let mut config = Config::from_env()?;
    config.apply(keys)?;
    Ok(config)
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let bench = match arguments.command {
        Command::Bench(bench) => bench,
        Command::Stress(arguments) => {
            let (summary, clean) = stress::run(&arguments)?;
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&summary)?)?;
            return if clean { Ok(()) } else { Err("the collector failed; see above".into()) };
        }
        Command::Doctor(arguments) => std::process::exit(doctor::run(&arguments)?),
        Command::Semantics(semantics) => return semantics::run(semantics),
    };
    let result = match bench {
        Bench::Churn { levels, trees, gc } => churn::run(&configuration(&gc)?, levels, trees)?,
        Bench::Mark { levels, cycles, shuffled, gc } => marking::run(&configuration(&gc)?, levels, cycles, shuffled)?,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&result)?)?;
    match result["gc"]["verify_failures"].as_u64() {
        Some(0) => Ok(()),
        failures => Err(format!("verification failed: {failures:?}").into()),
    }
}

fn main() -> std::process::ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed the pipe has read enough, and knows.
            let nobody_reads =
                error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe);
            if !nobody_reads {
                eprintln!("pagemark: {error}");
            }
            std::process::ExitCode::FAILURE
        }
    }
}
