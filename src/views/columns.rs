//! Tables as kubectl prints them: titles in capitals, columns three spaces apart.

/// What stands for a value that does not exist.
pub(super) const NONE: &str = "<none>";

/// A table that grows row by row.
pub(super) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A table with these titles.
    pub(super) fn new<'a>(titles: impl IntoIterator<Item = &'a str>) -> Self {
        Self { rows: vec![titles.into_iter().map(str::to_owned).collect()] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text, each line ended; nothing if there is no row.
    pub(super) fn text(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = padded.collect::<Vec<_>>().join("   ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
