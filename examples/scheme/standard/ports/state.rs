//! The Rust side of ports: buffers, files and a process-wide table of them.
//!
//! A port on the Scheme heap is only a number; the file descriptor and the buffer live here, where the collector
//! never looks. Nothing tells this table when a heap port dies, so a port which the program drops without closing
//! keeps its entry until the process exits; `flush_all` then writes what such output ports still hold.
//!
//! Input is consumed in two steps, looking and then skipping: a primitive looks at the bytes, allocates the Scheme
//! string for them, and skips them only when that worked, so that an exhausted heap never loses input.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

const CHUNK: usize = 32 * 1024;

/// Buffered bytes from a file, or all the bytes of a string or bytevector.
pub struct Input {
    source: Option<Box<dyn Read + Send>>,
    buffer: Vec<u8>,
    at: usize,
    patient: bool,
}

impl Input {
    /// Reads more from the source; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        if !self.patient {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK, 0);
        let got = loop {
            match source.read(&mut self.buffer[held..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(held + *got.as_ref().unwrap_or(&0));
        Ok(got? > 0)
    }

    /// Buffers at least `wanted` unread bytes if there are so many.
    fn need(&mut self, wanted: usize) -> io::Result<()> {
        while self.buffer.len() - self.at < wanted && self.fill()? {}
        Ok(())
    }

    /// The unread bytes at hand.
    fn unread(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// While not patient, what would have to read from the source fails with `WouldBlock` instead. Looking consumes
    /// nothing, so it can then be repeated where the thread may block.
    pub fn set_patient(&mut self, patient: bool) {
        self.patient = patient;
    }

    /// Consumes `bytes` which were looked at before.
    pub fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.buffer.len());
    }

    /// The next byte.
    pub fn look_byte(&mut self) -> io::Result<Option<u8>> {
        self.need(1)?;
        Ok(self.unread().first().copied())
    }

    /// The next character and its length in bytes. Malformed UTF-8 reads as U+FFFD, byte by byte.
    pub fn look_char(&mut self) -> io::Result<Option<(char, usize)>> {
        self.look_char_at(0)
    }

    /// The same for the character `ahead` bytes further on.
    pub fn look_char_at(&mut self, ahead: usize) -> io::Result<Option<(char, usize)>> {
        self.need(ahead + 1)?;
        let Some(&first) = self.unread().get(ahead) else { return Ok(None) };
        if first < 0x80 {
            return Ok(Some((char::from(first), 1)));
        }
        let length = match first {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        self.need(ahead + length)?;
        let bytes = &self.unread()[ahead..(ahead + length).min(self.unread().len())];
        Ok(Some(match std::str::from_utf8(bytes).ok().and_then(|s| s.chars().next()) {
            Some(c) => (c, c.len_utf8()),
            None => (char::REPLACEMENT_CHARACTER, 1),
        }))
    }

    /// The next line without its end, and how much to skip past it.
    pub fn look_line(&mut self) -> io::Result<Option<(String, usize)>> {
        let mut searched = 0;
        loop {
            let unread = &self.unread()[searched..];
            let Some(length) = unread.iter().position(|&b| b == b'\n' || b == b'\r') else {
                searched = self.unread().len();
                if !self.fill()? {
                    let rest = self.unread();
                    return Ok((!rest.is_empty()).then(|| (String::from_utf8_lossy(rest).into_owned(), rest.len())));
                }
                continue;
            };
            let end = searched + length;
            let mut behind = end + 1;
            // A carriage return and a line feed are one end, also where the one is the last byte that is here.
            if self.unread()[end] == b'\r' && (behind < self.unread().len() || self.fill()?) {
                behind += usize::from(self.unread()[behind] == b'\n');
            }
            return Ok(Some((String::from_utf8_lossy(&self.unread()[..end]).into_owned(), behind)));
        }
    }

    /// At most `count` characters, and how much to skip past them; `None` at the end.
    pub fn look_string(&mut self, count: usize) -> io::Result<Option<(String, usize)>> {
        let mut text = String::new();
        let mut taken = 0;
        for _ in 0..count {
            let Some((c, length)) = self.look_char_at(taken)? else { break };
            text.push(c);
            taken += length;
        }
        Ok((taken > 0 || count == 0).then_some((text, taken)))
    }

    /// At most `count` bytes; `None` at the end.
    pub fn look_bytes(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        self.need(count)?;
        let rest = self.unread();
        let taken = count.min(rest.len());
        Ok((taken > 0 || count == 0).then(|| rest[..taken].to_vec()))
    }
}

/// Where output goes.
enum Sink {
    Memory,
    File(Box<dyn Write + Send>),
}

/// Output, buffered unless for a terminal; memory ports just keep the buffer.
pub struct Output {
    sink: Sink,
    buffer: Vec<u8>,
    line_by_line: bool,
}

impl Output {
    /// Appends bytes; true if it is time to flush.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        match self.sink {
            Sink::Memory => false,
            Sink::File(_) => self.buffer.len() >= CHUNK || self.line_by_line && bytes.contains(&b'\n'),
        }
    }

    /// Whether the last thing written was the end of a line (unknown after a flush).
    pub fn at_line_start(&self) -> bool {
        self.buffer.last().is_none_or(|b| *b == b'\n')
    }

    /// Hands everything to the sink.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Sink::File(file) = &mut self.sink {
            let written = file.write_all(&self.buffer);
            self.buffer.clear();
            written?;
            file.flush()?;
        }
        Ok(())
    }

    /// What a memory port has collected.
    pub fn collected(&self) -> Option<&[u8]> {
        matches!(self.sink, Sink::Memory).then_some(self.buffer.as_slice())
    }
}

