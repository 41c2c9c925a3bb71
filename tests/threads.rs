//! Threads that come, go, sleep, wait and fall over while cycles run.
//!
//! A pause needs every mutator, so every way in which a thread can be somewhere else is a way to hang the program: blocked in a system call,
//! about to be born, about to end, unwinding. Here each of them happens, at random and over and over, while other threads do nothing but
//! collect. What must hold: a thread in `blocking` delays nobody, a thread that ends or panics is not waited for and takes nothing of others with
//! it, and what a thread handed to others (through a [`Global`] or a field) stays whole after the thread is gone.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

use pagemark::telemetry::EventListener;
use pagemark::typed::{Array, Field, Global, Heap, Mutator, Ref, Root};
use pagemark::{Config, Exhausted, Trace};
use pagemark_workspace::{Watchdog, succeeds_in_child, while_collecting};

fn watchdog() -> Watchdog {
    Watchdog::start(Duration::from_secs(300))
}

#[derive(Trace)]
struct Node {
    next: Field<Node>,
    number: u64,
    check: u64,
}

fn check_of(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1
}

fn heap(config: &str) -> Heap {
    Heap::new(&Config::parse(config).expect("a configuration")).expect("a heap")
}

/// A list of `length` nodes, at least one, numbered from `first` on, without a safepoint.
fn try_list(m: &Mutator, first: u64, length: u64) -> Result<Ref<'_, Node>, Exhausted> {
    let node = |number| m.alloc(Node { next: Field::null(), number, check: check_of(number) });
    let mut head = node(first)?;
    for number in first + 1..first + length {
        let next = node(number)?;
        next.next.set(Some(head));
        head = next;
    }
    Ok(head)
}

/// The same in a heap that is far from full.
fn list(m: &Mutator, first: u64, length: u64) -> Ref<'_, Node> {
    try_list(m, first, length).expect("below the limit")
}

/// The same behind a root, and collecting where garbage fills the heap.
fn rooted(m: &mut Mutator, first: u64, length: u64) -> Root<Node> {
    loop {
        if let Ok(list) = try_list(m, first, length) {
            return m.root(Some(list));
        }
        m.reclaim(32).expect("little is alive");
    }
}

fn check<'m>(m: &'m Mutator, mut head: Option<Ref<'m, Node>>, first: u64, length: u64) {
    for number in (first..first + length).rev() {
        let node = head.expect("the list has lost its end");
        assert_eq!((node.number, node.check), (number, check_of(number)));
        head = node.value().next.get(m);
    }
    assert!(head.is_none());
}

#[test]
fn a_thread_that_sleeps_in_blocking_delays_no_collection() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=sync", "mechanism=stop"] {
        let heap = heap(&format!("{config},limit=64M"));
        let (asleep, is_asleep) = mpsc::channel();
        let (wake, woken) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let heap = &heap;
            let sleeper = scope.spawn(move || {
                let mut m = heap.attach();
                let kept = m.root(Some(list(&m, 0, 1000)));
                m.blocking(|| {
                    asleep.send(()).expect("the other thread waits");
                    let _ = woken.recv_timeout(Duration::from_secs(30));
                });
                check(&m, kept.get(&m), 0, 1000);
            });
            let mut m = heap.attach();
            m.blocking(|| is_asleep.recv()).expect("the other thread sleeps");
            for _ in 0..5 {
                let start = Instant::now();
                m.collect();
                assert!(start.elapsed() < Duration::from_secs(5), "{config}: {:?}", start.elapsed());
            }
            assert!(!sleeper.is_finished());
            drop(wake);
            m.blocking(|| sleeper.join()).expect("its list is whole");
        });
        assert!(heap.summary().live_bytes_last >= 32_000, "{config}: what the sleeper kept was not marked");
    }
}

#[test]
fn a_thread_that_comes_out_of_blocking_waits_for_the_pause_and_finds_its_objects() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=64M");
    let mut m = heap.attach();
    while_collecting(&mut m, |m| {
        let mut kept = rooted(m, 0, 100);
        let until = Instant::now() + Duration::from_millis(400);
        let mut first = 0;
        while Instant::now() < until {
            m.blocking(|| ());
            check(m, kept.get(m), first, 100);
            first += 1;
            kept = rooted(m, first, 100);
        }
    });
}

