//! Every file of Scheme checks in `tests/scheme` passes, also while the collector runs all the time and verifies itself.
//!
//! A file counts its checks and ends with `N checks, 0 failures`, where N must be the number of its lines that begin with `(check`: a file that stops halfway does not
//! pass. Each file gets one argument, the name of a file that it may write.

use std::path::Path;
use std::time::Duration;

use pagemark_workspace::scheme;

fn check(file: &Path, keys: &str) {
    let name = file.file_stem().expect("a file").to_string_lossy();
    let text = std::fs::read_to_string(file).expect("readable");
    let count = text.lines().filter(|line| line.starts_with("(check")).count();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", keys.replace([',', '=', ':'], "-")));
    let scratch = scratch.to_str().expect("a path in UTF-8").to_owned();
    let output = scheme::run(file, &[scratch], &format!("{keys},summary"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} under {keys}: {}\n{said}\n{errors}", output.status);
    assert_eq!(said.lines().last(), Some(&*format!("{count} checks, 0 failures")), "{name} under {keys}\n{said}");
    assert_eq!(scheme::summary(&output, "verify_failures"), 0, "{name} under {keys}\n{errors}");
}

fn check_all(folder: &str, keys: &str) {
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    let files = scheme::files(folder);
    assert!(!files.is_empty(), "no files in {folder}");
    for file in files {
        check(&file, keys);
    }
}

#[test]
fn every_check_passes() {
    check_all("tests/scheme", "mechanism=auto");
}

#[test]
fn every_check_passes_while_cycles_follow_each_other() {
    check_all("tests/scheme", "mechanism=async,verify=mark,zeal=alloc:1");
}

#[test]
fn every_check_passes_when_each_refill_stops_the_world() {
    check_all("tests/scheme", "mechanism=stop,verify=mark,zeal=alloc:1");
}

#[test]
fn every_check_passes_with_software_cards() {
    check_all("tests/scheme", "mechanism=cards,backing=shmem,verify=mark,zeal=alloc:1");
}

#[test]
fn a_full_heap_is_an_error_that_programs_survive() {
    check_all("tests/scheme/limited", "mechanism=async,limit=64M");
}

#[test]
fn a_full_heap_is_an_error_that_programs_survive_without_a_concurrent_cycle() {
    check_all("tests/scheme/limited", "mechanism=stop,limit=64M");
}
