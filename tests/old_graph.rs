//! A large old graph, mutated at random by four threads while cycles run, checked object by object against a shadow copy.
//!
//! Each thread owns a quarter of the slots of one big array. The node in a slot has references to nodes anywhere; the shadow says which. A
//! thread rewires references, moves one from an object to another and clears the first (the store that hides an object
//! from a marker that has passed the second and not yet reached the first), and replaces nodes, the new one keeping the old one
//! alive. Every node carries a number of its own and a checksum of it, so memory that was freed and used again shows.
//!
//! The same workload with a deliberate mistake in the cycle must fail: once in the shadow check, once in `verify`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pagemark::__private::Defect;
use pagemark::typed::{Array, Field, Heap, Mutator, Ref};
use pagemark::{CardTable, Config, Exhausted, Trace};

const THREADS: usize = 4;
const REFERENCES: usize = 4;
/// Enough for the cycles of any pace on a slow machine.
const TOO_LONG: Duration = Duration::from_secs(60);
/// How many replaced nodes hang behind one another.
const CHAIN: usize = 6;

#[derive(Trace)]
struct Node {
    references: [Field<Node>; REFERENCES],
    /// The node this one replaced.
    before: Field<Node>,
    number: u64,
    checksum: u64,
}

fn checksum(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

/// How large the graph is, and how fast it changes.
#[derive(Clone, Copy)]
struct Pace {
    slots: usize,
    /// Changes between two safepoints.
    burst: usize,
    /// Rest after each burst, in a blocking region.
    rest: Duration,
    /// Cycles to wait for.
    cycles: u64,
}

/// As fast as it goes: every page is written in every round.
const DENSE: Pace = Pace { slots: 16 * 1024, burst: 64, rest: Duration::ZERO, cycles: 5 };
/// Most pages are not written in a round, so a write that is missed once is missed for good.
const SPARSE: Pace = Pace { slots: 128 * 1024, burst: 8, rest: Duration::from_micros(100), cycles: 25 };

/// What one slot should hold, as numbers of nodes; 0 for null.
#[derive(Clone, Default)]
struct Shadow {
    number: u64,
    references: [u64; REFERENCES],
    chain: Vec<u64>,
}

/// One thread's part: slots `first, first + THREADS, ...`.
struct Part<'a> {
    first: usize,
    shadows: Vec<Shadow>,
    random: Random,
    numbers: &'a AtomicU64,
    cards: Option<CardTable>,
}

