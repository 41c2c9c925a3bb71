//! `pagemark`: measures the collector, tries to break it, and asks the kernel under it.
//!
//! `pagemark bench` runs one of a dozen workloads and says what it cost whom: time, processors, stalls, memory. Beside them it prints a
//! control thread's stalls in the same run: on a shared machine a worst case means something only beside the machine's own.
//!
//! `pagemark compare` runs the same work by each mechanism and by programs in other languages, and writes down what was measured.
//! `pagemark barriers` measures the mechanisms alone, a page at a time, against the system calls they are made of.
//! `pagemark report` makes tables and pictures of what `pagemark compare` measured.
//!
//! `pagemark stress` runs random programs on it and compares the whole heap with what it must hold. `pagemark semantics` finds out what the kernel does
//! with write protection; `pagemark doctor` says what that means for a heap on this machine.

mod barriers;
mod bench;
mod compare;
mod doctor;
mod report;
mod semantics;
mod stress;

use std::io::Write;

use clap::{Parser, Subcommand};

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
    Bench(bench::Command),
    /// Run the same work by each mechanism and by peers in other languages, and write what was measured
    Compare(compare::Arguments),
    /// Measure what each mechanism costs for a dirtied page, an armed page and a scan, against the bare system calls
    Barriers(barriers::Arguments),
    /// Make a report, HTML and Markdown, of what `pagemark compare` measured
    Report(report::Arguments),
    /// Run random programs of heap operations and compare the heap, word for word, with what it must hold
    Stress(stress::Arguments),
    /// Say which mechanisms work here, what they cost, and what would help; exits with 0 if heaps mark concurrently, 1 if only with
    /// the program stopped, 2 if there can be no heap
    Doctor(doctor::Arguments),
    /// Find out what this kernel does with userfaultfd write protection, by doing it
    Semantics(semantics::Arguments),
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let (result, right) = match arguments.command {
        Command::Bench(bench) => bench::run(&bench).map_err(|failure| -> Box<dyn std::error::Error> { failure })?,
        Command::Barriers(arguments) => return barriers::run(&arguments),
        Command::Stress(arguments) => stress::run(&arguments)?,
        Command::Compare(arguments) => return compare::run(&arguments),
        Command::Doctor(arguments) => std::process::exit(doctor::run(&arguments)?),
        Command::Report(arguments) => return report::run(&arguments),
        Command::Semantics(semantics) => return semantics::run(semantics),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&result)?)?;
    if right { Ok(()) } else { Err("the collector failed; the result says where".into()) }
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
