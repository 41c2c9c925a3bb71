//! A process's own `SIGSEGV` and `SIGBUS` handlers work beside ours: what is not a heap's fault goes to whoever was there before.
//!
//! Each test has a process to itself, since handlers belong to the process and some of them end it.

mod barrier_support;

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use barrier_support::{PAGE, Tracked, in_child, succeeds_in_child};
use pagemark_gc::barrier::Mechanism;
use pagemark_gc::memory::Backing;
use pagemark_gc::sys::{Call, FaultPlan, Kernel, Outcome, When};

/// The two signals, each with the mechanism that handles it.
const BOTH: [(libc::c_int, Mechanism); 2] = [(libc::SIGSEGV, Mechanism::Mprotect), (libc::SIGBUS, Mechanism::Sigbus)];

/// A heap whose handler is installed and has resolved a fault, or nothing where this machine cannot.
fn heap(mechanism: Mechanism) -> Option<Tracked> {
    match Tracked::open(mechanism, Backing::Anon, 8, &Kernel::real()) {
        Ok(heap) => {
            heap.report();
            heap.write(1);
            assert_eq!(heap.report(), [1]);
            Some(heap)
        }
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// A handler of the embedder's that ran in the midst of ours, and stopped the thread for a pause, would leave a page writable that still counts
/// as armed. Faults are not held back: the handler we chain to may write to an armed page.
#[test]
fn while_a_fault_is_resolved_all_signals_wait_but_those_of_faults() {
    succeeds_in_child("while_a_fault_is_resolved_all_signals_wait_but_those_of_faults", || {
        for (signal, mechanism) in BOTH {
            let Some(_heap) = heap(mechanism) else { continue };
            // SAFETY: sigaction is made of integers and an optional function, for which all zeroes is a value.
            let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: only asks what is installed.
            assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), &mut ours) }, 0);
            assert_ne!(ours.sa_flags & libc::SA_NODEFER, 0);
            for other in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGPROF, libc::SIGURG, libc::SIGTERM] {
                // SAFETY: asks about a valid set.
                assert_eq!(unsafe { libc::sigismember(&ours.sa_mask, other) }, 1, "{mechanism}: signal {other}");
            }
            for fault in [libc::SIGSEGV, libc::SIGBUS] {
                // SAFETY: as above.
                assert_eq!(unsafe { libc::sigismember(&ours.sa_mask, fault) }, 0, "{mechanism}: signal {fault}");
            }
        }
    });
}

/// Pages that stay protected without being armed cost a fault each. However many there are in a row, each is one that ends.
#[test]
fn a_range_that_could_not_be_disarmed_is_written_page_by_page() {
    const PAGES: usize = 12_000;
    succeeds_in_child("a_range_that_could_not_be_disarmed_is_written_page_by_page", || {
        for backing in Backing::ALL {
            let plan = FaultPlan::new(0);
            let Ok(heap) = Tracked::open(Mechanism::Sigbus, *backing, PAGES, &Kernel::failing(&plan)) else { continue };
            heap.report();
            plan.set(Call::UffdUnprotect, When::Nth(1), Outcome::Fails(libc::ENOMEM));
            heap.opened.barrier.disarm(heap.pages(0, PAGES)).expect_err("the request fails");
            (0..PAGES).for_each(|page| heap.write(page));
            assert_eq!(heap.report().len(), PAGES, "{backing}");
        }
    });
}

/// An address at which a write raises the signal, and which no heap has.
fn forbidden(signal: libc::c_int) -> *mut u8 {
    // SAFETY: new mappings at addresses of the kernel's choice; a file of no length raises SIGBUS when touched.
    let address = unsafe {
        if signal == libc::SIGSEGV {
            libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        } else {
            let file = libc::memfd_create(c"empty".as_ptr(), 0);
            assert!(file >= 0);
            libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file, 0)
        }
    };
    assert_ne!(address, libc::MAP_FAILED);
    address.cast()
}

