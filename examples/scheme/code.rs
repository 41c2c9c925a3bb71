//! Compiled code: eight-byte instructions over the slots of a frame.
//!
//! Code is immortal, so a return address alone says where to go on. Operands called `d`, `a`, `b` are slots, `k` is an
//! index into the constant table, `off` a distance from the instruction itself.

use crate::syntax::{Name, Pos};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub enum Ins {
    Move(u16, u16),
    Const(u16, u32),
    Int(u16, i32),
    Global(u16, u32),
    SetGlobal(u16, u32),
    Define(u16, u32),
    Free(u16, u16),
    /// The running closure itself.
    This(u16),
    BoxNew(u16, u16),
    BoxGet(u16, u16),
    BoxGetChecked(u16, u16),
    FreeBox(u16, u16),
    FreeBoxChecked(u16, u16),
    BoxSet(u16, u16),
    FreeBoxSet(u16, u16),
    Closure(u16, u32),
    /// Captured value `.1` of closure `.0` becomes `.2`.
    Patch(u16, u16, u16),
    CaseLambda(u16, u16, u16),

    Jump(i32),
    /// The jump that closes a loop: a safepoint.
    JumpBack(i32),
    JFalse(u16, i32),
    JTrue(u16, i32),
    JNull(u16, i32),
    JNotNull(u16, i32),
    JPair(u16, i32),
    JNotPair(u16, i32),
    JEq(u16, u16, i16),
    JNotEq(u16, u16, i16),
    JLt(u16, u16, i16),
    JNotLt(u16, u16, i16),
    JLe(u16, u16, i16),
    JNotLe(u16, u16, i16),
    JNumEq(u16, u16, i16),
    JNotNumEq(u16, u16, i16),
    JLtI(u16, i16, i16),
    JNotLtI(u16, i16, i16),
    JLeI(u16, i16, i16),
    JNotLeI(u16, i16, i16),
    JGtI(u16, i16, i16),
    JNotGtI(u16, i16, i16),
    JGeI(u16, i16, i16),
    JNotGeI(u16, i16, i16),
    JNumEqI(u16, i16, i16),
    JNotNumEqI(u16, i16, i16),

    Not(u16, u16),
    NullP(u16, u16),
    PairP(u16, u16),
    Eq(u16, u16, u16),
    Eqv(u16, u16, u16),
    /// Type test: result, value, type byte.
    Is(u16, u16, u16),
    Car(u16, u16),
    Cdr(u16, u16),
    Cadr(u16, u16),
    Cddr(u16, u16),
    SetCar(u16, u16),
    SetCdr(u16, u16),
    Cons(u16, u16, u16),
    Add(u16, u16, u16),
    Sub(u16, u16, u16),
    Mul(u16, u16, u16),
    AddI(u16, u16, i16),
    Quotient(u16, u16, u16),
    Remainder(u16, u16, u16),
    Modulo(u16, u16, u16),
    Lt(u16, u16, u16),
    Le(u16, u16, u16),
    NumEq(u16, u16, u16),
    VectorRef(u16, u16, u16),
    VectorSet(u16, u16, u16),
    VectorLength(u16, u16),
    StringRef(u16, u16, u16),
    CharEq(u16, u16, u16),

    /// Calls: the arguments start at slot `base`, where the answer goes.
    Call {
        n: u8,
        base: u16,
        f: u16,
    },
    TailCall {
        n: u8,
        base: u16,
        f: u16,
    },
    CallGlobal {
        n: u8,
        base: u16,
        k: u32,
    },
    TailCallGlobal {
        n: u8,
        base: u16,
        k: u32,
    },
    /// A primitive that is known not to need the machine; the count has been checked.
    Primitive {
        n: u8,
        base: u16,
        index: u32,
    },
    Return(u16),

    /// The stack is empty: go on with the next segment of the continuation.
    Underflow,
}

/// Where a new closure takes a captured value from.
#[derive(Clone, Copy, Debug)]
pub enum Capture {
    Slot(u16),
    Free(u16),
    This,
    /// Filled in later by `Patch`.
    Pending,
}

/// Answers to a wrong number of arguments.
pub const ARITY_REST: i32 = -1;
/// A `case-lambda`: the captured values are its clauses.
pub const ARITY_CASES: i32 = -2;

#[repr(C)]
pub struct Code {
    /// Number of parameters, or `ARITY_REST`.
    pub arity: i32,
    pub frame_size: u32,
    pub start: *const Ins,
    /// Required parameters.
    pub required: u32,
    pub ins: Box<[Ins]>,
    /// For every instruction, how many slots are live before it.
    pub depths: Box<[u16]>,
    /// Positions, by the first instruction they are for.
    pub positions: Box<[(u32, Pos)]>,
    pub captures: Arc<[Capture]>,
    pub children: Box<[&'static Code]>,
    pub name: Name,
    pub pos: Pos,
}

// SAFETY: code is never changed after it was made, and `start` points into its own instructions.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

impl Code {
    /// The index of the instruction at `pc`.
    pub fn index(&self, pc: *const Ins) -> usize {
        (pc as usize - self.start as usize) / size_of::<Ins>()
    }
    pub fn position(&self, pc: *const Ins) -> Pos {
        let i = self.index(pc) as u32;
        let n = self.positions.partition_point(|(at, _)| *at <= i);
        if n == 0 { self.pos } else { self.positions[n - 1].1 }
    }
    pub fn depth(&self, pc: *const Ins) -> usize {
        self.depths.get(self.index(pc)).map_or(0, |d| *d as usize)
    }
}
