//! What an object is, seen from outside: memory of the size that was asked for, zeroed, aligned, nobody else's, found from any address in it,
//! and there for as long as something refers to it, and no longer.
//!
//! These tests use the raw layer, where the embedder's objects have no header at all: an object here is nothing but a pattern that its
//! address and its size determine, so a byte that anything else wrote into it shows. All roots are a list of addresses. Sizes run from one granule to
//! three megabytes, with every boundary at which the heap changes its mind (a granule, a medium object, 8 KB, a page, a block).
//!
//! A shadow map holds what lives: the objects' ranges must not overlap, `object_at` must agree with it at every granule and also say
//! "nothing" where there is nothing, and `live_bytes_last` must be the sum of its sizes, to the byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemark::{Config, Heap, Mutator, ObjectModel, RootSource, Space, Tracer};
use pagemark_workspace::Watchdog;

const GRANULE: usize = 16;
const PAGE: usize = 4096;
/// Objects above this own their pages.
const LARGE: usize = 8192;

fn watchdog() -> Watchdog {
    Watchdog::start(Duration::from_secs(300))
}

/// Objects that refer to nothing, whatever their bytes are.
struct Opaque;

// SAFETY: these objects hold no references.
unsafe impl ObjectModel for Opaque {
    unsafe fn trace(&self, _: NonNull<u8>, _: Range<usize>, _: &mut Tracer<'_>) {}
}

/// A list of addresses.
#[derive(Default)]
struct Roots(Mutex<Vec<usize>>);

// SAFETY: reports every address in the list, which holds every object the tests still use.
unsafe impl RootSource for Roots {
    fn trace_roots(&self, tracer: &mut Tracer<'_>) {
        self.0.lock().unwrap().iter().for_each(|addr| tracer.edge(*addr));
    }
}

fn heap(config: &str) -> Heap {
    Heap::new(&Config::parse(config).expect("a configuration"), Opaque).expect("a heap")
}

/// Bytes that an object of `bytes` occupies.
fn occupied(bytes: usize) -> usize {
    let unit = if bytes.next_multiple_of(GRANULE) > LARGE { PAGE } else { GRANULE };
    bytes.max(1).next_multiple_of(unit)
}

/// One of each size class, and both sides of every boundary.
fn sizes() -> Vec<usize> {
    let mut sizes: Vec<usize> = vec![0, 1, 15, 17];
    sizes.extend((1..=64).map(|granules| granules * GRANULE));
    sizes.extend((0..40).map(|i| 1024 + i * 179));
    for boundary in [512, PAGE, LARGE, 65536, 1 << 20] {
        sizes.extend([boundary - 1, boundary, boundary + 1, boundary + GRANULE]);
    }
    sizes.extend([3 * PAGE, 100_000, 3 << 20]);
    sizes
}

/// What word `i` of the object at `addr` holds; never zero.
fn word(addr: usize, i: usize) -> u64 {
    (addr as u64 ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}

/// The words of an object.
///
/// # Safety
///
/// `addr` is the start of an object of `bytes` bytes that is alive and that only this thread uses for as long as the slice lives.
unsafe fn words<'a>(addr: usize, bytes: usize) -> &'a mut [u64] {
    // SAFETY: by this function's contract; objects are aligned to 16.
    unsafe { std::slice::from_raw_parts_mut(addr as *mut u64, bytes / 8) }
}

/// One thread's objects and what they should hold.
struct Objects {
    mutator: Mutator,
    roots: Arc<Roots>,
    /// Bytes occupied, by address.
    live: BTreeMap<usize, usize>,
}

impl Objects {
    fn new(heap: &Heap) -> Objects {
        let roots = Arc::new(Roots::default());
        Objects { mutator: heap.attach(roots.clone()), roots, live: BTreeMap::new() }
    }

    /// A new object: checked to be zero, aligned and apart from all others, then filled.
    fn make(&mut self, bytes: usize, space: Space) -> usize {
        let addr = self.mutator.alloc(bytes, space).expect("below the limit").as_ptr() as usize;
        let bytes = occupied(bytes);
        assert_eq!(addr % GRANULE, 0);
        if let Some((before, length)) = self.live.range(..addr + bytes).next_back() {
            assert!(before + length <= addr, "{addr:#x}+{bytes} overlaps {before:#x}+{length}");
        }
        // SAFETY: just allocated.
        let words = unsafe { words(addr, bytes) };
        assert!(words.iter().all(|word| *word == 0), "the object of {bytes} bytes at {addr:#x} is not zero");
        words.iter_mut().enumerate().for_each(|(i, slot)| *slot = word(addr, i));
        self.live.insert(addr, bytes);
        self.roots.0.lock().unwrap().push(addr);
        addr
    }

    /// Lets go of the objects for which `keep` is false; it is asked with their numbers, in the order of addresses.
    fn keep(&mut self, keep: impl Fn(usize) -> bool) {
        let mut number = 0;
        self.live.retain(|_, _| {
            number += 1;
            keep(number - 1)
        });
        *self.roots.0.lock().unwrap() = self.live.keys().copied().collect();
    }

    fn bytes(&self) -> u64 {
        self.live.values().sum::<usize>() as u64
    }

    /// Runs `work` while another mutator does nothing but collect.
    fn while_collecting(&mut self, work: impl FnOnce(&mut Objects)) {
        let heap = self.mutator.heap().clone();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let collecting = scope.spawn(|| {
                let mut m = heap.attach(Arc::new(Roots::default()));
                while !over.load(Ordering::Relaxed) {
                    m.collect();
                }
            });
            // A failed assertion must not leave the other thread waiting for this one's safepoint.
            let result = catch_unwind(AssertUnwindSafe(|| work(self)));
            over.store(true, Ordering::Relaxed);
            self.mutator.blocking(|| collecting.join()).expect("collecting does not panic");
            result.unwrap_or_else(|panic| resume_unwind(panic));
        });
    }

