//! Where a mechanism cannot work, opening it says why and what would help, and `auto` goes on with another.
//!
//! Some refusals are made by denying the call before the kernel is asked, as an older kernel would; others are real: a
//! system call filter like a container's, and an ordinary user.

#![allow(clippy::single_range_in_vec_init, reason = "reports are compared with lists of runs, often of one")]

mod barrier_support;

use barrier_support::{PAGE, Tracked, each_backing, succeeds_in_child};
use pagemark_gc::barrier::Mechanism;
use pagemark_gc::error::BarrierError;
use pagemark_gc::memory::Backing;
use pagemark_gc::sys::{Denials, Kernel, uffd};

const USERFAULTFD_MECHANISMS: [Mechanism; 3] = [Mechanism::Async, Mechanism::Sync, Mechanism::Sigbus];

/// Opens and expects a refusal whose text has all the words.
fn refused(mechanism: Mechanism, backing: Backing, kernel: &Kernel, words: &[&str]) {
    let Err(error) = Tracked::open(mechanism, backing, 8, kernel) else { panic!("{mechanism} on {backing} opened") };
    assert!(matches!(error, BarrierError::Unavailable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(mechanism.name()), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

/// What `auto` chose, and its reason.
fn auto(kernel: &Kernel) -> (&'static str, String) {
    let heap = Tracked::open(Mechanism::Auto, Backing::Anon, 8, kernel).unwrap();
    heap.report();
    heap.write(3);
    if heap.opened.barrier.sees_writes() {
        heap.opened.barrier.settle();
        assert_eq!(heap.report(), [3]);
    }
    (heap.opened.barrier.name(), heap.opened.reason.clone().unwrap_or_default())
}

fn no_userfaultfd(errno: i32) -> Kernel {
    let denials = Denials { userfaultfd: Some(errno), userfaultfd_device: Some(libc::ENOENT), ..Denials::default() };
    Kernel::denying(denials)
}

fn works_here(mechanism: Mechanism) -> bool {
    let works = Tracked::open(mechanism, Backing::Anon, 8, &Kernel::real()).is_ok();
    if !works {
        eprintln!("skipped: this machine has no `{mechanism}`");
    }
    works
}

#[test]
fn without_userfaultfd_its_mechanisms_are_refused_with_cause_and_remedy() {
    for mechanism in USERFAULTFD_MECHANISMS {
        let words = ["does not exist", "CONFIG_USERFAULTFD", "seccomp"];
        refused(mechanism, Backing::Anon, &no_userfaultfd(libc::ENOSYS), &words);
        let words = ["not permitted", "CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd=1", "/dev/userfaultfd", "docker"];
        refused(mechanism, Backing::Anon, &no_userfaultfd(libc::EPERM), &words);
    }
}

#[test]
fn mechanisms_that_need_no_userfaultfd_open_without_it() {
    for mechanism in [Mechanism::Mprotect, Mechanism::Cards, Mechanism::Stop, Mechanism::None] {
        let kernel = no_userfaultfd(libc::ENOSYS);
        assert!(Tracked::open(mechanism, Backing::Anon, 8, &kernel).is_ok());
    }
}

#[test]
fn auto_takes_async_where_it_can_and_then_says_nothing() {
    if works_here(Mechanism::Async) {
        assert_eq!(auto(&Kernel::real()), ("async", String::new()));
    }
}

#[test]
fn auto_falls_back_to_sync_before_linux_6_7_and_says_why() {
    if !works_here(Mechanism::Sync) {
        return;
    }
    let kernel = Kernel::denying(Denials { features: uffd::FEATURE_WP_ASYNC, ..Denials::default() });
    let (name, reason) = auto(&kernel);
    assert_eq!(name, "sync");
    assert!(reason.contains("WP_ASYNC") && reason.contains("6.7"), "{reason}");
    let kernel = Kernel::denying(Denials { pagemap_scan: Some(libc::ENOTTY), ..Denials::default() });
    let (name, reason) = auto(&kernel);
    assert_eq!(name, "sync");
    assert!(reason.contains("PAGEMAP_SCAN"), "{reason}");
}

#[test]
fn auto_falls_back_to_stop_without_userfaultfd_and_says_why() {
    let (name, reason) = auto(&no_userfaultfd(libc::EPERM));
    assert_eq!(name, "stop");
    assert!(
        reason.contains("stops the mutators") && reason.contains("`async`") && reason.contains("`sync`"),
        "{reason}"
    );
    assert!(reason.contains("seccomp"), "{reason}");
}

#[test]
fn features_of_later_kernels_are_named_with_their_version() {
    if !works_here(Mechanism::Async) || !works_here(Mechanism::Sync) {
        return;
    }
    let without = |features| Kernel::denying(Denials { features, ..Denials::default() });
    let wp = without(uffd::FEATURE_WP);
    let shmem = without(uffd::FEATURE_WP_SHMEM);
    let asynchronous = without(uffd::FEATURE_WP_ASYNC);
    for mechanism in USERFAULTFD_MECHANISMS {
        refused(mechanism, Backing::Anon, &wp, &["5.7"]);
        refused(mechanism, Backing::Shmem, &shmem, &["shared memory", "5.19"]);
        assert!(Tracked::open(mechanism, Backing::Anon, 8, &shmem).is_ok(), "{mechanism}");
    }
    refused(Mechanism::Async, Backing::Anon, &asynchronous, &["WP_ASYNC", "6.7"]);
    refused(Mechanism::Sigbus, Backing::Anon, &without(uffd::FEATURE_SIGBUS), &["SIGBUS", "4.14"]);
}

#[test]
fn a_page_map_that_cannot_be_read_is_named_as_the_cause() {
    if works_here(Mechanism::Async) {
        let kernel = Kernel::denying(Denials { pagemap_open: Some(libc::EACCES), ..Denials::default() });
        refused(Mechanism::Async, Backing::Anon, &kernel, &["/proc/self/pagemap", "PR_SET_DUMPABLE"]);
    }
}

#[test]
fn shared_memory_on_a_kernel_that_may_lose_arming_comes_with_a_warning() {
    let kernel = Kernel::denying(Denials { features: uffd::FEATURE_WP_UNPOPULATED, ..Denials::default() });
    if let Ok(heap) = Tracked::open(Mechanism::Sync, Backing::Shmem, 8, &kernel) {
        assert!(heap.opened.reason.as_ref().unwrap().contains("6.2"));
    }
}

#[test]
fn a_filter_like_a_containers_leads_to_stop_and_a_reason() {
    succeeds_in_child("a_filter_like_a_containers_leads_to_stop_and_a_reason", || {
        filter(libc::EPERM);
        let (name, reason) = auto(&Kernel::real());
        assert_eq!(name, "stop");
        assert!(reason.contains("not permitted") && reason.contains("seccomp"), "{reason}");
        refused(Mechanism::Async, Backing::Anon, &Kernel::real(), &["not permitted", "/dev/userfaultfd"]);
        let heap = Tracked::open(Mechanism::Mprotect, Backing::Anon, 8, &Kernel::real()).unwrap();
        heap.report();
        heap.write(2);
        assert_eq!(heap.report(), [2]);
    });
}

#[test]
fn a_filter_that_hides_the_system_call_reads_like_a_kernel_without_it() {
    succeeds_in_child("a_filter_that_hides_the_system_call_reads_like_a_kernel_without_it", || {
        filter(libc::ENOSYS);
        refused(Mechanism::Sync, Backing::Shmem, &Kernel::real(), &["does not exist", "filter", "seccomp"]);
        assert_eq!(auto(&Kernel::real()).0, "stop");
    });
}

/// Denies this thread `userfaultfd(2)` with the errno, and, with `EACCES`, opening anything for reading and writing, which
/// is how the device is opened.
fn filter(errno: i32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |k: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |k: u32| statement(libc::BPF_RET | libc::BPF_K, k);
    let open_flags = (libc::O_RDWR | libc::O_CLOEXEC) as u32;
    // Offsets in struct seccomp_data: the call's number at 0, its third argument at 32.
    let mut program = [
        load(0),
        unless(libc::SYS_userfaultfd as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | errno as u32),
        unless(libc::SYS_openat as u32, 3),
        load(32),
        unless(open_flags, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EACCES as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: affects this thread's system calls only; the program is valid for the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

/// Makes this process an ordinary user's.
fn become_nobody() {
    // SAFETY: only changes this process's identity; a process started as that user would be dumpable.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
        }
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    }
}

#[test]
fn async_works_for_an_ordinary_user() {
    if !works_here(Mechanism::Async) {
        return;
    }
    succeeds_in_child("async_works_for_an_ordinary_user", || {
        become_nobody();
        assert_eq!(auto(&Kernel::real()), ("async", String::new()));
        each_backing(Mechanism::Async, 64, &Kernel::real(), |heap, _| {
            assert_eq!(heap.take(0, 64), [0..64]);
            (10..20).for_each(|page| heap.write(page));
            assert_eq!(heap.take(0, 64), [10..20]);
            assert_eq!(read_into(&heap, 30), Ok(PAGE));
            assert_eq!(heap.report(), [30]);
        });
    });
}

#[test]
fn a_process_that_is_not_dumpable_is_told_so() {
    if !works_here(Mechanism::Async) {
        return;
    }
    succeeds_in_child("a_process_that_is_not_dumpable_is_told_so", || {
        become_nobody();
        // SAFETY: only changes who may look into this process.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }, 0);
        refused(Mechanism::Async, Backing::Anon, &Kernel::real(), &["PR_SET_DUMPABLE"]);
    });
}

#[test]
fn sync_for_an_ordinary_user_works_and_warns_of_system_calls() {
    if !works_here(Mechanism::Sync) {
        return;
    }
    succeeds_in_child("sync_for_an_ordinary_user_works_and_warns_of_system_calls", || {
        become_nobody();
        each_backing(Mechanism::Sync, 64, &Kernel::real(), |heap, what| {
            let Some(reason) = &heap.opened.reason else { return eprintln!("skipped: privileged all the same") };
            assert!(reason.contains("EFAULT"), "{what}: {reason}");
            heap.report();
            heap.write(5);
            assert_eq!(heap.report(), [5], "{what}");
            assert_eq!(read_into(&heap, 30), Err(libc::EFAULT), "{what}");
            assert!(heap.report().is_empty(), "{what}");
        });
    });
}

#[test]
fn system_calls_that_store_into_armed_pages_do_what_the_table_in_the_design_says() {
    let user_mode_only = Kernel::denying(Denials { full_privilege: Some(libc::EPERM), ..Denials::default() });
    let works_and_is_seen = (Ok(PAGE), vec![3]);
    let works_unseen = (Ok(PAGE), vec![]);
    let fails = (Err(libc::EFAULT), vec![]);
    let cases = [
        (Mechanism::Async, Kernel::real(), &works_and_is_seen),
        (Mechanism::Async, user_mode_only.clone(), &works_and_is_seen),
        (Mechanism::Sync, Kernel::real(), &works_and_is_seen),
        (Mechanism::Sync, user_mode_only, &fails),
        (Mechanism::Sigbus, Kernel::real(), &fails),
        (Mechanism::Mprotect, Kernel::real(), &fails),
        (Mechanism::Cards, Kernel::real(), &works_unseen),
    ];
    for (mechanism, kernel, expected) in cases {
        each_backing(mechanism, 8, &kernel, |heap, what| {
            // Without privilege here, `sync` is the other case.
            if mechanism == Mechanism::Sync && expected.0.is_ok() && heap.opened.reason.is_some() {
                return;
            }
            heap.report();
            assert_eq!(&(read_into(&heap, 3), heap.report()), expected, "{what}");
        });
    }
}

/// `read(2)` of a page of zeroes into a page of the heap: its answer, or its errno.
fn read_into(heap: &Tracked, page: usize) -> Result<usize, i32> {
    use std::os::fd::AsRawFd;
    let zeroes = std::fs::File::open("/dev/zero").unwrap();
    // SAFETY: the page belongs to the test, and may be written by anybody.
    let read = unsafe { libc::read(zeroes.as_raw_fd(), heap.address(page) as *mut libc::c_void, PAGE) };
    usize::try_from(read).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap())
}
