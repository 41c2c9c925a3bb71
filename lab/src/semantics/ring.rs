//! An io_uring of one entry, by system call: enough to let the kernel read a file into a buffer.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::errno::Errno;
use super::stage::Stop;

const SETUP: libc::c_long = 425;
const ENTER: libc::c_long = 426;
const REGISTER: libc::c_long = 427;

/// `IORING_OP_READ_FIXED`.
pub const READ_FIXED: u8 = 4;
/// `IORING_OP_READ`.
pub const READ: u8 = 22;

/// `struct io_uring_params`, whose two offset tables are ten words each.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: [u32; 10],
    cq: [u32; 10],
}
const _: () = assert!(size_of::<Parameters>() == 120, "the kernel reads and writes all of it");

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Default)]
struct Entry {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    rw_flags: u32,
    user_data: u64,
    buffer_index: u16,
    personality: u16,
    splice_fd: i32,
    padding: [u64; 2],
}
const _: () = assert!(size_of::<Entry>() == 64, "an entry of the submission queue");

/// A ring.
#[derive(Debug)]
pub struct Ring {
    fd: OwnedFd,
    submission: usize,
    completion: usize,
    entries: usize,
    sq: [u32; 10],
    cq: [u32; 10],
}

impl Ring {
    /// Makes a ring.
    pub fn new() -> Result<Ring, Stop> {
        let mut parameters = Parameters::default();
        // SAFETY: Parameters is struct io_uring_params.
        let fd = Errno::check(unsafe { libc::syscall(SETUP, 1, &mut parameters) })
            .map_err(|e| Stop::Unsupported(format!("io_uring: {e}")))?;
        // SAFETY: the kernel made this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let map = |len: usize, offset: i64| {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
            // SAFETY: a new mapping of the ring where the kernel likes.
            let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd.as_raw_fd(), offset) };
            Errno::check(start as i64).map(|p| p as usize).map_err(|e| Stop::failed("mmap of the ring", e))
        };
        // Of a table of offsets we use: 0 head, 1 tail, 2 mask; of sq 6, the array; of cq 5, the completions.
        let submission = map(4096, 0)?;
        let completion = map(4096, 0x800_0000)?;
        let entries = map(4096, 0x1000_0000)?;
        Ok(Ring { fd, submission, completion, entries, sq: parameters.sq, cq: parameters.cq })
    }

    /// Pins a buffer, so that the kernel can store to it without looking at the page table again.
    pub fn pin(&self, address: usize, len: usize) -> Result<(), Errno> {
        let buffer = libc::iovec { iov_base: address as *mut _, iov_len: len };
        // IORING_REGISTER_BUFFERS is 0.
        // SAFETY: one buffer, which outlives the ring as all of a case's memory does.
        Errno::check(unsafe { libc::syscall(REGISTER, self.fd.as_raw_fd(), 0, &buffer, 1) }).map(drop)
    }

    /// Reads from `file` into memory and waits for it.
    pub fn read(&self, opcode: u8, file: i32, address: usize, len: u32) -> Result<(), Errno> {
        let entry = Entry { opcode, fd: file, address: address as u64, len, ..Entry::default() };
        // SAFETY: the rings are mapped with room for one entry, whose place the offsets tell, and nobody else uses them.
        unsafe {
            (self.entries as *mut Entry).write(entry);
            let tail = &*((self.submission + self.sq[1] as usize) as *const AtomicU32);
            let place = tail.load(Ordering::Relaxed);
            let array = (self.submission + self.sq[6] as usize) as *mut u32;
            array.write(0);
            tail.store(place + 1, Ordering::Release);
            let get_events = 1;
            let none = std::ptr::null::<libc::c_void>();
            Errno::check(libc::syscall(ENTER, self.fd.as_raw_fd(), 1, 1, get_events, none, 0usize))?;
            let head = &*((self.completion + self.cq[0] as usize) as *const AtomicU32);
            let place = head.load(Ordering::Acquire);
            let mask = *((self.completion + self.cq[2] as usize) as *const u32);
            // struct io_uring_cqe: user_data, result, flags.
            let completed = self.completion + self.cq[5] as usize + (place & mask) as usize * 16;
            let result = *((completed + 8) as *const i32);
            head.store(place + 1, Ordering::Release);
            if result < 0 { Err(Errno(-result)) } else { Ok(()) }
        }
    }
}
