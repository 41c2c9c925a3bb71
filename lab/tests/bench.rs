//! Every workload runs, checks itself, is as big as its arithmetic says, and prints what the schema says.

mod schema;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

/// Each workload, small, but with more to allocate than its heap of 8 MB or so has room for: so cycles run in each, however
/// late the collector's thread is woken.
const SMALL: [(&str, &[&str]); 14] = [
    ("churn", &["--levels", "13", "--trees", "300", "--multiplier", "2"]),
    ("mark", &["--levels", "13", "--cycles", "3", "--shuffled"]),
    ("scatter", &["--size", "1000", "--writes", "60000", "--threads", "2"]),
    ("binary-trees", &["--depth", "11", "--threads", "2"]),
    ("gcold", &["--size", "64", "--levels", "10", "--steps", "60", "--ratio", "7", "--threads", "2"]),
    ("graph", &["--size", "10000", "--mutations", "120000", "--threads", "3"]),
    ("arrays", &["--arrays", "3", "--size", "20000", "--steps", "2000", "--threads", "2"]),
    ("splay", &["--size", "200", "--requests", "2500", "--threads", "2"]),
    ("lru", &["--size", "4000", "--requests", "15000", "--threads", "2"]),
    ("queue", &["--size", "10000", "--requests", "4000", "--threads", "2"]),
    ("pusher", &["--window", "2000", "--pushes", "15000", "--threads", "2"]),
    (
        "sweep",
        &["--size", "5000", "--queue", "3000", "--rate", "40", "--seconds", "1", "--prune", "1", "--threads", "2"],
    ),
    ("mt-gcbench", &["--depth", "10", "--numbers", "5000", "--threads", "2"]),
    ("quads", &["--depth", "7", "--factor", "600"]),
];

fn bench(workload: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
    command.args(["bench", workload]).args(arguments).env_remove("PAGEMARK_GC");
    command.output().expect("the tool starts")
}

