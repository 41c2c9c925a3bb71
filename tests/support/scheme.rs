//! The Scheme example as a process: where its binary is, how it is run, what its summary says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The example's binary. `cargo test` has built it; `cargo test --test NAME` has not.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
        let binary = profile.join("examples/scheme");
        if !binary.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--example", "scheme", "--target-dir"]).arg(profile.parent().expect("target"));
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
            assert!(status.success());
        }
        binary
    })
}

/// Runs a program to its end under these keys and no others.
pub fn run(program: &Path, arguments: &[String], keys: &str) -> Output {
    Command::new(binary())
        .arg("--gc")
        .arg(keys)
        .arg(program)
        .args(arguments)
        .env_remove("PAGEMARK_GC")
        .output()
        .expect("the example runs")
}

/// The number called `name` in the summary of a run with `summary` among its keys.
pub fn summary(output: &Output, name: &str) -> u64 {
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().filter_map(|line| line.strip_prefix("pagemark: ")).collect();
    let [line] = lines[..] else { panic!("expected one summary line, got {lines:?} in\n{errors}") };
    let summary: serde_json::Value = serde_json::from_str(line).expect("the summary is JSON");
    summary[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {line}"))
}

/// The files `*.scm` of a folder of this repository, sorted.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scm"))
        .collect();
    files.sort();
    files
}
