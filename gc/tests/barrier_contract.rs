//! What every mechanism must do, on both backings: the state machine of `pagemark_gc::barrier`, and that no write is lost.
//!
//! The test that counts is the last: mutators write at random while a collector takes reports, and the collector keeps a
//! copy of each page as it was when reported. A write no report had leaves copy and page different, which is looked for at
//! frequent stops.

#![allow(clippy::single_range_in_vec_init, reason = "reports are compared with lists of runs, often of one")]

mod barrier_support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier as Gate, Mutex};
use std::time::{Duration, Instant};

use barrier_support::{PAGE, Tracked, each, each_backing, succeeds_in_child};
use pagemark_gc::barrier::{self, Mechanism, PageRange};
use pagemark_gc::error::BarrierError;
use pagemark_gc::memory::{Backing, Mapping};
use pagemark_gc::sys::{Denials, Kernel};

#[test]
fn all_pages_are_written_at_first() {
    each(32, |heap, what| assert_eq!(heap.take(0, 32), [0..32], "{what}"));
}

#[test]
fn a_reported_page_is_armed_and_not_reported_again() {
    each(32, |heap, what| {
        heap.report();
        assert!(heap.report().is_empty(), "{what}");
    });
}

#[test]
fn a_write_makes_exactly_its_page_reported() {
    each(200, |heap, what| {
        heap.report();
        for page in [0, 63, 64, 199, 7] {
            heap.write(page);
            assert_eq!(heap.report(), [page], "{what}");
        }
        heap.store(70, 511, 5);
        assert_eq!((heap.word(70, 511).load(Ordering::Acquire), heap.report()), (5, vec![70]), "{what}");
    });
}

#[test]
fn reading_an_armed_page_is_not_a_write() {
    each(8, |heap, what| {
        heap.write(1);
        heap.report();
        assert_eq!([0, 1, 2].map(|page| heap.word(page, 0).load(Ordering::Acquire)), [0, 1, 0]);
        assert!(heap.report().is_empty(), "{what}");
    });
}

#[test]
fn neighbouring_written_pages_are_one_run() {
    each(200, |heap, what| {
        heap.report();
        (60..70).chain(100..101).chain(198..200).for_each(|page| heap.write(page));
        assert_eq!(heap.take(0, 200), [60..70, 100..101, 198..200], "{what}");
    });
}

#[test]
fn more_runs_than_one_system_call_returns_are_all_reported() {
    each(4000, |heap, what| {
        heap.report();
        let odd: Vec<usize> = (1..4000).step_by(2).collect();
        odd.iter().for_each(|page| heap.write(*page));
        assert_eq!(heap.report(), odd, "{what}");
        assert!(heap.report().is_empty(), "{what}");
    });
}

#[test]
fn taking_a_part_leaves_the_rest_as_it_was() {
    each(100, |heap, what| {
        assert_eq!(heap.take(10, 20), [10..20], "{what}");
        heap.write(15);
        assert_eq!(heap.take(0, 100), [0..10, 15..16, 20..100], "{what}");
    });
}

#[test]
fn disarmed_pages_count_as_written_and_their_neighbours_do_not() {
    each(100, |heap, what| {
        heap.report();
        heap.opened.barrier.disarm(heap.pages(10, 20)).unwrap();
        heap.write(12);
        assert_eq!(heap.take(0, 100), [10..20], "{what}");
        heap.opened.barrier.disarm(heap.pages(10, 20)).unwrap();
        heap.opened.barrier.disarm(heap.pages(15, 30)).unwrap();
        assert_eq!(heap.take(0, 100), [10..30], "{what}");
    });
}

#[test]
fn released_pages_are_zero_and_can_be_tracked_again() {
    each(64, |heap, what| {
        (0..64).for_each(|page| heap.write(page));
        heap.report();
        heap.opened.barrier.disarm(heap.pages(8, 16)).unwrap();
        heap.mapping.release(heap.pages(8, 16)).unwrap();
        assert_eq!(heap.take(0, 64), [8..16], "{what}");
        assert_eq!(heap.word(9, 0).load(Ordering::Acquire), 0, "{what}");
        heap.write(9);
        assert_eq!(heap.report(), [9], "{what}");
    });
}

