//! The fault thread may die and the collector's descriptors may be closed under it: mutators go on, and no object is lost.
//!
//! From then on writes are not seen. What must not happen: a mutator that sleeps on a fault for ever; a cycle that believes a report
//! which is not complete. Each cycle from then on is blind, and says so.

use std::sync::Arc;
use std::time::Duration;

use pagemark::__private::{Call, FaultPlan, Kernel, Outcome, When};
use pagemark::Config;
use pagemark::typed::{Heap, Mutator};
use pagemark_workspace::{Watchdog, succeeds_in_child, while_a_graph_changes};

const BACKINGS: [&str; 2] = ["anon", "shmem"];
const SLOTS: usize = 4_000;

fn heap(mechanism: &str, backing: &str, plan: &Arc<FaultPlan>) -> Option<Heap> {
    let keys = format!("mechanism={mechanism},backing={backing},limit=96M,heap=4M,verify=mark");
    let config = Config::parse(&keys).expect("a configuration");
    Heap::with_kernel(&config, &Kernel::failing(plan)).map_err(|error| eprintln!("skipped: {error}")).ok()
}

/// Cycles until one was blind; then each of the next must be.
fn goes_blind_for_good(m: &mut Mutator, what: &str) {
    let heap = m.heap().clone();
    for _ in 0..300 {
        m.collect();
        if heap.summary().cycles_blind > 0 {
            break;
        }
    }
    let before = heap.summary();
    assert!(before.cycles_blind > 0, "{what}: no cycle was blind");
    (0..5).for_each(|_| m.collect());
    let after = heap.summary();
    assert_eq!(after.cycles - before.cycles, after.cycles_blind - before.cycles_blind, "{what}: a cycle was not blind");
}

/// The fault thread's `call` fails while mutators fault; `also` fails too when it then wants to let them go.
fn fault_thread_dies(call: Call, when: When, errno: i32, also: Option<Call>) {
    for backing in BACKINGS {
        let what = format!("{call:?} {when:?} {errno}, {also:?}, on {backing}");
        let plan = FaultPlan::new(1);
        let Some(heap) = heap("sync", backing, &plan) else { return };
        while_a_graph_changes(&heap, 3, SLOTS, &what, |m| {
            (0..3).for_each(|_| m.collect());
            assert_eq!(heap.summary().cycles_blind, 0, "{what}");
            if let Some(also) = also {
                plan.set(also, When::Always, Outcome::Fails(libc::ENOMEM));
            }
            plan.set(call, when, Outcome::Fails(errno));
            goes_blind_for_good(m, &what);
            assert!(plan.hits(call) > 0, "{what}");
        });
    }
}

#[test]
fn a_fault_thread_that_cannot_go_on_lets_everybody_go() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    for also in [None, Some(Call::UffdUnregister)] {
        fault_thread_dies(Call::Poll, When::Nth(3), libc::ENOMEM, also);
        fault_thread_dies(Call::Poll, When::Always, libc::EINTR, also);
        fault_thread_dies(Call::UffdRead, When::Nth(5), libc::EBADF, also);
        fault_thread_dies(Call::UffdRead, When::Always, libc::EAGAIN, also);
        fault_thread_dies(Call::UffdUnprotect, When::From(7), libc::ENOMEM, also);
        fault_thread_dies(Call::UffdWake, When::From(7), libc::EPERM, also);
    }
}

#[test]
fn a_heap_whose_fault_thread_cannot_be_told_to_end_ends_all_the_same() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let plan = FaultPlan::new(1);
    let Some(heap) = heap("sync", "anon", &plan) else { return };
    while_a_graph_changes(&heap, 1, SLOTS, "an eventfd that takes no write", |m| m.collect());
    plan.set(Call::EventfdWrite, When::Always, Outcome::Fails(libc::EAGAIN));
    drop(heap);
    assert!(plan.hits(Call::EventfdWrite) > 0);
}

/// This process's descriptors of a kind.
fn descriptors(kind: &str) -> Vec<libc::c_int> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("procfs").flatten();
    let of_kind =
        entries.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().ends_with(kind)));
    of_kind.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How somebody gets rid of descriptors that are not theirs.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Closed,
    /// Closed, and the number is another file's since.
    Reused,
}

fn loses(kind: &str, loss: Loss) {
    let lost = descriptors(kind);
    assert!(!lost.is_empty(), "no descriptor ends in {kind}");
    for fd in lost {
        // SAFETY: not sound in general, which is the point: programs do this to descriptors they do not know.
        unsafe {
            match loss {
                Loss::Closed => assert_eq!(libc::close(fd), 0),
                Loss::Reused => {
                    let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
                    assert_eq!(libc::dup2(null, fd), fd);
                    libc::close(null);
                }
            }
        }
    }
}

/// In a child: a heap of the mechanism loses its descriptors while mutators write.
fn survives_the_loss(test: &str, mechanism: &str, kind: &str) {
    succeeds_in_child(test, || {
        let _watchdog = Watchdog::start(Duration::from_secs(120));
        for backing in BACKINGS {
            for loss in [Loss::Closed, Loss::Reused] {
                let plan = FaultPlan::new(1);
                let Some(heap) = heap(mechanism, backing, &plan) else { return };
                let what = format!("{mechanism} on {backing}, {kind} {loss:?}");
                while_a_graph_changes(&heap, 3, SLOTS, &what, |m| {
                    (0..3).for_each(|_| m.collect());
                    assert_eq!(heap.summary().cycles_blind, 0, "{what}");
                    loses(kind, loss);
                    goes_blind_for_good(m, &what);
                });
                // Its end would close numbers that are not its own any more, which the standard library takes ill.
                std::mem::forget(heap);
            }
        }
    });
}

#[test]
fn async_survives_the_loss_of_its_userfaultfd() {
    survives_the_loss("async_survives_the_loss_of_its_userfaultfd", "async", "[userfaultfd]");
}

#[test]
fn async_survives_the_loss_of_its_page_map() {
    survives_the_loss("async_survives_the_loss_of_its_page_map", "async", "pagemap");
}

#[test]
fn sync_survives_the_loss_of_its_userfaultfd() {
    survives_the_loss("sync_survives_the_loss_of_its_userfaultfd", "sync", "[userfaultfd]");
}

#[test]
fn sync_survives_the_loss_of_its_eventfd() {
    survives_the_loss("sync_survives_the_loss_of_its_eventfd", "sync", "[eventfd]");
}

#[test]
fn sigbus_survives_the_loss_of_its_userfaultfd() {
    survives_the_loss("sigbus_survives_the_loss_of_its_userfaultfd", "sigbus", "[userfaultfd]");
}