/// One port; closing a direction empties it.
pub struct Port {
    pub input: Option<Input>,
    pub output: Option<Output>,
}

impl Port {
    /// Reads from `source`.
    pub fn reading(source: Box<dyn Read + Send>) -> Port {
        Port { input: Some(Input { source: Some(source), buffer: Vec::new(), at: 0, patient: true }), output: None }
    }

    /// Reads the given bytes.
    pub fn reading_bytes(buffer: Vec<u8>) -> Port {
        Port { input: Some(Input { source: None, buffer, at: 0, patient: true }), output: None }
    }

    /// Writes into `sink`.
    pub fn writing(sink: Box<dyn Write + Send>, line_by_line: bool) -> Port {
        Port { input: None, output: Some(Output { sink: Sink::File(sink), buffer: Vec::new(), line_by_line }) }
    }

    /// Collects output in memory.
    pub fn collecting() -> Port {
        Port { input: None, output: Some(Output { sink: Sink::Memory, buffer: Vec::new(), line_by_line: false }) }
    }

    /// Opens a file for reading.
    pub fn open_input(path: &str) -> io::Result<Port> {
        Ok(Port::reading(Box::new(File::open(path)?)))
    }

    /// Creates or truncates a file for writing, or continues it.
    pub fn open_output(path: &str, append: bool) -> io::Result<Port> {
        let mut options = File::options();
        options.create(true).write(true).append(append).truncate(!append);
        Ok(Port::writing(Box::new(options.open(path)?), false))
    }
}

/// A shared port.
pub type Shared = Arc<Mutex<Port>>;

/// A port and whether it was made for output, which is known without locking it.
type Entry = Option<(Shared, bool)>;

static TABLE: OnceLock<RwLock<Vec<Entry>>> = OnceLock::new();

/// The indices every process starts with.
pub const STDIN: usize = 0;
pub const STDOUT: usize = 1;
pub const STDERR: usize = 2;

fn entry(port: Port) -> Entry {
    let output = port.output.is_some();
    Some((Arc::new(Mutex::new(port)), output))
}

fn table() -> &'static RwLock<Vec<Entry>> {
    TABLE.get_or_init(|| {
        RwLock::new(vec![
            entry(Port::reading(Box::new(io::stdin()))),
            entry(Port::writing(Box::new(io::stdout()), io::stdout().is_terminal())),
            entry(Port::writing(Box::new(io::stderr()), true)),
        ])
    })
}

/// Puts a port into the table.
pub fn register(port: Port) -> usize {
    let mut ports = table().write().unwrap_or_else(PoisonError::into_inner);
    ports.push(entry(port));
    ports.len() - 1
}

/// The port with this index, unless it was closed in every direction.
pub fn find(index: usize) -> Option<Shared> {
    table().read().unwrap_or_else(PoisonError::into_inner).get(index)?.as_ref().map(|(port, _)| port.clone())
}

/// Locks a port; a panic of another thread while it held the lock does no harm to a buffer.
pub fn lock(port: &Shared) -> MutexGuard<'_, Port> {
    port.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a port that is closed in every direction out of the table.
pub fn forget(index: usize) {
    table().write().unwrap_or_else(PoisonError::into_inner)[index] = None;
}

/// Writes all pending output. A thread that reads holds the lock of its port meanwhile, so input ports are left alone.
pub fn flush_all() {
    let table = table().read().unwrap_or_else(PoisonError::into_inner);
    let outputs: Vec<Shared> = table.iter().flatten().filter(|(_, out)| *out).map(|(port, _)| port.clone()).collect();
    drop(table);
    for port in outputs {
        if let Some(out) = &mut lock(&port).output {
            // There is nobody left to tell about a failure.
            let _ = out.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_does_not_consume() {
        let mut port = Port::reading_bytes("λx\nrest".as_bytes().to_vec());
        let input = port.input.as_mut().unwrap();
        assert_eq!(input.look_char().unwrap(), Some(('λ', 2)));
        assert_eq!(input.look_line().unwrap(), Some(("λx".to_string(), 4)));
        input.skip(4);
        assert_eq!(input.look_string(2).unwrap(), Some(("re".to_string(), 2)));
        assert_eq!(input.look_string(9).unwrap(), Some(("rest".to_string(), 4)));
        input.skip(4);
        assert_eq!(input.look_line().unwrap(), None);
    }

    #[test]
    fn a_line_ends_with_a_line_feed_or_a_carriage_return_or_both() {
        struct Parts(Vec<&'static [u8]>);
        impl Read for Parts {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let Some(part) = self.0.pop() else { return Ok(0) };
                out[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
        // What was read last comes in pieces that cut the ends of lines.
        let mut port = Port::reading(Box::new(Parts(vec![b"\r", b"\re\n", b"d\r", b"\nb\rc\n", b"a\r"])));
        let input = port.input.as_mut().unwrap();
        let mut lines = Vec::new();
        while let Some((line, length)) = input.look_line().unwrap() {
            input.skip(length);
            lines.push(line);
        }
        assert_eq!(lines, ["a", "b", "c", "d", "", "e", ""]);
    }

    #[test]
    fn a_small_source_is_filled_as_needed() {
        struct Drip(Vec<u8>);
        impl Read for Drip {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    return Ok(0);
                }
                out[0] = self.0.remove(0);
                Ok(1)
            }
        }
        let mut port = Port::reading(Box::new(Drip("aλb\nc".as_bytes().to_vec())));
        let input = port.input.as_mut().unwrap();
        input.look_char().unwrap();
        input.skip(1);
        assert_eq!(input.look_string(2).unwrap(), Some(("λb".to_string(), 3)));
        assert_eq!(input.look_line().unwrap(), Some(("λb".to_string(), 4)));
    }
}
