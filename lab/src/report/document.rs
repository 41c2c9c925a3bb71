//! A report as what it says, apart from how it is written: sections of sentences, tables, pictures and commands.
//!
//! [`super::html`] and [`super::markdown`] write the same document, so that neither can know a number that the other does not. In
//! sentences and cells, text between backticks is code; foreign text goes through [`code`], which lets it close no quotation.

/// All of it.
pub struct Document {
    /// The title.
    pub title: String,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// A part with a heading.
pub struct Section {
    /// The heading.
    pub title: String,
    /// 2 for a chapter, 3 for a part of one.
    pub level: u8,
    /// What stands in it.
    pub blocks: Vec<Block>,
}

/// One thing in a section.
pub enum Block {
    /// Sentences.
    Text(String),
    /// Sentences one may not overlook.
    Warning(String),
    /// Items.
    List(Vec<String>),
    /// Rows and columns.
    Table(Table),
    /// Pictures that are read together.
    Figure(Figure),
    /// Many commands, which most readers do not want to see.
    Commands {
        /// What they do.
        summary: String,
        /// Each on a line.
        lines: Vec<String>,
    },
}

/// Rows under a head. The first column names the row.
pub struct Table {
    /// Titles of the columns.
    pub head: Vec<String>,
    /// As many cells each as there are titles.
    pub rows: Vec<Vec<Entry>>,
}

/// A cell.
pub struct Entry {
    /// What it says.
    pub text: String,
    /// From where to where that was seen.
    pub spread: Option<String>,
}

/// Pictures with one caption.
pub struct Figure {
    /// What is to be seen, and how to read it.
    pub caption: String,
    /// The pictures, side by side where there is room.
    pub panels: Vec<Panel>,
    /// What reproduces it.
    pub command: String,
}

/// One picture.
pub struct Panel {
    /// What tells it from its neighbours.
    pub title: String,
    /// The picture, an `<svg>` element.
    pub svg: String,
    /// Names of the lines, each with an `<svg>` element that shows a piece of it.
    pub legend: Vec<(String, String)>,
}

impl Section {
    /// An empty chapter.
    pub fn chapter(title: impl Into<String>) -> Section {
        Section { title: title.into(), level: 2, blocks: Vec::new() }
    }

    /// An empty part of a chapter.
    pub fn part(title: impl Into<String>) -> Section {
        Section { title: title.into(), level: 3, blocks: Vec::new() }
    }

    /// Adds sentences.
    pub fn say(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    /// Adds a table, or nothing if it has no rows.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<Entry>>) {
        if !rows.is_empty() {
            let head = head.iter().map(|title| (*title).to_string()).collect();
            self.blocks.push(Block::Table(Table { head, rows }));
        }
    }
}

impl From<String> for Entry {
    fn from(text: String) -> Entry {
        Entry { text, spread: None }
    }
}

impl From<&str> for Entry {
    fn from(text: &str) -> Entry {
        Entry::from(text.to_string())
    }
}

/// Foreign text as code, on one line.
pub fn code(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    format!("`{}`", line.join(" ").replace('`', "'"))
}
