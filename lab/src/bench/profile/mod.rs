//! `--profile FILE`: which places of a workload allocate, and how much, as a profile that `pprof` shows.
//!
//! The collector tells of about one allocation in so many bytes ([`AllocationSampler`]); the stack of each is kept as addresses, and given
//! names when the run is over. An object of `s` bytes is a sample with probability `1 − e^(−s/mean)`, so each stands for the inverse of that many
//! objects of its size: the sums are estimates without bias, of what was allocated, whether it still lives or not. docs/benchmarks.md says what distorts
//! them all the same.

mod pprof;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use pagemark::telemetry::AllocationSampler;
use pagemark::typed::Heap;
use prost::Message;

/// Frames of a stack that are kept.
const DEPTH: usize = 128;

/// The way from a function that allocates to here, which every stack has: the collector, the layer above it, who takes the stack, and what of the
/// standard library lies between.
const MACHINERY: [&str; 7] = ["backtrace", "gc::", "runtime::", "lab::bench::profile::", "core::", "alloc::", "std::"];

/// What somebody asked for.
#[derive(Clone)]
pub struct Request {
    /// Where the profile goes.
    pub file: PathBuf,
    /// A sample in so many bytes.
    pub every: u64,
}

/// Samples that are being taken.
pub struct Recording {
    samples: Arc<Samples>,
    every: u64,
    file: File,
    began: (SystemTime, Instant),
}

/// The stacks, innermost address first, with the sizes of their objects, and how often each was met.
#[derive(Default)]
struct Samples(Mutex<HashMap<(Vec<usize>, usize), u64>>);

impl AllocationSampler for Samples {
    fn sampled(&self, bytes: usize) {
        let mut stack = Vec::with_capacity(DEPTH);
        backtrace::trace(|frame| {
            stack.push(frame.ip() as usize);
            stack.len() < DEPTH
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((stack, bytes)).or_default() += 1;
    }
}

impl Recording {
    /// Samples what threads of `heap` allocate that start from now on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; better now than after the run.
    pub fn start(request: &Request, heap: &Heap) -> io::Result<Recording> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot write the profile to `{}`: {error}", request.file.display()))
        };
        let file = File::create(&request.file).map_err(named)?;
        let samples = Arc::new(Samples::default());
        heap.raw().sample_allocations(request.every, samples.clone());
        Ok(Recording { samples, every: request.every, file, began: (SystemTime::now(), Instant::now()) })
    }

    /// Names the places and writes the profile.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let samples = std::mem::take(&mut *self.samples.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stacks: HashMap<Vec<usize>, (f64, f64)> = HashMap::new();
        for ((stack, bytes), times) in samples {
            // What one sample stands for.
            let objects = times as f64 / -(-(bytes as f64) / self.every as f64).exp_m1();
            let sums = stacks.entry(stack).or_default();
            sums.0 += objects;
            sums.1 += objects * bytes as f64;
        }
        let mut names = Names::default();
        let mut profile = pprof::Profile {
            sample_type: vec![names.value("alloc_objects", "count"), names.value("alloc_space", "bytes")],
            period_type: Some(names.value("space", "bytes")),
            period: self.every as i64,
            default_sample_type: names.string("alloc_space"),
            time_nanos: self.began.0.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64),
            duration_nanos: self.began.1.elapsed().as_nanos() as i64,
            ..pprof::Profile::default()
        };
        for (stack, (objects, space)) in stacks {
            let location_id = names.locations(&stack);
            let value = vec![objects.round() as i64, space.round() as i64];
            profile.sample.push(pprof::Sample { location_id, value });
        }
        let program = std::env::current_exe().unwrap_or_default();
        profile.mapping.push(pprof::Mapping {
            id: MAPPING,
            filename: names.string(&program.to_string_lossy()),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        (profile.location, profile.function, profile.string_table) = (names.locations, names.functions, names.strings);
        let mut file = GzEncoder::new(self.file, Compression::default());
        file.write_all(&profile.encode_to_vec())?;
        file.finish()?.sync_all()
    }
}

/// The one mapping, the program.
const MAPPING: u64 = 1;

