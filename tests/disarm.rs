//! Whether pages stay armed from one cycle to the next: not where a program writes to most of them.
//!
//! Old objects fill some hundred pages. A program that writes to all of them between two cycles is to find them disarmed, by every mechanism under which a
//! write faults, and then takes no faults; one that leaves them alone is to find nothing changed. And whatever is decided, no object is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pagemark::telemetry::{CycleReport, EventListener};
use pagemark::typed::{Array, Field, Heap, Mutator, Root};
use pagemark::{Config, Trace};
use pagemark_workspace::Watchdog;

const MECHANISMS: [&str; 4] = ["async", "sync", "sigbus", "mprotect"];
const OLD: usize = 40_000;
/// The least number of pages that the old objects take.
const PAGES: u64 = OLD as u64 * 32 / 4096;

#[derive(Trace)]
struct Node {
    to: Field<Node>,
    number: u64,
}

/// Hears after how many cycles pages were disarmed, and how many in all.
#[derive(Default)]
struct Disarmed {
    times: AtomicU64,
    pages: AtomicU64,
    lost: AtomicU64,
    /// Cycles after which nothing is left to do.
    over: AtomicU64,
}

impl Disarmed {
    /// Waits for what the collector's thread does after a cycle: it leaves off as soon as another is asked for.
    fn settled(&self, heap: &Heap) {
        while self.over.load(Ordering::Relaxed) < heap.summary().cycles {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl EventListener for Disarmed {
    fn pages_disarmed(&self, pages: u64) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.pages.fetch_add(pages, Ordering::Relaxed);
    }

    fn cycle_ended(&self, report: &CycleReport) {
        self.lost.fetch_add(report.verify_failures, Ordering::Relaxed);
    }

    fn sweep_done(&self) {
        self.over.fetch_add(1, Ordering::Relaxed);
    }
}

fn heap(keys: &str) -> (Heap, Arc<Disarmed>) {
    let limit = if keys.contains("limit=") { "" } else { "limit=256M,heap=64M," };
    let config = Config::parse(&format!("{limit}{keys}")).expect("the keys are valid");
    let heap = Heap::new(&config).expect("works on this machine");
    let disarmed = Arc::new(Disarmed::default());
    heap.raw().add_listener(disarmed.clone());
    (heap, disarmed)
}

/// Many small objects, that a large one refers to.
fn old(m: &mut Mutator) -> Root<Array<Node>> {
    let array = m.root(Some(m.alloc_array::<Node>(OLD).expect("it fits")));
    for index in 0..OLD {
        let fresh = m.alloc(Node { to: Field::null(), number: index as u64 }).expect("it fits");
        array.get(m).expect("rooted").value()[index].set(Some(fresh));
        if index % 512 == 0 {
            m.poll();
        }
    }
    m.collect();
    array
}

/// Hangs a new object on every `every`th old one, in place of the one that hung there.
fn write(m: &Mutator, array: &Root<Array<Node>>, every: usize, turn: usize) {
    for slot in array.get(m).expect("rooted").value().iter().step_by(every) {
        let at = slot.get(m).expect("every slot has one");
        let fresh = m.alloc(Node { to: Field::null(), number: at.number + turn as u64 }).expect("it fits");
        at.to.set(Some(fresh));
    }
}

/// Page faults the calling thread took so far.
fn faults() -> u64 {
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    // SAFETY: the call fills a structure of ours.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_minflt as u64
}

/// Writes to every `every`th old object between `cycles` cycles, and sees that nothing is lost. Returns after how many cycles pages were disarmed.
fn program(keys: &str, every: usize, cycles: usize) -> u64 {
    let (heap, disarmed) = heap(&format!("verify=mark,{keys}"));
    let mut m = heap.attach();
    let array = old(&mut m);
    for turn in 1..=cycles {
        disarmed.settled(&heap);
        write(&m, &array, every, turn);
        m.collect();
    }
    for (index, slot) in array.get(&m).expect("rooted").value().iter().enumerate() {
        let at = slot.get(&m).expect("every slot has one");
        let found = at.to.get(&m).map_or(0, |last| last.number - at.number);
        let last = if index.is_multiple_of(every) { cycles } else { 0 };
        assert_eq!((at.number, found), (index as u64, last as u64), "{keys}: an object was lost");
    }
    // The end of the heap waits for its thread, which disarms after a cycle is over.
    drop((array, m, heap));
    assert_eq!(disarmed.lost.load(Ordering::Relaxed), 0, "{keys}");
    disarmed.times.load(Ordering::Relaxed)
}

#[test]
fn pages_are_disarmed_where_a_program_writes_to_most_of_them_and_nowhere_else() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in MECHANISMS {
        for backing in ["anon", "shmem"] {
            let keys = format!("mechanism={mechanism},backing={backing}");
            // The second cycle of seven finds out, and four go by until another look: that of the seventh.
            assert_eq!(program(&keys, 1, 6), 5, "{keys}");
            assert_eq!(program(&keys, OLD / 8, 6), 0, "{keys}: one object in thousands was written");
        }
    }
}

#[test]
fn who_decides_beforehand_is_obeyed_and_loses_nothing() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in MECHANISMS {
        let keys = format!("mechanism={mechanism}");
        assert_eq!(program(&format!("{keys},disarm=off"), 1, 3), 0, "{keys}");
        // After the cycle that makes the objects old, too.
        assert_eq!(program(&format!("{keys},disarm=always"), 3, 3), 4, "{keys}");
    }
}

