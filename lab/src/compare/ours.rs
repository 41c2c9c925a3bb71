//! Our own contestants: each mechanism, run as `pagemark bench` in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child;
use super::contestant::{Contestant, Kind};
use super::interrupt::Interrupt;
use super::work::{self, Work};

/// The mechanisms that are compared.
const MECHANISMS: [&str; 7] = ["async", "sync", "sigbus", "mprotect", "cards", "stop", "none"];

/// How our own program is started.
pub struct Ours {
    program: std::path::PathBuf,
    /// Configuration that each run gets beside its mechanism.
    gc: String,
}

impl Ours {
    /// This program, and what its runs are told.
    ///
    /// # Errors
    ///
    /// When nobody knows where this program is.
    pub fn new(gc: &str) -> std::io::Result<Ours> {
        Ok(Ours { program: std::env::current_exe()?, gc: gc.to_string() })
    }

    /// Each mechanism. It is tried, and one that is refused is not available, for the reason that it was refused with.
    ///
    /// # Errors
    ///
    /// When this program cannot be started.
    pub fn contestants(&self, scratch: &Path, interrupt: &Interrupt) -> std::io::Result<Vec<Contestant>> {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut contestants = Vec::new();
        for name in MECHANISMS {
            let arguments = ["bench", "quads", "--depth", "3", "--factor", "105"].map(String::from).to_vec();
            let (command, _) = self.command(arguments, &self.configuration(name));
            let outcome = child::run(command, scratch, LIMIT, interrupt)?;
            contestants.push(Contestant {
                name: name.to_string(),
                kind: Kind::Pagemark,
                family: "pagemark".to_string(),
                version: Some(env!("CARGO_PKG_VERSION").to_string()),
                missing: outcome.failure(LIMIT).map(|failure| format!("not available: {failure}")),
                workloads: work::names().map(String::from).collect(),
            });
        }
        Ok(contestants)
    }

    fn configuration(&self, mechanism: &str) -> String {
        let gc = format!("mechanism={mechanism}");
        if self.gc.is_empty() { gc } else { format!("{gc},{}", self.gc) }
    }

    /// One run, as a command and as the text that repeats it. `multiplier` is `None` for a heap without a limit; `more` is configuration for this run.
    pub fn bench(&self, work: &Work, mechanism: &str, multiplier: Option<f64>, more: &str) -> (Command, String) {
        let mut arguments = vec!["bench".to_string(), work.name().to_string()];
        arguments.extend(work.options());
        if let Some(multiplier) = multiplier {
            arguments.extend(["--multiplier".to_string(), multiplier.to_string()]);
        }
        let gc = self.configuration(mechanism);
        self.command(arguments, &if more.is_empty() { gc } else { format!("{gc},{more}") })
    }

    /// `pagemark barriers`.
    pub fn barriers(&self, quick: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("barriers").args(quick.then_some("--quick")).env_remove("PAGEMARK_GC");
        command
    }

    fn command(&self, mut arguments: Vec<String>, gc: &str) -> (Command, String) {
        arguments.extend(["--gc".to_string(), gc.to_string()]);
        let mut command = Command::new(&self.program);
        // What somebody has in the environment for other programs is not part of the comparison.
        command.args(&arguments).env_remove("PAGEMARK_GC");
        (command, format!("pagemark {}", arguments.join(" ")))
    }
}