impl Part<'_> {
    fn store(&self, field: &Field<Node>, target: Option<Ref<'_, Node>>) {
        field.set(target);
        if let Some(cards) = &self.cards {
            // SAFETY: a field of a tracked object of a heap that is alive; no safepoint since the store.
            unsafe { cards.mark(field.address()) };
        }
    }

    /// One random change, in the heap and in the shadow.
    fn change(&mut self, m: &Mutator, array: Ref<'_, Array<Node>>) -> Result<(), Exhausted> {
        let index = self.random.below(self.shadows.len());
        let slot = &array.value()[index * THREADS + self.first];
        let Some(node) = slot.get(m).filter(|_| self.random.below(8) != 0) else {
            return self.replace(m, slot, index);
        };
        let from = self.random.below(REFERENCES);
        if self.random.below(3) == 0 {
            // Move a reference to another node: the store that hides its target from a marker between the two.
            let other = self.random.below(self.shadows.len());
            let to = self.random.below(REFERENCES);
            if let Some(target) = array.value()[other * THREADS + self.first].get(m) {
                self.store(&target.references[to], node.references[from].get(m));
                self.shadows[other].references[to] = self.shadows[index].references[from];
                if (index, from) != (other, to) {
                    self.store(&node.references[from], None);
                    self.shadows[index].references[from] = 0;
                }
            }
        } else {
            let target = array.value()[self.random.below(array.len())].get(m);
            self.store(&node.references[from], target);
            self.shadows[index].references[from] = target.map_or(0, |target| target.number);
        }
        Ok(())
    }

    /// A new node in a slot; it keeps the old one alive, up to a chain of [`CHAIN`].
    fn replace(&mut self, m: &Mutator, slot: &Field<Node>, index: usize) -> Result<(), Exhausted> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let fresh = m.alloc(Node {
            references: [const { Field::null() }; REFERENCES],
            before: Field::null(),
            number,
            checksum: checksum(number),
        })?;
        let shadow = &mut self.shadows[index];
        let before = std::mem::replace(&mut shadow.number, number);
        shadow.references = [0; REFERENCES];
        if let Some(old) = slot.get(m) {
            // Or what was replaced would keep all it ever referred to, and the graph would grow without bound.
            old.references.iter().for_each(|field| self.store(field, None));
        }
        let shadow = &mut self.shadows[index];
        if before != 0 && shadow.chain.len() < CHAIN {
            shadow.chain.insert(0, before);
            self.store(&fresh.before, slot.get(m));
        } else {
            shadow.chain.clear();
        }
        self.store(slot, Some(fresh));
        Ok(())
    }

    /// How many references of slot `index` are not what the shadow says.
    fn damage(&self, m: &Mutator, array: Ref<'_, Array<Node>>, index: usize) -> usize {
        let shadow = &self.shadows[index];
        let wrong = |target: Option<Ref<'_, Node>>, number: u64| match target {
            None => number != 0,
            Some(target) => target.number != number || target.checksum != checksum(number),
        };
        let node = array.value()[index * THREADS + self.first].get(m);
        let mut damage = usize::from(wrong(node, shadow.number));
        let Some(node) = node.filter(|_| damage == 0) else { return damage };
        for (field, number) in node.references.iter().zip(shadow.references) {
            damage += usize::from(wrong(field.get(m), number));
        }
        let mut at = node;
        for number in &shadow.chain {
            let before = at.before.get(m);
            damage += usize::from(wrong(before, *number));
            match before.filter(|_| damage == 0) {
                Some(before) => at = before,
                None => return damage,
            }
        }
        damage + usize::from(at.before.get(m).is_some())
    }
}

/// Runs the workload until enough cycles overlapped it; returns how many references were damaged.
fn run(heap: &Heap, pace: Pace, seed: u64) -> usize {
    let setup = heap.attach();
    let array = setup.global(Some(setup.alloc_array::<Node>(pace.slots).expect("it fits")));
    drop(setup);
    let numbers = AtomicU64::new(1);
    let stop = AtomicBool::new(false);
    let work = |first: usize| {
        let mut m = heap.attach();
        let mut part = Part {
            first,
            shadows: vec![Shadow::default(); pace.slots / THREADS],
            random: Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (first as u64 + 1)),
            numbers: &numbers,
            cards: m.cards(),
        };
        let mut damage = 0;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..pace.burst {
                let array = array.get(&m).expect("rooted");
                if part.change(&m, array).is_err() {
                    m.reclaim(size_of::<Node>()).expect("the live graph is far below the limit");
                }
            }
            if pace.rest.is_zero() {
                m.poll();
            } else {
                m.blocking(|| std::thread::sleep(pace.rest));
            }
            for _ in 0..2 {
                let index = part.random.below(part.shadows.len());
                damage += part.damage(&m, array.get(&m).expect("rooted"), index);
            }
            if damage > 0 {
                stop.store(true, Ordering::Relaxed);
            }
        }
        for index in 0..part.shadows.len() {
            damage += part.damage(&m, array.get(&m).expect("rooted"), index);
        }
        damage
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || work(first))).collect();
        let start = Instant::now();
        while heap.summary().cycles < pace.cycles && start.elapsed() < TOO_LONG && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        // A thread that walked into freed memory may panic in a debug assertion: damage too.
        threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum()
    })
}

/// The workload wants the machine for itself, or few cycles overlap it.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(keys: &str) -> Config {
    Config::parse(&format!("limit=256M,heap=4M,{keys}")).expect("the keys are valid")
}

