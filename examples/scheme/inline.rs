//! Which standard procedures are compiled in line, and to what.

use crate::ast::Expr;
use crate::code::Ins;
use crate::codegen::{Codegen, Want};
use crate::error::SchemeError;
use crate::syntax::Pos;
use crate::value::{Type, Value};
use crate::vm::Stores;

/// A predicate that fuses with a jump.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Test {
    Null,
    Pair,
    Eq,
    Lt,
    Le,
    Gt,
    Ge,
    NumEq,
    /// `zero?`
    Zero,
}

#[derive(Clone, Copy)]
pub enum Inline {
    Not,
    Test(Test),
    Is(Type),
    One(fn(u16, u16) -> Ins),
    Two(fn(u16, u16, u16) -> Ins),
    Add,
    Sub,
    Mul,
    SetCar,
    SetCdr,
    VectorSet,
}

/// A small integer constant.
pub fn small(e: &Expr) -> Option<i16> {
    match e {
        Expr::Const(v) => i16::try_from(v.to_fixnum()?).ok().filter(|n| *n != i16::MIN),
        _ => None,
    }
}

pub fn inline_of(name: &str, args: &[Expr]) -> Option<Inline> {
    use Inline::{One, Two};
    Some(match (name, args.len()) {
        ("not", 1) => Inline::Not,
        ("null?", 1) => Inline::Test(Test::Null),
        ("pair?", 1) => Inline::Test(Test::Pair),
        ("zero?", 1) => Inline::Test(Test::Zero),
        ("eq?", 2) => Inline::Test(Test::Eq),
        ("<", 2) => Inline::Test(Test::Lt),
        ("<=", 2) => Inline::Test(Test::Le),
        (">", 2) => Inline::Test(Test::Gt),
        (">=", 2) => Inline::Test(Test::Ge),
        ("=", 2) => Inline::Test(Test::NumEq),
        ("vector?", 1) => Inline::Is(Type::Vector),
        ("string?", 1) => Inline::Is(Type::String),
        ("symbol?", 1) => Inline::Is(Type::Symbol),
        ("car", 1) => One(Ins::Car),
        ("cdr", 1) => One(Ins::Cdr),
        ("cadr", 1) => One(Ins::Cadr),
        ("cddr", 1) => One(Ins::Cddr),
        ("vector-length", 1) => One(Ins::VectorLength),
        ("cons", 2) => Two(Ins::Cons),
        ("eqv?", 2) => Two(Ins::Eqv),
        ("quotient" | "truncate-quotient", 2) => Two(Ins::Quotient),
        ("remainder" | "truncate-remainder", 2) => Two(Ins::Remainder),
        ("modulo" | "floor-remainder", 2) => Two(Ins::Modulo),
        ("vector-ref", 2) => Two(Ins::VectorRef),
        ("string-ref", 2) => Two(Ins::StringRef),
        ("char=?", 2) => Two(Ins::CharEq),
        ("+", 2..) => Inline::Add,
        ("-", 2) => Inline::Sub,
        ("*", 2) => Inline::Mul,
        ("set-car!", 2) => Inline::SetCar,
        ("set-cdr!", 2) => Inline::SetCdr,
        ("vector-set!", 3) => Inline::VectorSet,
        _ => return None,
    })
}

impl Test {
    /// The jump for a comparison of two slots.
    pub fn jump(self, a: u16, b: u16, sense: bool) -> Ins {
        match (self, sense) {
            (Test::Null, true) => Ins::JNull(a, 0),
            (Test::Null, false) => Ins::JNotNull(a, 0),
            (Test::Pair, true) => Ins::JPair(a, 0),
            (Test::Pair, false) => Ins::JNotPair(a, 0),
            (Test::Eq, true) => Ins::JEq(a, b, 0),
            (Test::Eq, false) => Ins::JNotEq(a, b, 0),
            (Test::Lt, true) => Ins::JLt(a, b, 0),
            (Test::Lt, false) => Ins::JNotLt(a, b, 0),
            (Test::Gt, true) => Ins::JLt(b, a, 0),
            (Test::Gt, false) => Ins::JNotLt(b, a, 0),
            (Test::Le, true) => Ins::JLe(a, b, 0),
            (Test::Le, false) => Ins::JNotLe(a, b, 0),
            (Test::Ge, true) => Ins::JLe(b, a, 0),
            (Test::Ge, false) => Ins::JNotLe(b, a, 0),
            (Test::NumEq, true) => Ins::JNumEq(a, b, 0),
            (Test::NumEq, false) => Ins::JNotNumEq(a, b, 0),
            (Test::Zero, true) => Ins::JNumEqI(a, 0, 0),
            (Test::Zero, false) => Ins::JNotNumEqI(a, 0, 0),
        }
    }
    /// The jump for a comparison with a small constant.
    pub fn immediate(self, a: u16, n: i16, sense: bool) -> Option<Ins> {
        Some(match (self, sense) {
            (Test::Lt, true) => Ins::JLtI(a, n, 0),
            (Test::Lt, false) => Ins::JNotLtI(a, n, 0),
            (Test::Le, true) => Ins::JLeI(a, n, 0),
            (Test::Le, false) => Ins::JNotLeI(a, n, 0),
            (Test::Gt, true) => Ins::JGtI(a, n, 0),
            (Test::Gt, false) => Ins::JNotGtI(a, n, 0),
            (Test::Ge, true) => Ins::JGeI(a, n, 0),
            (Test::Ge, false) => Ins::JNotGeI(a, n, 0),
            (Test::NumEq, true) => Ins::JNumEqI(a, n, 0),
            (Test::NumEq, false) => Ins::JNotNumEqI(a, n, 0),
            _ => return None,
        })
    }
}

