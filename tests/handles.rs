//! Handles: a handle of one heap does not take another heap's object, which it would not keep; and the last handle to a heap may be dropped
//! anywhere, on the heap's own thread too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::telemetry::{CycleReport, EventListener};
use pagemark::typed::{Field, Heap};
use pagemark::{Config, Trace};

#[derive(Trace)]
struct Node {
    next: Field<Node>,
    value: u64,
}

fn heap() -> Heap {
    Heap::new(&Config::parse("limit=8M").unwrap()).unwrap()
}

#[test]
fn a_handle_refuses_an_object_of_another_heap_and_keeps_what_it_held() {
    let (ours, theirs) = (heap(), heap());
    let (m, other) = (ours.attach(), theirs.attach());
    let object = m.alloc(Node { next: Field::null(), value: 1 }).unwrap();
    let foreign = other.alloc(Node { next: Field::null(), value: 2 }).unwrap();
    let (root, global) = (m.root(Some(object)), m.global(Some(object)));
    let refused = |what: &str, take: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(take)).is_err(), "{what}");
    refused("a new root", &|| drop(m.root(Some(foreign))));
    refused("a new global", &|| drop(m.global(Some(foreign))));
    refused("a root", &|| root.set(Some(foreign)));
    refused("a global", &|| global.set(Some(foreign)));
    for kept in [root.get(&m), global.get(&m)] {
        let kept = kept.unwrap();
        assert!(kept == object && kept.value == 1 && kept.next.get(&m).is_none());
    }
}

/// At the end of a cycle, drops a handle to the heap once it is told that there is no other.
struct Last {
    handle: Mutex<Option<Heap>>,
    alone: Mutex<Receiver<()>>,
    dropped: Sender<()>,
}

impl EventListener for Last {
    fn cycle_ended(&self, _: &CycleReport) {
        self.alone.lock().unwrap().recv().unwrap();
        drop(self.handle.lock().unwrap().take());
        self.dropped.send(()).unwrap();
    }
}

#[test]
fn the_last_handle_may_be_dropped_by_a_listener_on_the_collector_s_thread() {
    let heap = heap();
    let (alone, told) = channel();
    let (dropped, done) = channel();
    let last = Last { handle: Mutex::new(Some(heap.clone())), alone: Mutex::new(told), dropped };
    heap.raw().add_listener(Arc::new(last));
    let m = heap.attach();
    // Ends with the request of a cycle, for which nobody waits.
    while m.alloc_bytes(4096).is_ok() {}
    drop(m);
    drop(heap);
    alone.send(()).unwrap();
    done.recv_timeout(Duration::from_secs(60)).expect("the collector's thread lets go of its heap");
}

/// In release builds the check is left out: `alloc` is a handful of instructions.
#[cfg(debug_assertions)]
#[test]
fn a_field_that_was_set_outside_the_heap_is_refused_with_its_object() {
    let heap = heap();
    let m = heap.attach();
    let object = m.alloc(Node { next: Field::null(), value: 1 }).unwrap();
    let outside = Node { next: Field::null(), value: 2 };
    outside.next.set(Some(object));
    assert!(catch_unwind(AssertUnwindSafe(|| m.alloc(outside).map(|_| ()))).is_err());
}
