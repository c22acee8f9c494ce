//! The scenario's guesses: the table of these settings, and the note at each section that depends on them.

use super::markup::{Cell, escape, row, section, table};
use crate::figures::{ABSENT, latency, percent};
use crate::model::{Assumption, HeadlineFigures, Report};

/// Number of settings named in a note; the table lists all.
const NAMED: usize = 3;

/// The table of guessed settings, if there are any.
pub(super) fn assumptions(report: &Report) -> String {
    if report.assumptions.is_empty() {
        return String::new();
    }
    let content = if is_doubted(report) { answers(report) } else { settings(report) };
    section("Assumed", &format!("<div id=\"assumed\">\n{content}</div>\n"))
}

/// A note below the heading of a section whose figures depend on guesses; empty if there are none.
///
/// All simulated figures do: load, cost of requests and number of nodes together determine latencies, replicas and
/// the bill.
pub(super) fn mark(report: &Report) -> String {
    if report.assumptions.is_empty() {
        return String::new();
    }
    let named = report.assumptions.iter().take(NAMED).map(|one| one.setting.as_str());
    let more = match report.assumptions.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "<p class=\"assumed\"><a href=\"#assumed\">Assumed</a>: these figures rest on {}{more}</p>\n",
        escape(&named.collect::<Vec<_>>().join(", "))
    )
}

/// The note below a tile's figure: that it depends on guesses, or its values with half and twice each guess.
pub(super) fn of_tile(report: &Report, shown: impl Fn(&HeadlineFigures) -> String) -> String {
    let count = report.assumptions.len();
    if count == 0 {
        return String::new();
    }
    let guesses = if count == 1 { "guess" } else { "guesses" };
    let mut others: Vec<String> = Vec::new();
    let doubts = report.assumptions.iter().flat_map(|one| [&one.halved, &one.doubled]);
    let now = shown(&HeadlineFigures::of(report));
    for other in doubts.flatten().map(shown) {
        if other != now && !others.contains(&other) {
            others.push(other);
        }
    }
    let moves = match &others[..] {
        _ if !is_doubted(report) => String::new(),
        [] => "; no change with half or twice each value".to_owned(),
        [one] => format!("; {one} with half or twice each value"),
        several => format!("; {} with half or twice each value", several.join(", ")),
    };
    let text = escape(&format!("assumed: rests on {count} {guesses}{moves}"));
    format!("<a class=\"assumed\" href=\"#assumed\">{text}</a>")
}

fn is_doubted(report: &Report) -> bool {
    report.assumptions.iter().any(|one| one.halved.is_some() || one.doubled.is_some())
}

fn settings(report: &Report) -> String {
    let rows: Vec<Vec<Cell>> = report
        .assumptions
        .iter()
        .map(|one| row(2, [one.setting.clone(), one.values.join(", ")]))
        .collect();
    let note = "<p class=\"muted\">Settings that are neither measured nor stated. <code>wavetank run --doubts</code> halves \
                and doubles each, and tells how far the answer moves.</p>\n";
    format!("{note}{}", table(&["Setting", "Values"], &rows))
}

/// The results of the run, and with half and twice each assumption.
fn answers(report: &Report) -> String {
    let service = report.services.first().map_or("", |service| service.service.as_str());
    let p95 = format!("p95 of {service}");
    let heads = ["Setting", "Values", "", "Objectives met", &p95, "Failed", "A month"];
    let line = |[setting, values, factor]: [String; 3], answer: Option<&HeadlineFigures>| {
        let [met, p95, failed, month] = match answer {
            None => [(); 4].map(|()| ABSENT.to_owned()),
            Some(answer) => [
                format!("{} of {}", answer.objectives_met, answer.objectives),
                p95_of(answer),
                percent(answer.failed_share),
                answer.month_usd.to_string(),
            ],
        };
        row(3, [setting, values, factor, met, p95, failed, month])
    };
    let of = |one: &Assumption| {
        [
            line([one.setting.clone(), one.values.join(", "), "half".into()], one.halved.as_ref()),
            line([String::new(), String::new(), "twice".into()], one.doubled.as_ref()),
        ]
    };
    let as_it_is = [String::new(), String::new(), "as it is".into()];
    let mut rows = vec![line(as_it_is, Some(&HeadlineFigures::of(report)))];
    rows.extend(report.assumptions.iter().flat_map(of));
    let note = "<p class=\"muted\">Settings that are neither measured nor stated, and the results with half and \
                twice each value.</p>\n";
    format!("{note}{}", table(&heads, &rows))
}

/// The figure labeled p95 in tiles and tables.
pub(super) fn p95_of(answer: &HeadlineFigures) -> String {
    answer.p95_ms.map_or_else(|| "never".to_owned(), latency)
}

#[cfg(test)]
mod tests {
    use crate::fixture;
    use crate::html::render;
    use crate::model::{Assumption, HeadlineFigures, Report};

    fn with_guess(doubled_p95_ms: Option<f64>) -> Report {
        let mut report = fixture::hour(60.0);
        let answer = HeadlineFigures::of(&report);
        report.assumptions = vec![Assumption {
            setting: "workloads[*].requests.cpuTime".into(),
            values: vec!["20ms".into(), "<5ms>".into()],
            halved: doubled_p95_ms.map(|_| answer),
            doubled: doubled_p95_ms
                .map(|p95_ms| HeadlineFigures { p95_ms: Some(p95_ms), ..answer }),
        }];
        report
    }

    /// The sections of a page, by heading.
    fn sections(page: &str) -> Vec<(&str, &str)> {
        let parts = page.split("<section>\n<h2>").skip(1);
        parts.map(|part| part.split_once("</h2>").expect("a heading")).collect()
    }

    #[test]
    fn every_section_with_figures_and_every_tile_says_that_it_rests_on_a_guess() {
        let page = render(&with_guess(None));
        let sections = sections(&page);
        for heading in ["Objectives", "Over time", "Services", "Workloads", "Nodes", "Cost"] {
            let (_, content) = sections.iter().find(|one| one.0 == heading).expect(heading);
            assert!(
                content.contains("these figures rest on workloads[*].requests.cpuTime</p>"),
                "{heading}"
            );
        }
        let (_, table) = sections.iter().find(|one| one.0 == "Assumed").expect("a table");
        assert!(table.contains("20ms, &lt;5ms&gt;") && table.contains("--doubts"), "{table}");
        let tiles = page.matches("<div class=\"tile ").count();
        assert_eq!(page.matches("assumed: rests on 1 guess</a>").count(), tiles);
        assert!(page.contains("id=\"assumed\""));
    }

    #[test]
    fn tiles_tell_how_far_the_answer_moves() {
        let page = render(&with_guess(Some(4321.0)));
        assert!(
            page.contains("rests on 1 guess; 4.32 s with half or twice each value</a>"),
            "{page}"
        );
        assert!(page.contains("rests on 1 guess; no change with half or twice each value</a>"));
        let (_, table) = *sections(&page).iter().find(|one| one.0 == "Assumed").expect("a table");
        assert!(table.contains("<td>twice</td>") && table.contains("as it is"), "{table}");
    }

    #[test]
    fn without_guesses_no_figure_is_marked() {
        let page = render(&fixture::hour(60.0));
        let (body, _) = page.split_once("<script").expect("a script");
        let (_, body) = body.split_once("</style>").expect("a style");
        assert!(!body.contains("rest on") && !body.contains("rests on"));
    }
}
