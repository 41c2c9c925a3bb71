//! A userfaultfd as the kernel has it: every request, no retries, the kernel's own error.
//!
//! The collector's module of the same name hides `EAGAIN`, splits ranges and picks privileges; here those are what is
//! observed, so this is a second, thinner one. Constants of kernels newer than this file's headers are written out.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::errno::Errno;

/// Write-protection faults on private anonymous memory (5.7).
pub const FEATURE_WP: u64 = 1 << 0;
/// Events when a tracked process forks (4.11).
pub const FEATURE_EVENT_FORK: u64 = 1 << 1;
/// Events when tracked memory moves (4.11).
pub const FEATURE_EVENT_REMAP: u64 = 1 << 2;
/// Events when tracked memory is given back (4.11).
pub const FEATURE_EVENT_REMOVE: u64 = 1 << 3;
/// Events when tracked memory is unmapped (4.11).
pub const FEATURE_EVENT_UNMAP: u64 = 1 << 6;
/// A fault becomes `SIGBUS` (4.14).
pub const FEATURE_SIGBUS: u64 = 1 << 7;
/// Minor faults on shmem (5.14).
pub const FEATURE_MINOR_SHMEM: u64 = 1 << 10;
/// Events carry the address to the byte (5.18).
pub const FEATURE_EXACT_ADDRESS: u64 = 1 << 11;
/// Write protection of shmem and hugetlbfs (5.19).
pub const FEATURE_WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
/// Write protection of pages nobody touched (6.4).
pub const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
/// `UFFDIO_POISON` (6.6).
pub const FEATURE_POISON: u64 = 1 << 14;
/// The kernel resolves write faults (6.7).
pub const FEATURE_WP_ASYNC: u64 = 1 << 15;
/// `UFFDIO_MOVE` (6.8).
pub const FEATURE_MOVE: u64 = 1 << 16;

/// Read-write protection (7.3).
pub const FEATURE_RWP: u64 = 1 << 17;
/// The kernel resolves faults of read-write protection (7.3).
pub const FEATURE_RWP_ASYNC: u64 = 1 << 18;

/// `UFFDIO_REGISTER_MODE_MISSING`.
pub const REGISTER_MISSING: u64 = 1 << 0;
/// `UFFDIO_REGISTER_MODE_WP`.
pub const REGISTER_WP: u64 = 1 << 1;
/// `UFFDIO_REGISTER_MODE_MINOR`.
pub const REGISTER_MINOR: u64 = 1 << 2;
/// `UFFDIO_REGISTER_MODE_RWP`.
pub const REGISTER_RWP: u64 = 1 << 3;

const USER_MODE_ONLY: libc::c_int = 1;

/// `UFFDIO_WRITEPROTECT_MODE_WP`.
pub const PROTECT: u64 = 1 << 0;
/// `UFFDIO_WRITEPROTECT_MODE_DONTWAKE`.
pub const DONT_WAKE: u64 = 1 << 1;

/// `UFFDIO_COPY_MODE_WP` and, with the same value, `UFFDIO_CONTINUE_MODE_WP`.
pub const FILL_PROTECTED: u64 = 1 << 1;

/// `_IOC(direction, 0xAA, number, size)`.
const fn request(direction: u64, number: u64, size: usize) -> u64 {
    direction << 30 | (size as u64) << 16 | 0xAA << 8 | number
}
const READ: u64 = 2;
const READ_WRITE: u64 = 3;

#[repr(C)]
#[derive(Default)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct Span {
    start: u64,
    len: u64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    len: u64,
    mode: u64,
}

/// `uffdio_copy` and `uffdio_move`, which are laid out alike.
#[repr(C)]
struct Fill {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    filled: i64,
}

/// `uffdio_zeropage`, `uffdio_continue` and `uffdio_poison`, which are laid out alike.
#[repr(C)]
struct Map {
    start: u64,
    len: u64,
    mode: u64,
    mapped: i64,
}

/// `struct uffd_msg`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Message {
    event: u8,
    reserved: [u8; 7],
    arguments: [u64; 3],
}
const _: () = assert!(size_of::<Message>() == 32, "the kernel reads and writes whole messages");

/// What a descriptor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A page fault at an address.
    Fault(Fault, usize),
    /// The process forked; this descriptor is for the child's memory.
    Fork(RawFd),
    /// Memory moved: from, to, length.
    Remap(usize, usize, usize),
    /// Memory was given back: start, end.
    Remove(usize, usize),
    /// Memory was unmapped: start, end.
    Unmap(usize, usize),
    /// An event this file does not know.
    Other(u8),
}

/// What kind of page fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No page there.
    Missing,
    /// A write to a protected page.
    WriteProtect,
    /// A page in the page cache that is not mapped.
    Minor,
    /// Any access to a page protected against reads too.
    ReadWriteProtect,
}