#[test]
fn the_collectors_view_of_shared_memory_is_never_armed() {
    each(8, |heap, what| {
        heap.report();
        if heap.mapping.backing() == Backing::Shmem {
            // SAFETY: the view of a live page.
            unsafe { heap.mapping.collector_view(heap.address(3)).write_volatile(9) };
            assert_eq!((heap.word(3, 0).load(Ordering::Acquire), heap.report()), (9, vec![]), "{what}");
        }
    });
}

#[test]
fn a_dropped_barrier_leaves_its_memory_writable() {
    each(16, |heap, _| {
        heap.report();
        let Tracked { opened, mapping } = heap;
        drop(opened);
        for page in mapping.range().step_by(PAGE) {
            // SAFETY: the mapping is alive and nothing else uses it.
            unsafe { (page as *mut u8).write_volatile(1) };
        }
    });
}

#[test]
fn heaps_of_one_process_do_not_see_each_others_writes() {
    each(16, |first, what| {
        let mechanism = first.opened.barrier.name().parse().unwrap();
        let second = Tracked::open(mechanism, first.mapping.backing(), 16, &Kernel::real()).unwrap();
        first.report();
        second.report();
        first.write(3);
        second.write(4);
        assert_eq!((first.report(), second.report()), (vec![3], vec![4]), "{what}");
        drop(first);
        second.write(5);
        assert_eq!(second.report(), [5], "{what}");
    });
}

#[test]
fn several_ranges_of_a_mapping_are_tracked_and_what_lies_between_is_not() {
    for mechanism in barrier_support::ARMING {
        for backing in Backing::ALL {
            let mapping = Mapping::new(*backing, 64 * PAGE, "pagemark test heap").unwrap();
            let at = |page: usize| mapping.base() + page * PAGE;
            let ranges = [at(0)..at(10), at(20)..at(64)];
            let Ok(opened) = barrier::open(mechanism, *backing, &ranges, &Kernel::real()) else { continue };
            let heap = Tracked { opened, mapping };
            assert_eq!((heap.take(0, 10), heap.take(20, 64)), (vec![0..10], vec![20..64]));
            [5, 15, 25].into_iter().for_each(|page| heap.write(page));
            assert_eq!((heap.take(0, 10), heap.take(20, 64)), (vec![5..6], vec![25..26]), "{mechanism} on {backing}");
        }
    }
}

#[test]
fn ranges_that_cannot_be_tracked_are_refused() {
    let mapping = Mapping::new(Backing::Anon, 8 * PAGE, "pagemark test heap").unwrap();
    let base = mapping.base();
    for mechanism in Mechanism::ALL {
        for ranges in [vec![base..base], vec![base + 1..base + PAGE], vec![base..base + 2 * PAGE, base..base + PAGE]] {
            let error = barrier::open(*mechanism, Backing::Anon, &ranges, &Kernel::real()).unwrap_err();
            assert!(matches!(error, BarrierError::Range { .. }), "{mechanism}: {error}");
        }
    }
}

#[test]
fn a_range_another_userfaultfd_has_is_refused_with_that_cause() {
    for mechanism in [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus, Mechanism::Auto] {
        each_backing(mechanism, 8, &Kernel::real(), |heap, what| {
            if !["async", "sync", "sigbus"].contains(&heap.opened.barrier.name()) {
                return;
            }
            let again = barrier::open(mechanism, heap.mapping.backing(), &[heap.mapping.range()], &Kernel::real());
            let error = again.unwrap_err().to_string();
            assert!(error.contains("another userfaultfd has it"), "{what}: {error}");
        });
    }
}

#[test]
fn faults_are_counted_one_by_one() {
    for mechanism in [Mechanism::Sync, Mechanism::Sigbus, Mechanism::Mprotect] {
        each_backing(mechanism, 64, &Kernel::real(), |heap, what| {
            heap.report();
            (0..20).chain(0..20).for_each(|page| heap.write(page));
            heap.opened.barrier.settle();
            assert_eq!(heap.opened.barrier.faults(), Some(20), "{what}");
        });
    }
}

#[test]
fn stop_and_none_report_everything_always_and_say_that_they_see_nothing() {
    for mechanism in [Mechanism::Stop, Mechanism::None] {
        each_backing(mechanism, 8, &Kernel::real(), |heap, _| {
            assert!(!heap.opened.barrier.sees_writes());
            assert_eq!((heap.take(0, 8), heap.take(2, 4)), (vec![0..8], vec![2..4]));
        });
    }
}

