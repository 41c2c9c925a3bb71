//! Rounds converge under a program that writes all the time and allocates nothing, because it is held back; and nothing is lost by that.
//!
//! One thread writes to every page of an old structure, over and over. However fast a round is, it would find all of them written; only if the thread
//! runs for a part of the time are there fewer from round to round, and few left for the pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::telemetry::{CycleReport, EventListener};
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
}

impl EventListener for Heard {
    fn cycle_ended(&self, report: &CycleReport) {
        self.cycles.lock().expect("nobody panics with it").push(report.clone());
    }
}

impl Heard {
    /// Whether some cycle found all pages written in at least two rounds, held the writer back, and left few of them to its pause.
    fn converged(&self) -> bool {
        let cycles = self.cycles.lock().expect("nobody panics with it");
        let is_one = |report: &CycleReport| {
            report.pages_dirty >= 2 * PAGES && report.pages_residual < PAGES / 4 && !report.mutator_stall.is_zero()
        };
        cycles.iter().any(is_one)
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
    for backing in ["anon", "shmem"] {
        // With other mechanisms the faults themselves hold it back.
        let config = Config::parse(&format!("limit=128M,heap=64M,mechanism=async,backing={backing},verify=mark"));
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
                assert!(!m.poll_requested(), "{backing}");
                let slots = array.get(&m).expect("rooted").value();
                for (index, slot) in slots.iter().enumerate() {
                    let node = slot.get(&m).expect("every slot has one");
                    let to = node.to.get(&m).expect("it was linked");
                    assert_eq!(
                        (node.number, to.number),
                        (index as u64, ((index + turn) % OBJECTS) as u64),
                        "{backing}"
                    );
                    assert!(node.rest.iter().all(|word| *word == 0), "{backing}");
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
        assert_eq!(heap.summary().verify_failures, 0, "{backing}");
    }
}
