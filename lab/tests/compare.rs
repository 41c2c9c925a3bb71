//! A comparison believes nobody, lists who is missing, survives Ctrl-C, and writes what its schema says.
//!
//! The peers here are shell scripts that do no work: they know the right answer from the test, or give a wrong one.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The least there is to do: one step of 64 writes.
const SMALL: [&str; 4] = ["--set", "size=64", "--set", "writes=64"];

/// A peer that writes one step that ended after 4096 ns. `CHECK` is what it shall say.
const PEER: &str = r#"#!/bin/sh
case $1 in
list)
    for name in honest terse liar boaster lazy poor endless; do
        printf '{"name":"%s","version":"1.0","installed":true,"how":null,"workloads":["scatter"]}\n' "$name"
    done
    echo '{"name":"absent","version":null,"installed":false,"how":"apt-get install absent","workloads":["scatter"]}'
    ;;
build) : ;;
run)
    name=$2 check=CHECK each='[1.5,3]'
    while [ "$1" != --steps ]; do shift; done
    printf '\001\000\000\000\000\000\000\000\000\020\000\000\000\000\000\000' >"$2"
    case $name in
    liar) check=12345 ;;
    terse) each=null ;;
    boaster) each='[1.5]' ;;
    lazy) printf '\000\000\000\000\000\000\000\000' >"$2" ;;
    poor) echo "no memory for an object" >&2; exit 2 ;;
    endless) echo $$ >"$0.pid"; exec sleep 1000 ;;
    esac
    printf '{"peer":"%s","version":"1.0","workload":"scatter","setup_s":0.001,"elapsed_s":0.002,' "$name"
    printf '"check":"%s","cpu_user_s":0.001,"cpu_kernel_s":0.0,"pauses":{"count":2,"p50_ms":1.5,"p99_ms":3,"max_ms":3,"each_ms":%s}}\n' "$check" "$each"
    ;;
esac
"#;

