//! A heap in shared memory: one memfd, mapped twice.
//!
//! The file is as long as the heap and holds only pages that were touched. The mutators' mapping is laid over a reserved, aligned
//! range; the collector's view is a second reservation like it. Pages are given back by punching a hole into the file,
//! which takes them out of both mappings. Write protection belongs to a mapping, not to the file, so the view is never armed.
//!
//! The file is sealed against becoming executable where the kernel can (Linux 6.3), which some distributions ask for
//! (`vm.memfd_noexec`), and closes on exec.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::reserve::{REMEDY, Reservation};
use super::{ALIGNMENT, madvise};
use crate::error::MemoryError;
use crate::sys::errno;

/// `MFD_NOEXEC_SEAL`.
const MFD_NOEXEC_SEAL: libc::c_uint = 8;

#[derive(Debug)]
pub(super) struct Shmem {
    file: OwnedFd,
    mutators: Reservation,
    collector: Reservation,
}

impl Shmem {
    pub fn new(bytes: usize, name: &str) -> Result<Shmem, MemoryError> {
        let failed = |call, source| MemoryError::Reserve { what: name.to_owned(), bytes, call, source, remedy: REMEDY };
        let file = memfd(name).map_err(|e| failed("memfd_create(2)", e))?;
        let length =
            i64::try_from(bytes).map_err(|_| failed("ftruncate(2)", io::Error::from_raw_os_error(libc::EFBIG)))?;
        // SAFETY: the call sets the length of a file nobody else knows.
        errno::check(unsafe { libc::ftruncate(file.as_raw_fd(), length) }).map_err(|e| failed("ftruncate(2)", e))?;
        let map = |what: &str| -> Result<Reservation, MemoryError> {
            let range = Reservation::new(bytes, ALIGNMENT, libc::PROT_NONE, what)?;
            map_over(&range, &file).map_err(|e| failed("mmap(2)", e))?;
            Ok(range)
        };
        let (mutators, collector) = (map(name)?, map(name)?);
        madvise::unmergeable(&(mutators.base..mutators.base + bytes));
        Ok(Shmem { file, mutators, collector })
    }

    pub fn base(&self) -> usize {
        self.mutators.base
    }

    /// First address of the collector's view.
    pub fn alias(&self) -> usize {
        self.collector.base
    }

    /// Gives back the pages at `offset` of the file, which mutators see at `range`.
    pub fn release(&self, offset: usize, range: &Range<usize>) -> Result<(), MemoryError> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        loop {
            // SAFETY: the caller owns the range and says that nothing in it is alive; the file is mapped by this heap only.
            let result = unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset as i64, range.len() as i64) };
            let Err(source) = errno::check(result) else { return Ok(()) };
            if source.kind() != io::ErrorKind::Interrupted {
                let (start, bytes, call) = (range.start, range.len(), "fallocate(FALLOC_FL_PUNCH_HOLE)");
                return Err(MemoryError::Release { start, bytes, call, source });
            }
        }
    }
}

fn memfd(name: &str) -> io::Result<OwnedFd> {
    let name = CString::new(madvise::printable(name)).map_err(io::Error::other)?;
    // SAFETY: the call makes a new file; the name is a C string.
    let create = |flags| errno::check(unsafe { libc::memfd_create(name.as_ptr(), flags) });
    let fd = match create(libc::MFD_CLOEXEC | MFD_NOEXEC_SEAL) {
        Err(e) if errno::of(&e) == libc::EINVAL => create(libc::MFD_CLOEXEC)?,
        result => result?,
    };
    // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Maps the file over a range reserved for it.
fn map_over(range: &Reservation, file: &OwnedFd) -> io::Result<()> {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the range is our own reservation, which nothing refers to yet.
    let address =
        unsafe { libc::mmap(range.base as *mut libc::c_void, range.bytes, protection, flags, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}