fn write_forbidden(signal: libc::c_int) {
    let address = forbidden(signal);
    EXPECTED.store(address as usize, Ordering::SeqCst);
    // SAFETY: not a valid write, which is the point: it raises a signal that the process handles or dies of.
    unsafe { address.write_volatile(1) };
}

fn install(signal: libc::c_int, handler: usize, flags: libc::c_int) {
    // SAFETY: the handlers of this file do only what handlers may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

static EXPECTED: AtomicUsize = AtomicUsize::new(0);
static ARMED_WORD: AtomicUsize = AtomicUsize::new(0);

/// What the handlers below end the process with.
const HANDLED: i32 = 42;

fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(code) }
}

extern "C" fn with_info(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's siginfo, handed through.
    let address = unsafe { (*info).si_addr() as usize };
    if context.is_null() || address != EXPECTED.load(Ordering::SeqCst) {
        exit(1);
    }
    // The mask must be as if this handler had been called by the kernel: its own, its signal, and no more.
    // SAFETY: asks for this thread's mask.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut mask);
        let held = |s| libc::sigismember(&mask, s) == 1;
        if !held(libc::SIGUSR1) || !held(signal) || held(libc::SIGUSR2) || held(libc::SIGTERM) {
            exit(2);
        }
    }
    exit(HANDLED);
}

extern "C" fn with_number(signal: libc::c_int) {
    exit(if signal == libc::SIGSEGV || signal == libc::SIGBUS { HANDLED } else { 3 });
}

/// Writes to an armed page, from within a handler.
extern "C" fn writes_to_the_heap(_signal: libc::c_int) {
    let word = ARMED_WORD.load(Ordering::SeqCst) as *mut u64;
    // SAFETY: the test stored the address of a word of a live heap here.
    unsafe { word.write_volatile(7) };
    exit(HANDLED);
}

/// A fault that is not the heap's, after `before` prepared the process; how the child ended.
fn foreign_fault(
    test: &str,
    signal: libc::c_int,
    mechanism: Mechanism,
    before: impl FnOnce(),
) -> std::process::ExitStatus {
    in_child(test, || {
        before();
        let Some(_heap) = heap(mechanism) else { exit(HANDLED) };
        write_forbidden(signal);
    })
    .status
}

fn handler_number(handler: extern "C" fn(libc::c_int)) -> usize {
    handler as *const () as usize
}

#[test]
fn a_foreign_segv_goes_to_the_handler_installed_before() {
    let test = "a_foreign_segv_goes_to_the_handler_installed_before";
    let before = || install(libc::SIGSEGV, with_info as *const () as usize, libc::SA_SIGINFO);
    assert_eq!(foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, before).code(), Some(HANDLED));
}

#[test]
fn a_foreign_bus_error_goes_to_the_handler_installed_before() {
    let test = "a_foreign_bus_error_goes_to_the_handler_installed_before";
    let before = || install(libc::SIGBUS, with_info as *const () as usize, libc::SA_SIGINFO);
    assert_eq!(foreign_fault(test, libc::SIGBUS, Mechanism::Sigbus, before).code(), Some(HANDLED));
}

#[test]
fn a_handler_without_siginfo_is_called_with_the_signals_number() {
    let test = "a_handler_without_siginfo_is_called_with_the_signals_number";
    let before = || install(libc::SIGSEGV, handler_number(with_number), 0);
    assert_eq!(foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, before).code(), Some(HANDLED));
}

#[test]
fn the_handler_chained_to_may_write_to_armed_pages() {
    succeeds_in_child("the_handler_chained_to_may_write_to_armed_pages", || {
        for (signal, mechanism) in BOTH {
            // SAFETY: the child of this fork only faults and exits; it was the only thread that uses what it needs.
            let child = unsafe { libc::fork() };
            if child == 0 {
                install(signal, handler_number(writes_to_the_heap), libc::SA_NODEFER);
                let Some(heap) = heap(mechanism) else { exit(HANDLED) };
                ARMED_WORD.store(heap.word(5, 0).as_ptr() as usize, Ordering::SeqCst);
                write_forbidden(signal);
                exit(4);
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, HANDLED), "{mechanism}");
        }
    });
}

