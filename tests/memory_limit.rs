//! The limit is a promise in both directions: the heap never takes more, and a program whose data fit is never told that they do not.
//!
//! At the limit an allocation fails with `Exhausted` and changes nothing; `reclaim` then either makes room or says `OutOfMemory` with what was asked
//! for. Both are values a program can handle, so every test here goes on after them: it drops what it holds and fills the heap again, twenty times, with
//! small, medium and large objects, byte buffers and all of them mixed. What fits the first time must fit the twentieth.
//!
//! The other half is memory given back: what the process occupies (`/proc/self/statm`) falls after a program's peak, and does not creep up over
//! hundreds of cycles. Resident memory belongs to the process, so the tests of this file run one at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pagemark::typed::{Array, Bytes, Field, Heap, Mutator, Root};
use pagemark::{Config, Exhausted, OutOfMemory, Trace};
use pagemark_workspace::Watchdog;

const MB: usize = 1 << 20;

/// This test alone, for a minute at most.
fn alone() -> (MutexGuard<'static, ()>, Watchdog) {
    static ONE: Mutex<()> = Mutex::new(());
    (ONE.lock().unwrap_or_else(PoisonError::into_inner), Watchdog::start(Duration::from_secs(300)))
}

fn heap(config: &str) -> Heap {
    Heap::new(&Config::parse(config).expect("a configuration")).expect("a heap")
}

/// Bytes of memory this process occupies.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

/// One link of a chain, and what hangs on it.
#[derive(Trace)]
struct Link {
    next: Field<Link>,
    medium: Field<Medium>,
    array: Field<Array<Link>>,
    bytes: Field<Bytes>,
    number: u64,
}

#[derive(Trace)]
struct Medium {
    back: Field<Link>,
    words: [u64; 300],
}

const MEDIUM: usize = 2416;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Small,
    Medium,
    Large,
    Bytes,
    LargeBytes,
    Mixed,
}

/// Puts one more link in front of the chain; returns the bytes it took. On failure, the bytes that were refused.
fn grow(m: &Mutator, chain: &Root<Link>, kind: Kind, number: u64) -> Result<usize, usize> {
    let refused = |bytes: usize| move |_: Exhausted| bytes;
    let kind = match kind {
        Kind::Mixed => [Kind::Small, Kind::Medium, Kind::Large, Kind::Bytes, Kind::LargeBytes][number as usize % 5],
        kind => kind,
    };
    let link = Link { next: Field::null(), medium: Field::null(), array: Field::null(), bytes: Field::null(), number };
    let link = m.alloc(link).map_err(refused(48))?;
    let length = match kind {
        Kind::Medium => {
            let medium = Medium { back: Field::null(), words: [number; 300] };
            link.medium.set(Some(m.alloc(medium).map_err(refused(MEDIUM))?));
            MEDIUM
        }
        Kind::Large => {
            let length = 3000 + number as usize % 20_000;
            link.array.set(Some(m.alloc_array(length).map_err(refused(length * 8 + 16))?));
            length * 8
        }
        Kind::Bytes => {
            link.bytes.set(Some(m.alloc_bytes(600).map_err(refused(616))?));
            600
        }
        Kind::LargeBytes => {
            let length = 10_000 + number as usize * 7 % 500_000;
            link.bytes.set(Some(m.alloc_bytes(length).map_err(refused(length + 16))?));
            length
        }
        Kind::Small | Kind::Mixed => 0,
    };
    link.next.set(chain.get(m));
    chain.set(Some(link));
    Ok(48 + length)
}

/// Fills the heap until it says that it is full; returns the bytes that went in.
fn fill(m: &mut Mutator, chain: &Root<Link>, kind: Kind, limit: usize) -> usize {
    let mut bytes = 0;
    let mut number = 0;
    let mut in_vain = 0;
    loop {
        match grow(m, chain, kind, number) {
            Ok(more) => {
                bytes += more;
                number += 1;
                in_vain = 0;
                if number % 64 == 0 {
                    m.poll();
                }
            }
            Err(refused) => {
                in_vain += 1;
                assert!(in_vain < 10, "{kind:?}: reclaim({refused}) says there is room and there is none");
                if let Err(error) = m.reclaim(refused) {
                    assert_eq!(error, OutOfMemory { requested: refused, limit, collected: true });
                    return bytes;
                }
            }
        }
    }
}

