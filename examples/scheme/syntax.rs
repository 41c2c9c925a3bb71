//! Source code as a tree: data with positions, and identifiers that know where a macro took them from.
//!
//! A macro expansion renames each identifier it introduces to a fresh [`Alias`], which remembers the original and the
//! scope of the macro's definition: bound as itself when some form binds it, and otherwise looked up there. Numbers
//! and strings stay text until the code is compiled, so that no tree ever holds an unrooted heap object.

use crate::error::SchemeError;
use crate::expand::Scope;
use crate::heap::*;
use crate::prims::Answer;
use crate::value::{Type, Value};
use crate::vm::{Stores, Vm};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// An interned name; equal names are the same address.
#[derive(Clone, Copy, Debug)]
pub struct Name(&'static str);

static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Default::default);

impl Name {
    pub fn new(text: &str) -> Name {
        let mut names = NAMES.lock();
        if let Some(n) = names.get(text) {
            return Name(n);
        }
        let text: &'static str = Box::leak(text.into());
        names.insert(text);
        Name(text)
    }
    pub fn text(self) -> &'static str {
        self.0
    }
}
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        std::ptr::eq(self.0.as_ptr(), other.0.as_ptr()) && self.0.len() == other.0.len()
    }
}
impl Eq for Name {}
impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_ptr().hash(state);
    }
}

/// A place in a source file.
#[derive(Clone, Copy, Debug)]
pub struct Pos {
    pub file: Name,
    pub line: u32,
    pub column: u32,
}
impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.text(), self.line, self.column)
    }
}

/// An identifier that a macro expansion introduced.
pub struct Alias {
    pub original: Ident,
    pub scope: Scope,
}

