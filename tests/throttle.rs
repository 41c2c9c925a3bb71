//! Rounds converge under a program that writes all the time and allocates nothing, because it is held back; and nothing is lost by that.
//!
//! One thread writes to every page of an old structure, over and over. However fast a round is, it would find all of them written; only if the thread
//! runs for a part of the time are there fewer from round to round, and few left for the pause.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::telemetry::{CycleReport, EventListener, StallCause};
use pagemark::typed::{Array, Field, Heap, Mutator, Root};
use pagemark::{Config, Trace};
use pagemark_workspace::Watchdog;

/// Objects of half a kilobyte.
const OBJECTS: usize = 16_000;
const PAGES: u64 = (OBJECTS * 512 / 4096) as u64;

#[derive(Trace)]
struct Node {
    to: Field<Node>,
    number: u64,
    rest: [u64; 62],
}

#[derive(Default)]
struct Heard {
    cycles: Mutex<Vec<CycleReport>>,
    rests: AtomicU64,
}

impl EventListener for Heard {
    fn cycle_ended(&self, report: &CycleReport) {
        self.cycles.lock().expect("nobody panics with it").push(report.clone());
    }

    fn mutator_stalled(&self, _: Duration, cause: StallCause) {
        self.rests.fetch_add(u64::from(cause == StallCause::Throttle), Ordering::Relaxed);
    }
}

impl Heard {
    /// Whether some cycle left few of the pages to its pause, although all were written again and again.
    fn converged(&self) -> bool {
        let cycles = self.cycles.lock().expect("nobody panics with it");
        cycles.iter().any(|report| report.pages_dirty >= PAGES && report.pages_residual < PAGES / 4)
    }
}

fn old(m: &mut Mutator) -> Root<Array<Node>> {
    let array = m.root(Some(m.alloc_array::<Node>(OBJECTS).expect("it fits")));
    for index in 0..OBJECTS {
        let fresh = m.alloc(Node { to: Field::null(), number: index as u64, rest: [0; 62] }).expect("it fits");
        array.get(m).expect("rooted").value()[index].set(Some(fresh));
        m.poll();
    }
    array
}

/// Makes each object refer to the one `by` places on, with a safepoint now and then.
fn link(m: &mut Mutator, array: &Root<Array<Node>>, by: usize) {
    for start in (0..OBJECTS).step_by(64) {
        let slots = array.get(m).expect("rooted").value();
        for index in start..(start + 64).min(OBJECTS) {
            let node = slots[index].get(m).expect("every slot has one");
            node.to.set(slots[(index + by) % OBJECTS].get(m));
        }
        m.poll();
    }
}

#[test]
fn rounds_shrink_under_a_program_that_writes_all_the_time_and_allocates_nothing() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for mechanism in ["async", "sync", "sigbus", "mprotect"] {
        let config = Config::parse(&format!("limit=128M,heap=64M,mechanism={mechanism},verify=mark"));
        let heap = Heap::new(&config.expect("valid keys")).expect("works on this machine");
        let heard = Arc::new(Heard::default());
        heap.raw().add_listener(heard.clone());
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut m = heap.attach();
                let array = old(&mut m);
                let mut turn = 0;
                while !over.load(Ordering::Relaxed) {
                    turn += 1;
                    link(&mut m, &array, turn);
                }
                // No cycle runs any more, so nobody is held back.
                m.poll();
                assert!(!m.poll_requested(), "{mechanism}");
                let slots = array.get(&m).expect("rooted").value();
                for (index, slot) in slots.iter().enumerate() {
                    let node = slot.get(&m).expect("every slot has one");
                    let to = node.to.get(&m).expect("it was linked");
                    assert_eq!(
                        (node.number, to.number),
                        (index as u64, ((index + turn) % OBJECTS) as u64),
                        "{mechanism}"
                    );
                    assert!(node.rest.iter().all(|word| *word == 0), "{mechanism}");
                }
            });
            let mut m = heap.attach();
            // A busy machine may hold anybody up in any of them, so not in each do the pages get few.
            while !heard.converged() {
                m.collect();
            }
            over.store(true, Ordering::Relaxed);
            m.blocking(|| writer.join()).expect("nothing is lost");
        });
        assert!(heard.rests.load(Ordering::Relaxed) > 0, "{mechanism}: nobody was held back");
        assert_eq!(heap.summary().verify_failures, 0, "{mechanism}");
    }
}
