//! The expander: from syntax to the core language.
//!
//! Scopes are chains of small tables keyed by identifier. An alias that nothing has bound is looked up again under its
//! original name where its macro was defined, which is all the hygiene there is to it.

mod body;
mod forms;
mod library;
mod quasi;
mod rules;

use crate::ast::{Expr, Global, Var, VarRef};
use crate::env::{EnvId, SYSTEM};
use crate::error::{Kind, SchemeError};
use crate::prims::Answer;
use crate::syntax::{Alias, Ident, Name, Node, Pos, Syntax, to_value};
use crate::vm::{Stores, Vm};
pub use library::{FEATURES, read_file, read_text};
use parking_lot::Mutex;
pub use rules::Macro;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub type Expand<T> = Result<T, SchemeError>;

/// Built-in syntax.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Core {
    Quote,
    Quasiquote,
    Unquote,
    UnquoteSplicing,
    Lambda,
    NamedLambda,
    Define,
    DefineValues,
    Set,
    If,
    Let,
    LetStar,
    Letrec,
    Begin,
    And,
    Or,
    Cond,
    Case,
    When,
    Unless,
    Do,
    DefineSyntax,
    LetSyntax,
    CaseLambda,
    Parameterize,
    DefineRecord,
    Include,
    CondExpand,
    Import,
    DefineLibrary,
    Export,
    Else,
    Arrow,
    Ellipsis,
    Underscore,
    SyntaxRules,
    SyntaxError,
}

pub const CORE_FORMS: &[(&str, Core)] = &[
    ("quote", Core::Quote),
    ("quasiquote", Core::Quasiquote),
    ("unquote", Core::Unquote),
    ("unquote-splicing", Core::UnquoteSplicing),
    ("lambda", Core::Lambda),
    ("named-lambda", Core::NamedLambda),
    ("define", Core::Define),
    ("define-values", Core::DefineValues),
    ("set!", Core::Set),
    ("if", Core::If),
    ("let", Core::Let),
    ("let*", Core::LetStar),
    ("letrec", Core::Letrec),
    ("letrec*", Core::Letrec),
    ("begin", Core::Begin),
    ("and", Core::And),
    ("or", Core::Or),
    ("cond", Core::Cond),
    ("case", Core::Case),
    ("when", Core::When),
    ("unless", Core::Unless),
    ("do", Core::Do),
    ("define-syntax", Core::DefineSyntax),
    ("let-syntax", Core::LetSyntax),
    ("letrec-syntax", Core::LetSyntax),
    ("case-lambda", Core::CaseLambda),
    ("parameterize", Core::Parameterize),
    ("define-record-type", Core::DefineRecord),
    ("include", Core::Include),
    ("include-ci", Core::Include),
    ("cond-expand", Core::CondExpand),
    ("import", Core::Import),
    ("define-library", Core::DefineLibrary),
    ("export", Core::Export),
    ("else", Core::Else),
    ("=>", Core::Arrow),
    ("...", Core::Ellipsis),
    ("_", Core::Underscore),
    ("syntax-rules", Core::SyntaxRules),
    ("syntax-error", Core::SyntaxError),
];

/// What an identifier means.
#[derive(Clone)]
pub enum Binding {
    Var(VarRef),
    Core(Core),
    Macro(Arc<Macro>),
    Global(Arc<Global>),
}

