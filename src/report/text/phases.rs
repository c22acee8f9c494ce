//! Ranges of a run's figures over the phases of the control loops.

use super::layout::{Align, Paint, Style, Table};
use crate::model::Report;

/// The table of minimum and maximum figures; empty if the phases were not varied.
pub(super) fn render(report: &Report, style: Style) -> Vec<String> {
    let Some(band) = &report.phases else { return Vec::new() };
    let title =
        format!("PHASES  minimum and maximum over {} phases of the control loops", band.phases);
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Right]);
    table.row(["", "", "least", "most"].map(str::to_owned));
    let mut last = "";
    for figure in &band.figures {
        let subject = if figure.subject == last { "" } else { &figure.subject };
        last = &figure.subject;
        table.row([
            subject.to_owned(),
            figure.figure.clone(),
            number(figure.least),
            number(figure.greatest),
        ]);
    }
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    lines.extend(table.lines());
    lines
}

/// Integers as such, other numbers with three decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_digits_that_say_nothing() {
        assert_eq!([2.0, 0.5, 99.87654, 100.0].map(number), ["2", "0.5", "99.877", "100"]);
    }
}