fn survives(mechanism: &str) {
    let _alone = alone();
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    for backing in ["anon", "shmem"] {
        let keys = [
            "zeal=alloc:1,verify=mark,sticky=off",
            "zeal=alloc:1,markers=2",
            "zeal=safepoint:50,rounds=1,sticky=off,disarm=always",
            "zeal=alloc:1,verify=all,oracle,poison",
        ];
        for (round, keys) in keys.iter().enumerate() {
            let heap = Heap::new(&config(&format!("mechanism={mechanism},backing={backing},{keys}")))
                .expect("works on this machine");
            let pace = if round == 1 { SPARSE } else { DENSE };
            let damage = run(&heap, pace, round as u64 + 7);
            let summary = heap.summary();
            assert_eq!(damage, 0, "{mechanism} {backing} {keys}: damaged references");
            assert_eq!(summary.verify_failures, 0, "{mechanism} {backing} {keys}");
            assert!(summary.cycles >= pace.cycles, "{mechanism} {backing} {keys}: only {} cycles", summary.cycles);
        }
    }
}

#[test]
fn an_old_graph_survives_async() {
    survives("async");
}

#[test]
fn an_old_graph_survives_sync() {
    survives("sync");
}

#[test]
fn an_old_graph_survives_sigbus() {
    survives("sigbus");
}

#[test]
fn an_old_graph_survives_mprotect() {
    survives("mprotect");
}

#[test]
fn an_old_graph_survives_cards() {
    survives("cards");
}

#[test]
fn an_old_graph_survives_stop() {
    survives("stop");
}

#[test]
fn an_old_graph_survives_stops_after_every_phase() {
    let _alone = alone();
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    for phase in ["handshake", "arm", "mark", "round", "pause", "sweep"] {
        let keys = format!("mechanism=async,zeal=phase:{phase},verify=all,oracle,poison,markers=2");
        let heap = Heap::new(&config(&keys)).expect("works on this machine");
        let damage = run(&heap, DENSE, 31);
        let summary = heap.summary();
        assert_eq!((damage, summary.verify_failures), (0, 0), "{keys}");
        assert!(summary.cycles >= DENSE.cycles, "{keys}: only {} cycles", summary.cycles);
    }
}

#[test]
fn a_report_that_is_dropped_is_caught_by_the_oracle() {
    let _alone = alone();
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    for defect in [Defect::SkipArming, Defect::DropDirtyPage] {
        let caught = (0..8).any(|seed| {
            let heap = Heap::with_defect(&config("mechanism=async,zeal=alloc:1,oracle"), defect).expect("works here");
            run(&heap, SPARSE, seed + 200);
            heap.summary().verify_failures > 0
        });
        assert!(caught, "{defect:?}");
    }
}

/// The defect must show in the shadow check without `verify`, and in `verify`.
fn is_caught(defect: Defect) {
    let _alone = alone();
    let _watchdog = pagemark_workspace::Watchdog::start(Duration::from_secs(600));
    let caught = |keys: &str, seen: &dyn Fn(&Heap, usize) -> bool| {
        (0..8).any(|seed| {
            let heap = Heap::with_defect(&config(keys), defect).expect("works on this machine");
            let damage = run(&heap, SPARSE, seed + 100);
            seen(&heap, damage)
        })
    };
    assert!(caught("zeal=alloc:1", &|_, damage| damage > 0), "{defect:?} was not caught by the shadow copy");
    assert!(
        caught("zeal=alloc:1,verify=mark", &|heap, _| heap.summary().verify_failures > 0),
        "{defect:?} was not caught by verify"
    );
}

#[test]
fn skipping_to_arm_a_page_is_caught() {
    is_caught(Defect::SkipArming);
}

#[test]
fn dropping_a_dirty_page_is_caught() {
    is_caught(Defect::DropDirtyPage);
}

#[test]
fn marking_before_arming_is_caught() {
    is_caught(Defect::MarkBeforeArming);
}
