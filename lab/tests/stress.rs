//! `pagemark stress` finds what is wrong, finds nothing where nothing is, and says enough to go on from there.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the tool to its end.
fn stress(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagemark")).arg("stress").args(arguments).output().expect("the tool starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The summary of a run that found nothing.
fn clean(arguments: &[&str]) -> Value {
    let output = stress(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("the summary is JSON")
}

#[test]
fn programs_on_every_mechanism_and_backing_find_nothing_wrong() {
    let summary = clean(&["--seed", "1", "--runs", "24", "--ops", "1500"]);
    assert_eq!(summary["total"]["runs"], 24);
    assert_eq!(summary["total"]["failures"], 0);
    let rows = summary["by"].as_object().expect("a row for each");
    assert_eq!(rows.len(), 12, "{rows:?}, unavailable: {}", summary["unavailable"]);
    for (name, row) in rows {
        assert_eq!(row["runs"], 2, "{name}");
        for counted in ["cycles", "operations", "objects_checked", "bytes_allocated"] {
            assert!(row[counted].as_u64() > Some(0), "{name}: no {counted}");
        }
    }
    // Each kind of operation is done, or the programs show less than they claim.
    for counted in ["reads", "reads_bounced", "threads_ended", "forks", "exhausted", "out_of_memory"] {
        assert!(summary["total"][counted].as_u64() > Some(0), "no {counted}: {}", summary["total"]);
    }
}

#[test]
fn a_program_of_one_thread_is_the_same_every_time() {
    // Little enough that the limit, the only thing here that depends on when a cycle runs, is never reached.
    let wishes = ["--runs", "1", "--threads", "1", "--ops", "3000", "--mechanism", "stop", "--gc", "limit=1G"];
    let one = || clean(&[&["--seed", "5"], wishes.as_slice()].concat());
    let (first, second) = (one(), one());
    for counted in ["operations", "bytes_allocated", "most_reachable_bytes", "threads_ended"] {
        assert_eq!(first["total"][counted], second["total"][counted], "{counted}");
    }
}

/// The collector with a mistake must fail, with the seed in the command line that shows it again.
fn is_caught(defect: &str, mechanism: &str) {
    let arguments = ["--seed", "1", "--seconds", "100", "--shrink", "0", "--mechanism", mechanism, "--defect", defect];
    let output = stress(&arguments);
    let text = stderr(&output);
    assert!(!output.status.success(), "{defect} was not caught:\n{text}");
    let again = text.lines().find(|line| line.contains("pagemark stress --seed ")).expect("a command line");
    assert!(text.contains("FAILED") && again.contains(&format!("--defect {defect}")), "{text}");
}

#[test]
fn skipping_to_arm_a_page_is_caught() {
    is_caught("skip-arming", "async");
}

#[test]
fn dropping_a_dirty_page_is_caught() {
    is_caught("drop-dirty-page", "sync");
}

#[test]
fn marking_before_arming_is_caught() {
    is_caught("mark-before-arming", "sigbus");
}

#[test]
fn a_failing_program_is_shrunk() {
    let output = stress(&["--seed", "1", "--seconds", "100", "--shrink", "20", "--defect", "drop-dirty-page"]);
    let text = stderr(&output);
    let operations = |line: &str| -> Option<u64> { line.split(" has ").nth(1)?.split(' ').next()?.parse().ok() };
    let smallest = text.lines().find(|line| line.starts_with("the smallest program found")).expect("it was shrunk");
    // What is printed is a program that the tool takes.
    let plan = text.lines().find_map(|line| line.trim().strip_prefix("pagemark stress --plan '")).expect("a plan");
    let plan: Value = serde_json::from_str(plan.trim_end_matches('\'')).expect("a plan is JSON");
    let whole = plan["threads"].as_u64().expect("a number") * plan["ops"].as_u64().expect("a number");
    assert!(operations(smallest) <= Some(whole / 2), "{text}");
    let mut sound = plan.clone();
    sound.as_object_mut().expect("an object").remove("defect");
    let outcome = clean(&["--plan", &sound.to_string()]);
    assert_eq!(Some(outcome["counts"]["operations"].as_u64()), Some(operations(smallest)), "{outcome}");
}

#[test]
fn a_program_that_does_not_end_is_described_and_killed() {
    let output = stress(&["--seed", "1", "--runs", "1", "--mechanism", "async", "--patience", "0", "--shrink", "0"]);
    let text = stderr(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("FAILED (Hung)") && text.contains("waits in"), "{text}");
}

#[test]
fn memory_stays_flat_over_many_cycles() {
    let summary = clean(&["--seed", "3", "--cycles-flat", "600", "--mechanism", "async", "--backing", "anon"]);
    assert!(summary["total"]["cycles"].as_u64() >= Some(600), "{summary}");
    assert!(summary["total"]["flat"][0]["late"]["resident_bytes"].as_u64() > Some(0), "{summary}");
}

#[test]
fn what_the_tool_does_not_know_is_an_error() {
    let wrong: [&[&str]; 5] =
        [&["--mechanism", "magic"], &["--threads", "9"], &["--gc", "limt=4M"], &["--plan", "{}"], &["--ops", "0"]];
    for arguments in wrong {
        assert!(!stress(arguments).status.success(), "{arguments:?}");
    }
}
