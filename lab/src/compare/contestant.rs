//! Who takes part: a mechanism of ours, or the same work in another language.

use std::path::PathBuf;

use serde_json::{Value, json};

/// How one is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `pagemark bench` with the mechanism of the contestant's name.
    Pagemark,
    /// The program that runs peers of its family.
    Peer(PathBuf),
}

/// A contestant.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// How it is started.
    pub kind: Kind,
    /// The language, or `pagemark`.
    pub family: String,
    /// Of the compiler, the runtime or the library.
    pub version: Option<String>,
    /// Why it cannot run, and what would help; `None` if it can.
    pub missing: Option<String>,
    /// What it can run.
    pub workloads: Vec<String>,
}

/// Peers whose heap has no limit, so that they have no curve. Those whose memory a program frees by hand; and Rust's, which collect when their own
/// arithmetic says so.
const UNLIMITED: &[&str] = &["malloc", "mimalloc", "gc-arena", "dumpster", "rust-gc"];
/// Mechanisms of ours that have a curve: the others differ from `async` in the cost of a fault only, and `none` has no limit.
const CURVES: &[&str] = &["async", "cards", "stop"];

impl Contestant {
    /// Whether it can run that.
    pub fn runs(&self, workload: &str) -> bool {
        self.missing.is_none() && self.workloads.iter().any(|name| name == workload)
    }

    /// Whether it belongs into a heap-size curve.
    pub fn has_curve(&self) -> bool {
        match self.kind {
            Kind::Pagemark => CURVES.contains(&self.name.as_str()),
            Kind::Peer(_) => !UNLIMITED.contains(&self.name.as_str()),
        }
    }

    /// Whether its heap has a limit of the workload's choice.
    pub fn is_limited(&self) -> bool {
        !(self.kind == Kind::Pagemark && self.name == "none")
    }

    /// As the results list it.
    pub fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "kind": if self.kind == Kind::Pagemark { "pagemark" } else { "peer" },
            "family": self.family,
            "version": self.version,
            "installed": self.missing.is_none(),
            "how": self.missing,
            "workloads": self.workloads,
        })
    }
}

/// Those of `all` that `only` names, or all, without those that `without` names; each contestant and each family has a name.
///
/// # Errors
///
/// Says which name nobody has.
pub fn chosen(all: Vec<Contestant>, only: &[String], without: &[String]) -> Result<Vec<Contestant>, String> {
    let is = |contestant: &Contestant, name: &String| contestant.name == *name || contestant.family == *name;
    for name in only.iter().chain(without) {
        if !all.iter().any(|contestant| is(contestant, name)) {
            let known: Vec<&str> = all.iter().map(|contestant| contestant.name.as_str()).collect();
            return Err(format!("there is no contestant {name}; there are {}", known.join(", ")));
        }
    }
    let wanted = |contestant: &Contestant| {
        (only.is_empty() || only.iter().any(|name| is(contestant, name)))
            && !without.iter().any(|name| is(contestant, name))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contestant(name: &str, family: &str) -> Contestant {
        let workloads = vec!["churn".to_string()];
        let kind = if family == "pagemark" { Kind::Pagemark } else { Kind::Peer(PathBuf::new()) };
        Contestant { name: name.into(), kind, family: family.into(), version: None, missing: None, workloads }
    }

    #[test]
    fn one_is_chosen_by_its_name_or_its_family() {
        let all = || vec![contestant("async", "pagemark"), contestant("stop", "pagemark"), contestant("malloc", "c")];
        let names = |only: &[&str], without: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
            chosen(all(), &own(only), &own(without))
                .map(|chosen| chosen.into_iter().map(|c| c.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[], &[]).expect("all"), ["async", "stop", "malloc"]);
        assert_eq!(names(&["pagemark"], &["stop"]).expect("one"), ["async"]);
        assert_eq!(names(&["malloc", "async"], &[]).expect("two"), ["async", "malloc"]);
        assert!(names(&[], &["mallok"]).is_err_and(|error| error.contains("mallok") && error.contains("malloc")));
    }

    #[test]
    fn only_heaps_with_a_limit_have_curves() {
        assert!(contestant("async", "pagemark").has_curve() && contestant("go", "go").has_curve());
        assert!(!contestant("none", "pagemark").has_curve() && !contestant("malloc", "c").has_curve());
    }
}
