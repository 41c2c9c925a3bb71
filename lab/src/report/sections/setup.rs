//! Where, when, by whom and with what it was measured; who did not run, and which runs failed.

use crate::report::document::{Block, Section, code};
use crate::report::input::{Contestant, Machine, Results, Run};
use crate::report::numbers::UNKNOWN;

/// Longer texts of failures are cut here: a program that crashes may print pages.
const LONGEST: usize = 600;

/// The chapters.
pub fn sections(results: &Results) -> Vec<Section> {
    vec![what(results), who(results), failures(results)]
}

fn what(results: &Results) -> Section {
    let mut section = Section::chapter("What was measured, and where");
    if !results.complete {
        section.blocks.push(Block::Warning(
            "The comparison was interrupted: these are the runs until then, and contestants may have different numbers of them.".into(),
        ));
    }
    let commit = results.commit.as_ref().map_or_else(String::new, |commit| format!(", commit {}", code(commit)));
    let finished = results.finished.as_ref().map_or_else(|| "not finished".into(), |end| format!("finished {end}"));
    let usable = results.runs.iter().filter(|run| run.usable().is_some()).count();
    let mut items = vec![
        format!("pagemark {}{commit}", results.pagemark),
        format!("Command: {}", code(&results.command)),
        format!("Started {}, {finished}; {usable} of {} runs succeeded.", results.started, results.runs.len()),
    ];
    items.extend(machine(&results.machine));
    section.blocks.push(Block::List(items));
    if !results.left_out.is_empty() {
        section.say("Left out:");
        section.blocks.push(Block::List(results.left_out.iter().map(|text| code(text)).collect()));
    }
    section.say(
        "Numbers are medians over the runs of a configuration; what stands with them is their spread, from the least to the most. Configurations were \
         interleaved, so that whatever the machine did fell on all of them. A worst case means something only beside that of the control thread, which only \
         sleeps and sees how late it is woken. MB are 2^20 bytes. `docs/benchmarks.md` says how each number is measured, how the pictures are \
         read, and in whose favour each workload is biased.",
    );
    section
}

fn machine(machine: &Machine) -> Vec<String> {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
    let kind = match machine.hypervisor {
        Some(true) => ", a virtual machine",
        Some(false) => ", no virtual machine",
        None => "",
    };
    let processors = machine.processors.map_or_else(|| "unknown".into(), |n| n.to_string());
    let memory = machine.memory_bytes.map_or_else(|| "unknown".into(), |bytes| format!("{} MB", bytes >> 20));
    vec![
        format!("Processor: {}; processors: {processors}{kind}", known(&machine.processor)),
        format!("Memory: {memory}"),
        format!("Kernel: {}; distribution: {}", known(&machine.kernel), known(&machine.distribution)),
        format!(
            "Transparent huge pages: {} (memory that is tracked page by page has none in any case)",
            known(&machine.huge_pages)
        ),
    ]
}

fn who(results: &Results) -> Section {
    let mut section = Section::chapter("Who ran");
    let row = |contestant: &Contestant| {
        let count = |ok: bool| {
            let runs = results.runs.iter().filter(|run| run.contestant == contestant.name && run.ok == ok).count();
            runs.to_string().into()
        };
        let version = contestant.version.as_deref().unwrap_or(UNKNOWN);
        vec![
            contestant.name.as_str().into(),
            contestant.family.as_str().into(),
            version.into(),
            count(true),
            count(false),
        ]
    };
    let rows = results.contestants.iter().filter(|contestant| contestant.installed).map(row).collect();
    section.table(&["", "family", "version", "runs", "failed"], rows);
    let missing: Vec<String> = results
        .contestants
        .iter()
        .filter(|contestant| !contestant.installed)
        .map(|contestant| match &contestant.how {
            Some(how) => format!("`{}`: {}", contestant.name, code(how)),
            None => format!("`{}`: how to install it is not known", contestant.name),
        })
        .collect();
    if missing.is_empty() {
        section.say("Everybody was installed.");
    } else {
        section.say("Not installed, and what would change that:");
        section.blocks.push(Block::List(missing));
    }
    section
}

fn failures(results: &Results) -> Section {
    let mut section = Section::chapter("Failures");
    // A configuration that fails does so in each round, for the same reason.
    let mut groups: Vec<(Vec<&Run>, &str)> = Vec::new();
    for run in results.runs.iter().filter(|run| run.usable().is_none()) {
        let error = run.error.as_deref().unwrap_or("no reason was given");
        let same = |(runs, known): &&mut (Vec<&Run>, &str)| {
            let first = runs[0];
            let name = |run: &Run| (run.workload.clone(), run.contestant.clone());
            name(first) == name(run) && first.multiplier == run.multiplier && *known == error
        };
        match groups.iter_mut().find(same) {
            Some((runs, _)) => runs.push(run),
            None => groups.push((vec![run], error)),
        }
    }
    let said = |(runs, error): &(Vec<&Run>, &str)| {
        let run = runs[0];
        let size = run.multiplier.map_or_else(String::new, |multiplier| format!(" at {multiplier}×"));
        let times = if runs.len() > 1 { format!(" ({} times)", runs.len()) } else { String::new() };
        let text: String = error.chars().take(LONGEST).collect();
        let rest = if text.len() < error.len() { " (cut)" } else { "" };
        let (text, command) = (code(&text), code(&run.command));
        format!("`{}`, `{}`{size}{times}: {text}{rest}. Again: {command}", run.workload, run.contestant)
    };
    let failed: Vec<String> = groups.iter().map(said).collect();
    if failed.is_empty() {
        section.say("No run failed.");
    } else {
        section.say("These runs are in no number and in no picture.");
        section.blocks.push(Block::List(failed));
    }
    section
}
