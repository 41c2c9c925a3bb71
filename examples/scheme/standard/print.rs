//! `display` and `write`.
//!
//! The printer works through an explicit stack of things to do, so the depth of the data does not matter. Datum labels
//! (`#0=`, `#0#`) are found beforehand: `write` and `display` label only the objects at which a cycle closes,
//! `write-shared` everything met twice, `write-simple` nothing. Data is first walked without any bookkeeping; only
//! what turns out to be too large for that walk (as every cycle does) pays for the search.

use crate::heap::{
    bytes_of, car, cdr, field, first_word, is_pair, is_string, is_symbol, is_type, is_vector, size, str_chars,
    symbol_name,
};
use crate::standard::numbers;
use crate::standard::text::char_name;
use crate::value::{HEADER_TAG, Type, Value, header_kind, kind_of};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Display,
    Write,
    Shared,
    Simple,
}

/// As `write` prints it.
pub fn write_to_string(v: Value) -> String {
    to_string(v, Mode::Write)
}

/// The text of `v`.
pub fn to_string(v: Value, mode: Mode) -> String {
    let labelled = match mode {
        Mode::Simple => HashSet::new(),
        Mode::Shared => shared(v),
        _ if is_small_tree(v) => HashSet::new(),
        _ => cycles(v),
    };
    let mut printer = Printer {
        out: String::new(),
        display: mode == Mode::Display,
        labelled,
        numbers: HashMap::new(),
        tasks: vec![],
    };
    printer.tasks.push(Task::Datum(v));
    printer.run();
    printer.out
}

/// Whether the printer goes into an object.
fn is_compound(v: Value) -> bool {
    is_pair(v) || is_block(v) && size(v) > 0
}

/// Whether an object is printed field by field.
fn is_block(v: Value) -> bool {
    is_vector(v) || is_type(v, Type::Condition) || is_type(v, Type::Values)
}

/// The parts of a compound object, the first one last.
fn parts(v: Value) -> Vec<Value> {
    if is_pair(v) { vec![cdr(v), car(v)] } else { (0..size(v)).rev().map(|i| field(v, i)).collect() }
}

/// Whether a walk of bounded length sees all of it.
fn is_small_tree(v: Value) -> bool {
    let mut budget = 2000;
    let mut todo = vec![v];
    while let Some(mut v) = todo.pop() {
        while is_pair(v) && budget > 0 {
            budget -= 1;
            todo.push(car(v));
            v = cdr(v);
        }
        if is_block(v) {
            if size(v) > budget {
                return false;
            }
            budget -= size(v);
            todo.extend((0..size(v)).map(|i| field(v, i)));
        }
        if budget == 0 {
            return false;
        }
    }
    true
}

/// The objects which contain themselves by way of an edge back to them.
fn cycles(v: Value) -> HashSet<Value> {
    enum Step {
        Enter(Value),
        Leave(Value),
    }
    let mut open: HashMap<Value, bool> = HashMap::new();
    let mut found = HashSet::new();
    let mut todo = vec![Step::Enter(v)];
    while let Some(step) = todo.pop() {
        match step {
            Step::Leave(v) => {
                open.insert(v, false);
            }
            Step::Enter(v) if is_compound(v) => match open.get(&v) {
                Some(true) => {
                    found.insert(v);
                }
                Some(false) => {}
                None => {
                    open.insert(v, true);
                    todo.push(Step::Leave(v));
                    todo.extend(parts(v).into_iter().map(Step::Enter));
                }
            },
            Step::Enter(_) => {}
        }
    }
    found
}

/// The objects met more than once.
fn shared(v: Value) -> HashSet<Value> {
    let mut seen = HashSet::new();
    let mut found = HashSet::new();
    let mut todo = vec![v];
    while let Some(v) = todo.pop() {
        if !(is_compound(v) || is_string(v)) {
            continue;
        }
        if !seen.insert(v) {
            found.insert(v);
        } else if is_compound(v) {
            todo.extend(parts(v));
        }
    }
    found
}