#[test]
fn a_full_heap_says_so_and_takes_as_much_again_after_its_data_are_dropped() {
    let _alone = alone();
    const LIMIT: usize = 8 * MB;
    for config in ["mechanism=async", "mechanism=async,backing=shmem", "mechanism=stop"] {
        for kind in [Kind::Small, Kind::Medium, Kind::Large, Kind::Bytes, Kind::LargeBytes, Kind::Mixed] {
            let heap = heap(&format!("{config},limit={LIMIT}"));
            let mut m = heap.attach();
            for turn in 0..20 {
                let chain = m.root::<Link>(None);
                let bytes = fill(&mut m, &chain, kind, LIMIT);
                assert!(bytes > LIMIT / 4 * 3, "{config}, {kind:?}, turn {turn}: only {bytes} bytes fit");
                assert!(bytes <= LIMIT, "{config}, {kind:?}, turn {turn}: {bytes} bytes fit");
                let mut at = chain.get(&m);
                let mut before: Option<u64> = None;
                while let Some(link) = at {
                    assert!(before.is_none_or(|before| link.number + 1 == before));
                    before = Some(link.number);
                    at = link.value().next.get(&m);
                }
                assert_eq!(before, Some(0), "the chain has lost its end");
            }
            let peak = heap.summary().peak_heap_bytes;
            assert!(peak <= LIMIT as u64, "{peak}");
        }
    }
}

#[test]
fn after_one_kind_of_object_filled_the_heap_every_other_can() {
    let _alone = alone();
    let heap = heap("mechanism=async,limit=16M");
    let mut m = heap.attach();
    let kinds = [Kind::Large, Kind::Small, Kind::LargeBytes, Kind::Medium, Kind::Bytes, Kind::Mixed];
    for turn in 0..30 {
        let kind = kinds[turn * 5 % 6];
        let chain = m.root::<Link>(None);
        let bytes = fill(&mut m, &chain, kind, 16 * MB);
        assert!(bytes > 12 * MB, "{kind:?} in turn {turn}: only {bytes} bytes fit");
    }
    assert!(heap.summary().peak_heap_bytes <= 16 * MB as u64);
}

#[test]
fn one_survivor_in_every_block_leaves_the_rest_of_the_block_usable() {
    let _alone = alone();
    let heap = heap("mechanism=async,limit=16M");
    let mut m = heap.attach();
    let chain = m.root::<Link>(None);
    fill(&mut m, &chain, Kind::Small, 16 * MB);
    // Keep one in 16: some in each block of 64 KB, also in those that were not filled, so that no block is free.
    let kept = m.root::<Link>(None);
    let mut at = chain.get(&m);
    while let Some(link) = at {
        at = link.value().next.get(&m);
        if link.number % 16 == 0 {
            link.next.set(kept.get(&m));
            kept.set(Some(link));
        }
    }
    drop(chain);
    // Ten times the limit of garbage, and no poll, so that only `reclaim` lets a cycle go on: in a heap that is exhausted.
    for number in 0..(160 * MB / 48) as u64 {
        let make =
            || Link { next: Field::null(), medium: Field::null(), array: Field::null(), bytes: Field::null(), number };
        assert!(m.alloc_or_collect(make).is_ok(), "out of memory with nothing alive, after {} bytes", number * 48);
    }
}

#[test]
fn reclaim_in_a_heap_with_room_never_says_there_is_none() {
    let _alone = alone();
    let heap = heap("mechanism=async,limit=16M");
    let mut m = heap.attach();
    for bytes in [16, 5000, 100_000, MB, 16, 16, 16, 16, 8 * MB, 8 * MB] {
        for _ in 0..5 {
            m.reclaim(bytes).expect("the heap is empty");
        }
        let small =
            Link { next: Field::null(), medium: Field::null(), array: Field::null(), bytes: Field::null(), number: 0 };
        m.alloc(small).expect("the heap is nearly empty");
    }
}

#[test]
fn threads_whose_data_fit_are_never_out_of_memory_however_fast_they_make_garbage() {
    let _alone = alone();
    for config in ["mechanism=async", "mechanism=stop"] {
        let heap = heap(&format!("{config},limit=32M"));
        std::thread::scope(|scope| {
            for thread in 0..6u64 {
                let heap = &heap;
                scope.spawn(move || {
                    let mut m = heap.attach();
                    let chain = m.root::<Link>(None);
                    let mut number = thread;
                    for _ in 0..40 {
                        // At most 2 MB alive in each thread.
                        chain.set(None);
                        let mut bytes = 0;
                        while bytes < 3 * MB / 2 {
                            match grow(&m, &chain, Kind::Mixed, number) {
                                Ok(more) => {
                                    bytes += more;
                                    number += 1;
                                }
                                Err(refused) => {
                                    m.reclaim(refused).unwrap_or_else(|e| panic!("{config}: {e}, thread {thread}"))
                                }
                            }
                            m.poll();
                        }
                    }
                });
            }
        });
        assert!(heap.summary().peak_heap_bytes <= 32 * MB as u64);
    }
}

#[test]
fn without_a_limit_the_machine_sets_one() {
    let _alone = alone();
    let heap = Heap::new(&Config::default()).expect("a heap");
    let mut m = heap.attach();
    let limit = m.reclaim(usize::MAX).expect_err("nobody has that much").limit;
    // SAFETY: sysconf only answers.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let physical = pages as usize * page as usize;
    assert!(limit < physical, "{limit} of {physical} bytes");
    assert!(limit >= 4 * MB, "{limit}");
}

