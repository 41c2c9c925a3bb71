//! A report says what the raw results say: every workload and contestant, medians and bounds that can be computed by hand, what is missing, and
//! nothing that is not in one file.
//!
//! The results here are made up, with round numbers, and measured nothing: they are fixtures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A directory of the test's own, which goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("pagemark-report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagemark")).arg("report").args(arguments).output().expect("the tool starts")
}

/// Makes a report of `results`; the directory has `report.html` and so on in `out`.
fn made(name: &str, results: &Value) -> (Scratch, String, String) {
    let scratch = Scratch::new(name);
    let file = scratch.file("raw.json", &results.to_string());
    let output = report(&[&file, Path::new("--out"), &scratch.0.join("out")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (html, markdown) = (scratch.read("out/report.html"), scratch.read("out/report.md"));
    (scratch, html, markdown)
}

fn quantiles(max: f64) -> Value {
    json!({ "count": 1000, "p50_ms": max / 100.0, "p99_ms": max / 10.0, "p999_ms": max / 2.0, "max_ms": max })
}

/// What a run measured that took `elapsed` seconds, of which the collector stopped `stopped`, and whose collector used `collector` of `cpu` seconds.
fn measured(elapsed: f64, stopped: f64, cpu: f64, collector: Option<f64>) -> Value {
    let worst = stopped * 100.0 + 1.0;
    let window = |ms: u64| json!({ "window_ms": ms, "utilisation": (ms < 100).then_some(0.5) });
    let windows = [1, 2, 5, 10, 20, 50, 100].map(window);
    let total = |seconds: f64| json!({ "count": 3, "total_ms": seconds * 1e3, "max_ms": seconds * 1e3 });
    json!({
        "setup_s": 0.5, "elapsed_s": elapsed, "check": "17", "steps": quantiles(worst), "steps_per_s": 1000.0 / elapsed,
        "cpu": {
            "total_s": cpu, "user_s": cpu * 0.75, "kernel_s": cpu * 0.25,
            "mutator_s": collector.map(|collector| cpu - collector), "mutator_kernel_s": null,
            "collector_s": collector, "collector_kernel_s": null,
        },
        "stalls": {
            "seen": total(stopped + 0.25),
            "safepoints": collector.map(|_| total(stopped * 0.75)), "waits": collector.map(|_| total(stopped * 0.25)),
        },
        "mmu": {
            "seen": windows,
            "safepoints": null,
        },
        "latency": null, "memory": { "peak_bytes": 64 << 20, "mean_bytes": 32 << 20 },
        "steps_distribution": [[0.01, 900], [0.1, 90], [1.0, 9], [worst, 1]],
        "pauses_distribution": collector.map(|_| json!([[0.25, 4], [0.5, 2], [1.0, 1]])),
        "pauses": collector.map(|_| json!({ "count": 7, "p50_ms": 0.25, "p99_ms": 0.5, "max_ms": 0.75 })),
        "control": quantiles(3.0),
    })
}

fn run(workload: &str, contestant: &str, multiplier: f64, purpose: &str, measured: Value) -> Value {
    json!({
        "workload": workload, "contestant": contestant, "multiplier": multiplier, "limit_bytes": 1 << 26, "purpose": purpose, "round": 0,
        "command": format!("again {workload} {contestant} {multiplier}"), "ok": true, "error": null, "measured": measured,
        "result": { "threads": 1, "parameters": { "size": 5 } },
    })
}

fn contestant(name: &str, kind: &str, family: &str) -> Value {
    json!({ "name": name, "kind": kind, "family": family, "version": "1.5", "installed": true, "how": null, "workloads": ["churn"] })
}

/// Results of two workloads, with three runs of each of `async`, `none`, and a peer.
fn fixture() -> Value {
    let mut runs = Vec::new();
    for workload in ["churn", "lru"] {
        for more in [0.0, 1.0, 0.5] {
            // Left when what the collector took is subtracted: 8 of wall time, 6 of processor time.
            runs.push(run(workload, "async", 2.0, "main", measured(10.0 + more, 2.0, 12.0 + more, Some(6.0))));
            let mut none = measured(9.0 + more, 0.0, 9.0 + more, Some(0.0));
            none["pauses"] = json!({ "count": 0, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0 });
            none["pauses_distribution"] = json!([]);
            runs.push(run(workload, "none", 2.0, "main", none));
            runs.push(run(workload, "go", 2.0, "main", measured(20.0 + more, 0.5, 30.0 + more, None)));
        }
        runs.push(run(workload, "async", 4.0, "curve", measured(5.0, 1.0, 7.0, Some(2.0))));
    }
    let mut unsound = run("churn", "go", 1.5, "curve", Value::Null);
    unsound["ok"] = json!(false);
    unsound["error"] = json!("out of <memory>\nat last");
    runs.push(unsound);
    let mut missing = contestant("ocaml", "peer", "ocaml");
    missing["installed"] = json!(false);
    missing["how"] = json!("apt-get install ocaml-nox");
    json!({
        "schema": 1, "kind": "comparison", "pagemark": "0.1.0", "commit": "abc123", "command": "pagemark compare churn lru",
        "started": "2026-01-02T03:04:05Z", "finished": "2026-01-02T04:04:05Z", "complete": true,
        "machine": {
            "kernel": "6.18.1", "processor": "A Processor", "processors": 2, "memory_bytes": 8u64 << 30,
            "huge_pages": "always [madvise] never", "distribution": "Debian", "hypervisor": true,
        },
        "contestants": [
            contestant("async", "pagemark", "pagemark"), contestant("none", "pagemark", "pagemark"), contestant("go", "peer", "go"), missing,
        ],
        "runs": runs, "barriers": null, "timeline": null,
    })
}

/// The text of a table's cell in the Markdown: of the first table after `heading`, in the row and column of those names.
fn cell(markdown: &str, heading: &str, row: &str, column: &str) -> String {
    let (_, after) = markdown.split_once(&format!("# {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('|').trim().to_string()).collect()
    };
    let mut lines = after.lines().skip_while(|line| !line.starts_with('|'));
    let head = cells(lines.next().expect("a table"));
    let index = head.iter().position(|title| title == column).unwrap_or_else(|| panic!("no {column} in {head:?}"));
    let line = lines.take_while(|line| line.starts_with('|')).map(cells).find(|cells| cells[0] == row);
    line.unwrap_or_else(|| panic!("no row {row} under {heading}"))[index].clone()
}

#[test]
fn every_workload_and_contestant_is_in_it_and_numbers_are_medians_with_spreads() {
    let (scratch, html, markdown) = made("whole", &fixture());
    for text in [&html, &markdown] {
        for word in [
            "churn",
            "lru",
            "async",
            "none",
            "go",
            "ocaml",
            "apt-get install ocaml-nox",
            "A Processor",
            "6.18.1",
            "abc123",
        ] {
            assert!(text.contains(word), "{word} is missing");
        }
        for command in ["pagemark compare churn lru", "again lru go 2", "always [madvise] never"] {
            assert!(text.contains(command), "{command} is missing");
        }
    }
    assert_eq!(cell(&markdown, "churn", "async", "time, s"), "10.5 (10.0–11.0)");
    assert_eq!(cell(&markdown, "lru", "go", "CPU, s"), "30.5 (30.0–31.0)");
    assert_eq!(cell(&markdown, "churn", "go", "CPU of collector, s"), "–");
    assert_eq!(cell(&markdown, "churn", "async", "p99 pause, ms"), "0.500 (0.500–0.500)");
    assert_eq!(cell(&markdown, "churn", "none", "p99 pause, ms"), "–", "no pause is no short pause");
    assert_eq!(cell(&markdown, "churn", "async", "MMU 10 ms"), "0.500 (0.500–0.500)");
    assert_eq!(cell(&markdown, "churn", "async", "peak memory, MB"), "64.0 (64.0–64.0)");
    assert!(html.contains("<td>10.5<small>10.0–11.0</small></td>"));
    assert_eq!(scratch.read("out/results.json"), fixture().to_string());
}

#[test]
fn failures_are_told_with_their_text_and_counted_in_nothing() {
    let (_, html, markdown) = made("failures", &fixture());
    assert!(markdown.contains("`churn`, `go` at 1.5×: `out of <memory> at last`"), "{markdown}");
    assert!(html.contains("out of &lt;memory&gt; at last") && !html.contains("<memory>"));
    assert!(markdown.contains("Did not run: `go` at 1.5×"));
}

#[test]
fn lower_bounds_are_over_the_least_that_any_of_ours_leaves() {
    let (_, _, markdown) = made("bounds", &fixture());
    let heading = "churn: lower bounds of the overhead";
    // Wall: 5 − 1 = 4 of `async` with a larger heap is the least. Processor: 7 − 2 = 5, also there.
    assert!(
        markdown.contains("Baselines: 4.00 s, from `async 4×` of wall time, 5.00 s, from `async 4×` of processor time")
    );
    assert_eq!(cell(&markdown, heading, "async", "wall time"), "×2.62");
    assert_eq!(cell(&markdown, heading, "async", "processor time"), "×2.50");
    assert_eq!(cell(&markdown, heading, "none", "wall time"), "×2.38");
    assert_eq!(cell(&markdown, heading, "none", "processor time"), "×1.90");
    // Without that heap: 10.5 − 2 = 8.5 of `async`, and 12.5 − 6 = 6.5.
    let mut without = fixture();
    without["runs"].as_array_mut().expect("runs").retain(|run| run["multiplier"] == 2.0);
    let (_, _, markdown) = made("bounds-without", &without);
    assert!(markdown.contains("Baselines: 8.50 s, from `async` of wall time, 6.50 s, from `async` of processor time"));
    assert_eq!(cell(&markdown, heading, "none", "processor time"), "×1.46");
}

#[test]
fn the_page_is_one_file_with_a_picture_for_each_thing() {
    let (_, html, _) = made("self-contained", &fixture());
    for load in ["src=", "http://", "https://", "url(", "@import", "<script", "<link", "@font-face"] {
        assert!(!html.contains(load), "{load} is in the page");
    }
    assert!(html.contains("prefers-color-scheme: dark"));
    for about in [
        "steps a second against",
        "distribution of steps",
        "distribution of pauses",
        "pauses and stalls",
        "utilisation by window",
        "time, s by size",
        "lower bounds",
    ] {
        assert!(
            html.contains(&format!("aria-label=\"churn: {about}")) || html.contains(about),
            "no picture of {about}"
        );
    }
    assert!(html.matches("<svg").count() == html.matches("</svg>").count());
    assert!(!html.contains("#01"), "a colour that stands for an ink is left");
    for name in ["async", "none", "go"] {
        assert!(html.contains(&format!("{name}</text>")), "{name} is not in the pictures");
    }
}

#[test]
fn the_picture_of_pauses_has_those_who_tell_of_each_and_had_some() {
    let (_, html, markdown) = made("pauses", &fixture());
    let (_, part) = html.split_once("churn: how long pauses last").expect("it has a part");
    let (part, _) = part.split_once("churn: pauses and stalls").expect("another one follows");
    assert!(part.contains("aria-label=\"churn: distribution of pauses"));
    let legend = |name: &str| part.contains(&format!("{name}</span>"));
    assert!(legend("async"), "{part}");
    assert!(!legend("none") && !legend("go"), "one had no pause, the other does not tell");
    assert!(markdown.contains("churn: how long pauses last"));
}

#[test]
fn what_is_missing_is_said_and_nothing_breaks() {
    let mut results = fixture();
    results["complete"] = json!(false);
    results["finished"] = Value::Null;
    results["machine"] = json!({});
    for run in results["runs"].as_array_mut().expect("runs") {
        if let Value::Object(measured) = &mut run["measured"] {
            for key in ["latency", "pauses", "control", "steps_distribution", "pauses_distribution"] {
                measured.remove(key);
            }
            measured["mmu"]["seen"] = json!([]);
            measured["cpu"] = json!({ "total_s": null });
            measured["memory"] = json!({});
        }
    }
    let (_, html, markdown) = made("missing", &results);
    for sentence in [
        "was interrupted",
        "no distribution of steps",
        "no distribution of pauses",
        "no utilisation",
        "no trace of a cycle",
        "no costs of the barriers",
        "Kernel: unknown",
    ] {
        assert!(html.contains(sentence) && markdown.contains(sentence), "nobody says: {sentence}");
    }
    results["runs"] = json!([]);
    results["contestants"] = json!([]);
    let (_, html, _) = made("nothing", &results);
    assert!(html.contains("No mechanism of pagemark is in these results"));
}

#[test]
fn requests_barriers_and_a_cycle_are_shown_where_they_were_measured() {
    let mut results = fixture();
    for run in results["runs"].as_array_mut().expect("runs") {
        if run["workload"] == "lru" {
            run["measured"]["latency"] = json!({ "simple": quantiles(4.0), "metered_100_ms": quantiles(40.0), "metered_full": quantiles(400.0) });
        }
    }
    results["timeline"] = json!({ "workload": "churn", "command": "again the trace", "cycle": 3, "trace": { "traceEvents": [
        { "ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": { "name": "the collector" } },
        { "ph": "B", "name": "mark", "pid": 1, "tid": 1, "ts": 1000.0 },
        { "ph": "E", "name": "mark", "pid": 1, "tid": 1, "ts": 4000.0 },
    ] } });
    let spread = |median: f64| json!({ "median": median, "q1": median - 1.0, "q3": median + 1.0, "min": 1.0 });
    let row = |threads: u64, bare: Value| {
        json!({
            "mechanism": "async", "backing": "anon", "threads": threads, "what": "first-write", "ours_ns": spread(600.0), "bare_ns": bare,
            "ratio": 1.2, "ours_cpu_ns": spread(610.0), "bare_cpu_ns": null, "bare": "a write",
        })
    };
    results["barriers"] = json!({
        "schema": 1, "kind": "barriers", "pagemark": "0.1.0", "command": "again the barriers", "pages": 100, "rounds": 5,
        "rows": [row(1, spread(500.0)), row(2, Value::Null)], "controls": [],
        "unavailable": [{ "mechanism": "sync", "backing": "shmem", "why": "the kernel refused" }],
    });
    let (_, html, markdown) = made("everything", &results);
    assert_eq!(cell(&markdown, "lru: latency", "async", "metered, 100 ms worst, ms"), "40.0 (40.0–40.0)");
    assert_eq!(cell(&markdown, "lru: latency", "async", "metered p99, ms"), "40.0 (40.0–40.0)");
    assert_eq!(cell(&markdown, "One cycle", "the collector: mark", "together, ms"), "3.00");
    let heading = "Cost of a page dirtied: the first write to an armed page";
    assert_eq!(cell(&markdown, heading, "async, anon", "wall time, 1 thread"), "600 (599–601; bare 500, ×1.20)");
    assert_eq!(cell(&markdown, heading, "async, anon", "wall time, 2 threads"), "600 (599–601; no bare one)");
    for said in ["the kernel refused", "again the barriers", "again the trace"] {
        assert!(html.contains(said) && markdown.contains(said), "{said}");
    }
}

/// The fixture with the elapsed times of a contestant multiplied.
fn slower(contestant: &str, factor: f64) -> Value {
    let mut results = fixture();
    for run in results["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| run["contestant"] == contestant) {
        if let Some(elapsed) = run["measured"]["elapsed_s"].as_f64() {
            run["measured"]["elapsed_s"] = json!(elapsed * factor);
        }
    }
    results
}

fn against(name: &str, new: &Value, old: &Value, more: &[&str]) -> (Scratch, Output) {
    let scratch = Scratch::new(name);
    let (new, old) = (scratch.file("new.json", &new.to_string()), scratch.file("old.json", &old.to_string()));
    let out = scratch.0.join("out");
    let mut arguments = vec![new.as_path(), Path::new("--out"), &out, Path::new("--against"), &old];
    arguments.extend(more.iter().map(Path::new));
    let output = report(&arguments);
    (scratch, output)
}

#[test]
fn a_change_is_one_where_spreads_do_not_touch_and_noise_where_they_do() {
    let (scratch, output) = against("changes", &slower("async", 2.0), &fixture(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let markdown = scratch.read("out/report.md");
    let heading = "What changed since 2026-01-02T03:04:05Z";
    let of = |row: &str, column: &str| cell(&markdown, heading, row, column);
    assert!(of("churn, async", "time").starts_with("×2.00 more ("), "{}", of("churn, async", "time"));
    assert!(of("churn, go", "time").starts_with("×1.00 noise ("));
    assert!(of("churn, async", "processor time").starts_with("×1.00 noise ("));
    assert_eq!(of("lru, async", "runs: new, old"), "3, 3");
    assert!(markdown.contains("That was so 2 times"), "{markdown}");
    // Two of six ratios are 2: their geometric mean is the third root.
    assert!(markdown.contains("time ×1.26"), "{markdown}");
    let less = slower("async", 0.5);
    let (scratch, _) = against("less", &less, &fixture(), &[]);
    let markdown = scratch.read("out/report.md");
    assert!(cell(&markdown, heading, "churn, async", "time").starts_with("×0.500 less ("));
}

#[test]
fn two_runs_show_nothing_and_other_parameters_are_not_compared() {
    let few = |mut results: Value| {
        let mut seen = std::collections::HashMap::new();
        results["runs"].as_array_mut().expect("runs").retain(|run| {
            let count = seen.entry((run["workload"].to_string(), run["contestant"].to_string())).or_insert(0);
            *count += 1;
            *count <= 2
        });
        results
    };
    let heading = "What changed since 2026-01-02T03:04:05Z";
    let (scratch, _) = against("few", &few(slower("async", 9.0)), &fixture(), &[]);
    let markdown = scratch.read("out/report.md");
    assert!(cell(&markdown, heading, "churn, async", "time").contains("too few runs"));
    let mut other = fixture();
    for run in other["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| run["workload"] == "lru") {
        run["result"]["parameters"]["size"] = json!(6);
    }
    let (scratch, _) = against("parameters", &fixture(), &other, &[]);
    let markdown = scratch.read("out/report.md");
    assert!(markdown.contains("`lru` was not compared: its parameters are"), "{markdown}");
    assert!(!markdown.contains("| lru, async |") && markdown.contains("| churn, async |"));
}

/// The peers of [`crowd`] beside `go`.
const MORE_PEERS: [&str; 5] = ["g1", "libgc", "malloc", "mimalloc", "zgc"];

/// The fixture with six peers, in rounds.
fn crowd() -> Value {
    let mut results = fixture();
    for (index, name) in MORE_PEERS.into_iter().enumerate() {
        results["contestants"].as_array_mut().expect("contestants").push(contestant(name, "peer", "others"));
        let runs = results["runs"].as_array_mut().expect("runs");
        for workload in ["churn", "lru"] {
            for more in [0.0, 0.75, 0.25] {
                let elapsed = 5.0 + index as f64 + more;
                runs.push(run(workload, name, 2.0, "main", measured(elapsed, 0.5, elapsed, None)));
            }
        }
    }
    let mut seen = std::collections::HashMap::new();
    for run in results["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| run["purpose"] == "main") {
        let round = seen.entry((run["workload"].to_string(), run["contestant"].to_string())).or_insert(0);
        run["round"] = json!(*round);
        *round += 1;
    }
    results
}

/// Multiplies all that has time in it, of the runs that are meant.
fn stretch(results: &mut Value, factor: f64, meant: impl Fn(&Value) -> bool) {
    for run in results["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| meant(run)) {
        for pointer in ["/measured/elapsed_s", "/measured/cpu/total_s", "/measured/steps/max_ms"] {
            if let Some(value) = run.pointer_mut(pointer) {
                *value = json!(value.as_f64().expect("a number") * factor);
            }
        }
    }
}

fn version_of<'a>(results: &'a mut Value, name: &str) -> &'a mut Value {
    let contestants = results["contestants"].as_array_mut().expect("contestants");
    &mut contestants.iter_mut().find(|contestant| contestant["name"] == name).expect("it is there")["version"]
}

const CHANGED: &str = "What changed since 2026-01-02T03:04:05Z";
const DRIFT: &str = "The machine's drift";
const COUNTS: &str = "Changes, and those that chance makes";

/// The Markdown of a comparison that is made, and what stands on the terminal.
fn compared(name: &str, new: &Value, old: &Value) -> (String, String) {
    let (scratch, output) = against(name, new, old, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (scratch.read("out/report.md"), String::from_utf8_lossy(&output.stdout).to_string())
}

#[test]
fn what_happens_to_the_peers_too_is_the_machine_and_no_change() {
    let mut new = crowd();
    stretch(&mut new, 1.3, |run| run["workload"] == "churn");
    stretch(&mut new, 2.0, |run| run["workload"] == "churn" && run["contestant"] == "async");
    let (markdown, terminal) = compared("drift", &new, &crowd());
    for metric in ["time", "processor time", "worst step"] {
        let of = |row: &str| cell(&markdown, CHANGED, row, metric);
        assert!(of("churn, async").starts_with("×2.00 more ("), "{metric}: {}", of("churn, async"));
        for peer in MORE_PEERS.into_iter().chain(["go", "none"]) {
            let said = of(&format!("churn, {peer}"));
            assert!(said.starts_with("×1.00 noise ("), "{metric} of {peer}: {said}");
        }
        assert!(of("lru, async").starts_with("×1.00 noise ("));
        // Eight contestants of the one workload were slower as measured.
        assert_eq!(cell(&markdown, COUNTS, metric, "changes as measured"), "8");
        assert_eq!(cell(&markdown, COUNTS, metric, "changes"), "1");
        assert_eq!(cell(&markdown, COUNTS, metric, "compared"), "16");
        assert_eq!(cell(&markdown, COUNTS, metric, "by chance alone, about"), "1.60");
    }
    assert_eq!(cell(&markdown, DRIFT, "churn", "drift"), "×1.30 (1.30–1.30)");
    assert_eq!(cell(&markdown, DRIFT, "churn", "peers"), "6");
    assert_eq!(cell(&markdown, DRIFT, "lru", "drift"), "×1.00 (1.00–1.00)");
    assert!(markdown.contains("That was so 3 times") && markdown.contains("As measured, 24 would have been"));
    // As measured: seven of sixteen are 1.3, one is 2.6.
    assert!(markdown.contains("as measured: time ×1.19,"), "{markdown}");
    assert!(terminal.contains("churn         the machine itself ×1.30, by 6 peers"), "{terminal}");
    assert!(terminal.contains("3 changes, 24 as measured"), "{terminal}");
}

#[test]
fn memory_is_compared_as_measured() {
    let mut new = crowd();
    stretch(&mut new, 1.3, |run| run["workload"] == "churn");
    for run in new["runs"].as_array_mut().expect("runs").iter_mut().filter(|run| run["contestant"] == "async") {
        run["measured"]["memory"]["peak_bytes"] = json!(96 << 20);
    }
    let (markdown, _) = compared("memory", &new, &crowd());
    assert_eq!(cell(&markdown, CHANGED, "churn, async", "peak memory"), "×1.50 more (1.50–1.50)");
    assert_eq!(cell(&markdown, CHANGED, "churn, go", "peak memory"), "×1.00 noise (1.00–1.00)");
}

#[test]
fn a_peer_of_another_or_an_unknown_version_or_heap_or_that_failed_is_no_reference() {
    let apart = |name: &str, change: fn(&mut Value, &mut Value)| {
        let (mut new, mut old) = (crowd(), crowd());
        stretch(&mut new, 1.3, |run| run["workload"] == "churn");
        // Were it among the reference, the drift would not be 1.3.
        stretch(&mut new, 10.0, |run| run["contestant"] == "zgc");
        change(&mut new, &mut old);
        let (markdown, _) = compared(name, &new, &old);
        assert_eq!(cell(&markdown, DRIFT, "churn", "drift"), "×1.30 (1.30–1.30)", "{name}");
        assert_eq!(cell(&markdown, DRIFT, "churn", "peers"), "5", "{name}");
    };
    apart("version", |new, _| *version_of(new, "zgc") = json!("2.0"));
    apart("unknown-version", |new, old| {
        *version_of(new, "zgc") = Value::Null;
        *version_of(old, "zgc") = Value::Null;
    });
    fn each(results: &mut Value, change: fn(&mut Value)) {
        results["runs"]
            .as_array_mut()
            .expect("runs")
            .iter_mut()
            .filter(|run| run["contestant"] == "zgc")
            .for_each(change);
    }
    apart("limit", |_, old| each(old, |run| run["limit_bytes"] = json!(1 << 27)));
    apart("failed", |_, old| each(old, |run| run["ok"] = json!(run["round"] != 1)));
    apart("twice", |new, _| {
        let runs = new["runs"].as_array_mut().expect("runs");
        let again: Vec<Value> =
            runs.iter().filter(|run| run["contestant"] == "zgc" && run["round"] == 1).cloned().collect();
        runs.extend(again);
    });
}

#[test]
fn with_few_peers_or_without_rounds_all_is_compared_as_measured() {
    let (mut new, mut old) = (crowd(), crowd());
    stretch(&mut new, 1.3, |run| run["workload"] == "churn");
    for peer in ["zgc", "go"] {
        *version_of(&mut new, peer) = json!("2.0");
    }
    let as_measured = |name: &str, new: &Value, old: &Value, reason: &str| {
        let (markdown, terminal) = compared(name, new, old);
        assert!(cell(&markdown, CHANGED, "churn, async", "time").starts_with("×1.30 more ("));
        assert_eq!(cell(&markdown, DRIFT, "churn", "drift"), "–");
        assert!(markdown.contains(&format!("`churn` was compared as measured: {reason}")), "{markdown}");
        assert!(terminal.contains(&format!("compared as measured: {reason}")), "{terminal}");
        assert_eq!(cell(&markdown, COUNTS, "time", "changes as measured"), cell(&markdown, COUNTS, "time", "changes"));
    };
    as_measured("few-peers", &new, &old, "4 of its peers");
    let mut new = crowd();
    stretch(&mut new, 1.3, |run| run["workload"] == "churn");
    for run in old["runs"].as_array_mut().expect("runs") {
        run.as_object_mut().expect("a run").remove("round");
    }
    as_measured("no-rounds", &new, &old, "not all of its runs say in which round");
}

#[test]
fn a_round_in_which_everybody_is_slow_widens_nothing() {
    let mut new = crowd();
    stretch(&mut new, 1.5, |run| run["contestant"] == "async");
    let mut disturbed = crowd();
    stretch(&mut disturbed, 2.0, |run| run["purpose"] == "main" && run["round"] == 1);
    let (calm, _) = compared("calm", &new, &crowd());
    let (rough, _) = compared("rough", &new, &disturbed);
    for metric in ["time", "processor time", "worst step"] {
        for row in ["churn, async", "churn, go", "lru, none"] {
            assert_eq!(cell(&calm, CHANGED, row, metric), cell(&rough, CHANGED, row, metric), "{row}, {metric}");
        }
    }
    assert!(cell(&rough, CHANGED, "churn, async", "time").starts_with("×1.50 more ("));
    // As measured it would hide: 10, 21 and 11 seconds and then 15, 16.5 and 15.75 mix.
    assert_eq!(cell(&rough, COUNTS, "time", "changes as measured"), "0");
}

#[test]
fn results_of_another_machine_are_refused_unless_somebody_insists() {
    let mut old = fixture();
    old["machine"]["processor"] = json!("Another Processor");
    old["machine"]["kernel"] = json!("6.1.0");
    let (scratch, output) = against("machines", &fixture(), &old, &[]);
    let errors = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(!output.status.success() && errors.contains("A Processor and Another Processor"), "{errors}");
    assert!(!scratch.0.join("out").exists(), "there is a report in spite of it");
    let (scratch, output) = against("insist", &fixture(), &old, &["--other-machine"]);
    assert!(output.status.success());
    let markdown = scratch.read("out/report.md");
    assert!(markdown.contains("Different machines") && markdown.contains("kernel: 6.18.1 now, 6.1.0 then"));
}

#[test]
fn what_is_no_result_is_refused_with_the_place_and_an_older_report_stays() {
    let scratch = Scratch::new("bad");
    let out = scratch.0.join("out");
    std::fs::create_dir_all(&out).expect("a directory");
    std::fs::write(out.join("report.html"), "an older one").expect("a file");
    let mut missing = fixture();
    missing["runs"][3]["measured"].as_object_mut().expect("an object").remove("steps");
    let changed = |change: fn(&mut Value)| {
        let mut results = fixture();
        change(&mut results);
        results.to_string()
    };
    let half = fixture().to_string();
    for (text, reasons) in [
        ("so not JSON".to_string(), ["not JSON", "line 1"]),
        (half[..half.len() / 2].to_string(), ["not JSON", "EOF"]),
        ("{}".to_string(), ["`kind` is missing", "comparison"]),
        (changed(|results| results["schema"] = json!(2)), ["`schema` is 2", "version 1"]),
        (changed(|results| results["kind"] = json!("barriers")), ["`kind` is \"barriers\"", "compare"]),
        (missing.to_string(), ["runs[3].measured", "missing field `steps`"]),
        (changed(|results| results["runs"][2]["contestant"] = json!("nobody")), ["runs[2].contestant", "nobody"]),
        (changed(|results| results["runs"][1]["ok"] = json!("yes")), ["runs[1].ok", "boolean"]),
    ] {
        let file = scratch.file("raw.json", &text);
        let output = report(&[&file, Path::new("--out"), &out]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty());
        for reason in reasons.iter().chain(&["raw.json"]) {
            assert!(errors.contains(reason), "{errors} does not say {reason}");
        }
    }
    assert_eq!(std::fs::read_to_string(out.join("report.html")).expect("the older one"), "an older one");
    assert_eq!(std::fs::read_dir(&out).expect("the directory").count(), 1, "something was left there");
    let output = report(&[&scratch.0.join("nowhere.json")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.json"));
}