impl Event {
    fn decode(message: &Message) -> Event {
        let [a, b, c] = message.arguments;
        match message.event {
            0x12 if a & 8 != 0 => Event::Fault(Fault::ReadWriteProtect, b as usize),
            0x12 if a & 2 != 0 => Event::Fault(Fault::WriteProtect, b as usize),
            0x12 if a & 4 != 0 => Event::Fault(Fault::Minor, b as usize),
            0x12 => Event::Fault(Fault::Missing, b as usize),
            0x13 => Event::Fork(a as u32 as RawFd),
            0x14 => Event::Remap(a as usize, b as usize, c as usize),
            0x15 => Event::Remove(a as usize, b as usize),
            0x16 => Event::Unmap(a as usize, b as usize),
            other => Event::Other(other),
        }
    }

    /// The name in observations.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Fault(Fault::Missing, _) => "missing event",
            Event::Fault(Fault::WriteProtect, _) => "event",
            Event::Fault(Fault::Minor, _) => "minor event",
            Event::Fault(Fault::ReadWriteProtect, _) => "read-write event",
            Event::Fork(_) => "fork event",
            Event::Remap(..) => "remap event",
            Event::Remove(..) => "remove event",
            Event::Unmap(..) => "unmap event",
            Event::Other(_) => "unknown event",
        }
    }
}

/// An open userfaultfd.
#[derive(Debug)]
pub struct Uffd(OwnedFd);

impl AsRawFd for Uffd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Uffd {
    /// Takes over a descriptor, as one that came in a fork event.
    ///
    /// # Safety
    /// Nobody else closes `fd`.
    pub unsafe fn from_raw(fd: RawFd) -> Uffd {
        // SAFETY: the caller gives the descriptor up.
        Uffd(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Opens a descriptor that has not been told its features yet.
    pub fn open(user_mode_only: bool) -> Result<Uffd, Errno> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | if user_mode_only { USER_MODE_ONLY } else { 0 };
        // SAFETY: the call takes a number and makes a descriptor.
        match Errno::check(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) }) {
            // SAFETY: the kernel made this descriptor for us.
            Ok(fd) => Ok(unsafe { Uffd::from_raw(fd as RawFd) }),
            Err(refused) => Uffd::open_device(flags).map_err(|_| refused),
        }
    }

    fn open_device(flags: libc::c_int) -> Result<Uffd, Errno> {
        let device =
            std::fs::File::options().read(true).write(true).open("/dev/userfaultfd").map_err(Errno::from_io)?;
        // SAFETY: USERFAULTFD_IOC_NEW takes the flags as a number.
        let fd = Errno::check(unsafe { libc::ioctl(device.as_raw_fd(), request(0, 0, 0) as _, flags) } as i64)?;
        // SAFETY: the kernel made this descriptor for us.
        Ok(unsafe { Uffd::from_raw(fd as RawFd) })
    }

    /// `UFFDIO_API`: enables features and returns those the kernel has.
    pub fn enable(&self, features: u64) -> Result<u64, Errno> {
        let mut api = Api { api: 0xAA, features, ioctls: 0 };
        // SAFETY: Api is struct uffdio_api.
        unsafe { self.ioctl(request(READ_WRITE, 0x3F, size_of::<Api>()), &mut api) }?;
        Ok(api.features)
    }

    /// `UFFDIO_REGISTER`.
    pub fn register(&self, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
        let mut arguments = Register { start: start as u64, len: len as u64, mode, ioctls: 0 };
        // SAFETY: Register is struct uffdio_register.
        unsafe { self.ioctl(request(READ_WRITE, 0x00, size_of::<Register>()), &mut arguments) }
    }

    /// `UFFDIO_UNREGISTER`.
    pub fn unregister(&self, start: usize, len: usize) -> Result<(), Errno> {
        let mut span = Span { start: start as u64, len: len as u64 };
        // SAFETY: Span is struct uffdio_range.
        unsafe { self.ioctl(request(READ, 0x01, size_of::<Span>()), &mut span) }
    }

    /// `UFFDIO_WAKE`.
    pub fn wake(&self, start: usize, len: usize) -> Result<(), Errno> {
        let mut span = Span { start: start as u64, len: len as u64 };
        // SAFETY: Span is struct uffdio_range.
        unsafe { self.ioctl(request(READ, 0x02, size_of::<Span>()), &mut span) }
    }

    /// `UFFDIO_WRITEPROTECT` with any mode bits.
    pub fn write_protect(&self, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
        write_protect_raw(self.as_raw_fd(), start, len, mode)
    }

    /// `UFFDIO_RWPROTECT` with any mode bits.
    pub fn read_write_protect(&self, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
        let mut arguments = WriteProtect { start: start as u64, len: len as u64, mode };
        // SAFETY: WriteProtect is laid out as struct uffdio_rwprotect.
        unsafe { self.ioctl(request(READ_WRITE, 0x09, size_of::<WriteProtect>()), &mut arguments) }
    }

    /// `UFFDIO_COPY` of one page from `source`.
    pub fn copy(&self, start: usize, source: &[u8], mode: u64) -> Result<(), Errno> {
        let mut fill =
            Fill { dst: start as u64, src: source.as_ptr() as u64, len: source.len() as u64, mode, filled: 0 };
        // SAFETY: Fill is struct uffdio_copy; the kernel reads `source`, which is borrowed.
        unsafe { self.ioctl(request(READ_WRITE, 0x03, size_of::<Fill>()), &mut fill) }
    }

    /// `UFFDIO_MOVE`.
    pub fn move_pages(&self, to: usize, from: usize, len: usize) -> Result<(), Errno> {
        let mut fill = Fill { dst: to as u64, src: from as u64, len: len as u64, mode: 0, filled: 0 };
        // SAFETY: Fill is laid out as struct uffdio_move; the pages belong to the case's own arenas.
        unsafe { self.ioctl(request(READ_WRITE, 0x05, size_of::<Fill>()), &mut fill) }
    }

    /// `UFFDIO_ZEROPAGE`.
    pub fn zero(&self, start: usize, len: usize) -> Result<(), Errno> {
        self.map(0x04, start, len, 0)
    }

    /// `UFFDIO_CONTINUE`.
    pub fn continue_fault(&self, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
        self.map(0x07, start, len, mode)
    }

    /// `UFFDIO_POISON`.
    pub fn poison(&self, start: usize, len: usize) -> Result<(), Errno> {
        self.map(0x08, start, len, 0)
    }

    fn map(&self, number: u64, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
        let mut map = Map { start: start as u64, len: len as u64, mode, mapped: 0 };
        // SAFETY: Map is laid out as the structure of each of these three requests.
        unsafe { self.ioctl(request(READ_WRITE, number, size_of::<Map>()), &mut map) }
    }

    /// Events that wait to be read; empty when there is none.
    pub fn read(&self) -> Result<Vec<Event>, Errno> {
        read_raw(self.as_raw_fd())
    }

    /// # Safety
    /// `arguments` is the structure that `request` reads and writes.
    unsafe fn ioctl<T>(&self, request: u64, arguments: &mut T) -> Result<(), Errno> {
        // SAFETY: the caller vouches for the structure.
        unsafe { ioctl_raw(self.as_raw_fd(), request, arguments) }
    }
}

