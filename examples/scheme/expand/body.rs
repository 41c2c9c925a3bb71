//! Definitions: at top level and at the head of bodies, where they become `letrec*`.

use super::*;
use crate::ast::{Lambda, loopify};
use std::collections::VecDeque;

/// The right side of an internal definition, expanded only when all names are known.
enum Later {
    Expr(Syntax),
    Lambda(Syntax, Ident),
    Nothing,
}

/// Name and right side of a `define` form.
struct Definition {
    id: Ident,
    value: Later,
}

impl<S: Stores> Expander<'_, S> {
    /// Takes `(define ...)` apart, curried definitions included.
    fn definition(&self, form: &Syntax) -> Expand<Definition> {
        let items = form.items().unwrap_or(&[]);
        match items {
            [_, target] if target.ident().is_some() => {
                Ok(Definition { id: target.ident().expect("just seen").clone(), value: Later::Nothing })
            }
            [_, target, value] if target.ident().is_some() => {
                Ok(Definition { id: target.ident().expect("just seen").clone(), value: Later::Expr(value.clone()) })
            }
            [_, target, _, ..] if target.items_or_dotted().is_some_and(|t| !t.is_empty()) => {
                let pos = form.pos();
                let name = &target.items_or_dotted().expect("just seen")[0];
                let mut lambda = vec![self.sys_at(pos, "lambda"), target.rest(1)];
                lambda.extend(items[2..].iter().cloned());
                match name.ident() {
                    Some(id) => {
                        Ok(Definition { id: id.clone(), value: Later::Lambda(Syntax::list(pos, lambda), id.clone()) })
                    }
                    None => {
                        let inner = vec![items[0].clone(), name.clone(), Syntax::list(pos, lambda)];
                        self.definition(&Syntax::list(pos, inner))
                    }
                }
            }
            _ => syntax_error(form, "bad define"),
        }
    }

    fn later(&mut self, value: &Later, id: &Ident, scope: &Scope) -> Expand<Expr> {
        match value {
            Later::Nothing => Ok(Expr::unspecified()),
            Later::Expr(s) => {
                let mut e = self.expr(s, scope)?;
                if let Expr::Lambda(l) = &mut e
                    && l.name.text() == "lambda"
                {
                    l.name = id.name();
                }
                Ok(e)
            }
            Later::Lambda(s, id) => self.lambda(id.name(), s, 1, scope),
        }
    }

    /// `(define ...)` where expressions go: at top level only.
    pub(super) fn top_define(&mut self, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        if scope.parent.is_some() {
            return syntax_error(form, "definition in expression context");
        }
        let d = self.definition(form)?;
        let g = self.vm.own_global(scope.env, d.id.name())?;
        g.standard.store(false, Ordering::Relaxed);
        let value = self.later(&d.value, &d.id, scope)?;
        Ok(Expr::Define(g, Box::new(value)))
    }

    /// `(lambda params body ...)`, the parameters at `items[at]`.
    pub(super) fn lambda(&mut self, name: Name, form: &Syntax, at: usize, scope: &Scope) -> Expand<Expr> {
        Ok(Expr::Lambda(Box::new(self.lambda_parts(name, form, at, scope)?)))
    }
    pub(super) fn lambda_parts(&mut self, name: Name, form: &Syntax, at: usize, scope: &Scope) -> Expand<Lambda> {
        let items = form.items().unwrap_or(&[]);
        if items.len() < at + 2 {
            return syntax_error(form, "bad lambda");
        }
        let inner = child(scope);
        let (mut params, mut rest) = (Vec::new(), None);
        match items[at].node() {
            Node::Id(id) => rest = Some(self.new_var(id, &inner)),
            Node::List(ids, tail) => {
                for p in ids {
                    let Some(id) = p.ident() else { return syntax_error(p, "bad parameter") };
                    if inner.bindings.lock().iter().any(|(k, _)| k == id) {
                        return syntax_error(p, format!("duplicate parameter {}", id.name().text()));
                    }
                    params.push(self.new_var(id, &inner));
                }
                if let Some(t) = tail {
                    let Some(id) = t.ident() else { return syntax_error(t, "bad parameter") };
                    if inner.bindings.lock().iter().any(|(k, _)| k == id) {
                        return syntax_error(t, format!("duplicate parameter {}", id.name().text()));
                    }
                    rest = Some(self.new_var(id, &inner));
                }
            }
            _ => return syntax_error(&items[at], "bad parameter list"),
        }
        let body = self.body(&items[at + 1..], form, &inner)?;
        Ok(Lambda { name, params, rest, body, pos: form.pos() })
    }

    /// A body: definitions, then expressions (mixing them is tolerated).
    pub(super) fn body(&mut self, forms: &[Syntax], whole: &Syntax, scope: &Scope) -> Expand<Expr> {
        let scope = &child(scope);
        let mut todo: VecDeque<Syntax> = forms.iter().cloned().collect();
        let mut items: Vec<(Option<(Ident, VarRef)>, Later)> = Vec::new();
        while let Some(form) = todo.pop_front() {
            if let Some(m) = self.macro_of(&form, scope) {
                let out = m.expand(self, &form, scope)?;
                todo.push_front(out);
                continue;
            }
            let core = form.items().and_then(|i| i.first()).and_then(|h| self.core(h, scope));
            match core {
                Some(Core::Begin) => {
                    let inner = form.items().unwrap_or(&[]);
                    if inner.len() == 1 && todo.is_empty() && items.is_empty() {
                        items.push((None, Later::Nothing));
                    }
                    for f in inner[1..].iter().rev() {
                        todo.push_front(f.clone());
                    }
                }
                Some(Core::Define) => {
                    let d = self.definition(&form)?;
                    let v = self.new_var(&d.id, scope);
                    items.push((Some((d.id, v)), d.value));
                }
                Some(Core::DefineValues | Core::DefineRecord | Core::Include | Core::CondExpand) => {
                    for f in self.definitions(core.expect("just matched"), &form)?.into_iter().rev() {
                        todo.push_front(f);
                    }
                }
                Some(Core::DefineSyntax) => self.define_syntax(&form, scope)?,
                Some(Core::Import) => {
                    let e = self.core_form(Core::Import, &form, scope)?;
                    drop(e);
                }
                _ => items.push((None, Later::Expr(form))),
            }
        }
        let Some(last) = items.iter().rposition(|(d, _)| d.is_some()) else {
            if items.is_empty() {
                return syntax_error(whole, "empty body");
            }
            let mut out = Vec::new();
            for (_, v) in &items {
                out.push(self.later(v, &Ident::Plain(Name::new("body")), scope)?);
            }
            return Ok(Expr::seq(out));
        };
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (d, v) in &items[..=last] {
            let id = match d {
                Some((id, var)) => {
                    names.push(var.clone());
                    id.clone()
                }
                None => {
                    names.push(Var::new(Name::new("_")));
                    Ident::Plain(Name::new("_"))
                }
            };
            values.push((id, v));
        }
        let inits = self.inits(&names, &values, scope)?;
        let mut out = Vec::new();
        for (_, v) in &items[last + 1..] {
            out.push(self.later(v, &Ident::Plain(Name::new("body")), scope)?);
        }
        let body = Expr::seq(out);
        let mut bindings: Vec<_> = names.into_iter().zip(inits).collect();
        if bindings.len() == 1 {
            let (var, init) = bindings.remove(0);
            return Ok(loopify(var, init, body));
        }
        Ok(Expr::Letrec(bindings, Box::new(body)))
    }

    /// The right sides of a `letrec*`, noting which variables need a box because something may look at them early.
    fn inits(&mut self, vars: &[VarRef], values: &[(Ident, &Later)], scope: &Scope) -> Expand<Vec<Expr>> {
        let mut first = vec![usize::MAX; vars.len()];
        let mut group = Vec::new();
        let mut out: Vec<Expr> = Vec::new();
        for (j, (id, value)) in values.iter().enumerate() {
            let e = self.later(value, id, scope)?;
            let lambda = matches!(e, Expr::Lambda(_));
            let previous = out.last().is_some_and(|e| matches!(e, Expr::Lambda(_)));
            let g = group.last().copied().unwrap_or(0);
            group.push(if j > 0 && !(lambda && previous) { g + 1 } else { g });
            for (i, v) in vars.iter().enumerate() {
                if first[i] == usize::MAX && v.refs() > 0 {
                    first[i] = j;
                }
            }
            out.push(e);
        }
        for (i, v) in vars.iter().enumerate() {
            if first[i] == usize::MAX {
                continue;
            }
            let lambda = matches!(out[i], Expr::Lambda(_));
            let early = if lambda { group[first[i]] < group[i] } else { first[i] <= i };
            if early {
                v.boxed.store(true, Ordering::Relaxed);
                v.checked.store(true, Ordering::Relaxed);
            }
        }
        Ok(out)
    }

    /// `(letrec ((v init) ...) body ...)`
    pub(super) fn letrec(&mut self, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        let items = form.items().unwrap_or(&[]);
        let Some(bindings) = items.get(1).and_then(Syntax::items).filter(|_| items.len() > 2) else {
            return syntax_error(form, "bad letrec");
        };
        let inner = child(scope);
        let (mut vars, mut values) = (Vec::new(), Vec::new());
        for b in bindings {
            match b.items() {
                Some([id, value]) if id.ident().is_some() => {
                    let id = id.ident().expect("just seen");
                    if values.iter().any(|(known, _)| known == id) {
                        return syntax_error(b, format!("duplicate variable {}", id.name().text()));
                    }
                    vars.push(self.new_var(id, &inner));
                    values.push((id.clone(), Later::Expr(value.clone())));
                }
                _ => return syntax_error(b, "bad letrec binding"),
            }
        }
        let values: Vec<_> = values.iter().map(|(i, v)| (i.clone(), v)).collect();
        let inits = self.inits(&vars, &values, &inner)?;
        let body = self.body(&items[2..], form, &inner)?;
        let mut all: Vec<_> = vars.into_iter().zip(inits).collect();
        if all.len() == 1 {
            let (v, i) = all.remove(0);
            return Ok(loopify(v, i, body));
        }
        Ok(Expr::Letrec(all, Box::new(body)))
    }

    /// `(let name ((v init) ...) body ...)`
    pub(super) fn named_let(&mut self, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        let items = form.items().unwrap_or(&[]);
        let (Some(name), Some(bindings)) = (items[1].ident(), items.get(2).and_then(Syntax::items)) else {
            return syntax_error(form, "bad named let");
        };
        let (mut ids, mut inits) = (Vec::new(), Vec::new());
        for b in bindings {
            match b.items() {
                Some([id, init]) => {
                    ids.push(id.clone());
                    inits.push(self.expr(init, scope)?);
                }
                _ => return syntax_error(b, "bad let binding"),
            }
        }
        let inner = child(scope);
        let var = self.new_var(name, &inner);
        let mut lambda = vec![items[0].clone(), Syntax::list(form.pos(), ids)];
        lambda.extend(items[3..].iter().cloned());
        let init = self.lambda(name.name(), &Syntax::list(form.pos(), lambda), 1, &inner)?;
        var.refs.fetch_add(1, Ordering::Relaxed);
        let call = Expr::Call(Box::new(Expr::Local(var.clone(), form.pos())), inits, form.pos());
        Ok(loopify(var, init, call))
    }

    pub(super) fn define_syntax(&mut self, form: &Syntax, scope: &Scope) -> Expand<()> {
        let Some([_, name, spec]) = form.items() else { return syntax_error(form, "bad define-syntax") };
        let Some(id) = name.ident() else { return syntax_error(name, "bad macro name") };
        let binding = self.transformer(spec, scope)?;
        if scope.parent.is_none() {
            self.vm.bind(scope.env, id.name(), binding);
        } else {
            bind(scope, id, binding);
        }
        Ok(())
    }

    /// Makes the objects in a tree immortal. Code given to `eval` holds some, and a macro outlives that code.
    fn keep(&self, s: &Syntax) -> Expand<()> {
        match s.node() {
            Node::Value(v) if v.is_pointer() => self.vm.immortal(*v),
            Node::List(items, tail) => items.iter().chain(tail).try_for_each(|s| self.keep(s)),
            Node::Vector(items) => items.iter().try_for_each(|s| self.keep(s)),
            Node::Label(_, datum) => self.keep(datum),
            _ => Ok(()),
        }
    }

    pub(super) fn transformer(&mut self, spec: &Syntax, scope: &Scope) -> Expand<Binding> {
        if let Some(id) = spec.ident() {
            // (define-syntax new old)
            return match self.lookup(id, scope) {
                Some(b @ (Binding::Macro(_) | Binding::Core(_))) => Ok(b),
                _ => syntax_error(spec, "not a syntactic keyword"),
            };
        }
        if let Some(m) = self.macro_of(spec, scope) {
            let out = m.expand(self, spec, scope)?;
            return self.transformer(&out, scope);
        }
        match spec.items().and_then(|i| i.first()) {
            Some(h) if self.is_core(h, scope, Core::SyntaxRules) => {
                self.keep(spec)?;
                Ok(Binding::Macro(Arc::new(Macro::parse(spec, scope)?)))
            }
            _ => syntax_error(spec, "expected syntax-rules"),
        }
    }
}
