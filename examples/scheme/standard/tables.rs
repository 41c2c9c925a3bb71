//! Hash tables, all on the Scheme heap.
//!
//! A table is an object with the kind of equality, the number of entries and a vector of buckets; a bucket is a chain
//! of entries (key, value, next). The collector never moves objects, so `eq?` hashes are addresses. The operations
//! which call procedures are in the prelude, on top of these.
//!
//! Everything a change needs is allocated before the first store. Tables are not synchronised: threads sharing one
//! need a mutex, but whatever they do without it, only that table's contents suffer.

mod hash;

use crate::error::SchemeError;
use crate::heap::{field, is_type, size};
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};
use hash::Kind;

// Fields of a table.
const KIND: usize = 0;
const COUNT: usize = 1;
const BUCKETS: usize = 2;
// Fields of an entry.
const KEY: usize = 0;
const VALUE: usize = 1;
const NEXT: usize = 2;

const SMALLEST: usize = 8;

pub fn install<S: Stores>(r: &mut Registry<S>) {
    hash::install(r);
    r.add("%make-hash-table", 1, 2, |vm, a| {
        let kind = args::index("make-hash-table", a, 0, 5)?;
        let wanted = if a.len() > 1 { args::length("make-hash-table", a, 1)? } else { 0 };
        let buckets = vm.vector_filled(wanted.clamp(SMALLEST, 1 << 20).next_power_of_two(), Value::NIL)?;
        vm.object(Type::HashTable, 0, &[Value::fixnum(kind as i64), Value::fixnum(0), buckets])
    });
    for name in ["hash-table?", "hashtable?"] {
        r.add(name, 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::HashTable))));
    }
    for name in ["hash-table-ref/default", "hashtable-ref"] {
        r.add(name, 3, 3, |_, a| Ok(find(table("hash-table-ref", a)?, a[1]).map_or(a[2], |e| field(e, VALUE))));
    }
    for name in ["hash-table-set!", "hash-table-put!", "hashtable-set!"] {
        r.add(name, 3, 3, set);
    }
    for name in ["hash-table-delete!", "hash-table-remove!", "hashtable-delete!"] {
        r.add(name, 2, 2, delete);
    }
    for name in ["hash-table-exists?", "hash-table-contains?", "hashtable-contains?"] {
        r.add(name, 2, 2, |_, a| Ok(Value::bool(find(table("hash-table-exists?", a)?, a[1]).is_some())));
    }
    for name in ["hash-table-size", "hash-table-count", "hash-table/count", "hashtable-size"] {
        r.add(name, 1, 1, |_, a| Ok(field(table("hash-table-size", a)?, COUNT)));
    }
    for name in ["hash-table-keys", "hash-table/key-list"] {
        r.add(name, 1, 1, |vm, a| collect(vm, a, |_, e| Ok(field(e, KEY))));
    }
    for name in ["hash-table-values", "hash-table/datum-list"] {
        r.add(name, 1, 1, |vm, a| collect(vm, a, |_, e| Ok(field(e, VALUE))));
    }
    r.add("hash-table->alist", 1, 1, |vm, a| collect(vm, a, |vm, e| vm.cons(field(e, KEY), field(e, VALUE))));
    for name in ["hash-table-clear!", "hashtable-clear!"] {
        r.add(name, 1, 2, |vm, a| {
            let t = table("hash-table-clear!", a)?;
            let buckets = vm.vector_filled(SMALLEST, Value::NIL)?;
            vm.set_field(t, BUCKETS, buckets);
            vm.set_field(t, COUNT, Value::fixnum(0));
            Ok(Value::UNSPECIFIED)
        });
    }
    for name in ["hash-table-copy", "hashtable-copy"] {
        r.add(name, 1, 2, |vm, a| {
            let t = table("hash-table-copy", a)?;
            let old = field(t, BUCKETS);
            let buckets = vm.vector_filled(size(old), Value::NIL)?;
            for i in 0..size(old) {
                let mut e = field(old, i);
                while is_entry(e) {
                    let copy = [field(e, KEY), field(e, VALUE), field(buckets, i)];
                    let copy = vm.object(Type::Other, 0, &copy)?;
                    vm.set_field(buckets, i, copy);
                    e = field(e, NEXT);
                }
            }
            vm.object(Type::HashTable, 0, &[field(t, KIND), field(t, COUNT), buckets])
        });
    }
    // The kind number, for `hash-table-equivalence-function`.
    r.add("%hash-table-kind", 1, 1, |_, a| Ok(field(table("hash-table-equivalence-function", a)?, KIND)));
}

