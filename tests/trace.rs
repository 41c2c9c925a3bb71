//! A trace tells what happened: the same cycles, pauses, rounds and stalls as the summary, in tracks that a viewer can show.
//!
//! And it is nobody's problem: two heaps that are told the same file, a forked child, and a program that dies leave files that load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pagemark::typed::{Array, Field, Heap, Mutator};
use pagemark::{Config, Forked, HeapError, Trace};
use pagemark_workspace::{Watchdog, timeline};
use serde_json::Value;

#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
}

/// A directory of the test's own, gone at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("pagemark-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory");
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn heap(keys: &str, file: &Path) -> Heap {
    let config = Config::parse(&format!("limit=64M,heap=4M,{keys},trace={}", file.display())).expect("a configuration");
    Heap::new(&config).expect("a heap that can write its trace")
}

fn complete(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("the trace is there");
    let events: Vec<Value> = serde_json::from_str(&text).expect("all of it is JSON");
    timeline::check(&events, true);
    events
}

/// Replaces nodes of an old table at random, and now and then is away.
fn work(m: &mut Mutator, turns: u64) {
    const LENGTH: usize = 20_000;
    let table = m.alloc_array::<Node>(LENGTH).expect("room");
    let table = m.root::<Array<Node>>(Some(table));
    let mut random = 1u64;
    for turn in 0..turns {
        loop {
            let old = table.get(m).expect("rooted");
            let made = m.alloc(Node { left: Field::null(), right: Field::null() });
            if let Ok(node) = made {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                node.left.set(old[(random >> 33) as usize % LENGTH].get(m));
                if turn % 16 == 0 {
                    node.left.set(None);
                    let field = &old[(random >> 20) as usize % LENGTH];
                    field.set(Some(node));
                    if let Some(cards) = m.cards() {
                        // SAFETY: a field of a live tracked object of this heap; no safepoint since the store.
                        unsafe { cards.mark(field.address()) };
                    }
                }
                break;
            }
            m.reclaim(64).expect("little lives");
        }
        m.poll();
        if turn % 100_000 == 0 {
            m.blocking(|| std::thread::sleep(Duration::from_millis(1)));
        }
    }
}

/// What the heap did, by its own account, and its trace.
fn traced(keys: &str, file: &Path) -> (pagemark::telemetry::Summary, Vec<Value>) {
    let heap = heap(keys, file);
    std::thread::scope(|scope| {
        for index in 0..3 {
            let heap = &heap;
            let worker = move || work(&mut heap.attach(), 400_000);
            std::thread::Builder::new().name(format!("worker {index}")).spawn_scoped(scope, worker).expect("a thread");
        }
    });
    let mut m = heap.attach();
    m.collect();
    let summary = heap.summary();
    drop(m);
    drop(heap);
    (summary, complete(file))
}

fn sum(events: &[&Value], member: &str) -> u64 {
    events.iter().map(|event| event["args"][member].as_u64().expect("a number")).sum()
}

fn agrees(keys: &str, file: &Path) -> (pagemark::telemetry::Summary, Vec<Value>) {
    let (summary, events) = traced(keys, file);
    let count = |phase: &str, name: &str| timeline::named(&events, phase, name).len() as u64;
    let concurrent = summary.cycles - summary.cycles_stw;
    assert!(summary.cycles >= 1, "{keys}: no cycle to trace");
    assert_eq!(count("B", "cycle") + count("B", "cycle, sticky"), concurrent, "{keys}");
    assert_eq!(count("B", "cycle, sticky"), summary.cycles_sticky, "{keys}");
    assert_eq!(count("B", "cycle, stop-the-world"), summary.cycles_stw, "{keys}");
    assert_eq!(count("B", "pause"), summary.pause_us.count, "{keys}");
    assert_eq!(count("X", "sweep"), summary.cycles, "{keys}");
    for phase in ["handshake", "arm", "mark"] {
        let collector = timeline::tracks(&events).into_iter().find(|(name, _)| name == "collector").expect("a track").1;
        let spans = timeline::named(&events, "X", phase);
        let spans = spans.into_iter().filter(|event| event["tid"] == collector).count() as u64;
        assert_eq!(spans, concurrent, "{keys}: {phase}");
    }
    assert_eq!(sum(&timeline::named(&events, "X", "arm"), "pages"), summary.pages_armed, "{keys}");
    assert_eq!(sum(&timeline::named(&events, "X", "round"), "dirty_pages"), summary.pages_dirty, "{keys}");
    assert_eq!(count("X", "wait for memory"), summary.stalls_allocation, "{keys}");
    assert_eq!(count("X", "throttled"), summary.stalls_throttle, "{keys}");
    assert_eq!(count("X", "collection asked for"), 1, "{keys}");
    assert_eq!(count("C", "heap bytes"), 2 * summary.cycles, "{keys}: at a cycle's beginning and end");
    (summary, events)
}

