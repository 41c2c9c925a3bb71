//! From the core language to instructions.
//!
//! Slots are handed out like a stack: everything below `depth` holds a value at any time, which is what makes the
//! recorded depths precise root maps. A destination is written only after everything read; so it may be the slot of a
//! variable that the expression still uses.

use crate::ast::*;
use crate::code::*;
use crate::error::{Kind, SchemeError};
use crate::inline::inline_of;
use crate::jumps::mentions;
use crate::syntax::{Name, Pos};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub type Gen<T> = Result<T, SchemeError>;

/// What to do with a value.
#[derive(Clone, Copy, PartialEq)]
pub enum Want {
    Tail,
    Slot(u16),
    Effect,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Slot(u16),
    This,
    Free(u16),
}

struct LoopInfo {
    head: usize,
    first: u16,
    params: Vec<VarRef>,
}

/// A procedure under construction.
pub struct Function {
    pub ins: Vec<Ins>,
    depths: Vec<u16>,
    positions: Vec<(u32, Pos)>,
    slots: HashMap<*const Var, u16>,
    this: Option<VarRef>,
    free: Vec<VarRef>,
    pending: Vec<VarRef>,
    patches: Vec<(u16, u16, VarRef)>,
    loops: HashMap<*const Var, LoopInfo>,
    children: Vec<&'static Code>,
    pub depth: u16,
    max_depth: u16,
    /// Offsets did not fit 16 bits: no fused comparisons.
    pub wide: bool,
    pub overflow: bool,
}

pub struct Codegen<'a, S: Stores> {
    pub vm: &'a mut Vm<S>,
    functions: Vec<Function>,
    pub pos: Pos,
}

fn too_big() -> SchemeError {
    SchemeError::condition(Kind::Syntax, "a procedure is too large to compile", Vec::new())
}

/// Compiles a top-level expression to the code of a procedure without arguments.
pub fn compile<S: Stores>(vm: &mut Vm<S>, e: Expr, pos: Pos) -> Gen<&'static Code> {
    let lambda = Lambda { name: Name::new("toplevel"), params: Vec::new(), rest: None, body: e, pos };
    let mut g = Codegen { vm, functions: Vec::new(), pos };
    Ok(g.function(&lambda, None)?.0)
}

