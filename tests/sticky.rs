//! Sticky cycles: those that keep the marks of the cycle before, and so collect only what is new.
//!
//! What can go wrong is one thing above all: an old object, which is not traced again, is made to refer to a new one, and nobody but the barrier
//! knows. So here old objects are, by every mechanism that sees writes, in every kind of page: of small objects and of large ones, in blocks with holes
//! that new objects fill, and before the first sticky cycle as well as between two. The rest is what such a cycle promises to do and not to
//! do: it frees what died young, keeps what died old, and leaves that to a full one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::__private::Defect;
use pagemark::telemetry::{CycleKind, CycleReport, EventListener};
use pagemark::typed::{Array, Field, Heap, Mutator, Ref, Root};
use pagemark::{Config, Trace};
use pagemark_workspace::Watchdog;

const MECHANISMS: [&str; 5] = ["async", "sync", "sigbus", "mprotect", "cards"];
/// Old objects, in 80 blocks.
const OLD: usize = 80_000;
const LARGE: usize = 100_000;

#[derive(Trace)]
struct Node {
    to: Field<Node>,
    next: Field<Node>,
    number: u64,
    check: u64,
}

fn node(number: u64) -> Node {
    Node { to: Field::null(), next: Field::null(), number, check: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

fn intact(node: Ref<'_, Node>) -> bool {
    node.check == node.number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Hears of the end of each cycle.
#[derive(Default)]
struct Ends {
    sticky: AtomicU64,
    full: AtomicU64,
    last: Mutex<CycleReport>,
}

impl EventListener for Ends {
    fn cycle_ended(&self, report: &CycleReport) {
        *self.last.lock().expect("nobody panics with it") = report.clone();
        let count = if report.kind == CycleKind::Sticky { &self.sticky } else { &self.full };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ends {
    fn sticky(&self) -> u64 {
        self.sticky.load(Ordering::Relaxed)
    }
}

fn heap(keys: &str, defect: Option<Defect>) -> (Heap, Arc<Ends>) {
    let size = if keys.contains("heap=") { "" } else { "heap=16M," };
    let config = Config::parse(&format!("limit=256M,{size}{keys}")).expect("the keys are valid");
    let heap = match defect {
        None => Heap::new(&config),
        Some(defect) => Heap::with_defect(&config, defect),
    };
    let heap = heap.expect("works on this machine");
    let ends = Arc::new(Ends::default());
    heap.raw().add_listener(ends.clone());
    (heap, ends)
}

/// Stores, and marks the card where there are cards.
fn store(m: &Mutator, field: &Field<Node>, target: Option<Ref<'_, Node>>) {
    field.set(target);
    if let Some(cards) = m.cards() {
        // SAFETY: a field of a tracked object of a heap that is alive; no safepoint since the store.
        unsafe { cards.mark(field.address()) };
    }
}

/// Garbage until another sticky cycle is over. False if there is none for long.
fn until_sticky(m: &mut Mutator, ends: &Ends) -> bool {
    let before = ends.sticky();
    for round in 0..20_000 {
        for number in 0..500 {
            if m.alloc(node(number)).is_err() {
                m.reclaim(size_of::<Node>()).expect("nearly nothing lives");
            }
        }
        m.poll();
        if ends.sticky() > before {
            return true;
        }
        if round % 64 == 63 {
            m.blocking(|| std::thread::sleep(Duration::from_millis(1)));
        }
    }
    false
}

/// Old objects: a large array of small ones.
fn old(m: &mut Mutator) -> Root<Array<Node>> {
    let array = m.root(Some(m.alloc_array::<Node>(OLD).expect("it fits")));
    for index in 0..OLD {
        let fresh = m.alloc(node(index as u64)).expect("it fits");
        store(m, &array.get(m).expect("rooted").value()[index], Some(fresh));
        // Every other place becomes a hole.
        m.alloc(node(0)).expect("it fits");
        if index % 512 == 0 {
            m.poll();
        }
    }
    m.collect();
    array
}

fn old_refer_to_new(keys: &str, defect: Option<Defect>) -> (usize, u64) {
    let (heap, ends) = heap(keys, defect);
    let mut m = heap.attach();
    let array = old(&mut m);
    let mut lost = 0;
    let mut state = 88_172_645_463_325_252_u64;
    for round in 1..=6_u64 {
        let mut changed = Vec::new();
        for _ in 0..200 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let index = (state >> 20) as usize % OLD;
            let number = round << 32 | index as u64;
            let (fresh, behind) =
                (m.alloc(node(number)).expect("it fits"), m.alloc(node(number + 1)).expect("it fits"));
            store(&m, &fresh.to, Some(behind));
            let slot = &array.get(&m).expect("rooted").value()[index];
            let at = slot.get(&m).expect("every slot has one");
            // Half of them hang on a small old object, half on the large one.
            if index.is_multiple_of(2) {
                store(&m, &at.to, Some(fresh))
            } else {
                store(&m, slot, Some(fresh))
            };
            changed.retain(|(other, _)| *other != index);
            changed.push((index, number));
        }
        assert!(until_sticky(&mut m, &ends), "{keys}: no sticky cycle in round {round}");
        // What was freed is used again.
        assert!(until_sticky(&mut m, &ends), "{keys}: no sticky cycle in round {round}");
        for (index, number) in changed {
            let at = array.get(&m).expect("rooted").value()[index].get(&m).expect("every slot has one");
            let fresh = if index.is_multiple_of(2) { at.to.get(&m).expect("it was set") } else { at };
            let right = fresh.number == number && intact(fresh);
            let behind =
                if right { fresh.to.get(&m).filter(|node| node.number == number + 1 && intact(*node)) } else { None };
            lost += usize::from(behind.is_none());
        }
        if lost > 0 {
            break;
        }
    }
    (lost, heap.summary().verify_failures)
}

#[test]
fn what_old_objects_are_made_to_refer_to_lives() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in MECHANISMS {
        for backing in ["anon", "shmem"] {
            for keys in
                ["sticky=always", "sticky=always,verify=all,poison", "sticky=always,rounds=0,markers=2,verify=mark"]
            {
                let keys = format!("mechanism={mechanism},backing={backing},{keys}");
                assert_eq!(old_refer_to_new(&keys, None), (0, 0), "{keys}");
            }
        }
    }
}

#[test]
fn the_oracle_finds_every_write_between_sticky_cycles_reported() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        let keys = format!("mechanism={mechanism},sticky=always,oracle");
        assert_eq!(old_refer_to_new(&keys, None), (0, 0), "{keys}");
    }
}

#[test]
fn to_forget_what_was_written_between_two_cycles_is_caught() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let forget = Some(Defect::ForgetOldToYoung);
    let (lost, _) = old_refer_to_new("mechanism=async,sticky=always", forget);
    assert!(lost > 0, "not by its result");
    let (_, failures) = old_refer_to_new("mechanism=async,sticky=always,verify=mark", forget);
    assert!(failures > 0, "not by verify");
}

