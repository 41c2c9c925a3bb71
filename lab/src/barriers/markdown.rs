//! The result as tables for people: one for each backing, a row for each mechanism and number of threads.

use std::io::{self, Write};

use serde_json::Value;

use super::round::WHAT;

/// Writes the tables of a result.
pub fn write(result: &Value, out: &mut impl Write) -> io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let list = |key: &str| result[key].as_array().map_or(&[][..], Vec::as_slice);
    let machine = &result["machine"];
    writeln!(
        out,
        "Linux {}, {} processors; {} pages of 4 KB, {} rounds. Nanoseconds of wall time for a page, medians: the collector's barrier / the bare \
         system calls.",
        text(&machine["kernel"]),
        machine["processors"],
        result["pages"],
        result["rounds"]
    )?;
    for backing in ["anon", "shmem"] {
        writeln!(out, "\n| {backing} | threads | {} |", WHAT.join(" | "))?;
        writeln!(out, "|---|{}", "--:|".repeat(1 + WHAT.len()))?;
        let rows: Vec<&Value> = list("rows").iter().filter(|row| row["backing"] == backing).collect();
        let mut seen = Vec::new();
        for key in rows.iter().map(|row| (&row["mechanism"], &row["threads"])) {
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let cells = WHAT.iter().map(|what| {
                let here = |row: &&&Value| (&row["mechanism"], &row["threads"]) == key && row["what"] == **what;
                rows.iter().find(here).map_or_else(|| "–".to_owned(), |row| cell(row))
            });
            writeln!(out, "| `{}` | {} | {} |", text(key.0), key.1, cells.collect::<Vec<_>>().join(" | "))?;
        }
    }
    writeln!(out, "\n| control | backing | threads | ns |\n|---|---|--:|--:|")?;
    for control in list("controls") {
        let (what, backing) = (text(&control["what"]), text(&control["backing"]));
        writeln!(out, "| {what} | {backing} | {} | {} |", control["threads"], figure(&control["ns"]["median"]))?;
    }
    for missing in list("unavailable") {
        let (mechanism, backing) = (text(&missing["mechanism"]), text(&missing["backing"]));
        writeln!(out, "\n`{mechanism}` on {backing} does not work here: {}", text(&missing["why"]))?;
    }
    writeln!(out, "\nMeasured with `{}`.", text(&result["command"]))
}

fn cell(row: &Value) -> String {
    format!("{} / {}", figure(&row["ours_ns"]["median"]), figure(&row["bare_ns"]["median"]))
}

/// Three digits, as many as the spread leaves meaning to.
fn figure(nanoseconds: &Value) -> String {
    match nanoseconds.as_f64() {
        None => "–".to_owned(),
        Some(n) if n >= 100.0 => format!("{n:.0}"),
        Some(n) if n >= 10.0 => format!("{n:.1}"),
        Some(n) if n >= 1.0 => format!("{n:.2}"),
        Some(n) => format!("{n:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_stand_beside_each_other_and_what_is_missing_is_a_dash() {
        let row = json!({
            "mechanism": "async", "backing": "anon", "threads": 2, "what": "arm", "ours_ns": { "median": 12.34 }, "bare_ns": null
        });
        let result = json!({
            "machine": { "kernel": "6.18", "processors": 2 }, "pages": 64, "rounds": 3, "command": "pagemark barriers", "rows": [row],
            "unavailable": [{ "mechanism": "sync", "backing": "shmem", "why": "refused" }],
        });
        let mut out = Vec::new();
        write(&result, &mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("it was text");
        assert!(text.contains("| `async` | 2 | – | 12.3 / – | – | – | – | – | – |"), "{text}");
        assert!(text.contains("`sync` on shmem does not work here: refused"), "{text}");
    }
}
