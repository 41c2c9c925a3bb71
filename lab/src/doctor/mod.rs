//! `pagemark doctor`: what a heap gets on this machine, for this user, in this container, and what would get it more.
//!
//! Whether a collector may see writes through the page table depends on a dozen settings in as many places, and a program that marks with
//! its threads stopped because of one of them looks like any other, only slower. So everything is looked up
//! ([`system`]), every mechanism is opened and tried as a heap would ([`mechanisms`]), what works is measured ([`cost`]), and the answer is said
//! in words, with the command that would help, or as JSON ([`report`]). `docs/doctor.md` describes both.
//!
//! Nothing is changed: the doctor asks, and opens heaps of its own. Its exit status speaks of the default configuration: 0 if marking is
//! concurrent, 1 if it stops the program, 2 if there is not even a heap.

mod cost;
mod mechanisms;
mod report;
mod system;

use std::io::Write;
use std::time::Duration;

/// What `pagemark doctor` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object, as docs/doctor.md describes it
    #[arg(long)]
    json: bool,
    /// Milliseconds to measure each mechanism for; 0 measures nothing
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    measure: u64,
}

/// Runs the subcommand; returns the exit status.
pub fn run(arguments: &Arguments) -> Result<i32, Box<dyn std::error::Error>> {
    let diagnosis = report::Diagnosis::new(
        system::System::read(),
        mechanisms::Findings::gather(Duration::from_millis(arguments.measure)),
    );
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&diagnosis)?)?;
    } else {
        diagnosis.write(&mut out)?;
    }
    out.flush()?;
    Ok(diagnosis.status)
}
