//! `syntax-rules`: matching patterns and instantiating templates.

use super::{Expand, Expander, Scope, syntax_error};
use crate::syntax::{Alias, Ident, Name, Node, Syntax};
use crate::vm::Stores;
use std::sync::Arc;

/// A macro.
pub struct Macro {
    literals: Vec<Ident>,
    ellipsis: Ident,
    rules: Vec<(Syntax, Syntax)>,
    /// Where it was defined.
    scope: Scope,
}

enum Match {
    One(Syntax),
    Many(Vec<Matches>),
}

/// What a pattern variable stands for, below `depth` ellipses.
#[derive(Clone)]
struct Matched {
    variable: Ident,
    depth: usize,
    what: Arc<Match>,
}
type Matches = Vec<Matched>;

fn find<'a>(matches: &'a Matches, id: &Ident) -> Option<&'a Matched> {
    matches.iter().rev().find(|m| m.variable == *id)
}

impl Macro {
    /// From `(syntax-rules ...)`.
    pub fn parse(spec: &Syntax, scope: &Scope) -> Expand<Macro> {
        let items = spec.items().unwrap_or(&[]);
        let mut next = 1;
        let mut ellipsis = Ident::Plain(Name::new("..."));
        if let Some(id) = items.get(1).and_then(Syntax::ident) {
            ellipsis = id.clone();
            next = 2;
        }
        let Some(literals) = items.get(next).and_then(Syntax::items) else {
            return syntax_error(spec, "syntax-rules: bad list of literals");
        };
        let literals = literals.iter().filter_map(|l| l.ident().cloned()).collect();
        let mut rules = Vec::new();
        for rule in &items[next + 1..] {
            match rule.items() {
                Some([pattern, template]) => rules.push((pattern.clone(), template.clone())),
                _ => return syntax_error(rule, "syntax-rules: bad rule"),
            }
        }
        let parsed = Macro { literals, ellipsis, rules, scope: scope.clone() };
        for (pattern, _) in &parsed.rules {
            parsed.check_pattern(&pattern.rest(1), &mut Vec::new())?;
        }
        Ok(parsed)
    }

    /// A list has one ellipsis, behind an element; a variable stands at one place.
    fn check_pattern(&self, pattern: &Syntax, seen: &mut Vec<Ident>) -> Expand<()> {
        let (items, tail) = match pattern.node() {
            Node::Id(id) if self.literals.contains(id) || id.name().text() == "_" => return Ok(()),
            Node::Id(id) => {
                if seen.contains(id) {
                    return syntax_error(
                        pattern,
                        format!("syntax-rules: {} is in the pattern twice", id.name().text()),
                    );
                }
                seen.push(id.clone());
                return Ok(());
            }
            Node::List(items, tail) => (items, tail.as_ref()),
            Node::Vector(items) => (items, None),
            _ => return Ok(()),
        };
        let mut dots = items.iter().enumerate().filter(|(_, item)| self.is_ellipsis(item));
        if dots.next().is_some_and(|(at, _)| at == 0) || dots.next().is_some() {
            return syntax_error(pattern, "syntax-rules: a misplaced ellipsis in a pattern");
        }
        let parts = items.iter().filter(|item| !self.is_ellipsis(item));
        parts.chain(tail).try_for_each(|part| self.check_pattern(part, seen))
    }

    fn is_ellipsis(&self, s: &Syntax) -> bool {
        // A macro that another macro wrote may spell its ellipsis as an alias of `...`.
        s.ident()
            .is_some_and(|id| *id == self.ellipsis || (id.name() == self.ellipsis.name() && id.name().text() == "..."))
            && !self.literals.contains(s.ident().unwrap_or(&self.ellipsis))
    }

    /// The expansion of a use.
    pub fn expand<S: Stores>(&self, x: &Expander<'_, S>, form: &Syntax, scope: &Scope) -> Expand<Syntax> {
        for (pattern, template) in &self.rules {
            let mut matches = Vec::new();
            if self.matches(x, &pattern.rest(1), &form.rest(1), scope, &mut matches) {
                let mut renames = Vec::new();
                return self.instantiate(template, &matches, &mut renames, form, false);
            }
        }
        syntax_error(form, "no rule of the macro matches the form")
    }