#[test]
fn without_a_handler_a_foreign_segv_kills_with_segv() {
    let test = "without_a_handler_a_foreign_segv_kills_with_segv";
    let status = foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, || install(libc::SIGSEGV, libc::SIG_DFL, 0));
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
}

#[test]
fn without_a_handler_a_foreign_bus_error_kills_with_bus() {
    let test = "without_a_handler_a_foreign_bus_error_kills_with_bus";
    let status = foreign_fault(test, libc::SIGBUS, Mechanism::Sigbus, || install(libc::SIGBUS, libc::SIG_DFL, 0));
    assert!(status.signal() == Some(libc::SIGBUS) || status.code() == Some(HANDLED), "{status}");
}

#[test]
fn under_rusts_own_handler_a_foreign_segv_kills_with_segv() {
    let test = "under_rusts_own_handler_a_foreign_segv_kills_with_segv";
    let status = foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, || {});
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
}

#[test]
fn an_ignored_fault_kills_all_the_same() {
    let test = "an_ignored_fault_kills_all_the_same";
    let status = foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, || install(libc::SIGSEGV, libc::SIG_IGN, 0));
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
}

#[test]
fn an_ignored_signal_that_was_sent_stays_ignored() {
    succeeds_in_child("an_ignored_signal_that_was_sent_stays_ignored", || {
        install(libc::SIGSEGV, libc::SIG_IGN, 0);
        let Some(heap) = heap(Mechanism::Mprotect) else { return };
        // SAFETY: sends this process a signal it ignores.
        unsafe { libc::raise(libc::SIGSEGV) };
        heap.write(4);
        assert_eq!(heap.report(), [4]);
    });
}