#[test]
fn a_report_that_is_dropped_between_two_cycles_is_caught_by_the_oracle() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let (_, failures) = old_refer_to_new("mechanism=async,sticky=always,oracle", Some(Defect::DropDirtyPage));
    assert!(failures > 0);
}

#[test]
fn what_dies_young_is_freed_and_what_dies_old_stays_until_a_full_cycle() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    // So much room that no full cycle comes in between.
    let (heap, ends) = heap("heap=64M,mechanism=async,sticky=always", None);
    let mut m = heap.attach();
    let array = old(&mut m);
    let bytes = (OLD * size_of::<Node>()) as u64;
    let live = heap.summary().live_bytes_last;
    assert!(live >= bytes, "{live}");
    array.set(None);
    assert!(until_sticky(&mut m, &ends) && until_sticky(&mut m, &ends));
    let summary = heap.summary();
    assert!(summary.live_bytes_last >= bytes, "old garbage is kept: {summary:?}");
    let marked = ends.last.lock().expect("nobody panics with it").young_bytes;
    assert!(marked < bytes / 4, "a sticky cycle marks what is new: {marked} bytes");
    // All of this is young garbage, many times the limit.
    let full = ends.full.load(Ordering::Relaxed);
    let before = ends.sticky();
    for _ in 0..40 {
        assert!(until_sticky(&mut m, &ends));
    }
    assert!(ends.full.load(Ordering::Relaxed) - full <= (ends.sticky() - before) / 8, "sticky cycles do the work");
    m.collect();
    let live = heap.summary().live_bytes_last;
    assert!(live < bytes / 4, "a full cycle frees it: {live}");
}