#[test]
fn a_sticky_cycle_after_pages_were_disarmed_loses_nothing() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in MECHANISMS {
        let keys = format!("mechanism={mechanism},sticky=always,disarm=always,zeal=safepoint:1,verify=mark");
        let (heap, disarmed) = heap(&keys);
        let mut m = heap.attach();
        let array = old(&mut m);
        // Making the objects takes as many cycles as there is time for, sticky ones among them: those saw no writes.
        let before = heap.summary().cycles_sticky;
        let mut turn = 0;
        while heap.summary().cycles_sticky < before + 5 {
            turn += 1;
            write(&m, &array, 7, turn);
            // Asks for a cycle; the next begins when this one's pages have been disarmed.
            let cycles = heap.summary().cycles;
            m.poll();
            m.blocking(|| {
                while heap.summary().cycles == cycles {
                    std::thread::sleep(Duration::from_millis(1));
                }
                disarmed.settled(&heap);
            });
        }
        for slot in array.get(&m).expect("rooted").value().iter().step_by(7) {
            let at = slot.get(&m).expect("every slot has one");
            assert_eq!(at.to.get(&m).map(|last| last.number - at.number), Some(turn as u64), "{keys}");
        }
        drop((array, m, heap));
        assert_eq!(disarmed.lost.load(Ordering::Relaxed), 0, "{keys}");
        assert!(
            disarmed.times.load(Ordering::Relaxed) >= 5 && disarmed.pages.load(Ordering::Relaxed) >= 5 * PAGES,
            "{keys}"
        );
    }
}

#[test]
fn what_was_never_armed_does_not_count_as_written() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    for mechanism in MECHANISMS {
        let (heap, disarmed) = heap(&format!("mechanism={mechanism},limit=24M"));
        let mut m = heap.attach();
        let array = old(&mut m);
        for turn in 1..=3 {
            // Large objects, no scan has covered them, until the heap is full: then a cycle marks them that scans nothing. Nothing old was written.
            let mut large = Vec::new();
            loop {
                match m.alloc_array::<Node>(OLD).map(|one| m.root(Some(one))) {
                    Ok(root) => large.push(root),
                    Err(_) if m.reclaim(OLD * 8).is_ok() => {}
                    Err(_) => break,
                }
            }
            assert!(heap.summary().cycles_stw >= turn, "{mechanism}");
            m.collect();
        }
        drop((array, m, heap));
        assert_eq!(disarmed.times.load(Ordering::Relaxed), 0, "{mechanism}");
    }
}

#[test]
fn where_no_write_faults_nothing_is_disarmed() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    assert_eq!(program("mechanism=stop", 1, 3), 0);
}

#[test]
fn pages_that_were_disarmed_are_written_without_faults() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let faults_of_writing = |disarm: &str| {
        let (heap, disarmed) = heap(&format!("mechanism=async,disarm={disarm}"));
        let mut m = heap.attach();
        let array = old(&mut m);
        disarmed.settled(&heap);
        let pages = disarmed.pages.load(Ordering::Relaxed);
        assert!(pages >= PAGES || disarm == "off", "{pages} pages, and there are {PAGES}");
        let before = faults();
        for slot in array.get(&m).expect("rooted").value().iter() {
            slot.get(&m).expect("every slot has one").to.set(None);
        }
        faults() - before
    };
    let (left, disarmed) = (faults_of_writing("off"), faults_of_writing("always"));
    assert!(left >= PAGES, "{left} faults where {PAGES} pages are armed");
    assert!(disarmed < PAGES / 10, "{disarmed} faults where no page of {PAGES} is armed");
}
