//! `sweep`: allocation at a given rate, against a given occupancy, whether or not the last request is done.
//!
//! The shape and the numbers are those of HyperAlloc (Amazon's Heapothesys), checked against its source. Objects of 128 to 1,023 bytes, sizes uniformly distributed, are made at a rate in MB a second and go through a
//! queue, so that nearly all die in the order in which they came. A store of groups of 512 objects holds the old ones. In a minute one in `prune` of those is replaced by one that leaves the queue; the new one
//! refers to one of the next group with probability ½, and one of the group before refers to it with probability ½. Every second time, one in `shuffle` of the groups
//! is reshuffled: each of its objects gets a new reference to an object of the next group, or none, and a byte of it is changed.
//!
//! The other workloads run as fast as they can, so a collector that slows them down also slows down the work it has
//! to do. Here requests are due at fixed moments, whatever happens (an open loop): a stall makes the next ones late, and if the rate cannot be
//! held the lateness grows to the end. Raise `--rate` until it does, at a given `--multiplier`, and you have the point where it breaks.
//!
//! *What differs*: a size belongs to a place in the store or the queue and not to an object, and a new object in the store keeps the old one's first half, the one with the reference; otherwise what lives
//! could not be told by arithmetic, there less than here, since what refers to a replaced object keeps it. HyperAlloc hands out a hundredth of a second's bytes
//! every 10 ms and sleeps when they are used up; here requests of some 74 KB are spread evenly. Each thread has a store of its own, where HyperAlloc's threads
//! share one that a thread of its own tends. The store is full from the beginning. The defaults are smaller than its 1,024 MB a second by four threads for a minute.
//!
//! *Lives*: `size` objects in the store and `queue` in the queue, with two arrays; per thread its share. *A step*: a request, 128 objects; it begins when it is due or
//! when the one before is done, so that a step is never waiting. `open_loop` is how long after its due time each was done. *Checked*: the numbers of the stored objects add up to those
//! put in and not replaced, the queue has the last objects in their order, and each object has its number at both ends. *Check*: for each object of the store, in the order of
//! places: its number, then that of the object it refers to plus 1, or 0; then the numbers in the queue, the oldest first.

use std::sync::atomic::{AtomicU8, Ordering};

use hdrhistogram::Histogram;
use pagemark::typed::{Array, Bytes, Field, Mutator, Ref, Root};
use pagemark::{Exhausted, Trace};
use serde_json::{Map, Value, json};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::measure::quantiles::{Quantiles, histogram};
use crate::bench::parameter::{Parameter, Values};
use crate::bench::run::Finished;
use crate::bench::sizes;
use crate::bench::worker::{Failure, Stores, Worker};
use crate::stress::random::Random;

const OBJECTS: Parameter =
    Parameter::new("size", "Objects in the store, of 576 bytes in the mean", 200_000, 40_000, (4096, 1 << 30));
const QUEUE: Parameter =
    Parameter::new("queue", "Objects in the queue, for each thread a multiple of 64", 100_000, 20_000, (64, 1 << 30));
const RATE: Parameter =
    Parameter::new("rate", "MB (2^20 bytes) to allocate in a second, all threads together", 300, 150, (1, 100_000));
const SECONDS: Parameter = Parameter::new("seconds", "Seconds of requests", 10, 3, (1, 100_000));
const PRUNE: Parameter =
    Parameter::new("prune", "One of so many objects in the store is replaced in a minute", 50, 50, (1, 1 << 20));
const SHUFFLE: Parameter = Parameter::new("shuffle", "One of so many groups is reshuffled", 100, 100, (1, 1 << 20));

/// Objects in a group.
const GROUP: u64 = 512;
/// Sizes there are.
const SIZES: u64 = 64;
/// Objects in a request.
const REQUEST: u64 = 2 * SIZES;
const REQUEST_BYTES: u64 = 2 * bytes_of(SIZES);

/// A word for the type, two references: with its body an object.
#[derive(Trace)]
struct Item {
    next: Field<Item>,
    body: Field<Bytes>,
}

#[derive(Trace)]
struct Store {
    groups: Field<Array<Array<Item>>>,
    queue: Field<Array<Item>>,
}

/// Bytes in the body of the object at `place`: 128 to 1,010 bytes with its two words for types, its length and its references.
const fn body(place: u64) -> u64 {
    80 + 14 * (place % SIZES)
}

/// Bytes of the objects in the first `places`.
const fn bytes_of(places: u64) -> u64 {
    let (mut all, mut some, mut place) = (0, 0, 0);
    while place < SIZES {
        let bytes = sizes::of::<Item>() + sizes::bytes(body(place));
        all += bytes;
        some += if place < places % SIZES { bytes } else { 0 };
        place += 1;
    }
    places / SIZES * all + some
}

/// The workload.
pub struct Sweep;

