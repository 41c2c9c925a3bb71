//! A graph that threads change at random while cycles run, and a shadow that says what it must be.
//!
//! Each thread has an array of slots of its own. A slot's node refers to two others; the shadow holds their numbers. A change
//! replaces a node, links one to another, or moves a reference from one node to another and clears the first, which is the store that
//! hides an object from a marker. Every node carries a number and a checksum of it, so that memory which was freed
//! and used again shows. A replaced node lives on while others refer to it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pagemark::typed::{Array, Field, Global, Heap, Mutator, Ref};
use pagemark::{CardTable, Exhausted, Trace};

const REFERENCES: usize = 2;

#[derive(Trace)]
struct Node {
    references: [Field<Node>; REFERENCES],
    number: u64,
    checksum: u64,
}

fn checksum(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

/// What one slot should hold, as numbers of nodes; 0 for null.
#[derive(Clone, Copy, Default)]
struct Shadow {
    number: u64,
    references: [u64; REFERENCES],
}

struct Part<'a> {
    array: Global<Array<Node>>,
    shadows: Vec<Shadow>,
    random: u64,
    numbers: &'a AtomicU64,
    cards: Option<CardTable>,
}

/// Changes between two safepoints.
const BURST: usize = 32;

impl Part<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as usize % n
    }

    fn store(&self, field: &Field<Node>, target: Option<Ref<'_, Node>>) {
        field.set(target);
        if let Some(cards) = &self.cards {
            // SAFETY: a field of a tracked object of a heap that is alive; no safepoint since the store.
            unsafe { cards.mark(field.address()) };
        }
    }

    fn change(&mut self, m: &Mutator) -> Result<(), Exhausted> {
        let array = self.array.get(m).expect("rooted");
        let (index, other) = (self.below(self.shadows.len()), self.below(self.shadows.len()));
        let (from, to) = (self.below(REFERENCES), self.below(REFERENCES));
        let (slot, choice) = (&array.value()[index], self.below(8));
        match (slot.get(m), array.value()[other].get(m)) {
            (Some(node), Some(target)) if choice < 3 && (index, from) != (other, to) => {
                self.store(&target.references[to], node.references[from].get(m));
                self.store(&node.references[from], None);
                self.shadows[other].references[to] = std::mem::take(&mut self.shadows[index].references[from]);
            }
            (Some(node), target) if choice < 6 => {
                self.store(&node.references[from], target);
                self.shadows[index].references[from] = target.map_or(0, |target| target.number);
            }
            (old, _) => {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                let references = [const { Field::null() }; REFERENCES];
                let fresh = m.alloc(Node { references, number, checksum: checksum(number) })?;
                if let Some(old) = old {
                    // Or what was replaced would keep all it ever referred to.
                    old.references.iter().for_each(|field| self.store(field, None));
                }
                self.store(slot, Some(fresh));
                self.shadows[index] = Shadow { number, ..Shadow::default() };
            }
        }
        Ok(())
    }

    /// How many references of a slot are not what the shadow says.
    fn damage(&self, m: &Mutator, index: usize) -> usize {
        let wrong = |target: Option<Ref<'_, Node>>, number: u64| match target {
            None => number != 0,
            Some(target) => target.number != number || target.checksum != checksum(number),
        };
        let shadow = &self.shadows[index];
        let node = self.array.get(m).expect("rooted").value()[index].get(m);
        if wrong(node, shadow.number) {
            return 1;
        }
        let fields = node.iter().flat_map(|node| node.references.iter());
        fields.zip(shadow.references).filter(|(field, number)| wrong(field.get(m), *number)).count()
    }

    fn work(&mut self, heap: &Heap, stop: &AtomicBool) -> usize {
        let mut m = heap.attach();
        let mut damage = 0;
        while !stop.load(Ordering::Relaxed) && damage == 0 {
            for _ in 0..BURST {
                if self.change(&m).is_err() {
                    m.reclaim(size_of::<Node>()).expect("the live graph is far below the limit");
                }
            }
            m.poll();
            let index = self.below(self.shadows.len());
            damage += self.damage(&m, index);
        }
        damage + (0..self.shadows.len()).map(|index| self.damage(&m, index)).sum::<usize>()
    }
}

/// Runs `body` while `threads` threads change graphs of `slots` slots in the heap; then every object is compared with its
/// shadow. Panics where one differs.
pub fn while_a_graph_changes<R>(
    heap: &Heap,
    threads: usize,
    slots: usize,
    what: &str,
    body: impl FnOnce(&mut Mutator) -> R,
) -> R {
    let mut m = heap.attach();
    let stop = AtomicBool::new(false);
    let numbers = AtomicU64::new(1);
    let mut parts: Vec<Part<'_>> = (0..threads)
        .map(|thread| Part {
            array: m.global(Some(m.alloc_array(slots).expect("it fits"))),
            shadows: vec![Shadow::default(); slots],
            random: 0x2545_f491_4f6c_dd1d ^ (thread as u64 + 1),
            numbers: &numbers,
            cards: m.cards(),
        })
        .collect();
    let (result, damage) = std::thread::scope(|scope| {
        let stop = &stop;
        let workers: Vec<_> = parts.iter_mut().map(|part| scope.spawn(move || part.work(heap, stop))).collect();
        // The workers must end also when the body fails.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&mut m)));
        stop.store(true, Ordering::Relaxed);
        let damage: usize =
            m.blocking(|| workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).sum());
        (result, damage)
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert_eq!(damage, 0, "{what}: damaged references");
    assert_eq!(heap.summary().verify_failures, 0, "{what}: verification");
    result
}
