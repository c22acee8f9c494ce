//! Tables as kubectl prints them: titles in capitals, columns three spaces apart.

use super::tabs::{OF_TABLES, align};

/// Placeholder for a value that does not exist.
pub(super) const NONE: &str = "<none>";
/// kubectl's placeholder for an unknown value.
pub(super) const UNKNOWN: &str = "<unknown>";

/// A table that grows row by row.
pub(super) struct Columns {
    text: String,
    rows: usize,
    /// True if each cell ends with a tab, including the last one, as in `kubectl top`.
    is_padded: bool,
}

impl Columns {
    /// A table with these titles.
    pub(super) fn new<'a>(titles: impl IntoIterator<Item = &'a str>) -> Self {
        let mut columns = Self { text: String::new(), rows: 0, is_padded: false };
        columns.line(titles.into_iter().map(str::to_owned).collect());
        columns
    }

    /// The same, padded after the last column.
    pub(super) fn padded<'a>(titles: impl IntoIterator<Item = &'a str>) -> Self {
        let mut columns = Self::new(titles);
        columns.is_padded = true;
        columns.text = columns.text.replace('\n', "\t\n");
        columns
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows += 1;
        self.line(cells);
    }

    fn line(&mut self, cells: Vec<String>) {
        // A cell is one line; kubectl cuts it there.
        let cells = cells.into_iter().map(|cell| cell.replace(['\n', '\t'], " "));
        self.text.push_str(&cells.collect::<Vec<_>>().join("\t"));
        self.text.push_str(if self.is_padded { "\t\n" } else { "\n" });
    }

    /// The text with a newline after each line; empty if there are no rows.
    pub(super) fn text(&self) -> String {
        if self.rows == 0 { String::new() } else { self.text_with_titles() }
    }

    /// The text, with the titles even if there are no rows.
    pub(super) fn text_with_titles(&self) -> String {
        align(&self.text, OF_TABLES)
    }
}
