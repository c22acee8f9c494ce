//! Lines that fit the page: tables, paragraphs, colour. Knows nothing of reports.

use comfy_table::{CellAlignment, ContentArrangement, Row, TableStyle};

use crate::figures::plain;

/// Columns that a report may take.
pub const WIDTH: u16 = 100;

const INDENT: u16 = 2;

/// Style of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours may be used.
    pub color: bool,
}

/// Meaning of a line, which its colour shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it comes.
    Plain,
    /// The title of a section.
    Heading,
    /// Met.
    Good,
    /// Missed, failed.
    Bad,
    /// To be looked at.
    Warning,
    /// Of less weight.
    Dim,
}

/// To which side a column of a table is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A table without rules, each row on one line: what does not fit is cut with `…`.
pub struct Table {
    table: comfy_table::Table,
    columns: Vec<Align>,
}

impl Style {
    /// The line in its colour, if colours may be used.
    pub fn paint(self, paint: Paint, line: &str) -> String {
        let code = match paint {
            Paint::Heading => "1",
            Paint::Good => "32",
            Paint::Bad => "1;31",
            Paint::Warning => "33",
            Paint::Dim => "2",
            Paint::Plain => return line.to_owned(),
        };
        if self.color { format!("\u{1b}[{code}m{line}\u{1b}[0m") } else { line.to_owned() }
    }
}

impl Table {
    /// An empty table with columns of these alignments.
    pub fn new(columns: &[Align]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(WIDTH - INDENT);
        // What is too long is cut at a character, not at a word.
        table.set_delimiter('\0');
        Self { table, columns: columns.to_vec() }
    }

    /// Adds a line.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.row_of(cells);
    }

    /// Adds a line of as many cells as there are.
    pub fn row_of(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row = Row::from(cells.into_iter().map(|cell| plain(&cell)));
        row.max_height(1);
        self.table.add_row(row);
    }

    /// The lines, as many as rows were added.
    pub fn lines(mut self) -> Vec<String> {
        for (column, align) in self.table.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        let indent = " ".repeat(usize::from(INDENT));
        self.table.lines().map(|line| format!("{indent}{}", line.trim_end())).collect()
    }
}

/// Text behind `lead`, wrapped at the page's width, further lines indented by the lead's width.
pub fn paragraph(lead: &str, text: &str) -> Vec<String> {
    // Leads are written here, of characters that take one column each.
    let lead_width = u16::try_from(lead.chars().count()).unwrap_or(WIDTH).min(WIDTH - 1);
    let mut wrapped = comfy_table::Table::new();
    wrapped.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
    wrapped.set_width(WIDTH - lead_width);
    wrapped.add_row([plain(text)]);
    if let Some(column) = wrapped.column_mut(0) {
        column.set_padding((0, 0));
    }
    let indent = " ".repeat(usize::from(lead_width));
    let mut lines = Vec::new();
    for line in wrapped.lines() {
        let lead = if lines.is_empty() { lead } else { &indent };
        lines.push(format!("{lead}{}", line.trim_end()));
    }
    lines
}

/// One line with something at each end; what does not fit is cut.
pub fn two_sided(left: &str, right: &str) -> Vec<String> {
    let mut table = comfy_table::Table::new();
    table
        .load_style(TableStyle::new())
        .set_content_arrangement(ContentArrangement::DynamicFullWidth);
    table.set_width(WIDTH).set_delimiter('\0');
    let mut row = Row::from([left, right].map(plain));
    row.max_height(1);
    table.add_row(row);
    // A blank between them, however long the left side.
    let sides = [(CellAlignment::Left, (0, 0)), (CellAlignment::Right, (1, 0))];
    for (column, (align, padding)) in table.column_iter_mut().zip(sides) {
        column.set_padding(padding);
        column.set_cell_alignment(align);
    }
    table.lines().collect()
}

/// The columns that a line takes.
#[cfg(test)]
pub fn width(line: &str) -> usize {
    let mut table = comfy_table::Table::new();
    table.add_row([line]);
    table.column_max_content_widths().iter().map(|&width| usize::from(width)).sum()
}