#[test]
fn a_signal_that_was_sent_kills_where_nobody_handles_it() {
    let output = in_child("a_signal_that_was_sent_kills_where_nobody_handles_it", || {
        install(libc::SIGSEGV, libc::SIG_DFL, 0);
        let _heap = heap(Mechanism::Mprotect);
        // SAFETY: sends this process a signal it dies of.
        unsafe { libc::raise(libc::SIGSEGV) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", output.status);
}

#[test]
fn a_write_behind_a_dropped_heap_kills_and_does_not_hang() {
    let output = in_child("a_write_behind_a_dropped_heap_kills_and_does_not_hang", || {
        let Some(heap) = heap(Mechanism::Mprotect) else { return };
        let address = heap.address(0) as *mut u8;
        drop(heap);
        // SAFETY: not valid, which is the point: the memory is gone.
        unsafe { address.write_volatile(1) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", output.status);
}

#[test]
fn a_page_its_user_made_inaccessible_kills_under_sigbus() {
    // The check of the mapping comes before the userfaultfd: SIGSEGV, which is not this mechanism's.
    let output = in_child("a_page_its_user_made_inaccessible_kills_under_sigbus", || {
        let Some(heap) = heap(Mechanism::Sigbus) else { exit(HANDLED) };
        heap.report();
        // SAFETY: makes a page of the test's own heap read-only.
        assert_eq!(unsafe { libc::mprotect(heap.address(2) as *mut _, PAGE, libc::PROT_READ) }, 0);
        heap.write(2);
    });
    assert!(output.status.signal() == Some(libc::SIGSEGV) || output.status.code() == Some(HANDLED));
}

#[test]
fn errno_survives_a_fault() {
    succeeds_in_child("errno_survives_a_fault", || {
        for (_, mechanism) in BOTH {
            let Some(heap) = heap(mechanism) else { continue };
            heap.report();
            // SAFETY: this thread's errno; between its setting and its reading there is only a write that faults.
            let errno = unsafe {
                *libc::__errno_location() = libc::EXDEV;
                heap.word(6, 0).as_ptr().write_volatile(1);
                *libc::__errno_location()
            };
            assert_eq!((errno, heap.report()), (libc::EXDEV, vec![6]), "{mechanism}");
        }
    });
}

#[test]
fn a_bus_handler_without_siginfo_is_called_with_the_signals_number() {
    let test = "a_bus_handler_without_siginfo_is_called_with_the_signals_number";
    let before = || install(libc::SIGBUS, handler_number(with_number), 0);
    assert_eq!(foreign_fault(test, libc::SIGBUS, Mechanism::Sigbus, before).code(), Some(HANDLED));
}

#[test]
fn an_ignored_bus_error_kills_all_the_same() {
    let test = "an_ignored_bus_error_kills_all_the_same";
    let status = foreign_fault(test, libc::SIGBUS, Mechanism::Sigbus, || install(libc::SIGBUS, libc::SIG_IGN, 0));
    assert!(status.signal() == Some(libc::SIGBUS) || status.code() == Some(HANDLED), "{status}");
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Returns, as crash reporters do, to die of the fault: which it does not live to see twice.
extern "C" fn reports_and_returns(_signal: libc::c_int) {
    if CALLS.fetch_add(1, Ordering::SeqCst) > 0 {
        exit(5);
    }
}

#[test]
fn a_handler_that_is_to_be_called_once_is_called_once() {
    // Otherwise a handler that relies on it would be called for ever, and the process never end.
    let test = "a_handler_that_is_to_be_called_once_is_called_once";
    let before = || install(libc::SIGSEGV, handler_number(reports_and_returns), libc::SA_RESETHAND);
    assert_eq!(foreign_fault(test, libc::SIGSEGV, Mechanism::Mprotect, before).signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_bus_handler_that_is_to_be_called_once_is_called_once() {
    let test = "a_bus_handler_that_is_to_be_called_once_is_called_once";
    let before = || install(libc::SIGBUS, handler_number(reports_and_returns), libc::SA_RESETHAND);
    let status = foreign_fault(test, libc::SIGBUS, Mechanism::Sigbus, before);
    assert!(status.signal() == Some(libc::SIGBUS) || status.code() == Some(HANDLED), "{status}");
}

#[test]
fn a_foreign_fault_on_a_thread_without_an_alternate_stack_is_handed_on() {
    succeeds_in_child("a_foreign_fault_on_a_thread_without_an_alternate_stack_is_handed_on", || {
        for (signal, mechanism) in BOTH {
            // SAFETY: the child of this fork only faults and exits; it was the only thread that uses what it needs.
            let child = unsafe { libc::fork() };
            if child == 0 {
                install(signal, with_info as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
                let Some(heap) = heap(mechanism) else { exit(HANDLED) };
                let without = std::thread::spawn(move || {
                    let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                    // SAFETY: this thread's faults are handled on its own stack from here on, which is large enough.
                    assert_eq!(unsafe { libc::sigaltstack(&none, std::ptr::null_mut()) }, 0);
                    heap.report();
                    heap.write(3);
                    assert_eq!(heap.report(), [3]);
                    write_forbidden(signal);
                });
                let _ = without.join();
                exit(6);
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, HANDLED), "{mechanism}");
        }
    });
}

/// Four heaps, whose faults are their own, and then one that is nobody's.
fn several_heaps(test: &str, signal: libc::c_int, mechanism: Mechanism) {
    let status = in_child(test, || {
        install(signal, with_info as *const () as usize, libc::SA_SIGINFO);
        let mut heaps: Vec<_> = (0..4).map_while(|_| heap(mechanism)).collect();
        if heaps.len() < 4 {
            exit(HANDLED);
        }
        heaps.iter().for_each(|heap| assert!(heap.report().is_empty()));
        std::thread::scope(|scope| {
            for heap in &heaps {
                scope.spawn(|| (2..7).for_each(|page| heap.write(page)));
            }
        });
        heaps.iter().for_each(|heap| assert_eq!(heap.report(), [2, 3, 4, 5, 6]));
        // One heap less: its neighbours' faults are still theirs.
        heaps.remove(1);
        heaps.iter().for_each(|heap| heap.write(4));
        heaps.iter().for_each(|heap| assert_eq!(heap.report(), [4]));
        write_forbidden(signal);
    })
    .status;
    assert_eq!(status.code(), Some(HANDLED), "{mechanism}: {status}");
}

#[test]
fn segv_of_several_heaps_and_of_none_each_go_their_way() {
    let test = "segv_of_several_heaps_and_of_none_each_go_their_way";
    several_heaps(test, libc::SIGSEGV, Mechanism::Mprotect);
}

#[test]
fn bus_errors_of_several_heaps_and_of_none_each_go_their_way() {
    let test = "bus_errors_of_several_heaps_and_of_none_each_go_their_way";
    several_heaps(test, libc::SIGBUS, Mechanism::Sigbus);
}

#[test]
fn a_handler_that_could_not_be_installed_is_installed_for_the_next_heap() {
    succeeds_in_child("a_handler_that_could_not_be_installed_is_installed_for_the_next_heap", || {
        for (_, mechanism) in BOTH {
            for nth in [1, 2] {
                let plan = FaultPlan::new(0);
                plan.set(Call::Sigaction, When::Nth(nth), Outcome::Fails(libc::EINVAL));
                let Err(error) = Tracked::open(mechanism, Backing::Anon, 8, &Kernel::failing(&plan)) else {
                    panic!("{mechanism} opened without its handler");
                };
                let skipped = mechanism == Mechanism::Sigbus && plan.calls(Call::Sigaction) == 0;
                assert!(skipped || error.to_string().contains("sigaction(2)"), "{error}");
            }
            // Takes a fault.
            heap(mechanism);
        }
    });
}

/// A fault the kernel refuses to resolve, for `errno`; how the child ended, and what it said.
fn unresolved(test: &str, mechanism: Mechanism, when: When, errno: i32) -> (std::process::ExitStatus, String) {
    let output = in_child(test, || {
        let plan = FaultPlan::new(0);
        let heap = match Tracked::open(mechanism, Backing::Anon, 8, &Kernel::failing(&plan)) {
            Ok(heap) => heap,
            Err(error) => {
                eprintln!("skipped: {error}");
                exit(HANDLED)
            }
        };
        heap.report();
        for call in [Call::UffdUnprotect, Call::MprotectUnprotect] {
            plan.set(call, when, Outcome::Fails(errno));
        }
        heap.write(4);
        assert_eq!(heap.report(), [4]);
        exit(HANDLED);
    });
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_bus_error_that_cannot_be_resolved_kills_with_a_word() {
    let test = "a_bus_error_that_cannot_be_resolved_kills_with_a_word";
    let (status, said) = unresolved(test, Mechanism::Sigbus, When::Always, libc::EPERM);
    let died =
        status.signal() == Some(libc::SIGBUS) && said.contains("UFFDIO_WRITEPROTECT") && said.contains("errno 001");
    assert!(died || said.contains("skipped"), "{status}: {said}");
}

#[test]
fn a_segv_that_cannot_be_resolved_kills_with_a_word() {
    let test = "a_segv_that_cannot_be_resolved_kills_with_a_word";
    let (status, said) = unresolved(test, Mechanism::Mprotect, When::Always, libc::ENOMEM);
    assert!(status.signal() == Some(libc::SIGSEGV) && said.contains("mprotect(2)"), "{status}: {said}");
    assert!(said.contains("errno 012"), "{said}");
}

#[test]
fn a_shortage_that_passes_lets_a_bus_error_be_resolved() {
    let test = "a_shortage_that_passes_lets_a_bus_error_be_resolved";
    let (status, said) = unresolved(test, Mechanism::Sigbus, When::Nth(1), libc::ENOMEM);
    assert_eq!(status.code(), Some(HANDLED), "{said}");
}

#[test]
fn a_shortage_that_passes_lets_a_segv_be_resolved() {
    let test = "a_shortage_that_passes_lets_a_segv_be_resolved";
    let (status, said) = unresolved(test, Mechanism::Mprotect, When::Nth(1), libc::EAGAIN);
    assert_eq!(status.code(), Some(HANDLED), "{said}");
}
