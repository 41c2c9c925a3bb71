//! The calls of a fork.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{Call, Kernel};
use crate::sys::errno;

impl Kernel {
    /// `fork(2)`: the child's process id, or 0 in the child.
    ///
    /// # Safety
    /// In the child there is only this thread. What other threads were changing at that moment stays half changed, and locks they held
    /// stay held.
    pub(crate) unsafe fn fork(&self) -> io::Result<libc::pid_t> {
        self.ask(Call::Fork)?;
        // SAFETY: by this function's contract.
        errno::check(unsafe { libc::fork() })
    }

    /// Makes `old` mean what `new` does, in one step.
    pub(crate) fn replace_descriptor(&self, old: &dyn AsRawFd, new: &dyn AsRawFd) -> io::Result<()> {
        self.ask(Call::Dup)?;
        // SAFETY: both are open descriptors of ours; whoever uses the old one's number is to use the new file from now on.
        errno::check(unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) })?;
        Ok(())
    }

    /// Copies what a file holds to memory: byte `offset` of it to `base + offset`. Holes, which read as zero, are left out.
    ///
    /// # Safety
    /// From `base` on there is zeroed memory of the caller's, as long as the file, to which nothing refers.
    pub(crate) unsafe fn copy_file_to(&self, file: &OwnedFd, base: usize) -> io::Result<()> {
        self.ask(Call::Copy)?;
        let mut from = 0;
        while let Some(Range { start, end }) = data(file, from)? {
            let mut at = start;
            while at < end {
                // SAFETY: the part lies within the file's length, for which there is memory by this function's contract.
                let read = unsafe {
                    libc::pread(file.as_raw_fd(), (base + at) as *mut libc::c_void, end - at, at as libc::off_t)
                };
                match usize::try_from(read) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(bytes) => at += bytes,
                    Err(_) => {
                        let error = io::Error::last_os_error();
                        if error.kind() != io::ErrorKind::Interrupted {
                            return Err(error);
                        }
                    }
                }
            }
            from = end;
        }
        Ok(())
    }
}

/// The next part of a file at or behind an offset that is not a hole.
fn data(file: &OwnedFd, from: usize) -> io::Result<Option<Range<usize>>> {
    let seek = |from: usize, whence| {
        // SAFETY: the call takes numbers only. The offset it moves is used by nobody.
        let at = unsafe { libc::lseek(file.as_raw_fd(), from as libc::off_t, whence) };
        usize::try_from(at).map_err(|_| io::Error::last_os_error())
    };
    match seek(from, libc::SEEK_DATA) {
        Ok(start) => Ok(Some(start..seek(start, libc::SEEK_HOLE)?)),
        Err(error) if errno::of(&error) == libc::ENXIO => Ok(None),
        Err(error) => Err(error),
    }
}
