//! Structures of the sizes that break collectors: a list ten million nodes long, an array of ten million references.
//!
//! A list is what overflows a recursive marker: as deep as it is long. An array is the opposite, as wide as it is long: it overflows a mark
//! stack that pushes every element, and it is one object on twenty thousand pages, of which a write must cost one and not all. Both are
//! built, collected with mutators running and with mutators stopped, counted object by object by the collector and walked element by
//! element by the mutator. A list is also reversed in place while it is marked, which moves every one of its references over the marker's head.
//!
//! The same is done with mark stacks of eight entries ([`Defect::TinyMarkStack`]), so that nearly everything reachable goes through the
//! overflow set: lists, trees, wide arrays, and medium objects that lie across a page boundary.
//!
//! What the collector says it found (`objects_marked`, `live_bytes`) is compared with what was built, which is known exactly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::__private::Defect;
use pagemark::telemetry::{CycleReport, EventListener};
use pagemark::typed::{Array, Field, Heap, Mutator, Root};
use pagemark::{Config, Trace};
use pagemark_workspace::{Watchdog, while_collecting};

const TEN_MILLION: usize = 10_000_000;
const PAGE: usize = 4096;

fn watchdog() -> Watchdog {
    Watchdog::start(Duration::from_secs(300))
}

#[derive(Trace)]
struct Node {
    next: Field<Node>,
    number: u64,
}

/// Bytes of a [`Node`] in the heap: its type's word, its fields, up to the next granule.
const NODE: u64 = 32;

#[derive(Trace)]
struct Tree {
    left: Field<Tree>,
    right: Field<Tree>,
    number: u64,
}

/// Keeps every cycle's report.
#[derive(Default)]
struct Reports(Mutex<Vec<CycleReport>>);