#[test]
fn a_trace_agrees_with_the_summary_and_has_a_track_for_every_thread() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    let directory = Directory::new("agrees");
    for mechanism in ["auto", "sync", "cards", "stop"] {
        let keys = format!("mechanism={mechanism},markers=2,name=a \"{mechanism}\" heap");
        if mechanism == "sync" && Heap::new(&Config::parse(&keys).expect("a configuration")).is_err() {
            continue;
        }
        let (summary, events) = agrees(&keys, &directory.file("trace.json"));
        let title = timeline::named(&events, "M", "process_name")[0]["args"]["name"].as_str().expect("a title");
        assert_eq!(title, format!("pagemark[a \"{mechanism}\" heap] {} anon", summary.mechanism));
        let tracks = timeline::tracks(&events);
        for name in ["collector", "marker 1", "mutator worker 0", "mutator worker 1", "mutator worker 2"] {
            let tid = tracks.iter().find(|track| track.0 == name).unwrap_or_else(|| panic!("no track `{name}`")).1;
            let life = |phase: &str| {
                let edges = timeline::named(&events, phase, "mutator");
                edges.into_iter().filter(|event| event["tid"] == tid).count()
            };
            let is_mutator = usize::from(name.starts_with("mutator"));
            assert_eq!((life("B"), life("E")), (is_mutator, is_mutator), "{mechanism}: {name}");
        }
        if mechanism == "sync" {
            assert!(!timeline::named(&events, "C", "faults of the cycle").is_empty());
        }
        assert_eq!(directory.names(), ["trace.json"], "each run overwrites the one before");
    }
}

#[test]
fn what_stops_a_mutator_is_in_its_own_track() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    let directory = Directory::new("stops");
    let file = directory.file("trace.json");
    let heap = heap("", &file);
    let over = AtomicBool::new(false);
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        let polling = || {
            let mut m = heap.attach();
            both.wait();
            while !over.load(Ordering::Relaxed) {
                m.poll();
            }
        };
        std::thread::Builder::new().name("polling".into()).spawn_scoped(scope, polling).expect("a thread");
        both.wait();
        let mut m = heap.attach();
        while heap.raw().cycles() < 20 {
            m.collect();
        }
        over.store(true, Ordering::Relaxed);
    });
    let concurrent = heap.summary().cycles > heap.summary().cycles_stw;
    drop(heap);
    let events = complete(&file);
    let tid = timeline::tracks(&events).into_iter().find(|track| track.0 == "mutator polling").expect("a track").1;
    let has = |name: &str| timeline::named(&events, "X", name).into_iter().any(|event| event["tid"] == tid);
    assert!(has("pause"), "20 cycles, and no pause in the track of a mutator that only polls");
    assert_eq!(has("handshake"), concurrent);
}

#[test]
fn heaps_that_are_told_the_same_file_write_one_each() {
    let directory = Directory::new("same");
    let file = directory.file("trace.json");
    let heaps = ["one", "two", "three"].map(|name| heap(&format!("name={name}"), &file));
    heaps.iter().for_each(|heap| heap.attach().collect());
    drop(heaps);
    assert_eq!(directory.names(), ["trace.2.json", "trace.3.json", "trace.json"]);
    for (file, name) in [("trace.json", "[one]"), ("trace.2.json", "[two]"), ("trace.3.json", "[three]")] {
        let events = complete(&directory.file(file));
        let title = timeline::named(&events, "M", "process_name")[0]["args"]["name"].to_string();
        assert!(title.contains(name), "{title} in {file}");
        assert_eq!(timeline::named(&events, "B", "pause").len(), 1, "{file}");
    }
}