fn table(who: &str, a: &[Value]) -> Result<Value, SchemeError> {
    if is_type(a[0], Type::HashTable) { Ok(a[0]) } else { Err(SchemeError::wrong_type(who, 1, "hash table", a[0])) }
}

fn is_entry(v: Value) -> bool {
    is_type(v, Type::Other)
}

fn kind(table: Value) -> Kind {
    Kind::from_number(field(table, KIND).as_fixnum())
}

/// The bucket of a key among `n` (a power of two).
fn bucket(kind: Kind, key: Value, n: usize) -> usize {
    kind.hash(key) as usize & (n - 1)
}

fn find(table: Value, key: Value) -> Option<Value> {
    let kind = kind(table);
    let buckets = field(table, BUCKETS);
    let mut e = field(buckets, bucket(kind, key, size(buckets)));
    while is_entry(e) {
        if kind.same(field(e, KEY), key) {
            return Some(e);
        }
        e = field(e, NEXT);
    }
    None
}

fn set<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let t = table("hash-table-set!", a)?;
    let (key, value) = (a[1], a[2]);
    if let Some(e) = find(t, key) {
        vm.set_field(e, VALUE, value);
        return Ok(Value::UNSPECIFIED);
    }
    let mut buckets = field(t, BUCKETS);
    let count = field(t, COUNT).as_fixnum();
    let entry = vm.object(Type::Other, 0, &[key, value, Value::NIL])?;
    if count as usize >= size(buckets) {
        let wider = vm.vector_filled(2 * size(buckets), Value::NIL)?;
        rehash(vm, kind(t), buckets, wider);
        vm.set_field(t, BUCKETS, wider);
        buckets = wider;
    }
    let i = bucket(kind(t), key, size(buckets));
    vm.set_field(entry, NEXT, field(buckets, i));
    vm.set_field(buckets, i, entry);
    vm.set_field(t, COUNT, Value::fixnum(count + 1));
    Ok(Value::UNSPECIFIED)
}

/// Moves all entries over.
fn rehash<S: Stores>(vm: &Vm<S>, kind: Kind, from: Value, to: Value) {
    for i in 0..size(from) {
        let mut e = field(from, i);
        while is_entry(e) {
            let next = field(e, NEXT);
            let k = bucket(kind, field(e, KEY), size(to));
            vm.set_field(e, NEXT, field(to, k));
            vm.set_field(to, k, e);
            e = next;
        }
    }
}

fn delete<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let t = table("hash-table-delete!", a)?;
    let kind = kind(t);
    let buckets = field(t, BUCKETS);
    let i = bucket(kind, a[1], size(buckets));
    let (mut before, mut e) = (None, field(buckets, i));
    while is_entry(e) {
        if kind.same(field(e, KEY), a[1]) {
            match before {
                None => vm.set_field(buckets, i, field(e, NEXT)),
                Some(p) => vm.set_field(p, NEXT, field(e, NEXT)),
            }
            vm.set_field(t, COUNT, Value::fixnum(field(t, COUNT).as_fixnum() - 1));
            break;
        }
        before = Some(e);
        e = field(e, NEXT);
    }
    Ok(Value::UNSPECIFIED)
}

/// A list with something for every entry.
fn collect<S: Stores>(vm: &mut Vm<S>, a: &[Value], f: fn(&Vm<S>, Value) -> Answer) -> Answer {
    let buckets = field(table("hash-table->alist", a)?, BUCKETS);
    let mut list = Value::NIL;
    for i in 0..size(buckets) {
        let mut e = field(buckets, i);
        while is_entry(e) {
            list = vm.cons(f(vm, e)?, list)?;
            e = field(e, NEXT);
        }
    }
    Ok(list)
}
