//! The messages of pprof's `profile.proto`, as far as a profile of allocations needs them. A profile on disk is one [`Profile`], compressed by gzip.
//!
//! Strings are numbers of entries of the string table, whose first entry is empty; zero means none.

use prost::Message;

/// A profile.
#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    /// What the values of each sample are.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// The samples.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// Files whose code the locations lie in.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Where stacks lead through.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All strings.
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// When it was taken, in nanoseconds of Unix time.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// How long that took.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// What the period is a number of.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// From one sample to the next.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// The name of the value that a viewer shows first.
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
}

/// A kind of value, and its unit.
#[derive(Clone, PartialEq, Message)]
pub struct ValueType {
    /// What it is.
    #[prost(int64, tag = "1")]
    pub kind: i64,
    /// In what it is measured.
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// A stack, and what was seen there.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// The stack's locations, the innermost first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// A value of each kind.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
}

/// A file that is mapped.
#[derive(Clone, PartialEq, Message)]
pub struct Mapping {
    /// Not zero.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its name.
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// Nobody needs to look for the functions.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// Nor for the files.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// Nor for the lines.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// Nor for what was inlined.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// A place in the code.
#[derive(Clone, PartialEq, Message)]
pub struct Location {
    /// Not zero.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The file it is in.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// Its address.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Its line.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
}

/// A line of a function.
#[derive(Clone, PartialEq, Message)]
pub struct Line {
    /// The function.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// The line's number in its file.
    #[prost(int64, tag = "2")]
    pub line: i64,
}

/// A function.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    /// Not zero.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What it is called.
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// The same as the linker writes it.
    #[prost(int64, tag = "3")]
    pub system_name: i64,
    /// The file it is in.
    #[prost(int64, tag = "4")]
    pub filename: i64,
}