enum Task {
    Datum(Value),
    /// The rest of a list, after its first element.
    Tail(Value),
    /// The elements of a vector from an index on.
    Elements(Value, usize),
    Text(&'static str),
}

struct Printer {
    out: String,
    display: bool,
    labelled: HashSet<Value>,
    numbers: HashMap<Value, usize>,
    tasks: Vec<Task>,
}

impl Printer {
    fn run(&mut self) {
        while let Some(task) = self.tasks.pop() {
            match task {
                Task::Datum(v) => self.datum(v),
                Task::Text(text) => self.out += text,
                Task::Tail(v) if v.is_nil() => self.out.push(')'),
                Task::Tail(v) if is_pair(v) && !self.labelled.contains(&v) => {
                    self.out.push(' ');
                    self.tasks.push(Task::Tail(cdr(v)));
                    self.tasks.push(Task::Datum(car(v)));
                }
                Task::Tail(v) => {
                    self.out += " . ";
                    self.tasks.push(Task::Text(")"));
                    self.tasks.push(Task::Datum(v));
                }
                Task::Elements(v, i) if i < size(v) => {
                    if i > 0 {
                        self.out.push(' ');
                    }
                    self.tasks.push(Task::Elements(v, i + 1));
                    self.tasks.push(Task::Datum(field(v, i)));
                }
                Task::Elements(..) => self.out.push(')'),
            }
        }
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(arguments);
    }

    /// Writes the label of an object; true if that was a reference to an earlier one and nothing more is to be said.
    fn label(&mut self, v: Value) -> bool {
        if !self.labelled.contains(&v) {
            return false;
        }
        let fresh = self.numbers.len();
        let known = self.numbers.get(&v).copied();
        match known {
            Some(n) => self.put(format_args!("#{n}#")),
            None => {
                self.numbers.insert(v, fresh);
                self.put(format_args!("#{fresh}="));
            }
        }
        known.is_some()
    }

    fn datum(&mut self, v: Value) {
        if self.label(v) {
            return;
        }
        if is_pair(v) {
            if let Some(prefix) = self.abbreviation(v) {
                self.out += prefix;
                self.tasks.push(Task::Datum(car(cdr(v))));
            } else {
                self.out.push('(');
                self.tasks.push(Task::Tail(cdr(v)));
                self.tasks.push(Task::Datum(car(v)));
            }
        } else if is_vector(v) {
            self.out += "#(";
            self.tasks.push(Task::Elements(v, 0));
        } else if is_string(v) {
            if self.display { self.out.extend(str_chars(v)) } else { self.string(v) }
        } else if is_symbol(v) {
            self.symbol(&symbol_name(v));
        } else if let Some(n) = numbers::get(v) {
            self.out += &numbers::text::format_number(&n, 10);
        } else if let Some(n) = numbers::complex::from_value(v) {
            self.out += &numbers::complex::format(&n, 10);
        } else if let Some(c) = v.to_char() {
            self.char(c);
        } else if v.is_pointer() {
            self.object(v);
        } else {
            self.out += match v {
                Value::FALSE => "#f",
                Value::TRUE => "#t",
                Value::NIL => "()",
                Value::EOF => "#<eof>",
                Value::DEFAULT => "#<default>",
                Value::UNBOUND => "#<unbound>",
                _ => "#<unspecified>",
            };
        }
    }

    /// The prefix of a list like `(quote x)`.
    fn abbreviation(&self, v: Value) -> Option<&'static str> {
        let rest = cdr(v);
        if !(is_symbol(car(v)) && is_pair(rest) && cdr(rest).is_nil()) || self.labelled.contains(&rest) {
            return None;
        }
        Some(match symbol_name(car(v)).as_str() {
            "quote" => "'",
            "quasiquote" => "`",
            "unquote" => ",",
            "unquote-splicing" => ",@",
            _ => return None,
        })
    }

    fn char(&mut self, c: char) {
        if self.display {
            self.out.push(c);
            return;
        }
        match char_name(c) {
            Some(name) => self.put(format_args!("#\\{name}")),
            None if c.is_control() => self.put(format_args!("#\\x{:x}", c as u32)),
            None => self.put(format_args!("#\\{c}")),
        }
    }

