//! What a report says, chapter by chapter. Each is there also when the results do not have what it is made of: then it says so.

mod barriers;
mod changes;
mod curves;
mod heaps;
mod latency;
mod lower_bounds;
mod setup;
mod standing;
mod table;
mod timeline;
mod workload;

use super::against::Comparison;
use super::document::Document;
use super::figures::Fault;
use super::figures::looks::Looks;
use super::input::Results;
use super::samples::workloads;

/// What all sections know.
struct Context {
    looks: Looks,
    /// How to make the pictures again.
    again: String,
}

/// The report of those results. With `comparison`, also what changed since another file, which was begun at that time.
pub fn document(results: &Results, comparison: Option<(&Comparison, &str)>) -> Result<Document, Fault> {
    let again = format!(
        "{}, then `pagemark report RESULTS.json`; single runs: the commands at the end of the chapter.",
        super::document::code(&results.command)
    );
    let context = Context { looks: Looks::of(&results.contestants), again };
    let workloads = workloads(results);
    let mut sections = setup::sections(results);
    if let Some((comparison, then)) = comparison {
        sections.extend(changes::sections(comparison, then));
    }
    sections.push(standing::section(&context, &workloads));
    for workload in &workloads {
        sections.extend(workload::sections(&context, workload)?);
    }
    sections.push(timeline::section(results)?);
    sections.extend(barriers::sections(results)?);
    Ok(Document { title: format!("pagemark {} beside its peers", results.pagemark), sections })
}
