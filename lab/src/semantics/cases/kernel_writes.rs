//! Stores that no instruction of the program makes: the kernel's own, on the program's behalf.
//!
//! A fault the kernel takes while it copies to user memory is not a fault of user mode. A descriptor for user mode only
//! does not serve it, and in `SIGBUS` mode there is nobody to signal: the system call fails with `EFAULT`. Where page
//! faults are disabled (futexes) the kernel tries again by hand, in a way that cannot wait.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use crate::semantics::case::Case;
use crate::semantics::cell::{Cell, Mode};
use crate::semantics::errno::Errno;
use crate::semantics::stage::{Outcome, Plan, Stage, Stop};
use crate::semantics::touch;

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "read-pipe",
        about: "read(2) from a pipe into an armed page.",
        run: |cell| {
            let (read, _write) = filled_pipe()?;
            stores(cell, |address| read_into(&read, address, 8))
        },
        ..KERNEL
    },
    Case {
        name: "read-file",
        about: "read(2) from a file into an armed page.",
        run: |cell| {
            let file = zeroes()?;
            stores(cell, |address| read_into(&file, address, 8))
        },
        ..KERNEL
    },
    Case {
        name: "read-direct",
        about: "read(2) from a file opened with O_DIRECT into an armed page.",
        run: read_direct,
        ..KERNEL
    },
    Case {
        name: "process-vm-writev",
        about: "process_vm_writev(2) into an armed page.",
        run: |cell| {
            stores(cell, |address| {
                let source = [7u8; 8];
                let local = libc::iovec { iov_base: source.as_ptr() as *mut _, iov_len: 8 };
                let remote = libc::iovec { iov_base: address as *mut _, iov_len: 8 };
                // SAFETY: the source is 8 bytes, the target is the case's own memory.
                let written = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
                Errno::check(written as i64).map(drop)
            })
        },
        ..KERNEL
    },
    Case {
        name: "proc-self-mem",
        about: "Write to an armed page through /proc/self/mem.",
        run: |cell| {
            let memory = File::options().write(true).open("/proc/self/mem");
            let memory = memory.map_err(|e| Stop::failed("/proc/self/mem", Errno::from_io(e)))?;
            stores(cell, |address| {
                use std::os::unix::fs::FileExt;
                memory.write_all_at(&[7; 8], address as u64).map_err(Errno::from_io)
            })
        },
        expected: |cell| match cell.mode {
            // The file's own error for what could not be reached.
            Mode::SyncUser | Mode::Sigbus => "EIO".into(),
            _ => works(cell),
        },
        ..KERNEL
    },
    Case {
        name: "syscall-out-parameter",
        about: "Let clock_gettime(2), as a system call, store its result in an armed page.",
        run: |cell| {
            stores(cell, |address| {
                // SAFETY: the target is the case's own memory, larger than a timespec.
                Errno::check(unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, address) })
                    .map(drop)
            })
        },
        ..KERNEL
    },
    Case {
        name: "vdso-out-parameter",
        about: "Let the vDSO's clock_gettime store its result in an armed page.",
        run: |cell| {
            // SAFETY: reads the auxiliary vector.
            if unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } == 0 {
                return Err(Stop::Unsupported("no vDSO".into()));
            }
            stores(cell, |address| {
                // A coarse clock never needs the system call behind the vDSO.
                // SAFETY: the target is the case's own memory, larger than a timespec.
                let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, address as *mut _) };
                Errno::check(result as i64).map(drop)
            })
        },
        expected: works,
        means: |_| "The vDSO runs in user mode: its stores are the program's.",
        ..KERNEL
    },
    Case {
        name: "futex-wake-op",
        about: "FUTEX_WAKE_OP, which adds to a word, on an armed page.",
        run: |cell| {
            stores(cell, |address| {
                let one: u32 = 0;
                // FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0).
                let operation = 1 << 28 | 1 << 12;
                let wake_op = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
                // SAFETY: both words are mapped.
                let result = unsafe { libc::syscall(libc::SYS_futex, &one, wake_op, 1, 1usize, address, operation) };
                Errno::check(result).map(drop)
            })
        },
        means: futex_means,
        ..KERNEL
    },
    Case {
        name: "futex-lock-pi",
        about: "FUTEX_LOCK_PI, which stores the owner, on an armed page.",
        run: |cell| {
            stores_over(cell, 0, |address| {
                // SAFETY: the word is the case's own memory.
                let result = unsafe {
                    let lock = libc::FUTEX_LOCK_PI | libc::FUTEX_PRIVATE_FLAG;
                    libc::syscall(libc::SYS_futex, address, lock, 0, std::ptr::null::<libc::timespec>())
                };
                Errno::check(result).map(drop)
            })
        },
        means: futex_means,
        ..KERNEL
    },
    Case {
        name: "signal-frame",
        about: "Take a signal on an alternate stack that is armed.",
        run: signal_frame,
        expected: |cell| match cell.mode {
            Mode::SyncUser | Mode::Sigbus => "killed by SIGSEGV".into(),
            _ => works(cell),
        },
        means: |observed| {
            if observed.starts_with("killed") {
                "The kernel cannot push the frame and kills the process: no stack that signals are taken on may be armed in this mode."
            } else {
                "Stacks can be armed."
            }
        },
        ..KERNEL
    },
    Case {
        name: "thread-exit",
        about: "End a thread whose clear_child_tid word lies on an armed page.",
        run: thread_exit,
        expected: |cell| match cell.mode {
            // "We don't do userfault handling for the final child pid update."
            Mode::Sync | Mode::SyncUser | Mode::Sigbus => "works, unseen; content: kept".into(),
            _ => format!("{}; content: zero", works(cell)),
        },
        means: |observed| {
            if observed.ends_with("kept") {
                "The word is not cleared and nobody is told: whoever joins the thread waits for ever. Thread descriptors must not lie in armed memory in this mode."
            } else {
                "The end of a thread is a write like others."
            }
        },
        ..KERNEL
    },
    Case {
        name: "vmsplice",
        about: "vmsplice(2) from a pipe into an armed page.",
        run: |cell| {
            let (read, _write) = filled_pipe()?;
            stores(cell, |address| {
                let target = libc::iovec { iov_base: address as *mut _, iov_len: 8 };
                // SAFETY: the target is the case's own memory.
                Errno::check(unsafe { libc::vmsplice(read.as_raw_fd(), &target, 1, 0) } as i64).map(drop)
            })
        },
        ..KERNEL
    },
];