#[test]
fn ranges_the_kernel_split_into_several_mappings_are_tracked_on() {
    each(64, |heap, what| {
        heap.report();
        for page in [10, 20, 40] {
            // SAFETY: advice on a page of ours that changes nothing but makes it a mapping of its own.
            let result = unsafe { libc::madvise(heap.address(page) as *mut _, PAGE, libc::MADV_DONTDUMP) };
            assert_eq!(result, 0);
        }
        (5..45).for_each(|page| heap.write(page));
        assert_eq!(heap.take(0, 64), [5..45], "{what}");
        heap.opened.barrier.disarm(heap.pages(8, 30)).unwrap();
        assert_eq!(heap.take(0, 64), [8..30], "{what}");
        heap.write(20);
        assert_eq!(heap.report(), [20], "{what}");
    });
}

#[test]
fn untouched_pages_are_armed_where_the_kernel_passes_over_them() {
    // As on Linux 5.7 to 6.3.
    let kernel = Kernel::denying(Denials { features: 1 << 13, ..Denials::default() });
    for mechanism in [Mechanism::Sync, Mechanism::Sigbus] {
        each_backing(mechanism, 64, &kernel, |heap, what| {
            assert_eq!(heap.take(0, 64), [0..64], "{what}");
            [0, 30, 63].into_iter().for_each(|page| heap.write(page));
            assert_eq!(heap.report(), [0, 30, 63], "{what}");
        });
    }
}

#[test]
fn a_fault_that_may_split_no_mapping_opens_a_larger_part_up() {
    let kernel = Kernel::denying(Denials { mprotect_below: 20 * PAGE, ..Denials::default() });
    each_backing(Mechanism::Mprotect, 1024, &kernel, |heap, what| {
        heap.report();
        heap.write(300);
        assert_eq!(heap.take(0, 1024), [256..512], "{what}");
        heap.write(1023);
        heap.opened.barrier.disarm(heap.pages(5, 6)).unwrap();
        assert_eq!(heap.take(0, 1024), [0..256, 768..1024], "{what}");
    });
}

#[test]
fn arming_that_runs_out_of_mappings_says_so_and_loses_nothing() {
    let kernel = Kernel::denying(Denials { mprotect_below: 2 * PAGE, ..Denials::default() });
    each_backing(Mechanism::Mprotect, 64, &kernel, |heap, what| {
        let barrier = &heap.opened.barrier;
        let mut seen = Vec::new();
        let error = barrier.take_and_arm(heap.pages(7, 8), &mut |run| seen.push(run)).unwrap_err();
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        assert!(seen.is_empty());
        (0..64).for_each(|page| heap.write(page));
        assert_eq!(heap.take(0, 64), [0..64], "{what}");
    });
}

#[test]
fn a_process_out_of_mappings_keeps_running_and_gets_its_mappings_back() {
    succeeds_in_child("a_process_out_of_mappings_keeps_running_and_gets_its_mappings_back", || {
        let limit: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if limit > 1 << 20 {
            return eprintln!("skipped: vm.max_map_count is {limit}");
        }
        let pages = 2 * limit;
        let heap = Tracked::open(Mechanism::Mprotect, Backing::Anon, pages, &Kernel::real()).unwrap();
        heap.report();
        // Every other page: no handler can make the last of them writable alone.
        (0..pages).step_by(2).for_each(|page| heap.write(page));
        let reported = heap.report();
        assert!((0..pages).step_by(2).all(|page| reported.binary_search(&page).is_ok()));
        // And the collector cannot arm every other page.
        heap.opened.barrier.disarm(heap.pages(0, pages)).unwrap();
        let error = (0..pages)
            .step_by(2)
            .find_map(|page| heap.opened.barrier.take_and_arm(heap.pages(page, page + 1), &mut |_| {}).err());
        assert!(error.unwrap().to_string().contains("vm.max_map_count"));
        let mappings = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        assert!(mappings < 1000, "{mappings} mappings are left");
    });
}

