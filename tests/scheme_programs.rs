//! Every Scheme program gives the same output under every mechanism and backing, with verification, and again, on one backing, while one cycle follows the other.
//!
//! The programs are run as a user runs them, as processes of the example's binary, with the arguments that their first lines give for tests
//! (`;;; test-args:`). The output to compare with comes from `mechanism=stop` without any check. Each run must also report, in its summary, that verification found
//! nothing and that cycles did run.

use scheme::summary;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pagemark_workspace::scheme;

const MECHANISMS: [&str; 6] = ["async", "sync", "sigbus", "mprotect", "cards", "stop"];
const BACKINGS: [&str; 2] = ["anon", "shmem"];

/// The platform this is compiled on, as cargo calls it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// A real input: what cargo says of this workspace and everything it depends on.
fn metadata() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        // For this platform only: packages for others have not been downloaded, and need not be.
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--filter-platform", &host()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.len() > 100_000, "cargo says more of this workspace");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metadata.json");
        std::fs::write(&file, output.stdout).expect("the target directory is writable");
        file
    })
}

struct Program {
    file: PathBuf,
    arguments: Vec<String>,
}

fn programs() -> Vec<Program> {
    let files = scheme::files("examples/scheme/programs");
    assert!(files.len() >= 4, "{files:?}");
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("readable");
            let line = text.lines().find_map(|line| line.strip_prefix(";;; test-args:"));
            let line = line.unwrap_or_else(|| panic!("{} has no line `;;; test-args:`", file.display()));
            let metadata = metadata().to_str().expect("a path in UTF-8");
            let arguments = line.split_whitespace().map(|word| word.replace("@METADATA@", metadata)).collect();
            Program { file, arguments }
        })
        .collect()
}

fn run(program: &Program, keys: &str) -> Output {
    scheme::run(&program.file, &program.arguments, keys)
}

/// One matrix at a time, or they take the processors from each other's collectors.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs each program under each mechanism and these backings with `keys`; returns the number of cycles of each run.
fn matrix(keys: &str, backings: &[&str]) -> Vec<(String, u64)> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    let mut cycles = Vec::new();
    for program in programs() {
        let name = program.file.file_name().expect("a file").to_string_lossy().into_owned();
        let expected = run(&program, "mechanism=stop");
        assert!(expected.status.success(), "{name}: {}", String::from_utf8_lossy(&expected.stderr));
        assert!(!expected.stdout.is_empty(), "{name} prints nothing");
        for mechanism in MECHANISMS {
            for backing in backings {
                let keys = format!("mechanism={mechanism},backing={backing},summary,{keys}");
                let output = run(&program, &keys);
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{name} under {keys}: {}\n{errors}", output.status);
                assert!(output.stdout == expected.stdout, "{name} under {keys} gives other output\n{errors}");
                assert_eq!(summary(&output, "verify_failures"), 0, "{name} under {keys}\n{errors}");
                cycles.push((format!("{name} under {keys}"), summary(&output, "cycles")));
            }
        }
    }
    cycles
}

#[test]
fn every_program_gives_the_same_output_under_every_mechanism_and_backing() {
    for (run, cycles) in matrix("verify=mark,heap=1M", &BACKINGS) {
        assert!(cycles > 0, "{run}: no cycle");
    }
}

#[test]
fn every_program_gives_the_same_output_while_one_cycle_follows_the_other() {
    // A cycle is requested at every refill of a mutator's hole, so one follows the other. How many fit into a run depends on the machine:
    // some 150 a run on two idle processors. The floor is for a busy one.
    // On one backing: the large graphs and the random programs have as many on both.
    let runs = matrix("zeal=alloc:1", &BACKINGS[..1]);
    let total: u64 = runs.iter().map(|(_, cycles)| cycles).sum();
    println!("{total} cycles in {} runs", runs.len());
    assert!(total >= 10 * runs.len() as u64, "only {total} cycles in {} runs: {runs:?}", runs.len());
}
