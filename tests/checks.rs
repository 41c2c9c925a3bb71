//! Each check that can be switched on finds what it is there for: a heap that was damaged on purpose is noticed, and an undamaged one is not.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark_gc::collector::Collector;
use pagemark_gc::config::Config;
use pagemark_gc::heap::metadata::{END, START};
use pagemark_gc::model::{ObjectModel, RootSource, Space, Tracer};
use pagemark_gc::mutator::Mutator;

/// Objects of references only: every word is null or the start of an object.
struct Words;

// SAFETY: every word in the range is reported, loaded once.
unsafe impl ObjectModel for Words {
    unsafe fn trace(&self, object: NonNull<u8>, range: std::ops::Range<usize>, tracer: &mut Tracer<'_>) {
        for offset in range.step_by(8) {
            // SAFETY: a word of a live object.
            let word = unsafe { &*object.as_ptr().add(offset).cast::<AtomicUsize>() }.load(Ordering::Acquire);
            if word != 0 {
                tracer.edge(word);
            }
        }
    }
}

#[derive(Default)]
struct Roots(Mutex<Vec<usize>>);

// SAFETY: everything in the list is reported.
unsafe impl RootSource for Roots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        self.0.lock().expect("nobody panics with it").iter().for_each(|root| tracer.edge(*root));
    }
}

/// A heap with a hundred live objects of 64 bytes, each between two dead ones, after two cycles.
fn heap(keys: &str) -> (Collector, Mutator, Arc<Roots>) {
    let config = Config::parse(&format!("limit=64M,{keys}")).expect("the keys are valid");
    let collector = Collector::new(&config, Words).expect("works on this machine");
    let roots = Arc::new(Roots::default());
    let mut mutator = collector.attach(roots.clone());
    for index in 0..300 {
        let object = mutator.alloc(64, Space::Tracked).expect("64 MB").as_ptr() as usize;
        if index % 3 == 1 {
            roots.0.lock().expect("nobody panics with it").push(object);
        }
    }
    mutator.collect();
    mutator.collect();
    (collector, mutator, roots)
}

fn failures(collector: &Collector) -> u64 {
    collector.summary().verify_failures
}

fn watchdog() -> pagemark_workspace::Watchdog {
    pagemark_workspace::Watchdog::start(Duration::from_secs(120))
}

#[test]
fn an_undamaged_heap_passes_every_check() {
    let _watchdog = watchdog();
    for mechanism in ["async", "sync", "sigbus", "mprotect", "cards", "stop"] {
        for backing in ["anon", "shmem"] {
            let (collector, ..) = heap(&format!("mechanism={mechanism},backing={backing},verify=all,oracle,poison"));
            assert_eq!(failures(&collector), 0, "{mechanism} {backing}");
        }
    }
}

/// Damages the metadata of one granule near the object `index` of the live ones; the next cycle must notice.
fn metadata_damage_is_noticed(byte: impl Fn(u8) -> u8, offset: usize) {
    let _watchdog = watchdog();
    let (collector, mut mutator, roots) = heap("mechanism=stop,verify=heap");
    assert_eq!(failures(&collector), 0);
    let object = roots.0.lock().expect("nobody panics with it")[50];
    let slot = collector.shared().heap.metadata.at(object + offset);
    slot.store(byte(slot.load(Ordering::Relaxed)), Ordering::Relaxed);
    mutator.collect();
    assert!(failures(&collector) > 0);
}

#[test]
fn an_object_that_starts_inside_another_is_noticed() {
    metadata_damage_is_noticed(|byte| byte | START, 16);
}

#[test]
fn an_object_without_an_end_is_noticed() {
    metadata_damage_is_noticed(|byte| byte & !END, 48);
}

#[test]
fn an_object_that_ends_where_none_started_is_noticed() {
    metadata_damage_is_noticed(|_| END, 80);
}

#[test]
fn a_mark_that_cannot_be_is_noticed() {
    metadata_damage_is_noticed(|byte| byte | 0b11, 0);
}

#[test]
fn a_mark_inside_an_object_is_noticed() {
    metadata_damage_is_noticed(|byte| byte | 0b01, 32);
}

#[test]
fn a_write_to_swept_memory_is_noticed() {
    let _watchdog = watchdog();
    for backing in ["anon", "shmem"] {
        let (collector, mut mutator, roots) = heap(&format!("backing={backing},poison,verify=heap,sticky=off"));
        assert_eq!(failures(&collector), 0);
        let object = roots.0.lock().expect("nobody panics with it")[50];
        // SAFETY: the dead object behind this one, in memory that is mapped; what an embedder with a stale reference would do.
        unsafe { ((object + 64 + 8) as *mut u64).write_volatile(7) };
        mutator.collect();
        assert!(failures(&collector) > 0, "{backing}: by verify=heap");
    }
    let (collector, mut mutator, roots) = heap("poison,sticky=off");
    let object = roots.0.lock().expect("nobody panics with it")[50];
    // SAFETY: as above.
    unsafe { ((object + 64 + 8) as *mut u64).write_volatile(7) };
    while mutator.alloc(64, Space::Tracked).expect("64 MB").as_ptr() as usize != object + 64 {}
    mutator.collect();
    assert_eq!(failures(&collector), 1, "by the next who got that memory");
}

#[test]
fn swept_memory_holds_the_pattern_and_new_objects_zero() {
    let _watchdog = watchdog();
    let (_collector, mutator, roots) = heap("poison,sticky=off");
    let object = roots.0.lock().expect("nobody panics with it")[50];
    let word = |addr: usize| {
        // SAFETY: mapped memory of the heap.
        unsafe { (addr as *const u64).read_volatile() }
    };
    assert_eq!(word(object + 64), pagemark_gc::heap::poison::PATTERN);
    while mutator.alloc(64, Space::Tracked).expect("64 MB").as_ptr() as usize != object + 64 {}
    assert!((object + 64..object + 128).step_by(8).all(|addr| word(addr) == 0));
}

#[test]
fn the_limit_shrinks_and_grows_between_its_bounds() {
    let _watchdog = watchdog();
    let (collector, mut mutator, roots) = heap("");
    let fill = |mutator: &mut Mutator| {
        let mut objects = 0;
        while let Ok(object) = mutator.alloc(64 << 10, Space::Leaf) {
            roots.0.lock().expect("nobody panics with it").push(object.as_ptr() as usize);
            objects += 1;
        }
        roots.0.lock().expect("nobody panics with it").truncate(100);
        mutator.collect();
        objects
    };
    let whole = fill(&mut mutator);
    collector.set_limit(16 << 20).expect("between the bounds");
    mutator.collect();
    let quarter = fill(&mut mutator);
    collector.set_limit(64 << 20).expect("the limit it was created with");
    assert!(quarter <= whole / 3, "{quarter} objects of 64 KB fit 16 MB, {whole} fit 64 MB");
    assert_eq!(fill(&mut mutator), whole);
    let error = collector.set_limit((64 << 20) + 1).unwrap_err();
    assert_eq!(error.most, 64 << 20);
    let error = collector.set_limit(1).unwrap_err().to_string();
    assert!(error.contains("at least 4194304"), "{error}");
}
