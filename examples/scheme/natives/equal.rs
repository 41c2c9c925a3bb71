//! `eqv?` and `equal?`.

use crate::heap::*;
use crate::prims::Registry;
use crate::value::{Type, Value};
use crate::vm::Stores;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

fn is_number_object(v: Value) -> bool {
    [Type::Flonum, Type::Bignum, Type::Ratnum, Type::Compnum].iter().any(|t| is_type(v, *t))
}

#[inline]
pub fn is_eqv(a: Value, b: Value) -> bool {
    a == b
        || (a.is_pointer() && b.is_pointer() && is_number_object(a) && crate::standard::numbers::num_eqv(a, b))
        || (is_string(a) && is_string(b) && str_len(a) == 0 && str_len(b) == 0)
}

/// Structural equality. Terminates on cyclic structures: after many steps, pairs of objects met before count as equal.
pub fn is_equal(a: Value, b: Value) -> bool {
    let mut todo = vec![(a, b)];
    let mut seen = HashSet::new();
    let mut steps = 0u64;
    while let Some((mut a, mut b)) = todo.pop() {
        loop {
            if is_eqv(a, b) {
                break;
            }
            steps += 1;
            if steps > 1_000_000 && !seen.insert((a, b)) {
                break;
            }
            if is_pair(a) && is_pair(b) {
                todo.push((cdr(a), cdr(b)));
                (a, b) = (car(a), car(b));
                continue;
            }
            if is_vector(a) && is_vector(b) {
                if size(a) != size(b) {
                    return false;
                }
                todo.extend((0..size(a)).map(|i| (field(a, i), field(b, i))));
                break;
            }
            let same = if is_string(a) && is_string(b) {
                str_len(a) == str_len(b) && (0..str_len(a)).all(|i| str_ref(a, i) == str_ref(b, i))
            } else if is_bytevector(a) && is_bytevector(b) {
                size(a) == size(b)
                    && (0..size(a))
                        .all(|i| byte_at(a, i).load(Ordering::Relaxed) == byte_at(b, i).load(Ordering::Relaxed))
            } else {
                false
            };
            if !same {
                return false;
            }
            break;
        }
    }
    true
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("eq?", 2, 2, |_, a| Ok(Value::bool(a[0] == a[1])));
    r.add("eqv?", 2, 2, |_, a| Ok(Value::bool(is_eqv(a[0], a[1]))));
    r.add("equal?", 2, 2, |_, a| Ok(Value::bool(is_equal(a[0], a[1]))));
}
