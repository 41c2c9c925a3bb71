//! Conditions: tests that jump, comparisons fused with their jump, and the distances.

use crate::ast::*;
use crate::code::Ins;
use crate::codegen::{Codegen, Function, Gen, Want};
use crate::inline::{Inline, Test, inline_of};
use crate::syntax::Pos;
use crate::vm::Stores;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl<S: Stores> Codegen<'_, S> {
    /// Jumps if the expression's truth is `sense`, and falls through otherwise.
    pub fn test(&mut self, e: &Expr, sense: bool) -> Gen<Vec<usize>> {
        let depth = self.f().depth;
        let jumps = self.test_inner(e, sense)?;
        self.f().depth = depth;
        Ok(jumps)
    }
    fn test_inner(&mut self, e: &Expr, sense: bool) -> Gen<Vec<usize>> {
        match e {
            Expr::Const(v) if v.is_true() == sense => return Ok(vec![self.emit(Ins::Jump(0))]),
            Expr::Const(_) => return Ok(Vec::new()),
            Expr::And(items) | Expr::Or(items) => {
                let or = matches!(e, Expr::Or(_));
                let (last, first) = items.split_last().expect("and/or have operands here");
                let (mut hit, mut miss) = (Vec::new(), Vec::new());
                for i in first {
                    let jumps = self.test(i, or)?;
                    if or == sense { hit.extend(jumps) } else { miss.extend(jumps) }
                }
                hit.extend(self.test(last, sense)?);
                self.land_all(miss);
                return Ok(hit);
            }
            Expr::Seq(items) => {
                let (last, first) = items.split_last().expect("sequences are not empty");
                for i in first {
                    self.compile(i, Want::Effect)?;
                }
                return self.test(last, sense);
            }
            Expr::If(b) if matches!(b[2], Expr::Const(v) if v.is_false()) => {
                let mut miss = self.test(&b[0], false)?;
                if sense {
                    let hit = self.test(&b[1], true)?;
                    self.land_all(miss);
                    return Ok(hit);
                }
                miss.extend(self.test(&b[1], false)?);
                return Ok(miss);
            }
            Expr::Call(f, args, pos) => {
                if let Expr::Global(g, _) = &**f
                    && g.standard.load(Ordering::Relaxed)
                    && let Some(op) = inline_of(g.name.text(), args)
                {
                    if let Inline::Not = op {
                        return self.test(&args[0], !sense);
                    }
                    if let Inline::Test(t) = op
                        && !self.f().wide
                    {
                        return self.fused(t, args, *pos, sense);
                    }
                }
            }
            _ => {}
        }
        let s = self.operand(e)?;
        Ok(vec![self.emit(if sense { Ins::JTrue(s, 0) } else { Ins::JFalse(s, 0) })])
    }

    fn fused(&mut self, t: Test, args: &[Expr], pos: Pos, sense: bool) -> Gen<Vec<usize>> {
        let a = self.operand(&args[0])?;
        if let (Some(n), Some(_)) = (args.get(1).and_then(crate::inline::small), t.immediate(a, 0, sense)) {
            self.pos = pos;
            let ins = t.immediate(a, n, sense).expect("just tried");
            return Ok(vec![self.emit(ins)]);
        }
        let b = match args.get(1) {
            Some(b) => self.operand(b)?,
            None => 0,
        };
        self.pos = pos;
        Ok(vec![self.emit(t.jump(a, b, sense))])
    }
}

impl Function {
    pub fn set_offset(&mut self, at: usize, off: i64) {
        use Ins::*;
        let mut fits = true;
        match &mut self.ins[at] {
            Jump(o)
            | JumpBack(o)
            | JFalse(_, o)
            | JTrue(_, o)
            | JNull(_, o)
            | JNotNull(_, o)
            | JPair(_, o)
            | JNotPair(_, o) => *o = off as i32,
            JEq(_, _, o)
            | JNotEq(_, _, o)
            | JLt(_, _, o)
            | JNotLt(_, _, o)
            | JLe(_, _, o)
            | JNotLe(_, _, o)
            | JNumEq(_, _, o)
            | JNotNumEq(_, _, o)
            | JLtI(_, _, o)
            | JNotLtI(_, _, o)
            | JLeI(_, _, o)
            | JNotLeI(_, _, o)
            | JGtI(_, _, o)
            | JNotGtI(_, _, o)
            | JGeI(_, _, o)
            | JNotGeI(_, _, o)
            | JNumEqI(_, _, o)
            | JNotNumEqI(_, _, o) => {
                fits = i16::try_from(off).is_ok();
                *o = off as i16;
            }
            other => unreachable!("not a jump: {other:?}"),
        }
        self.overflow |= !fits;
    }
}

/// Whether the expression refers to the variable.
pub fn mentions(e: &Expr, v: &VarRef) -> bool {
    match e {
        Expr::Const(_) | Expr::Global(..) => false,
        Expr::Local(w, _) => Arc::ptr_eq(v, w),
        Expr::SetLocal(w, e) => Arc::ptr_eq(v, w) || mentions(e, v),
        Expr::SetGlobal(_, e, _) | Expr::Define(_, e) => mentions(e, v),
        Expr::If(b) => b.iter().any(|e| mentions(e, v)),
        Expr::And(i) | Expr::Or(i) | Expr::Seq(i) | Expr::Continue(_, i, _) => i.iter().any(|e| mentions(e, v)),
        Expr::Lambda(l) => mentions(&l.body, v),
        Expr::CaseLambda(c) => c.iter().any(|l| mentions(&l.body, v)),
        Expr::Call(f, a, _) => mentions(f, v) || a.iter().any(|e| mentions(e, v)),
        Expr::Let(b, e) | Expr::Letrec(b, e) | Expr::Loop(_, b, e) => {
            b.iter().any(|(_, e)| mentions(e, v)) || mentions(e, v)
        }
    }
}
