//! `mechanism=none` is a heap that is not collected, and otherwise a heap like any other.
//!
//! It is the baseline that the cost of collection is measured against, so a single cycle in it would falsify every comparison: none may start, however
//! much is allocated, when the limit is reached, or when it is lowered. What is left is a promise to the program: running out of memory is an
//! error that changes nothing, limits hold, and a collection that the program asks for is made.

use pagemark::typed::{Field, Heap, Mutator, Root};
use pagemark::{Config, OutOfMemory, Trace};
use pagemark_workspace::Watchdog;

const MB: usize = 1 << 20;

#[derive(Trace)]
struct Link {
    next: Field<Link>,
    number: u64,
}

fn heap(keys: &str) -> Heap {
    Heap::new(&Config::parse(&format!("mechanism=none,{keys}")).expect("a configuration")).expect("a heap")
}

fn watchdog() -> Watchdog {
    Watchdog::start(std::time::Duration::from_secs(120))
}

/// Puts links in front of the chain until the heap is full. How many there are, and how the heap says that it is full.
fn fill(m: &mut Mutator, chain: &Root<Link>) -> (u64, OutOfMemory) {
    let mut number = 0;
    loop {
        match m.alloc(Link { next: Field::null(), number }) {
            Ok(link) => {
                link.next.set(chain.get(m));
                chain.set(Some(link));
                number += 1;
                m.poll();
            }
            Err(_) => match m.reclaim(48) {
                Ok(()) => {}
                Err(error) => return (number, error),
            },
        }
    }
}

fn length(m: &Mutator, chain: &Root<Link>) -> u64 {
    let mut length = 0;
    let mut at = chain.get(m);
    let mut expected = at.map(|link| link.number);
    while let Some(link) = at {
        assert_eq!(Some(link.number), expected, "the chain is not what it was");
        expected = link.number.checked_sub(1);
        length += 1;
        at = link.next.get(m);
    }
    assert_eq!(expected, None, "the chain has lost its end");
    length
}

#[test]
fn no_cycle_starts_however_much_is_allocated() {
    let _watchdog = watchdog();
    for keys in ["limit=256M,heap=1M", "limit=256M,heap=1M,backing=shmem"] {
        let heap = heap(keys);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut m = heap.attach();
                    for number in 0..500_000 {
                        m.alloc(Link { next: Field::null(), number }).expect("far below the limit");
                        m.poll();
                    }
                });
            }
        });
        let summary = heap.summary();
        assert!(summary.allocated_bytes >= 3 * 500_000 * 32, "{summary:?}");
        assert_eq!((summary.cycles, summary.mechanism.as_str()), (0, "none"));
    }
}

#[test]
fn running_out_of_memory_is_an_error_that_names_the_mechanism_and_changes_nothing() {
    let _watchdog = watchdog();
    const LIMIT: usize = 8 * MB;
    let heap = heap(&format!("limit={LIMIT}"));
    let mut m = heap.attach();
    let chain = m.root::<Link>(None);
    let (links, error) = fill(&mut m, &chain);
    assert_eq!(error, OutOfMemory { requested: 48, limit: LIMIT, collected: false });
    assert!(error.to_string().contains("`mechanism=none` does not collect"), "{error}");
    assert!(links as usize * 32 > LIMIT / 4 * 3 && links as usize * 32 <= LIMIT, "{links}");
    assert_eq!(length(&m, &chain), links);

    // And again: garbage is no room.
    chain.set(None);
    assert!(m.reclaim(48).is_err());
    let summary = heap.summary();
    assert_eq!(summary.cycles, 0);
    assert!(summary.peak_heap_bytes <= LIMIT as u64, "{summary:?}");
}

#[test]
fn a_collection_that_the_program_asks_for_stops_everybody_and_frees_what_is_unreachable() {
    let _watchdog = watchdog();
    let heap = heap("limit=8M,verify=all");
    let mut m = heap.attach();
    let chain = m.root::<Link>(None);
    let (links, _) = fill(&mut m, &chain);
    m.collect();
    assert_eq!(length(&m, &chain), links, "what is reachable is kept");
    chain.set(None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut m = heap.attach();
            let chain = m.root::<Link>(None);
            m.collect();
            fill(&mut m, &chain);
            assert_eq!(heap.summary().cycles, 2);
        });
        let until = || heap.summary().cycles >= 2;
        while !until() {
            m.poll();
        }
    });
    m.collect();
    let (again, _) = fill(&mut m, &chain);
    assert!(again >= links / 10 * 9, "{links} links fitted, then only {again}");
    let summary = heap.summary();
    assert_eq!((summary.cycles, summary.cycles_stw, summary.verify_failures), (3, 3, 0));
}

#[test]
fn a_limit_that_is_lowered_holds_and_starts_no_cycle() {
    let _watchdog = watchdog();
    let heap = heap("limit=64M");
    let mut m = heap.attach();
    let chain = m.root::<Link>(None);
    heap.raw().set_limit(8 * MB).expect("a limit the heap can have");
    let (links, error) = fill(&mut m, &chain);
    assert_eq!(error.limit, 8 * MB);
    heap.raw().set_limit(4 * MB).expect("a limit the heap can have");
    assert!(m.reclaim(48).is_err());
    assert_eq!(length(&m, &chain), links);
    assert_eq!(heap.summary().cycles, 0);
    heap.raw().set_limit(16 * MB).expect("a limit the heap can have");
    m.reclaim(48).expect("the limit allows more again");
    m.alloc(Link { next: Field::null(), number: 0 }).expect("reclaim said so");
}

#[test]
fn cycles_at_odd_moments_are_made_where_they_are_asked_for() {
    let _watchdog = watchdog();
    let heap = heap("limit=64M,zeal=safepoint:100,verify=all");
    let mut m = heap.attach();
    let kept = m.root::<Link>(None);
    for number in 0..1000 {
        let link = m.alloc(Link { next: Field::null(), number }).expect("far below the limit");
        kept.set(Some(link));
        m.poll();
    }
    while heap.summary().cycles < 2 {
        m.poll();
    }
    let summary = heap.summary();
    assert!(summary.cycles == summary.cycles_stw && summary.verify_failures == 0, "{summary:?}");
    assert_eq!(kept.get(&m).map(|link| link.number), Some(999));
}