impl Binding {
    fn same(&self, other: &Binding) -> bool {
        match (self, other) {
            (Binding::Var(a), Binding::Var(b)) => Arc::ptr_eq(a, b),
            (Binding::Core(a), Binding::Core(b)) => a == b,
            (Binding::Macro(a), Binding::Macro(b)) => Arc::ptr_eq(a, b),
            (Binding::Global(a), Binding::Global(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

pub struct ScopeData {
    parent: Option<Scope>,
    pub env: EnvId,
    bindings: Mutex<Vec<(Ident, Binding)>>,
}
pub type Scope = Arc<ScopeData>;

pub fn top_scope(env: EnvId) -> Scope {
    Arc::new(ScopeData { parent: None, env, bindings: Mutex::default() })
}
fn child(parent: &Scope) -> Scope {
    Arc::new(ScopeData { parent: Some(parent.clone()), env: parent.env, bindings: Mutex::default() })
}
fn bind(scope: &Scope, id: &Ident, binding: Binding) {
    let mut b = scope.bindings.lock();
    match b.iter_mut().find(|(k, _)| k == id) {
        Some(entry) => entry.1 = binding,
        None => b.push((id.clone(), binding)),
    }
}

pub fn syntax_error<T>(at: &Syntax, message: impl Into<String>) -> Expand<T> {
    Err(SchemeError::condition(Kind::Syntax, format!("{}: {}", at.pos(), message.into()), Vec::new()))
}

/// One expansion; the machine is needed for constants and global variables.
pub struct Expander<'a, S: Stores> {
    pub vm: &'a mut Vm<S>,
    depth: u32,
}

impl<'a, S: Stores> Expander<'a, S> {
    pub fn new(vm: &'a mut Vm<S>) -> Self {
        Expander { vm, depth: 0 }
    }

    /// A top-level form.
    pub fn top(&mut self, form: &Syntax, env: EnvId) -> Expand<Expr> {
        self.expr(form, &top_scope(env))
    }

    /// An identifier that means `name` in the system environment, whatever the program has bound.
    fn sys(&self, name: &str) -> Ident {
        Ident::Alias(Arc::new(Alias { original: Ident::Plain(Name::new(name)), scope: top_scope(SYSTEM) }))
    }
    fn sys_at(&self, pos: Pos, name: &str) -> Syntax {
        Syntax::id(pos, self.sys(name))
    }
    /// A call of a system procedure.
    fn sys_call(&mut self, pos: Pos, name: &str, args: Vec<Expr>) -> Expand<Expr> {
        let scope = top_scope(SYSTEM);
        let f = self.reference(&Ident::Plain(Name::new(name)), pos, &scope)?;
        Ok(Expr::Call(Box::new(f), args, pos))
    }

    /// What the identifier is bound to; does not create anything.
    fn lookup(&self, id: &Ident, scope: &Scope) -> Option<Binding> {
        let mut s = scope;
        loop {
            if let Some((_, b)) = s.bindings.lock().iter().rev().find(|(k, _)| k == id) {
                return Some(b.clone());
            }
            match &s.parent {
                Some(p) => s = p,
                None => break,
            }
        }
        match id {
            Ident::Plain(n) => self.vm.shared.envs.lock().lookup(s.env, *n),
            Ident::Alias(a) => self.lookup(&a.original, &a.scope),
        }
    }
    pub fn same_binding(&self, a: &Ident, sa: &Scope, b: &Ident, sb: &Scope) -> bool {
        match (self.lookup(a, sa), self.lookup(b, sb)) {
            (Some(a), Some(b)) => a.same(&b),
            (None, None) => a.name() == b.name(),
            _ => false,
        }
    }
    fn core(&self, s: &Syntax, scope: &Scope) -> Option<Core> {
        match self.lookup(s.ident()?, scope)? {
            Binding::Core(c) => Some(c),
            _ => None,
        }
    }
    fn is_core(&self, s: &Syntax, scope: &Scope, core: Core) -> bool {
        self.core(s, scope) == Some(core)
    }
    /// The environment in which an unbound identifier would be global.
    fn home(id: &Ident, scope: &Scope) -> EnvId {
        match id {
            Ident::Plain(_) => scope.env,
            Ident::Alias(a) => Self::home(&a.original, &a.scope),
        }
    }

    fn reference(&mut self, id: &Ident, pos: Pos, scope: &Scope) -> Expand<Expr> {
        let binding = match self.lookup(id, scope) {
            Some(b) => b,
            None => self.vm.reference(Self::home(id, scope), id.name())?,
        };
        match binding {
            Binding::Var(v) => {
                v.refs.fetch_add(1, Ordering::Relaxed);
                Ok(Expr::Local(v, pos))
            }
            Binding::Global(g) => Ok(Expr::Global(g, pos)),
            Binding::Core(_) | Binding::Macro(_) => {
                let s = Syntax::id(pos, id.clone());
                syntax_error(&s, format!("syntactic keyword used as a variable: {}", id.name().text()))
            }
        }
    }

    fn new_var(&self, id: &Ident, scope: &Scope) -> VarRef {
        let v = Var::new(id.name());
        bind(scope, id, Binding::Var(v.clone()));
        v
    }

    fn constant(&mut self, s: &Syntax) -> Answer {
        let v = to_value(self.vm, s)?;
        self.vm.constant(v)?;
        Ok(v)
    }

    fn macro_of(&self, form: &Syntax, scope: &Scope) -> Option<Arc<Macro>> {
        match self.lookup(form.items_or_dotted()?.first()?.ident()?, scope)? {
            Binding::Macro(m) => Some(m),
            _ => None,
        }
    }

    pub fn expr(&mut self, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        self.depth += 1;
        if self.depth > 4000 {
            return syntax_error(form, "expressions nested too deeply");
        }
        let e = self.expr_inner(form, scope);
        self.depth -= 1;
        e
    }

    fn expr_inner(&mut self, form: &Syntax, scope: &Scope) -> Expand<Expr> {
        match form.node() {
            Node::Id(id) => self.reference(id, form.pos(), scope),
            Node::List(items, tail) => {
                let Some(head) = items.first() else { return syntax_error(form, "empty combination") };
                if let Some(id) = head.ident() {
                    match self.lookup(id, scope) {
                        Some(Binding::Core(c)) => return self.core_form(c, form, scope),
                        Some(Binding::Macro(m)) => {
                            let out = m.expand(self, form, scope)?;
                            return self.expr(&out, scope);
                        }
                        _ => {}
                    }
                }
                if tail.is_some() {
                    return syntax_error(form, "dotted list as an expression");
                }
                let f = self.expr(head, scope)?;
                let args = self.exprs(&items[1..], scope)?;
                if let Expr::Lambda(l) = f {
                    // ((lambda (v ...) body) e ...) is a let.
                    if l.rest.is_none() && l.params.len() == args.len() {
                        return Ok(Expr::Let(l.params.into_iter().zip(args).collect(), Box::new(l.body)));
                    }
                    return Ok(Expr::Call(Box::new(Expr::Lambda(l)), args, form.pos()));
                }
                Ok(Expr::Call(Box::new(f), args, form.pos()))
            }
            _ => Ok(Expr::Const(self.constant(form)?)),
        }
    }
    fn exprs(&mut self, forms: &[Syntax], scope: &Scope) -> Expand<Vec<Expr>> {
        forms.iter().map(|f| self.expr(f, scope)).collect()
    }
}

impl Syntax {
    /// The items of a list, dotted or not.
    pub fn items_or_dotted(&self) -> Option<&[Syntax]> {
        match self.node() {
            Node::List(items, _) => Some(items),
            _ => None,
        }
    }
}