#[test]
fn threads_that_come_and_go_during_zeal_cycles_disturb_nobody() {
    let _watchdog = watchdog();
    for config in
        ["mechanism=async,zeal=safepoint:5", "mechanism=mprotect,zeal=alloc:2", "mechanism=stop,zeal=safepoint:50"]
    {
        let heap = heap(&format!("{config},limit=128M"));
        let until = Instant::now() + Duration::from_millis(700);
        let lives = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (heap, lives) = (&heap, &lives);
                scope.spawn(move || {
                    let mut life = 0;
                    while Instant::now() < until {
                        let mut m = heap.attach();
                        let first = thread << 32 | life;
                        let kept = rooted(&mut m, first, 200);
                        for _ in 0..life % 7 {
                            m.poll();
                            check(&m, kept.get(&m), first, 200);
                        }
                        match life % 4 {
                            0 => m.blocking(|| ()),
                            1 => m.poll(),
                            // Ends without a safepoint, with and without its root.
                            2 => drop(kept),
                            _ => {}
                        }
                        life += 1;
                        lives.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(lives.load(Ordering::Relaxed) > 16, "{config}");
        assert!(heap.raw().cycles() > 0, "{config}");
        let mut m = heap.attach();
        m.collect();
        m.collect();
        assert_eq!(heap.summary().live_bytes_last, 0, "{config}: threads that ended still keep something");
    }
}

#[test]
fn a_thread_that_panics_is_not_waited_for_and_others_keep_what_it_gave_them() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=64M");
    let mut m = heap.attach();
    let given: Arc<Mutex<Vec<Global<Node>>>> = Arc::default();
    while_collecting(&mut m, |m| {
        for turn in 0..60u64 {
            let (heap, given) = (heap.clone(), given.clone());
            let thread = std::thread::Builder::new().name("meant to panic".into()).spawn(move || {
                let mut m = heap.attach();
                let kept = m.root(Some(list(&m, turn, 50)));
                given.lock().unwrap().push(m.global(kept.get(&m)));
                match turn % 3 {
                    0 => m.blocking(|| std::panic::resume_unwind(Box::new("in blocking"))),
                    1 => {
                        let caught = catch_unwind(AssertUnwindSafe(|| {
                            m.blocking(|| std::panic::resume_unwind(Box::new("caught")))
                        }));
                        assert!(caught.is_err());
                        // It is back, and a mutator as before.
                        m.collect();
                        check(&m, kept.get(&m), turn, 50);
                        std::panic::resume_unwind(Box::new("after it"))
                    }
                    _ => {
                        m.poll();
                        std::panic::resume_unwind(Box::new("while running"))
                    }
                }
            });
            let result = m.blocking(|| thread.expect("a thread").join());
            assert!(result.is_err());
            m.poll();
        }
        for (turn, global) in given.lock().unwrap().iter().enumerate() {
            check(m, global.get(m), turn as u64, 50);
        }
    });
    drop(given);
    m.collect();
    m.collect();
    assert_eq!(heap.summary().live_bytes_last, 0, "a thread that panicked still keeps something");
}

#[test]
fn globals_carry_objects_between_threads_while_cycles_run() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=sigbus,backing=shmem"] {
        let heap = heap(&format!("{config},limit=64M,verify=mark"));
        let mut m = heap.attach();
        const MAILBOXES: usize = 4;
        // A list is only in one mailbox at a time, and for a moment in nobody's but a thread's hands.
        let mailboxes: Vec<Mutex<(Global<Node>, u64)>> = (0..MAILBOXES)
            .map(|i| Mutex::new((m.global(Some(list(&m, i as u64 * 1000, 100))), i as u64 * 1000)))
            .collect();
        while_collecting(&mut m, |m| {
            let until = Instant::now() + Duration::from_millis(600);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3usize)
                    .map(|thread| {
                        let (heap, mailboxes) = (&heap, &mailboxes);
                        scope.spawn(move || {
                            let mut m = heap.attach();
                            let hand = m.root::<Node>(None);
                            let mut turn = thread;
                            while Instant::now() < until {
                                turn += 1;
                                let new = rooted(&mut m, turn as u64, 100);
                                // Nobody reaches a safepoint while holding a mailbox, or who waits for it would hold up the pause.
                                let first = {
                                    let mut mailbox = mailboxes[turn * 7 % MAILBOXES].lock().unwrap();
                                    hand.set(mailbox.0.get(&m));
                                    mailbox.0.set(new.get(&m));
                                    std::mem::replace(&mut mailbox.1, turn as u64)
                                };
                                m.poll();
                                check(&m, hand.get(&m), first, 100);
                                let mut mailbox = mailboxes[(turn * 5 + thread) % MAILBOXES].lock().unwrap();
                                mailbox.0.set(hand.get(&m));
                                mailbox.1 = first;
                                hand.set(None);
                            }
                        })
                    })
                    .collect();
                m.blocking(|| threads.into_iter().for_each(|thread| thread.join().expect("no list was lost")));
            });
        });
        for mailbox in &mailboxes {
            let mailbox = mailbox.lock().unwrap();
            check(&m, mailbox.0.get(&m), mailbox.1, 100);
        }
        assert_eq!(heap.summary().verify_failures, 0, "{config}");
    }
}

