//! `bench --profile` writes what `pprof` reads, and the places and sizes in it are those of the workload.

#[path = "../src/bench/profile/pprof.rs"]
mod pprof;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message;
use serde_json::Value;

/// A file of the test's own, gone at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Temporary(std::env::temp_dir().join(format!("pagemark-profile-{}-{number}.pb.gz", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a workload; its result and its profile.
fn profiled(workload: &str, arguments: &[&str]) -> (Value, pprof::Profile) {
    let file = Temporary::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
    command.args(["bench", workload]).args(arguments).arg("--profile").arg(&file.0).env_remove("PAGEMARK_GC");
    let output = command.output().expect("the tool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bytes = Vec::new();
    let packed = File::open(&file.0).expect("the profile is there");
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("it is compressed by gzip");
    let profile = pprof::Profile::decode(&*bytes).expect("it is a profile");
    (serde_json::from_slice(&output.stdout).expect("a result"), profile)
}

/// Bytes by the innermost function, and by every function in a stack.
fn by_function(profile: &pprof::Profile) -> (HashMap<String, i64>, HashMap<String, i64>) {
    let text = |number: i64| profile.string_table[number as usize].clone();
    let function: HashMap<u64, String> = profile.function.iter().map(|f| (f.id, text(f.name))).collect();
    let location: HashMap<u64, &String> =
        profile.location.iter().map(|location| (location.id, &function[&location.line[0].function_id])).collect();
    let (mut own, mut all) = (HashMap::new(), HashMap::new());
    for sample in &profile.sample {
        let mut names: Vec<&String> = sample.location_id.iter().map(|id| location[id]).collect();
        *own.entry(names[0].clone()).or_insert(0) += sample.value[1];
        names.sort();
        names.dedup();
        names.into_iter().for_each(|name| *all.entry(name.clone()).or_insert(0) += sample.value[1]);
    }
    (own, all)
}

#[test]
fn a_profile_is_what_the_format_asks_for() {
    let (_, profile) = profiled("churn", &["--levels", "13", "--trees", "300", "--profile-every", "4096"]);
    let text = |number: i64| profile.string_table[number as usize].as_str();
    let types: Vec<_> = profile.sample_type.iter().map(|t| (text(t.kind), text(t.unit))).collect();
    assert_eq!(types, [("alloc_objects", "count"), ("alloc_space", "bytes")]);
    let period = profile.period_type.as_ref().map(|t| (text(t.kind), text(t.unit)));
    assert_eq!((period, profile.period), (Some(("space", "bytes")), 4096));
    assert_eq!((text(profile.default_sample_type), text(0)), ("alloc_space", ""));
    assert!(profile.time_nanos > 0 && profile.duration_nanos > 0);
    let ids = |ids: Vec<u64>| assert!(ids.iter().zip(1..).all(|(id, expected)| *id == expected), "{ids:?}");
    ids(profile.mapping.iter().map(|mapping| mapping.id).collect());
    ids(profile.function.iter().map(|function| function.id).collect());
    ids(profile.location.iter().map(|location| location.id).collect());
    for location in &profile.location {
        assert_eq!((location.mapping_id, location.line.len()), (1, 1));
        assert!((1..=profile.function.len() as u64).contains(&location.line[0].function_id));
    }
    assert!(!profile.sample.is_empty());
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), 2);
        assert!(sample.value.iter().all(|value| *value > 0), "{sample:?}");
        assert!(!sample.location_id.is_empty());
        assert!(sample.location_id.iter().all(|id| (1..=profile.location.len() as u64).contains(id)));
    }
}

#[test]
fn the_sums_are_what_was_allocated_and_the_place_is_where_the_program_allocates() {
    for (workload, arguments, place) in [
        ("churn", ["--levels", "15", "--trees", "2000"].as_slice(), "trees::build"),
        ("pusher", ["--window", "2000", "--pushes", "60000", "--threads", "2"].as_slice(), "pusher::"),
    ] {
        let (result, profile) = profiled(workload, &[arguments, &["--profile-every", "8192"]].concat());
        let space: i64 = profile.sample.iter().map(|sample| sample.value[1]).sum();
        let allocated = result["gc"]["allocated_bytes"].as_f64().expect("a number");
        // Some thousand samples are right to a few percent; the heap counts bytes of holes that are not full too.
        assert!(profile.sample.len() > 1 && allocated / 8192.0 > 5000.0, "{workload}: too little for a test");
        assert!(
            (space as f64 / allocated - 1.0).abs() < 0.1,
            "{workload}: {space} bytes in the profile of {allocated}"
        );
        let (own, all) = by_function(&profile);
        let of_place = |map: &HashMap<String, i64>| -> i64 {
            map.iter().filter(|(name, _)| name.contains(place)).map(|(_, bytes)| bytes).max().copied().unwrap_or(0)
        };
        assert!(of_place(&all) > space / 10 * 9, "{workload}: {all:?}");
        assert!(own.keys().all(|name| name.starts_with("lab::") && !name.contains("::profile::")), "{own:?}");
        assert!(own.iter().any(|(name, bytes)| name.contains(place) && *bytes > space / 2), "{workload}: {own:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_run() {
    let output = Command::new(env!("CARGO_BIN_EXE_pagemark"))
        .args(["bench", "churn", "--profile", "/nowhere/to/be/found.pb.gz"])
        .output()
        .expect("the tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(errors.contains("/nowhere/to/be/found.pb.gz") && errors.contains("No such file"), "{errors}");
}
