//! `pagemark doctor` is right for whoever asks: root, an ordinary user, a container, a process without address space; and a mechanism that it says
//! does not work gives the error it promises.
//!
//! Each situation is made in a child before it becomes `pagemark`. Some need root to make; where the tests have no root, or run in a container
//! themselves, they say what they skip.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

/// What a process lacks when it becomes `pagemark`.
#[derive(Clone, Copy, Default)]
struct Without {
    /// Root's privileges.
    privileges: bool,
    /// `userfaultfd(2)`, as under docker's default profile.
    userfaultfd: bool,
    /// Addresses beyond so many bytes.
    addresses: Option<u64>,
    /// Open files beyond so many.
    files: Option<u64>,
}

const ORDINARY: Without = Without { privileges: true, userfaultfd: false, addresses: None, files: None };
const CONTAINER: Without = Without { privileges: true, userfaultfd: true, addresses: None, files: None };

/// The setting of `vm.unprivileged_userfaultfd` belongs to the machine, and one test changes it.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_root() -> bool {
    // SAFETY: the call only answers.
    unsafe { libc::geteuid() == 0 }
}

/// A copy of the binary that every user may execute; the original may lie where only root may look.
fn binary() -> &'static PathBuf {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("pagemark-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the copy");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let copy = folder.join("pagemark");
        std::fs::copy(env!("CARGO_BIN_EXE_pagemark"), &copy).expect("room for a copy");
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).expect("the copy is ours");
        // SAFETY: the handler removes a file and a folder, at a moment when no test runs any more.
        unsafe { libc::atexit(remove_copy) };
        copy
    })
}

extern "C" fn remove_copy() {
    let _ = std::fs::remove_dir_all(binary().parent().unwrap_or(binary()));
}

fn pagemark(arguments: &[&str], without: Without) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir("/").env_remove("PAGEMARK_GC");
    if without.privileges && is_root() {
        command.uid(65_534).gid(65_534);
    }
    // SAFETY: the closure runs in the child between fork and exec, and only makes system calls.
    unsafe {
        command.pre_exec(move || {
            for (resource, most) in [(libc::RLIMIT_AS, without.addresses), (libc::RLIMIT_NOFILE, without.files)] {
                let Some(most) = most else { continue };
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                if libc::setrlimit(resource, &limit) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            if without.files.is_some() {
                // What the test inherited from whoever runs it would take up the few there are. Before Linux 5.11 it stays.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            }
            if without.userfaultfd { deny_userfaultfd() } else { Ok(()) }
        });
    }
    command.output().expect("the copy starts")
}

/// From now on `userfaultfd(2)` fails with `EPERM` in this process and its children.
fn deny_userfaultfd() -> io::Result<()> {
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
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The JSON, and that the exit status is the one in it.
fn doctor(without: Without) -> Value {
    let output = pagemark(&["doctor", "--json", "--measure", "40"], without);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{errors}"));
    assert_eq!(found["status"].as_i64(), output.status.code().map(i64::from), "{text}");
    found
}

fn attempt<'a>(found: &'a Value, mechanism: &str, backing: &str) -> &'a Value {
    let all = found["mechanisms"].as_array().expect("a list");
    all.iter().find(|a| a["mechanism"] == mechanism && a["backing"] == backing).expect("every pair is there")
}

fn auto<'a>(found: &'a Value, backing: &str) -> &'a Value {
    found["auto"].as_array().expect("a list").iter().find(|a| a["backing"] == backing).expect("both are there")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A run of a heap with a mechanism that was asked for: what it printed, and whether it ended well.
