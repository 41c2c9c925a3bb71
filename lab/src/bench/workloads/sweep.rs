//! `sweep`: allocation at a given rate, against a given occupancy, whether or not the last request is done.
//!
//! The shape is HyperAlloc's (Amazon's Heapothesys): a live set of a chosen size, objects that replace random ones of it at a chosen rate in MB a second, and one
//! in n references exchanged with another. The other workloads run as fast as they can, so a collector that slows them down also slows down the work it has
//! to do. Here requests are due at fixed moments, whatever happens (an open loop): a stall makes the next ones late, and if the rate cannot be
//! held the lateness grows to the end. Raise `--rate` until it does, at a given `--multiplier`, and you have the point where it breaks.
//!
//! *Lives*: `size` objects of 288 bytes, in arrays of 512; per thread its share. *A step*: a request, which replaces objects worth 64 KB; it begins when it is due or
//! when the one before is done, so that a step is never waiting. `open_loop` is how long after its due time each was done. *Checked*: the objects add up to the sum of
//! what was put in and not thrown out. *Check*: for each object, in the order of places: its value, then the first byte of its body.

use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use pagemark::typed::{Array, Bytes, Field, Mutator, Ref};
use pagemark::{Exhausted, Trace};
use serde_json::{Map, Value, json};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::measure::quantiles::{Quantiles, histogram};
use crate::bench::parameter::{Parameter, Values};
use crate::bench::run::Finished;
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const OBJECTS: Parameter = Parameter::new("size", "Objects that live, of 288 bytes", 500_000, 100_000, (1024, 1 << 30));
const RATE: Parameter =
    Parameter::new("rate", "MB (2^20 bytes) to allocate in a second, all threads together", 300, 150, (1, 100_000));
const SECONDS: Parameter = Parameter::new("seconds", "Seconds of requests", 10, 3, (1, 100_000));
const SHUFFLE: Parameter =
    Parameter::new("shuffle", "One of so many objects put in exchanges two references", 16, 16, (1, 1 << 20));

/// References in an array.
const GROUP: u64 = 512;
/// Bytes in an object's body.
const BODY: usize = 240;
const OBJECT_BYTES: u64 = sizes::of::<Item>() + sizes::bytes(BODY as u64);
/// Objects in a request.
const REQUEST: u64 = (64 << 10) / OBJECT_BYTES;

#[derive(Trace)]
struct Item {
    body: Field<Bytes>,
    value: u64,
}

#[derive(Trace)]
struct Store {
    groups: Field<Array<Array<Item>>>,
}

const _: () = assert!(OBJECT_BYTES == 288);

/// The workload.
pub struct Sweep;

impl Workload for Sweep {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "sweep",
            about: "Allocation at a given rate, in an open loop, against a given occupancy",
            parameters: &[OBJECTS, RATE, SECONDS, SHUFFLE],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let one = |objects: u64| {
            let groups = objects.div_ceil(GROUP);
            objects * OBJECT_BYTES + groups * sizes::array(GROUP) + sizes::array(groups) + sizes::of::<Store>()
        };
        Live::always(super::shares(values.get(&OBJECTS), threads).map(one).sum())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let objects = worker.share(worker.value(&OBJECTS));
        let groups = objects.div_ceil(GROUP);
        let stores = worker.stores();
        let store = worker.mutator.root::<Store>(None);
        worker.step(sizes::array(groups), |mutator| {
            let made = mutator.alloc(Store { groups: Field::null() })?;
            made.groups.set(Some(mutator.alloc_array(groups as usize)?));
            store.set(Some(made));
            Ok(())
        })?;
        let mut sum = 0u64;
        for group in 0..groups {
            worker.step(sizes::array(GROUP), |mutator| {
                let array = mutator.alloc_array(GROUP as usize)?;
                for slot in 0..GROUP.min(objects - group * GROUP) {
                    array[slot as usize].set(Some(item(mutator, group * GROUP + slot)?));
                }
                let groups =
                    store.get(mutator).expect("it is rooted").value().groups.get(mutator).expect("it was made");
                stores.set(&groups[group as usize], Some(array));
                Ok(())
            })?;
        }
        (0..objects).for_each(|value| sum = sum.wrapping_add(value));
        let mut random = worker.random();
        let shuffle = worker.value(&SHUFFLE);
        let rate = worker.value(&RATE) as f64 * f64::from(1 << 20) / worker.threads() as f64;
        let between = (REQUEST * OBJECT_BYTES) as f64 / rate * 1e9;
        let requests = (worker.value(&SECONDS) as f64 * 1e9 / between).ceil() as u64;

