//! What embedders and the kernel may do to heap memory without a write being lost: `mprotect` and back, being merged, being given back and used again.
//!
//! `docs/embedding.md` lists the rules these tests stand behind.

use std::time::{Duration, Instant};

use pagemark::__private::{Call, FaultPlan, Kernel, Outcome, When};
use pagemark::typed::{Field, Heap, Mutator, Ref, Root};
use pagemark::{Config, Exhausted, Trace};
use pagemark_workspace::{Watchdog, succeeds_in_child, while_collecting};

#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
    value: u64,
}

const LEVELS: u32 = 14;
/// Levels of the subtrees that are replaced.
const SMALL: u32 = 4;
const PAGE: usize = 4096;

fn build(m: &Mutator, levels: u32) -> Result<Ref<'_, Node>, Exhausted> {
    let node = m.alloc(Node { left: Field::null(), right: Field::null(), value: u64::from(levels) })?;
    if levels > 1 {
        node.left.set(Some(build(m, levels - 1)?));
        node.right.set(Some(build(m, levels - 1)?));
    }
    Ok(node)
}

/// A tree of this many levels, after collections if need be.
fn grow(m: &mut Mutator, levels: u32) -> Root<Node> {
    loop {
        if let Ok(tree) = build(m, levels) {
            return m.root(Some(tree));
        }
        m.reclaim(1 << 16).expect("the live trees are far below the limit");
    }
}

fn check(m: &Mutator, root: &Root<Node>) {
    fn count(m: &Mutator, node: Ref<'_, Node>, levels: u32) -> u64 {
        assert_eq!(node.value, u64::from(levels), "a node of another level, or none");
        let below = |field: &Field<Node>| field.get(m).map_or(0, |child| count(m, child, levels - 1));
        1 + below(&node.left) + below(&node.right)
    }
    assert_eq!(count(m, root.get(m).expect("rooted"), LEVELS), (1 << LEVELS) - 1);
}

/// Replaces small subtrees all over the tree: writes to old pages, in no order.
fn change(m: &mut Mutator, root: &Root<Node>, random: &mut u64, times: u32) {
    for _ in 0..times {
        loop {
            if let Ok(fresh) = build(m, SMALL) {
                let mut node = root.get(m).expect("rooted");
                *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                for level in 0..LEVELS - SMALL - 1 {
                    let field = if *random >> (33 + level) & 1 == 0 { &node.left } else { &node.right };
                    node = field.get(m).expect("the tree is full");
                }
                let field = if *random >> 63 == 0 { &node.left } else { &node.right };
                field.set(Some(fresh));
                break;
            }
            m.reclaim(1 << 16).expect("the live tree is far below the limit");
        }
        m.poll();
    }
}

/// Runs of pages that hold nodes of the tree.
fn pages(m: &Mutator, root: &Root<Node>) -> Vec<std::ops::Range<usize>> {
    fn collect(m: &Mutator, node: Ref<'_, Node>, pages: &mut Vec<usize>) {
        pages.push(node.address() / PAGE * PAGE);
        for child in [&node.left, &node.right].into_iter().filter_map(|field| field.get(m)) {
            collect(m, child, pages);
        }
    }
    let mut all = Vec::new();
    collect(m, root.get(m).expect("rooted"), &mut all);
    all.sort_unstable();
    all.dedup();
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for page in all {
        match runs.last_mut() {
            Some(run) if run.end == page => run.end += PAGE,
            _ => runs.push(page..page + PAGE),
        }
    }
    runs
}

fn heap(keys: &str, kernel: &Kernel) -> Option<Heap> {
    let config = Config::parse(&format!("limit=64M,heap=4M,verify=mark,{keys}")).expect("the keys are valid");
    Heap::with_kernel(&config, kernel).inspect_err(|error| eprintln!("skipped {keys}: {error}")).ok()
}