/// Tells when what the roots lead to has been marked, and lets the first round begin only when it is told to.
struct InTheMiddle {
    marked: Barrier,
    go_on: Barrier,
    once: AtomicBool,
}

impl EventListener for InTheMiddle {
    fn marking_done(&self) {
        if !self.once.swap(true, Ordering::Relaxed) {
            self.marked.wait();
            self.go_on.wait();
        }
    }
}

#[test]
fn a_mutator_dropped_in_the_middle_of_a_cycle_leaves_what_it_gave_away_whole() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=sync", "mechanism=sigbus", "mechanism=mprotect"] {
        let heap = heap(&format!("{config},limit=64M,verify=mark"));
        let mut m = heap.attach();
        let array: Root<Array<Node>> = m.root(Some(m.alloc_array(1000).expect("below the limit")));
        let shared = m.global(array.get(&m));
        let middle =
            Arc::new(InTheMiddle { marked: Barrier::new(2), go_on: Barrier::new(2), once: AtomicBool::new(false) });
        heap.raw().add_listener(middle.clone());
        std::thread::scope(|scope| {
            let (heap, shared, middle) = (&heap, &shared, &middle);
            let leaver = scope.spawn(move || {
                let mut m = heap.attach();
                // Old enough to be armed.
                let own = m.root(Some(list(&m, 7, 500)));
                m.blocking(|| middle.marked.wait());
                // The array is marked: hide a list behind it, make another that only its page leads to, and go.
                let array = shared.get(&m).expect("shared");
                array[3].set(own.get(&m));
                own.set(None);
                array[999].set(Some(list(&m, 9000, 500)));
                drop(own);
                drop(m);
                middle.go_on.wait();
            });
            m.collect();
            m.blocking(|| leaver.join()).expect("it left");
        });
        m.collect();
        let array = array.get(&m).expect("rooted");
        check(&m, array[3].get(&m), 7, 500);
        check(&m, array[999].get(&m), 9000, 500);
        assert_eq!(heap.summary().verify_failures, 0, "{config}");
    }
}

#[test]
fn threads_that_poll_are_stopped_in_no_time() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=128M");
    let mut m = heap.attach();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let polling: Vec<_> = (0..3)
            .map(|thread| {
                let (heap, over) = (&heap, &over);
                scope.spawn(move || {
                    let mut m = heap.attach();
                    let mut kept = rooted(&mut m, thread, 1000);
                    while !over.load(Ordering::Relaxed) {
                        check(&m, kept.get(&m), thread, 1000);
                        kept = rooted(&mut m, thread, 1000);
                        m.poll();
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            m.collect();
        }
        over.store(true, Ordering::Relaxed);
        m.blocking(|| polling.into_iter().for_each(|thread| thread.join().expect("its list is whole")));
    });
    // Each has a few microseconds of work between two polls. What is measured here is the scheduler of a loaded machine.
    let times = heap.summary().time_to_stop_us;
    assert!(times.p50 < 100_000.0 && times.max < 5_000_000.0, "{times:?}");
}

#[test]
fn a_handle_is_refused_by_a_mutator_that_does_not_keep_it() {
    let _watchdog = watchdog();
    let (one, other) = (heap("mechanism=async,limit=64M"), heap("mechanism=async,limit=64M"));
    let mut m = one.attach();
    let (root, global) = (m.root(Some(list(&m, 0, 3))), m.global(Some(list(&m, 0, 3))));
    // A mutator of another heap: that heap's safepoints do not stop this heap's collector.
    let foreign = other.attach();
    assert!(catch_unwind(AssertUnwindSafe(|| root.get(&foreign).is_some())).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| global.get(&foreign).is_some())).is_err());
    // The mutator whose root it was is gone: nothing traces it any more.
    m.poll();
    drop(m);
    let mut later = one.attach();
    later.collect();
    later.collect();
    assert!(catch_unwind(AssertUnwindSafe(|| root.get(&later).is_some())).is_err());
    check(&later, global.get(&later), 0, 3);
}

