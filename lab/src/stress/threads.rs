//! What the threads of a hung process are doing: a debugger's backtraces where one is installed, and what the kernel
//! says of each thread.

use std::fs;
use std::process::{Command, Stdio};

/// Lines of a description, at most.
const MOST_LINES: usize = 400;

/// Describes the threads of process `pid`, and of the processes it forked.
pub fn describe(pid: u32) -> String {
    let mut text = describe_one(pid);
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            text += &format!("forked process {child}:\n{}", describe(child));
        }
    }
    text
}

fn describe_one(pid: u32) -> String {
    let mut text = kernel_view(pid);
    let pid = pid.to_string();
    let debuggers: [&[&str]; 2] =
        [&["gdb", "-nx", "-batch", "-p", &pid, "-ex", "thread apply all backtrace 16"], &["eu-stack", "-p", &pid]];
    for debugger in debuggers {
        let output =
            Command::new("timeout").arg("60").args(debugger).stdin(Stdio::null()).stderr(Stdio::null()).output();
        if let Ok(output) = output
            && output.status.success()
        {
            let backtraces = String::from_utf8_lossy(&output.stdout).into_owned();
            text.extend(
                backtraces
                    .lines()
                    .filter(|line| line.starts_with(['#', 'T']))
                    .take(MOST_LINES)
                    .map(|line| format!("{line}\n")),
            );
            break;
        }
    }
    text
}

/// Name, state, what it waits for in the kernel, and the kernel's stack where we may see it.
fn kernel_view(pid: u32) -> String {
    let mut text = String::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return text };
    for task in tasks.flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default().trim().to_string();
        let stack: Vec<String> = read("stack").lines().take(4).map(|line| line.replace("[<0>] ", "")).collect();
        text += &format!(
            "  {} {}: {state}, waits in {}; {}\n",
            task.file_name().to_string_lossy(),
            read("comm").trim(),
            read("wchan"),
            stack.join(" < ")
        );
    }
    text
}
