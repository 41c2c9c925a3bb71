//! What a user can get wrong in one line of text or find refused by the machine, and what the answer must say.
//!
//! Two rules. A configuration that cannot be meant is an error that lists what could have been: no key is ignored and no value is bent. A
//! mechanism that was asked for by name and cannot work here is an error that names the cause and a remedy, while `auto` takes one that works and says why.
//!
//! Whether a mechanism works is a matter of privileges and of what a container lets through, so those tests run in a child process that gives up
//! what it has: the test binary starts itself again for one ignored test, as an ordinary user, under a system call filter, or with limits on
//! memory and threads. Where this process cannot become an ordinary user (it is one already), it stays what it is.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

use pagemark::typed::Heap;
use pagemark::{Config, ConfigError};
use pagemark_workspace::Watchdog;

fn watchdog() -> Watchdog {
    Watchdog::start(Duration::from_secs(300))
}

fn refusal(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

#[test]
fn an_unknown_key_is_refused_with_all_there_are_and_the_one_that_was_meant() {
    let error = refusal("limt=1G");
    assert!(error.contains("`limt`") && error.contains("did you mean `limit`"), "{error}");
    for key in ["mechanism", "backing", "limit", "heap", "growth", "markers", "rounds", "log", "verify", "zeal", "name"]
    {
        assert!(error.contains(key), "{key}: {error}");
    }
    assert!(!refusal("colour=red").contains("did you mean"));
}

#[test]
fn a_bad_value_is_refused_with_what_is_allowed() {
    for (text, allowed) in [
        ("mechanism=magic", "auto|async|sync|sigbus|mprotect|cards|stop"),
        ("mechanism=Async", "auto|async"),
        ("backing=disk", "anon|shmem"),
        ("limit=3M", "4M to 4T"),
        ("limit=5T", "4M to 4T"),
        ("limit=-1G", "SIZE"),
        ("limit=lots", "SIZE"),
        ("limit=99999999999G", "SIZE"),
        ("growth=1.0", "at least 1.1"),
        ("growth=inf", "at least 1.1"),
        ("growth=NaN", "at least 1.1"),
        ("markers=0", "1 to 64"),
        ("markers=65", "1 to 64"),
        ("rounds=101", "0 to 100"),
        ("log=loud", "off|gc"),
        ("verify=yes", "off|mark"),
        ("zeal=alloc:0", "N at least 1"),
        ("zeal=often", "safepoint:N"),
        ("summary=maybe", "true|false"),
    ] {
        let error = refusal(text);
        let value = text.split_once('=').expect("a key and a value").1;
        assert!(error.contains(allowed), "{text}: {error}");
        assert!(error.contains(&format!("={value}")) || value == "NaN" || value == "1.0", "{text}: {error}");
    }
    assert!(refusal("limit").contains("needs a value"));
    assert!(refusal("limit=").contains("needs a value"));
    assert!(refusal("limit=1G,markers=2,limit=2G").contains("twice"));
    assert!(refusal("heap=1G,limit=512M").contains("`heap=1G` is above `limit=512M`"));
}

#[test]
fn after_an_error_the_configuration_is_what_it_was() {
    let mut config = Config::parse("limit=64M,markers=3").expect("a configuration");
    let before = config.clone();
    assert!(matches!(config.apply("markers=2,growth=0.5"), Err(ConfigError::BadValue { key: "growth", .. })));
    assert_eq!(config, before);
}

#[test]
fn what_is_configured_is_what_the_heap_says_of_itself() {
    let _watchdog = watchdog();
    for mechanism in ["async", "sync", "sigbus", "mprotect", "cards", "stop"] {
        for backing in ["anon", "shmem"] {
            let config =
                Config::parse(&format!("mechanism={mechanism},backing={backing},limit=64M,name=a heap,summary"));
            let heap = Heap::new(&config.expect("a configuration")).expect("a heap");
            let summary = heap.summary();
            assert_eq!((&*summary.mechanism, &*summary.backing, &*summary.name), (mechanism, backing, "a heap"));
            assert_eq!(heap.raw().cards().is_some(), mechanism == "cards");
            let line = heap.raw().summary_line().expect("it was asked for");
            assert!(line.contains(&format!("\"mechanism\":\"{mechanism}\"")), "{line}");
        }
    }
    let quiet = Heap::new(&Config::parse("limit=64M").expect("a configuration")).expect("a heap");
    assert_eq!(quiet.raw().summary_line(), None);
    assert_ne!(quiet.raw().mechanism(), "auto");
}

#[test]
fn a_limit_no_machine_has_is_refused_and_not_a_panic() {
    let _watchdog = watchdog();
    for limit in ["16384G", "65536G", "1048576G", "1073741824G", "4294967296G", "17179869183G"] {
        let error = refusal(&format!("mechanism=stop,limit={limit}"));
        assert!(error.contains("limit") && error.contains("4M to 4T"), "limit={limit}: {error}");
    }
    // The most that may be asked for, where a process has so many addresses.
    let config = Config::parse("mechanism=stop,limit=4T").expect("a configuration");
    if let Err(error) = Heap::new(&config) {
        let error = error.to_string();
        assert!(error.contains("limit"), "{error}");
    }
}

#[test]
fn a_heap_too_many_for_the_signal_handlers_is_refused_with_what_would_help() {
    let _watchdog = watchdog();
    // Where some other test's heaps are in the table, it is full sooner.
    let mut heaps = Vec::new();
    let config = Config::parse("mechanism=mprotect,limit=4M").expect("a configuration");
    let error = loop {
        match Heap::new(&config) {
            Ok(heap) => heaps.push(heap),
            Err(error) => break error.to_string(),
        }
        assert!(heaps.len() <= 1000, "there is no end to it");
    };
    assert!(error.contains("`mprotect` is not available") && error.contains("drop a heap"), "{error}");
    heaps.pop();
    Heap::new(&config).expect("one was dropped");
}

/// What a child gives up before it becomes this test binary again.
#[derive(Clone, Copy, Default)]
struct Without {
    /// Root's privileges.
    privileges: bool,
    /// `userfaultfd(2)`, as a container's system call filter does.
    userfaultfd: bool,
    /// Addresses beyond so many bytes.
    addresses: Option<u64>,
    /// Threads beyond those of a process (and a user).
    threads: bool,
}

/// Runs the test `what` of this binary in a child with `PAGEMARK_GC` set to `config`.
fn child(what: &str, config: &str, without: Without) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", what, "--ignored", "--nocapture", "--test-threads=1"]).env(Config::ENVIRONMENT, config);
    // SAFETY: geteuid only answers.
    if (without.privileges || without.threads) && unsafe { libc::geteuid() } == 0 {
        // A user of nobody else's, so that the limit on its threads counts ours only.
        let user = 100_000 + std::process::id() * 2 + u32::from(without.threads);
        command.uid(user).gid(user).current_dir("/");
    }
    // SAFETY: the closure runs in the child between fork and exec, and only makes system calls.
    unsafe {
        command.pre_exec(move || {
            if let Some(bytes) = without.addresses {
                limit(libc::RLIMIT_AS, bytes)?;
            }
            if without.threads {
                limit(libc::RLIMIT_NPROC, 5)?;
            }
            if without.userfaultfd { deny_userfaultfd() } else { Ok(()) }
        });
    }
    command.output().expect("this binary starts again")
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the call reads the structure.
    if unsafe { libc::setrlimit(resource, &limit) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// From now on `userfaultfd(2)` fails with `EPERM` in this process and its children.
fn deny_userfaultfd() -> std::io::Result<()> {
    let instruction = |code: u32, jt, jf, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        // The number of the system call is the first word.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_userfaultfd as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the calls take numbers, and a program that outlives the second.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// What the child printed, and that it ended well.
fn said(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child failed: {text}");
    assert!(text.contains("1 passed"), "the child ran no test: {text}");
    text
}

/// Not a test: what [`child`] runs. Opens a heap as the environment says, uses it, and prints what it is or why there is none.
#[test]
#[ignore = "run by other tests, in a child"]
fn open_a_heap_as_the_environment_says() {
    let _watchdog = watchdog();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return println!("REFUSED {error}"),
    };
    let heap = match Heap::new(&config) {
        Ok(heap) => heap,
        Err(error) => return println!("REFUSED {error}"),
    };
    let mut m = heap.attach();
    let kept = m.root(Some(m.alloc_array::<u64>(100_000).expect("below the limit")));
    m.collect();
    for i in 0..100_000 {
        kept.get(&m).expect("rooted")[i].set(Some(m.alloc(i as u64).expect("below the limit")));
    }
    m.collect();
    let whole =
        kept.get(&m).expect("rooted").iter().enumerate().all(|(i, slot)| slot.get(&m).map(|n| *n) == Some(i as u64));
    println!("OPENED {config} whole={whole} mechanism in use: {}", heap.raw().mechanism());
}

const CHILD: &str = "open_a_heap_as_the_environment_says";

#[test]
fn the_environment_variable_configures_a_heap() {
    let _watchdog = watchdog();
    let text =
        said(&child(CHILD, "mechanism=mprotect, backing=shmem, limit=64M, name=from outside", Without::default()));
    assert!(text.contains("OPENED mechanism=mprotect,backing=shmem,limit=64M"), "{text}");
    assert!(text.contains("name=from outside whole=true"), "{text}");
}

#[test]
fn an_error_in_the_environment_variable_names_the_variable() {
    let _watchdog = watchdog();
    let text = said(&child(CHILD, "mechanism=warp", Without::default()));
    assert!(
        text.contains("REFUSED in the environment variable PAGEMARK_GC: `mechanism=warp` is not possible"),
        "{text}"
    );
    assert!(text.contains("auto|async|sync|sigbus|mprotect|cards|stop"), "{text}");
}

#[test]
fn an_ordinary_user_has_every_mechanism_and_hears_what_works_less_well() {
    let _watchdog = watchdog();
    let ordinary = Without { privileges: true, ..Without::default() };
    for mechanism in ["async", "sync", "sigbus", "mprotect", "stop"] {
        let text = said(&child(CHILD, &format!("mechanism={mechanism},limit=64M,log=gc"), ordinary));
        assert!(text.contains("whole=true"), "{text}");
        assert!(text.contains(&format!("mechanism in use: {mechanism}\n")), "{text}");
        let privileged =
            std::fs::read_to_string("/proc/sys/vm/unprivileged_userfaultfd").is_ok_and(|v| v.trim() == "1");
        if mechanism == "sync" && !privileged {
            // System calls that store into armed pages fail then; the user must hear of it.
            assert!(text.contains("EFAULT") && text.contains("CAP_SYS_PTRACE"), "{text}");
        }
    }
}

#[test]
fn where_userfaultfd_is_filtered_a_mechanism_asked_for_is_refused_with_cause_and_remedy() {
    let _watchdog = watchdog();
    let container = Without { privileges: true, userfaultfd: true, ..Without::default() };
    for mechanism in ["async", "sync", "sigbus"] {
        let text = said(&child(CHILD, &format!("mechanism={mechanism},limit=64M"), container));
        assert!(text.contains(&format!("REFUSED barrier `{mechanism}` is not available")), "{text}");
        assert!(
            text.contains("not permitted") && text.contains("seccomp") && text.contains("/dev/userfaultfd"),
            "{text}"
        );
    }
    for mechanism in ["mprotect", "stop"] {
        let text = said(&child(CHILD, &format!("mechanism={mechanism},limit=64M"), container));
        assert!(text.contains("whole=true"), "{text}");
    }
}

#[test]
fn where_userfaultfd_is_filtered_auto_works_and_says_what_it_costs_and_why() {
    let _watchdog = watchdog();
    let container = Without { privileges: true, userfaultfd: true, ..Without::default() };
    let text = said(&child(CHILD, "limit=64M,log=gc", container));
    assert!(text.contains("mechanism in use: stop") && text.contains("whole=true"), "{text}");
    assert!(text.contains("marking stops the mutators") && text.contains("seccomp"), "{text}");
}

#[test]
fn a_heap_that_does_not_fit_the_address_space_is_refused_with_what_would_help() {
    let _watchdog = watchdog();
    let small = Without { addresses: Some(4 << 30), ..Without::default() };
    for backing in ["anon", "shmem"] {
        let text = said(&child(CHILD, &format!("limit=16G,backing={backing}"), small));
        assert!(text.contains("REFUSED cannot reserve") && text.contains("RLIMIT_AS"), "{text}");
        let text = said(&child(CHILD, &format!("backing={backing}"), small));
        assert!(text.contains("whole=true"), "without a limit of its own, the heap finds one that fits: {text}");
    }
}

#[test]
fn a_heap_whose_threads_cannot_start_is_refused_with_what_would_help() {
    let _watchdog = watchdog();
    // SAFETY: geteuid only answers.
    if unsafe { libc::geteuid() } != 0 {
        // Other processes of this user count against the limit: the child may not even start.
        return;
    }
    let text =
        said(&child(CHILD, "limit=64M,markers=8,mechanism=stop", Without { threads: true, ..Without::default() }));
    assert!(text.contains("REFUSED cannot start a collector thread") && text.contains("RLIMIT_NPROC"), "{text}");
}
