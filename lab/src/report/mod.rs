//! `pagemark report RESULTS.json`: what the raw results of `pagemark compare` say, as one HTML file, as Markdown, and as a few lines on the terminal.
//!
//! `compare` only measures. Every median, spread, bound and picture is made here, from nothing but the file, so that anybody can make
//! another report of the same runs. What the file does not have is said to be missing, in the place where it would stand.
//!
//! ```text
//! input.rs       the file, as types        read.rs      reading it, and what is wrong with one
//! samples.rs     runs by what they are of  statistics.rs  medians, spreads, chance
//! overhead.rs    lower-bound overhead      against.rs   what changed since another file
//! drift.rs       what the machine changed by itself
//! sections/      what is said              figures/     what is drawn
//! document.rs    both together             html.rs, markdown.rs, terminal.rs, output.rs  how that is written
//! ```
//!
//! With a file that cannot be read, or results that cannot be compared, nothing is written at all. Otherwise each file is written beside its place and moved there when
//! all of them are whole, so an older report stays until there is a newer one.

mod against;
mod document;
mod drift;
mod figures;
mod html;
mod input;
mod markdown;
mod numbers;
mod output;
mod overhead;
mod read;
mod samples;
mod sections;
mod statistics;
mod terminal;

use std::io::Write;
use std::path::PathBuf;

/// What `pagemark report` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// The file that `pagemark compare` wrote
    #[arg(value_name = "RESULTS.json")]
    results: PathBuf,
    /// Directory for report.html, report.md and results.json; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "report")]
    out: PathBuf,
    /// Older results: say what changed since then, and whether it is noise
    #[arg(long, value_name = "OLD.json")]
    against: Option<PathBuf>,
    /// Compare with `--against` although the machines differ
    #[arg(long, requires = "against")]
    other_machine: bool,
}

/// Runs the subcommand.
///
/// # Errors
///
/// If a file cannot be read or written, if it is not what `compare` writes, or if the results cannot be compared.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let (results, text) = read::read(&arguments.results)?;
    let comparison = match &arguments.against {
        Some(path) => {
            let (old, _) = read::read(path)?;
            Some((against::Comparison::of(&results, &old, arguments.other_machine)?, old.started))
        }
        None => None,
    };
    let comparison = comparison.as_ref().map(|(comparison, then)| (comparison, then.as_str()));
    let document = sections::document(&results, comparison)?;
    let html = html::write(&document);
    let markdown = markdown::write(&document);
    output::write(&arguments.out, &[("report.html", &html), ("report.md", &markdown), ("results.json", &text)])?;
    let mut out = std::io::stdout().lock();
    terminal::write(&mut out, &results, comparison.map(|(comparison, _)| comparison))?;
    writeln!(out, "\n{}", arguments.out.join("report.html").display())?;
    out.flush()?;
    Ok(())
}
