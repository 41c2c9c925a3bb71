//! Loads and stores whose faults are an answer instead of the end.
//!
//! A probe is one instruction with a known address. The handler for `SIGBUS` and `SIGSEGV` that finds the program
//! counter there makes the probe return the signal, its code and its address. A fault anywhere else means that
//! something other than a probe touched tracked memory, such as the vDSO. In `SIGBUS` mode the handler then
//! does what a collector's would: count it, unprotect the page, go on. Anything it cannot unprotect kills the process, and the
//! parent reports which signal did.

use std::arch::global_asm;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use super::errno::Errno;
use super::uffd;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl pagemark_probe_store",
    "pagemark_probe_store:",
    "mov byte ptr [rdi], sil",
    "xor eax, eax",
    "xor edx, edx",
    "ret",
    ".globl pagemark_probe_load",
    "pagemark_probe_load:",
    "movzx edx, byte ptr [rdi]",
    "xor eax, eax",
    "ret",
    ".globl pagemark_probe_faulted",
    "pagemark_probe_faulted:",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl pagemark_probe_store",
    "pagemark_probe_store:",
    "strb w1, [x0]",
    "mov x0, #0",
    "mov x1, #0",
    "ret",
    ".globl pagemark_probe_load",
    "pagemark_probe_load:",
    "ldrb w1, [x0]",
    "mov x0, #0",
    "ret",
    ".globl pagemark_probe_faulted",
    "pagemark_probe_faulted:",
    "ret",
);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the probes of `pagemark semantics` are written for x86-64 and AArch64");

/// Two registers: 0 and the byte loaded, or the signal with its code and the fault's address.
#[repr(C)]
struct Returned {
    signal_and_code: u64,
    value: u64,
}

unsafe extern "C" {
    fn pagemark_probe_store(address: usize, value: u8) -> Returned;
    fn pagemark_probe_load(address: usize) -> Returned;
    fn pagemark_probe_faulted();
}

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// The access went through; a load's value, 0 for a store.
    Done(u8),
    /// The access raised a signal.
    Signal(Signal),
}

/// A fault as a signal handler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// `SIGBUS` or `SIGSEGV`.
    pub number: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub address: usize,
}

impl Signal {
    /// The signal's name.
    pub fn name(&self) -> &'static str {
        signal_name(self.number)
    }
}

/// The name of a signal that can end a case.
pub fn signal_name(number: i32) -> &'static str {
    match number {
        libc::SIGBUS => "SIGBUS",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGKILL => "SIGKILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGILL => "SIGILL",
        libc::SIGSYS => "SIGSYS",
        _ => "another signal",
    }
}

impl Returned {
    fn decode(self) -> Touch {
        if self.signal_and_code == 0 {
            return Touch::Done(self.value as u8);
        }
        Touch::Signal(Signal {
            number: (self.signal_and_code >> 32) as i32,
            code: self.signal_and_code as u32 as i32,
            address: self.value as usize,
        })
    }
}

/// Stores a byte.
pub fn store(address: usize, value: u8) -> Touch {
    // SAFETY: the address lies in a case's own memory; a fault is caught by `handle`.
    unsafe { pagemark_probe_store(address, value) }.decode()
}

/// Loads a byte.
pub fn load(address: usize) -> Touch {
    // SAFETY: the address lies in a case's own memory; a fault is caught by `handle`.
    unsafe { pagemark_probe_load(address) }.decode()
}

/// The descriptor with which the handler unprotects, or -1.
static RESOLVER: AtomicI32 = AtomicI32::new(-1);
/// The page size with which it does.
static RESOLVER_PAGE: AtomicUsize = AtomicUsize::new(4096);
/// How many faults the handler resolved.
static RESOLVED: AtomicU32 = AtomicU32::new(0);

/// Lets the handler unprotect pages that something other than a probe writes to.
pub fn resolve_with(fd: i32, page: usize) {
    RESOLVER_PAGE.store(page, Ordering::SeqCst);
    RESOLVER.store(fd, Ordering::SeqCst);
}

/// Takes the number of faults the handler resolved.
pub fn take_resolved() -> u32 {
    RESOLVED.swap(0, Ordering::SeqCst)
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &mut libc::ucontext_t) -> [&mut u64; 3] {
    // The program counter and the two registers a pair is returned in.
    let registers = &mut context.uc_mcontext.gregs;
    let [pc, rax, rdx] = registers
        .get_disjoint_mut([libc::REG_RIP as usize, libc::REG_RAX as usize, libc::REG_RDX as usize])
        .expect("three different registers");
    // SAFETY: i64 and u64 have the same layout, and the borrows are disjoint.
    unsafe { [&mut *(pc as *mut i64).cast(), &mut *(rax as *mut i64).cast(), &mut *(rdx as *mut i64).cast()] }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &mut libc::ucontext_t) -> [&mut u64; 3] {
    let machine = &mut context.uc_mcontext;
    let [x0, x1] = machine.regs.get_disjoint_mut([0, 1]).expect("two different registers");
    [&mut machine.pc, x0, x1]
}

extern "C" fn handle(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo of a fault and the interrupted context to an SA_SIGINFO handler.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    // SAFETY: SIGBUS and SIGSEGV carry an address.
    let address = unsafe { info.si_addr() } as usize;
    let [pc, first, second] = registers(context);
    let probes = [pagemark_probe_store as *const () as u64, pagemark_probe_load as *const () as u64];
    if probes.contains(pc) {
        *pc = pagemark_probe_faulted as *const () as u64;
        *first = (number as u64) << 32 | info.si_code as u32 as u64;
        *second = address as u64;
        return;
    }
    let fd = RESOLVER.load(Ordering::SeqCst);
    let page = RESOLVER_PAGE.load(Ordering::SeqCst);
    if number == libc::SIGBUS && fd >= 0 && uffd::write_protect_raw(fd, address & !(page - 1), page, 0).is_ok() {
        RESOLVED.fetch_add(1, Ordering::SeqCst);
        return;
    }
    // SAFETY: the default action is restored, and the same instruction faults again and ends the process.
    unsafe { libc::signal(number, libc::SIG_DFL) };
}

/// Installs the handler in this process.
pub fn catch_faults() -> Result<(), Errno> {
    // SAFETY: all zeroes is a value of sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    for number in [libc::SIGBUS, libc::SIGSEGV] {
        // SAFETY: `handle` is an SA_SIGINFO handler and makes async-signal-safe calls only.
        Errno::check(unsafe { libc::sigaction(number, &action, std::ptr::null_mut()) } as i64)?;
    }
    Ok(())
}
