//! Limits that are really reached: on memory at each phase of a cycle, on mappings, and those of `setrlimit(2)`.
//!
//! A limit of the process changes for all of it, so those tests have processes of their own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pagemark::telemetry::{CycleReport, CycleStart, EventListener, Round};
use pagemark::typed::{Bytes, Field, Heap, Mutator, Root};
use pagemark::{Config, OutOfMemory, Trace};
use pagemark_workspace::{Watchdog, succeeds_in_child, while_a_graph_changes};

const MB: usize = 1 << 20;

fn config(keys: &str) -> Config {
    Config::parse(keys).expect("a configuration")
}

/// The moments of a cycle at which mutators run and the collector tells somebody.
const PHASES: [&str; 6] =
    ["cycle started", "handshake done", "pages armed", "marking done", "round done", "pause ended"];

/// Holds a cycle at one of its phases until a mutator has used up the memory.
#[derive(Default)]
struct Gate {
    /// The phase to stop at.
    at: Mutex<Option<&'static str>>,
    /// Somebody is to use up the memory now.
    wanted: AtomicBool,
    passed: AtomicU32,
}

impl Gate {
    fn reached(&self, phase: &'static str) {
        let mut at = self.at.lock().expect("no panic under it");
        if *at != Some(phase) {
            return;
        }
        *at = None;
        drop(at);
        self.wanted.store(true, Ordering::SeqCst);
        // Mutators run in these phases, and allocation waits for nobody: this ends.
        while self.wanted.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_micros(100));
        }
        self.passed.fetch_add(1, Ordering::SeqCst);
    }
}

impl EventListener for Gate {
    fn cycle_started(&self, _: &CycleStart) {
        self.reached(PHASES[0]);
    }
    fn handshake_done(&self) {
        self.reached(PHASES[1]);
    }
    fn pages_armed(&self, _: u64) {
        self.reached(PHASES[2]);
    }
    fn marking_done(&self) {
        self.reached(PHASES[3]);
    }
    fn round_done(&self, _: &Round) {
        self.reached(PHASES[4]);
    }
    fn pause_ended(&self, _: Duration) {
        self.reached(PHASES[5]);
    }
    fn cycle_ended(&self, _: &CycleReport) {}
}

#[derive(Trace)]
struct Link {
    next: Field<Link>,
    bytes: Field<Bytes>,
    number: u64,
}

/// One more link with its buffer in front of a chain; false where the memory is used up.
fn grow(m: &Mutator, chain: &Root<Link>, number: u64) -> bool {
    let Ok(link) = m.alloc(Link { next: Field::null(), bytes: Field::null(), number }) else { return false };
    let Ok(bytes) = m.alloc_bytes(400 + number as usize * 7919 % 20_000) else { return false };
    link.bytes.set(Some(bytes));
    link.next.set(chain.get(m));
    chain.set(Some(link));
    true
}

fn length(m: &Mutator, chain: &Root<Link>) -> u64 {
    let mut at = chain.get(m);
    let mut length = 0;
    while let Some(link) = at {
        length += 1;
        assert!(link.bytes.get(m).is_some_and(|bytes| !bytes.bytes().is_empty()));
        at = link.next.get(m);
    }
    length
}