fn heap(mechanism: &str, without: Without) -> (bool, String) {
    let keys = format!("mechanism={mechanism},limit=64M,log=gc");
    let output = pagemark(&["bench", "churn", "--levels", "12", "--trees", "10", "--gc", &keys], without);
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_mechanism_is_tried_on_each_backing_and_either_measured_or_explained() {
    let _alone = alone();
    let found = doctor(Without::default());
    for mechanism in ["async", "sync", "sigbus", "mprotect", "cards", "stop"] {
        for backing in ["anon", "shmem"] {
            let attempt = attempt(&found, mechanism, backing);
            if attempt["works"] == true {
                assert!(attempt["why_not"].is_null(), "{attempt}");
                assert_eq!(attempt["cost"].is_null(), mechanism == "stop", "{attempt}");
            } else {
                assert!(!text(&attempt["why_not"]).is_empty() && attempt["cost"].is_null(), "{attempt}");
            }
            for figure in attempt["cost"].as_object().into_iter().flat_map(|cost| cost.values()) {
                assert!(figure.as_f64().is_some_and(|n| n > 0.0), "{attempt}");
            }
        }
    }
    let best = ["async", "sync", "stop"].into_iter().find(|name| attempt(&found, name, "anon")["works"] == true);
    assert_eq!(auto(&found, "anon")["mechanism"].as_str(), best);
    assert_eq!(found["status"] == 0, best != Some("stop"));
    assert_eq!(found["system"]["user"]["root"], is_root());
    // Where it is not the best, or not without a warning, the reason says so.
    let best_without_warning = best == Some("async") && attempt(&found, "async", "anon")["note"].is_null();
    assert_eq!(auto(&found, "anon")["reason"].is_null(), best_without_warning);
}

#[test]
fn words_name_the_verdict_and_every_mechanism() {
    let _alone = alone();
    let output = pagemark(&["doctor", "--measure", "0"], Without::default());
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.starts_with("Heaps "), "{words}");
    for word in ["vm.max_map_count=", "seccomp", "PAGEMAP_SCAN", "async    anon", "stop     shmem", "control group"] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

#[test]
fn under_a_containers_filter_it_says_that_marking_stops_the_program_and_what_would_help() {
    let _alone = alone();
    if !is_root() && std::fs::File::options().read(true).write(true).open("/dev/userfaultfd").is_ok() {
        return eprintln!("skipped: this user may use the device, which no filter of the call takes away");
    }
    let found = doctor(CONTAINER);
    assert_eq!(found["status"], 1, "{found}");
    assert_eq!(found["system"]["seccomp"], "filter");
    assert_eq!(found["system"]["userfaultfd"]["descriptor"], "none");
    let auto = auto(&found, "anon");
    assert_eq!(auto["mechanism"], "stop");
    assert!(text(&auto["reason"]).contains("seccomp"), "{auto}");
    assert!(found["advice"].as_array().is_some_and(|a| a.iter().any(|a| text(a).contains("docker run"))), "{found}");
    for mechanism in ["async", "sync", "sigbus"] {
        for backing in ["anon", "shmem"] {
            let attempt = attempt(&found, mechanism, backing);
            assert!(attempt["works"] == false && text(&attempt["why_not"]).contains("not permitted"), "{attempt}");
            assert!(text(&attempt["remedy"]).contains("seccomp"), "{attempt}");
        }
        let (works, said) = heap(mechanism, CONTAINER);
        assert!(!works && said.contains(&format!("barrier `{mechanism}` is not available")), "{said}");
        assert!(said.contains("not permitted") && said.contains("/dev/userfaultfd"), "{said}");
    }
    for mechanism in ["mprotect", "stop"] {
        assert_eq!(attempt(&found, mechanism, "anon")["works"], true);
        let (works, said) = heap(mechanism, CONTAINER);
        assert!(works, "{said}");
    }
}

#[test]
fn a_device_that_is_passed_into_the_container_makes_up_for_the_filter() {
    let _alone = alone();
    let filtered = Without { userfaultfd: true, ..Without::default() };
    if !is_root() || std::fs::File::options().read(true).write(true).open("/dev/userfaultfd").is_err() {
        return eprintln!("skipped: there is no /dev/userfaultfd for this user");
    }
    let found = doctor(filtered);
    assert_eq!(found["system"]["seccomp"], "filter");
    assert_eq!(found["system"]["userfaultfd"]["descriptor"], "full", "{found}");
    assert_eq!(found["status"], 0, "{found}");
}

/// Sets the sysctl, and sets it back at the end.
struct Sysctl(String);

const UNPRIVILEGED: &str = "/proc/sys/vm/unprivileged_userfaultfd";

impl Sysctl {
    fn set(value: &str) -> io::Result<Sysctl> {
        let before = std::fs::read_to_string(UNPRIVILEGED)?;
        std::fs::write(UNPRIVILEGED, value)?;
        Ok(Sysctl(before))
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = std::fs::write(UNPRIVILEGED, &self.0);
    }
}

#[test]
fn an_ordinary_user_gets_what_the_sysctl_allows() {
    let _alone = alone();
    let here = doctor(Without::default());
    if !is_root() || here["system"]["userfaultfd"]["descriptor"] == "none" {
        return eprintln!("skipped: not root, or no userfaultfd here at all");
    }
    let best = if attempt(&here, "async", "anon")["works"] == true { "async" } else { "sync" };
    for (value, descriptor) in [("0", "user-mode-only"), ("1", "full")] {
        let _restored = match Sysctl::set(value) {
            Ok(sysctl) => sysctl,
            Err(error) => return eprintln!("skipped: {UNPRIVILEGED}: {error}"),
        };
        let found = doctor(ORDINARY);
        let user = &found["system"]["user"];
        assert_eq!((&user["root"], &user["cap_sys_ptrace"]), (&Value::from(false), &Value::from(false)), "{found}");
        let sysctls = &found["system"]["sysctls"];
        assert_eq!(sysctls["vm.unprivileged_userfaultfd"].to_string(), value, "{found}");
        assert_eq!(found["system"]["userfaultfd"]["descriptor"], descriptor, "{found}");
        assert_ne!(found["system"]["userfaultfd"]["device"], "permitted", "{found}");
        assert_eq!((&found["status"], &auto(&found, "anon")["mechanism"]), (&0.into(), &best.into()), "{found}");
        for mechanism in ["sync", "sigbus"] {
            assert_eq!(attempt(&found, mechanism, "anon")["works"], true, "{found}");
        }
        let note = text(&attempt(&found, "sync", "anon")["note"]);
        assert_eq!(note.contains("EFAULT") && note.contains("CAP_SYS_PTRACE"), value == "0", "{note}");
        let (works, said) = heap("sync", ORDINARY);
        assert!(works, "{said}");
        assert_eq!(said.contains("EFAULT"), value == "0", "{said}");
        // The filter refuses whatever the sysctl allows.
        assert_eq!(doctor(CONTAINER)["status"], 1);
        let (works, said) = heap("async", CONTAINER);
        assert!(!works && said.contains("not available") && said.contains("seccomp"), "{said}");
    }
}

#[test]
fn where_there_is_no_room_for_a_heap_it_says_so() {
    let _alone = alone();
    let found = doctor(Without { addresses: Some(250 << 20), ..Without::default() });
    assert_eq!(found["status"], 2, "{found}");
    let auto = auto(&found, "anon");
    assert!(auto["mechanism"].is_null() && auto["concurrent"] == false, "{auto}");
    assert!(text(&auto["reason"]).contains("RLIMIT_AS"), "{auto}");
    assert_eq!(found["system"]["limits"]["address_space"], 250 << 20);
}

#[test]
fn where_there_are_too_few_descriptors_it_names_the_limit_and_blames_nothing_else() {
    let _alone = alone();
    if attempt(&doctor(Without::default()), "async", "anon")["works"] != true {
        return eprintln!("skipped: `async` does not work here with any number of descriptors");
    }
    // The three streams, and one more: the userfaultfd, so that there is none for the page map.
    let found = doctor(Without { files: Some(4), ..Without::default() });
    assert_eq!((&found["status"], &auto(&found, "anon")["mechanism"]), (&1.into(), &"stop".into()), "{found}");
    let attempt = attempt(&found, "async", "anon");
    assert!(
        text(&attempt["why_not"]).contains("open files") && text(&attempt["remedy"]).contains("ulimit -n"),
        "{attempt}"
    );
    let advice = found["advice"].as_array().expect("a list");
    assert!(advice.iter().any(|advice| text(advice).contains("ulimit -n")), "{found}");
    for wrong in ["6.7", "DUMPABLE"] {
        assert!(!found["advice"].to_string().contains(wrong), "{wrong}: {found}");
        assert!(!text(&auto(&found, "anon")["reason"]).contains(wrong), "{wrong}: {found}");
    }
}
