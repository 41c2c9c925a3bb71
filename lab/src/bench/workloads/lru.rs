//! `lru`: a cache of the entries used last, asked for keys as people ask.
//!
//! A hash table with chains, and a list from the entry used last to the one used longest ago. Keys come from Zipf's distribution with exponent 0.99, drawn as YCSB draws the requests of web services
//! (checked against excerpts of its generator in other programs) and scattered by a factor where YCSB hashes: few keys make up most of the hits, and the tail makes the misses. The cache, the number of keys, four times its
//! entries, and a value's 256 bytes are our own; YCSB measures databases. A hit moves an entry to the front, which writes up to six references in old objects all over
//! memory; a miss makes a new entry and throws out the last, whose age no collector can guess.
//!
//! *Lives*: `size` entries of 48 bytes with a value of 256 bytes each, and the table; per thread its share, in a cache of its own. *A step*: a request, which asks for 16 keys.
//! *Checked*: the list has `size` entries in both directions, each is found in the table, and each has the value of its key. *Check*: for each entry, from the one used last to the one used longest
//! ago: its key, then the first eight bytes of its value as a number, the lowest byte first.

use std::sync::atomic::Ordering;

use pagemark::typed::{Array, Bytes, Field, Mutator, Ref};
use pagemark::{Exhausted, Trace};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Stores, Worker};
use crate::stress::random::Random;

const SIZE: Parameter = Parameter::new("size", "Entries in the cache", 400_000, 60_000, (64, 1 << 28));
const REQUESTS: Parameter =
    Parameter::new("requests", "Requests for 16 keys, all threads together", 250_000, 60_000, (1, 1 << 40));

/// Keys in a request.
const KEYS: u64 = 16;
/// Bytes in a value.
const VALUE: usize = 256;
/// Keys there are, for each entry of the cache.
const UNIVERSE: u64 = 4;
/// The exponent of the distribution.
const EXPONENT: f64 = 0.99;

#[derive(Trace)]
struct Cache {
    newest: Field<Entry>,
    oldest: Field<Entry>,
    table: Field<Array<Entry>>,
}

#[derive(Trace)]
struct Entry {
    chain: Field<Entry>,
    newer: Field<Entry>,
    older: Field<Entry>,
    value: Field<Bytes>,
    key: u64,
}

/// The workload.
pub struct Lru;

impl Workload for Lru {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "lru",
            about: "A cache of the entries used last, with Zipf's distribution of keys",
            parameters: &[SIZE, REQUESTS],
            threaded: true,
            multiplier: Some(2.0),
            requests: true,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let one = |size: u64| {
            size * (sizes::of::<Entry>() + sizes::bytes(VALUE as u64))
                + sizes::array(buckets(size))
                + sizes::of::<Cache>()
        };
        Live::always(super::shares(values.get(&SIZE), threads).map(one).sum())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (size, requests) = (worker.share(worker.value(&SIZE)), worker.share(worker.value(&REQUESTS)));
        let stores = worker.stores();
        let cache = worker.mutator.root::<Cache>(None);
        worker.step(sizes::array(buckets(size)), |mutator| {
            let made = mutator.alloc(Cache { newest: Field::null(), oldest: Field::null(), table: Field::null() })?;
            made.table.set(Some(mutator.alloc_array(buckets(size) as usize)?));
            cache.set(Some(made));
            Ok(())
        })?;
        let zipf = Zipf::new(size * UNIVERSE, EXPONENT);
        let mut random = worker.random();
        for rank in 0..size {
            worker.step(sizes::bytes(VALUE as u64), |mutator| {
                let cache = View { mutator, stores, cache: cache.get(mutator).expect("it is rooted") };
                cache.put(key_of(rank))
            })?;
        }
        let mut damaged = 0u64;