    /// Every byte of every object is what was written there.
    fn check(&self) {
        for (&addr, &bytes) in &self.live {
            // SAFETY: a root, and this thread's.
            let words = unsafe { words(addr, bytes) };
            let wrong = words.iter().enumerate().find(|(i, slot)| **slot != word(addr, *i));
            assert_eq!(wrong, None, "in the object of {bytes} bytes at {addr:#x}");
        }
    }
}

#[test]
fn objects_of_every_size_are_zeroed_aligned_apart_and_keep_what_they_hold() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=async,backing=shmem", "mechanism=sigbus", "mechanism=stop"] {
        let heap = heap(&format!("{config},limit=256M,zeal=alloc:3"));
        let mut objects = Objects::new(&heap);
        for round in 0..4 {
            for space in [Space::Tracked, Space::Leaf] {
                for bytes in sizes() {
                    objects.make(bytes, space);
                    objects.mutator.poll();
                }
            }
            objects.check();
            objects.mutator.collect();
            objects.check();
            // What is let go of is used again, and must be zero then.
            objects.keep(|number| number % 3 == round % 3);
            objects.mutator.collect();
        }
        assert!(heap.cycles() > 8, "{config}: {} cycles", heap.cycles());
    }
}

#[test]
fn objects_survive_and_stay_zeroed_while_cycles_run_beside_the_mutator() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=sync,backing=shmem", "mechanism=mprotect"] {
        let heap = heap(&format!("{config},limit=512M"));
        let mut objects = Objects::new(&heap);
        objects.while_collecting(|objects| {
            for round in 0..6 {
                for bytes in sizes() {
                    objects.make(bytes, if round % 2 == 0 { Space::Tracked } else { Space::Leaf });
                    objects.mutator.poll();
                }
                objects.check();
                objects.keep(|number| number % 2 == 0);
                objects.mutator.poll();
            }
        });
        objects.check();
    }
}

#[test]
fn every_address_in_an_object_leads_to_it_and_every_other_to_nothing() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=256M");
    let mut objects = Objects::new(&heap);
    for space in [Space::Tracked, Space::Leaf] {
        for bytes in sizes() {
            objects.make(bytes, space);
        }
    }
    let agree = |objects: &Objects| {
        for (&addr, &bytes) in &objects.live {
            for offset in (0..bytes).step_by(GRANULE).chain([1, 7, bytes - 1]) {
                assert_eq!(heap.object_at(addr + offset), Some((addr, bytes)), "{offset} bytes into it");
            }
            // Beyond it there is the next one, or nothing.
            let next = objects.live.get(&(addr + bytes)).map(|length| (addr + bytes, *length));
            assert_eq!(heap.object_at(addr + bytes), next, "behind {addr:#x}+{bytes}");
            let before = objects.live.range(..addr).next_back().map(|(a, b)| (*a, *b)).filter(|(a, b)| a + b == addr);
            assert_eq!(heap.object_at(addr - 1), before, "before {addr:#x}+{bytes}");
        }
    };
    agree(&objects);
    let all: Vec<(usize, usize)> = objects.live.iter().map(|(a, b)| (*a, *b)).collect();
    objects.keep(|number| number % 2 == 0);
    objects.mutator.collect();
    agree(&objects);
    for (addr, bytes) in all {
        if !objects.live.contains_key(&addr) {
            for at in (addr..addr + bytes).step_by(GRANULE) {
                assert_eq!(heap.object_at(at), None, "in the dead object {addr:#x}+{bytes}");
            }
        }
    }
    let here = 0;
    for outside in
        [0, 1, 0x1000, &raw const here as usize, occupied as fn(usize) -> usize as usize, usize::MAX, usize::MAX / 2]
    {
        assert_eq!(heap.object_at(outside), None);
    }
}