#[test]
fn the_trace_of_a_program_that_dies_loads() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let directory = Directory::new("dies");
    let heap = heap("", &directory.file("trace.json"));
    let mut m = heap.attach();
    // SAFETY: the child uses this heap and the allocator, which glibc makes whole in a child.
    let child = match unsafe { m.fork() }.expect("there is room for a child") {
        Forked::Parent { child } => child,
        Forked::Child => {
            // The third cycle starts when the second is swept, and written down.
            (0..3).for_each(|_| m.collect());
            // SAFETY: the most sudden end there is.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            unreachable!("nobody survives that signal")
        }
    };
    let mut status = 0;
    // SAFETY: waits for a child of ours.
    assert_eq!(m.blocking(|| unsafe { libc::waitpid(child, &mut status, 0) }), child);
    assert_eq!(status & 0x7f, libc::SIGKILL);
    let text = fs::read_to_string(directory.file("trace.2.json")).expect("the child's trace is there");
    assert!(!text.trim_end().ends_with(']'), "it is complete only at the heap's end");
    let events = timeline::parse(&text);
    timeline::check(&events, false);
    assert!(timeline::named(&events, "X", "sweep").len() >= 2);
}

#[test]
fn a_forked_child_goes_on_in_a_file_of_its_own() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let directory = Directory::new("forks");
    let file = directory.file("trace.json");
    let parent = std::process::id();
    let heap = heap("", &file);
    let mut m = heap.attach();
    m.collect();
    // SAFETY: the child uses this heap and the allocator, which glibc makes whole in a child.
    let child = match unsafe { m.fork() }.expect("there is room for a child") {
        Forked::Parent { child } => child,
        Forked::Child => {
            m.collect();
            m.collect();
            drop(m);
            drop(heap);
            // SAFETY: ends this process, without the test harness's own end.
            unsafe { libc::_exit(0) }
        }
    };
    // A child of which the heap is not told: whatever it does is in nobody's file.
    // SAFETY: the child only ends a mutator.
    match unsafe { libc::fork() } {
        0 => {
            drop(m);
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        untold => [child, untold].into_iter().for_each(|child| {
            let mut status = 0;
            // SAFETY: waits for a child of ours.
            assert_eq!(m.blocking(|| unsafe { libc::waitpid(child, &mut status, 0) }), child);
            assert_eq!(status, 0);
        }),
    }
    m.collect();
    drop(m);
    drop(heap);
    assert_eq!(directory.names(), ["trace.2.json", "trace.json"]);
    for (file, process, cycles) in [("trace.json", parent, 2), ("trace.2.json", child.cast_unsigned(), 2)] {
        let events = complete(&directory.file(file));
        assert!(events.iter().all(|event| event["pid"] == process), "{file} has events of another process");
        let pauses = timeline::named(&events, "B", "pause").len();
        assert_eq!(pauses, cycles, "{file}");
        assert_eq!(
            timeline::tracks(&events).iter().filter(|track| track.0.starts_with("mutator")).count(),
            1,
            "{file}"
        );
    }
}

#[test]
fn the_process_id_can_be_part_of_the_name() {
    let directory = Directory::new("pid");
    drop(heap("", &directory.file("gc-%p.trace")));
    assert_eq!(directory.names(), [format!("gc-{}.trace", std::process::id())]);
    complete(&directory.file(&directory.names()[0]));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_that_names_it_and_the_reason() {
    let directory = Directory::new("bad");
    for (file, reason) in [(directory.file("none/trace.json"), "No such file"), (directory.0.clone(), "Is a directory")]
    {
        let config = Config::parse(&format!("limit=64M,trace={}", file.display())).expect("a configuration");
        match Heap::new(&config).map(|_| ()) {
            Err(error @ HeapError::Trace { .. }) => {
                let text = error.to_string();
                assert!(text.contains(&*file.to_string_lossy()) && text.contains(reason), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}
