//! The names of the mechanisms.

use std::fmt;
use std::str::FromStr;

use crate::error::UnknownName;

/// How writes are to be seen; what a configuration selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mechanism {
    /// The best of `async`, `sync` and `stop` that works here.
    #[default]
    Auto,
    /// The kernel notes written pages in the page table (`WP_ASYNC` and `PAGEMAP_SCAN`, Linux 6.7).
    Async,
    /// A thread resolves the write faults (userfaultfd, Linux 5.7; shmem 5.19).
    Sync,
    /// The writing thread resolves its faults in a `SIGBUS` handler (userfaultfd).
    Sigbus,
    /// The writing thread resolves its faults in a `SIGSEGV` handler (`mprotect`).
    Mprotect,
    /// The embedder's store function marks a card.
    Cards,
    /// Writes are not seen; marking stops the mutators.
    Stop,
    /// There is no collection, but for what the program asks for itself; what it does stops the mutators.
    None,
}

impl Mechanism {
    /// Every mechanism there is, and `auto`.
    pub const ALL: &[Mechanism] = &[
        Mechanism::Auto,
        Mechanism::Async,
        Mechanism::Sync,
        Mechanism::Sigbus,
        Mechanism::Mprotect,
        Mechanism::Cards,
        Mechanism::Stop,
        Mechanism::None,
    ];

    /// The name a configuration selects it by.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Auto => "auto",
            Mechanism::Async => "async",
            Mechanism::Sync => "sync",
            Mechanism::Sigbus => "sigbus",
            Mechanism::Mprotect => "mprotect",
            Mechanism::Cards => "cards",
            Mechanism::Stop => "stop",
            Mechanism::None => "none",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Mechanism, UnknownName> {
        Mechanism::ALL.iter().copied().find(|mechanism| mechanism.name() == given).ok_or_else(|| UnknownName {
            what: "barrier",
            given: given.to_owned(),
            choices: Mechanism::ALL.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mechanism_is_found_by_its_name_and_others_are_refused() {
        for mechanism in Mechanism::ALL {
            assert_eq!(mechanism.name().parse(), Ok(*mechanism));
        }
        let error = "magic".parse::<Mechanism>().unwrap_err().to_string();
        assert!(error.contains("`magic`") && error.contains("sigbus, mprotect"), "{error}");
    }
}