/// # Safety
/// `arguments` is the structure that `request` reads and writes.
unsafe fn ioctl_raw<T>(fd: RawFd, request: u64, arguments: &mut T) -> Result<(), Errno> {
    // SAFETY: the caller vouches for the structure.
    Errno::check(unsafe { libc::ioctl(fd, request as _, arguments as *mut T) } as i64).map(drop)
}

/// `UFFDIO_WRITEPROTECT` by descriptor number. Async-signal-safe.
pub fn write_protect_raw(fd: RawFd, start: usize, len: usize, mode: u64) -> Result<(), Errno> {
    let mut arguments = WriteProtect { start: start as u64, len: len as u64, mode };
    // SAFETY: WriteProtect is struct uffdio_writeprotect.
    unsafe { ioctl_raw(fd, request(READ_WRITE, 0x06, size_of::<WriteProtect>()), &mut arguments) }
}

/// Events that wait to be read from a descriptor, by number; empty when there is none.
pub fn read_raw(fd: RawFd) -> Result<Vec<Event>, Errno> {
    let mut events = Vec::new();
    read_each(fd, |event| events.push(event))?;
    Ok(events)
}

/// Hands on the events that wait to be read from a descriptor, 16 at most, and allocates nothing.
pub fn read_each(fd: RawFd, each: impl FnMut(Event)) -> Result<(), Errno> {
    let mut messages = [Message::default(); 16];
    // SAFETY: the buffer is writable and as long as said.
    let read = unsafe { libc::read(fd, messages.as_mut_ptr().cast(), size_of_val(&messages)) };
    match Errno::check(read as i64) {
        Ok(bytes) => messages[..bytes as usize / size_of::<Message>()].iter().map(Event::decode).for_each(each),
        Err(e) if e.0 == libc::EAGAIN => {}
        Err(e) => return Err(e),
    }
    Ok(())
}

impl From<Errno> for io::Error {
    fn from(e: Errno) -> io::Error {
        io::Error::from_raw_os_error(e.0)
    }
}
