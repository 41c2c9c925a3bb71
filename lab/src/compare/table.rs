//! What is printed at the end: enough to see that it went well, and who is where. Spreads, curves and pictures are the report's.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::results::Results;

const HEAD: [&str; 6] = ["workload", "contestant", "median s", "to async", "worst step ms", "peak MB"];

/// The main runs as a table, and the failures below it.
pub fn of(results: &Results) -> String {
    let failures = results.failures();
    // Of each workload and contestant, in the order of the first round's plan: its good runs.
    let mut cells: Vec<((&str, &str), Vec<&Value>)> = Vec::new();
    for (run, failure) in results.runs.iter().zip(&failures).filter(|(run, _)| run.purpose == "main") {
        let key = (run.workload, run.contestant.as_str());
        let cell = match cells.iter().position(|(known, _)| *known == key) {
            Some(at) => &mut cells[at],
            None => {
                cells.push((key, Vec::new()));
                cells.last_mut().expect("just pushed")
            }
        };
        if failure.is_none() {
            cell.1.extend(&run.measured);
        }
    }
    let workloads: Vec<&str> = {
        let mut seen = Vec::new();
        results.runs.iter().for_each(|run| {
            if !seen.contains(&run.workload) {
                seen.push(run.workload);
            }
        });
        seen
    };
    let place = |name: &str| results.contestants.iter().position(|contestant| contestant.name == name);
    cells.sort_by_key(|((workload, contestant), _)| {
        (workloads.iter().position(|known| known == workload), place(contestant))
    });

    let elapsed = |runs: &[&Value]| median(runs, "/elapsed_s");
    let base: BTreeMap<&str, f64> = cells
        .iter()
        .filter(|((_, contestant), _)| *contestant == "async")
        .filter_map(|((workload, _), runs)| Some((*workload, elapsed(runs)?)))
        .collect();
    let mut rows = vec![HEAD.map(String::from)];
    for ((workload, contestant), runs) in &cells {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
        let seconds = elapsed(runs);
        let ratio = seconds.zip(base.get(workload)).map(|(seconds, base)| seconds / base);
        let worst = runs.iter().filter_map(|run| run.pointer("/steps/max_ms")?.as_f64()).reduce(f64::max);
        let peak = median(runs, "/memory/peak_bytes").map(|bytes| bytes / 1e6);
        let figures = [number(seconds, 3), number(ratio, 2), number(worst, 2), number(peak, 0)];
        let [a, b, c, d] = figures;
        rows.push([workload.to_string(), contestant.to_string(), a, b, c, d]);
    }
    let mut text = aligned(&rows);
    for (failure, count) in counted(results, &failures) {
        let _ =
            writeln!(text, "failed{}: {failure}", if count > 1 { format!(" {count} times") } else { String::new() });
    }
    text
}

/// Failures that say the same, with how often, in order.
fn counted(results: &Results, failures: &[Option<String>]) -> Vec<(String, usize)> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for (run, failure) in results.runs.iter().zip(failures) {
        let Some(failure) = failure else { continue };
        let at = match run.multiplier {
            Some(multiplier) if run.purpose == "curve" => format!(" at {multiplier} × live"),
            _ => String::new(),
        };
        let text = format!("{} {}{at}: {failure}", run.workload, run.contestant);
        match counted.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    counted
}

fn median(runs: &[&Value], path: &str) -> Option<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run.pointer(path)?.as_f64()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some((values.get(middle.checked_sub(1)?)? + values[middle]) / 2.0)
    }
}

/// Columns as wide as what is in them: names to the left, figures to the right.
fn aligned(rows: &[[String; HEAD.len()]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_it() {
        let runs = [json!({ "a": 3 }), json!({ "a": 1 }), json!({ "a": 2.5 }), json!({ "a": null })];
        let of = |count: usize| median(&runs[..count].iter().collect::<Vec<_>>(), "/a");
        assert_eq!((of(0), of(1), of(2), of(3), of(4)), (None, Some(3.0), Some(2.0), Some(2.5), Some(2.5)));
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 6]| cells.map(String::from);
        let text = aligned(&[row(["a", "b", "c", "d", "e", "f"]), row(["long", "b", "1.0", "2", "–", "3"])]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0].chars().count(), lines[1].chars().count(), "{text}");
    }
}
