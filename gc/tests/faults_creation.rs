//! A heap that cannot be created says which call failed and what would help, and leaves nothing behind.
//!
//! Every kind of call made at creation is made to fail, with each errno that matters, at each time it is made, for every
//! mechanism on both backings. The outcome is an error, or a heap (where the call is a hint, or `auto` had
//! something else), and in both cases descriptors, threads and mapped memory are afterwards what they were before.

#[path = "../../tests/support/watchdog.rs"]
mod watchdog;

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pagemark_gc::collector::{Collector, HeapError};
use pagemark_gc::config::Config;
use pagemark_gc::model::{ObjectModel, Tracer};
use pagemark_gc::sys::{Call, FaultPlan, Kernel, Outcome, When};

struct NoReferences;

// SAFETY: the tests of this file make no objects that refer to others.
unsafe impl ObjectModel for NoReferences {
    unsafe fn trace(&self, _object: NonNull<u8>, _range: std::ops::Range<usize>, _tracer: &mut Tracer<'_>) {}
}

const BACKINGS: [&str; 2] = ["anon", "shmem"];
const ERRNOS: [i32; 6] = [libc::ENOMEM, libc::EPERM, libc::EAGAIN, libc::EBUSY, libc::EINVAL, libc::EMFILE];

/// Descriptors and memory belong to the process, so one test runs at a time.
fn alone() -> (MutexGuard<'static, ()>, watchdog::Watchdog) {
    static ONE: Mutex<()> = Mutex::new(());
    let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    (alone, watchdog::Watchdog::start(Duration::from_secs(600)))
}

fn create(mechanism: &str, backing: &str, kernel: &Kernel) -> Result<Collector, HeapError> {
    let keys = format!("mechanism={mechanism},backing={backing},limit=64G,markers=2,assists=0,name=faulty");
    Collector::with_kernel(&Config::parse(&keys).expect("a configuration"), NoReferences, kernel)
}

/// Threads that only assist are none that a heap cannot do without. The first that is started is a marker, the last the collector's own.
#[test]
fn a_thread_that_would_only_assist_may_be_refused() {
    let (_alone, _watchdog) = alone();
    let plan = FaultPlan::new(0);
    let config = Config::parse("mechanism=stop,limit=64M,markers=2,assists=1,name=faulty").expect("a configuration");
    let created = |nth| {
        plan.set(Call::Spawn, When::Nth(nth), Outcome::Fails(libc::EAGAIN));
        let result = Collector::with_kernel(&config, NoReferences, &Kernel::failing(&plan));
        plan.clear_all();
        result.map(|_heap| ()).map_err(|error| error.to_string())
    };
    let before = Holdings::now();
    let results = [1, 2, 3, 4].map(created);
    assert!(results[1].is_ok() && results[3].is_ok(), "{results:?}");
    assert!(results[0].is_err() && results[2].is_err(), "{results:?}");
    before.are_back("a heap with a thread that was refused");
}

/// What a process has: descriptors, and the threads and bytes of address space that are a heap's.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    bytes: usize,
}

