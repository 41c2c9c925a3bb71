//! `pagemark barriers` measures what works, says why the rest does not, and prints what the schema says. No figure is compared with another: on a busy
//! machine any may be anything.

mod schema;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

const WHAT: [&str; 7] = ["first-write", "arm", "scan-clean", "scan-0.1%", "scan-1%", "scan-10%", "scan-100%"];

const SMALL: &str = "barriers --pages 64 --rounds 2 --threads 2";

/// The program under a shell, which runs `before` first.
fn barriers(before: &str, options: &str) -> Output {
    let script = format!("{before}; exec \"$0\" {SMALL} {options}");
    let output = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_pagemark")]).output().expect("sh starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn result(before: &str) -> Value {
    serde_json::from_slice(&barriers(before, "").stdout).expect("JSON")
}

/// A descriptor is all that the program may open at a time: enough for `mprotect`, and for none of the others.
const ONE_DESCRIPTOR: &str = "ulimit -n 4";

fn list<'v>(result: &'v Value, key: &str) -> &'v [Value] {
    result[key].as_array().expect("a list")
}

fn of<'v>(rows: &'v [Value], mechanism: &'v str, backing: &'v str) -> impl Iterator<Item = &'v Value> {
    rows.iter().filter(move |row| row["mechanism"] == mechanism && row["backing"] == backing)
}

fn spread_is_ordered(spread: &Value) {
    let of = |key: &str| spread[key].as_f64().unwrap_or_else(|| panic!("{key} of {spread}"));
    assert!(0.0 < of("min") && of("min") <= of("q1"), "{spread}");
    assert!(of("q1") <= of("median") && of("median") <= of("q3"), "{spread}");
}

#[test]
fn each_mechanism_on_each_backing_is_measured_against_the_bare_calls_or_has_a_reason() {
    let result = result("true");
    for backing in ["anon", "shmem"] {
        for mechanism in ["async", "sync", "sigbus", "mprotect"] {
            let rows: Vec<_> = of(list(&result, "rows"), mechanism, backing).collect();
            let reasons: Vec<_> = of(list(&result, "unavailable"), mechanism, backing).collect();
            if let [reason] = reasons[..] {
                assert!(rows.is_empty() && reason["why"].as_str().is_some_and(|why| !why.is_empty()), "{reason}");
                continue;
            }
            let measured: Vec<_> = rows.iter().map(|row| (row["threads"].as_u64(), row["what"].as_str())).collect();
            let expected: Vec<_> = [1, 2].into_iter().flat_map(|n| WHAT.map(|what| (Some(n), Some(what)))).collect();
            assert_eq!(measured, expected, "{mechanism} on {backing}");
            for row in rows {
                ["ours_ns", "bare_ns", "ours_cpu_ns", "bare_cpu_ns"]
                    .iter()
                    .for_each(|key| spread_is_ordered(&row[key]));
                let median = |key: &str| row[key]["median"].as_f64().expect("a number");
                let ratio = row["ratio"].as_f64().expect("a number");
                // It is rounded, and on a busy machine may be very small.
                assert!((ratio - median("ours_ns") / median("bare_ns")).abs() < 0.001 + ratio / 10.0, "{row}");
            }
        }
        let controls = list(&result, "controls").iter().filter(|control| control["backing"] == backing);
        let controls: Vec<_> = controls.inspect(|control| spread_is_ordered(&control["ns"])).collect();
        assert_eq!(controls.len(), 4, "two of them, by one thread and by two");
    }
}

#[test]
fn what_does_not_work_is_part_of_the_result_and_the_rest_is_measured() {
    let result = result(ONE_DESCRIPTOR);
    let (rows, unavailable) = (list(&result, "rows"), list(&result, "unavailable"));
    for mechanism in ["async", "sync", "sigbus"] {
        assert_eq!(of(rows, mechanism, "anon").count(), 0, "{mechanism}");
        assert_eq!(of(unavailable, mechanism, "anon").count(), 1, "{mechanism}");
    }
    assert_eq!(of(rows, "mprotect", "anon").count(), 2 * WHAT.len());
}

#[test]
fn the_schema_has_every_key_that_is_printed_and_no_other() {
    let mut printed = BTreeSet::new();
    for before in ["true", ONE_DESCRIPTOR] {
        // A spread is documented once.
        let is_spread = |path: &str| path.ends_with("_ns") || path.ends_with("].ns");
        schema::paths(&result(before), "", &is_spread, &mut printed);
    }
    assert_eq!(printed, schema::documented(include_str!("../../docs/barriers-format.md")));
}

#[test]
fn people_get_a_line_for_each_mechanism_and_number_of_threads() {
    let text = String::from_utf8(barriers("true", "--markdown").stdout).expect("text");
    for row in ["| `mprotect` | 1 |", "| `mprotect` | 2 |"] {
        assert_eq!(text.matches(row).count(), 2, "once for each backing: {text}");
    }
    assert!(text.contains(&format!("Measured with `pagemark {SMALL}`.")), "{text}");
}
