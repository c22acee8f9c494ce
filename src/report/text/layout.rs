//! Text layout: tables, paragraphs, color. Independent of reports.

use comfy_table::{CellAlignment, ContentArrangement, Row, TableStyle};

use crate::figures::plain;

/// Maximum line width of a report.
pub const WIDTH: u16 = 100;

const INDENT: u16 = 2;
/// Columns between two cells.
const GAP: u16 = 2;
/// Minimum width of shortened names; below it, other columns give way.
const NAME_MIN: usize = 12;

/// Style of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// True to use ANSI colors.
    pub color: bool,
}

/// Meaning of a line, shown by its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain.
    Plain,
    /// The title of a section.
    Heading,
    /// Met.
    Good,
    /// Missed, failed.
    Bad,
    /// Needs attention.
    Warning,
    /// Secondary.
    Dim,
}

/// Alignment of a table column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For text.
    Left,
    /// For figures.
    Right,
}

/// A table without borders, each row on one line. If it is too wide, names next to figures are shortened in the middle,
/// because names of one system often share a prefix; other overlong content is truncated. `…` marks each cut.
pub struct Table {
    rows: Vec<Vec<String>>,
    columns: Vec<Align>,
}

impl Style {
    /// Colors the line, if colors are enabled.
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
    /// An empty table with these column alignments.
    pub fn new(columns: &[Align]) -> Self {
        Self { rows: Vec::new(), columns: columns.to_vec() }
    }

    /// Adds a line.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.row_of(cells);
    }

    /// Adds a row with any number of cells.
    pub fn row_of(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// One line per row.
    pub fn lines(mut self) -> Vec<String> {
        self.shorten_names();
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(WIDTH - INDENT);
        // Truncate at a character, not at a word.
        table.set_delimiter('\0');
        for cells in &self.rows {
            let mut row = Row::from(cells);
            row.max_height(1);
            table.add_row(row);
        }
        for (column, align) in table.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, GAP));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        let indent = " ".repeat(usize::from(INDENT));
        table.lines().map(|line| format!("{indent}{}", line.trim_end())).collect()
    }

    /// Shortens names to the width that the figures beside them leave.
    fn shorten_names(&mut self) {
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row: &Vec<String>| row.get(column))
                .map(|cell| width(cell))
                .max()
        };
        let others = (1..self.columns.len()).filter_map(widest);
        let taken = others.map(|width| width + usize::from(GAP)).sum::<usize>();
        let left = usize::from(WIDTH - INDENT - GAP).saturating_sub(taken);
        if left >= NAME_MIN && self.columns.get(1) == Some(&Align::Right) {
            for name in self.rows.iter_mut().filter_map(|row| row.first_mut()) {
                *name = without_middle(name, left);
            }
        }
    }
}

/// A text shortened in the middle to at most `most` columns.
fn without_middle(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let fitting = |characters: &mut dyn Iterator<Item = char>, most: usize| {
        let ends = characters.scan(0, |end, next| {
            *end += width(next.encode_utf8(&mut [0; 4]));
            Some(*end)
        });
        ends.take_while(|end| *end <= most).count()
    };
    let (head, tail) =
        (fitting(&mut text.chars(), (most - 1) / 2), fitting(&mut text.chars().rev(), most / 2));
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(text.chars().count() - tail).collect();
    format!("{head}…{tail}")
}

/// Text after `lead`, wrapped to the page width, with further lines indented by the width of
/// `lead`.
pub fn paragraph(lead: &str, text: &str) -> Vec<String> {
    // Leads are constants, with characters of one column each.
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

/// One line with left- and right-aligned text; overlong text is truncated.
pub fn two_sided(left: &str, right: &str) -> Vec<String> {
    let mut table = comfy_table::Table::new();
    table
        .load_style(TableStyle::new())
        .set_content_arrangement(ContentArrangement::DynamicFullWidth);
    table.set_width(WIDTH).set_delimiter('\0');
    let mut row = Row::from([left, right].map(plain));
    row.max_height(1);
    table.add_row(row);
    // Keeps at least one blank between the sides.
    let sides = [(CellAlignment::Left, (0, 0)), (CellAlignment::Right, (1, 0))];
    for (column, (align, padding)) in table.column_iter_mut().zip(sides) {
        column.set_padding(padding);
        column.set_cell_alignment(align);
    }
    table.lines().collect()
}

/// The display width of a line, in columns.
pub fn width(line: &str) -> usize {
    let mut table = comfy_table::Table::new();
    table.add_row([line]);
    table.column_max_content_widths().iter().map(|&width| usize::from(width)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_stay_different_where_they_are_cut() {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        let figures = "7".repeat(70);
        for name in ["default/inside-payment-mongo", "default/inside-payment-service", "web"] {
            table.row([name.to_owned(), figures.clone()]);
        }
        let lines = table.lines();
        let names: Vec<&str> =
            lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["default/ins…ayment-mongo", "default/ins…ment-service", "web"]);
    }
}
