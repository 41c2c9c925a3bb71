//! `quasiquote`, nested to any level.

use super::*;

impl<S: Stores> Expander<'_, S> {
    pub(super) fn quasi(&mut self, s: &Syntax, level: u32, scope: &Scope) -> Expand<Expr> {
        let pos = s.pos();
        match s.node() {
            Node::List(items, tail) if !items.is_empty() => {
                if let ([head, arg], None) = (&items[..], tail) {
                    match self.core(head, scope) {
                        Some(Core::Unquote) if level == 1 => return self.expr(arg, scope),
                        Some(c @ (Core::Unquote | Core::Quasiquote)) => {
                            let inner = if c == Core::Unquote { level - 1 } else { level + 1 };
                            let arg = self.quasi(arg, inner, scope)?;
                            let head = Expr::Const(self.constant(head)?);
                            return self.sys_call(pos, "list", vec![head, arg]);
                        }
                        _ => {}
                    }
                }
                self.quasi_items(s, items, tail.as_ref(), level, scope)
            }
            Node::Vector(items) => {
                let list = self.quasi_items(s, items, None, level, scope)?;
                match list {
                    Expr::Const(_) => Ok(Expr::Const(self.constant(s)?)),
                    l => self.sys_call(pos, "list->vector", vec![l]),
                }
            }
            _ => Ok(Expr::Const(self.constant(s)?)),
        }
    }

    fn quasi_items(
        &mut self,
        whole: &Syntax,
        items: &[Syntax],
        tail: Option<&Syntax>,
        level: u32,
        scope: &Scope,
    ) -> Expand<Expr> {
        let pos = whole.pos();
        // (a . ,b) reads as (a unquote b).
        if items.len() >= 2
            && tail.is_none()
            && let [.., head, arg] = items
            && items.len() > 2
            && self.is_core(head, scope, Core::Unquote)
        {
            let end = Syntax::list(pos, vec![head.clone(), arg.clone()]);
            return self.quasi_list(whole, &items[..items.len() - 2], Some(&end), level, scope);
        }
        self.quasi_list(whole, items, tail, level, scope)
    }

    fn quasi_list(
        &mut self,
        whole: &Syntax,
        items: &[Syntax],
        tail: Option<&Syntax>,
        level: u32,
        scope: &Scope,
    ) -> Expand<Expr> {
        let pos = whole.pos();
        let mut out = match tail {
            Some(t) => self.quasi(t, level, scope)?,
            None => Expr::Const(crate::value::Value::NIL),
        };
        let mut constant = matches!(out, Expr::Const(_));
        for item in items.iter().rev() {
            if let Some([head, arg]) = item.items()
                && self.is_core(head, scope, Core::UnquoteSplicing)
            {
                constant = false;
                if level == 1 {
                    let spliced = self.expr(arg, scope)?;
                    out = match out {
                        Expr::Const(v) if v.is_nil() => spliced,
                        out => self.sys_call(pos, "append", vec![spliced, out])?,
                    };
                } else {
                    let head = Expr::Const(self.constant(head)?);
                    let arg = self.quasi(arg, level - 1, scope)?;
                    let inner = self.sys_call(pos, "list", vec![head, arg])?;
                    out = self.sys_call(pos, "cons", vec![inner, out])?;
                }
                continue;
            }
            let e = self.quasi(item, level, scope)?;
            constant &= matches!(e, Expr::Const(_));
            out = self.sys_call(pos, "cons", vec![e, out])?;
        }
        if constant { Ok(Expr::Const(self.constant(whole)?)) } else { Ok(out) }
    }
}