        worker.begin(requests)?;
        for request in 0..requests {
            let due = (request as f64 * between) as u64;
            worker.wait_until_due(due);
            let mut todo = REQUEST;
            worker.step(sizes::bytes(BODY as u64), |mutator| {
                let groups =
                    store.get(mutator).expect("it is rooted").value().groups.get(mutator).expect("it was made");
                let place = |at: u64| {
                    let group = groups.value()[(at / GROUP) as usize].get(mutator).expect("every group is there");
                    &group.value()[(at % GROUP) as usize]
                };
                while todo > 0 {
                    let mut next = random.clone();
                    let value = next.any();
                    let new = item(mutator, value)?;
                    let field = place(next.below(objects));
                    random = next;
                    sum = sum.wrapping_add(value).wrapping_sub(field.get(mutator).expect("every place is full").value);
                    stores.set(field, Some(new));
                    if random.one_in(shuffle) {
                        let (a, b) = (place(random.below(objects)), place(random.below(objects)));
                        let (left, right) = (a.get(mutator), b.get(mutator));
                        stores.set(a, right);
                        stores.set(b, left);
                    }
                    todo -= 1;
                }
                Ok(())
            })?;
            worker.done_when_due(due);
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let groups =
            store.get(mutator).and_then(|store| store.value().groups.get(mutator)).ok_or("the store is gone")?;
        let (mut found, mut fold) = (0u64, Fold::new());
        for place in 0..objects {
            let group = groups[(place / GROUP) as usize].get(mutator).ok_or("a group is gone")?;
            let item = group[(place % GROUP) as usize].get(mutator).ok_or("an object is gone")?;
            let body = item.body.get(mutator).ok_or("a body is gone")?;
            if body.bytes().iter().any(|byte| byte.load(Ordering::Relaxed) != item.value as u8) {
                return Err(format!("the object at {place} is damaged").into());
            }
            found = found.wrapping_add(item.value);
            fold.add(item.value);
            fold.add(u64::from(body.bytes()[0].load(Ordering::Relaxed)));
        }
        if found == sum { Ok(fold.value()) } else { Err(format!("the objects add up to {found}, not {sum}").into()) }
    }

    fn add(&self, finished: &Finished, result: &mut Map<String, Value>) {
        let mut late: Histogram<u64> = histogram();
        for note in &finished.notes {
            late.add(&note.done_after_due).expect("an auto-resizing histogram takes every value");
        }
        let bytes = late.len() * REQUEST * OBJECT_BYTES;
        result.insert("open_loop".into(), json!(Quantiles::of(&late)));
        result.insert("mb_per_s".into(), (bytes as f64 / f64::from(1 << 20) / finished.elapsed_s).into());
    }
}

/// An object whose body is filled with the low byte of its value.
fn item(mutator: &Mutator, value: u64) -> Result<Ref<'_, Item>, Exhausted> {
    let item = mutator.alloc(Item { body: Field::null(), value })?;
    let body = mutator.alloc_bytes(BODY)?;
    body.bytes().iter().for_each(|byte| byte.store(value as u8, Ordering::Relaxed));
    item.body.set(Some(body));
    Ok(item)
}
