//! What the machine, the user and the container are like, as far as a heap meets them: read from `/proc`, `/sys` and the limits.
//!
//! Nothing here fails: what cannot be read is `None`, and said to be unknown. The names of fields are those of the JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pagemark_gc::sys::pagemap::Pagemap;
use pagemark_gc::sys::{Kernel, limits, uffd};
use serde::Serialize;

/// Everything that was looked up.
#[derive(Debug, Serialize)]
pub struct System {
    /// As `uname -r` prints it.
    pub kernel: String,
    /// What the program was built for.
    pub machine: &'static str,
    /// Bytes in a page.
    pub page_bytes: usize,
    /// Who this process is.
    pub user: User,
    /// Those that matter, by name; `None` where this kernel has none of the name.
    pub sysctls: BTreeMap<&'static str, Option<i64>>,
    /// `none`, `strict` or `filter`.
    pub seccomp: Option<&'static str>,
    /// What hints at a container.
    pub container: Vec<String>,
    /// Whether and how userfaultfd is to be had.
    pub userfaultfd: Userfaultfd,
    /// Whether the page map answers `PAGEMAP_SCAN`.
    pub pagemap_scan: Facility,
    /// Transparent huge pages.
    pub huge_pages: HugePages,
    /// Merging of equal pages.
    pub ksm: Ksm,
    /// Limits, in bytes but for `max_map_count` of the sysctls; `None` for unlimited.
    pub limits: Limits,
}

/// Who this process is, and what it may do.
#[derive(Debug, Serialize)]
pub struct User {
    /// The effective user id.
    pub uid: u32,
    /// Whether that is 0.
    pub root: bool,
    /// Effective capabilities, as the kernel writes them.
    pub capabilities: Option<String>,
    /// Whether `CAP_SYS_PTRACE` is among them, which the full userfaultfd wants.
    pub cap_sys_ptrace: Option<bool>,
    /// Whether it can gain no privilege by executing something.
    pub no_new_privileges: Option<bool>,
    /// Whether it may read its own page map: not so after a change of user, for example.
    pub dumpable: bool,
}

/// A thing of the kernel that works or does not.
#[derive(Debug, Serialize)]
pub struct Facility {
    /// Whether it does.
    pub works: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// What would help.
    pub remedy: Option<String>,
}

impl Facility {
    fn new(refused: Option<(String, String)>) -> Facility {
        let works = refused.is_none();
        let (why_not, remedy) = refused.unzip();
        Facility { works, why_not, remedy }
    }
}

/// Whether and how userfaultfd is to be had.
#[derive(Debug, Serialize)]
pub struct Userfaultfd {
    /// `full`: also serves faults that the kernel takes. `user-mode-only`. `none`.
    pub descriptor: &'static str,
    /// `/dev/userfaultfd`: `permitted`, `not permitted` or `not there`.
    pub device: &'static str,
    /// The features it has that a barrier may use.
    pub features: Vec<&'static str>,
    /// Why there is no descriptor.
    #[serde(flatten)]
    pub facility: Facility,
}

/// Transparent huge pages: the setting that is in force, such as `madvise`.
#[derive(Debug, Serialize)]
pub struct HugePages {
    /// Of anonymous memory.
    pub anon: Option<String>,
    /// Of shared memory.
    pub shmem: Option<String>,
}

/// Merging of equal pages, which loses write protection. Heaps exclude themselves from it.
#[derive(Debug, Serialize)]
pub struct Ksm {
    /// Whether the kernel merges at all just now.
    pub running: Option<bool>,
    /// Whether all memory of this process is to be merged (`PR_SET_MEMORY_MERGE`).
    pub whole_process: bool,
}

/// Limits in bytes; `None` for unlimited.
#[derive(Debug, Serialize)]
pub struct Limits {
    /// Memory of the machine.
    pub machine_memory: Option<u64>,
    /// The least limit of the control groups this process is in.
    pub cgroup_memory: Option<u64>,
    /// `RLIMIT_AS`.
    pub address_space: Option<u64>,
    /// `RLIMIT_MEMLOCK`.
    pub memlock: Option<u64>,
}

const SYSCTLS: &[&str] =
    &["vm.unprivileged_userfaultfd", "vm.max_map_count", "vm.overcommit_memory", "vm.memfd_noexec"];

const FEATURES: &[(u64, &str)] = &[
    (uffd::FEATURE_WP, "write protection of anonymous memory (WP)"),
    (uffd::FEATURE_WP_SHMEM, "write protection of shared memory (WP_HUGETLBFS_SHMEM)"),
    (uffd::FEATURE_WP_UNPOPULATED, "write protection of pages nobody touched (WP_UNPOPULATED)"),
    (uffd::FEATURE_WP_ASYNC, "faults resolved by the kernel (WP_ASYNC)"),
    (uffd::FEATURE_SIGBUS, "a signal in place of an event (SIGBUS)"),
];

