//! Comparing the running kernel with the committed table of the same version.
//!
//! What one side could not try (no swap here, no hugetlb pages there) is not comparable and is counted, not judged. A
//! changed verdict is a failure. A changed phrase with the same verdict is told.

use std::collections::HashMap;
use std::io::{self, Write};

use super::report::{Row, Verdict};

/// Prints what differs between the committed rows and those found now. Returns whether all comparable verdicts agree.
pub fn compare(committed: &[Row], found: &[Row], out: &mut dyn Write) -> io::Result<bool> {
    let before: HashMap<_, _> = committed.iter().map(|row| (row.key(), row)).collect();
    let mut counts = Counts::default();
    for row in found {
        let Some(old) = before.get(&row.key()) else {
            counts.unknown += 1;
            continue;
        };
        if [old.verdict, row.verdict].contains(&Verdict::Unsupported) {
            counts.incomparable += usize::from(old.verdict != row.verdict);
            continue;
        }
        counts.compared += 1;
        if (&old.observed, old.verdict) == (&row.observed, row.verdict) {
            continue;
        }
        let changed = old.verdict != row.verdict;
        counts.changed += usize::from(changed);
        let (case, backing, mode) = row.key();
        writeln!(out, "{}: {case} on {backing} in {mode}", if changed { "changed" } else { "other words" })?;
        writeln!(out, "  was {:<12} {}", old.verdict.name(), old.observed)?;
        writeln!(out, "  is  {:<12} {}", row.verdict.name(), row.observed)?;
    }
    writeln!(
        out,
        "{} cells compared, {} verdicts changed; {} could be tried on one side only, {} are not in the table",
        counts.compared, counts.changed, counts.incomparable, counts.unknown
    )?;
    Ok(counts.changed == 0)
}

#[derive(Default)]
struct Counts {
    compared: usize,
    changed: usize,
    incomparable: usize,
    unknown: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(observed: &str, verdict: Verdict) -> Row {
        Row {
            case: "case".into(),
            backing: "anon".into(),
            mode: "sync".into(),
            observed: observed.into(),
            expected: "event".into(),
            verdict,
            means: String::new(),
        }
    }

    fn agrees(committed: Row, found: Row) -> (bool, String) {
        let mut out = Vec::new();
        let same = compare(&[committed], &[found], &mut out).unwrap();
        (same, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_changed_verdict_is_a_failure_and_is_named() {
        let (same, text) = agrees(row("event", Verdict::AsExpected), row("unseen", Verdict::Differs));
        assert!(!same);
        assert!(text.contains("case on anon in sync") && text.contains("unseen"), "{text}");
    }

    #[test]
    fn what_could_not_be_tried_here_is_no_failure() {
        let (same, text) = agrees(row("event", Verdict::AsExpected), row("no swap", Verdict::Unsupported));
        assert!(same);
        assert!(text.contains("1 could be tried on one side only"), "{text}");
    }

    #[test]
    fn equal_rows_are_silent() {
        let (same, text) = agrees(row("event", Verdict::AsExpected), row("event", Verdict::AsExpected));
        assert!(same);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
