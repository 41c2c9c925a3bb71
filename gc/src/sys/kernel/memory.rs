//! The calls that reserve memory, advise on it and give it back.

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Call, Kernel};
use crate::sys::errno;

/// `MADV_DONTNEED` that also takes locked pages (Linux 5.18).
const MADV_DONTNEED_LOCKED: libc::c_int = 24;

/// `MFD_NOEXEC_SEAL` (Linux 6.3).
const MFD_NOEXEC_SEAL: libc::c_uint = 8;

/// A call told to try again this often is not going to be done.
const TRIES: usize = 10_000;

impl Kernel {
    /// Reserves private anonymous memory at an address of the kernel's choice; commits nothing.
    pub(crate) fn reserve(&self, bytes: usize, protection: libc::c_int) -> io::Result<usize> {
        self.ask(Call::Mmap)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        mapped(unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) })
    }

    /// Maps a file over a range, readable, writable and shared.
    ///
    /// # Safety
    /// The range is a reservation of the caller's, to which nothing refers.
    pub(crate) unsafe fn map_over(&self, range: Range<usize>, file: &OwnedFd) -> io::Result<()> {
        // SAFETY: by this function's contract nothing is lost by replacing the range.
        unsafe { self.map_shared(range, file, libc::MAP_FIXED) }
    }

    /// The same where nothing is mapped, or `EEXIST`.
    pub(crate) fn map_into_gap(&self, range: Range<usize>, file: &OwnedFd) -> io::Result<()> {
        // SAFETY: with this flag nothing is replaced.
        unsafe { self.map_shared(range, file, libc::MAP_FIXED_NOREPLACE) }
    }

    /// # Safety
    /// With `MAP_FIXED`, as [`Kernel::map_over`].
    unsafe fn map_shared(&self, range: Range<usize>, file: &OwnedFd, place: libc::c_int) -> io::Result<()> {
        self.ask(Call::Mmap)?;
        let flags = libc::MAP_SHARED | place | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let start = range.start as *mut libc::c_void;
        // SAFETY: by this function's contract nothing is lost by replacing what is there.
        mapped(unsafe { libc::mmap(start, range.len(), protection, flags, file.as_raw_fd(), 0) })?;
        Ok(())
    }

    /// Unmaps a range.
    ///
    /// # Safety
    /// The range is a reservation of the caller's, to which nothing refers.
    pub(crate) unsafe fn unmap(&self, range: Range<usize>) -> io::Result<()> {
        self.ask(Call::Munmap)?;
        // SAFETY: by this function's contract.
        errno::check(unsafe { libc::munmap(range.start as *mut libc::c_void, range.len()) })?;
        Ok(())
    }

    /// Makes a file in memory, which closes on exec and, where the kernel can, never becomes executable.
    pub(crate) fn memfd(&self, name: &CStr) -> io::Result<OwnedFd> {
        self.ask(Call::MemfdCreate)?;
        // SAFETY: the call makes a new file; the name is a C string.
        let create = |flags| errno::check(unsafe { libc::memfd_create(name.as_ptr(), flags) });
        let fd = match create(libc::MFD_CLOEXEC | MFD_NOEXEC_SEAL) {
            Err(e) if errno::of(&e) == libc::EINVAL => create(libc::MFD_CLOEXEC)?,
            result => result?,
        };
        // SAFETY: the kernel just made this descriptor for us, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Sets the length of a file of ours.
    pub(crate) fn set_length(&self, file: &OwnedFd, bytes: usize) -> io::Result<()> {
        self.ask(Call::Ftruncate)?;
        let length = i64::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        // SAFETY: the call takes numbers only.
        errno::check(unsafe { libc::ftruncate(file.as_raw_fd(), length) })?;
        Ok(())
    }

    /// Gives back the pages at a range of offsets of a file of ours; they read as zero afterwards.
    pub(crate) fn punch_hole(&self, file: &OwnedFd, offsets: Range<usize>) -> io::Result<()> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let mut tries = 0;
        loop {
            let result = self.ask(Call::Release).and_then(|()| {
                // SAFETY: the call takes numbers only; the owner of the range says that nothing in it is alive.
                errno::check(unsafe {
                    libc::fallocate(file.as_raw_fd(), mode, offsets.start as i64, offsets.len() as i64)
                })
            });
            tries += 1;
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted && tries < TRIES => {}
                result => return result.map(|_| ()),
            }
        }
    }

    /// Gives back whole pages of anonymous memory, also where they are locked. False where the kernel does neither.
    ///
    /// # Safety
    /// Nothing in the range, which is private anonymous memory of the caller's, is alive.
    pub(crate) unsafe fn discard(&self, range: Range<usize>) -> io::Result<bool> {
        for advice in [libc::MADV_DONTNEED, MADV_DONTNEED_LOCKED] {
            let result = self.ask(Call::Release).and_then(|()| {
                // SAFETY: by this function's contract.
                errno::check(unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), advice) })
            });
            match result {
                Ok(_) => return Ok(true),
                Err(e) if errno::of(&e) == libc::EINVAL => {}
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// Keeps KSM off a range.
    pub(crate) fn unmergeable(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(Call::Advise, range, libc::MADV_UNMERGEABLE)
    }

    /// Keeps a range out of the children of forks.
    pub(crate) fn keep_from_children(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(Call::Advise, range, libc::MADV_DONTFORK)
    }

    /// Keeps huge pages off a range.
    pub(crate) fn no_huge_pages(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(Call::Advise, range, libc::MADV_NOHUGEPAGE)
    }

    /// Gives the pages of a range their memory, writable (Linux 5.14).
    pub(crate) fn populate(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(Call::Populate, range, libc::MADV_POPULATE_WRITE)
    }

    fn advise(&self, call: Call, range: &Range<usize>, advice: libc::c_int) -> io::Result<()> {
        self.ask(call)?;
        // SAFETY: none of the advice above changes what the range contains.
        errno::check(unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), advice) })?;
        Ok(())
    }

    /// Names an anonymous range in `/proc/self/maps` (Linux 5.17).
    pub(crate) fn name_range(&self, range: &Range<usize>, name: &CStr) -> io::Result<()> {
        self.ask(Call::Name)?;
        // SAFETY: naming a range changes nothing but the listing; the kernel copies the string.
        errno::check(unsafe {
            libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, range.start, range.len(), name.as_ptr())
        })?;
        Ok(())
    }
}

/// What `mmap(2)` answered, as an address or an error.
fn mapped(address: *mut libc::c_void) -> io::Result<usize> {
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address as usize) }
}
