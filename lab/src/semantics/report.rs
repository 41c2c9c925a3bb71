//! What a run found, as rows: computed here, written and read as JSON, printed as text.
//!
//! The format is documented in `docs/semantics-format.md`. A file holds one list, one row a line, so that two tables can
//! be compared with `diff`. Rows hold no addresses, times or host names.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::cell::Cell;
use super::facts::Facts;
use super::harness::End;
use super::places;

/// How an observation compares with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They are the same.
    AsExpected,
    /// They are not.
    Differs,
    /// The kernel lacks something the case needs, or does not permit it.
    Unsupported,
    /// Nothing came back in time.
    Hang,
}

/// One cell of the matrix, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The case's name.
    pub case: String,
    /// The backing's name.
    pub backing: String,
    /// The mode's name.
    pub mode: String,
    /// What happened, or why it could not be tried.
    pub observed: String,
    /// What documentation or source lead one to expect.
    pub expected: String,
    /// The comparison.
    pub verdict: Verdict,
    /// What the observation means for a collector.
    pub means: String,
}

impl Row {
    /// Fills a cell in.
    pub fn new(case: &Case, cell: &Cell, end: End) -> Row {
        let expected = (case.expected)(cell);
        let (observed, verdict) = match end {
            End::Observed(observed) if observed == expected => (observed, Verdict::AsExpected),
            End::Observed(observed) => (observed, Verdict::Differs),
            End::Unsupported(reason) => (reason, Verdict::Unsupported),
            End::Hang { killed: true } => ("never returns".into(), Verdict::Hang),
            End::Hang { killed: false } => ("never returns and cannot be killed".into(), Verdict::Hang),
        };
        let means = match verdict {
            Verdict::Unsupported => "Not to be had here.",
            Verdict::Hang => "Never do this to heap memory on this kernel: the thread does not come back.",
            Verdict::AsExpected | Verdict::Differs => (case.means)(&observed),
        };
        Row {
            case: case.name.into(),
            backing: cell.backing.name().into(),
            mode: cell.mode.name().into(),
            observed,
            expected,
            verdict,
            means: means.into(),
        }
    }

    /// What identifies a row in its table.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.case, &self.backing, &self.mode)
    }
}

impl Verdict {
    /// The name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::AsExpected => "as-expected",
            Verdict::Differs => "differs",
            Verdict::Unsupported => "unsupported",
            Verdict::Hang => "hang",
        }
    }
}

/// Writes rows as JSON, one a line.
pub fn write_json(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "[")?;
    for (i, row) in rows.iter().enumerate() {
        let comma = if i + 1 < rows.len() { "," } else { "" };
        writeln!(out, "{}{comma}", serde_json::to_string(row)?)?;
    }
    writeln!(out, "]")
}

/// Reads a file of rows.
pub fn read_json(path: &Path) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{} is no list of rows: {e}", path.display()))
}

/// Writes rows for people, cells of one case with the same outcome together.
pub fn write_text(rows: &[Row], facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let (major, minor) = facts.version;
    writeln!(out, "Linux {major}.{minor}, userfaultfd features {:#x}", facts.features)?;
    for of_case in rows.chunk_by(|a, b| a.case == b.case) {
        let all: Vec<&Row> = of_case.iter().collect();
        writeln!(out, "\n{}", all[0].case)?;
        for same in places::groups(&all, |a, b| (&a.observed, a.verdict) == (&b.observed, b.verdict)) {
            let row = same[0];
            writeln!(out, "  {:<11} {}", row.verdict.name(), row.observed)?;
            if matches!(row.verdict, Verdict::Differs | Verdict::Hang) {
                writeln!(out, "  {:<11} expected: {}", "", row.expected)?;
            }
            writeln!(out, "  {:<11} {}", "", row.means)?;
            writeln!(out, "  {:<11} on {}", "", places::name(&same, &all))?;
        }
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    writeln!(
        out,
        "\n{} cells: {} as expected, {} differ, {} unsupported, {} hang",
        rows.len(),
        count(Verdict::AsExpected),
        count(Verdict::Differs),
        count(Verdict::Unsupported),
        count(Verdict::Hang)
    )
}
