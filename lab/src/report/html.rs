//! The document as one HTML file that needs nothing else: styles and pictures are in it, scripts and fonts are not used.

use super::document::{Block, Document, Entry, Figure, Panel, Section, Table};
use super::figures::theme;

const STYLE: &str = include_str!("style.css");

/// Writes it.
pub fn write(document: &Document) -> String {
    let title = escaped(&document.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        theme::variables(),
    );
    out += &contents(&document.sections);
    for (index, section) in document.sections.iter().enumerate() {
        out += &format!("<h{0} id=\"s{index}\">{1}</h{0}>\n", section.level, inline(&section.title));
        section.blocks.iter().for_each(|block| out += &block_of(block));
    }
    out + "</body>\n</html>\n"
}

fn contents(sections: &[Section]) -> String {
    let chapters = sections.iter().enumerate().filter(|(_, section)| section.level == 2);
    let links: Vec<String> =
        chapters.map(|(index, section)| format!("<a href=\"#s{index}\">{}</a>", inline(&section.title))).collect();
    format!("<nav>{}</nav>\n", links.join(" "))
}

fn block_of(block: &Block) -> String {
    match block {
        Block::Text(text) => format!("<p>{}</p>\n", inline(text)),
        Block::Warning(text) => format!("<p class=\"warning\">{}</p>\n", inline(text)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Block::Table(table) => rows(table),
        Block::Figure(figure) => figure_of(figure),
        Block::Commands { summary, lines } => {
            let lines = escaped(&lines.join("\n"));
            format!("<details><summary>{}</summary><pre>{lines}</pre></details>\n", inline(summary))
        }
    }
}

fn rows(table: &Table) -> String {
    let head: String = table.head.iter().map(|title| format!("<th scope=\"col\">{}</th>", inline(title))).collect();
    let mut out = format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        let cells = row.iter().enumerate().map(|(index, entry)| match index {
            0 => format!("<th scope=\"row\">{}</th>", cell(entry)),
            _ => format!("<td>{}</td>", cell(entry)),
        });
        out += &format!("<tr>{}</tr>\n", cells.collect::<String>());
    }
    out + "</tbody></table></div>\n"
}

fn cell(entry: &Entry) -> String {
    let spread = entry.spread.as_ref().map(|spread| format!("<small>{}</small>", inline(spread).replace("; ", "<br>")));
    inline(&entry.text) + &spread.unwrap_or_default()
}

fn figure_of(figure: &Figure) -> String {
    let panels: String = figure.panels.iter().map(panel).collect();
    format!(
        "<figure>\n<div class=\"panels\">{panels}</div>\n<figcaption>{}<br>Again: {}</figcaption>\n</figure>\n",
        inline(&figure.caption),
        inline(&figure.command)
    )
}

fn panel(panel: &Panel) -> String {
    let title = if panel.title.is_empty() { String::new() } else { format!("<h4>{}</h4>", inline(&panel.title)) };
    let names: String =
        panel.legend.iter().map(|(name, piece)| format!("<span>{piece}{}</span> ", escaped(name))).collect();
    let legend = if names.is_empty() { names } else { format!("<p class=\"legend\">{names}</p>") };
    format!("<div class=\"panel\">{title}<div class=\"wide\">{}</div>{legend}</div>\n", panel.svg)
}

/// Text as it is.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with code between backticks.
fn inline(text: &str) -> String {
    let escaped = escaped(text);
    let mut parts = escaped.split('`');
    let mut out = parts.next().unwrap_or_default().to_string();
    while let Some(quoted) = parts.next() {
        match parts.next() {
            Some(after) => out += &format!("<code>{quoted}</code>{after}"),
            // A backtick that stands alone.
            None => out += &format!("`{quoted}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(inline("a <b> `c & d` e"), "a &lt;b&gt; <code>c &amp; d</code> e");
        assert_eq!(inline("one ` alone"), "one ` alone");
    }
}
