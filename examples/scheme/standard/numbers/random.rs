//! Pseudo-random numbers (the part of SRFI 27 without sources).
//!
//! One generator for the process, SplitMix64: its state only ever advances by a constant, so threads share it with a
//! single atomic addition. It starts from a fixed seed, which makes programs repeatable; `random-seed!` moves it.

use super::tower::{self, Number};
use super::{need, put};
use crate::error::SchemeError;
use crate::prims::{Answer, Registry};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use num_bigint::{BigInt, BigUint, Sign};
use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(20250707);
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn next() -> u64 {
    let mut z = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Undoes `draws` drawings: nobody sees them, and the instruction that drew them will run again.
fn give_back(draws: u64) {
    STATE.fetch_sub(STEP.wrapping_mul(draws), Ordering::Relaxed);
}

/// In the open interval from 0 to 1.
fn real() -> f64 {
    ((next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("random-integer", 1, 1, |vm, a| below(vm, "random-integer", a));
    r.add("random-real", 0, 0, |vm, _| vm.flonum(real()).inspect_err(|_| give_back(1)));
    r.add("random", 1, 1, |vm, a| match need("random", a, 0)? {
        Number::Flo(limit) if limit > 0.0 => vm.flonum(real() * limit).inspect_err(|_| give_back(1)),
        _ => below(vm, "random", a),
    });
    r.add("random-seed!", 1, 1, |_, a| match a[0].to_fixnum() {
        Some(seed) => {
            STATE.store(seed as u64, Ordering::Relaxed);
            Ok(Value::UNSPECIFIED)
        }
        None => Err(SchemeError::wrong_type("random-seed!", 1, "fixnum", a[0])),
    });
}

fn below<S: Stores>(vm: &mut Vm<S>, who: &str, args: &[Value]) -> Answer {
    let limit = need(who, args, 0)?;
    if limit.signum() <= 0 {
        return Err(SchemeError::range(who, 1, args[0]));
    }
    match limit {
        Number::Int(n) => {
            put(vm, &Number::Int(((u128::from(next()) * n as u128) >> 64) as i64)).inspect_err(|_| give_back(1))
        }
        Number::Big(n) => {
            // 64 bits more than the limit has make the bias of the remainder negligible.
            let draws = n.bits() / 32 + 3;
            let digits = (0..draws).map(|_| next() as u32).collect();
            let wide = BigInt::from_biguint(Sign::Plus, BigUint::new(digits));
            put(vm, &tower::from_big(wide % n)).inspect_err(|_| give_back(draws))
        }
        _ => Err(SchemeError::wrong_type(who, 1, "exact integer", args[0])),
    }
}