        worker.begin(requests)?;
        for _ in 0..requests {
            let mut todo = KEYS;
            worker.step(sizes::bytes(VALUE as u64), |mutator| {
                let cache = View { mutator, stores, cache: cache.get(mutator).expect("it is rooted") };
                while todo > 0 {
                    let mut next = random.clone();
                    let key = key_of(zipf.rank(&mut next));
                    match cache.find(key) {
                        Some(entry) => {
                            damaged += u64::from(!cache.has_value(entry));
                            cache.unlink(entry);
                            cache.link_newest(entry);
                        }
                        None => {
                            cache.put(key)?;
                            cache.drop_oldest();
                        }
                    }
                    random = next;
                    todo -= 1;
                }
                Ok(())
            })?;
        }
        worker.end()?;

        if damaged > 0 {
            return Err(format!("{damaged} times a key was answered with another's value").into());
        }
        let mutator = &worker.mutator;
        View { mutator, stores, cache: cache.get(mutator).ok_or("the cache is gone")? }.check(size)
    }
}

/// Buckets of the table.
fn buckets(size: u64) -> u64 {
    size.next_power_of_two()
}

/// Keys of neighbouring ranks are nowhere near each other: a bijection of words (an odd factor).
fn key_of(rank: u64) -> u64 {
    (rank + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The cache between two safepoints.
struct View<'m> {
    mutator: &'m Mutator,
    stores: Stores,
    cache: Ref<'m, Cache>,
}

impl<'m> View<'m> {
    fn buckets(&self) -> usize {
        self.cache.value().table.get(self.mutator).map_or(0, |table| table.len())
    }

    fn bucket(&self, key: u64) -> &'m Field<Entry> {
        let table = self.cache.value().table.get(self.mutator).expect("a cache has a table").value();
        // The high bits of a product are the mixed ones.
        &table[(key >> 32) as usize & (table.len() - 1)]
    }

    /// A chain is never longer than the table; a damaged one may be a ring, and that has to end too.
    fn find(&self, key: u64) -> Option<Ref<'m, Entry>> {
        let mut entry = self.bucket(key).get(self.mutator);
        for _ in 0..self.buckets() {
            match entry {
                Some(this) if this.key != key => entry = this.value().chain.get(self.mutator),
                _ => return entry,
            }
        }
        None
    }

    /// Puts in a key that is not there, as the newest.
    fn put(&self, key: u64) -> Result<(), Exhausted> {
        let null = Field::null;
        let entry = Entry { chain: null(), newer: null(), older: null(), value: Field::null(), key };
        let entry = self.mutator.alloc(entry)?;
        let value = self.mutator.alloc_bytes(VALUE)?;
        value.bytes().iter().zip(key.to_le_bytes().iter().cycle()).for_each(|(b, k)| b.store(*k, Ordering::Relaxed));
        entry.value.set(Some(value));
        let bucket = self.bucket(key);
        entry.chain.set(bucket.get(self.mutator));
        self.stores.set(bucket, Some(entry));
        self.link_newest(entry);
        Ok(())
    }

    fn link_newest(&self, entry: Ref<'m, Entry>) {
        let newest = self.cache.value().newest.get(self.mutator);
        self.stores.set(&entry.value().newer, None);
        self.stores.set(&entry.value().older, newest);
        match newest {
            Some(newest) => self.stores.set(&newest.value().newer, Some(entry)),
            None => self.stores.set(&self.cache.value().oldest, Some(entry)),
        }
        self.stores.set(&self.cache.value().newest, Some(entry));
    }

    fn unlink(&self, entry: Ref<'m, Entry>) {
        let (newer, older) = (entry.value().newer.get(self.mutator), entry.value().older.get(self.mutator));
        let from_newer = newer.map_or(&self.cache.value().newest, |newer| &newer.value().older);
        self.stores.set(from_newer, older);
        let from_older = older.map_or(&self.cache.value().oldest, |older| &older.value().newer);
        self.stores.set(from_older, newer);
    }

    fn drop_oldest(&self) {
        let Some(oldest) = self.cache.value().oldest.get(self.mutator) else { return };
        self.unlink(oldest);
        let mut field = self.bucket(oldest.key);
        for _ in 0..self.buckets() {
            let Some(this) = field.get(self.mutator) else { return };
            if this == oldest {
                self.stores.set(field, oldest.value().chain.get(self.mutator));
                return;
            }
            field = &this.value().chain;
        }
    }

    /// The first eight bytes of an entry's value, the lowest first; 0 for one that has none.
    fn first_word(&self, entry: Ref<'m, Entry>) -> u64 {
        entry.value().value.get(self.mutator).map_or(0, |value| {
            let bytes = value.value().bytes();
            u64::from_le_bytes(std::array::from_fn(|i| bytes[i].load(Ordering::Relaxed)))
        })
    }

    fn has_value(&self, entry: Ref<'m, Entry>) -> bool {
        let Some(value) = entry.value().value.get(self.mutator) else { return false };
        let bytes = value.bytes();
        let key = entry.key.to_le_bytes();
        bytes.len() == VALUE && bytes.iter().zip(key.iter().cycle()).all(|(b, k)| b.load(Ordering::Relaxed) == *k)
    }

    /// The fold over the entries, if they are what they must be.
    fn check(&self, size: u64) -> Result<u64, Failure> {
        let mut fold = Fold::new();
        let mut count = 0;
        let mut newer = None;
        let mut entry = self.cache.value().newest.get(self.mutator);
        while let Some(this) = entry {
            if this.value().newer.get(self.mutator) != newer
                || self.find(this.key) != Some(this)
                || !self.has_value(this)
            {
                return Err(format!("the entry of key {} is damaged", this.key).into());
            }
            fold.add(this.key);
            fold.add(self.first_word(this));
            count += 1;
            newer = Some(this);
            entry = this.value().older.get(self.mutator);
        }
        if self.cache.value().oldest.get(self.mutator) != newer || count != size {
            return Err(format!("the list has {count} entries, not {size}").into());
        }
        Ok(fold.value())
    }
}

