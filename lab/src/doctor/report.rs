//! The diagnosis: a status, sentences on what would help, and all that was found, in words or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::mechanisms::{Attempt, Findings};
use super::system::System;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// The exit status: 0 if a heap with the default configuration marks concurrently, 1 if marking stops the program, 2 if there is no heap.
    pub status: i32,
    /// The status as a sentence.
    pub verdict: String,
    /// What one may do to get more, each with a command or a setting.
    pub advice: Vec<String>,
    /// What was looked up.
    pub system: System,
    /// What was tried.
    #[serde(flatten)]
    pub findings: Findings,
}

impl Diagnosis {
    /// Draws the conclusions.
    pub fn new(system: System, findings: Findings) -> Diagnosis {
        let anon = findings.auto.iter().find(|choice| choice.backing == "anon");
        let (status, verdict) = match anon.map(|choice| (choice.mechanism, choice.concurrent)) {
            Some((Some(mechanism), true)) => {
                (0, format!("Heaps mark while the program runs: `auto` takes the mechanism `{mechanism}`."))
            }
            Some((Some(mechanism), false)) => {
                (1, format!("Heaps work, but stop the program to mark: `auto` takes the mechanism `{mechanism}`."))
            }
            _ => (2, "No heap can be made here.".to_owned()),
        };
        Diagnosis { status, verdict, advice: advice(&system, &findings), system, findings }
    }

    /// Says it in words.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.verdict)?;
        for choice in &self.findings.auto {
            let mechanism = choice.mechanism.unwrap_or("no heap");
            let reason = match &choice.reason {
                Some(reason) => reason,
                None => "it is the best there is",
            };
            writeln!(out, "  backing {}: {mechanism}; {reason}", choice.backing)?;
        }
        writeln!(out, "\nSystem")?;
        self.system.write(out)?;
        writeln!(out, "\nMechanisms")?;
        for attempt in &self.findings.mechanisms {
            attempt.write(out)?;
        }
        if !self.advice.is_empty() {
            writeln!(out, "\nWhat would help")?;
            for advice in &self.advice {
                writeln!(out, "  * {advice}")?;
            }
        }
        Ok(())
    }
}

fn advice(system: &System, findings: &Findings) -> Vec<String> {
    let mut advice = Vec::new();
    let works = |name: &str| findings.mechanisms.iter().any(|attempt| attempt.mechanism == name && attempt.works);
    match system.userfaultfd.descriptor {
        "none" if system.seccomp == Some("filter") => {
            advice.push(
                "A system call filter is on and userfaultfd(2) is refused. `docker run --device /dev/userfaultfd` passes the device in (Linux \
                 6.1; its owner and mode must let the container's user open it), or add \"userfaultfd\" to the calls that the seccomp profile \
                 allows and use `docker run --security-opt seccomp=PROFILE.json`. With either, `async` works without any privilege."
                    .to_owned(),
            );
        }
        "none" => advice.extend(system.userfaultfd.facility.remedy.clone()),
        "user-mode-only" if !works("async") => {
            advice.push(
                "To let system calls store into tracked objects under `sync`: `sysctl -w vm.unprivileged_userfaultfd=1`, or `setcap \
                 cap_sys_ptrace+ep PROGRAM`, or permission on /dev/userfaultfd."
                    .to_owned(),
            );
        }
        _ => {}
    }
    if system.userfaultfd.descriptor != "none" && !works("async") {
        advice.extend(system.pagemap_scan.remedy.clone());
        if !system.userfaultfd.features.iter().any(|feature| feature.contains("WP_ASYNC")) {
            advice.push("`async` needs Linux 6.7 with CONFIG_PTE_MARKER_UFFD_WP.".to_owned());
        } else if system.pagemap_scan.works {
            advice.extend(
                findings.mechanisms.iter().find(|attempt| attempt.mechanism == "async").and_then(|a| a.remedy.clone()),
            );
        }
    }
    if system.sysctls.get("vm.overcommit_memory") == Some(&Some(2)) {
        advice.push(
            "vm.overcommit_memory is 2, under which the addresses a heap reserves count as memory: set `limit`, or `sysctl -w \
             vm.overcommit_memory=0`."
                .to_owned(),
        );
    }
    if !works("async")
        && works("mprotect")
        && let Some(Some(count)) = system.sysctls.get("vm.max_map_count")
        && *count < 1 << 20
    {
        advice.push(format!(
            "`mprotect` marks concurrently where nothing better does, if it is asked for; it needs a mapping for each boundary between armed and \
             written pages. vm.max_map_count is {count}: `sysctl -w vm.max_map_count=1048576` for a large heap."
        ));
    }
    advice
}

