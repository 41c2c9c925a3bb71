//! The same work in other languages: programs that somebody else has written, found in a directory with one folder a family.
//!
//! A family has an executable `peer` with three commands, which `benches/peers/README.md` describes: `peer list` says whom it has, and how to install
//! who is missing; `peer build` compiles; `peer run NAME WORKLOAD …` becomes the program. Of what they print nothing is believed that can be computed here: the steps
//! come as a list of moments, memory is looked at from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::child;
use super::contestant::{Contestant, Kind};
use super::interrupt::Interrupt;
use super::work::Work;

/// How long a family may think about whom it has.
const LISTING: Duration = Duration::from_secs(60);
/// How long it may compile.
const BUILDING: Duration = Duration::from_secs(1200);

/// A line of `peer list`.
#[derive(Deserialize)]
struct Line {
    name: String,
    version: Option<String>,
    installed: bool,
    how: Option<String>,
    workloads: Vec<String>,
}

/// Where peers are if nobody says so: beside the source this was built from.
pub fn directory() -> PathBuf {
    repository().join("benches/peers")
}

fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The families in `directory`, by name, and the program of each. None if there is no such directory.
pub fn families(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let family = |entry: std::fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path().join("peer")));
    let mut families: Vec<_> = entries.filter_map(family).filter(|(_, program)| program.is_file()).collect();
    families.sort();
    families
}

/// Whom a family has. One that cannot even say so is a contestant of the family's name that is missing.
///
/// # Errors
///
/// When files cannot be made in `scratch`.
pub fn list(family: &str, program: &Path, scratch: &Path, interrupt: &Interrupt) -> std::io::Result<Vec<Contestant>> {
    let contestant = |name: String, version, missing, workloads| Contestant {
        name,
        kind: Kind::Peer(program.to_path_buf()),
        family: family.to_string(),
        version,
        missing,
        workloads,
    };
    let broken = |why: String| vec![contestant(family.to_string(), None, Some(why), Vec::new())];
    let mut command = Command::new(program);
    command.arg("list");
    let outcome = match child::run(command, scratch, LISTING, interrupt) {
        Ok(outcome) => outcome,
        Err(error) => return Ok(broken(format!("{} cannot be started: {error}", shown(program)))),
    };
    if let Some(failure) = outcome.failure(LISTING) {
        return Ok(broken(format!("`peer list` failed: {failure}")));
    }
    let lines: Result<Vec<Line>, _> = outcome.output.lines().map(serde_json::from_str).collect();
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => return Ok(broken(format!("`peer list` printed what is no contestant: {error}"))),
    };
    let known = lines.into_iter().map(|line| {
        let missing = (!line.installed).then(|| line.how.unwrap_or_else(|| "nobody said how".to_string()));
        contestant(line.name, line.version, missing, line.workloads)
    });
    Ok(known.collect())
}

/// Compiles what a family needs.
///
/// # Errors
///
/// Why its contestants cannot run.
pub fn build(program: &Path, scratch: &Path, interrupt: &Interrupt) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("build");
    let outcome = child::run(command, scratch, BUILDING, interrupt).map_err(|error| error.to_string())?;
    outcome.failure(BUILDING).map_or(Ok(()), |failure| Err(format!("`peer build` failed: {failure}")))
}

/// One run, as a command and as the text that repeats it. The ends of steps are written to `steps`.
pub fn run(program: &Path, name: &str, work: &Work, limit: u64, steps: &Path) -> (Command, String) {
    let mut command = Command::new(program);
    let arguments = |steps: &str| {
        let mut arguments = vec!["run".to_string(), name.to_string(), work.name().to_string()];
        for (option, value) in [("heap", limit.to_string()), ("live", work.live().peak.to_string())] {
            arguments.extend([format!("--{option}"), value]);
        }
        arguments.extend(["--threads", "1", "--steps", steps].map(String::from));
        arguments.extend(work.options());
        arguments
    };
    command.args(arguments(&steps.to_string_lossy()));
    (command, format!("{} {}", shown(program), arguments("steps.bin").join(" ")))
}

/// A path as somebody in the repository would write it.
fn shown(program: &Path) -> String {
    let whole = std::path::absolute(program).unwrap_or_else(|_| program.to_path_buf());
    whole.strip_prefix(repository()).unwrap_or(program).display().to_string()
}
