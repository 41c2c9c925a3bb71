//! The cases, one file a group. The order here is the order of the tables.

mod basics;
mod fork;
mod io_uring;
mod kernel_writes;
mod madvise;
mod moving;
mod mprotect;
mod nesting;
mod read_write_protect;
mod scanning;
mod sharing;
mod sigbus;

use super::case::Case;

/// A group of cases and its title.
#[derive(Debug)]
pub struct Group {
    /// The name, which is also the file's.
    pub name: &'static str,
    /// What the group is about.
    pub title: &'static str,
    /// Its cases.
    pub cases: &'static [Case],
}

/// Every case.
pub const GROUPS: &[Group] = &[
    Group { name: "basics", title: "Arming and the first write", cases: basics::CASES },
    Group { name: "mprotect", title: "mprotect", cases: mprotect::CASES },
    Group { name: "sigbus", title: "Several kinds of fault", cases: sigbus::CASES },
    Group { name: "nesting", title: "Several trackers, and a changing address space", cases: nesting::CASES },
    Group { name: "fork", title: "fork", cases: fork::CASES },
    Group { name: "madvise", title: "madvise, mlock, holes and guards", cases: madvise::CASES },
    Group { name: "moving", title: "Moving, filling, poisoning, and the end of tracking", cases: moving::CASES },
    Group { name: "kernel_writes", title: "Stores by the kernel", cases: kernel_writes::CASES },
    Group { name: "io_uring", title: "io_uring", cases: io_uring::CASES },
    Group { name: "scanning", title: "PAGEMAP_SCAN and the page map", cases: scanning::CASES },
    Group { name: "sharing", title: "Aliases, threads, and merged pages", cases: sharing::CASES },
    Group { name: "read_write_protect", title: "Read-write protection", cases: read_write_protect::CASES },
];

#[cfg(test)]
mod tests {
    use super::GROUPS;

    #[test]
    fn each_case_has_a_name_of_its_own_and_says_what_it_does() {
        let cases: Vec<_> = GROUPS.iter().flat_map(|group| group.cases).collect();
        for (i, case) in cases.iter().enumerate() {
            assert!(!case.name.is_empty() && !case.about.is_empty());
            assert!(cases[..i].iter().all(|other| other.name != case.name), "{} is there twice", case.name);
        }
    }
}
