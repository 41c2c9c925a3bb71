//! `read(2)` and `pread(2)` straight into heap objects.
//!
//! To the barrier a system call is one more mutator, and one that some mechanisms cannot serve: into an armed page of
//! `sigbus` or `mprotect`, or of `sync` with a descriptor for faults of user mode only, it ends in `EFAULT`. A
//! program then reads into memory of its own and copies. So does this, and counts how often.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::program::Source;

/// Bytes that certainly fit in an empty pipe.
const PIPE: usize = 32 * 1024;

/// A lane's pipe and file. Neither is known to anybody else.
pub struct Input {
    reader: io::PipeReader,
    writer: io::PipeWriter,
    file: File,
    /// Reads that ended in `EFAULT` and were done again through a buffer.
    pub bounced: u64,
}

impl Input {
    /// Opens them.
    pub fn new() -> io::Result<Input> {
        let (reader, writer) = io::pipe()?;
        // SAFETY: the name is a string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"stress input".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Input { reader, writer, file, bounced: 0 })
    }

    /// Makes the kernel write `bytes` to the address `to`.
    ///
    /// # Safety
    ///
    /// The bytes at `to` are data of one object of the calling thread's, which is not freed meanwhile.
    pub unsafe fn read(&mut self, bytes: &[u8], to: usize, source: Source) -> io::Result<()> {
        let mut done = 0;
        for piece in bytes.chunks(PIPE) {
            match source {
                Source::Pipe => self.writer.write_all(piece)?,
                Source::File => write_at(&self.file, piece)?,
            }
            // SAFETY: the piece lies in the caller's range.
            unsafe { self.receive(piece.len(), to + done, source)? };
            done += piece.len();
        }
        Ok(())
    }

    /// Receives `length` bytes that are ready.
    ///
    /// # Safety
    ///
    /// As for [`Input::read`].
    unsafe fn receive(&mut self, length: usize, to: usize, source: Source) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let fd = if source == Source::Pipe { self.reader.as_raw_fd() } else { self.file.as_raw_fd() };
            let into = (to + done) as *mut libc::c_void;
            // SAFETY: the caller's range, which the system call may write as other code of this thread may.
            let n = unsafe {
                match source {
                    Source::Pipe => libc::read(fd, into, length - done),
                    Source::File => libc::pread(fd, into, length - done, done as libc::off_t),
                }
            };
            if n > 0 {
                done += n as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                _ if n == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(libc::EINTR) => {}
                Some(libc::EFAULT) => {
                    self.bounced += 1;
                    let mut buffer = vec![0; length - done];
                    match source {
                        Source::Pipe => self.reader.read_exact(&mut buffer)?,
                        Source::File => {
                            std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut buffer, done as u64)?
                        }
                    }
                    // SAFETY: the rest of the caller's range; data, which no tracer reads.
                    unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr(), into.cast(), buffer.len()) };
                    done = length;
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }
}

fn write_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}