/// Makes the instruction from the destination and the operands.
type Maker = Box<dyn Fn(u16, &[u16]) -> Ins>;

impl<S: Stores> Codegen<'_, S> {
    /// Compiles an inlined call; false if it turned out not to be possible.
    pub fn inline(&mut self, op: Inline, args: &[Expr], pos: Pos, want: Want) -> Result<bool, SchemeError> {
        let ins: Maker = match op {
            Inline::Add if args.len() > 2 => {
                // Two at a time, from the left.
                let d = self.target(want);
                let mut sum = self.operand(&args[0])?;
                for (i, a) in args[1..].iter().enumerate() {
                    let b = self.operand(a)?;
                    self.pos = pos;
                    if i + 2 == args.len() {
                        self.emit(Ins::Add(d, sum, b));
                    } else {
                        // The slot counts only after the instruction: until then it holds nothing.
                        let t = self.target(Want::Effect);
                        self.emit(Ins::Add(t, sum, b));
                        sum = self.push()?;
                    }
                }
                self.done(want, d);
                return Ok(true);
            }
            Inline::Add | Inline::Sub => {
                let sub = matches!(op, Inline::Sub);
                let (x, n) = match (small(&args[0]), small(&args[1])) {
                    (_, Some(n)) => (&args[0], Some(if sub { -n } else { n })),
                    (Some(n), None) if !sub => (&args[1], Some(n)),
                    _ => (&args[0], None),
                };
                if let Some(n) = n {
                    let d = self.target(want);
                    let a = self.operand(x)?;
                    self.pos = pos;
                    self.emit(Ins::AddI(d, a, n));
                    self.done(want, d);
                    return Ok(true);
                }
                if sub { Box::new(|d, s| Ins::Sub(d, s[0], s[1])) } else { Box::new(|d, s| Ins::Add(d, s[0], s[1])) }
            }
            Inline::Mul => Box::new(|d, s| Ins::Mul(d, s[0], s[1])),
            Inline::Not => Box::new(|d, s| Ins::Not(d, s[0])),
            Inline::Is(ty) => Box::new(move |d, s| Ins::Is(d, s[0], ty as u16)),
            Inline::One(f) => Box::new(move |d, s| f(d, s[0])),
            Inline::Two(f) => Box::new(move |d, s| f(d, s[0], s[1])),
            Inline::Test(t) => match t {
                Test::Null => Box::new(|d, s| Ins::NullP(d, s[0])),
                Test::Pair => Box::new(|d, s| Ins::PairP(d, s[0])),
                Test::Eq => Box::new(|d, s| Ins::Eq(d, s[0], s[1])),
                Test::Lt => Box::new(|d, s| Ins::Lt(d, s[0], s[1])),
                Test::Gt => Box::new(|d, s| Ins::Lt(d, s[1], s[0])),
                Test::Le => Box::new(|d, s| Ins::Le(d, s[0], s[1])),
                Test::Ge => Box::new(|d, s| Ins::Le(d, s[1], s[0])),
                Test::NumEq => Box::new(|d, s| Ins::NumEq(d, s[0], s[1])),
                Test::Zero => return Ok(false),
            },
            Inline::SetCar | Inline::SetCdr | Inline::VectorSet => {
                let mut s = Vec::new();
                for a in args {
                    s.push(self.operand(a)?);
                }
                self.pos = pos;
                self.emit(match op {
                    Inline::SetCar => Ins::SetCar(s[0], s[1]),
                    Inline::SetCdr => Ins::SetCdr(s[0], s[1]),
                    _ => Ins::VectorSet(s[0], s[1], s[2]),
                });
                if want != Want::Effect {
                    self.compile(&Expr::Const(Value::UNSPECIFIED), want)?;
                }
                return Ok(true);
            }
        };
        let d = self.target(want);
        let mut s = Vec::new();
        for a in args {
            s.push(self.operand(a)?);
        }
        self.pos = pos;
        self.emit(ins(d, &s));
        self.done(want, d);
        Ok(true)
    }
}
