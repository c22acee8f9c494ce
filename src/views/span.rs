//! Decisions over a span of time, one row each.

use super::columns::Columns;
use controllers::Row;

/// The rows with their titles; empty if there are none.
pub fn span(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut columns = Columns::new(first.cells.iter().map(|(title, _)| *title));
    for row in rows {
        columns.row(row.cells.iter().map(|(_, cell)| cell.clone()).collect());
    }
    columns.text()
}
