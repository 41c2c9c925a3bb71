//! The collector's own threads, started by the C library and not by `std`.
//!
//! When a thread of `std` starts, it takes a lock of the whole process, for the message about overflowing stacks. If a process forks while
//! one of its threads is just starting or ending, the lock stays held in the child, and a thread that `std` starts there waits for it for ever.
//! The child of a fork needs a collector thread whatever the parent's other threads were doing, so this module starts threads by
//! pthread_create(3), whose own locks the C library puts in order in a child.
//!
//! What such a thread lacks is `std`'s message when its stack overflows; that ends the process all the same. Its function must not
//! unwind: it would end the process.

use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a stack, of which only those in use get memory: as much as `std` gives. Nothing of the collector recurses.
const STACK: usize = 2 << 20;

/// The longest name that the kernel keeps.
const NAME: usize = 15;

/// A thread that was started. Dropping it lets the thread go on, unwatched.
#[derive(Debug)]
pub(crate) struct JoinHandle {
    id: libc::pthread_t,
    over: Arc<AtomicBool>,
    joined: bool,
}

/// What a thread is given.
struct Start {
    name: CString,
    run: Box<dyn FnOnce() + Send>,
    over: Arc<AtomicBool>,
}

/// Starts a thread.
///
/// # Errors
/// Those of pthread_create(3).
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle> {
    let mut shown: Vec<u8> = name.bytes().filter(|byte| *byte != 0).collect();
    shown.truncate(NAME);
    let over = Arc::new(AtomicBool::new(false));
    let start =
        Box::new(Start { name: CString::new(shown).unwrap_or_default(), run: Box::new(run), over: over.clone() });
    let start = Box::into_raw(start);
    let mut id = MaybeUninit::uninit();
    // SAFETY: the attributes are made before they are used and destroyed after; `main` gets a pointer to what it expects, which it owns.
    let result = unsafe {
        let mut attributes = MaybeUninit::uninit();
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
        let result = libc::pthread_create(id.as_mut_ptr(), attributes.as_ptr(), main, start.cast());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        result
    };
    if result != 0 {
        // SAFETY: no thread was started, so the box is still ours.
        drop(unsafe { Box::from_raw(start) });
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: pthread_create(3) succeeded and wrote it.
    Ok(JoinHandle { id: unsafe { id.assume_init() }, over, joined: false })
}

extern "C" fn main(start: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made it from a box, for this call only.
    let Start { name, run, over } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // SAFETY: a string with its end, and this thread.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
    run();
    // Release pairs with the Acquire of `is_finished`: who sees the thread over sees all it did.
    over.store(true, Ordering::Release);
    ptr::null_mut()
}

impl JoinHandle {
    /// Waits for its end.
    pub fn join(mut self) {
        // SAFETY: a thread of ours that was neither joined nor detached, since both consume the handle.
        unsafe { libc::pthread_join(self.id, ptr::null_mut()) };
        self.joined = true;
    }

    /// Whether its function has returned.
    pub fn is_finished(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether it is the thread that asks.
    pub fn is_current(&self) -> bool {
        // SAFETY: always sound; the handle's thread was not joined, so its number is nobody else's.
        unsafe { libc::pthread_equal(self.id, libc::pthread_self()) != 0 }
    }
}

impl Drop for JoinHandle {
    fn drop(&mut self) {
        if !self.joined {
            // SAFETY: as in `join`.
            unsafe { libc::pthread_detach(self.id) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_name_and_ends() {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = spawn("a name that is too long", move || {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            tell.send(name).unwrap();
        })
        .unwrap();
        assert_eq!(told.recv().unwrap(), "a name that is \n");
        assert!(!thread.is_current());
        thread.join();
    }
}