#[test]
fn nothing_is_lost_when_an_embedder_takes_the_right_to_write_and_gives_it_back() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    for mechanism in ["async", "sync", "sigbus"] {
        for backing in ["anon", "shmem"] {
            let keys = format!("mechanism={mechanism},backing={backing}");
            let Some(heap) = heap(&keys, &Kernel::real()) else { continue };
            let mut m = heap.attach();
            let root = grow(&mut m, LEVELS);
            let mut random = 1;
            for round in 0..12 {
                // Arms whatever was written; in every other round more is written before the pages change hands.
                m.collect();
                if round % 2 == 1 {
                    change(&mut m, &root, &mut random, 20);
                }
                for run in pages(&m, &root) {
                    for protection in [libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE] {
                        // SAFETY: pages of the heap; this thread is its only mutator and does not write meanwhile.
                        let result = unsafe { libc::mprotect(run.start as *mut _, run.len(), protection) };
                        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
                    }
                }
                while_collecting(&mut m, |m| change(m, &root, &mut random, 300));
                check(&m, &root);
            }
            drop(m);
            assert_eq!(heap.summary().verify_failures, 0, "{keys}");
        }
    }
}

#[test]
fn the_same_work_shows_when_arming_is_lost() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    let plan = FaultPlan::new(0);
    let Some(heap) = heap("mechanism=sync", &Kernel::failing(&plan)) else { return };
    let mut m = heap.attach();
    let root = grow(&mut m, LEVELS);
    let mut random = 1;
    plan.set(Call::UffdProtect, When::Always, Outcome::Pretended);
    let start = Instant::now();
    while heap.summary().verify_failures == 0 {
        assert!(start.elapsed() < Duration::from_secs(100), "nothing is armed and nobody notices");
        m.collect();
        while_collecting(&mut m, |m| change(m, &root, &mut random, 300));
        // What verification finds unmarked it marks, so the tree is whole.
        check(&m, &root);
    }
}

#[test]
fn writes_to_memory_that_was_given_back_and_used_again_are_seen() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        for backing in ["anon", "shmem"] {
            let keys = format!("mechanism={mechanism},backing={backing}");
            let plan = FaultPlan::new(0);
            let Some(heap) = heap(&keys, &Kernel::failing(&plan)) else { continue };
            let mut m = heap.attach();
            let mut random = 7;
            for _ in 0..2 {
                // Six trees of 2^18 nodes are armed while they live, and given back when they are dead: more pages than the handler of `sigbus` bears
                // faults for nothing in a row.
                let before = plan.calls(Call::Release);
                let garbage: Vec<_> = (0..6).map(|_| grow(&mut m, 18)).collect();
                m.collect();
                drop(garbage);
                let start = Instant::now();
                while plan.calls(Call::Release) == before {
                    assert!(start.elapsed() < Duration::from_secs(60), "{keys}: nothing is given back");
                    m.collect();
                }
                let root = grow(&mut m, LEVELS);
                for _ in 0..4 {
                    m.collect();
                    while_collecting(&mut m, |m| change(m, &root, &mut random, 300));
                    check(&m, &root);
                }
            }
            drop(m);
            assert_eq!(heap.summary().verify_failures, 0, "{keys}");
        }
    }
}

/// The flags of the mapping that holds an address, as `/proc/self/smaps` lists them.
fn flags(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("procfs");
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((start, end)) = range
            && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            inside = (start..end).contains(&address);
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return flags.to_owned();
        }
    }
    panic!("{address:#x} is not mapped");
}

#[test]
fn a_heap_is_not_merged_in_a_process_that_asked_for_merging_wholesale() {
    succeeds_in_child("a_heap_is_not_merged_in_a_process_that_asked_for_merging_wholesale", || {
        /// `PR_SET_MEMORY_MERGE`, from linux/prctl.h.
        const PR_SET_MEMORY_MERGE: libc::c_int = 67;
        // SAFETY: only allows the kernel to merge equal pages of this process.
        if unsafe { libc::prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) } != 0 {
            return eprintln!("skipped: this kernel does not merge whole processes (Linux 6.4, CONFIG_KSM)");
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let control = unsafe {
            let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(std::ptr::null_mut(), 16 * PAGE, protection, kind, -1, 0)
        };
        assert_ne!(control, libc::MAP_FAILED);
        assert!(flags(control as usize).contains(" mg"), "other memory is to be merged: {}", flags(control as usize));
        for backing in ["anon", "shmem"] {
            let config = format!("mechanism=stop,limit=64M,backing={backing}");
            let heap = Heap::new(&Config::parse(&config).expect("valid keys")).expect("a heap");
            let mut m = heap.attach();
            let root = grow(&mut m, 4);
            let address = root.get(&m).expect("rooted").address();
            assert!(!flags(address).contains(" mg"), "{backing}: {}", flags(address));
        }
    });
}