/// With a cycle held at `phase`: uses up the memory, with garbage or with what stays alive; then the heap must be usable.
fn exhausts(m: &mut Mutator, gate: &Gate, phase: &'static str, garbage: bool, what: &str) {
    let kept = m.root::<Link>(None);
    for number in 0..50 {
        while !grow(m, &kept, number) {
            m.reclaim(32 << 10).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
    *gate.at.lock().expect("no panic under it") = Some(phase);
    while !gate.wanted.load(Ordering::SeqCst) {
        m.poll();
        std::thread::yield_now();
    }
    let chain = m.root::<Link>(None);
    let mut links = 0;
    while grow(m, &chain, links) {
        links += 1;
        if garbage {
            chain.set(None);
        }
    }
    assert!(links > 0, "{what}");
    gate.wanted.store(false, Ordering::SeqCst);
    if !garbage {
        assert_eq!(length(m, &chain), links, "{what}");
        // A small object may find a hole, and what is being refused may differ: but in the end there is no room.
        let mut refusal = None;
        for _ in 0..1000 {
            match m.reclaim(64 << 10) {
                Ok(())
                    if m.alloc_bytes(64 << 10).is_ok_and(|bytes| {
                        let held = m.alloc(Link { next: Field::null(), bytes: Field::null(), number: links });
                        held.is_ok_and(|link| {
                            link.bytes.set(Some(bytes));
                            link.next.set(chain.get(m));
                            chain.set(Some(link));
                            true
                        })
                    }) =>
                {
                    links += 1
                }
                Ok(()) => {}
                Err(OutOfMemory { requested, .. }) => {
                    refusal = Some(requested);
                    break;
                }
            }
        }
        assert_eq!(refusal, Some(64 << 10), "{what}: never out of memory");
        assert_eq!(length(m, &chain), links, "{what}");
    }
    chain.set(None);
    m.reclaim(MB).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(m.alloc_bytes(MB).is_ok() || m.reclaim(MB).is_ok() && m.alloc_bytes(MB).is_ok(), "{what}");
    assert_eq!(length(m, &kept), 50, "{what}");
}

#[test]
fn memory_used_up_at_any_phase_is_an_error_and_the_heap_goes_on() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    for mechanism in ["async", "sync", "sigbus", "mprotect", "stop"] {
        for backing in ["anon", "shmem"] {
            let keys = format!("mechanism={mechanism},backing={backing},limit=16M,heap=16M,verify=mark");
            let Ok(heap) = Heap::new(&config(&keys)) else { continue };
            let gate = Arc::new(Gate::default());
            heap.raw().add_listener(gate.clone());
            let over = AtomicBool::new(false);
            let mut m = heap.attach();
            std::thread::scope(|scope| {
                let cycles = scope.spawn(|| {
                    let mut m = heap.attach();
                    while !over.load(Ordering::SeqCst) {
                        m.collect();
                    }
                });
                let mut passed = 0;
                for phase in PHASES {
                    // Marking in the pause has no phases in which mutators run.
                    if mechanism == "stop" && phase != PHASES[0] && phase != PHASES[5] {
                        continue;
                    }
                    for garbage in [true, false] {
                        let what = format!("{mechanism} on {backing}, {phase}, garbage: {garbage}");
                        exhausts(&mut m, &gate, phase, garbage, &what);
                        passed += 1;
                    }
                }
                over.store(true, Ordering::SeqCst);
                m.blocking(|| cycles.join().expect("collecting does not panic"));
                assert_eq!(gate.passed.load(Ordering::SeqCst), passed);
            });
            assert_eq!(heap.summary().verify_failures, 0, "{mechanism} on {backing}");
        }
    }
}

/// Splits mappings until the process may have no more, but for `left` of them.
fn use_up_mappings(left: usize) {
    const PAGE: usize = 4096;
    let most: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(65_530);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, of which only the protection changes.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), 2 * most * PAGE, libc::PROT_NONE, flags, -1, 0) } as usize;
    assert_ne!(start, libc::MAP_FAILED as usize);
    let protect = |page: usize, protection| {
        // SAFETY: a page of the mapping just made.
        unsafe { libc::mprotect((start + page * PAGE) as *mut libc::c_void, PAGE, protection) == 0 }
    };
    let mut page = 1;
    while protect(page, libc::PROT_READ) {
        page += 2;
        assert!(page < 2 * most, "the limit on mappings is never reached");
    }
    // Each page that goes back gives two mappings back.
    for page in (1..page).step_by(2).take(left / 2) {
        assert!(protect(page, libc::PROT_NONE));
    }
}

#[test]
fn a_process_out_of_mappings_keeps_its_heap_under_mprotect() {
    succeeds_in_child("a_process_out_of_mappings_keeps_its_heap_under_mprotect", || {
        let _watchdog = Watchdog::start(Duration::from_secs(120));
        let heap = Heap::new(&config("mechanism=mprotect,limit=128M,heap=8M,verify=mark")).expect("mprotect works");
        while_a_graph_changes(&heap, 2, 100_000, "out of mappings", |m| {
            m.collect();
            assert_eq!(heap.summary().cycles_blind, 0);
            use_up_mappings(60);
            let start = Instant::now();
            while heap.summary().cycles_blind == 0 && start.elapsed() < Duration::from_secs(60) {
                m.collect();
            }
            assert!(heap.summary().cycles_blind > 0, "arming had all the mappings it wanted");
        });
    });
}

