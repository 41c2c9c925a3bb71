//! The process's `SIGSEGV` and `SIGBUS` handlers, and the manners they need in somebody else's process.
//!
//! One handler serves both signals, installed when the first heap needs it and never removed: whoever installs a
//! handler after us may keep ours to chain to. A fault at an address of a heap of ours is resolved and the instruction
//! tried again. Everything else goes to whoever was there before, as if we were not:
//! * a handler, with or without `SA_SIGINFO`, is called with its own signal mask, and may `siglongjmp` away; one with
//!   `SA_RESETHAND` is called once, and the next fault finds the default action, as crash reporters rely on that return
//!   from their handler to die of the fault;
//! * `SIG_DFL` is put back and the instruction tried again, so that the process dies of the same signal at the same
//!   place and its core dump shows it;
//! * `SIG_IGN` does the same for a fault, which the kernel does not let anybody ignore, and nothing for a
//!   signal sent with `kill`.
//!
//! How it is installed:
//! * `SA_ONSTACK`: where the thread has an alternate stack we run there, so a faulting stack can be served too.
//! * all signals are held back meanwhile but those of faults. A handler of the embedder's that ran in the midst of
//!   ours, and stopped the thread for a pause, would leave a page writable that still counts as armed.
//! * `SA_NODEFER`: faults themselves are not held back. The handler we chain to may write to an armed page, which must
//!   be served, not kill.
//! * `errno` is left as found.
//!
//! Another library that installs a handler after us and does not chain takes our faults; the process then dies of the
//! first one, in plain sight.

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fault_table;
use crate::sys::Kernel;
use crate::sys::errno::Preserved;

/// What was installed before us, for `SIGSEGV` and `SIGBUS`; null for the default action. Set before our handler can run,
/// and never freed, since a handler may be reading it.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 2];

/// Signals that report faults of the running instruction.
const FAULTS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

/// `SEGV_ACCERR`, and `BUS_ADRERR` as well: what a write to a protected page arrives with.
const PROTECTION_FAULT: libc::c_int = 2;

fn index(signal: libc::c_int) -> usize {
    usize::from(signal == libc::SIGBUS)
}

/// Installs the handler for `SIGSEGV` or `SIGBUS`, unless it is there already.
pub(super) fn install(signal: libc::c_int, kernel: &Kernel) -> io::Result<()> {
    static INSTALLED: Mutex<[bool; 2]> = Mutex::new([false; 2]);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if installed[index(signal)] {
        return Ok(());
    }
    // SAFETY: only asks what is installed.
    let before = Box::new(unsafe { kernel.sigaction(signal, None) }?);
    // Release: the handler finds the action complete. A box that a failed attempt left here is lost, and small.
    PREVIOUS[index(signal)].store(Box::into_raw(before), Ordering::Release);
    // SAFETY: sigaction is made of integers and an optional function, for which all zeroes is a value.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    // SAFETY: fills the mask of a sigaction of ours.
    unsafe { libc::sigfillset(&mut ours.sa_mask) };
    for fault in FAULTS {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&mut ours.sa_mask, fault) };
    }
    // SAFETY: `handle` has the signature SA_SIGINFO asks for, is async-signal-safe, and hands on what is not ours.
    unsafe { kernel.sigaction(signal, Some(&ours)) }?;
    installed[index(signal)] = true;
    Ok(())
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let preserved = Preserved::new();
    // SAFETY: the kernel passes a valid siginfo; for these signals it holds an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == PROTECTION_FAULT && fault_table::resolve(signal, address) {
        return;
    }
    // The visit to the fault table is over: the previous handler may well not return.
    drop(preserved);
    chain(signal, info, context);
}

/// Does what would have happened without us.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let sent_by_a_process = unsafe { (*info).si_code } <= 0;
    let place = &PREVIOUS[index(signal)];
    let found = place.load(Ordering::Acquire);
    // SAFETY: null, or an action that `install` leaked.
    let Some(before) = (unsafe { found.as_ref() }) else { return die(signal, sent_by_a_process) };
    match before.sa_sigaction {
        libc::SIG_DFL => return die(signal, sent_by_a_process),
        libc::SIG_IGN if sent_by_a_process => return,
        libc::SIG_IGN => return die(signal, false),
        _ => {}
    }
    if before.sa_flags & libc::SA_RESETHAND != 0
        && place.compare_exchange(found, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_err()
    {
        // Another thread's fault is using it up just now.
        return die(signal, sent_by_a_process);
    }
    adopt_mask(signal, before, context);
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        // SAFETY: installed with SA_SIGINFO, so it is a function of this type.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(before.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: installed without SA_SIGINFO, so it is a function of this type.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(before.sa_sigaction) };
        handler(signal);
    }
    // The mask from before the signal comes back when we return to the kernel.
}

/// Sets the signal mask the previous handler would have run with: what the interrupted code had, and its own.
fn adopt_mask(signal: libc::c_int, before: &libc::sigaction, context: *mut libc::c_void) {
    /// Signals there are: what the kernel saves of a mask. The rest of `sigset_t` is the C library's padding, and what
    /// lies there in a context is something else.
    const SIGNALS: libc::c_int = 64;
    // SAFETY: with SA_SIGINFO the context is a ucontext_t.
    let interrupted = unsafe { &(*(context as *const libc::ucontext_t)).uc_sigmask };
    // SAFETY: sigset_t is made of integers.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    for other in 1..=SIGNALS {
        // SAFETY: asks about the first 64 signals of two valid sets, and changes a set of ours.
        unsafe {
            if libc::sigismember(interrupted, other) == 1 || libc::sigismember(&before.sa_mask, other) == 1 {
                libc::sigaddset(&mut mask, other);
            }
        }
    }
    if before.sa_flags & libc::SA_NODEFER == 0 {
        // SAFETY: changes a set of ours.
        unsafe { libc::sigaddset(&mut mask, signal) };
    }
    // SAFETY: the mask is valid, and the kernel undoes this when the handler returns.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut()) };
}

/// Puts the default action back. A fault then happens again and kills; a signal that was sent is sent again.
fn die(signal: libc::c_int, send: bool) {
    // SAFETY: the default action needs no function; zeroes are no flags and an empty mask.
    unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &default, std::ptr::null_mut());
        if send {
            libc::raise(signal);
        }
    }
}