#[test]
fn a_programs_peak_is_given_back_to_the_system() {
    let _alone = alone();
    for backing in ["anon", "shmem"] {
        for kind in [Kind::Small, Kind::Large, Kind::LargeBytes] {
            let heap = heap(&format!("mechanism=async,backing={backing},limit=1G"));
            let mut m = heap.attach();
            let before = resident();
            let chain = m.root::<Link>(None);
            let mut bytes = 0;
            let mut number = 0;
            while bytes < 200 * MB {
                bytes += grow(&m, &chain, kind, number).expect("below the limit");
                number += 1;
                // Large objects are not touched by being made.
                if let Some(array) = chain.get(&m).and_then(|link| link.value().array.get(&m)) {
                    array.iter().step_by(512).for_each(|slot| slot.set(None));
                }
                if let Some(bytes) = chain.get(&m).and_then(|link| link.value().bytes.get(&m)) {
                    bytes.bytes().iter().step_by(4096).for_each(|byte| byte.store(1, Ordering::Relaxed));
                }
                m.poll();
            }
            let peak = resident();
            assert!(peak - before > 180 * MB, "{backing}, {kind:?}: {before} to {peak}");
            drop(chain);
            m.collect();
            m.collect();
            // The collector's thread gives memory back after it has let the mutators go.
            let start = Instant::now();
            let mut after = resident();
            while after > before + 70 * MB && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
                after = resident();
            }
            assert!(after < before + 70 * MB, "{backing}, {kind:?}: {before} to {peak}, back to {after} only");
        }
    }
}

#[test]
fn memory_is_flat_over_hundreds_of_cycles() {
    let _alone = alone();
    for config in ["mechanism=async", "mechanism=async,backing=shmem", "mechanism=mprotect", "mechanism=stop"] {
        let heap = heap(&format!("{config},limit=256M,heap=8M"));
        let mut m = heap.attach();
        let turns = |m: &mut Mutator, cycles: u64| {
            let until = heap.raw().cycles() + cycles;
            let chain = m.root::<Link>(None);
            let mut number = 0;
            while heap.raw().cycles() < until {
                let mut bytes = 0;
                chain.set(None);
                while bytes < MB {
                    bytes += grow(m, &chain, Kind::Mixed, number).expect("far below the limit");
                    number += 1;
                    m.poll();
                }
                m.collect();
            }
        };
        turns(&mut m, 50);
        let (early, early_peak) = (resident(), heap.summary().peak_heap_bytes);
        turns(&mut m, 300);
        let (late, late_peak) = (resident(), heap.summary().peak_heap_bytes);
        assert!(late < early + 8 * MB, "{config}: {early} bytes after 50 cycles, {late} after 350");
        assert!(late_peak <= early_peak + 4 * MB as u64, "{config}: {early_peak} to {late_peak}");
    }
}

#[test]
fn heaps_of_different_mechanisms_live_side_by_side_and_one_ends_while_others_go_on() {
    let _alone = alone();
    let configs = [
        "mechanism=async,name=a",
        "mechanism=sync,name=b",
        "mechanism=sigbus,name=c",
        "mechanism=mprotect,name=d",
        "mechanism=sigbus,backing=shmem,name=e",
        "mechanism=stop,name=f",
        "mechanism=async,backing=shmem,name=g",
    ];
    let stop = AtomicBool::new(false);
    let running = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = |config: &str, until: &AtomicBool| {
            let heap = heap(&format!("{config},limit=32M,heap=4M,verify=mark"));
            let mut m = heap.attach();
            let chain = m.root::<Link>(None);
            let (mut number, mut length) = (0, 0);
            running.fetch_add(1, Ordering::Relaxed);
            while !until.load(Ordering::Relaxed) || heap.raw().cycles() < 3 {
                // Old objects are written: the head of the chain hangs off a link that moves.
                grow(&m, &chain, Kind::Mixed, number).unwrap_or_else(|refused| {
                    m.reclaim(refused).expect("little is alive");
                    0
                });
                number += 1;
                length += 1;
                if length == 100 {
                    let mut at = chain.get(&m);
                    for _ in 0..20 {
                        at = at.and_then(|link| link.value().next.get(&m));
                    }
                    if let Some(link) = at {
                        link.next.set(None);
                    }
                    length = 20;
                }
                m.poll();
            }
            assert_eq!(heap.summary().verify_failures, 0, "{config}");
            assert_eq!(heap.raw().mechanism(), config.split(['=', ',']).nth(1).expect("its name"));
        };
        let mut threads = Vec::new();
        for config in configs {
            let stop = &stop;
            threads.push(scope.spawn(move || work(config, stop)));
        }
        // Meanwhile others come and go, one of each kind.
        let at_once = AtomicBool::new(true);
        for config in configs {
            work(config, &at_once);
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().expect("no thread failed"));
    });
    assert_eq!(running.into_inner(), 2 * configs.len());
}
