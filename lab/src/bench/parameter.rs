//! What a workload can be told, as a table: its command line, its help and the `parameters` of its result are made from it.
//!
//! A parameter has two defaults, one for a run that shall mean something and one for `--quick`.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches};

/// One number a workload depends on. Two are the same if their names are.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its option, without dashes.
    pub name: &'static str,
    /// What it is, with its unit.
    pub about: &'static str,
    /// If nothing is said.
    pub full: u64,
    /// With `--quick`.
    pub quick: u64,
    /// The least and the most.
    pub range: (u64, u64),
    /// Whether the option stands alone and means 1; then it is 0 if it is not there.
    pub flag: bool,
}

impl Parameter {
    /// A number.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        full: u64,
        quick: u64,
        (least, most): (u64, u64),
    ) -> Parameter {
        assert!(least <= quick && quick <= most && least <= full && full <= most, "a default is in its own range");
        Parameter { name, about, full, quick, range: (least, most), flag: false }
    }

    /// Something that is so or not.
    pub const fn flag(name: &'static str, about: &'static str) -> Parameter {
        Parameter { name, about, full: 0, quick: 0, range: (0, 1), flag: true }
    }

    /// As an option of the command line.
    pub fn argument(&self) -> Arg {
        let argument = Arg::new(self.name).long(self.name);
        if self.flag {
            return argument.help(self.about).action(ArgAction::SetTrue);
        }
        let help = if self.full == self.quick {
            format!("{} [default: {}]", self.about, self.full)
        } else {
            format!("{} [default: {}, quick: {}]", self.about, self.full, self.quick)
        };
        argument.help(help).value_name("N").value_parser(clap::value_parser!(u64).range(self.range.0..=self.range.1))
    }
}

/// The value of each parameter in one run.
#[derive(Clone, Debug)]
pub struct Values(BTreeMap<&'static str, u64>);

impl Values {
    /// The defaults.
    pub fn defaults(parameters: &[Parameter], quick: bool) -> Values {
        Values(parameters.iter().map(|p| (p.name, if quick { p.quick } else { p.full })).collect())
    }

    /// Takes what the command line says.
    pub fn take(&mut self, parameters: &[Parameter], matches: &ArgMatches) {
        for parameter in parameters {
            let given = if parameter.flag {
                matches.get_flag(parameter.name).then_some(1)
            } else {
                matches.get_one::<u64>(parameter.name).copied()
            };
            if let Some(value) = given {
                self.0.insert(parameter.name, value);
            }
        }
    }

    /// Gives a parameter of the workload another value.
    ///
    /// # Errors
    ///
    /// When it is out of range.
    pub fn give(&mut self, parameter: &Parameter, value: u64) -> Result<(), String> {
        let (least, most) = parameter.range;
        if !(least..=most).contains(&value) {
            return Err(format!("{} is {value}; allowed is {least} to {most}", parameter.name));
        }
        self.0.insert(parameter.name, value);
        Ok(())
    }

    /// The value of a parameter of the workload.
    ///
    /// # Panics
    ///
    /// For one that the workload's table does not have.
    pub fn get(&self, parameter: &Parameter) -> u64 {
        *self.0.get(parameter.name).unwrap_or_else(|| panic!("{} is not in the workload's table", parameter.name))
    }

    /// Name and value of each.
    pub fn all(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }
}