impl Workload for Sweep {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "sweep",
            about: "Allocation at a given rate, in an open loop, against a given occupancy, as HyperAlloc's",
            parameters: &[OBJECTS, QUEUE, RATE, SECONDS, PRUNE, SHUFFLE],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let store = |objects: u64| {
            let groups = objects.div_ceil(GROUP);
            bytes_of(objects) + groups * sizes::array(GROUP) + sizes::array(groups) + sizes::of::<Store>()
        };
        let queue = |objects: u64| {
            let objects = objects.next_multiple_of(SIZES);
            bytes_of(objects) + sizes::array(objects)
        };
        let all =
            |of: &Parameter, one: &dyn Fn(u64) -> u64| super::shares(values.get(of), threads).map(one).sum::<u64>();
        Live::always(all(&OBJECTS, &store) + all(&QUEUE, &queue))
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let objects = worker.share(worker.value(&OBJECTS));
        let queue = worker.share(worker.value(&QUEUE)).next_multiple_of(SIZES);
        let stores = worker.stores();
        let mut random = worker.random();
        let store = worker.mutator.root::<Store>(None);
        worker.step(sizes::array(queue.max(objects.div_ceil(GROUP))), |mutator| {
            let made = mutator.alloc(Store { groups: Field::null(), queue: Field::null() })?;
            made.groups.set(Some(mutator.alloc_array(objects.div_ceil(GROUP) as usize)?));
            stores.set(&made.value().queue, Some(mutator.alloc_array(queue as usize)?));
            store.set(Some(made));
            Ok(())
        })?;
        for group in 0..objects.div_ceil(GROUP) {
            worker.step(sizes::array(GROUP), |mutator| {
                let array = mutator.alloc_array(GROUP as usize)?;
                let places = group * GROUP..objects.min((group + 1) * GROUP);
                for place in places.clone() {
                    stores.set(&array.value()[(place % GROUP) as usize], Some(item(mutator, place, place)?));
                }
                let view = View::new(mutator, stores, &store, objects);
                stores.set(&view.groups.value()[group as usize], Some(array));
                places.for_each(|place| view.refer_from_before(place, &mut random));
                Ok(())
            })?;
        }
        // Objects made. Those in the queue are numbered from 0 too.
        let mut made = 0;
        let mut sum = (0..objects).sum::<u64>();
        while made < queue {
            worker.step(sizes::bytes(body(SIZES - 1)), |mutator| {
                let new = item(mutator, made, made)?;
                stores.set(&View::new(mutator, stores, &store, objects).queue.value()[made as usize], Some(new));
                made += 1;
                Ok(())
            })?;
        }
        let between = interval(worker.value(&RATE), worker.threads() as u64);
        let requests = (worker.value(&SECONDS) * 1_000_000_000).div_ceil(between);
        let shuffle = worker.value(&SHUFFLE);
        // Objects of the store times nanoseconds: what is owed it, and what one replacement costs.
        let (mut owed, price) = (0, worker.value(&PRUNE) * 60_000_000_000);

        worker.begin(requests)?;
        for request in 0..requests {
            let due = request * between;
            worker.wait_until_due(due);
            owed = (owed + between * objects).min(price * REQUEST);
            let mut todo = REQUEST;
            worker.step(sizes::bytes(body(SIZES - 1)), |mutator| {
                let view = View::new(mutator, stores, &store, objects);
                while todo > 0 {
                    let new = item(mutator, made, made)?;
                    let slot = &view.queue.value()[(made % queue) as usize];
                    let oldest = slot.get(mutator).expect("the queue is full");
                    stores.set(slot, Some(new));
                    if owed >= price {
                        owed -= price;
                        let replaced = view.replace(oldest, made, &mut random);
                        sum = sum.wrapping_add(made - queue).wrapping_sub(replaced);
                        if random.one_in(2) {
                            view.shuffle(shuffle, &mut random);
                        }
                    }
                    made += 1;
                    todo -= 1;
                }
                Ok(())
            })?;
            worker.done_when_due(due);
        }
        worker.end()?;

        View::new(&worker.mutator, stores, &store, objects).check(sum, made)
    }

    fn interval(&self, values: &Values, threads: u64) -> Option<f64> {
        Some(interval(values.get(&RATE), threads) as f64)
    }

    fn add(&self, finished: &Finished, result: &mut Map<String, Value>) {
        let mut late: Histogram<u64> = histogram();
        for note in &finished.notes {
            late.add(&note.done_after_due).expect("an auto-resizing histogram takes every value");
        }
        let bytes = late.len() * REQUEST_BYTES;
        result.insert("open_loop".into(), json!(Quantiles::of(&late)));
        result.insert("mb_per_s".into(), (bytes as f64 / f64::from(1 << 20) / finished.elapsed_s).into());
    }
}

/// Nanoseconds from one request of a thread to the next, at `rate` MB a second in all threads together.
fn interval(rate: u64, threads: u64) -> u64 {
    REQUEST_BYTES * 1_000_000_000 * threads / (rate << 20)
}

/// An object of the size of `place`, with its number in the first and in the last eight bytes.
fn item(mutator: &Mutator, place: u64, number: u64) -> Result<Ref<'_, Item>, Exhausted> {
    let item = mutator.alloc(Item { next: Field::null(), body: Field::null() })?;
    let body = mutator.alloc_bytes(body(place) as usize)?;
    for end in ends(body.value().bytes()) {
        end.iter().zip(number.to_le_bytes()).for_each(|(byte, value)| byte.store(value, Ordering::Relaxed));
    }
    item.body.set(Some(body));
    Ok(item)
}

