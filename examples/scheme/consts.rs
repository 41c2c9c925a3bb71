//! The constant table: values that compiled code refers to by number.
//!
//! One table for the whole process, so an instruction can name a constant in 32 bits. Entries are written once and
//! never change; everything in the table is kept alive by the list of immortals. The memory is reserved zeroed, so
//! only the used part is ever touched.

use crate::error::SchemeError;
use crate::value::Value;
use parking_lot::Mutex;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

const CAPACITY: usize = 1 << 22;

pub struct Consts {
    base: &'static [AtomicU64],
    index: Mutex<HashMap<Value, u32>>,
}

impl Consts {
    pub fn new() -> Consts {
        let layout = Layout::array::<AtomicU64>(CAPACITY).expect("the size is a constant");
        // SAFETY: the layout is not empty.
        let p = unsafe { alloc_zeroed(layout) };
        if p.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: zeroed memory of that layout is an array of atomics; it is never freed.
        let base = unsafe { std::slice::from_raw_parts(p as *const AtomicU64, CAPACITY) };
        Consts { base, index: Mutex::new(HashMap::new()) }
    }
    /// The table itself, for the interpreter.
    pub fn base(&self) -> *const u64 {
        self.base.as_ptr() as *const u64
    }
    /// The number of a constant. `keep` makes a new one immortal; if that fails the constant gets no number, because
    /// whatever has one is taken to be alive.
    pub fn number(&self, v: Value, keep: impl FnOnce() -> Result<(), SchemeError>) -> Result<u32, SchemeError> {
        let mut index = self.index.lock();
        if let Some(i) = index.get(&v) {
            return Ok(*i);
        }
        let i = index.len();
        if i >= CAPACITY {
            return Err(SchemeError::error("too many constants in compiled code", &[]));
        }
        keep()?;
        self.base[i].store(v.0, Ordering::Release);
        index.insert(v, i as u32);
        Ok(i as u32)
    }
}
