//! `pagemark semantics`: what this kernel does with userfaultfd write protection, found by doing it.
//!
//! Documentation says what each feature does alone; what it does together with `mprotect`, `fork`, `madvise`, stores by
//! the kernel and the rest of what processes do, only the kernel itself knows. So each combination is executed. A
//! *case* ([`case`], [`cases`]) is one thing to try; it runs on each kind of memory and in each mode of the descriptor
//! ([`cell`]) in a process of its own ([`harness`]), and says in a short phrase what it saw. The phrase is compared with what
//! documentation or source lead one to expect ([`report`]). Phrases hold nothing that differs between two runs, so tables of
//! different kernels can be compared.

mod case;
mod cases;
mod cell;
mod check;
mod descriptors;
pub mod errno;
mod facts;
mod harness;
mod ksm;
mod markdown;
mod memory;
mod places;
mod process;
mod report;
mod ring;
pub mod scan;
mod server;
mod stage;
mod touch;
pub mod uffd;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cell::Cell;
use facts::Facts;
use harness::{Job, Limits};
use markdown::Table;
use report::Row;

/// What `pagemark semantics` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON list of rows, as docs/semantics-format.md describes it
    #[arg(long, conflicts_with_all = ["markdown", "check"])]
    json: bool,
    /// Print tables as Markdown, of this kernel or of those in --from
    #[arg(long, conflicts_with = "check")]
    markdown: bool,
    /// JSON files to make tables from instead of running anything, named by kernel version (6.18.json)
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "markdown", conflicts_with = "cases")]
    from: Vec<PathBuf>,
    /// The kernel that --markdown shows whole [default: the running one]
    #[arg(long, value_name = "VERSION", requires = "markdown")]
    kernel: Option<String>,
    /// Compare this kernel with the table of its version in a folder; fail if a verdict has changed
    #[arg(long, value_name = "FOLDER")]
    check: Option<PathBuf>,
    /// Run this case alone (may be given several times)
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// List the cases and what they do
    #[arg(long)]
    list: bool,
    /// Cells to run at the same time [default: three for each CPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Seconds a cell may take before it is called a hang
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
}

/// Runs the subcommand.
pub fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    if arguments.list {
        for group in cases::GROUPS {
            writeln!(out, "{} ({})", group.title, group.name)?;
            for case in group.cases {
                writeln!(out, "  {:<32} {}", case.name, case.about)?;
            }
        }
        return Ok(());
    }
    let facts = Facts::read();
    let running = format!("{}.{}", facts.version.0, facts.version.1);
    let full = arguments.kernel.as_deref().unwrap_or(&running);
    if !arguments.from.is_empty() {
        let read = |path: &PathBuf| report::read_json(path).map(|rows| Table { kernel: stem(path), rows });
        let tables: Vec<_> = arguments.from.iter().map(read).collect::<Result<_, _>>()?;
        if arguments.kernel.is_some() && tables.iter().all(|table| table.kernel != full) {
            return Err(format!("none of the files is the table of Linux {full} ({full}.json)").into());
        }
        return Ok(markdown::write(tables, full, &mut out)?);
    }
    let committed = match &arguments.check {
        None => None,
        Some(folder) => {
            let path = folder.join(format!("{running}.json"));
            if !folder.is_dir() {
                return Err(format!("{} is no folder of tables", folder.display()).into());
            }
            if !path.exists() {
                writeln!(out, "there is no table of Linux {running} in {} to compare with", folder.display())?;
                return Ok(());
            }
            Some(report::read_json(&path)?)
        }
    };
    let rows = run_matrix(&facts, &arguments)?;
    match committed {
        Some(committed) if !check::compare(&committed, &rows, &mut out)? => {
            return Err(format!("Linux {running} does not do what its table says").into());
        }
        Some(_) => {}
        None if arguments.json => report::write_json(&rows, &mut out)?,
        None if arguments.markdown => markdown::write(vec![Table { kernel: running.clone(), rows }], full, &mut out)?,
        None => report::write_text(&rows, &facts, &mut out)?,
    }
    Ok(())
}

/// What would help where no process can be started.
fn too_many(e: errno::Errno) -> &'static str {
    match e.0 {
        libc::EAGAIN => {
            "; raise the limit on processes (ulimit -u, the cgroup's pids.max), or run fewer cases at a time (--jobs)"
        }
        _ => "",
    }
}

/// A file's name without folder and extension: `6.18` of `docs/semantics/6.18.json`.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn run_matrix(facts: &Facts, arguments: &Arguments) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let all: Vec<_> = cases::GROUPS.iter().flat_map(|group| group.cases).collect();
    if let Some(unknown) = arguments.cases.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        return Err(format!("there is no case {unknown:?}; --list names them").into());
    }
    let mut cells = Vec::new();
    for case in all {
        if !arguments.cases.is_empty() && arguments.cases.iter().all(|name| name != case.name) {
            continue;
        }
        for &backing in case.backings {
            for &mode in case.modes {
                cells.push(Job { case, cell: Cell { backing, mode, facts } });
            }
        }
    }
    let unsupported: Vec<_> = cells.iter().map(|job| job.case.unsupported(&job.cell)).collect();
    let jobs: Vec<Job> =
        cells.iter().zip(&unsupported).filter(|(_, reason)| reason.is_none()).map(|(job, _)| *job).collect();
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
    let limits = Limits {
        width: arguments.jobs.map_or(3 * cpus, usize::from),
        patience: Duration::from_secs(arguments.patience),
    };
    descriptors::make_room(limits.width)?;
    let bar = indicatif::ProgressBar::new(jobs.len() as u64);
    let keeper = match jobs.iter().any(|job| job.case.switches_ksm) {
        true => Some(ksm::Keeper::start().map_err(|e| format!("cannot start a process: {e}{}", too_many(e)))?),
        false => None,
    };
    let mut ends = harness::run(&jobs, limits, &mut || bar.inc(1))
        .map_err(|e| format!("cannot run cases in processes of their own: {e}{}", too_many(e)))?
        .into_iter();
    bar.finish_and_clear();
    drop(keeper);
    let end = |reason: Option<String>| match reason {
        Some(reason) => harness::End::Unsupported(reason),
        None => ends.next().unwrap_or(harness::End::Hang { killed: false }),
    };
    let ends: Vec<_> = unsupported.into_iter().map(end).collect();
    Ok(cells.iter().zip(ends).map(|(job, end)| Row::new(job.case, &job.cell, end)).collect())
}