/// A value, or that it is not known.
fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Bytes as a number of megabytes, or that there is no limit.
fn bytes(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / f64::from(1 << 20)))
}

impl System {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |name: &str, text: String| writeln!(out, "  {name:<14}{text}");
        line("kernel", format!("Linux {}, {}, pages of {} bytes", self.kernel, self.machine, self.page_bytes))?;
        let user = &self.user;
        line(
            "user",
            format!(
                "{}; CAP_SYS_PTRACE {}; effective capabilities {}; may gain privileges {}; dumpable {}",
                if user.root { "root".to_owned() } else { format!("uid {}", user.uid) },
                known(user.cap_sys_ptrace.map(yes)),
                known(user.capabilities.as_deref()),
                known(user.no_new_privileges.map(|none| yes(!none))),
                yes(user.dumpable),
            ),
        )?;
        let sysctls: Vec<_> = self
            .sysctls
            .iter()
            .map(|(name, value)| format!("{name}={}", value.map_or_else(|| "(none)".to_owned(), |v| v.to_string())))
            .collect();
        line("sysctls", sysctls.join(" "))?;
        line("seccomp", known(self.seccomp))?;
        let none = "no sign of one".to_owned();
        line("container", if self.container.is_empty() { none } else { self.container.join("; ") })?;
        let uffd = &self.userfaultfd;
        let descriptor = match uffd.descriptor {
            "full" => "also for faults the kernel takes",
            "user-mode-only" => "for faults of user mode only",
            _ => "none",
        };
        line("userfaultfd", format!("{descriptor}; /dev/userfaultfd {}", uffd.device))?;
        for feature in &uffd.features {
            line("", format!("has {feature}"))?;
        }
        line("PAGEMAP_SCAN", self.pagemap_scan.why_not.clone().unwrap_or_else(|| "works".to_owned()))?;
        let huge = &self.huge_pages;
        line(
            "huge pages",
            format!(
                "anonymous {}, shared {} (heaps forbid them where they track)",
                known(huge.anon.as_deref()),
                known(huge.shmem.as_deref())
            ),
        )?;
        line(
            "KSM",
            format!(
                "running {}; for all of this process {} (heaps exclude themselves)",
                known(self.ksm.running.map(yes)),
                yes(self.ksm.whole_process)
            ),
        )?;
        let limits = &self.limits;
        line(
            "limits",
            format!(
                "memory of the machine {}, of the control group {}; addresses {}; locked memory {}",
                bytes(limits.machine_memory),
                bytes(limits.cgroup_memory),
                bytes(limits.address_space),
                bytes(limits.memlock)
            ),
        )
    }
}

impl Attempt {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "  {:<9}{:<6} ", self.mechanism, self.backing)?;
        match (&self.cost, self.works) {
            (Some(cost), _) => writeln!(
                out,
                "works: first write {:.0} ns, arming {:.1} ns a page, clean scan {:.2} ns a page",
                cost.first_write_ns, cost.arm_page_ns, cost.scan_clean_page_ns
            )?,
            (None, true) => writeln!(out, "works")?,
            (None, false) => writeln!(out, "no: {}", self.why_not.as_deref().unwrap_or("unknown"))?,
        }
        for sentence in [&self.note, &self.remedy].into_iter().flatten() {
            writeln!(out, "  {:<16}{sentence}", "")?;
        }
        Ok(())
    }
}