#[test]
fn the_65th_heap_that_works_by_signals_is_refused() {
    succeeds_in_child("the_65th_heap_that_works_by_signals_is_refused", || {
        let open = || Tracked::open(Mechanism::Mprotect, Backing::Anon, 4, &Kernel::real());
        let mut heaps: Vec<Tracked> = (0..64).map(|_| open().unwrap()).collect();
        assert!(open().err().unwrap().to_string().contains("64 heaps"));
        heaps.remove(10);
        heaps.push(open().unwrap());
        for heap in &heaps {
            heap.report();
            heap.write(1);
            assert_eq!(heap.report(), [1]);
        }
    });
}

/// Pages in the test below; a bitmap word's worth and some.
const PAGES: usize = 160;
/// Pages a mutator owns, in the midst of the others, and disarms before it writes there.
const OWNED: std::ops::Range<usize> = 70..78;
const MUTATORS: usize = 4;
/// Writes of a mutator between two stops. Few, because a lost write is hidden by the next one to its page.
const WRITES: u64 = 300;

#[test]
fn every_write_is_part_of_a_report() {
    each(PAGES, |heap, what| {
        let (started, stopped) = (Gate::new(MUTATORS + 1), Gate::new(MUTATORS + 1));
        let (running, done, owned) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(()));
        let mut copy = vec![[0u64; MUTATORS]; PAGES];
        let (mut stops, mut reports) = (0, 0);
        let mut lost = None;
        std::thread::scope(|scope| {
            for mutator in 0..MUTATORS {
                let (heap, started, stopped, running, done, owned) =
                    (&heap, &started, &stopped, &running, &done, &owned);
                scope.spawn(move || {
                    let mut random = mutator as u64 + 1;
                    let mut count = 0;
                    loop {
                        started.wait();
                        if done.load(Ordering::SeqCst) {
                            return;
                        }
                        for _ in 0..WRITES {
                            count += 1;
                            mutate(heap, mutator, next(&mut random) as usize % PAGES, count, owned);
                        }
                        running.fetch_sub(1, Ordering::SeqCst);
                        stopped.wait();
                    }
                });
            }
            let until = Instant::now() + Duration::from_millis(500);
            while Instant::now() < until && lost.is_none() {
                running.store(MUTATORS, Ordering::SeqCst);
                started.wait();
                while running.load(Ordering::SeqCst) > 0 {
                    copy_reported(&heap, 0, OWNED.start, &mut copy);
                    {
                        let _owner = owned.lock().unwrap();
                        copy_reported(&heap, OWNED.start, OWNED.end, &mut copy);
                    }
                    copy_reported(&heap, OWNED.end, PAGES, &mut copy);
                    reports += 1;
                    std::thread::yield_now();
                }
                stopped.wait();
                heap.opened.barrier.settle();
                copy_reported(&heap, 0, PAGES, &mut copy);
                lost = (0..PAGES).find(|page| copy[*page] != words(&heap, *page));
                stops += 1;
            }
            done.store(true, Ordering::SeqCst);
            started.wait();
        });
        assert_eq!(lost, None, "{what}: a write to this page was in no report, at stop {stops}");
        eprintln!("{what}: {stops} stops, {reports} reports between, faults {:?}", heap.opened.barrier.faults());
    });
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

fn mutate(heap: &Tracked, mutator: usize, page: usize, value: u64, owned: &Mutex<()>) {
    if mutator == 0 && OWNED.contains(&page) {
        let _owner = owned.lock().unwrap();
        heap.opened.barrier.disarm(heap.pages(OWNED.start, OWNED.end)).unwrap();
    }
    heap.store(page, mutator, value);
}

fn words(heap: &Tracked, page: usize) -> [u64; MUTATORS] {
    std::array::from_fn(|mutator| heap.word(page, mutator).load(Ordering::Acquire))
}

/// Copies every reported page's words, which are what its mutators had written by then. Does so within the report, and then
/// lets the mutators run: what they write from here on must be part of the next report.
fn copy_reported(heap: &Tracked, from: usize, to: usize, copy: &mut [[u64; MUTATORS]]) {
    let mut report = |run: PageRange| {
        for address in run.step_by(PAGE) {
            let page = (address - heap.mapping.base()) / PAGE;
            copy[page] = words(heap, page);
        }
        std::thread::yield_now();
    };
    heap.opened.barrier.take_and_arm(heap.pages(from, to), &mut report).unwrap();
}