#[test]
fn what_is_unreachable_is_reclaimed_within_two_collections_to_the_byte() {
    let _watchdog = watchdog();
    for config in ["mechanism=async", "mechanism=async,backing=shmem,markers=3", "mechanism=mprotect", "mechanism=stop"]
    {
        let heap = heap(&format!("{config},limit=256M"));
        let mut objects = Objects::new(&heap);
        for step in 0..6 {
            for bytes in sizes() {
                objects.make(bytes, if step % 2 == 0 { Space::Tracked } else { Space::Leaf });
            }
            for part in [1, 2, 5] {
                objects.keep(|number| number % part == 0);
                objects.mutator.collect();
                objects.mutator.collect();
                assert_eq!(heap.summary().live_bytes_last, objects.bytes(), "{config}, step {step}, one in {part}");
            }
            objects.check();
        }
        objects.keep(|_| false);
        objects.mutator.collect();
        objects.mutator.collect();
        assert_eq!(heap.summary().live_bytes_last, 0, "{config}");
    }
}

#[test]
fn a_mutator_that_never_lets_go_of_memory_it_no_longer_uses_stays_in_the_same_memory() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=64M,heap=8M");
    let mut objects = Objects::new(&heap);
    for _ in 0..40 {
        // 8 MB each time: five times the limit in all.
        for bytes in sizes() {
            objects.make(bytes, Space::Tracked);
        }
        objects.keep(|_| false);
        objects.mutator.collect();
    }
    let peak = heap.summary().peak_heap_bytes;
    assert!(peak <= 24 << 20, "{peak} bytes for 8 MB of objects at a time");
}

#[test]
fn an_absurd_size_is_refused_and_harms_nothing() {
    let _watchdog = watchdog();
    let heap = heap("mechanism=async,limit=64M");
    let mut objects = Objects::new(&heap);
    for space in [Space::Tracked, Space::Leaf] {
        for _ in 0..3 {
            objects.make(48, space);
            for bytes in
                [usize::MAX, usize::MAX - 15, usize::MAX - 16, usize::MAX / 2, isize::MAX as usize, 1 << 48, 65 << 20]
            {
                assert!(objects.mutator.alloc(bytes, space).is_err(), "{bytes} bytes");
                let error = objects.mutator.reclaim(bytes).expect_err("more than the limit");
                assert_eq!((error.requested, error.limit), (bytes, 64 << 20));
            }
        }
    }
    objects.check();
    objects.mutator.collect();
    assert_eq!(heap.summary().live_bytes_last, objects.bytes());
    for &addr in objects.live.keys() {
        assert_eq!(heap.object_at(addr), Some((addr, 48)));
    }
}

#[test]
fn read_fills_a_leaf_object_while_cycles_run() {
    let _watchdog = watchdog();
    const BYTES: usize = 200_000;
    let content: Vec<u8> = (0..BYTES).map(|i| (i * 31 % 251) as u8).collect();
    let path = std::env::temp_dir().join(format!("pagemark-objects-{}", std::process::id()));
    File::create(&path).and_then(|mut file| file.write_all(&content)).expect("a file");
    let file = File::open(&path).expect("a file");
    std::fs::remove_file(&path).expect("a file");
    // Tracked objects too where the mechanism says that system calls may store into them.
    let cases = [("async", true), ("sync", false), ("sigbus", false), ("mprotect", false), ("stop", true)];
    for (mechanism, also_tracked) in cases {
        let heap = heap(&format!("mechanism={mechanism},limit=256M"));
        let mut objects = Objects::new(&heap);
        objects.while_collecting(|objects| {
            let cycles = heap.cycles();
            let mut reads = 0;
            while reads < 200 || heap.cycles() < cycles + 10 {
                reads += 1;
                // One in blocks, one on pages of its own.
                for bytes in [5000, BYTES] {
                    for space in [Space::Leaf, Space::Tracked] {
                        if space == Space::Tracked && !also_tracked {
                            continue;
                        }
                        let addr = objects.make(bytes, space);
                        // An older object, which may be armed by now, not only the fresh one.
                        objects.mutator.poll();
                        // SAFETY: the object has that many bytes, is a root, and nobody else uses it.
                        let got = unsafe { libc::pread(file.as_raw_fd(), addr as *mut libc::c_void, bytes, 0) };
                        assert_eq!(got, bytes as isize, "{mechanism}: {}", std::io::Error::last_os_error());
                        // SAFETY: as above.
                        let read = unsafe { std::slice::from_raw_parts(addr as *const u8, bytes) };
                        assert!(read == &content[..bytes], "{mechanism}: {bytes} bytes read into {space:?} differ");
                    }
                }
                objects.keep(|_| false);
            }
        });
    }
}