impl System {
    /// Looks everything up.
    pub fn read() -> System {
        let kernel = Kernel::real();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        System {
            kernel: kernel.release(),
            machine: std::env::consts::ARCH,
            page_bytes: limits::page_size(),
            user: user(&status),
            sysctls: SYSCTLS.iter().map(|name| (*name, sysctl(name))).collect(),
            seccomp: field(&status, "Seccomp").and_then(|mode| {
                Some(match mode {
                    "0" => "none",
                    "1" => "strict",
                    "2" => "filter",
                    _ => return None,
                })
            }),
            container: container(),
            userfaultfd: userfaultfd(&kernel),
            pagemap_scan: Facility::new(Pagemap::open(&kernel).err().map(|refused| refused.explain(&kernel))),
            huge_pages: HugePages { anon: huge("enabled"), shmem: huge("shmem_enabled") },
            ksm: ksm(),
            limits: Limits {
                machine_memory: limits::physical(),
                cgroup_memory: limits::control_group(),
                address_space: limits::address_space(),
                memlock: memlock(),
            },
        }
    }
}

/// The value of a line `Name:\tvalue` of `/proc/self/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn user(status: &str) -> User {
    /// `CAP_SYS_PTRACE`, from linux/capability.h.
    const CAP_SYS_PTRACE: u32 = 19;
    let capabilities = field(status, "CapEff");
    let set = capabilities.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    // SAFETY: these calls only answer.
    let (uid, dumpable) = unsafe { (libc::geteuid(), libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0)) };
    User {
        uid,
        root: uid == 0,
        capabilities: capabilities.map(str::to_owned),
        cap_sys_ptrace: set.map(|set| set >> CAP_SYS_PTRACE & 1 == 1),
        no_new_privileges: field(status, "NoNewPrivs").map(|value| value == "1"),
        dumpable: dumpable == 1,
    }
}

fn sysctl(name: &str) -> Option<i64> {
    fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?.trim().parse().ok()
}

fn container() -> Vec<String> {
    let mut hints = Vec::new();
    for file in ["/.dockerenv", "/run/.containerenv"] {
        if Path::new(file).exists() {
            hints.push(format!("{file} exists"));
        }
    }
    if let Ok(kind) = fs::read_to_string("/run/systemd/container") {
        hints.push(format!("/run/systemd/container says {}", kind.trim()));
    }
    if let Ok(kind) = std::env::var("container") {
        hints.push(format!("the environment variable container is {kind}"));
    }
    let groups = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    for word in ["docker", "kubepods", "libpod", "lxc", "containerd"] {
        if groups.contains(word) {
            hints.push(format!("the control group of process 1 names {word}"));
        }
    }
    hints
}

fn userfaultfd(kernel: &Kernel) -> Userfaultfd {
    // One descriptor at a time: where there are few, it shall not be this question that uses them up.
    let opened = uffd::open(kernel, 0).map(|opened| opened.user_mode_only);
    let features = uffd::probe(kernel).unwrap_or(0);
    Userfaultfd {
        descriptor: match &opened {
            Ok(true) => "user-mode-only",
            Ok(false) => "full",
            Err(_) => "none",
        },
        device: match fs::File::options().read(true).write(true).open("/dev/userfaultfd") {
            Ok(_) => "permitted",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "not there",
            Err(_) => "not permitted",
        },
        features: FEATURES.iter().filter(|(bit, _)| features & bit != 0).map(|(_, name)| *name).collect(),
        facility: Facility::new(opened.err().map(|refused| refused.explain(kernel))),
    }
}

fn huge(file: &str) -> Option<String> {
    chosen(&fs::read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{file}")).ok()?)
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn ksm() -> Ksm {
    /// `PR_GET_MEMORY_MERGE`, from linux/prctl.h (6.4).
    const PR_GET_MEMORY_MERGE: libc::c_int = 68;
    Ksm {
        running: fs::read_to_string("/sys/kernel/mm/ksm/run").ok().map(|run| run.trim() == "1"),
        // SAFETY: the call only answers.
        whole_process: unsafe { libc::prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) } == 1,
    }
}

fn memlock() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a writable rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_process_status_are_found_by_their_whole_name() {
        let status = "Seccomp_filters:\t3\nSeccomp:\t2\nCapEff:\t0000000000080000\nNoNewPrivs:\t1\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        let user = user(status);
        assert_eq!((user.cap_sys_ptrace, user.no_new_privileges), (Some(true), Some(true)));
        assert_eq!(super::user("CapEff:\tfffffffffff7ffff\n").cap_sys_ptrace, Some(false));
        assert_eq!(super::user("").cap_sys_ptrace, None);
    }

    #[test]
    fn the_setting_in_brackets_is_the_one_in_force() {
        assert_eq!(chosen("always within_size [advise] never\n").as_deref(), Some("advise"));
        assert_eq!(chosen("nothing"), None);
    }
}