fn ends(bytes: &[AtomicU8]) -> [&[AtomicU8]; 2] {
    [&bytes[..8], &bytes[bytes.len() - 8..]]
}

/// The number of an object, if it is there and both its ends say the same.
fn number(mutator: &Mutator, item: Ref<'_, Item>) -> Option<u64> {
    let body = item.body.get(mutator)?;
    let [first, last] = ends(body.value().bytes())
        .map(|end| u64::from_le_bytes(std::array::from_fn(|index| end[index].load(Ordering::Relaxed))));
    (first == last).then_some(first)
}

/// The store and the queue between two safepoints.
struct View<'m> {
    mutator: &'m Mutator,
    stores: Stores,
    groups: Ref<'m, Array<Array<Item>>>,
    queue: Ref<'m, Array<Item>>,
    objects: u64,
}

impl<'m> View<'m> {
    fn new(mutator: &'m Mutator, stores: Stores, store: &Root<Store>, objects: u64) -> View<'m> {
        let store = store.get(mutator).expect("it is rooted");
        let groups = store.value().groups.get(mutator).expect("a store has groups");
        let queue = store.value().queue.get(mutator).expect("a store has a queue");
        View { mutator, stores, groups, queue, objects }
    }

    fn item(&self, place: u64) -> Ref<'m, Item> {
        let group = self.groups.value()[(place / GROUP) as usize].get(self.mutator).expect("every group is there");
        group.value()[(place % GROUP) as usize].get(self.mutator).expect("every place is full")
    }

    /// Objects of a group. Only the last one may have less.
    fn len(&self, group: u64) -> u64 {
        GROUP.min(self.objects - group * GROUP)
    }

    /// What has left the queue goes to a random place of its size. Returns the number of what was there.
    fn replace(&self, new: Ref<'m, Item>, made: u64, random: &mut Random) -> u64 {
        let size = made % SIZES;
        let place = size + SIZES * random.below((self.objects - size).div_ceil(SIZES));
        let item = self.item(place);
        // A damaged one has no number, and then the sum is wrong in the end.
        let replaced = number(self.mutator, item).unwrap_or(u64::MAX);
        self.stores.set(&item.value().body, new.body.get(self.mutator));
        self.refer_from_before(place, random);
        self.refer(place, random);
        replaced
    }

    /// Perhaps one of the group before refers to the object from now on.
    fn refer_from_before(&self, place: u64, random: &mut Random) {
        let group = place / GROUP;
        if group > 0 && random.one_in(2) {
            let before = self.item((group - 1) * GROUP + random.below(GROUP));
            self.stores.set(&before.value().next, Some(self.item(place)));
        }
    }

    /// The object refers to one of the next group from now on, or to none.
    fn refer(&self, place: u64, random: &mut Random) {
        let next = place / GROUP + 1;
        if next < self.groups.len() as u64 {
            let to = random.one_in(2).then(|| self.item(next * GROUP + random.below(self.len(next))));
            self.stores.set(&self.item(place).value().next, to);
        }
    }

    /// One of `n` groups gets new references, and is written to. The last group has none to refer to.
    fn shuffle(&self, n: u64, random: &mut Random) {
        let groups = self.groups.len() as u64;
        if groups < 2 {
            return;
        }
        for _ in 0..groups.div_ceil(n) {
            let group = random.below(groups - 1);
            for place in group * GROUP..(group + 1) * GROUP {
                self.refer(place, random);
                let body = self.item(place).value().body.get(self.mutator).expect("an object has a body");
                let bytes = body.value().bytes();
                let byte = &bytes[(8 + random.below(bytes.len() as u64 - 16)) as usize];
                byte.store(byte.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            }
        }
    }

    /// Whether numbers in the store add up to `sum`, and the queue has the last of `made`. Returns the fold.
    fn check(&self, sum: u64, made: u64) -> Result<u64, Failure> {
        let (mut found, mut fold) = (0u64, Fold::new());
        let number = |item| number(self.mutator, item);
        for place in 0..self.objects {
            let item = self.item(place);
            let this = number(item).ok_or_else(|| format!("the object at {place} is damaged"))?;
            let next = match item.next.get(self.mutator) {
                Some(next) => {
                    number(next).ok_or_else(|| format!("what the object at {place} refers to is damaged"))? + 1
                }
                None => 0,
            };
            found = found.wrapping_add(this);
            fold.add(this);
            fold.add(next);
        }
        if found != sum {
            return Err(format!("the objects add up to {found}, not {sum}").into());
        }
        let length = self.queue.len() as u64;
        for expected in made - length..made {
            let item = self.queue.value()[(expected % length) as usize].get(self.mutator);
            if item.and_then(number) != Some(expected) {
                return Err(format!("object {expected} is not in its place in the queue").into());
            }
            fold.add(expected);
        }
        Ok(fold.value())
    }
}