impl EventListener for Reports {
    fn cycle_ended(&self, report: &CycleReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

impl Reports {
    fn of(heap: &Heap) -> Arc<Reports> {
        let reports = Arc::new(Reports::default());
        heap.raw().add_listener(reports.clone());
        reports
    }

    fn take(&self) -> Vec<CycleReport> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// One more cycle, during which this mutator does nothing.
    fn collect(&self, m: &mut Mutator) -> CycleReport {
        self.take();
        m.collect();
        self.take().pop().expect("collect() ran a cycle")
    }
}

fn heap(config: &str) -> Heap {
    Heap::new(&Config::parse(config).expect("a configuration")).expect("a heap")
}

/// A list `length - 1, ..., 1, 0` behind a root; polls as it goes.
fn list(m: &mut Mutator, length: usize) -> Root<Node> {
    let head = m.root::<Node>(None);
    let mut number = 0;
    while number < length {
        let mut first = head.get(m);
        for _ in 0..1000.min(length - number) {
            let node = m.alloc(Node { next: Field::null(), number: number as u64 }).expect("below the limit");
            node.next.set(first);
            first = Some(node);
            number += 1;
        }
        head.set(first);
        m.poll();
    }
    head
}

/// Walks a list; every number must be the one before plus `step`.
fn walk(m: &Mutator, head: &Root<Node>, length: usize, step: i64) {
    let mut at = head.get(m);
    let mut seen = 0;
    let mut before: Option<u64> = None;
    while let Some(node) = at {
        if let Some(before) = before {
            assert_eq!(node.number as i64, before as i64 + step, "at node {seen}");
        }
        before = Some(node.number);
        seen += 1;
        at = node.value().next.get(m);
    }
    assert_eq!(seen, length);
}

/// Every number from 0 on in an object of its own, behind an array.
fn array(m: &mut Mutator, length: usize) -> Root<Array<u64>> {
    let root = m.root(Some(m.alloc_array::<u64>(length).expect("below the limit")));
    for from in (0..length).step_by(1000) {
        let array = root.get(m).expect("rooted");
        for i in from..(from + 1000).min(length) {
            array[i].set(Some(m.alloc(i as u64).expect("below the limit")));
        }
        m.poll();
    }
    root
}

#[test]
fn a_list_of_ten_million_nodes_is_marked_whole_concurrently_and_stopped() {
    let _watchdog = watchdog();
    for mechanism in ["async", "stop"] {
        let heap = heap(&format!("mechanism={mechanism},limit=2G"));
        let reports = Reports::of(&heap);
        let mut m = heap.attach();
        let head = list(&mut m, TEN_MILLION);
        let report = reports.collect(&mut m);
        assert_eq!(report.objects_marked, TEN_MILLION as u64, "{mechanism}");
        assert_eq!(report.live_bytes, TEN_MILLION as u64 * NODE, "{mechanism}");
        walk(&m, &head, TEN_MILLION, -1);
    }
}

#[test]
fn an_array_of_ten_million_references_is_marked_whole_concurrently_and_stopped() {
    let _watchdog = watchdog();
    for mechanism in ["async", "stop"] {
        let heap = heap(&format!("mechanism={mechanism},limit=2G"));
        let reports = Reports::of(&heap);
        let mut m = heap.attach();
        let root = array(&mut m, TEN_MILLION);
        let report = reports.collect(&mut m);
        assert_eq!(report.objects_marked, TEN_MILLION as u64 + 1, "{mechanism}");
        let array_bytes = (TEN_MILLION * 8 + 16).next_multiple_of(PAGE);
        assert_eq!(report.live_bytes, (TEN_MILLION * 16 + array_bytes) as u64, "{mechanism}");
        let array = root.get(&m).expect("rooted");
        assert!(array.iter().enumerate().all(|(i, slot)| slot.get(&m).map(|n| *n) == Some(i as u64)), "{mechanism}");
    }
}

/// Reverses the list in place, some nodes at a time.
fn reverse(m: &mut Mutator, head: &Root<Node>) {
    let done = m.root::<Node>(None);
    while let Some(mut first) = head.get(m) {
        let mut behind = done.get(m);
        let mut rest = None;
        for _ in 0..2000 {
            rest = first.value().next.get(m);
            first.next.set(behind);
            behind = Some(first);
            let Some(next) = rest else { break };
            first = next;
        }
        done.set(behind);
        head.set(rest);
        m.poll();
    }
    head.set(done.get(m));
}

#[test]
fn a_list_reversed_in_place_while_it_is_marked_loses_nothing() {
    let _watchdog = watchdog();
    const LENGTH: usize = 500_000;
    for config in ["mechanism=async", "mechanism=async,backing=shmem,markers=2", "mechanism=sync", "mechanism=mprotect"]
    {
        let heap = heap(&format!("{config},limit=256M"));
        let mut m = heap.attach();
        let head = list(&mut m, LENGTH);
        let turns = while_collecting(&mut m, |m| {
            let before = heap.raw().cycles();
            let mut turns = 0;
            while turns < 4 || heap.raw().cycles() < before + 4 {
                reverse(m, &head);
                turns += 1;
            }
            turns
        });
        walk(&m, &head, LENGTH, if turns % 2 == 0 { -1 } else { 1 });
        assert_eq!(heap.summary().verify_failures, 0, "{config}");
    }
}

#[test]
fn a_big_array_of_which_one_element_is_written_has_only_that_page_rescanned() {
    let _watchdog = watchdog();
    const LENGTH: usize = TEN_MILLION;
    const ELEMENT: usize = LENGTH / 3;
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        let heap = heap(&format!("mechanism={mechanism},limit=512M"));
        let reports = Reports::of(&heap);
        let mut m = heap.attach();
        let root = m.root(Some(m.alloc_array::<u64>(LENGTH).expect("below the limit")));
        let values = m.root(Some(m.alloc_array::<u64>(100).expect("below the limit")));
        for i in 0..100 {
            values.get(&m).expect("rooted")[i].set(Some(m.alloc(i as u64).expect("below the limit")));
        }
        // The first two cycles arm it all: the pacer may have begun one before the array was made.
        reports.collect(&mut m);
        reports.collect(&mut m);
        let armed = heap.summary().pages_armed as usize;
        assert!(armed > LENGTH * 8 / PAGE, "{mechanism}: only {armed} pages armed");
        let writes = while_collecting(&mut m, |m| {
            let before = heap.raw().cycles();
            let mut writes = 0;
            while heap.raw().cycles() < before + 5 {
                let (array, values) = (root.get(m).expect("rooted"), values.get(m).expect("rooted"));
                array[ELEMENT].set(values[writes % 100].get(m));
                writes += 1;
                m.poll();
            }
            writes
        });
        assert!(writes > 100, "{writes} writes: the cycles did not run beside them");
        let reports = reports.take();
        assert!(reports.len() >= 5);
        assert!(reports.iter().any(|r| r.pages_dirty + r.pages_residual > 0), "{mechanism}: no write was ever seen");
        for report in &reports {
            let pages = report.pages_armed + report.pages_dirty + report.pages_residual;
            // That page, and the one that holds the values: in the arming, in each round, in the pause.
            assert!(pages <= 2 * (2 + u64::from(report.rounds)), "{mechanism}: {report:?}");
        }
        let last = root.get(&m).expect("rooted")[ELEMENT].get(&m).map(|value| *value);
        assert_eq!(last, Some((writes - 1) as u64 % 100), "{mechanism}");
    }
}

/// A complete tree of `depth` levels below its top.
fn tree<'m>(m: &'m Mutator, depth: u32) -> pagemark::typed::Ref<'m, Tree> {
    let node =
        m.alloc(Tree { left: Field::null(), right: Field::null(), number: u64::from(depth) }).expect("below the limit");
    if depth > 0 {
        node.left.set(Some(tree(m, depth - 1)));
        node.right.set(Some(tree(m, depth - 1)));
    }
    node
}

fn count(m: &Mutator, node: Option<pagemark::typed::Ref<'_, Tree>>, depth: u32) -> u64 {
    let Some(node) = node else { return 0 };
    assert_eq!(node.number, u64::from(depth));
    let (left, right) = (node.value().left.get(m), node.value().right.get(m));
    if depth == 0 {
        assert!(left.is_none() && right.is_none());
        return 1;
    }
    1 + count(m, left, depth - 1) + count(m, right, depth - 1)
}

