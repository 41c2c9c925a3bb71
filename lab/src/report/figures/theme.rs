//! Colours, dashes and markers, and how a drawing that knows neither light nor dark gets both.
//!
//! The plotting crate writes colours as numbers. Each [`Ink`] is drawn as a number that stands for it, and afterwards the number is replaced
//! by the name of a CSS variable, which has one value for light pages and one for dark. Dashes travel in the same number,
//! since the crate's own dashed line is a list of short lines, at a hundred times the size.
//!
//! The series' hues are those of Okabe and Ito (2008), told apart by people with any of the usual colour vision, made darker or lighter until they stand
//! out from the page. Lines differ by dash and marker as well.

use plotters::style::RGBColor;

/// What a thing is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Text,
    /// Text and lines that are less important.
    Faint,
    /// Lines of the grid.
    Grid,
    /// The page.
    Page,
    /// A series, by number.
    Series(usize),
}

/// Names of the variables with their values on light and dark pages; series last.
const VARIABLES: [(&str, &str, &str); 16] = [
    ("ink", "#1a1c1f", "#e6e7e9"),
    ("faint", "#5b6067", "#a3a8b0"),
    ("grid", "#e2e4e7", "#33373d"),
    ("page", "#ffffff", "#16181b"),
    ("rule", "#d5d8dc", "#3a3f45"),
    ("shade", "#f4f5f6", "#202327"),
    ("link", "#005a9c", "#7cc0ff"),
    ("warn", "#c77700", "#f0b429"),
    ("p0", "#cf5200", "#ff8f4d"),
    ("p1", "#0069ab", "#4fb0f5"),
    ("p2", "#007a58", "#2cc99b"),
    ("p3", "#b14a8c", "#ec9fd0"),
    ("p4", "#8f6a00", "#e8c547"),
    ("p5", "#2f97d0", "#a5dcff"),
    ("p6", "#6a7078", "#b4bac2"),
    ("p7", "#1a1c1f", "#ffffff"),
];
const FIRST_SERIES: usize = 8;

/// How many series have a colour of their own.
pub const COLOURS: usize = VARIABLES.len() - FIRST_SERIES;

/// Dash patterns; the first is a whole line.
const DASHES: [&str; 4] = ["", "7 3", "2 2.5", "9 3 2 3"];

/// Marks the numbers that stand for inks.
const MARK: u8 = 1;

impl Ink {
    fn index(self) -> usize {
        match self {
            Ink::Text => 0,
            Ink::Faint => 1,
            Ink::Grid => 2,
            Ink::Page => 3,
            Ink::Series(number) => FIRST_SERIES + number % COLOURS,
        }
    }

    /// The number that stands for it.
    pub fn colour(self) -> RGBColor {
        self.dashed(0)
    }

    /// The number that stands for it in a dashed line.
    pub fn dashed(self, dash: usize) -> RGBColor {
        RGBColor(MARK, self.index() as u8, (dash % DASHES.len()) as u8)
    }
}

/// The values of all variables, for both kinds of pages.
pub fn variables() -> String {
    let values = |of: fn(&(&str, &'static str, &'static str)) -> &'static str| -> String {
        VARIABLES.iter().map(|variable| format!("--{}:{};", variable.0, of(variable))).collect()
    };
    let (light, dark) = (values(|v| v.1), values(|v| v.2));
    format!(
        ":root {{ color-scheme: light dark; {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n@media print {{ :root {{ {light} }} }}\n"
    )
}

/// The drawing with names in the place of numbers, and without what every element says.
pub fn dressed(svg: &str) -> String {
    let mut svg = svg.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "").replace("\n", "");
    for (index, (name, _, _)) in VARIABLES.iter().enumerate() {
        for (dash, pattern) in DASHES.iter().enumerate() {
            let number = format!("\"#{MARK:02X}{index:02X}{dash:02X}\"");
            let pattern = if pattern.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{pattern}\"") };
            svg = svg.replace(&format!("stroke={number}"), &format!("stroke=\"var(--{name})\"{pattern}"));
            svg = svg.replace(&format!("fill={number}"), &format!("fill=\"var(--{name})\""));
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_dashes() {
        let ink = Ink::Series(1).dashed(1);
        let number = format!("#{:02X}{:02X}{:02X}", ink.0, ink.1, ink.2);
        let dressed = dressed(&format!("<line opacity=\"1\" stroke=\"{number}\"/>"));
        assert_eq!(dressed, "<line stroke=\"var(--p1)\" stroke-dasharray=\"7 3\"/>");
    }

    #[test]
    fn every_ink_has_a_value_on_light_and_on_dark_pages() {
        let all = variables();
        for ink in [Ink::Text, Ink::Faint, Ink::Grid, Ink::Page, Ink::Series(0), Ink::Series(COLOURS - 1)] {
            let name = VARIABLES[ink.index()].0;
            assert!(all.matches(&format!("--{name}:#")).count() >= 2, "{ink:?}");
        }
    }
}