impl<S: Stores> Codegen<'_, S> {
    pub fn f(&mut self) -> &mut Function {
        self.functions.last_mut().expect("code is generated inside a function")
    }
    pub fn emit(&mut self, ins: Ins) -> usize {
        let pos = self.pos;
        let f = self.f();
        let at = f.ins.len();
        let same = |p: &(u32, Pos)| p.1.line == pos.line && p.1.column == pos.column;
        if !f.positions.last().is_some_and(same) {
            f.positions.push((at as u32, pos));
        }
        f.ins.push(ins);
        f.depths.push(f.depth);
        at
    }
    pub fn push(&mut self) -> Gen<u16> {
        let f = self.f();
        let d = f.depth;
        if d > 60_000 {
            return Err(too_big());
        }
        f.depth += 1;
        f.max_depth = f.max_depth.max(f.depth);
        Ok(d)
    }
    fn note(&mut self, n: u16) {
        let f = self.f();
        f.max_depth = f.max_depth.max(f.depth + n);
    }

    /// Makes the jump at `at` go to the next instruction.
    pub fn land(&mut self, at: usize) {
        let f = self.f();
        let off = (f.ins.len() - at) as i64;
        f.set_offset(at, off);
    }
    pub fn land_all(&mut self, jumps: Vec<usize>) {
        jumps.into_iter().for_each(|j| self.land(j));
    }

    fn function(&mut self, l: &Lambda, this: Option<&VarRef>) -> Gen<(&'static Code, Vec<VarRef>)> {
        let saved = self.pos;
        for wide in [false, true] {
            self.functions.push(Function {
                ins: Vec::new(),
                depths: Vec::new(),
                positions: Vec::new(),
                slots: HashMap::new(),
                this: this.cloned(),
                free: Vec::new(),
                pending: Vec::new(),
                patches: Vec::new(),
                loops: HashMap::new(),
                children: Vec::new(),
                depth: 0,
                max_depth: 0,
                wide,
                overflow: false,
            });
            self.pos = l.pos;
            let result = self.function_body(l);
            let f = self.functions.pop().expect("pushed above");
            self.pos = saved;
            result?;
            if f.overflow && !wide {
                continue;
            }
            return self.finish(l, f);
        }
        Err(too_big())
    }
    fn function_body(&mut self, l: &Lambda) -> Gen<()> {
        for p in l.params.iter().chain(&l.rest) {
            let slot = self.push()?;
            self.f().slots.insert(Arc::as_ptr(p), slot);
        }
        for p in l.params.iter().chain(&l.rest) {
            if p.is_boxed() {
                let slot = self.f().slots[&Arc::as_ptr(p)];
                self.emit(Ins::BoxNew(slot, slot));
            }
        }
        self.compile(&l.body, Want::Tail)
    }
    fn finish(&mut self, l: &Lambda, f: Function) -> Gen<(&'static Code, Vec<VarRef>)> {
        let mut captures = Vec::new();
        for v in &f.free {
            captures.push(if self.functions.is_empty() {
                return Err(SchemeError::error(format!("variable {} out of scope", v.name.text()), &[]));
            } else if self.f().pending.iter().any(|p| Arc::ptr_eq(p, v)) {
                Capture::Pending
            } else {
                match self.place(v) {
                    Place::Slot(s) => Capture::Slot(s),
                    Place::Free(i) => Capture::Free(i),
                    Place::This => Capture::This,
                }
            });
        }
        let ins: Box<[Ins]> = f.ins.into();
        let code = Box::leak(Box::new(Code {
            arity: if l.rest.is_some() { ARITY_REST } else { l.params.len() as i32 },
            frame_size: u32::from(f.max_depth) + 2,
            start: ins.as_ptr(),
            required: l.params.len() as u32,
            ins,
            depths: f.depths.into(),
            positions: f.positions.into(),
            captures: captures.into(),
            children: f.children.into(),
            name: l.name,
            pos: l.pos,
        }));
        Ok((code, f.free))
    }

    fn place(&mut self, v: &VarRef) -> Place {
        let f = self.f();
        if let Some(s) = f.slots.get(&Arc::as_ptr(v)) {
            return Place::Slot(*s);
        }
        if f.this.as_ref().is_some_and(|t| Arc::ptr_eq(t, v)) {
            return Place::This;
        }
        if let Some(i) = f.free.iter().position(|w| Arc::ptr_eq(w, v)) {
            return Place::Free(i as u16);
        }
        f.free.push(v.clone());
        Place::Free((f.free.len() - 1) as u16)
    }

    fn constant(&mut self, v: Value, d: u16) -> Gen<()> {
        match v.to_fixnum().and_then(|n| i32::try_from(n).ok()) {
            Some(n) => self.emit(Ins::Int(d, n)),
            None => {
                let k = self.vm.constant(v)?;
                self.emit(Ins::Const(d, k))
            }
        };
        Ok(())
    }

    /// The slot of the expression's value: the variable's own, or a new one.
    pub fn operand(&mut self, e: &Expr) -> Gen<u16> {
        if let Expr::Local(v, _) = e
            && !v.is_boxed()
            && let Place::Slot(s) = self.place(v)
        {
            return Ok(s);
        }
        let d = self.f().depth;
        self.note(1);
        self.compile(e, Want::Slot(d))?;
        self.push()
    }

    /// The value is about to be computed by one instruction: where to?
    pub fn target(&mut self, want: Want) -> u16 {
        match want {
            Want::Slot(d) => d,
            Want::Tail | Want::Effect => {
                self.note(1);
                self.f().depth
            }
        }
    }
    pub fn done(&mut self, want: Want, d: u16) {
        if want == Want::Tail {
            self.emit(Ins::Return(d));
        }
    }

    pub fn compile(&mut self, e: &Expr, want: Want) -> Gen<()> {
        let depth = self.f().depth;
        self.compile_inner(e, want)?;
        self.f().depth = depth;
        Ok(())
    }

    fn compile_inner(&mut self, e: &Expr, want: Want) -> Gen<()> {
        match e {
            Expr::Const(v) => {
                if want != Want::Effect {
                    let d = self.target(want);
                    self.constant(*v, d)?;
                    self.done(want, d);
                }
            }
            Expr::Local(v, pos) => {
                self.pos = *pos;
                let (d, place) = (self.target(want), self.place(v));
                match (place, v.is_boxed(), v.checked.load(Ordering::Relaxed)) {
                    (Place::Slot(s), false, _) if want == Want::Tail => {
                        self.emit(Ins::Return(s));
                        return Ok(());
                    }
                    (Place::Slot(s), false, _) if s == d => 0,
                    (Place::Slot(s), false, _) => self.emit(Ins::Move(d, s)),
                    (Place::Slot(s), true, false) => self.emit(Ins::BoxGet(d, s)),
                    (Place::Slot(s), true, true) => self.emit(Ins::BoxGetChecked(d, s)),
                    (Place::This, _, _) => self.emit(Ins::This(d)),
                    (Place::Free(i), false, _) => self.emit(Ins::Free(d, i)),
                    (Place::Free(i), true, false) => self.emit(Ins::FreeBox(d, i)),
                    (Place::Free(i), true, true) => self.emit(Ins::FreeBoxChecked(d, i)),
                };
                self.done(want, d);
            }
            Expr::SetLocal(v, value) => {
                let s = self.operand(value)?;
                match self.place(v) {
                    Place::Slot(b) => self.emit(Ins::BoxSet(b, s)),
                    Place::Free(i) => self.emit(Ins::FreeBoxSet(i, s)),
                    Place::This => return Err(too_big()),
                };
                self.unspecified(want)?;
            }
            Expr::Global(g, pos) => {
                self.pos = *pos;
                let d = self.target(want);
                self.emit(Ins::Global(d, g.index));
                self.done(want, d);
            }
            Expr::SetGlobal(g, value, pos) => {
                let s = self.operand(value)?;
                self.pos = *pos;
                self.emit(Ins::SetGlobal(s, g.index));
                self.unspecified(want)?;
            }
            Expr::Define(g, value) => {
                let s = self.operand(value)?;
                self.emit(Ins::Define(s, g.index));
                self.unspecified(want)?;
            }
            Expr::If(b) => {
                let [test, yes, no] = &**b;
                let other = self.test(test, false)?;
                self.compile(yes, want)?;
                if want == Want::Tail {
                    self.land_all(other);
                    self.compile(no, want)?;
                } else {
                    let end = self.emit(Ins::Jump(0));
                    self.land_all(other);
                    self.compile(no, want)?;
                    self.land(end);
                }
            }
            Expr::And(items) | Expr::Or(items) => {
                let or = matches!(e, Expr::Or(_));
                let (last, first) = items.split_last().expect("and/or have operands here");
                if want == Want::Effect {
                    let mut out = Vec::new();
                    for i in first {
                        out.extend(self.test(i, or)?);
                    }
                    self.compile(last, want)?;
                    self.land_all(out);
                    return Ok(());
                }
                if !or {
                    let mut out = Vec::new();
                    for i in first {
                        out.extend(self.test(i, false)?);
                    }
                    self.compile(last, want)?;
                    let end = (want != Want::Tail).then(|| self.emit(Ins::Jump(0)));
                    self.land_all(out);
                    self.compile(&Expr::Const(Value::FALSE), want)?;
                    if let Some(end) = end {
                        self.land(end);
                    }
                    return Ok(());
                }
                // The value so far must not overwrite a variable that a later operand reads.
                let t = self.f().depth;
                self.note(1);
                let mut out = Vec::new();
                for i in first {
                    self.compile(i, Want::Slot(t))?;
                    out.push(self.emit(Ins::JTrue(t, 0)));
                }
                if want == Want::Tail {
                    self.compile(last, want)?;
                    self.land_all(out);
                    self.emit(Ins::Return(t));
                } else {
                    self.compile(last, Want::Slot(t))?;
                    self.land_all(out);
                    if let Want::Slot(d) = want
                        && d != t
                    {
                        self.emit(Ins::Move(d, t));
                    }
                }
            }
            Expr::Seq(items) => {
                let (last, first) = items.split_last().expect("sequences are not empty");
                for i in first {
                    self.compile(i, Want::Effect)?;
                }
                self.compile(last, want)?;
            }
            Expr::Lambda(l) => {
                let d = self.target(want);
                self.closure(l, None, d)?;
                self.done(want, d);
            }
            Expr::CaseLambda(clauses) => {
                let d = self.target(want);
                let base = self.f().depth;
                for c in clauses {
                    let s = self.f().depth;
                    self.note(1);
                    self.closure(c, None, s)?;
                    self.push()?;
                }
                self.emit(Ins::CaseLambda(d, base, clauses.len() as u16));
                self.f().depth = base;
                self.done(want, d);
            }
            Expr::Call(f, args, pos) => self.call(f, args, *pos, want)?,
            Expr::Let(bindings, body) => {
                let mut slots = Vec::new();
                for (v, init) in bindings {
                    let d = self.f().depth;
                    self.note(1);
                    self.compile(init, Want::Slot(d))?;
                    // The slot counts from here on: the value is a root while its box is allocated.
                    slots.push((Arc::as_ptr(v), self.push()?));
                    if v.is_boxed() {
                        self.emit(Ins::BoxNew(d, d));
                    }
                }
                self.f().slots.extend(slots);
                self.compile(body, want)?;
            }
            Expr::Letrec(bindings, body) => {
                self.letrec(bindings)?;
                self.compile(body, want)?;
            }
            Expr::Loop(name, bindings, body) => {
                let first = self.f().depth;
                for (_, init) in bindings {
                    let d = self.f().depth;
                    self.note(1);
                    self.compile(init, Want::Slot(d))?;
                    self.push()?;
                }
                let head = self.f().ins.len();
                for (i, (v, _)) in bindings.iter().enumerate() {
                    let s = first + i as u16;
                    self.f().slots.insert(Arc::as_ptr(v), s);
                    if v.is_boxed() {
                        self.emit(Ins::BoxNew(s, s));
                    }
                }
                let params = bindings.iter().map(|(v, _)| v.clone()).collect();
                self.f().loops.insert(Arc::as_ptr(name), LoopInfo { head, first, params });
                self.compile(body, want)?;
            }
            Expr::Continue(name, args, pos) => self.again(name, args, *pos)?,
        }
        Ok(())
    }

    fn unspecified(&mut self, want: Want) -> Gen<()> {
        if want == Want::Effect { Ok(()) } else { self.compile(&Expr::unspecified(), want) }
    }

    fn closure(&mut self, l: &Lambda, this: Option<&VarRef>, d: u16) -> Gen<Vec<VarRef>> {
        let (code, free) = self.function(l, this)?;
        let f = self.f();
        f.children.push(code);
        let i = f.children.len() as u32 - 1;
        self.emit(Ins::Closure(d, i));
        Ok(free)
    }

    fn letrec(&mut self, bindings: &[(VarRef, Expr)]) -> Gen<()> {
        for (v, _) in bindings {
            if v.is_boxed() {
                let d = self.f().depth;
                self.note(1);
                self.constant(Value::UNBOUND, d)?;
                let d = self.push()?;
                self.emit(Ins::BoxNew(d, d));
                self.f().slots.insert(Arc::as_ptr(v), d);
            }
        }
        let mut i = 0;
        while i < bindings.len() {
            let run = bindings[i..].iter().take_while(|(_, e)| matches!(e, Expr::Lambda(_))).count();
            if run == 0 {
                self.binding(&bindings[i].0, &bindings[i].1)?;
                i += 1;
                continue;
            }
            let group = &bindings[i..i + run];
            i += run;
            let plain: Vec<_> = group.iter().filter(|(v, _)| !v.is_boxed()).collect();
            self.f().pending.extend(plain.iter().map(|(v, _)| v.clone()));
            for (v, e) in &plain {
                let Expr::Lambda(l) = e else { continue };
                let d = self.f().depth;
                self.note(1);
                let free = self.closure(l, Some(v), d)?;
                let d = self.push()?;
                let f = self.f();
                for (n, w) in free.iter().enumerate() {
                    if f.pending.iter().any(|p| Arc::ptr_eq(p, w)) {
                        f.patches.push((d, n as u16, w.clone()));
                    }
                }
                f.pending.retain(|p| !Arc::ptr_eq(p, v));
                f.slots.insert(Arc::as_ptr(v), d);
            }
            for (clo, n, w) in std::mem::take(&mut self.f().patches) {
                let s = self.f().slots.get(&Arc::as_ptr(&w)).copied();
                match s {
                    Some(s) => self.emit(Ins::Patch(clo, n, s)),
                    None => {
                        self.f().patches.push((clo, n, w));
                        0
                    }
                };
            }
            for (v, e) in group.iter().filter(|(v, _)| v.is_boxed()) {
                self.binding(v, e)?;
            }
        }
        Ok(())
    }
    fn binding(&mut self, v: &VarRef, e: &Expr) -> Gen<()> {
        let d = self.f().depth;
        self.note(1);
        self.compile(e, Want::Slot(d))?;
        if v.is_boxed() {
            let b = self.f().slots[&Arc::as_ptr(v)];
            self.f().depth += 1;
            self.emit(Ins::BoxSet(b, d));
            self.f().depth -= 1;
        } else {
            let d = self.push()?;
            self.f().slots.insert(Arc::as_ptr(v), d);
        }
        Ok(())
    }

    /// Assigns the loop variables in an order that keeps what is still needed, then jumps.
    fn again(&mut self, name: &VarRef, args: &[Expr], pos: Pos) -> Gen<()> {
        let info = &self.f().loops[&Arc::as_ptr(name)];
        let (head, first, params) = (info.head, info.first, info.params.clone());
        let mut left: Vec<usize> = (0..args.len())
            .filter(|i| !matches!(&args[*i], Expr::Local(v, _) if Arc::ptr_eq(v, &params[*i]) && !v.is_boxed()))
            .collect();
        let mut parked = Vec::new();
        while !left.is_empty() {
            let free = left.iter().position(|i| left.iter().all(|j| i == j || !mentions(&args[*j], &params[*i])));
            match free {
                Some(at) => {
                    let i = left.remove(at);
                    self.compile(&args[i], Want::Slot(first + i as u16))?;
                }
                None => {
                    let i = left.remove(0);
                    let d = self.f().depth;
                    self.note(1);
                    self.compile(&args[i], Want::Slot(d))?;
                    parked.push((first + i as u16, self.push()?));
                }
            }
        }
        for (d, s) in parked {
            self.emit(Ins::Move(d, s));
        }
        self.pos = pos;
        self.f().depth = first + args.len() as u16;
        let at = self.f().ins.len();
        self.emit(Ins::JumpBack(head as i32 - at as i32));
        Ok(())
    }

    fn call(&mut self, f: &Expr, args: &[Expr], pos: Pos, want: Want) -> Gen<()> {
        let base = self.f().depth;
        if let Expr::Global(g, _) = f
            && g.standard.load(Ordering::Relaxed)
        {
            self.pos = pos;
            if let Some(op) = inline_of(g.name.text(), args)
                && self.inline(op, args, pos, want)?
            {
                return Ok(());
            }
        }
        if args.len() > 200 {
            return self.long_call(f, args, pos, want);
        }
        for a in args {
            let d = self.f().depth;
            self.note(1);
            self.compile(a, Want::Slot(d))?;
            self.push()?;
        }
        let n = args.len() as u8;
        if let Expr::Global(g, _) = f {
            self.pos = pos;
            let plain =
                if g.standard.load(Ordering::Relaxed) { self.vm.plain_primitive(g.cell, args.len()) } else { None };
            if let Some(index) = plain {
                self.note(1);
                self.emit(Ins::Primitive { n, base, index });
            } else if want == Want::Tail {
                self.emit(Ins::TailCallGlobal { n, base, k: g.index });
                return Ok(());
            } else {
                self.note(1);
                self.emit(Ins::CallGlobal { n, base, k: g.index });
            }
        } else {
            let f = self.operand(f)?;
            self.pos = pos;
            if want == Want::Tail {
                self.emit(Ins::TailCall { n, base, f });
                return Ok(());
            }
            self.note(1);
            self.emit(Ins::Call { n, base, f });
        }
        self.f().depth = base;
        match want {
            Want::Tail => self.done(want, base),
            Want::Slot(d) if d != base => {
                self.emit(Ins::Move(d, base));
            }
            _ => {}
        }
        Ok(())
    }

    /// More arguments than an instruction can count: as `(apply f list)`.
    fn long_call(&mut self, f: &Expr, args: &[Expr], pos: Pos, want: Want) -> Gen<()> {
        let base = self.f().depth;
        self.note(4);
        self.compile(f, Want::Slot(base))?;
        self.push()?;
        let list = self.push()?;
        self.constant(Value::NIL, list)?;
        for a in args {
            let s = self.operand(a)?;
            self.emit(Ins::Cons(list, s, list));
            self.f().depth = list + 1;
        }
        self.f().depth = list;
        let k = self.vm.system_index("%apply-reversed")?;
        self.f().depth = list + 1;
        self.pos = pos;
        if want == Want::Tail {
            self.emit(Ins::TailCallGlobal { n: 2, base, k });
            return Ok(());
        }
        self.emit(Ins::CallGlobal { n: 2, base, k });
        self.f().depth = base;
        if let Want::Slot(d) = want
            && d != base
        {
            self.emit(Ins::Move(d, base));
        }
        Ok(())
    }
}
