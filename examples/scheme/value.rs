//! The uniform 64-bit value.
//!
//! A value is one machine word. The low bit set makes it a fixnum of 63 bits; the low four bits clear make it the
//! address of a heap object (the collector hands out 16-aligned memory); `0010` in the low four bits makes it an
//! immediate, whose next four bits tell constants from characters. Headers of heap objects end in `1110`, which no
//! value does, so the first word of an object says whether it is a pair (a value: the car) or anything else.

use std::fmt;

/// One Scheme value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Value(pub u64);

const IMMEDIATE: u64 = 0x02;
const CHAR: u64 = 0x12;

/// Low four bits of every object header.
pub const HEADER_TAG: u64 = 0xE;

impl Value {
    pub const FALSE: Value = Value(IMMEDIATE);
    pub const TRUE: Value = Value(IMMEDIATE | 1 << 8);
    pub const NIL: Value = Value(IMMEDIATE | 2 << 8);
    pub const UNSPECIFIED: Value = Value(IMMEDIATE | 3 << 8);
    pub const EOF: Value = Value(IMMEDIATE | 4 << 8);
    /// The value of an optional argument that was not given.
    pub const DEFAULT: Value = Value(IMMEDIATE | 5 << 8);
    /// The content of a variable that is not (yet) bound.
    pub const UNBOUND: Value = Value(IMMEDIATE | 6 << 8);

    pub const FIXNUM_MAX: i64 = (1 << 62) - 1;
    pub const FIXNUM_MIN: i64 = -(1 << 62);

    /// A fixnum; `n` must be in the fixnum range (the top bit is lost otherwise).
    #[inline(always)]
    pub const fn fixnum(n: i64) -> Value {
        Value(((n as u64) << 1) | 1)
    }
    /// A fixnum if `n` fits one.
    #[inline]
    pub const fn try_fixnum(n: i64) -> Option<Value> {
        if n >= Value::FIXNUM_MIN && n <= Value::FIXNUM_MAX { Some(Value::fixnum(n)) } else { None }
    }
    #[inline(always)]
    pub const fn is_fixnum(self) -> bool {
        self.0 & 1 != 0
    }
    /// The fixnum's number; meaningless for anything else.
    #[inline(always)]
    pub const fn as_fixnum(self) -> i64 {
        (self.0 as i64) >> 1
    }
    #[inline]
    pub const fn to_fixnum(self) -> Option<i64> {
        if self.is_fixnum() { Some(self.as_fixnum()) } else { None }
    }
    /// A non-negative fixnum as an index.
    #[inline]
    pub const fn to_index(self) -> Option<usize> {
        if self.is_fixnum() && self.as_fixnum() >= 0 { Some(self.as_fixnum() as usize) } else { None }
    }
    #[inline(always)]
    pub const fn bool(b: bool) -> Value {
        Value(IMMEDIATE | (b as u64) << 8)
    }
    /// Everything but `#f` counts as true.
    #[inline(always)]
    pub const fn is_true(self) -> bool {
        self.0 != Value::FALSE.0
    }
    #[inline(always)]
    pub const fn is_false(self) -> bool {
        self.0 == Value::FALSE.0
    }
    #[inline(always)]
    pub const fn is_nil(self) -> bool {
        self.0 == Value::NIL.0
    }
    #[inline(always)]
    pub const fn char(c: char) -> Value {
        Value(CHAR | (c as u64) << 8)
    }
    #[inline(always)]
    pub const fn is_char(self) -> bool {
        self.0 & 0xFF == CHAR
    }
    #[inline]
    pub fn to_char(self) -> Option<char> {
        if self.is_char() { char::from_u32((self.0 >> 8) as u32) } else { None }
    }
    /// Whether the value is the address of a heap object.
    #[inline(always)]
    pub const fn is_pointer(self) -> bool {
        self.0 & 0xF == 0 && self.0 != 0
    }
    /// Whether the optional argument was given.
    #[inline]
    pub const fn is_given(self) -> bool {
        self.0 != Value::DEFAULT.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#v{:x}", self.0)
    }
}

/// The type byte in a header (bits 8..16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    // Tracked: every payload word is a value (raw numbers are stored as fixnums).
    Vector = 1,
    /// length (fixnum), buffer
    String,
    /// name (string)
    Symbol,
    /// numerator, denominator
    Ratnum,
    /// real part, imaginary part
    Compnum,
    /// code address | 1, captured values
    Closure,
    /// index into the table of primitives (fixnum), name (symbol)
    Primitive,
    Continuation,
    /// A piece of a captured stack.
    Segment,
    /// A global variable: value, name (symbol)
    Cell,
    /// An assigned local variable: value
    Box,
    /// Multiple values.
    Values,
    /// A box: (done? . value-or-thunk) in one pair
    Promise,
    /// value, converter
    Parameter,
    /// record type, fields
    Record,
    /// name (symbol), field names (list), number of fields
    Rtd,
    /// kind (fixnum), message, irritants (list), where (string or #f)
    Condition,
    /// index of the environment (fixnum)
    Environment,
    Port,
    HashTable,
    /// native index (fixnum), then whatever the library likes
    Thread,
    Mutex,
    CondVar,
    Other,
    // Leaf: no references; never traced.
    Bytevector = 0x40,
    /// Characters of a string; flag 1: four bytes a character instead of one (Latin-1).
    StrBuf,
    Flonum,
    /// Limbs, little endian; flag 1: negative. The size is the number of 64-bit limbs.
    Bignum,
}

/// Flag of string buffers with four bytes a character.
pub const FLAG_WIDE: u64 = 1;
/// Flag of negative bignums.
pub const FLAG_NEGATIVE: u64 = 1;

/// Builds a header. `size` is the number of payload words for tracked objects, of elements for leaves.
#[inline(always)]
pub const fn header(ty: Type, flags: u64, size: usize) -> u64 {
    HEADER_TAG | (flags & 0xF) << 4 | (ty as u64) << 8 | (size as u64) << 16
}
#[inline(always)]
pub const fn header_size(h: u64) -> usize {
    (h >> 16) as usize
}
#[inline(always)]
pub const fn header_flags(h: u64) -> u64 {
    (h >> 4) & 0xF
}
/// Tag and type of a header, for one comparison.
#[inline(always)]
pub const fn header_kind(h: u64) -> u64 {
    h & 0xFF0F
}
/// What `header_kind` gives for objects of type `ty`.
#[inline(always)]
pub const fn kind_of(ty: Type) -> u64 {
    HEADER_TAG | (ty as u64) << 8
}