/// Lowers a limit of this process, or raises it as far as it may be.
fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a writable rlimit.
    assert_eq!(unsafe { libc::getrlimit(resource, &mut limit) }, 0);
    limit.rlim_max = limit.rlim_max.min(value);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: only changes a limit of this process.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// Root is above some limits.
fn become_nobody() {
    // SAFETY: only changes this process's identity; a process started as that user would be dumpable.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!((libc::setgid(65534), libc::setuid(65534)), (0, 0));
        }
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
}

fn refusal(keys: &str) -> String {
    match Heap::new(&config(keys)) {
        Ok(_) => panic!("{keys}: a heap all the same"),
        Err(error) => error.to_string(),
    }
}

fn works(keys: &str) -> Heap {
    let heap = Heap::new(&config(keys)).unwrap_or_else(|error| panic!("{keys}: {error}"));
    while_a_graph_changes(&heap, 1, 2_000, keys, |m| (0..5).for_each(|_| m.collect()));
    heap
}

#[test]
fn a_limit_on_the_address_space_is_named_and_the_default_keeps_below_it() {
    succeeds_in_child("a_limit_on_the_address_space_is_named_and_the_default_keeps_below_it", || {
        limit(libc::RLIMIT_AS, 3 << 30);
        for backing in ["anon", "shmem"] {
            let text = refusal(&format!("limit=4G,backing={backing}"));
            assert!(text.contains("mmap(2)") && text.contains("RLIMIT_AS"), "{text}");
            works(&format!("backing={backing}"));
        }
    });
}

#[test]
fn a_limit_on_open_files_is_named_and_auto_does_without() {
    succeeds_in_child("a_limit_on_open_files_is_named_and_auto_does_without", || {
        // None but those that are open.
        // SAFETY: asks for the lowest number that is free, and closes it again.
        let lowest = unsafe { libc::dup(0) };
        // SAFETY: as above.
        unsafe { libc::close(lowest) };
        limit(libc::RLIMIT_NOFILE, lowest as u64);
        for mechanism in ["async", "sync", "sigbus"] {
            let text = refusal(&format!("limit=64M,mechanism={mechanism}"));
            assert!(text.contains("userfaultfd(2)") && text.contains("open files"), "{text}");
        }
        let text = refusal("limit=64M,backing=shmem");
        assert!(text.contains("memfd_create(2)") && text.contains("open files"), "{text}");
        assert_eq!(works("limit=64M").raw().mechanism(), "stop");
        assert_eq!(works("limit=64M,mechanism=mprotect").raw().mechanism(), "mprotect");
    });
}

#[test]
fn a_limit_on_threads_is_named() {
    succeeds_in_child("a_limit_on_threads_is_named", || {
        become_nobody();
        limit(libc::RLIMIT_NPROC, 0);
        for mechanism in ["async", "sync", "mprotect", "stop", "auto"] {
            let text = refusal(&format!("limit=64M,mechanism={mechanism}"));
            assert!(text.contains("RLIMIT_NPROC") || text.contains("limit on threads"), "{text}");
        }
    });
}

#[test]
fn a_limit_on_locked_memory_is_named_where_the_process_locks_all_of_it() {
    succeeds_in_child("a_limit_on_locked_memory_is_named_where_the_process_locks_all_of_it", || {
        limit(libc::RLIMIT_MEMLOCK, 64 << 20);
        become_nobody();
        // SAFETY: locks what is mapped from now on.
        assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE) }, 0);
        for backing in ["anon", "shmem"] {
            let text = refusal(&format!("limit=1G,backing={backing}"));
            assert!(text.contains("mmap(2)") && text.contains("RLIMIT_MEMLOCK"), "{text}");
        }
    });
}

#[test]
fn a_process_that_locks_its_memory_gives_it_back_all_the_same() {
    succeeds_in_child("a_process_that_locks_its_memory_gives_it_back_all_the_same", || {
        // SAFETY: locks what is touched from now on.
        if unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) } != 0 {
            return eprintln!("skipped: {}", std::io::Error::last_os_error());
        }
        for backing in ["anon", "shmem"] {
            let heap = works(&format!("limit=64M,heap=4M,backing={backing}"));
            let mut m = heap.attach();
            let chain = m.root::<Link>(None);
            for _ in 0..3 {
                // Fills it, and lets go of all of it.
                let mut number = 0;
                while grow(&m, &chain, number) {
                    number += 1;
                }
                chain.set(None);
                m.reclaim(MB).expect("nothing is held");
                m.collect();
            }
        }
    });
}
