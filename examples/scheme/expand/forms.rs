//! The core forms and what derives from them.

use super::*;
use crate::ast::Lambda;
use crate::value::Value;

impl<S: Stores> Expander<'_, S> {
    pub(super) fn core_form(&mut self, core: Core, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        let Some(items) = form.items() else { return syntax_error(form, "dotted list as a form") };
        let pos = form.pos();
        match (core, items) {
            (Core::Quote, [_, datum]) => Ok(Expr::Const(self.constant(datum)?)),
            (Core::Quasiquote, [_, datum]) => self.quasi(datum, 1, scope),
            (Core::Lambda, [_, _, _, ..]) => self.lambda(Name::new("lambda"), form, 1, scope),
            (Core::NamedLambda, [_, target, _, ..]) => {
                let Some(id) = target.items_or_dotted().and_then(|t| t.first()).and_then(Syntax::ident) else {
                    return syntax_error(form, "bad named-lambda");
                };
                let mut lambda = vec![items[0].clone(), target.rest(1)];
                lambda.extend(items[2..].iter().cloned());
                self.lambda(id.name(), &Syntax::list(pos, lambda), 1, scope)
            }
            (Core::Define, _) => self.top_define(form, scope),
            (Core::DefineValues | Core::DefineRecord | Core::Include | Core::CondExpand, _) => {
                let forms = self.definitions(core, form)?;
                self.exprs(&forms, scope).map(Expr::seq)
            }
            (Core::Set, [_, target, value]) => self.assignment(target, value, scope),
            (Core::If, [_, test, yes]) => {
                let test = self.expr(test, scope)?;
                Ok(Expr::cond(test, self.expr(yes, scope)?, Expr::unspecified()))
            }
            (Core::If, [_, test, yes, no]) => {
                let test = self.expr(test, scope)?;
                Ok(Expr::cond(test, self.expr(yes, scope)?, self.expr(no, scope)?))
            }
            (Core::Let, [_, name, ..]) if name.ident().is_some() => self.named_let(form, scope),
            (Core::Let, [_, bindings, body @ ..]) if !body.is_empty() => {
                let inner = child(scope);
                let mut vars = Vec::new();
                for b in self.bindings(bindings)? {
                    if vars.iter().any(|(id, _)| *id == b.0) {
                        return syntax_error(bindings, format!("duplicate variable {}", b.0.name().text()));
                    }
                    vars.push((b.0, self.expr(&b.1, scope)?));
                }
                let vars = vars.into_iter().map(|(id, e)| (self.new_var(&id, &inner), e)).collect::<Vec<_>>();
                let body = self.body(body, form, &inner)?;
                Ok(if vars.is_empty() { body } else { Expr::Let(vars, Box::new(body)) })
            }
            (Core::LetStar, [_, bindings, body @ ..]) if !body.is_empty() => {
                let mut inner = child(scope);
                let mut vars = Vec::new();
                for (id, init) in self.bindings(bindings)? {
                    let init = self.expr(&init, &inner)?;
                    inner = child(&inner);
                    vars.push((self.new_var(&id, &inner), init));
                }
                let body = self.body(body, form, &inner)?;
                Ok(vars.into_iter().rev().fold(body, |b, v| Expr::Let(vec![v], Box::new(b))))
            }
            (Core::Letrec, _) => self.letrec(form, scope),
            (Core::Begin, [_, forms @ ..]) => self.exprs(forms, scope).map(Expr::seq),
            (Core::And, [_]) => Ok(Expr::Const(Value::TRUE)),
            (Core::Or, [_]) => Ok(Expr::Const(Value::FALSE)),
            (Core::And | Core::Or, [_, one]) => self.expr(one, scope),
            (Core::And, [_, forms @ ..]) => self.exprs(forms, scope).map(Expr::And),
            (Core::Or, [_, forms @ ..]) => self.exprs(forms, scope).map(Expr::Or),
            (Core::Cond, [_, clauses @ ..]) => self.cond_clauses(clauses, scope),
            (Core::Case, [_, key, clauses @ ..]) => self.case(key, clauses, scope),
            (Core::When, [_, test, body @ ..]) => {
                let test = self.expr(test, scope)?;
                Ok(Expr::cond(test, Expr::seq(self.exprs(body, scope)?), Expr::unspecified()))
            }
            (Core::Unless, [_, test, body @ ..]) => {
                let test = self.expr(test, scope)?;
                Ok(Expr::cond(test, Expr::unspecified(), Expr::seq(self.exprs(body, scope)?)))
            }
            (Core::Do, [_, vars, end, body @ ..]) => self.do_loop(form, vars, end, body, scope),
            (Core::DefineSyntax, _) => {
                self.define_syntax(form, scope)?;
                Ok(Expr::unspecified())
            }
            (Core::LetSyntax, [_, bindings, body @ ..]) => {
                let inner = child(scope);
                for b in bindings.items().unwrap_or(&[]) {
                    match b.items() {
                        Some([id, spec]) if id.ident().is_some() => {
                            let t = self.transformer(spec, &inner)?;
                            bind(&inner, id.ident().expect("just seen"), t);
                        }
                        _ => return syntax_error(b, "bad syntax binding"),
                    }
                }
                self.body(body, form, &inner)
            }
            (Core::CaseLambda, [_, clauses @ ..]) => {
                let name = Name::new("case-lambda");
                let parts = clauses.iter().map(|c| self.lambda_parts(name, c, 0, scope));
                Ok(Expr::CaseLambda(parts.collect::<Expand<Vec<Lambda>>>()?))
            }
            (Core::Parameterize, [_, bindings, body @ ..]) if !body.is_empty() => {
                let mut args = Vec::new();
                for b in bindings.items().unwrap_or(&[]) {
                    match b.items() {
                        Some([p, v]) => {
                            args.push(self.expr(p, scope)?);
                            args.push(self.expr(v, scope)?);
                        }
                        _ => return syntax_error(b, "bad parameterize binding"),
                    }
                }
                let list = self.sys_call(pos, "list", args)?;
                let body = self.body(body, form, &child(scope))?;
                let thunk = Lambda { name: Name::new("parameterize"), params: Vec::new(), rest: None, body, pos };
                self.sys_call(pos, "%parameterize", vec![list, Expr::Lambda(Box::new(thunk))])
            }
            (Core::Import, [_, sets @ ..]) => self.import(sets, scope),
            (Core::DefineLibrary, [_, name, declarations @ ..]) => self.define_library(name, declarations),
            (Core::SyntaxError, [_, message, rest @ ..]) => {
                let mut text = match message.node() {
                    Node::Str(s) => s.to_string(),
                    _ => "syntax error".into(),
                };
                for r in rest {
                    let v = to_value(self.vm, r)?;
                    text.push(' ');
                    text.push_str(&crate::standard::print::write_to_string(v));
                }
                syntax_error(form, text)
            }
            _ => syntax_error(form, format!("bad syntax: {}", items[0].ident().map_or("", |i| i.name().text()))),
        }
    }

    fn bindings(&self, bindings: &Syntax) -> Expand<Vec<(Ident, Syntax)>> {
        let Some(items) = bindings.items() else { return syntax_error(bindings, "bad bindings") };
        let one = |b: &Syntax| match b.items() {
            Some([id, init]) if id.ident().is_some() => Ok((id.ident().expect("just seen").clone(), init.clone())),
            _ => syntax_error(b, "bad binding"),
        };
        items.iter().map(one).collect()
    }

    fn assignment(&mut self, target: &Syntax, value: &Syntax, scope: &Scope) -> Expand<Expr> {
        let Some(id) = target.ident() else { return syntax_error(target, "bad variable in set!") };
        let binding = match self.lookup(id, scope) {
            Some(b) => b,
            None => self.vm.reference(Self::home(id, scope), id.name())?,
        };
        let value = Box::new(self.expr(value, scope)?);
        match binding {
            Binding::Var(v) => {
                v.boxed.store(true, Ordering::Relaxed);
                v.refs.fetch_add(1, Ordering::Relaxed);
                Ok(Expr::SetLocal(v, value))
            }
            Binding::Global(g) => {
                // Assigning a standard procedure makes it the program's own variable.
                let g = if g.standard.load(Ordering::Relaxed) && scope.env != SYSTEM {
                    self.vm.own_global(scope.env, id.name())?
                } else {
                    g
                };
                Ok(Expr::SetGlobal(g, value, target.pos()))
            }
            _ => syntax_error(target, "set! of a syntactic keyword"),
        }
    }

    fn cond_clauses(&mut self, clauses: &[Syntax], scope: &Scope) -> Expand<Expr> {
        let Some((clause, rest)) = clauses.split_first() else { return Ok(Expr::unspecified()) };
        match clause.items() {
            Some([head, body @ ..]) if !body.is_empty() && self.is_core(head, scope, Core::Else) => {
                self.exprs(body, scope).map(Expr::seq)
            }
            Some([test, arrow, f]) if self.is_core(arrow, scope, Core::Arrow) => {
                let test = self.expr(test, scope)?;
                let f = self.expr(f, scope)?;
                let rest = self.cond_clauses(rest, scope)?;
                let t = Var::new(Name::new("t"));
                t.refs.store(2, Ordering::Relaxed);
                let pos = clause.pos();
                let call = Expr::Call(Box::new(f), vec![Expr::Local(t.clone(), pos)], pos);
                let body = Expr::cond(Expr::Local(t.clone(), pos), call, rest);
                Ok(Expr::Let(vec![(t, test)], Box::new(body)))
            }
            Some([test]) => {
                let test = self.expr(test, scope)?;
                if rest.is_empty() {
                    return Ok(Expr::Or(vec![test, Expr::unspecified()]));
                }
                Ok(Expr::Or(vec![test, self.cond_clauses(rest, scope)?]))
            }
            Some([test, body @ ..]) => {
                let test = self.expr(test, scope)?;
                let body = Expr::seq(self.exprs(body, scope)?);
                Ok(Expr::cond(test, body, self.cond_clauses(rest, scope)?))
            }
            _ => syntax_error(clause, "bad cond clause"),
        }
    }

    fn case(&mut self, key: &Syntax, clauses: &[Syntax], scope: &Scope) -> Expand<Expr> {
        let key = self.expr(key, scope)?;
        let t = Var::new(Name::new("key"));
        t.refs.store(2, Ordering::Relaxed);
        let mut out = Expr::unspecified();
        for clause in clauses.iter().rev() {
            let pos = clause.pos();
            let Some([data, body @ ..]) = clause.items() else { return syntax_error(clause, "bad case clause") };
            let body = match body {
                [arrow, f] if self.is_core(arrow, scope, Core::Arrow) => {
                    let f = self.expr(f, scope)?;
                    Expr::Call(Box::new(f), vec![Expr::Local(t.clone(), pos)], pos)
                }
                _ => Expr::seq(self.exprs(body, scope)?),
            };
            if self.is_core(data, scope, Core::Else) {
                out = body;
                continue;
            }
            let mut tests = Vec::new();
            for d in data.items().unwrap_or(&[]) {
                let v = self.constant(d)?;
                let by_address = v.is_fixnum() || !v.is_pointer() || crate::heap::is_symbol(v);
                let name = if by_address { "eq?" } else { "eqv?" };
                tests.push(self.sys_call(pos, name, vec![Expr::Local(t.clone(), pos), Expr::Const(v)])?);
            }
            let test = match tests.len() {
                0 => Expr::Const(Value::FALSE),
                1 => tests.remove(0),
                _ => Expr::Or(tests),
            };
            out = Expr::cond(test, body, out);
        }
        Ok(Expr::Let(vec![(t, key)], Box::new(out)))
    }

    fn do_loop(&mut self, form: &Syntax, vars: &Syntax, end: &Syntax, body: &[Syntax], scope: &Scope) -> Expand<Expr> {
        let pos = form.pos();
        let name = self.sys_at(pos, "do-loop");
        let (mut bindings, mut again) = (Vec::new(), vec![name.clone()]);
        for v in vars.items().unwrap_or(&[]) {
            match v.items() {
                Some([id, init]) => {
                    bindings.push(Syntax::list(pos, vec![id.clone(), init.clone()]));
                    again.push(id.clone());
                }
                Some([id, init, step]) => {
                    bindings.push(Syntax::list(pos, vec![id.clone(), init.clone()]));
                    again.push(step.clone());
                }
                _ => return syntax_error(v, "bad do variable"),
            }
        }
        let Some([test, result @ ..]) = end.items() else { return syntax_error(end, "bad do test") };
        let list = |items| Syntax::list(pos, items);
        let mut done = vec![self.sys_at(pos, "begin")];
        if result.is_empty() {
            done.push(Syntax::new(pos, Node::Value(Value::UNSPECIFIED)));
        }
        done.extend(result.iter().cloned());
        let mut next = vec![self.sys_at(pos, "begin")];
        next.extend(body.iter().cloned());
        next.push(list(again));
        let branch = list(vec![self.sys_at(pos, "if"), test.clone(), list(done), list(next)]);
        let all = list(vec![self.sys_at(pos, "let"), name, list(bindings), branch]);
        self.expr(&all, scope)
    }

    /// Forms that stand for several definitions.
    pub(super) fn definitions(&mut self, core: Core, form: &Syntax) -> Expand<Vec<Syntax>> {
        let items = form.items().unwrap_or(&[]);
        match (core, items) {
            (Core::DefineValues, [_, targets, value]) => Ok(self.define_values(form.pos(), targets, value)),
            (Core::DefineRecord, [_, name, constructor, predicate, fields @ ..]) => {
                self.define_record(form, name, constructor, predicate, fields)
            }
            (Core::Include, [_, files @ ..]) => self.include(form, files),
            (Core::CondExpand, [_, clauses @ ..]) => self.cond_expand(clauses),
            _ => syntax_error(form, "bad definition"),
        }
    }

    fn define_values(&self, pos: Pos, targets: &Syntax, value: &Syntax) -> Vec<Syntax> {
        let list = |items| Syntax::list(pos, items);
        let mut out = Vec::new();
        let (mut params, mut sets) = (Vec::new(), Vec::new());
        let mut target = |t: &Syntax| {
            let unset = Syntax::new(pos, Node::Value(Value::UNSPECIFIED));
            out.push(list(vec![self.sys_at(pos, "define"), t.clone(), unset]));
            let temp = self.sys_at(pos, "temp");
            sets.push(list(vec![self.sys_at(pos, "set!"), t.clone(), temp.clone()]));
            temp
        };
        let params = match targets.node() {
            Node::List(ids, tail) => {
                for id in ids {
                    params.push(target(id));
                }
                let tail = tail.as_ref().map(&mut target);
                Syntax::new(pos, Node::List(params, tail))
            }
            _ => target(targets),
        };
        if sets.is_empty() {
            sets.push(Syntax::new(pos, Node::Value(Value::UNSPECIFIED)));
        }
        let producer = list(vec![self.sys_at(pos, "lambda"), list(Vec::new()), value.clone()]);
        let mut consumer = vec![self.sys_at(pos, "lambda"), params];
        consumer.extend(sets);
        let call = list(vec![self.sys_at(pos, "call-with-values"), producer, list(consumer)]);
        out.push(list(vec![self.sys_at(pos, "define"), self.sys_at(pos, "%values-done"), call]));
        out
    }

    fn define_record(
        &self,
        form: &Syntax,
        name: &Syntax,
        constructor: &Syntax,
        predicate: &Syntax,
        fields: &[Syntax],
    ) -> Expand<Vec<Syntax>> {
        let pos = form.pos();
        let list = |items| Syntax::list(pos, items);
        let sys = |name: &str| self.sys_at(pos, name);
        let index = |n: usize| Syntax::new(pos, Node::Value(Value::fixnum(n as i64)));
        let quote = |s: Syntax| list(vec![sys("quote"), s]);
        let ty = match name.items() {
            Some([n, ..]) => n.clone(),
            _ => name.clone(),
        };
        let field_of = |f: &Syntax| f.items().and_then(|i| i.first().cloned()).unwrap_or_else(|| f.clone());
        let names: Vec<Syntax> = fields.iter().map(field_of).collect();
        let make = list(vec![sys("%make-record-type"), quote(ty.clone()), quote(list(names.clone()))]);
        let mut out = vec![list(vec![sys("define"), ty.clone(), make])];
        let mut define = |target: Syntax, params: Vec<Syntax>, body: Syntax| {
            let mut head = vec![target];
            head.extend(params);
            out.push(list(vec![sys("define"), list(head), body]));
        };
        let record = |values: Vec<Syntax>| {
            let mut call = vec![sys("%record"), ty.clone()];
            call.extend(values);
            list(call)
        };
        if let Some([maker, params @ ..]) = constructor.items() {
            let given = |n: &Syntax| params.iter().find(|p| p.ident() == n.ident());
            for p in params {
                if !names.iter().any(|n| n.ident() == p.ident()) {
                    return syntax_error(p, "no such field");
                }
            }
            let unset = || Syntax::new(pos, Node::Value(Value::FALSE));
            let values = names.iter().map(|n| given(n).cloned().unwrap_or_else(unset)).collect();
            define(maker.clone(), params.to_vec(), record(values));
        } else if constructor.ident().is_some() {
            define(constructor.clone(), names.clone(), record(names.clone()));
        }
        let (r, v) = (sys("record"), sys("value"));
        if predicate.ident().is_some() {
            define(predicate.clone(), vec![r.clone()], list(vec![sys("%record-is?"), r.clone(), ty.clone()]));
        }
        for (i, f) in fields.iter().enumerate() {
            let Some([_, accessors @ ..]) = f.items() else { continue };
            if let Some(get) = accessors.first() {
                let body = list(vec![sys("%record-ref"), r.clone(), ty.clone(), index(i), quote(get.clone())]);
                define(get.clone(), vec![r.clone()], body);
            }
            if let Some(set) = accessors.get(1) {
                let body =
                    list(vec![sys("%record-set!"), r.clone(), ty.clone(), index(i), v.clone(), quote(set.clone())]);
                define(set.clone(), vec![r.clone(), v.clone()], body);
            }
        }
        Ok(out)
    }
}