/// The tables of a profile.
struct Names {
    strings: Vec<String>,
    string_numbers: HashMap<String, i64>,
    functions: Vec<pprof::Function>,
    function_numbers: HashMap<(i64, i64), u64>,
    locations: Vec<pprof::Location>,
    /// The locations of each address, the innermost of inlined functions first.
    of_address: HashMap<usize, Vec<u64>>,
    /// Whether a location, by its number, is part of the machinery.
    machinery: Vec<bool>,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            strings: vec![String::new()],
            string_numbers: HashMap::from([(String::new(), 0)]),
            functions: Vec::new(),
            function_numbers: HashMap::new(),
            locations: Vec::new(),
            of_address: HashMap::new(),
            machinery: vec![false],
        }
    }
}

impl Names {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(number) = self.string_numbers.get(text) {
            return *number;
        }
        let number = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_numbers.insert(text.to_owned(), number);
        number
    }

    fn value(&mut self, kind: &str, unit: &str) -> pprof::ValueType {
        pprof::ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let key = (self.string(name), self.string(file));
        let next = self.functions.len() as u64 + 1;
        *self.function_numbers.entry(key).or_insert_with(|| {
            let (name, filename) = key;
            self.functions.push(pprof::Function { id: next, name, system_name: name, filename });
            next
        })
    }

    /// The locations of a stack, from the function that allocates on.
    fn locations(&mut self, stack: &[usize]) -> Vec<u64> {
        let all: Vec<u64> = stack.iter().flat_map(|address| self.at(*address)).collect();
        let outside = all.iter().position(|location| !self.machinery[*location as usize]);
        all[outside.unwrap_or(0)..].to_vec()
    }

    /// The locations of an address: that of each function that was inlined there, and of the one they are in.
    fn at(&mut self, address: usize) -> Vec<u64> {
        if let Some(known) = self.of_address.get(&address) {
            return known.clone();
        }
        let mut lines = Vec::new();
        backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
            // Without the hash.
            let name = symbol.name().map_or_else(|| format!("{address:#x}"), |name| format!("{name:#}"));
            let file = symbol.filename().map_or_else(String::new, |file| file.to_string_lossy().into_owned());
            lines.push((name, file, symbol.lineno().unwrap_or(0)));
        });
        if lines.is_empty() {
            lines.push((format!("{address:#x}"), String::new(), 0));
        }
        let mut made = Vec::new();
        for (name, file, line) in lines {
            let name = qualified(&name, &file);
            let line = pprof::Line { function_id: self.function(&name, &file), line: i64::from(line) };
            let id = self.locations.len() as u64 + 1;
            self.locations.push(pprof::Location { id, mapping_id: MAPPING, address: address as u64, line: vec![line] });
            self.machinery.push(MACHINERY.iter().any(|prefix| name.starts_with(prefix)));
            made.push(id);
        }
        self.of_address.insert(address, made.clone());
        made
    }
}

/// The name with its module. The debug information of an optimised program has the last part only, and the file, which in Rust is the module:
/// `build` in `lab/src/bench/trees.rs` is `lab::bench::trees::build`.
fn qualified(name: &str, file: &str) -> String {
    let own = name.split(['<', '{']).next().unwrap_or_default();
    let Some((before, within)) = file.rsplit_once("/src/") else { return name.to_owned() };
    if own.contains("::") || name.starts_with('<') {
        return name.to_owned();
    }
    let package = before.rsplit('/').next().unwrap_or_default();
    let modules = within.trim_end_matches(".rs").split('/').filter(|part| !["mod", "lib", "main"].contains(part));
    [package].into_iter().chain(modules).chain([name]).collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_module() {
        let name = "lab::bench::trees::build";
        assert_eq!(qualified("build", "/home/somebody/lab/src/bench/trees.rs"), name);
        assert_eq!(qualified("build", "lab/src/bench/trees.rs"), name);
        assert_eq!(qualified("alloc<a::B>", "/x/runtime/src/typed/mod.rs"), "runtime::typed::alloc<a::B>");
        assert_eq!(qualified("{closure#0}", "/x/lab/src/main.rs"), "lab::{closure#0}");
        assert_eq!(qualified("core::ptr::read", "/x/core/src/ptr/mod.rs"), "core::ptr::read");
        assert_eq!(qualified("main", ""), "main");
    }
}
