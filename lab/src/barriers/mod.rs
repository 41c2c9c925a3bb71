//! `pagemark barriers`: what each mechanism costs a page, and how much of that the kernel takes.
//!
//! ```text
//! subject.rs    what is measured: the collector's barrier, through the interface a cycle uses
//! bare/         the same made of system calls alone
//! round.rs      every operation once
//! crew.rs       the threads that write
//! clock.rs      wall time and processor time
//! table.rs      figures, and the rows they come to; docs/barriers-format.md is the schema
//! markdown.rs   the same for people
//! ```
//!
//! Rounds are the outermost loop: in each, every mechanism on every backing with every number of threads has its turn, the collector's barrier and
//! right after it the bare one. So whatever the machine does meanwhile falls on all of them alike, and the two that are compared are measured within
//! the same fraction of a second. Each has memory of its own, which is given to it in each round anew.

mod bare;
mod clock;
mod crew;
mod markdown;
mod round;
mod spread;
mod subject;
mod table;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pagemark_gc::error::BarrierError;
use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::{Backing, Mapping};
use serde_json::{Value, json};

use crate::stress::random::Random;
use crew::{Crew, Pages};
use subject::{Failure, Ours};
use table::{MECHANISMS, Table, Who};

/// The version of the schema.
const SCHEMA: u64 = 1;

/// What `pagemark barriers` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Pages of 4 KB of each mapping [default: 16384, which is 64 MB; with --quick 1024]
    #[arg(long, value_parser = clap::value_parser!(u32).range(64..=1 << 24))]
    pages: Option<u32>,
    /// Rounds that the medians are of [default: 15; with --quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: Option<u32>,
    /// Measure with one thread that writes, with two, and so on up to this many
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Little memory and few rounds: for a look, not for a number
    #[arg(long)]
    quick: bool,
    /// Print tables as Markdown instead of JSON
    #[arg(long)]
    markdown: bool,
}

/// Sizes of a run.
struct Plan {
    pages: usize,
    rounds: usize,
    threads: usize,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let (pages, rounds) = if self.quick { (1024, 2) } else { (16_384, 15) };
        Plan {
            pages: self.pages.unwrap_or(pages) as usize,
            rounds: self.rounds.unwrap_or(rounds) as usize,
            threads: self.threads as usize,
        }
    }
}

/// Measures, and prints the result.
///
/// # Errors
/// When the result cannot be printed, or the machine has no memory or no threads for it. A mechanism that does not work is part of the result.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plan = arguments.plan();
    let result = measure(&plan)?;
    let mut out = std::io::stdout().lock();
    if arguments.markdown {
        return Ok(markdown::write(&result, &mut out)?);
    }
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&result)?)?)
}

fn measure(plan: &Plan) -> Result<Value, Failure> {
    let start = Instant::now();
    let order = order(plan.pages);
    let crews = (1..=plan.threads).map(Crew::new).collect::<Result<Vec<_>, _>>()?;
    let steps = plan.rounds * Backing::ALL.len() * (MECHANISMS.len() + 1);
    let bar = ProgressBar::new(steps as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}")?);
    let mut table = Table::default();
    for _ in 0..plan.rounds {
        for (backing, memory) in Backing::ALL.iter().enumerate() {
            for (mechanism, name) in MECHANISMS.iter().enumerate() {
                bar.set_message(format!("{name} {memory}"));
                if !table.is_refused(mechanism, backing)
                    && let Err(failure) = compare(&mut table, mechanism, backing, &order, &crews)
                {
                    table.refuse(mechanism, backing, failure.to_string());
                }
                bar.inc(1);
            }
            bar.set_message(format!("controls {memory}"));
            // Where nothing works, such as a memfd, the reason is there already, once for each mechanism.
            if (0..MECHANISMS.len()).any(|mechanism| !table.is_refused(mechanism, backing)) {
                controls(&mut table, backing, &order, &crews)?;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(json!({
        "schema": SCHEMA,
        "kind": "barriers",
        "pagemark": env!("CARGO_PKG_VERSION"),
        "command": format!("pagemark barriers --pages {} --rounds {} --threads {}", plan.pages, plan.rounds, plan.threads),
        "machine": crate::bench::machine(),
        "pages": plan.pages,
        "rounds": plan.rounds,
        "elapsed_s": (start.elapsed().as_secs_f64() * 1e3).round() / 1e3,
        "rows": table.rows(),
        "controls": table.controls(),
        "unavailable": table.unavailable(),
    }))
}

/// The numbers of the pages in an order that has nothing to do with their addresses, and is the same in every run.
fn order(pages: usize) -> Vec<usize> {
    let mut random = Random::new(1, 0);
    let mut order: Vec<usize> = (0..pages).collect();
    for last in (1..pages).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

/// A mapping without memory, and its pages in this order.
fn map(backing: usize, order: &[usize]) -> Result<(Mapping, Pages), Failure> {
    let mapping = Mapping::new(Backing::ALL[backing], order.len() * PAGE, "pagemark barriers")?;
    mapping.forbid_huge_pages(mapping.range());
    let pages = order.iter().map(|page| mapping.base() + page * PAGE).collect();
    Ok((mapping, pages))
}

/// Its pages in the order of their addresses, in which memory comes to a heap, more or less: what the kernel keeps for each page lies in the order
/// of the memory, and whether it is walked in that order makes a difference.
fn ascending(mapping: &Mapping) -> Pages {
    mapping.range().step_by(PAGE).collect()
}

/// One mechanism on one backing in one round: the collector's and the bare one in turn, with each number of threads.
fn compare(
    table: &mut Table,
    mechanism: usize,
    backing: usize,
    order: &[usize],
    crews: &[Crew],
) -> Result<(), Failure> {
    let (mapping, pages) = map(backing, order)?;
    let ours = Ours::open(MECHANISMS[mechanism], &mapping).map_err(reason)?;
    let (bare_mapping, bare_pages) = map(backing, order)?;
    for mapping in [&mapping, &bare_mapping] {
        crews[0].write(&ascending(mapping), 0..order.len(), false);
    }
    for crew in crews {
        table.add(mechanism, backing, crew.size(), Who::Ours, round::measure(&ours, &pages, crew)?);
        // Opened anew each time: a bare program that works by signals takes the handler from the collector's as long as it is there.
        let bare = bare::open(MECHANISMS[mechanism], &bare_mapping)?;
        table.add(mechanism, backing, crew.size(), Who::Bare, round::measure(&*bare, &bare_pages, crew)?);
    }
    Ok(())
}

/// What a refusal says, without the name of the mechanism, which stands beside it.
fn reason(error: BarrierError) -> Failure {
    match error {
        BarrierError::Unavailable { cause, remedy, .. } => format!("{cause}. {remedy}").into(),
        error => error.into(),
    }
}

/// Writes that no barrier has a part in.
fn controls(table: &mut Table, backing: usize, order: &[usize], crews: &[Crew]) -> Result<(), Failure> {
    let (mapping, pages) = map(backing, order)?;
    for crew in crews {
        let touch = crew.write(&ascending(&mapping), 0..pages.len(), false);
        let write = crew.write(&pages, 0..(pages.len() / round::FIRST_WRITE).max(crew.size()), false);
        table.add_controls(backing, crew.size(), [write, touch]);
        mapping.release(mapping.range())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_written_once() {
        let mut order = order(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
