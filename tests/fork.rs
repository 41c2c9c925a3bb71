//! After a fork, parent and child each have a heap that works: under every mechanism and backing, in every phase, with other threads at work.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pagemark::__private::{Call, FaultPlan, Kernel, Outcome, When};
use pagemark::typed::{Field, Heap, Mutator, Ref, Root};
use pagemark::{Config, Exhausted, ForkError, Forked, Trace};
use pagemark_workspace::Watchdog;

#[derive(Trace)]
struct Node {
    left: Field<Node>,
    right: Field<Node>,
    value: u64,
}

const LEVELS: u32 = 11;

fn build(m: &Mutator, levels: u32, value: u64) -> Result<Ref<'_, Node>, Exhausted> {
    let node = m.alloc(Node { left: Field::null(), right: Field::null(), value })?;
    if levels > 1 {
        store(m, &node.left, build(m, levels - 1, value)?);
        store(m, &node.right, build(m, levels - 1, value)?);
    }
    Ok(node)
}

fn store(m: &Mutator, field: &Field<Node>, target: Ref<'_, Node>) {
    field.set(Some(target));
    if let Some(cards) = m.cards() {
        // SAFETY: a field of a live tracked object of this heap; no safepoint since the store.
        unsafe { cards.mark(field.address()) };
    }
}

/// Nodes of the tree, all of which must hold `value`.
fn count(m: &Mutator, node: Ref<'_, Node>, value: u64) -> u64 {
    assert_eq!(node.value, value);
    let below = |field: &Field<Node>| field.get(m).map_or(0, |child| count(m, child, value));
    1 + below(&node.left) + below(&node.right)
}

fn check(m: &Mutator, root: &Root<Node>, value: u64) {
    assert_eq!(count(m, root.get(m).expect("rooted"), value), (1 << LEVELS) - 1);
}

/// Replaces half of the tree, over and over, with safepoints between.
fn churn(m: &mut Mutator, root: &Root<Node>, value: u64, times: u32) {
    for time in 0..times {
        loop {
            let tree = root.get(m).expect("rooted");
            if let Ok(half) = build(m, LEVELS - 1, value) {
                store(m, if time % 2 == 0 { &tree.left } else { &tree.right }, half);
                break;
            }
            m.reclaim(1 << 16).expect("the live tree is far below the limit");
        }
        m.poll();
    }
}

/// Runs `other` on a thread that `std` knows nothing of, and `here` meanwhile. A thread of `std` takes a lock of the whole process when it starts, which
/// some thread of the parent may have held when it forked: in the child it may wait for ever. A panic of `other` ends the process.
fn beside(other: impl FnOnce() + Send, here: impl FnOnce()) {
    extern "C" fn run(work: *mut c_void) -> *mut c_void {
        // SAFETY: the address of a box that was made below, for this thread.
        let work = unsafe { Box::from_raw(work.cast::<Box<dyn FnOnce() + Send>>()) };
        work();
        std::ptr::null_mut()
    }
    struct Joined(libc::pthread_t);
    impl Drop for Joined {
        fn drop(&mut self) {
            // SAFETY: a thread that was started and is joined once.
            assert_eq!(unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) }, 0);
        }
    }
    let work: Box<dyn FnOnce() + Send + '_> = Box::new(other);
    // SAFETY: only the lifetime changes, and the thread is joined before this function returns or unwinds.
    let work: Box<dyn FnOnce() + Send> = unsafe { std::mem::transmute(work) };
    let mut thread = 0;
    let work = Box::into_raw(Box::new(work)).cast();
    // SAFETY: `run` takes what it is given here.
    assert_eq!(unsafe { libc::pthread_create(&mut thread, std::ptr::null(), run, work) }, 0);
    let _joined = Joined(thread);
    here();
}

/// What a child does; it never returns.
fn child(heap: &Heap, m: &mut Mutator, root: &Root<Node>, value: u64) -> ! {
    let works = catch_unwind(AssertUnwindSafe(|| {
        check(m, root, value);
        let before = heap.summary().cycles;
        churn(m, root, value, 20);
        m.collect();
        let over = AtomicBool::new(false);
        let other = || {
            let mut m = heap.attach();
            let root = m.root(Some(build(&m, LEVELS, 5).expect("room for a tree")));
            churn(&mut m, &root, 5, 20);
            m.collect();
            check(&m, &root, 5);
            drop(m);
            over.store(true, Ordering::Relaxed);
        };
        beside(other, || {
            churn(m, root, value, 20);
            while !over.load(Ordering::Relaxed) {
                m.blocking(|| std::thread::sleep(Duration::from_millis(1)));
            }
        });
        check(m, root, value);
        let summary = heap.summary();
        assert!(summary.cycles >= before + 2, "no cycle in the child");
        assert_eq!(summary.verify_failures, 0);
    }));
    // SAFETY: ends this process, without the test harness's own end.
    unsafe { libc::_exit(i32::from(works.is_err())) }
}

fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

/// Forks `forks` times while two other threads work; parent and children check all they have.
fn forks(keys: &str, forks: u64) {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let config = Config::parse(&format!("limit=64M,heap=4M,{keys}")).expect("the keys are valid");
    let heap = Heap::new(&config).expect("works on this machine");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for value in [1001, 1002] {
            let (heap, over) = (&heap, &over);
            scope.spawn(move || {
                let mut m = heap.attach();
                let root = m.root(Some(build(&m, LEVELS, value).expect("room for a tree")));
                while !over.load(Ordering::Relaxed) {
                    churn(&mut m, &root, value, 2);
                    check(&m, &root, value);
                    m.blocking(|| std::thread::sleep(Duration::from_micros(200)));
                }
            });
        }
        let mut m = heap.attach();
        let root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
        let mut children = Vec::new();
        for _ in 0..forks {
            churn(&mut m, &root, 7, 5);
            let sticky = heap.summary().cycles_sticky;
            while keys.contains("sticky=always") && heap.summary().cycles_sticky == sticky {
                churn(&mut m, &root, 7, 1);
            }
            // SAFETY: the child uses this heap, its own stack and the allocator, which glibc makes whole in a child.
            match unsafe { m.fork() }.expect("there is room for a child") {
                Forked::Child => child(&heap, &mut m, &root, 7),
                Forked::Parent { child } => children.push(child),
            }
            check(&m, &root, 7);
        }
        churn(&mut m, &root, 7, 10);
        m.collect();
        check(&m, &root, 7);
        for child in children {
            assert_eq!(m.blocking(|| wait(child)), 0, "{keys}: a child failed");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(heap.summary().verify_failures, 0, "{keys}");
}

#[test]
fn parent_and_child_go_on_under_every_mechanism_and_backing() {
    for mechanism in ["async", "sync", "sigbus", "mprotect", "cards", "stop"] {
        for backing in ["anon", "shmem"] {
            forks(&format!("mechanism={mechanism},backing={backing},verify=all,markers=2"), 3);
        }
    }
}

#[test]
fn parent_and_child_go_on_between_sticky_cycles() {
    for mechanism in ["async", "sync", "sigbus", "mprotect", "cards"] {
        for disarm in ["off", "always"] {
            let keys = format!("mechanism={mechanism},sticky=always,disarm={disarm},zeal=alloc:1,verify=all");
            forks(&keys, 2);
        }
    }
}

/// Pages of the tree: nodes are 32 bytes.
const TREE_PAGES: u64 = 32 * ((1 << LEVELS) - 1) / 4096;

#[test]
fn in_a_child_every_page_starts_as_written() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        for backing in ["anon", "shmem"] {
            let keys = format!("mechanism={mechanism},backing={backing},limit=64M");
            let heap = Heap::new(&Config::parse(&keys).expect("the keys are valid")).expect("works on this machine");
            let mut m = heap.attach();
            let _root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
            let armed_by_a_cycle = |m: &mut Mutator| {
                let before = heap.summary().pages_armed;
                m.collect();
                heap.summary().pages_armed - before
            };
            assert!(armed_by_a_cycle(&mut m) >= TREE_PAGES, "{keys}");
            assert!(
                armed_by_a_cycle(&mut m) < TREE_PAGES / 2,
                "{keys}: nothing was written, and pages are armed again"
            );
            // SAFETY: as in `forks`.
            match unsafe { m.fork() }.expect("there is room for a child") {
                Forked::Parent { child } => assert_eq!(m.blocking(|| wait(child)), 0, "{keys}"),
                Forked::Child => {
                    // Whatever page still counted as armed would not be protected, and writes to it would be lost.
                    let all = armed_by_a_cycle(&mut m) >= TREE_PAGES;
                    // And nobody took them for written: then they would have been disarmed.
                    let few = armed_by_a_cycle(&mut m) < TREE_PAGES / 2;
                    // SAFETY: ends this process, without the test harness's own end.
                    unsafe { libc::_exit(i32::from(!all) + 2 * i32::from(!few)) }
                }
            }
        }
    }
}

#[test]
fn a_fork_in_any_phase_leaves_two_heaps_that_work() {
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        for phase in ["handshake", "arm", "mark", "round", "pause", "sweep"] {
            for backing in ["anon", "shmem"] {
                let keys = format!("mechanism={mechanism},backing={backing},zeal=phase:{phase},verify=mark,poison");
                forks(&keys, 2);
            }
        }
    }
}