#[derive(Clone)]
pub enum Ident {
    Plain(Name),
    Alias(Arc<Alias>),
}
impl Ident {
    /// The name the programmer wrote.
    pub fn name(&self) -> Name {
        match self {
            Ident::Plain(n) => *n,
            Ident::Alias(a) => a.original.name(),
        }
    }
}
impl PartialEq for Ident {
    fn eq(&self, other: &Ident) -> bool {
        match (self, other) {
            (Ident::Plain(a), Ident::Plain(b)) => a == b,
            (Ident::Alias(a), Ident::Alias(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

pub enum Node {
    Id(Ident),
    /// The text of a number, known to be one.
    Number(Box<str>),
    Str(Box<str>),
    Char(char),
    Bytes(Box<[u8]>),
    /// Items and, after a dot, the tail.
    List(Vec<Syntax>, Option<Syntax>),
    Vector(Vec<Syntax>),
    /// `#n=datum`
    Label(u32, Syntax),
    /// `#n#`
    Ref(u32),
    /// A constant, or (in code given to `eval`) any object; rooted by whoever made the tree.
    Value(Value),
}

#[derive(Clone)]
pub struct Syntax(Arc<(Pos, Node)>);

impl Syntax {
    pub fn new(pos: Pos, node: Node) -> Syntax {
        Syntax(Arc::new((pos, node)))
    }
    pub fn list(pos: Pos, items: Vec<Syntax>) -> Syntax {
        Syntax::new(pos, Node::List(items, None))
    }
    pub fn id(pos: Pos, id: Ident) -> Syntax {
        Syntax::new(pos, Node::Id(id))
    }
    pub fn pos(&self) -> Pos {
        self.0.0
    }
    pub fn node(&self) -> &Node {
        &self.0.1
    }
    pub fn ident(&self) -> Option<&Ident> {
        match self.node() {
            Node::Id(id) => Some(id),
            _ => None,
        }
    }
    /// The items of a proper list.
    pub fn items(&self) -> Option<&[Syntax]> {
        match self.node() {
            Node::List(items, None) => Some(items),
            _ => None,
        }
    }
    /// The list of everything from item `n` on, with the same tail.
    pub fn rest(&self, n: usize) -> Syntax {
        match self.node() {
            Node::List(items, tail) => match (items.len() == n, tail) {
                (true, Some(t)) => t.clone(),
                _ => Syntax::new(self.pos(), Node::List(items[n..].to_vec(), tail.clone())),
            },
            _ => self.clone(),
        }
    }
}

/// The datum as a Scheme object (aliases become the symbols they came from).
pub fn to_value<S: Stores>(vm: &mut Vm<S>, s: &Syntax) -> Answer {
    let mut labels = HashMap::new();
    let v = build(vm, s, &mut labels)?;
    if labels.is_empty() { Ok(v) } else { Ok(patch(vm, v, &labels)) }
}

fn build<S: Stores>(vm: &mut Vm<S>, s: &Syntax, labels: &mut HashMap<u32, (Value, Value)>) -> Answer {
    match s.node() {
        Node::Id(id) => vm.intern(id.name().text()),
        Node::Number(text) => match crate::standard::numbers::parse_number(vm, text, 10)? {
            Some(v) => Ok(v),
            None => vm.intern(text),
        },
        Node::Str(text) => vm.string_from(text),
        Node::Char(c) => Ok(Value::char(*c)),
        Node::Bytes(b) => vm.bytevector(b),
        Node::Value(v) => Ok(*v),
        Node::List(items, tail) => {
            let mut l = match tail {
                Some(t) => build(vm, t, labels)?,
                None => Value::NIL,
            };
            // References must come after their labels, so the items are built from the left.
            let values = items.iter().map(|i| build(vm, i, labels)).collect::<Result<Vec<_>, _>>()?;
            for v in values.into_iter().rev() {
                l = vm.cons(v, l)?;
            }
            Ok(l)
        }
        Node::Vector(items) => {
            let values = items.iter().map(|i| build(vm, i, labels)).collect::<Result<Vec<_>, _>>()?;
            vm.vector(&values)
        }
        Node::Label(n, datum) => {
            let hole = vm.object(Type::Box, 0, &[Value::FALSE])?;
            labels.insert(*n, (hole, hole));
            let v = build(vm, datum, labels)?;
            labels.insert(*n, (hole, v));
            Ok(v)
        }
        Node::Ref(n) => match labels.get(n) {
            Some((_, v)) => Ok(*v),
            None => Err(SchemeError::read(format!("{}: unknown datum label #{n}#", s.pos()))),
        },
    }
}

/// Replaces the holes that stand for labels by the labelled objects.
fn patch<S: Stores>(vm: &Vm<S>, root: Value, labels: &HashMap<u32, (Value, Value)>) -> Value {
    let fix = |v: Value| labels.values().find(|(h, _)| *h == v).map_or(v, |(_, d)| *d);
    let (mut seen, mut todo) = (HashSet::new(), vec![fix(root)]);
    while let Some(v) = todo.pop() {
        if !(is_pair(v) || is_vector(v)) || !seen.insert(v) {
            continue;
        }
        if is_pair(v) {
            vm.set_car(v, fix(car(v)));
            vm.set_cdr(v, fix(cdr(v)));
            todo.extend([car(v), cdr(v)]);
        } else {
            for i in 0..size(v) {
                vm.set_field(v, i, fix(field(v, i)));
                todo.push(field(v, i));
            }
        }
    }
    fix(root)
}

/// Code given to `eval` as a tree.
pub fn from_value(v: Value, pos: Pos) -> Syntax {
    let node = if is_symbol(v) {
        Node::Id(Ident::Plain(Name::new(&symbol_name(v))))
    } else if is_pair(v) {
        let (mut items, mut l) = (Vec::new(), v);
        while is_pair(l) {
            items.push(from_value(car(l), pos));
            l = cdr(l);
        }
        Node::List(items, (!l.is_nil()).then(|| from_value(l, pos)))
    } else if v.is_nil() {
        Node::List(Vec::new(), None)
    } else {
        // Vectors too: they evaluate to themselves, and in templates of macros they are rare.
        Node::Value(v)
    };
    Syntax::new(pos, node)
}
