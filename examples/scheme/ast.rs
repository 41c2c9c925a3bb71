//! What the expander makes of source code: a small core language with resolved variables.

use crate::syntax::{Name, Pos};
use crate::value::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A local variable.
pub struct Var {
    pub name: Name,
    /// Assigned, or referenced before its definition: it lives in a box.
    pub boxed: AtomicBool,
    /// A reference may come before the initialisation and must check.
    pub checked: AtomicBool,
    /// References so far.
    pub refs: AtomicU32,
}
pub type VarRef = Arc<Var>;

impl Var {
    pub fn new(name: Name) -> VarRef {
        Arc::new(Var { name, boxed: AtomicBool::new(false), checked: AtomicBool::new(false), refs: AtomicU32::new(0) })
    }
    pub fn is_boxed(&self) -> bool {
        self.boxed.load(Ordering::Relaxed)
    }
    pub fn refs(&self) -> u32 {
        self.refs.load(Ordering::Relaxed)
    }
}

/// A global variable.
pub struct Global {
    pub name: Name,
    /// The number of its cell in the constant table.
    pub index: u32,
    pub cell: Value,
    /// A standard procedure that nothing has redefined: calls may be compiled in line.
    pub standard: AtomicBool,
}

pub struct Lambda {
    pub name: Name,
    pub params: Vec<VarRef>,
    pub rest: Option<VarRef>,
    pub body: Expr,
    pub pos: Pos,
}

pub enum Expr {
    Const(Value),
    Local(VarRef, Pos),
    SetLocal(VarRef, Box<Expr>),
    Global(Arc<Global>, Pos),
    SetGlobal(Arc<Global>, Box<Expr>, Pos),
    Define(Arc<Global>, Box<Expr>),
    If(Box<[Expr; 3]>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Seq(Vec<Expr>),
    Lambda(Box<Lambda>),
    CaseLambda(Vec<Lambda>),
    Call(Box<Expr>, Vec<Expr>, Pos),
    Let(Vec<(VarRef, Expr)>, Box<Expr>),
    /// `letrec*`
    Letrec(Vec<(VarRef, Expr)>, Box<Expr>),
    /// A local loop: the named variable stands for the label.
    Loop(VarRef, Vec<(VarRef, Expr)>, Box<Expr>),
    /// A jump back to the head of that loop.
    Continue(VarRef, Vec<Expr>, Pos),
}

impl Expr {
    pub fn unspecified() -> Expr {
        Expr::Const(Value::UNSPECIFIED)
    }
    pub fn seq(mut items: Vec<Expr>) -> Expr {
        match items.len() {
            0 => Expr::unspecified(),
            1 => items.swap_remove(0),
            _ => Expr::Seq(items),
        }
    }
    pub fn cond(test: Expr, yes: Expr, no: Expr) -> Expr {
        Expr::If(Box::new([test, yes, no]))
    }
}

/// Turns `(letrec ((f (lambda (v ...) body))) (f init ...))` into a loop if `f` is only ever called in tail position
/// of its own body.
pub fn loopify(var: VarRef, init: Expr, body: Expr) -> Expr {
    let fits = match (&init, &body) {
        (Expr::Lambda(l), Expr::Call(f, args, _)) => {
            let n = l.params.len();
            matches!(&**f, Expr::Local(v, _) if Arc::ptr_eq(v, &var))
                && l.rest.is_none()
                && args.len() == n
                && !var.is_boxed()
                && tail_calls(&l.body, &var, n) + 1 == var.refs()
        }
        _ => false,
    };
    match (init, body) {
        (Expr::Lambda(mut l), Expr::Call(_, args, _)) if fits => {
            make_continue(&mut l.body, &var);
            Expr::Loop(var, l.params.into_iter().zip(args).collect(), Box::new(l.body))
        }
        (init, body) => Expr::Letrec(vec![(var, init)], Box::new(body)),
    }
}

fn tail_calls(e: &Expr, var: &VarRef, n: usize) -> u32 {
    match e {
        Expr::If(b) => tail_calls(&b[1], var, n) + tail_calls(&b[2], var, n),
        Expr::And(v) | Expr::Or(v) | Expr::Seq(v) => v.last().map_or(0, |e| tail_calls(e, var, n)),
        Expr::Let(_, b) | Expr::Letrec(_, b) | Expr::Loop(_, _, b) => tail_calls(b, var, n),
        Expr::Call(f, args, _) => {
            u32::from(args.len() == n && matches!(&**f, Expr::Local(v, _) if Arc::ptr_eq(v, var)))
        }
        _ => 0,
    }
}

fn make_continue(e: &mut Expr, var: &VarRef) {
    match e {
        Expr::If(b) => {
            make_continue(&mut b[1], var);
            make_continue(&mut b[2], var);
        }
        Expr::And(v) | Expr::Or(v) | Expr::Seq(v) => {
            if let Some(e) = v.last_mut() {
                make_continue(e, var);
            }
        }
        Expr::Let(_, b) | Expr::Letrec(_, b) | Expr::Loop(_, _, b) => make_continue(b, var),
        Expr::Call(f, args, pos) => {
            if matches!(&**f, Expr::Local(v, _) if Arc::ptr_eq(v, var)) {
                *e = Expr::Continue(var.clone(), std::mem::take(args), *pos);
            }
        }
        _ => {}
    }
}
