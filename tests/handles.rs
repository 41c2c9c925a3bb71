//! Handles: a handle of one heap does not take another heap's object, which it would not keep.

use std::panic::{AssertUnwindSafe, catch_unwind};

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