/// A directory of a test, which goes away with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("compare-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("peers/fake")).expect("a directory");
        Place(path)
    }

    /// With peers that know the right answer.
    fn with_peers(name: &str) -> Place {
        let bench = ["bench", "scatter", "--size", "64", "--writes", "64", "--garbage", "256"];
        let output = Command::new(env!("CARGO_BIN_EXE_pagemark")).args(bench).output().expect("the tool starts");
        let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
        let check = result["check"].as_str().expect("text");
        let place = Place::new(name);
        let program = place.peer();
        std::fs::write(&program, PEER.replace("CHECK", check)).expect("a file");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        place
    }

    fn peer(&self) -> PathBuf {
        self.0.join("peers/fake/peer")
    }

    fn out(&self) -> PathBuf {
        self.0.join("results.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
        command.args(["compare", "scatter", "--quick", "--no-barriers", "--peers"]).arg(self.0.join("peers"));
        command.arg("--out").arg(self.out()).args(SMALL).args(arguments).env_remove("PAGEMARK_GC");
        command
    }

    fn results(&self) -> Value {
        results(&self.out())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn results(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("there is a file")).expect("it is JSON")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list")
}

/// The error of each run of a contestant, `None` for those that are right.
fn errors(results: &Value, contestant: &str) -> Vec<Option<String>> {
    let runs = list(results, "runs").iter().filter(|run| run["contestant"] == contestant && run["purpose"] == "main");
    runs.map(|run| {
        assert_eq!(run["ok"].as_bool(), Some(run["error"].is_null()));
        run["error"].as_str().map(String::from)
    })
    .collect()
}

#[test]
fn who_does_other_work_or_none_is_a_failure_and_who_is_missing_is_listed() {
    let place = Place::with_peers("failures");
    // In the order that the seed gives these, ours is before those who did other work: an earlier run is only known to be wrong later, and tried once more.
    let only = "async,honest,liar,boaster,lazy,poor,endless,absent";
    let output = place.command(&["--repeat", "3", "--only", only, "--time-limit", "5", "--no-timeline"]).output();
    let output = output.expect("the tool starts");
    assert!(output.status.success(), "ours is right: {}", text(&output));
    let results = place.results();
    assert_eq!(results["complete"], true);
    assert_eq!(errors(&results, "async"), vec![None; 3]);
    assert_eq!(errors(&results, "honest"), vec![None; 3]);
    // What fails twice, or does not end once, is not tried again.
    for (name, times, why) in [
        ("liar", 2, "wrong check"),
        ("boaster", 2, "2 pauses and lists 1"),
        ("lazy", 2, "0 steps"),
        ("poor", 2, "status 2: no memory for an object"),
        ("endless", 1, "did not end within 5 s"),
    ] {
        let errors = errors(&results, name);
        assert_eq!(errors.len(), times, "{name}: {errors:?}");
        for error in errors {
            assert!(error.as_ref().is_some_and(|error| error.contains(why)), "{name}: {error:?}");
        }
        let left_out = list(&results, "left_out");
        assert!(left_out.iter().any(|text| text.as_str().is_some_and(|text| text.contains(name))), "{left_out:?}");
    }
    let absent = list(&results, "contestants").iter().find(|contestant| contestant["name"] == "absent");
    let absent = absent.expect("it is listed");
    assert_eq!((&absent["installed"], &absent["how"]), (&false.into(), &"apt-get install absent".into()));
    assert!(errors(&results, "absent").is_empty());
    assert!(text(&output).contains("not installed: absent: apt-get install absent"), "{}", text(&output));
    // What a peer did is computed from its steps.
    let honest = list(&results, "runs").iter().find(|run| run["contestant"] == "honest").expect("it ran");
    assert_eq!(
        (&honest["measured"]["steps"]["count"], &honest["measured"]["steps"]["max_ms"]),
        (&1.into(), &0.004.into())
    );
    // And from the list of its pauses, which is kept nowhere.
    assert_eq!(honest["measured"]["pauses_distribution"], json!([[1.585, 1], [3.162, 1]]));
    assert!(!results.to_string().contains("each_ms"));
    for run in list(&results, "runs").iter().filter(|run| run["ok"] == true) {
        let pauses = list(&run["measured"], "pauses_distribution").iter();
        let counts: Option<u64> = pauses.map(|bucket| bucket[1].as_u64()).sum();
        assert_eq!(counts, run["measured"]["pauses"]["count"].as_u64(), "{}", run["contestant"]);
    }
}

#[test]
fn ctrl_c_ends_what_runs_and_leaves_a_whole_file_that_says_so() {
    let place = Place::with_peers("interrupted");
    let mut command = place.command(&["--repeat", "3", "--only", "async,endless", "--no-timeline"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the tool starts");
    let note = place.peer().with_extension("pid");
    let start = Instant::now();
    let endless = loop {
        let noted = std::fs::read_to_string(&note).unwrap_or_default();
        if let Ok(pid) = noted.trim().parse::<u32>() {
            break pid;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the peer was never started");
        std::thread::sleep(Duration::from_millis(5));
    };
    // SAFETY: sends a signal to a child of ours that nobody has waited for.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) }, 0);
    let output = child.wait_with_output().expect("it ends");
    assert!(!output.status.success() && text(&output).contains("interrupted"), "{}", text(&output));
    let results = place.results();
    assert_eq!((&results["complete"], &results["finished"]), (&false.into(), &Value::Null));
    assert!(errors(&results, "endless").is_empty(), "an interrupted run is none");
    assert!(!Path::new(&format!("/proc/{endless}")).exists(), "what it ran was ended, too");
}

#[test]
fn a_quick_look_at_one_workload_needs_no_peers() {
    let place = Place::new("alone");
    let output = place.command(&["--repeat", "1"]).output().expect("the tool starts");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("there are no peers in"), "{}", text(&output));
    let results = place.results();
    for contestant in list(&results, "contestants") {
        let name = contestant["name"].as_str().expect("a name");
        let runs = errors(&results, name);
        let expected = usize::from(contestant["installed"] == true);
        assert_eq!(runs, vec![None; expected], "{name}: {}", contestant["how"]);
    }
    assert!(errors(&results, "stop").len() == 1, "stopping works everywhere");
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let place = Place::new("refused");
    for (arguments, reason) in [
        (["--only", "asink"], "there is no contestant asink"),
        (["--set", "sice=9"], "no workload that is run has a parameter sice"),
        (["--set", "writes=0"], "allowed is 1 to"),
        (["--curves", "lru"], "lru is not among the workloads"),
        (["--minutes", "1"], "cannot be used with"),
    ] {
        let output = place.command(&arguments).output().expect("the tool starts");
        assert!(!output.status.success() && text(&output).contains(reason), "{arguments:?}: {}", text(&output));
    }
    // Before anything was measured in vain.
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
    let output = command.args(["compare", "scatter", "--quick", "--out", "/nowhere/at/all"]).output();
    let output = output.expect("the tool starts");
    assert!(!output.status.success() && text(&output).contains("/nowhere/at/all: No such file"), "{}", text(&output));
}

/// A list of paths: `runs[].measured.cpu.total_s`. What a program itself printed has a schema of its own.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    const OPAQUE: [&str; 3] = ["runs[].result", "barriers", "timeline.trace.traceEvents"];
    match value {
        _ if OPAQUE.contains(&path) => {
            found.insert(path.to_string());
        }
        Value::Object(map) => {
            let dot = if path.is_empty() { "" } else { "." };
            map.iter().for_each(|(key, value)| paths(value, &format!("{path}{dot}{key}"), found));
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, &format!("{path}[]"), found)),
        _ => {
            found.insert(path.to_string());
        }
    }
}

/// Quantiles and totals are documented once. What is `null` as a whole is known by its parts in other runs.
fn folded(path: &str) -> String {
    const STATISTICS: [&str; 6] = ["count", "p50_ms", "p99_ms", "p999_ms", "max_ms", "total_ms"];
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let of = parent.strip_prefix("runs[].measured.").unwrap_or("");
    let is_folded = ["steps", "control", "pauses"].contains(&of)
        || ["stalls.", "latency."].iter().any(|start| of.starts_with(start));
    if is_folded && STATISTICS.contains(&key) { parent.to_string() } else { path.to_string() }
}

#[test]
fn a_file_has_what_its_schema_says_and_the_schema_what_a_file_has() {
    let document = include_str!("../../docs/results-format.md");
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_string());
    let schema: BTreeSet<String> = document.lines().filter_map(first).collect();

    let place = Place::with_peers("schema");
    let requests = Place::new("requests");
    // One with peers and failures, one whose steps are requests and which has cycles for a timeline.
    let peers = place.command(&["--repeat", "2", "--only", "stop,honest,terse,liar", "--no-timeline"]).output();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
    command.args(["compare", "queue", "--quick", "--no-barriers", "--repeat", "1", "--only", "async"]);
    command.args(["--set", "size=20000", "--set", "requests=6000", "--peers", "/nowhere", "--out"]);
    let alone = command.arg(requests.out()).env_remove("PAGEMARK_GC").output();
    let mut seen = BTreeSet::new();
    let mut without_timeline = false;
    for (output, place) in [(peers, &place), (alone, &requests)] {
        let output = output.expect("the tool starts");
        assert!(output.status.success(), "{}", text(&output));
        let results = place.results();
        assert!(results["left_out"].is_array(), "it may be empty");
        let why = |text: &Value| text.as_str().is_some_and(|text| text.starts_with("timeline: "));
        without_timeline |= list(&results, "left_out").iter().any(why);
        for run in list(&results, "runs").iter().filter(|run| run["ok"] == true) {
            // Who tells of quantiles alone is one of them.
            let unknown = run["measured"]["pauses_distribution"].is_null();
            assert_eq!(unknown, run["contestant"] == "terse", "{}", run["contestant"]);
        }
        paths(&results, "", &mut seen);
    }
    let seen: BTreeSet<String> = seen.iter().map(|path| folded(path)).collect();
    // Groups that are null as a whole for some.
    let groups =
        ["runs[].measured", "runs[].process", "runs[].measured.mmu.safepoints", "runs[].measured.pauses_distribution"];
    let is_group = |path: &str| groups.contains(&path);
    let unknown: Vec<_> = seen.difference(&schema).filter(|path| !is_group(path)).collect();
    assert!(unknown.is_empty(), "docs/results-format.md does not have {unknown:?}");
    // Where no concurrent cycle can be traced the file says so, and has no timeline.
    let excused = |path: &str| without_timeline && path.starts_with("timeline.");
    let never: Vec<_> = schema.difference(&seen).filter(|path| !excused(path) && !is_group(path)).collect();
    assert!(never.is_empty(), "docs/results-format.md has what no file has: {never:?}");
}
