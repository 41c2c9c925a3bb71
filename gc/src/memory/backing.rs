//! The two kinds of memory a heap can be made of, and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::UnknownName;

/// What a heap's memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backing {
    /// Private anonymous memory.
    #[default]
    Anon,
    /// A memfd, mapped a second time for the collector's writes.
    Shmem,
}

impl Backing {
    /// Every backing there is.
    pub const ALL: &[Backing] = &[Backing::Anon, Backing::Shmem];

    /// The name a configuration selects it by.
    pub const fn name(self) -> &'static str {
        match self {
            Backing::Anon => "anon",
            Backing::Shmem => "shmem",
        }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backing {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Backing, UnknownName> {
        Backing::ALL.iter().copied().find(|backing| backing.name() == given).ok_or_else(|| UnknownName {
            what: "backing",
            given: given.to_owned(),
            choices: Backing::ALL.iter().map(|backing| backing.name()).collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backing_is_found_by_its_name_and_others_are_refused() {
        for backing in Backing::ALL {
            assert_eq!(backing.name().parse(), Ok(*backing));
        }
        let error = "disk".parse::<Backing>().unwrap_err().to_string();
        assert_eq!(error, "there is no backing `disk`; choose one of: anon, shmem");
    }
}