#[test]
fn a_second_mutator_of_a_thread_is_refused() {
    let _watchdog = watchdog();
    let (one, other) = (heap("mechanism=async,limit=64M"), heap("mechanism=async,limit=64M"));
    let mut m = one.attach();
    let refused = catch_unwind(AssertUnwindSafe(|| drop(one.attach()))).expect_err("it would wait for ever");
    let text = refused.downcast_ref::<&str>().expect("a text");
    assert!(text.contains("has a Mutator of this heap already"), "{text}");
    // Nothing is left of the attempt; another heap, another thread and a later mutator are welcome.
    m.collect();
    drop(other.attach());
    m.blocking(|| std::thread::scope(|scope| scope.spawn(|| drop(one.attach())).join())).expect("another thread");
    drop(m);
    one.attach().collect();
}

#[test]
fn who_is_waited_for_too_long_is_named() {
    succeeds_in_child("who_is_waited_for_too_long_is_named", || {
        let _watchdog = watchdog();
        // What the collector says, read here.
        let mut said = std::io::BufReader::new(capture_stderr());
        for mechanism in ["async", "stop"] {
            let heap = heap(&format!("mechanism={mechanism},limit=64M,name=patient"));
            std::thread::scope(|scope| {
                let (over, until) = mpsc::channel::<()>();
                let heap = &heap;
                let named = std::thread::Builder::new().name("never polls".into());
                let (attached, is_attached) = mpsc::channel();
                named
                    .spawn_scoped(scope, move || {
                        let m = heap.attach();
                        attached.send(()).expect("awaited");
                        until.recv().expect("told");
                        drop(m);
                    })
                    .expect("a thread");
                is_attached.recv().expect("attached");
                let collecting = scope.spawn(|| heap.attach().collect());
                let mut line = String::new();
                said.read_line(&mut line).expect("text");
                assert!(
                    line.contains("pagemark[patient]")
                        && line.contains("thread `never polls` (tid")
                        && line.contains("poll"),
                    "{line}"
                );
                assert!(!line.contains("has ended"), "{line}");
                // It was only slow: the cycle ends once it is gone.
                over.send(()).expect("it waits");
                collecting.join().expect("collected");
            });
        }
        let heap = heap("mechanism=async,limit=64M");
        std::thread::scope(|scope| scope.spawn(|| std::mem::forget(heap.attach())).join()).expect("ends");
        std::thread::spawn(move || heap.attach().collect());
        let mut line = String::new();
        said.read_line(&mut line).expect("text");
        assert!(line.contains("has ended") && line.contains("mem::forget"), "{line}");
    });
}

/// Standard error of this process from now on.
fn capture_stderr() -> std::fs::File {
    let mut ends = [0; 2];
    // SAFETY: an array of two numbers; the descriptors are ours, and 2 is ours to replace in a process of our own.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        assert_eq!(libc::dup2(ends[1], 2), 2);
        std::os::fd::FromRawFd::from_raw_fd(ends[0])
    }
}

#[test]
fn a_heap_can_be_dropped_by_any_thread_at_any_time() {
    let _watchdog = watchdog();
    for turn in 0..40u64 {
        let heap = heap("mechanism=async,limit=32M,zeal=alloc:1");
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let heap = heap.clone();
                std::thread::spawn(move || {
                    let mut m = heap.attach();
                    drop(heap);
                    let kept = rooted(&mut m, thread, 100 * turn + 1);
                    m.poll();
                    check(&m, kept.get(&m), thread, 100 * turn + 1);
                })
            })
            .collect();
        drop(heap);
        threads.into_iter().for_each(|thread| thread.join().expect("its list is whole"));
    }
}