const KERNEL: Case = Case {
    expected: |cell| match cell.mode {
        Mode::SyncUser | Mode::Sigbus => "EFAULT".into(),
        _ => works(cell),
    },
    means: |observed| match observed {
        "EFAULT" | "EIO" => {
            "The call fails, as for a bad pointer: in this mode the embedder must not hand armed memory to the kernel."
        }
        "works, unseen" | "works, unreported" => "The kernel stored and nobody was told: LOST.",
        _ => "The kernel's store is seen like any other.",
    },
    ..Case::USUAL
};

fn works(cell: &Cell) -> String {
    format!("works, {}", cell.mode.seen())
}

fn futex_means(observed: &str) -> &'static str {
    match observed {
        "EFAULT" => {
            "Futex operations that store fail on armed pages, in sync with every privilege: locks must not live in armed memory in this mode."
        }
        "works, unseen" | "works, unreported" => "The kernel stored and nobody was told: LOST.",
        _ => "Futexes can lie in armed memory.",
    }
}

fn stores(cell: &Cell, store: impl FnOnce(usize) -> Result<(), Errno>) -> Outcome {
    stores_over(cell, 1, store)
}

/// Lets the kernel store to an armed page whose word at the address is `before`.
fn stores_over(cell: &Cell, before: u8, store: impl FnOnce(usize) -> Result<(), Errno>) -> Outcome {
    let stage = Stage::new(cell, Plan::USUAL)?;
    touch::store(stage.memory.at(1) + 8, before);
    stage.arm(stage.memory.all())?;
    Ok(stage.kernel_write(1, store))
}

fn filled_pipe() -> Result<(OwnedFd, OwnedFd), Stop> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    let made = Errno::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as i64);
    made.map_err(|e| Stop::failed("pipe", e))?;
    // SAFETY: both descriptors were just made for us.
    let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: 8 bytes fit a pipe, so this does not wait.
    unsafe { libc::write(write.as_raw_fd(), [7u8; 8].as_ptr().cast(), 8) };
    Ok((read, write))
}