/// Zipf's distribution over ranks from 0, after Gray and others (SIGMOD 1994), as YCSB draws from it: exact for the first two ranks, and from the inverse of
/// an integral for the others.
struct Zipf {
    ranks: u64,
    exponent: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    fn new(ranks: u64, exponent: f64) -> Zipf {
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-exponent)).sum::<f64>();
        let all = zeta(ranks);
        let eta = (1.0 - (2.0 / ranks as f64).powf(1.0 - exponent)) / (1.0 - zeta(2) / all);
        Zipf { ranks, exponent, zeta: all, eta }
    }

    fn rank(&self, random: &mut Random) -> u64 {
        let uniform = (random.any() >> 11) as f64 / (1u64 << 53) as f64;
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.exponent) {
            return 1;
        }
        let rank = self.ranks as f64 * (self.eta * uniform - self.eta + 1.0).powf(1.0 / (1.0 - self.exponent));
        (rank as u64).min(self.ranks - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_as_often_as_the_distribution_says() {
        let zipf = Zipf::new(1000, EXPONENT);
        let mut random = Random::new(7, 0);
        let mut seen = vec![0u32; 1000];
        let draws = 1_000_000;
        (0..draws).for_each(|_| seen[zipf.rank(&mut random) as usize] += 1);
        let expected = |rank: usize| f64::from(draws) * ((rank + 1) as f64).powf(-EXPONENT) / zipf.zeta;
        for rank in [0, 1] {
            let share = f64::from(seen[rank]) / expected(rank);
            assert!((0.97..1.03).contains(&share), "rank {rank}: {share}");
        }
        let head = seen[..100].iter().map(|n| f64::from(*n)).sum::<f64>() / (0..100).map(expected).sum::<f64>();
        assert!((0.9..1.1).contains(&head), "the first hundred: {head}");
        assert!(seen[900..].iter().any(|n| *n > 0), "the tail comes too");
    }
}
