//! The machine, as far as it decides about figures, and what time it is there.
//!
//! Transparent huge pages are the same for everybody: they are switched off for the comparison and all that it starts (`PR_SET_THP_DISABLE` is inherited),
//! because memory that is tracked page by page has none in any case. With `--system-huge-pages` each contestant gets what the system gives it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Switches transparent huge pages off, here and in all programs that are started from here.
///
/// # Errors
///
/// When the kernel has none of that.
pub fn without_huge_pages() -> std::io::Result<()> {
    // SAFETY: sets a flag of the process; the other arguments have to be 0.
    match unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// What it is. `huge_pages` says whether they were switched off.
pub fn describe(huge_pages_off: bool) -> Value {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_string());
    let system = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let huge_pages = if huge_pages_off {
        Some(format!("off for all contestants (the system has: {})", system.as_deref().unwrap_or("unknown")))
    } else {
        system
    };
    let processors = read("/proc/cpuinfo").unwrap_or_default();
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processor": value(&processors, "model name", ':'),
        "processors": std::thread::available_parallelism().ok().map(|n| n.get()),
        "memory_bytes": pagemark_gc::sys::limits::physical(),
        "huge_pages": huge_pages,
        "distribution": value(&read("/etc/os-release").unwrap_or_default(), "PRETTY_NAME", '=')
            .map(|name| name.trim_matches('"').to_string()),
        "hypervisor": is_virtual(&processors),
    })
}

/// The value of the first line that has this key before `separator`.
fn value(text: &str, key: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().to_string())
    })
}

/// Whether the processor says that there is a hypervisor; on others than x86 none says so.
fn is_virtual(processors: &str) -> Option<bool> {
    Some(value(processors, "flags", ':')?.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

/// The source this was built from, if it is still where it was and under version control.
pub fn commit() -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut git = Command::new("git");
    git.arg("-C").arg(source).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The time in UTC, as ISO 8601 has it, to the second.
pub fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    instant(now)
}

/// Seconds since 1970 as a date. Days are counted from March, so that the day that is there only sometimes is a year's last.
fn instant(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_the_dates_that_everybody_else_has_for_them() {
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(instant(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(instant(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(instant(1_798_761_599), "2026-12-31T23:59:59Z");
        assert_eq!(instant(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn keys_are_found_by_their_whole_name() {
        let text =
            "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nmodel name\t: Some CPU\nflags\t\t: fpu hypervisor\n";
        assert_eq!(value(text, "PRETTY_NAME", '=').as_deref(), Some("\"Debian GNU/Linux 12\""));
        assert_eq!(value(text, "model name", ':').as_deref(), Some("Some CPU"));
        assert_eq!((is_virtual(text), is_virtual("flags : fpu"), is_virtual("")), (Some(true), Some(false), None));
    }
}