#[test]
fn large_objects_die_young_and_live_on_like_small_ones() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for keys in ["mechanism=async,sticky=always,verify=all", "mechanism=sigbus,sticky=always,verify=all"] {
        let (heap, ends) = heap(keys, None);
        let mut m = heap.attach();
        m.collect();
        let kept = m.root::<Array<Node>>(None);
        let held = m.root::<Node>(None);
        for round in 0..40_u64 {
            // One that dies, and one that lives, each with a small one behind it.
            for root in [&m.root::<Array<Node>>(None), &kept] {
                root.set(Some(m.alloc_array::<Node>(LARGE / 8).expect("it fits")));
                let fresh = m.alloc(node(round)).expect("it fits");
                store(&m, &root.get(&m).expect("rooted").value()[LARGE / 16], Some(fresh));
            }
            held.set(Some(m.alloc(node(round)).expect("it fits")));
            assert!(until_sticky(&mut m, &ends), "{keys}");
            let fresh = kept.get(&m).expect("rooted").value()[LARGE / 16].get(&m).expect("it was stored");
            assert!(fresh.number == round && intact(fresh), "{keys}");
            let held = held.get(&m).expect("rooted");
            assert!(held.number == round && intact(held), "{keys}");
        }
        assert_eq!(heap.summary().verify_failures, 0, "{keys}");

        // Dead before a sticky cycle, and freed by it: with luck, no full one comes in between.
        let freed_by_a_sticky_one = (0..10).any(|_| {
            let full = ends.full.load(Ordering::Relaxed);
            let dead = m.alloc_array::<Node>(LARGE / 8).expect("it fits").address();
            assert!(heap.raw().object_at(dead).is_some_and(|(start, _)| start == dead));
            assert!(until_sticky(&mut m, &ends), "{keys}");
            let freed = || heap.raw().object_at(dead).is_none_or(|(start, _)| start != dead);
            let start = std::time::Instant::now();
            while !freed() && start.elapsed() < Duration::from_millis(200) {
                m.blocking(|| std::thread::sleep(Duration::from_millis(1)));
            }
            let freed = freed();
            freed && ends.full.load(Ordering::Relaxed) == full
        });
        assert!(freed_by_a_sticky_one, "{keys}");
    }
}

#[test]
fn off_means_none_and_so_do_mechanisms_that_see_no_writes() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for keys in ["mechanism=async,sticky=off", "mechanism=stop,sticky=always", "mechanism=none,sticky=always"] {
        let (heap, ends) = heap(&format!("{keys},zeal=safepoint:10"), None);
        let mut m = heap.attach();
        for number in 0..100_000 {
            m.alloc(node(number)).expect("it fits");
            m.poll();
        }
        while ends.full.load(Ordering::Relaxed) < 2 {
            m.poll();
        }
        let summary = heap.summary();
        assert!(summary.cycles_sticky == 0 && ends.sticky() == 0 && summary.cycles >= 2, "{keys}: {summary:?}");
    }
}

/// Cycles while a fragmented heap, which every second of many objects keeps, is filled many times over.
fn cycles_of_a_fragmented_heap(keys: &str) -> u64 {
    let config = Config::parse(&format!("limit=16M,heap=16M,{keys}")).expect("the keys are valid");
    let heap = Heap::new(&config).expect("works on this machine");
    let mut m = heap.attach();
    let array = m.root(Some(m.alloc_array::<Node>(OLD).expect("it fits")));
    for index in 0..OLD {
        let fresh = m.alloc(node(index as u64)).expect("it fits");
        store(&m, &array.get(&m).expect("rooted").value()[index], Some(fresh));
        m.alloc(node(0)).expect("it fits");
    }
    m.collect();
    let before = heap.summary().cycles;
    for number in 0..3_000_000 {
        if m.alloc(node(number)).is_err() {
            m.reclaim(size_of::<Node>()).expect("half lives");
        }
        if number % 512 == 0 {
            m.poll();
        }
    }
    heap.summary().cycles - before
}

#[test]
fn where_there_are_no_sticky_cycles_holes_are_filled_before_the_next() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let off = cycles_of_a_fragmented_heap("mechanism=stop,sticky=off");
    let auto = cycles_of_a_fragmented_heap("mechanism=stop");
    assert!(off > 5 && auto <= off + 1, "{off} cycles, and {auto} where sticky ones were thought to come");
}

#[test]
fn a_lower_limit_has_old_garbage_freed() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let (heap, ends) = heap("mechanism=async,sticky=always", None);
    let mut m = heap.attach();
    let array = old(&mut m);
    array.set(None);
    assert!(until_sticky(&mut m, &ends));
    let full = ends.full.load(Ordering::Relaxed);
    heap.raw().set_limit(4 << 20).expect("a limit the heap can have");
    while ends.full.load(Ordering::Relaxed) == full {
        m.poll();
    }
    assert!(heap.summary().live_bytes_last < 1 << 20, "{:?}", heap.summary());
}

#[test]
fn a_collection_that_is_asked_for_is_a_full_one() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let (heap, ends) = heap("mechanism=async,sticky=always,zeal=alloc:1", None);
    let mut m = heap.attach();
    let array = old(&mut m);
    array.set(None);
    for _ in 0..20 {
        let before = ends.full.load(Ordering::Relaxed);
        until_sticky(&mut m, &ends);
        m.collect();
        assert!(ends.full.load(Ordering::Relaxed) > before);
    }
}