#[test]
fn a_child_forks_in_its_turn() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let heap = Heap::new(&Config::parse("limit=64M,backing=shmem,verify=mark").unwrap()).expect("works here");
    let mut m = heap.attach();
    let root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
    // SAFETY: as in `forks`.
    match unsafe { m.fork() }.expect("there is room for a child") {
        Forked::Parent { child } => assert_eq!(wait(child), 0),
        // SAFETY: as in `forks`.
        Forked::Child => match unsafe { m.fork() } {
            Ok(Forked::Parent { child }) => {
                let status = wait(child);
                // SAFETY: ends this process.
                unsafe { libc::_exit(i32::from(status != 0)) }
            }
            Ok(Forked::Child) => child(&heap, &mut m, &root, 7),
            // SAFETY: ends this process.
            Err(_) => unsafe { libc::_exit(2) },
        },
    }
}

#[test]
fn a_fork_that_fails_anywhere_leaves_the_heap_as_it_was() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    for backing in ["anon", "shmem"] {
        for (mechanism, call) in [
            ("async", Call::Fork),
            ("async", Call::Userfaultfd),
            ("async", Call::UffdRegister),
            ("async", Call::PagemapOpen),
            ("async", Call::Dup),
            ("sync", Call::Eventfd),
            ("sync", Call::Spawn),
            ("sigbus", Call::Dup),
            ("async", Call::MemfdCreate),
            ("async", Call::Mmap),
            ("async", Call::Copy),
        ] {
            let only_shmem = matches!(call, Call::MemfdCreate | Call::Mmap | Call::Copy);
            if backing == "anon" && only_shmem {
                continue;
            }
            let plan = FaultPlan::new(1);
            let config = Config::parse(&format!("limit=64M,mechanism={mechanism},backing={backing},verify=mark"));
            let heap = Heap::with_kernel(&config.unwrap(), &Kernel::failing(&plan)).expect("works here");
            let mut m = heap.attach();
            let root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
            plan.set(call, When::Always, Outcome::Fails(libc::ENOMEM));
            // SAFETY: there is no child that goes on.
            let error = unsafe { m.fork() }.expect_err("a call fails");
            assert_eq!(
                matches!(error, ForkError::Fork(_)),
                call == Call::Fork,
                "{mechanism} {backing} {call:?}: {error}"
            );
            plan.clear_all();
            churn(&mut m, &root, 7, 20);
            m.collect();
            check(&m, &root, 7);
            assert_eq!(heap.summary().verify_failures, 0);
            // SAFETY: as in `forks`.
            match unsafe { m.fork() }.expect("nothing fails any more") {
                Forked::Child => child(&heap, &mut m, &root, 7),
                Forked::Parent { child } => assert_eq!(wait(child), 0),
            }
        }
    }
}

/// Runs `f` in a child that was forked behind the heap's back; returns its wait status.
fn behind_its_back(f: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `f` and ends.
    match unsafe { libc::fork() } {
        0 => {
            let result = catch_unwind(AssertUnwindSafe(f));
            // SAFETY: ends this process.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        child => wait(child),
    }
}

#[test]
fn a_child_forked_behind_the_heap_s_back_is_told_when_it_needs_a_cycle() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let heap = Heap::new(&Config::parse("limit=64M,backing=anon").unwrap()).expect("works here");
    let mut m = heap.attach();
    let root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
    m.collect();
    let status = behind_its_back(|| {
        check(&m, &root, 7);
        churn(&mut m, &root, 7, 5);
        check(&m, &root, 7);
        m.collect();
    });
    assert_eq!(libc::WEXITSTATUS(status), 1, "reading, writing and allocating work, and a cycle panics");
    check(&m, &root, 7);
}

#[test]
fn a_child_forked_behind_the_heap_s_back_cannot_write_to_its_parent_s_shared_memory() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let heap = Heap::new(&Config::parse("limit=64M,backing=shmem").unwrap()).expect("works here");
    let mut m = heap.attach();
    let root = m.root(Some(build(&m, LEVELS, 7).expect("room for a tree")));
    let status = behind_its_back(|| check(&m, &root, 7));
    assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    m.collect();
    check(&m, &root, 7);
}

/// A thread that is just starting holds a lock of the standard library's, which in the child nobody lets go.
#[test]
fn a_child_collects_whatever_threads_its_parent_was_starting() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let heap = Heap::new(&Config::parse("limit=64M,heap=4M,markers=2").expect("the keys are valid")).expect("works");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::thread::spawn(|| ()).join().expect("it does nothing");
                }
            });
        }
        let mut m = heap.attach();
        for _ in 0..1000 {
            // SAFETY: the child uses this heap and its own stack.
            match unsafe { m.fork() }.expect("there is room for a child") {
                Forked::Child => {
                    m.collect();
                    // SAFETY: ends this process, without the test harness's own end.
                    unsafe { libc::_exit(0) }
                }
                Forked::Parent { child } => assert_eq!(m.blocking(|| wait(child)), 0, "a child failed"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}
