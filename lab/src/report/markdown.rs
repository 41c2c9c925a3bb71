//! The document as Markdown: everything but the pictures, which are named.

use super::document::{Block, Document, Entry, Figure, Table};

/// Writes it.
pub fn write(document: &Document) -> String {
    let mut out = format!("# {}\n", document.title);
    for section in &document.sections {
        out += &format!("\n{} {}\n", "#".repeat(section.level.into()), section.title);
        for block in &section.blocks {
            out.push('\n');
            match block {
                Block::Text(text) => out += &format!("{text}\n"),
                Block::Warning(text) => out += &format!("> **Note.** {text}\n"),
                Block::List(items) => items.iter().for_each(|item| out += &format!("* {item}\n")),
                Block::Table(table) => out += &rows(table),
                Block::Figure(figure) => out += &named(figure),
                Block::Commands { summary, lines } => {
                    out += &format!("{summary}:\n\n```sh\n{}\n```\n", lines.join("\n"))
                }
            }
        }
    }
    out
}

fn rows(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(table.head.iter().map(|title| escaped(title)).collect());
    out += &format!("|---|{}\n", "---:|".repeat(table.head.len().saturating_sub(1)));
    for row in &table.rows {
        out += &line(row.iter().map(cell).collect());
    }
    out
}

fn cell(entry: &Entry) -> String {
    let text = escaped(&entry.text);
    entry.spread.as_ref().map_or_else(|| text.clone(), |spread| format!("{text} ({spread})"))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn named(figure: &Figure) -> String {
    format!("*Picture in `report.html`:* {} Again: {}\n", figure.caption, figure.command)
}
