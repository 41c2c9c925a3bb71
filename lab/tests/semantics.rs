//! `pagemark semantics` as its users call it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn semantics(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagemark")).arg("semantics").args(arguments).output().expect("the tool runs")
}

fn rows(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = semantics(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON list")
}

/// Patience for a machine that does other things too.
const PATIENT: [&str; 2] = ["--patience", "20"];

#[test]
fn the_first_write_to_an_armed_page_is_seen_wherever_the_kernel_can_arm() {
    let rows = rows(&[&["--json", "--case", "write-armed"], &PATIENT[..]].concat());
    assert_eq!(rows.len(), 7 * 5, "each backing in each mode");
    for row in &rows {
        assert!(["as-expected", "unsupported"].contains(&row["verdict"].as_str().unwrap()), "{row}");
    }
}

#[test]
fn rows_have_the_documented_keys_and_no_others() {
    for row in rows(&[&["--json", "--case", "second-uffd"], &PATIENT[..]].concat()) {
        let keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
        let mut documented = ["case", "backing", "mode", "observed", "expected", "verdict", "means"];
        documented.sort();
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keys.sort();
        assert_eq!(keys, documented);
        assert!(documented.iter().all(|key| row[key].is_string()));
    }
}

#[test]
fn an_unknown_case_is_an_error_that_names_it() {
    let output = semantics(&["--case", "no-such-case"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-case"));
}

#[test]
fn a_folder_without_a_table_of_this_kernel_is_no_failure() {
    let folder = std::env::temp_dir().join(format!("pagemark-no-tables-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = semantics(&["--check", folder.to_str().unwrap()]);
    std::fs::remove_dir(&folder).unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("no table"));
}

#[test]
fn the_page_in_docs_is_what_the_tables_in_docs_give() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut tables: Vec<_> =
        std::fs::read_dir(docs.join("semantics")).unwrap().map(|entry| entry.unwrap().path()).collect();
    tables.sort();
    assert!(tables.len() >= 4, "four kernels and more");
    let mut arguments = vec!["--markdown", "--kernel", "6.18", "--from"];
    arguments.extend(tables.iter().map(|path| path.to_str().unwrap()));
    let output = semantics(&arguments);
    assert!(output.status.success());
    let page = std::fs::read_to_string(docs.join("semantics.md")).unwrap();
    assert!(page.as_bytes() == output.stdout, "docs/semantics.md is stale: tests/kernels/run says how it is made");
}

#[test]
fn a_folder_or_a_kernel_that_is_not_there_is_an_error_that_names_it() {
    let output = semantics(&["--check", "/no/such/folder"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder"));

    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/semantics/6.18.json");
    let output = semantics(&["--markdown", "--kernel", "2.4", "--from", table]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("2.4"));
}

#[test]
fn numbers_that_make_no_sense_are_refused_with_those_that_do() {
    for (option, number, most) in
        [("--patience", u64::MAX, "3600"), ("--patience", 0, "3600"), ("--jobs", 0, "1024"), ("--jobs", 60_000, "1024")]
    {
        let output = semantics(&["--case", "write-armed", option, &number.to_string()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(most), "{option} {number}: {said}");
    }
}

#[test]
fn a_limit_on_open_files_is_raised_where_it_may_be_and_otherwise_named() {
    let limited = |soft: u64, hard: u64| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagemark"));
        command.args(["semantics", "--json", "--case", "write-armed"]).args(PATIENT);
        // SAFETY: the closure runs in the child between fork and exec, and only makes a system call.
        unsafe {
            command.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
                match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        command.output().expect("the tool runs")
    };
    let output = limited(8, 1024);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("EMFILE"), "{text}");

    let output = limited(8, 8);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("open files is 8") && said.contains("ulimit -n"), "{said}");
}

#[test]
fn who_reads_only_the_first_line_is_not_told_of_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pagemark"))
        .args([
            "semantics",
            "--markdown",
            "--from",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/semantics/6.18.json"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Starts cases with a mark by which their processes are found, whatever becomes of their parents.
fn start_marked(case: &str, mark: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pagemark"))
        .args(["semantics", "--json", "--case", case])
        .args(PATIENT)
        .env("PAGEMARK_TEST_MARK", mark)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tool runs")
}

/// The processes with the mark, each with its parent.
fn marked(mark: &str) -> Vec<(u32, u32)> {
    let wanted = format!("PAGEMARK_TEST_MARK={mark}");
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |process: u32| -> Option<u32> {
        let environment = std::fs::read(format!("/proc/{process}/environ")).ok()?;
        environment.split(|byte| *byte == 0).find(|variable| *variable == wanted.as_bytes())?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    numbers.filter_map(|process| Some((process, parent(process)?))).collect()
}

/// Waits until `holds`, for a minute at most.
fn comes_true(holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[test]
fn nothing_of_a_run_that_is_killed_is_left_running() {
    let mark = format!("tree-{}", std::process::id());
    for _ in 0..20 {
        let mut tool = start_marked("tracker-outside", &mark);
        let pid = tool.id();
        // A process that a case started, not the tool: there is one for moments only.
        let is_of_a_case = |&(process, parent): &(u32, u32)| process != pid && parent != pid;
        let mut there = false;
        while !there && tool.try_wait().expect("it is our child").is_none() {
            there = marked(&mark).iter().any(|found| is_of_a_case(found) && found.1 != std::process::id());
        }
        tool.kill().expect("it is our child");
        tool.wait().expect("it is our child");
        let gone = comes_true(|| marked(&mark).is_empty());
        for (left, _) in marked(&mark) {
            // SAFETY: the mark says that the process is of this test.
            unsafe { libc::kill(left as libc::pid_t, libc::SIGKILL) };
        }
        assert!(gone, "processes of cases outlived the tool");
        if there {
            return;
        }
    }
    eprintln!("skipped: no case was caught while it had a process of its own");
}

#[test]
fn merging_of_pages_is_set_back_though_the_run_is_killed() {
    let settings = || {
        ["run", "sleep_millisecs", "pages_to_scan"]
            .map(|name| std::fs::read_to_string(format!("/sys/kernel/mm/ksm/{name}")).unwrap_or_default())
    };
    let before = settings();
    if before[0].trim() != "0" || std::fs::File::options().write(true).open("/sys/kernel/mm/ksm/run").is_err() {
        return eprintln!("skipped: KSM is on already, or this user may not switch it on");
    }
    let mark = format!("ksm-{}", std::process::id());
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let mut caught = false;
        for _ in 0..20 {
            let mut tool = start_marked("ksm", &mark);
            while !caught && tool.try_wait().expect("it is our child").is_none() {
                caught = settings() != before;
            }
            // SAFETY: the process is our child and has not been waited for.
            unsafe { libc::kill(tool.id() as libc::pid_t, signal) };
            tool.wait().expect("it is our child");
            assert!(comes_true(|| settings() == before), "{:?} was {before:?}", settings());
            if caught {
                break;
            }
        }
        if !caught {
            eprintln!("skipped: the run was over before it was seen to have changed anything");
        }
    }
}

#[test]
fn where_no_process_can_be_started_the_limit_is_named() {
    // SAFETY: the call only answers.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("skipped: only root can become a user that has no other process");
    }
    let folder = std::env::temp_dir().join(format!("pagemark-semantics-few-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("pagemark");
    std::fs::copy(env!("CARGO_BIN_EXE_pagemark"), &copy).unwrap();
    for path in [&folder, &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&copy);
    command.args(["semantics", "--case", "write-armed"]).current_dir("/").uid(64_077).gid(64_077);
    // SAFETY: the closure runs in the child between fork and exec, and only makes a system call.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
            match libc::setrlimit(libc::RLIMIT_NPROC, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output();
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.expect("the copy starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ulimit -u"), "{said}");
}
