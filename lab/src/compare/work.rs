//! The work that all contestants do: a workload with the value of each of its parameters.

use crate::bench::parameter::Values;
use crate::bench::run::limit;
use crate::bench::workloads::{self, Live, Workload};

/// The heap of a workload that has no multiplier of its own, as a multiple of what lives. `churn` grows as it likes when it runs alone; here all
/// contestants must have the same bytes.
const MULTIPLIER: f64 = 3.0;

/// What is run when nothing is named: one of each kind of trouble, in an order that begins with the most important.
pub const DEFAULT: &[&str] = &["churn", "scatter", "pusher", "graph", "lru", "mt-gcbench", "splay"];

/// The same with `--quick`.
pub const QUICK: &[&str] = &["churn", "scatter", "pusher"];

/// A workload, and how big it is.
pub struct Work {
    /// The workload.
    pub workload: &'static dyn Workload,
    values: Values,
}

impl Work {
    /// The workload of that name, with its defaults and what of `given` it has.
    ///
    /// # Errors
    ///
    /// Says which value is not allowed, or that there is no such workload.
    pub fn new(name: &str, quick: bool, given: &[(String, u64)]) -> Result<Work, String> {
        let workload = workloads::find(name).ok_or_else(|| format!("there is no workload {name}"))?;
        let parameters = workload.spec().parameters;
        let mut values = Values::defaults(parameters, quick);
        for (name, value) in given {
            if let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) {
                values.give(parameter, *value)?;
            }
        }
        Ok(Work { workload, values })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.workload.spec().name
    }

    /// The parameters as options, all of them.
    pub fn options(&self) -> Vec<String> {
        self.values.all().iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]).collect()
    }

    /// What lives, with one thread.
    pub fn live(&self) -> Live {
        self.workload.live(&self.values, 1)
    }

    /// The multiple of what lives that the heap's limit is, if nothing else is asked for.
    pub fn multiplier(&self) -> f64 {
        self.workload.spec().multiplier.unwrap_or(MULTIPLIER)
    }

    /// The bytes that each contestant's heap may have.
    pub fn limit(&self, multiplier: f64) -> u64 {
        limit(self.live(), multiplier)
    }

    /// Nanoseconds from the moment at which one step is due to that of the next, if steps are due at fixed moments.
    pub fn interval(&self) -> Option<f64> {
        self.workload.interval(&self.values, 1)
    }
}

/// The workloads that can be compared: all whose work is a program's, which marking alone is not.
pub fn names() -> impl Iterator<Item = &'static str> {
    workloads::ALL.iter().map(|workload| workload.spec().name).filter(|name| *name != "mark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_by_default_exists_and_a_value_that_is_not_allowed_is_refused() {
        for name in DEFAULT.iter().chain(QUICK) {
            assert!(names().any(|known| known == *name), "{name}");
        }
        let given = |value| Work::new("scatter", true, &[("writes".into(), value), ("levels".into(), 1)]);
        let work = given(4).expect("allowed");
        assert!(work.options().join(" ").contains("--writes 4"), "{:?}", work.options());
        assert!(given(0).is_err_and(|error| error.contains("writes")));
    }
}