    fn escaped(&mut self, chars: impl Iterator<Item = char>, quote: char) {
        self.out.push(quote);
        for c in chars {
            match c {
                '\\' => self.out += "\\\\",
                '\n' => self.out += "\\n",
                '\t' => self.out += "\\t",
                '\r' => self.out += "\\r",
                '\x07' => self.out += "\\a",
                '\x08' => self.out += "\\b",
                _ if c == quote => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                _ if c.is_control() => self.put(format_args!("\\x{:x};", c as u32)),
                _ => self.out.push(c),
            }
        }
        self.out.push(quote);
    }

    fn string(&mut self, v: Value) {
        self.escaped(str_chars(v), '"');
    }

    fn symbol(&mut self, name: &str) {
        let plain = |c: char| !(c.is_whitespace() || c.is_control() || "()[]{}\";'`,|".contains(c));
        let bars = name.is_empty()
            || name == "."
            || name.starts_with('#')
            || !name.chars().all(plain)
            || numbers::is_number_text(name, 10);
        if bars && !self.display { self.escaped(name.chars(), '|') } else { self.out += name }
    }

    fn object(&mut self, v: Value) {
        let kind = header_kind(first_word(v));
        let named = |ty: Type| kind == kind_of(ty);
        if named(Type::Bytevector) {
            let bytes: Vec<String> = bytes_of(v, 0, size(v)).iter().map(u8::to_string).collect();
            self.put(format_args!("#u8({})", bytes.join(" ")));
        } else if named(Type::Primitive) && is_symbol(field(v, 1)) {
            self.put(format_args!("#<procedure {}>", symbol_name(field(v, 1))));
        } else if named(Type::Record) {
            self.record(v);
        } else if named(Type::Rtd) && is_symbol(field(v, 0)) {
            self.put(format_args!("#<record-type {}>", symbol_name(field(v, 0))));
        } else if named(Type::Condition) {
            self.condition(v);
        } else if named(Type::Values) {
            self.out += "#<values ";
            self.tasks.push(Task::Text(">"));
            self.spaced((0..size(v)).map(|i| field(v, i)));
        } else {
            let name = [
                (Type::Closure, "procedure"),
                (Type::Primitive, "procedure"),
                (Type::Continuation, "continuation"),
                (Type::Parameter, "parameter"),
                (Type::Promise, "promise"),
                (Type::Environment, "environment"),
                (Type::Port, "port"),
                (Type::HashTable, "hash-table"),
                (Type::Thread, "thread"),
                (Type::Mutex, "mutex"),
                (Type::CondVar, "condition-variable"),
            ]
            .into_iter()
            .find(|(ty, _)| named(*ty))
            .map_or("object", |(_, name)| name);
            debug_assert!(first_word(v) & 0xF == HEADER_TAG);
            self.put(format_args!("#<{name}>"));
        }
    }

    /// Plans to print data with spaces between.
    fn spaced(&mut self, items: impl DoubleEndedIterator<Item = Value>) {
        let mut first = true;
        for item in items.rev() {
            if !first {
                self.tasks.push(Task::Text(" "));
            }
            first = false;
            self.tasks.push(Task::Datum(item));
        }
    }

    fn record(&mut self, v: Value) {
        let ty = field(v, 0);
        let name =
            if size(ty) > 0 && is_symbol(field(ty, 0)) { symbol_name(field(ty, 0)) } else { "record".to_string() };
        self.put(format_args!("#<{}>", name.trim_start_matches('<').trim_end_matches('>')));
    }

    fn condition(&mut self, v: Value) {
        self.out += "#<condition ";
        if size(v) < 3 {
            self.out.push('>');
            return;
        }
        self.tasks.push(Task::Text(">"));
        let mut irritants = field(v, 2);
        let mut items = vec![field(v, 1)];
        while is_pair(irritants) && items.len() < 100 {
            items.push(car(irritants));
            irritants = cdr(irritants);
        }
        self.spaced(items.into_iter());
    }
}
