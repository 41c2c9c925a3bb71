//! The work of the lab with MMTk: `PLAN WORKLOAD --heap BYTES --live BYTES --steps FILE --threads 1 --PARAMETER VALUE …`.

mod binding;
mod churn;

use binding::Heap;
use mmtk::util::options::PlanSelector;
use pagemark_peers::bench::{Bench, Failure};

/// Name of the contestant, and the plan.
const PLANS: [(&str, PlanSelector); 3] = [
    ("mmtk-immix", PlanSelector::Immix),
    ("mmtk-genimmix", PlanSelector::GenImmix),
    ("mmtk-marksweep", PlanSelector::MarkSweep),
];

fn run() -> Result<String, Failure> {
    let mut words = std::env::args().skip(1);
    let (name, workload) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = PLANS.into_iter().find(|(of, _)| *of == name);
    let (_, plan) = found.ok_or_else(|| format!("there is no contestant {name}"))?;
    if workload != "churn" {
        return Err(format!("{name} has no workload {workload}").into());
    }
    let mut bench = Bench::new(words)?;
    if bench.parameter("threads")? != 1 {
        return Err("this program has one thread".into());
    }
    let mut heap = Heap::new(plan, bench.parameter("heap")? as usize)?;
    let check = churn::run(&mut bench, &mut heap)?;
    bench.write_steps()?;
    Ok(bench.result(&name, mmtk::build_info::MMTK_PKG_VERSION, &workload, check))
}

fn main() {
    let status = match run() {
        Ok(result) => {
            println!("{result}");
            0
        }
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    };
    std::process::exit(status)
}