/// A file of one page, in memory.
fn zeroes() -> Result<OwnedFd, Stop> {
    // SAFETY: the name is a C string, and the descriptor is ours.
    let file = unsafe {
        let fd = Errno::check(libc::memfd_create(c"pagemark-source".as_ptr(), libc::MFD_CLOEXEC) as i64);
        OwnedFd::from_raw_fd(fd.map_err(|e| Stop::failed("memfd_create", e))? as i32)
    };
    // SAFETY: plain system call.
    unsafe { libc::ftruncate(file.as_raw_fd(), 4096) };
    Ok(file)
}

fn read_into(file: &OwnedFd, address: usize, len: usize) -> Result<(), Errno> {
    // SAFETY: the target is the case's own memory.
    Errno::check(unsafe { libc::read(file.as_raw_fd(), address as *mut _, len) } as i64).map(drop)
}

fn read_direct(cell: &Cell) -> Outcome {
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::env::temp_dir().join(format!("pagemark-semantics-{}", std::process::id()));
    let failed = |e| Stop::failed("a file in the temporary directory", Errno::from_io(e));
    std::fs::write(&path, [7u8; 4096]).map_err(failed)?;
    let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let removed = std::fs::remove_file(&path);
    let file = OwnedFd::from(opened.map_err(|_| Stop::Unsupported("no O_DIRECT in the temporary directory".into()))?);
    removed.map_err(failed)?;
    // The target of direct input is aligned.
    stores(cell, |address| read_into(&file, address & !4095, 4096))
}

static ARRIVED: AtomicBool = AtomicBool::new(false);

fn signal_frame(cell: &Cell) -> Outcome {
    extern "C" fn arrive(_: libc::c_int) {
        ARRIVED.store(true, Ordering::SeqCst);
    }
    let stage = Stage::armed(cell)?;
    // Fault handlers do not run on this stack, and a process that cannot take its signal shall die of it.
    // SAFETY: the default action of this process's own signals; the stack is the case's own memory.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        let ss_size = stage.memory.len().min(64 << 10);
        let stack = libc::stack_t { ss_sp: stage.memory.base as *mut _, ss_flags: 0, ss_size };
        Errno::check(libc::sigaltstack(&stack, std::ptr::null_mut()) as i64)
            .map_err(|e| Stop::failed("sigaltstack", e))?;
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = arrive as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
    // The frame is pushed at the end of the stack.
    let last = stage.memory.len().min(64 << 10) / stage.memory.page;
    let page = last.saturating_sub(1);
    let shown = stage.kernel_write(page, |_| {
        // SAFETY: sends this thread a signal that has a handler.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::syscall(libc::SYS_gettid), libc::SIGUSR1) };
        if ARRIVED.load(Ordering::SeqCst) { Ok(()) } else { Err(Errno(libc::EINTR)) }
    });
    Ok(shown)
}

fn thread_exit(cell: &Cell) -> Outcome {
    let stage = Stage::new(cell, Plan::USUAL)?;
    let word = stage.memory.at(1) + 8;
    touch::store(word, 1);
    stage.arm(stage.memory.all())?;
    let shown = stage.kernel_write(1, |address| {
        let thread = Arc::new(AtomicI32::new(0));
        let its_number = thread.clone();
        // The word of the library's own descriptor is never cleared, so nobody may join this thread.
        std::thread::spawn(move || {
            // SAFETY: names a word of the case's own memory, then ends this thread alone, which holds nothing.
            unsafe {
                its_number.store(libc::syscall(libc::SYS_set_tid_address, address) as i32, Ordering::SeqCst);
                libc::syscall(libc::SYS_exit, 0);
            }
        });
        let until = Instant::now() + Duration::from_secs(60);
        let ended = || match thread.load(Ordering::SeqCst) {
            0 => false,
            number => !std::path::Path::new(&format!("/proc/self/task/{number}")).exists(),
        };
        while !ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    });
    let content = if touch::load(word) == touch::Touch::Done(0) { "zero" } else { "kept" };
    Ok(format!("{shown}; content: {content}"))
}