fn result(workload: &str, arguments: &[&str], gc: &str) -> Value {
    let output = bench(workload, &[arguments, &["--gc", gc]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{workload} with {gc}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{workload}: {error}: {errors}"))
}

/// Quantiles and totals are documented once.
fn folded(path: &str) -> String {
    const QUANTILES: [&str; 5] = ["count", "p50_ms", "p99_ms", "p999_ms", "max_ms"];
    const TOTALS: [&str; 3] = ["count", "total_ms", "max_ms"];
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let is_quantiles =
        ["steps", "one_tree", "control", "open_loop", "pauses"].contains(&parent) || parent.starts_with("latency.");
    if parent.starts_with("gc") {
        "gc".to_string()
    } else if is_quantiles && QUANTILES.contains(&key) || parent.starts_with("stalls.") && TOTALS.contains(&key) {
        parent.to_string()
    } else {
        path.to_string()
    }
}

/// How many steps or pauses are in the buckets of their distribution; `None` if there are no such buckets, or they are not in order.
fn distributed(result: &Value, what: &str) -> Option<u64> {
    let buckets = result[format!("{what}_distribution")].as_array()?;
    let uppers: Vec<f64> = buckets.iter().map(|bucket| bucket[0].as_f64()).collect::<Option<_>>()?;
    uppers.is_sorted_by(|a, b| a < b).then(|| buckets.iter().map(|bucket| bucket[1].as_u64()).sum())?
}

#[test]
fn every_workload_checks_itself_and_lives_as_its_arithmetic_says_under_verification() {
    let schema = schema::documented(include_str!("../../docs/benchmarks-format.md"));
    // Named by the workload's table, not by the schema.
    let own = |path: &str| path == "parameters";
    let mut seen = BTreeSet::new();
    for (workload, arguments) in SMALL {
        let result = result(workload, arguments, "verify=all,poison,zeal=alloc:60");
        assert_eq!(result["workload"], workload);
        assert!(result["gc"]["cycles"].as_u64() > Some(0), "{workload}: no cycle ran in it");
        assert!(result["steps"]["count"].as_u64() > Some(0), "{workload}");
        assert_eq!(result["heap"]["live_bytes"], result["heap"]["live_marked_bytes"], "{workload}");
        for what in ["steps", "pauses"] {
            assert_eq!(distributed(&result, what), result[what]["count"].as_u64(), "{workload}: {what}");
        }
        // Only the sum is exact: a run as short as this may have no tick of user time.
        assert!(result["cpu"]["total_s"].as_f64() > Some(0.0), "{workload}");
        let numbers = arguments.windows(2).filter(|pair| pair[0].starts_with("--") && !pair[1].starts_with("--"));
        for pair in numbers.filter(|pair| !["--threads", "--multiplier"].contains(&pair[0])) {
            let name = pair[0].trim_start_matches("--");
            assert_eq!(result["parameters"][name].to_string(), pair[1], "{workload}: {name}");
        }
        let mut keys = BTreeSet::new();
        schema::paths(&result, "", &own, &mut keys);
        for key in keys.iter().map(|key| folded(key)) {
            assert!(schema.contains(&key), "{workload} prints {key}, which docs/benchmarks-format.md does not have");
            seen.insert(key);
        }
    }
    let never: Vec<_> = schema.difference(&seen).collect();
    assert!(never.is_empty(), "docs/benchmarks-format.md has keys that no workload prints: {never:?}");
}

/// Only here does it matter that a workload uses the store function.
#[test]
fn every_workload_marks_the_cards_of_what_it_writes() {
    for (workload, arguments) in SMALL {
        result(workload, arguments, "mechanism=cards,verify=all,zeal=alloc:60");
    }
}

/// What a run ends with may depend neither on when memory ran out nor on who found what is dead.
#[test]
fn the_check_is_the_same_whatever_the_collector_did() {
    for (workload, arguments) in SMALL.map(|(workload, arguments)| (workload, alone(arguments))) {
        let check = |gc: &str| {
            let result = result(workload, &arguments, gc);
            let check = result["check"].as_str().expect("a number as text");
            check.parse::<u64>().expect("a number of 64 bits")
        };
        let undisturbed = check("mechanism=stop,limit=1G");
        assert_ne!(undisturbed, 0, "{workload}");
        assert_eq!(check("zeal=alloc:60"), undisturbed, "{workload} in a small heap");
    }
}

/// The same for one thread.
fn alone(arguments: &[&'static str]) -> Vec<&'static str> {
    match arguments.iter().position(|argument| *argument == "--threads") {
        Some(at) => [&arguments[..at], &arguments[at + 2..]].concat(),
        None => arguments.to_vec(),
    }
}

#[test]
fn every_mechanism_serves_the_worst_case_with_several_threads() {
    for mechanism in ["async", "sync", "sigbus", "mprotect", "stop"] {
        let gc = format!("mechanism={mechanism},verify=all,zeal=alloc:60");
        result("scatter", &["--size", "500", "--writes", "8000", "--threads", "3"], &gc);
    }
}

#[test]
fn a_heap_that_is_too_small_is_an_error_and_nobody_waits_for_the_thread_that_failed() {
    let output = bench("queue", &["--size", "400000", "--threads", "3", "--gc", "limit=8M"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(errors.contains("out of memory"), "{errors}");
}

#[test]
fn the_limit_is_the_multiple_of_what_lives_unless_somebody_says_otherwise() {
    let limit = |arguments: &[&str], gc: &str| {
        let small = ["--size", "40000", "--requests", "1"];
        let result = result("queue", &[small.as_slice(), arguments].concat(), gc);
        let live = result["heap"]["live_peak_bytes"].as_f64().expect("a number");
        result["heap"]["limit_bytes"].as_f64().expect("a number") / live
    };
    assert!((limit(&["--multiplier", "4"], "") - 4.0).abs() < 0.001);
    assert!((limit(&["--multiplier", "4"], "limit=100M") - 4.0).abs() < 0.001);
    let own = limit(&[], "limit=96M");
    assert!((own * 40_000.0 * 96.0 / f64::from(96 << 20) - 1.0).abs() < 0.01, "{own}");
}

/// Every workload, with memory enough: what is left of a run when nothing is collected is the baseline of overheads.
#[test]
fn under_none_nothing_is_collected_and_the_limit_is_not_a_multiple_of_what_lives() {
    for (workload, arguments) in SMALL {
        let result = result(workload, arguments, "mechanism=none");
        assert_eq!(result["heap"]["limit_bytes"], Value::Null, "{workload}: the limit is the machine's");
        // But where cycles are what the workload does.
        if workload != "mark" {
            assert_eq!(
                (&result["gc"]["cycles"], &result["gc"]["pause_us"]["count"]),
                (&0.into(), &0.into()),
                "{workload}"
            );
        }
    }
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (["churn", "--threads", "2"], "--threads"),
        (["scatter", "--size", "1"], "64..=16777216"),
        (["scatter", "--multiplier", "1"], "1.05"),
        (["quads", "--gc", "growht=2"], "did you mean `growth`"),
    ] {
        let output = bench(arguments[0], &arguments[1..]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(reason), "{arguments:?}: {errors}");
    }
}
