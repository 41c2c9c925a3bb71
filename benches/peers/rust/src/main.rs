//! The work of the lab with garbage-collecting libraries for Rust: `CONTESTANT WORKLOAD --heap BYTES --live BYTES --steps FILE --threads 1 --PARAMETER VALUE …`.
//!
//! ```text
//! arena/      gc-arena: the graph lives in an arena, which collects a little after each step
//! counted/    dumpster and gc: both have a pointer that is cloned and dropped, so each workload is written once
//! ```

mod arena;
mod bench;
mod fold;
mod random;
mod with_dumpster;
mod with_gc;

use bench::{Bench, Failure, Workload};

/// Name, the library's name as a package, and the workloads it has.
type Contestant = (&'static str, &'static str, &'static [(&'static str, Workload)]);

const CONTESTANTS: [Contestant; 3] = [
    ("gc-arena", "gc-arena", &arena::WORKLOADS),
    ("dumpster", "dumpster", &with_dumpster::WORKLOADS),
    ("rust-gc", "gc", &with_gc::WORKLOADS),
];

/// The two that trace by recursion go as deep as the graph is long. Memory that is never touched costs nothing.
const STACK: usize = 8 << 30;

/// The package's version in the lock file.
fn version(package: &str) -> &'static str {
    let mut lines = include_str!("../Cargo.lock").lines();
    let name = format!("name = \"{package}\"");
    lines.by_ref().find(|line| *line == name);
    lines.next().and_then(|line| line.split('"').nth(1)).unwrap_or("unknown")
}

fn run() -> Result<String, Failure> {
    let mut words = std::env::args().skip(1);
    let (name, workload) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = CONTESTANTS.into_iter().find(|contestant| contestant.0 == name);
    let (_, package, workloads) = found.ok_or_else(|| format!("there is no contestant {name}"))?;
    let found = workloads.iter().find(|(of, _)| *of == workload);
    let (_, work) = found.ok_or_else(|| format!("{name} has no workload {workload}"))?;
    let mut bench = Bench::new(words)?;
    if bench.parameter("threads")? != 1 {
        return Err("this program has one thread".into());
    }
    let check = work(&mut bench)?;
    bench.write_steps()?;
    Ok(bench.result(&name, version(package), &workload, check))
}

fn main() {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(|| {
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
        // The libraries would free all that still lives when the thread ends, which nobody wants to wait for.
        std::process::exit(status)
    });
    match thread.map(|thread| thread.join()) {
        Ok(_) => std::process::exit(1),
        Err(error) => {
            eprintln!("no thread: {error}");
            std::process::exit(1)
        }
    }
}
