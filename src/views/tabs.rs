//! Column alignment as in Go's `text/tabwriter`: a cell ends with a tab, and adjacent lines with a cell in the same
//! column share its width. All of kubectl's output is aligned this way.

/// Minimum width and padding of columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spacing {
    /// Minimum width of a column, in characters.
    pub(super) at_least: usize,
    /// Blanks after the widest cell.
    pub(super) padding: usize,
}

/// For tables (`GetNewTabWriter` in cli-runtime's `printers`).
pub(super) const OF_TABLES: Spacing = Spacing { at_least: 6, padding: 3 };
/// For `kubectl describe` and `rollout history` (`tabbedString` in `pkg/describe`).
pub(super) const OF_PAGES: Spacing = Spacing { at_least: 0, padding: 2 };

/// The text with tabs replaced by blanks. Text after the last tab of a line does not belong to a column.
pub(super) fn align(text: &str, spacing: Spacing) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut aligned = String::with_capacity(text.len() * 2);
    block(&lines, &mut Vec::new(), spacing, &mut aligned);
    if !text.ends_with('\n') {
        aligned.pop();
    }
    aligned
}

/// Aligns lines whose leading columns have these widths.
fn block(lines: &[Vec<&str>], widths: &mut Vec<usize>, spacing: Spacing, out: &mut String) {
    let column = widths.len();
    let has_cell = |line: &Vec<&str>| column + 1 < line.len();
    let mut rest = lines;
    while let Some(first) = rest.iter().position(has_cell) {
        rest[..first].iter().for_each(|line| write_line(line, widths, out));
        rest = &rest[first..];
        let end = rest.iter().position(|line| !has_cell(line)).unwrap_or(rest.len());
        let cells = rest[..end].iter().map(|line| line[column].chars().count() + spacing.padding);
        widths.push(cells.fold(spacing.at_least, usize::max));
        block(&rest[..end], widths, spacing, out);
        widths.pop();
        rest = &rest[end..];
    }
    for line in rest {
        write_line(line, widths, out);
    }
}

fn write_line(cells: &[&str], widths: &[usize], out: &mut String) {
    for (position, cell) in cells.iter().enumerate() {
        out.push_str(cell);
        if let Some(width) = widths.get(position) {
            let blanks = width.saturating_sub(cell.chars().count());
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_lines_share_the_width_of_a_column_and_others_do_not() {
        let text =
            "Limits:\n  memory:\t64Mi\nRequests:\n  cpu:\t50m\n  memory:\t32Mi\nLiveness:\thttp\n";
        let aligned = "Limits:\n  memory:  64Mi\nRequests:\n  cpu:     50m\n  memory:  32Mi\nLiveness:  http\n";
        assert_eq!(align(text, OF_PAGES), aligned);
    }

    #[test]
    fn the_last_cell_of_a_row_is_not_padded() {
        assert_eq!(
            align("NAME\tAGE\na-long-name\t5s\nb\t\n", OF_TABLES),
            "NAME          AGE\na-long-name   5s\nb             \n"
        );
    }
}
