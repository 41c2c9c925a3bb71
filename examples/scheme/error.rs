//! What a primitive answers when it cannot answer a value.
//!
//! The machine turns most of these into condition objects and raises them, so that `guard` sees them; the exceptions
//! are `Exhausted` (reclaim, then run the instruction again) and `Exit`. The body is boxed to keep results in two
//! registers.

use crate::syntax::Pos;
use crate::value::Value;

/// The kinds of condition objects, as `file-error?` and `read-error?` tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    Error = 0,
    Type,
    Range,
    Unbound,
    Arity,
    File,
    Read,
    Syntax,
    OutOfMemory,
    Thread,
}

#[derive(Debug)]
pub enum Body {
    /// The heap is at its hard limit: nothing was changed; reclaim this many bytes and run the instruction again.
    Exhausted(usize),
    /// `(exit code)`, after the outputs were flushed.
    Exit(i32),
    /// No handler was left for this object, raised at that place: the program (or thread) ends with it.
    Uncaught(Value, Option<Pos>),
    /// Raise this object (not continuable).
    Raise(Value),
    /// Raise this object; the handler's value is the value of the call.
    RaiseContinuable(Value),
    /// Raise a condition object.
    Condition { kind: Kind, message: String, irritants: Vec<Value> },
}

/// The error side of every primitive.
#[derive(Debug)]
pub struct SchemeError(pub Box<Body>);

impl SchemeError {
    #[cold]
    fn new(body: Body) -> SchemeError {
        SchemeError(Box::new(body))
    }
    #[cold]
    pub fn exhausted(bytes: usize) -> SchemeError {
        SchemeError::new(Body::Exhausted(bytes))
    }
    #[cold]
    pub fn exit(code: i32) -> SchemeError {
        SchemeError::new(Body::Exit(code))
    }
    #[cold]
    pub fn uncaught(v: Value) -> SchemeError {
        SchemeError::new(Body::Uncaught(v, None))
    }
    #[cold]
    pub fn raise(v: Value) -> SchemeError {
        SchemeError::new(Body::Raise(v))
    }
    #[cold]
    pub fn raise_continuable(v: Value) -> SchemeError {
        SchemeError::new(Body::RaiseContinuable(v))
    }
    #[cold]
    pub fn condition(kind: Kind, message: impl Into<String>, irritants: Vec<Value>) -> SchemeError {
        SchemeError::new(Body::Condition { kind, message: message.into(), irritants })
    }
    /// A plain error, as of `(error message irritant ...)`.
    #[cold]
    pub fn error(message: impl Into<String>, irritants: &[Value]) -> SchemeError {
        SchemeError::condition(Kind::Error, message, irritants.to_vec())
    }
    /// "car: argument 1 is not a pair: 5". `arg` counts from 1.
    #[cold]
    pub fn wrong_type(who: &str, arg: usize, expected: &str, v: Value) -> SchemeError {
        let article = if expected.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        SchemeError::condition(Kind::Type, format!("{who}: argument {arg} is not {article} {expected}:"), vec![v])
    }
    /// "vector-ref: argument 2 is out of range: 10"
    #[cold]
    pub fn range(who: &str, arg: usize, v: Value) -> SchemeError {
        SchemeError::condition(Kind::Range, format!("{who}: argument {arg} is out of range:"), vec![v])
    }
    /// Whether this asks to reclaim and run again.
    pub fn is_exhausted(&self) -> bool {
        matches!(*self.0, Body::Exhausted(_))
    }
    /// An allocation that not even a collection makes possible.
    #[cold]
    pub fn out_of_memory(bytes: usize) -> SchemeError {
        let bytes = Value::fixnum(bytes.min(1 << 60) as i64);
        SchemeError::condition(Kind::OutOfMemory, "out of memory", vec![bytes])
    }
    #[cold]
    pub fn file(message: impl Into<String>, irritants: &[Value]) -> SchemeError {
        SchemeError::condition(Kind::File, message, irritants.to_vec())
    }
    #[cold]
    pub fn read(message: impl Into<String>) -> SchemeError {
        SchemeError::condition(Kind::Read, message, Vec::new())
    }
}
