//! `bench all`: each workload in a process of its own.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::worker::Failure;
use super::workloads;

/// Options that go to each.
pub struct Request {
    /// Small.
    pub quick: bool,
    /// The heap's limit as a multiple of what lives.
    pub multiplier: Option<f64>,
    /// Collector configuration.
    pub gc: String,
}

/// The results of those that have one, what went wrong in the others, and whether nothing did.
///
/// # Errors
///
/// When this program cannot be started again.
pub fn run(request: &Request) -> Result<(Value, bool), Failure> {
    let program = std::env::current_exe()?;
    let bar = ProgressBar::new(workloads::ALL.len() as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}")?);
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    for workload in workloads::ALL {
        let name = workload.spec().name;
        bar.set_message(name);
        let mut command = Command::new(&program);
        command.args(["bench", name, "--gc", &request.gc]).stderr(Stdio::piped());
        if request.quick {
            command.arg("--quick");
        }
        if let Some(multiplier) = request.multiplier {
            command.args(["--multiplier", &multiplier.to_string()]);
        }
        let output = command.output()?;
        let errors = String::from_utf8_lossy(&output.stderr).trim().to_string();
        // A run in which verification failed has both: a result, and an exit status that says so.
        if let Ok(result) = serde_json::from_slice::<Value>(&output.stdout) {
            results.push(result);
        }
        if !output.status.success() {
            failures.push(json!({ "workload": name, "error": errors }));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let right = failures.is_empty();
    Ok((json!({ "results": results, "failures": failures }), right))
}