impl Holdings {
    fn now() -> Holdings {
        let entries = |directory: &str| std::fs::read_dir(directory).expect("procfs").flatten();
        let threads = entries("/proc/self/task").filter(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            name.contains("faulty") || name.contains("pagemark-fault")
        });
        // By name; and by size, where the kernel keeps no names: nobody else maps as much.
        let maps = std::fs::read_to_string("/proc/self/maps").expect("procfs");
        let bytes = maps.lines().filter_map(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let bytes = usize::from_str_radix(end, 16).ok()? - usize::from_str_radix(start, 16).ok()?;
            (line.contains("faulty") || line.contains("anon:pagemark") || bytes > 100 << 20).then_some(bytes)
        });
        Holdings { descriptors: entries("/proc/self/fd").count(), threads: threads.count(), bytes: bytes.sum() }
    }

    /// Waits until it is so again: threads that have been joined stay in the list for a moment.
    fn are_back(&self, what: &str) {
        let start = Instant::now();
        loop {
            let now = Holdings::now();
            if now == *self {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{what} left something behind: {self:?} became {now:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What an error must say of the call; `None` for calls whose failure is no error.
fn words(call: Call) -> Option<&'static str> {
    Some(match call {
        Call::Mmap => "mmap(2)",
        Call::MemfdCreate => "memfd_create(2)",
        Call::Ftruncate => "ftruncate(2)",
        Call::Userfaultfd => "userfaultfd(2)",
        Call::UffdApi => "UFFDIO_API",
        Call::UffdRegister => "UFFDIO_REGISTER",
        Call::Eventfd => "eventfd(2)",
        Call::PagemapOpen => "/proc/self/pagemap",
        Call::PagemapScan => "PAGEMAP_SCAN",
        Call::Sigaction => "sigaction(2)",
        Call::Spawn => "thread",
        _ => return None,
    })
}

/// Whether the text has advice in it, and not only a complaint.
fn has_remedy(text: &str) -> bool {
    [
        "Use ",
        "Look ",
        "Set ",
        "set ",
        "Raise ",
        "raise ",
        "llow ",
        "Check ",
        "Mount ",
        "is the limit",
        "Nothing is known",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// Calls that are made only when the mechanism is tried, and then some by its fault thread or in its handler, which may try again. The
/// outcome is a heap, or an error in the words of whoever gave up.
fn is_in_the_trial(call: Call) -> bool {
    matches!(
        call,
        Call::UffdProtect
            | Call::UffdUnprotect
            | Call::UffdWake
            | Call::UffdRead
            | Call::Poll
            | Call::MprotectProtect
            | Call::MprotectUnprotect
    )
}

/// A range that another descriptor has, or that is of the wrong kind, is not a lack that something else makes up for.
fn is_about_the_range(call: Call, errno: i32) -> bool {
    call == Call::UffdRegister && matches!(errno, libc::EBUSY | libc::EINVAL)
}

/// One heap with one rule; returns whether the rule hit.
fn check(mechanism: &str, backing: &str, call: Call, when: When, errno: i32, before: &Holdings) -> bool {
    let what = format!("{mechanism} on {backing}, {call:?} {when:?} errno {errno}");
    let plan = FaultPlan::new(0);
    plan.set(call, when, Outcome::Fails(errno));
    let result = create(mechanism, backing, &Kernel::failing(&plan));
    let hit = plan.hits(call) > 0;
    plan.clear_all();
    match (&result, words(call)) {
        (Ok(_), None) => {}
        (Ok(_), Some(_)) if !hit => {}
        // One way to get a descriptor failed and another did not.
        (Ok(_), Some(_)) if call == Call::Userfaultfd && when != When::Always => {}
        (Ok(heap), Some(_)) => {
            assert!(mechanism == "auto" && !is_about_the_range(call, errno), "{what}: a heap all the same");
            assert_ne!(heap.mechanism(), "async", "{what}");
        }
        (Err(error), None) if is_in_the_trial(call) => {
            let text = error.to_string();
            let left_without_a_right =
                text.contains("does not make it writable again") && call == Call::MprotectUnprotect;
            assert!(hit && (has_remedy(&text) || left_without_a_right), "{what}: {text}");
            assert!(mechanism != "auto" || left_without_a_right, "{what}: {text}");
        }
        (Err(error), Some(word)) => {
            let text = error.to_string();
            assert!(hit, "{what}: {text}");
            if is_about_the_range(call, errno) {
                assert!(
                    text.contains("another userfaultfd has it") || text.contains("is not mapped"),
                    "{what}: {text}"
                );
            } else {
                assert!(text.contains(word), "{what}: {text}");
                assert!(has_remedy(&text), "{what}: {text}");
                let always_there = matches!(call, Call::Mmap | Call::MemfdCreate | Call::Ftruncate | Call::Spawn);
                assert!(mechanism != "auto" || always_there, "{what}: {text}");
            }
        }
        (Err(error), None) => panic!("{what}: {error}"),
    }
    drop(result);
    // What a failed munmap leaves behind is what it says.
    if call != Call::Munmap {
        before.are_back(&what);
    }
    hit
}

fn works_here(mechanism: &str, backing: &str) -> bool {
    let result = create(mechanism, backing, &Kernel::real());
    if let Err(error) = &result {
        eprintln!("skipped {mechanism} on {backing}: {error}");
    }
    result.is_ok()
}

const UFFD: [Call; 3] = [Call::Userfaultfd, Call::UffdApi, Call::UffdRegister];

/// What every mechanism calls when it is tried, beside its own.
const TRIED: [Call; 1] = [Call::Release];
/// The trial of a mechanism that is not `mprotect` takes the right to write and gives it back.
const TOGGLED: [Call; 2] = [Call::MprotectProtect, Call::MprotectUnprotect];

/// `asked` are the calls the mechanism makes when it is opened; what fails at other times has no effect here, which is
/// checked too.
fn fails_cleanly(mechanism: &str, asked: &[Call]) {
    let _alone = alone();
    for backing in BACKINGS {
        if !works_here(mechanism, backing) {
            continue;
        }
        let before = Holdings { threads: 0, ..Holdings::now() };
        // Munmap last: its addresses stay.
        let calls = Call::ALL.iter().copied().filter(|call| *call != Call::Munmap).chain([Call::Munmap]);
        for call in calls {
            let hits = ERRNOS.map(|errno| check(mechanism, backing, call, When::Always, errno, &before));
            let of_memory = matches!(call, Call::Mmap | Call::Munmap | Call::Name | Call::Advise | Call::Spawn)
                || backing == "shmem" && matches!(call, Call::MemfdCreate | Call::Ftruncate);
            // A process installs its handlers once, and whether the fault thread got to its first poll is chance.
            if !matches!(call, Call::Sigaction | Call::Poll) {
                let expected = of_memory || asked.contains(&call);
                assert_eq!(hits, [expected; ERRNOS.len()], "{mechanism} on {backing}, {call:?}");
            }
            // Each time it is made.
            let mut nth = 1;
            while check(mechanism, backing, call, When::Nth(nth), libc::ENOMEM, &before) {
                nth += 1;
            }
        }
    }
}

#[test]
fn async_fails_cleanly() {
    let own = [Call::PagemapOpen, Call::PagemapScan, Call::UffdUnprotect];
    fails_cleanly("async", &[UFFD.as_slice(), &TRIED, &TOGGLED, &own].concat());
}

#[test]
fn sync_fails_cleanly() {
    let own = [Call::Eventfd, Call::UffdProtect, Call::UffdUnprotect, Call::UffdWake, Call::UffdRead];
    fails_cleanly("sync", &[UFFD.as_slice(), &TRIED, &TOGGLED, &own].concat());
}

#[test]
fn sigbus_fails_cleanly() {
    let own = [Call::UffdProtect, Call::UffdUnprotect, Call::UffdWake];
    fails_cleanly("sigbus", &[UFFD.as_slice(), &TRIED, &TOGGLED, &own].concat());
}

#[test]
fn mprotect_fails_cleanly() {
    fails_cleanly("mprotect", &[TRIED.as_slice(), &TOGGLED].concat());
}

#[test]
fn cards_fails_cleanly() {
    fails_cleanly("cards", &[]);
}

#[test]
fn stop_fails_cleanly() {
    fails_cleanly("stop", &[]);
}

#[test]
fn auto_has_something_else_or_fails_cleanly() {
    let own = [Call::PagemapOpen, Call::PagemapScan, Call::UffdUnprotect];
    fails_cleanly("auto", &[UFFD.as_slice(), &TRIED, &TOGGLED, &own].concat());
}

#[test]
fn a_mechanism_that_loses_writes_is_refused_with_the_case_that_shows_it() {
    let _alone = alone();
    for (mechanism, call, case) in [
        ("async", Call::PagemapScan, Some("scan-fast")),
        ("sync", Call::UffdProtect, Some("write-armed")),
        ("sigbus", Call::UffdProtect, Some("write-armed")),
        ("mprotect", Call::MprotectProtect, None),
    ] {
        for backing in BACKINGS {
            if !works_here(mechanism, backing) {
                continue;
            }
            let before = Holdings { threads: 0, ..Holdings::now() };
            let plan = FaultPlan::new(0);
            plan.set(call, When::Always, Outcome::Pretended);
            let Err(error) = create(mechanism, backing, &Kernel::failing(&plan)) else {
                panic!("{mechanism} on {backing}: a heap that sees no writes")
            };
            let text = error.to_string();
            assert!(text.contains("is not sound here") && text.contains("was not reported"), "{text}");
            if let Some(case) = case {
                assert!(text.contains(&format!("`pagemark semantics --case {case}`")), "{text}");
            }
            before.are_back(mechanism);
        }
    }
}

#[test]
fn auto_passes_over_mechanisms_that_lose_writes() {
    let _alone = alone();
    for backing in BACKINGS {
        if !works_here("async", backing) || !works_here("sync", backing) {
            continue;
        }
        let plan = FaultPlan::new(0);
        plan.set(Call::PagemapScan, When::Always, Outcome::Pretended);
        let heap = create("auto", backing, &Kernel::failing(&plan)).expect("`sync` does not scan");
        assert_eq!(heap.mechanism(), "sync");
        drop(heap);
        plan.set(Call::UffdProtect, When::Always, Outcome::Pretended);
        let heap = create("auto", backing, &Kernel::failing(&plan)).expect("`stop` needs nothing");
        assert_eq!(heap.mechanism(), "stop");
    }
}
