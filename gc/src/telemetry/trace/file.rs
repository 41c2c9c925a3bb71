//! The file of a trace: its name, who may write to it, and its form.
//!
//! *Form.* The Trace Event Format's array of JSON objects, an event a line. The format lets the closing bracket be missing, so the file can be loaded
//! at any time: events are gathered in memory, and written whole, with the comma before and not after each, so a program that
//! dies leaves a file that ends behind an event. The heap's end adds the bracket, and the file is plain JSON.
//!
//! *Name.* `%p` in it becomes the process id. Whoever writes to a file holds its lock (`flock(2)`) until it is done; a heap that finds it locked,
//! by another heap of the process or of another process, takes the next of `trace.json`, `trace.2.json`, `trace.3.json`, and so on. So nobody needs to know of
//! anybody else, and none writes into another's file. A file that nobody has locked is overwritten.
//!
//! *Forks.* A child has a copy of the buffer and of the descriptor, and must use neither: each writing step asks which process it is in.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::fatal::say;
use crate::sys::errno;

/// Names that are tried.
const MOST: u32 = 1000;

/// Bytes gathered before a thread that is in no hurry writes them.
const ENOUGH: usize = 256 << 10;

/// An open trace.
#[derive(Debug)]
pub(super) struct TraceFile {
    file: File,
    path: PathBuf,
    /// The process it belongs to.
    process: u32,
    buffer: String,
    /// There is an event in it already.
    begun: bool,
    /// A write failed: the rest is not written.
    failed: bool,
}

impl TraceFile {
    /// Opens the file that `pattern` names, or one that is named like it and not in use.
    pub(super) fn open(pattern: &str) -> io::Result<TraceFile> {
        let process = std::process::id();
        let first = PathBuf::from(pattern.replace("%p", &process.to_string()));
        for number in 1..=MOST {
            let path = if number == 1 { first.clone() } else { numbered(&first, number) };
            // What is in it is another's until the lock is ours.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            if !lock(&file)? {
                continue;
            }
            // There are things to write to that have no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            let buffer = String::with_capacity(2 * ENOUGH);
            return Ok(TraceFile { file, path, process, buffer, begun: false, failed: false });
        }
        Err(io::Error::other(format!("it and {} files named after it are in use", MOST - 1)))
    }

    /// Whether this is the process it belongs to.
    pub(super) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// The process it belongs to.
    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// Adds an event: the members of a JSON object.
    pub(super) fn event(&mut self, members: fmt::Arguments<'_>) {
        if self.failed || !self.is_ours() {
            return;
        }
        self.buffer.push_str(if self.begun { ",\n{" } else { "[\n{" });
        self.begun = true;
        // Writing to a string does not fail.
        let _ = self.buffer.write_fmt(members);
        self.buffer.push('}');
    }

    /// Writes what was gathered, if it is much.
    pub(super) fn relieve(&mut self) {
        if self.buffer.len() >= ENOUGH {
            self.write();
        }
    }

    /// Writes what was gathered.
    pub(super) fn write(&mut self) {
        if self.failed || !self.is_ours() {
            return;
        }
        if let Err(error) = self.file.write_all(self.buffer.as_bytes()) {
            self.failed = true;
            say(&format!("pagemark: the trace `{}` ends here: {error}", self.path.display()));
        }
        self.buffer.clear();
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        self.buffer.push_str(if self.begun { "\n]\n" } else { "[]\n" });
        self.write();
    }
}

/// Takes the lock of a file; false when somebody else has it.
fn lock(file: &File) -> io::Result<bool> {
    // SAFETY: an open descriptor of ours.
    match errno::check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// The name with a number before its extension.
fn numbered(path: &Path, number: u32) -> PathBuf {
    match path.extension() {
        Some(extension) => path.with_extension(format!("{number}.{}", extension.display())),
        None => path.with_extension(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension() {
        assert_eq!(numbered(Path::new("/a.b/trace.json"), 2), Path::new("/a.b/trace.2.json"));
        assert_eq!(numbered(Path::new("trace"), 10), Path::new("trace.10"));
    }
}