    fn matches<S: Stores>(
        &self,
        x: &Expander<'_, S>,
        pattern: &Syntax,
        form: &Syntax,
        scope: &Scope,
        out: &mut Matches,
    ) -> bool {
        match pattern.node() {
            Node::Id(id) if self.literals.contains(id) => {
                form.ident().is_some_and(|f| x.same_binding(f, scope, id, &self.scope))
            }
            Node::Id(id) => {
                if id.name().text() != "_" {
                    let what = Arc::new(Match::One(form.clone()));
                    out.push(Matched { variable: id.clone(), depth: 0, what });
                }
                true
            }
            Node::List(items, tail) => {
                let nothing = Vec::new();
                let (forms, end) = match form.node() {
                    Node::List(f, t) => (f, t.clone()),
                    _ => (&nothing, Some(form.clone())),
                };
                self.match_items(x, items, tail.as_ref(), forms, end, form, scope, out)
            }
            Node::Vector(items) => match form.node() {
                Node::Vector(forms) => self.match_items(x, items, None, forms, None, form, scope, out),
                _ => false,
            },
            Node::Number(a) => matches!(form.node(), Node::Number(b) if a == b),
            Node::Str(a) => matches!(form.node(), Node::Str(b) if a == b),
            Node::Char(a) => matches!(form.node(), Node::Char(b) if a == b),
            Node::Value(a) => matches!(form.node(), Node::Value(b) if a == b),
            Node::Bytes(a) => matches!(form.node(), Node::Bytes(b) if a == b),
            Node::Label(..) | Node::Ref(_) => false,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn match_items<S: Stores>(
        &self,
        x: &Expander<'_, S>,
        items: &[Syntax],
        tail: Option<&Syntax>,
        forms: &[Syntax],
        end: Option<Syntax>,
        whole: &Syntax,
        scope: &Scope,
        out: &mut Matches,
    ) -> bool {
        let dots = (1..items.len()).find(|i| self.is_ellipsis(&items[*i]));
        let fixed = items.len() - if dots.is_some() { 2 } else { 0 };
        if forms.len() < fixed || (tail.is_none() && end.is_some()) {
            return false;
        }
        let repeated = match dots {
            Some(_) => forms.len() - fixed,
            None if tail.is_none() && forms.len() != fixed => return false,
            None => 0,
        };
        let before = dots.map_or(items.len(), |d| d - 1);
        if !items[..before].iter().zip(forms).all(|(p, f)| self.matches(x, p, f, scope, out)) {
            return false;
        }
        if dots.is_some() {
            let p = &items[before];
            let mut each = Vec::new();
            for f in &forms[before..before + repeated] {
                let mut m = Vec::new();
                if !self.matches(x, p, f, scope, &mut m) {
                    return false;
                }
                each.push(m);
            }
            let mut vars = Vec::new();
            self.variables(p, 0, false, &mut vars);
            let what = Arc::new(Match::Many(each));
            out.extend(vars.into_iter().map(|(variable, depth)| Matched {
                variable,
                depth: depth + 1,
                what: what.clone(),
            }));
            let rest = &forms[before + repeated..];
            if !items[before + 2..].iter().zip(rest).all(|(p, f)| self.matches(x, p, f, scope, out)) {
                return false;
            }
        }
        match tail {
            Some(t) if dots.is_some() => {
                let rest = end.unwrap_or_else(|| Syntax::list(whole.pos(), Vec::new()));
                self.matches(x, t, &rest, scope, out)
            }
            Some(t) => {
                let rest = if forms.is_empty() { whole.clone() } else { whole.rest(fixed) };
                self.matches(x, t, &rest, scope, out)
            }
            None => true,
        }
    }

    /// The variables of a pattern, or what may be one in a template, each with the number of ellipses that it is below, besides `depth`.
    fn variables(&self, part: &Syntax, depth: usize, escaped: bool, out: &mut Vec<(Ident, usize)>) {
        let (items, tail) = match part.node() {
            Node::Id(id) if !self.literals.contains(id) && (escaped || !self.is_ellipsis(part)) => {
                out.push((id.clone(), depth));
                return;
            }
            Node::List(items, None) if !escaped && items.len() == 2 && self.is_ellipsis(&items[0]) => {
                return self.variables(&items[1], depth, true, out);
            }
            Node::List(items, tail) => (items, tail.as_ref()),
            Node::Vector(items) => (items, None),
            _ => return,
        };
        for (i, item) in items.iter().enumerate() {
            let dots = items[i + 1..].iter().take_while(|next| !escaped && self.is_ellipsis(next)).count();
            self.variables(item, depth + dots, escaped, out);
        }
        if let Some(t) = tail {
            self.variables(t, depth, escaped, out);
        }
    }

    fn instantiate(
        &self,
        template: &Syntax,
        matches: &Matches,
        renames: &mut Vec<(Ident, Ident)>,
        form: &Syntax,
        escaped: bool,
    ) -> Expand<Syntax> {
        let pos = form.pos();
        match template.node() {
            Node::Id(id) => match find(matches, id) {
                Some(m) => match &*m.what {
                    Match::One(s) => Ok(s.clone()),
                    Match::Many(_) => syntax_error(template, "a pattern variable lacks its ellipsis"),
                },
                None => {
                    if let Some((_, r)) = renames.iter().find(|(k, _)| k == id) {
                        return Ok(Syntax::id(pos, r.clone()));
                    }
                    let alias = Ident::Alias(Arc::new(Alias { original: id.clone(), scope: self.scope.clone() }));
                    renames.push((id.clone(), alias.clone()));
                    Ok(Syntax::id(pos, alias))
                }
            },
            Node::List(items, None) if !escaped && items.len() == 2 && self.is_ellipsis(&items[0]) => {
                self.instantiate(&items[1], matches, renames, form, true)
            }
            Node::List(items, tail) => {
                let mut out = self.instantiate_items(items, matches, renames, form, escaped)?;
                let tail = match tail {
                    Some(t) => {
                        let t = self.instantiate(t, matches, renames, form, escaped)?;
                        match t.node() {
                            Node::List(more, end) => {
                                out.extend(more.iter().cloned());
                                end.clone()
                            }
                            _ => Some(t),
                        }
                    }
                    None => None,
                };
                Ok(Syntax::new(pos, Node::List(out, tail)))
            }
            Node::Vector(items) => {
                Ok(Syntax::new(pos, Node::Vector(self.instantiate_items(items, matches, renames, form, escaped)?)))
            }
            _ => Ok(template.clone()),
        }
    }

    fn instantiate_items(
        &self,
        items: &[Syntax],
        matches: &Matches,
        renames: &mut Vec<(Ident, Ident)>,
        form: &Syntax,
        escaped: bool,
    ) -> Expand<Vec<Syntax>> {
        let (mut out, mut i) = (Vec::new(), 0);
        while i < items.len() {
            let item = &items[i];
            let mut depth = 0;
            while !escaped && i + 1 + depth < items.len() && self.is_ellipsis(&items[i + 1 + depth]) {
                depth += 1;
            }
            i += 1 + depth;
            self.repeat(item, depth, matches, renames, form, escaped, &mut out)?;
        }
        Ok(out)
    }

    #[allow(clippy::too_many_arguments)]
    fn repeat(
        &self,
        item: &Syntax,
        depth: usize,
        matches: &Matches,
        renames: &mut Vec<(Ident, Ident)>,
        form: &Syntax,
        escaped: bool,
        out: &mut Vec<Syntax>,
    ) -> Expand<()> {
        if depth == 0 {
            out.push(self.instantiate(item, matches, renames, form, escaped)?);
            return Ok(());
        }
        let mut vars = Vec::new();
        self.variables(item, depth - 1, escaped, &mut vars);
        // The sequences that the item's variables stand for; several variables of one sequence share its matches. A variable that the
        // ellipses further in use up is the same in each copy.
        let mut sequences: Vec<Arc<Match>> = Vec::new();
        for (v, inside) in &vars {
            if let Some(m) = find(matches, v)
                && m.depth > *inside
                && !sequences.iter().any(|s| Arc::ptr_eq(s, &m.what))
            {
                sequences.push(m.what.clone());
            }
        }
        let mut lengths = sequences.iter().map(|s| match &**s {
            Match::Many(v) => v.len(),
            Match::One(_) => 0,
        });
        let Some(n) = lengths.next() else {
            return syntax_error(item, "an ellipsis follows a template without sequence variables");
        };
        if lengths.any(|length| length != n) {
            return syntax_error(form, "sequences of different lengths below one ellipsis of the macro's template");
        }
        for k in 0..n {
            let mut inner: Matches = matches.clone();
            for s in &sequences {
                if let Match::Many(v) = &**s
                    && let Some(m) = v.get(k)
                {
                    inner.extend(m.iter().cloned());
                }
            }
            self.repeat(item, depth - 1, &inner, renames, form, escaped, out)?;
        }
        Ok(())
    }
}