#[test]
fn a_mark_stack_of_eight_entries_loses_nothing() {
    let _watchdog = watchdog();
    const LENGTH: usize = 100_000;
    const DEPTH: u32 = 15;
    for config in ["mechanism=async", "mechanism=async,markers=4", "mechanism=stop", "mechanism=stop,markers=2"] {
        let config = Config::parse(&format!("{config},limit=256M,verify=mark")).expect("a configuration");
        let heap = Heap::with_defect(&config, Defect::TinyMarkStack).expect("a heap");
        let mut m = heap.attach();
        let head = list(&mut m, LENGTH);
        let numbers = array(&mut m, LENGTH);
        let top = m.root(Some(tree(&m, DEPTH)));
        for _ in 0..3 {
            m.collect();
        }
        walk(&m, &head, LENGTH, -1);
        let array = numbers.get(&m).expect("rooted");
        assert!(array.iter().enumerate().all(|(i, slot)| slot.get(&m).map(|n| *n) == Some(i as u64)));
        assert_eq!(count(&m, top.get(&m), DEPTH), (1 << (DEPTH + 1)) - 1);
        assert_eq!(heap.summary().verify_failures, 0, "{config}");
    }
}

const ARRAYS: usize = 100;
/// Makes an array of less than 8 KB, not large, that lies on two or three pages.
const WIDE: usize = 900;

#[derive(Trace)]
struct Holder {
    arrays: [Field<Array<Node>>; ARRAYS],
}

#[test]
fn a_mark_stack_of_eight_entries_loses_nothing_of_objects_across_pages() {
    let _watchdog = watchdog();
    for mechanism in ["async", "stop"] {
        let config = Config::parse(&format!("mechanism={mechanism},limit=256M,verify=mark")).expect("a configuration");
        let heap = Heap::with_defect(&config, Defect::TinyMarkStack).expect("a heap");
        let mut m = heap.attach();
        let holder = m.alloc(Holder { arrays: [const { Field::null() }; ARRAYS] }).expect("below the limit");
        for i in 0..ARRAYS {
            let array = m.alloc_array::<Node>(WIDE).expect("below the limit");
            holder.arrays[i].set(Some(array));
            for j in 0..WIDE {
                let number = (i * WIDE + j) as u64;
                array[j].set(Some(m.alloc(Node { next: Field::null(), number }).expect("below the limit")));
            }
        }
        let root = m.root(Some(holder));
        for _ in 0..3 {
            m.collect();
        }
        assert_eq!(heap.summary().verify_failures, 0, "{mechanism}");
        let holder = root.get(&m).expect("rooted").value();
        for (i, array) in holder.arrays.iter().enumerate() {
            for (j, field) in array.get(&m).expect("still there").iter().enumerate() {
                assert_eq!(field.get(&m).map(|node| node.number), Some((i * WIDE + j) as u64), "{mechanism}");
            }
        }
    }
}

/// Collects three times with each number of markers, both ways; returns what each cycle counted, one marker first. `build` makes what is alive.
fn counted<R>(build: impl Fn(&mut Mutator) -> R) -> Vec<(u64, u64)> {
    let mut counts = Vec::new();
    for markers in [1, 2, 4] {
        for mechanism in ["async", "stop"] {
            let config = format!("markers={markers},mechanism={mechanism},limit=256M,verify=mark");
            let heap = heap(&config);
            let reports = Reports::of(&heap);
            let mut m = heap.attach();
            let _alive = build(&mut m);
            for _ in 0..3 {
                let report = reports.collect(&mut m);
                counts.push((report.objects_marked, report.live_bytes));
            }
            assert_eq!(heap.summary().verify_failures, 0, "{config}");
        }
    }
    counts
}

#[test]
fn any_number_of_markers_finds_the_same_objects() {
    let _watchdog = watchdog();
    const LENGTH: usize = 300_000;
    let counts = counted(|m| (array(m, LENGTH), list(m, LENGTH), m.root(Some(tree(m, 16)))));
    let objects = (2 * LENGTH + 1 + ((1 << 17) - 1)) as u64;
    assert!(counts.iter().all(|(marked, _)| *marked == objects), "{objects} objects: {counts:?}");
    assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
}

#[test]
fn markers_that_meet_in_shared_objects_count_each_once() {
    let _watchdog = watchdog();
    const LENGTH: usize = 300_000;
    let counts = counted(|m| {
        let list = list(m, LENGTH);
        // All of them again, in another order.
        let again = m.root(Some(m.alloc_array::<Node>(LENGTH).expect("below the limit")));
        let mut at = list.get(m);
        let mut i = 0;
        while let Some(node) = at {
            again.get(m).expect("rooted")[i * 7919 % LENGTH].set(Some(node));
            at = node.value().next.get(m);
            i += 1;
        }
        (list, again)
    });
    let objects = LENGTH as u64 + 1;
    assert!(counts.iter().all(|count| *count == counts[0] && count.0 == objects), "{objects} objects: {counts:?}");
}
