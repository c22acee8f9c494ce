//! The report as a self-contained HTML page that works offline.

mod assumptions;
mod markup;
mod tables;

pub use markup::{escape, section};
use markup::{fill, json_in_script};

use super::charts::{Chart, charts, svg};
use super::figures::{IGNORED_AT_THE_TOP, counted, latency, percent, span};
use super::model::{HeadlineFigures, Notice, Report, Severity};

/// The page.
pub fn render(report: &Report) -> String {
    // The cost is a table with bars here; all other charts have a time axis.
    let mut charts = charts(report);
    charts.retain(|chart| !chart.scene.readouts.is_empty());
    let readouts: Vec<_> = charts.iter().map(|chart| &chart.scene.readouts).collect();
    let sections = [
        attention(report),
        tables::objectives(report),
        assumptions::assumptions(report),
        pictures(&charts, report),
        tables::services(report),
        tables::workloads(report),
        tables::jobs(report),
        tables::pools(report),
        tables::cost(report),
    ];
    fill(
        include_str!("page.html"),
        &[
            ("title", &format!("{} - wavetank", escape(&report.run.scenario))),
            ("style", include_str!("page.css")),
            ("header", &header(report)),
            ("sections", &sections.concat()),
            ("footer", &footer(report)),
            ("report", &json_in_script(report)),
            ("charts", &json_in_script(&readouts)),
            ("script", include_str!("page.js")),
        ],
    )
}

/// A page without scripts: its title as text, header and sections as markup.
pub fn page(title: &str, header: &str, sections: &str) -> String {
    fill(
        include_str!("static.html"),
        &[
            ("title", &format!("{} - wavetank", escape(title))),
            ("style", include_str!("page.css")),
            ("header", header),
            ("sections", sections),
        ],
    )
}

/// A chart as markup.
pub fn figure(chart: &Chart) -> String {
    format!("<figure>\n{}</figure>\n", inline_svg(chart))
}

fn header(report: &Report) -> String {
    let run = &report.run;
    let mut facts = vec![format!("{} simulated", span(run.duration_ms as f64 / 1e3))];
    if run.warm_up_ms > 0 {
        facts.push(format!("the first {} not counted", span(run.warm_up_ms as f64 / 1e3)));
    }
    facts.push(counted(run.requests, "request"));
    facts.push(format!("seed {}", run.seed));
    format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p class=\"muted\">{}</p>\n<div class=\"tiles\">\n{}</div>\n",
        escape(&run.scenario),
        escape(&run.description),
        escape(&facts.join(" · ")),
        tiles(report).concat(),
    )
}

/// The key figures.
fn tiles(report: &Report) -> Vec<String> {
    let mut tiles = Vec::new();
    if !report.objectives.is_empty() {
        let (met, all) =
            (report.objectives.iter().filter(|one| one.met).count(), report.objectives.len());
        let verdict = if met == all { "good" } else { "bad" };
        let moves = assumptions::of_tile(report, |answer| format!("{}", answer.objectives_met));
        tiles.push(tile(verdict, &format!("{met} of {all}"), "objectives met", &moves));
    }
    // Those with objectives and clients come first.
    if let Some(service) = report.services.first() {
        if let Some(of) = service.latency {
            let moves = assumptions::of_tile(report, assumptions::p95_of);
            let has_failures = service.availability_by_requests.is_some_and(|share| share < 1.0);
            let answered = if has_failures { "the answered requests of " } else { "" };
            let what = format!("p95 of {answered}{}", service.service);
            tiles.push(tile("", &latency(of.p95_ms), &what, &moves));
        }
        if let Some(share) = service.availability_by_requests {
            let what = format!("of requests to {} answered", service.service);
            let answered = |answer: &HeadlineFigures| percent(1.0 - answer.failed_share);
            let moves = assumptions::of_tile(report, answered);
            tiles.push(tile("", &percent(share), &what, &moves));
        }
    }
    let idle = report.cost.idle_usd.as_usd() / report.cost.nodes_usd.as_usd();
    let idle = if idle.is_finite() {
        format!("a month, {} of the nodes idle", percent(idle))
    } else {
        "a month".to_owned()
    };
    let moves = assumptions::of_tile(report, |answer| answer.month_usd.to_string());
    tiles.push(tile("", &report.cost.month_usd.to_string(), &idle, &moves));
    tiles
}

fn tile(class: &str, figure: &str, what: &str, moves: &str) -> String {
    format!(
        "<div class=\"tile {class}\"><b>{}</b><span>{}</span>{moves}</div>\n",
        escape(figure),
        escape(what)
    )
}

fn attention(report: &Report) -> String {
    if report.attention.is_empty() {
        return String::new();
    }
    let item = |attention: &Notice| {
        let (class, badge) = match attention.severity {
            Severity::Failure => ("failure", "failed"),
            Severity::Warning => ("warning", "warning"),
            Severity::Ignored => ("ignored", "ignored"),
        };
        format!("<li class=\"{class}\"><b>{badge}</b> {}</li>\n", escape(&attention.message))
    };
    let list = |items: String| format!("<ul class=\"attention\">\n{items}</ul>\n");
    let is_ignored = |attention: &&Notice| attention.severity == Severity::Ignored;
    let ignored: Vec<&Notice> = report.attention.iter().filter(is_ignored).collect();
    if ignored.len() <= IGNORED_AT_THE_TOP {
        return section("Needs attention", &list(report.attention.iter().map(item).collect()));
    }
    let others = report.attention.iter().filter(|attention| !is_ignored(attention));
    let shown = list(others.map(item).collect());
    let summary = format!("{} parts of the input are not simulated", ignored.len());
    let folded = list(ignored.into_iter().map(item).collect());
    let details = format!("<details><summary>{summary}</summary>\n{folded}</details>\n");
    section("Needs attention", &(shown + &details))
}

fn pictures(charts: &[Chart], report: &Report) -> String {
    let figures = charts.iter().enumerate().map(|(index, chart)| {
        format!("<figure data-chart=\"{index}\">\n{}</figure>\n", inline_svg(chart))
    });
    section("Over time", &(assumptions::mark(report) + &figures.collect::<String>()))
}

/// The SVG without the size and namespace that only a separate file needs.
fn inline_svg(chart: &Chart) -> String {
    let document = svg(&chart.scene);
    let (_, shapes) = document.split_once('>').unwrap_or(("", &document));
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{shapes}",
        super::charts::WIDTH,
        chart.scene.height.ceil(),
        escape(&chart.scene.title),
    )
}

fn footer(report: &Report) -> String {
    let run = &report.run;
    let facts = format!(
        "seed {} · scenario {} · wavetank {} · digest {}",
        run.seed, run.scenario_hash, run.wavetank_version, run.digest
    );
    format!(
        "<p><code>{}</code></p>\n<p>The same version, scenario and seed reproduce this page to the last byte. \
         Equal digests mean equal runs.</p>\n",
        escape(&facts)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_fetched_from_anywhere() {
        let page = render(&fixture::hour(60.0));
        for sign in ["http:", "https:", "//", "src=", "@import", "url("] {
            // A comment in the script is no URL.
            let found: Vec<_> = page
                .lines()
                .filter(|line| line.contains(sign) && !line.trim_start().starts_with("// "))
                .collect();
            assert!(found.is_empty(), "{sign}: {found:?}");
        }
    }

    #[test]
    fn the_tiles_are_of_the_first_service_however_many_requests_others_get() {
        let mut report = fixture::hour(60.0);
        report.services.truncate(1);
        let first = report.services[0].service.clone();
        let called = "shop/called".to_owned();
        report.services.push(crate::model::ServiceReport {
            arrived: u64::MAX,
            service: called.clone(),
            ..report.services[0].clone()
        });
        let tiles = tiles(&report).concat();
        assert!(tiles.contains(&first) && !tiles.contains(&called), "{tiles}");
    }

    #[test]
    fn no_figure_is_a_nan_or_infinite() {
        let mut broken = fixture::hour(60.0);
        broken.services[0].series.arrived_rps[3] = f64::NAN;
        broken.services[0].availability_by_time = f64::NAN;
        broken.workloads[0].replicas.mean = f64::INFINITY;
        for report in [broken, fixture::hour(60.0), fixture::empty()] {
            let page = render(&report);
            let words = page.split(|c: char| !c.is_ascii_alphabetic());
            let not_numbers = words.filter(|word| matches!(*word, "NaN" | "inf" | "Infinity"));
            assert_eq!(not_numbers.count(), 0);
        }
    }

    #[test]
    fn the_report_can_be_read_back_from_the_page() {
        let report = fixture::with_texts(fixture::hour(600.0), "</script><b>&amp;");
        let page = render(&report);
        let (_, rest) = page.split_once("id=\"report-data\">").unwrap();
        let (json, _) = rest.split_once("</script>").unwrap();
        let parsed: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(parsed, serde_json::to_value(&report).unwrap());
    }

    #[test]
    fn the_markup_is_well_formed() {
        tags(&render(&fixture::hour(600.0)));
        tags(&render(&fixture::empty()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_name_can_break_the_page(name in "\\PC{0,12}[<>&\"'/=!-]{0,6}\\PC{0,12}") {
            let plain = render(&fixture::with_texts(fixture::hour(600.0), "name"));
            let hostile = render(&fixture::with_texts(fixture::hour(600.0), &name));
            prop_assert_eq!(tags(&hostile), tags(&plain));
        }
    }

    /// The tags of a page in order, with the names of their attributes. Asserts that they are
    /// properly nested and closed and that every attribute is quoted.
    fn tags(page: &str) -> Vec<String> {
        const VOID: [&str; 4] = ["meta", "link", "input", "!DOCTYPE"];
        let (mut tags, mut open, mut rest) = (Vec::new(), Vec::new(), page);
        while let Some((text, after)) = rest.split_once('<') {
            assert!(!text.contains('>'), "a stray > in {text:?}");
            let (name, attributes, is_closed, after) = tag(after);
            rest = after;
            if let Some(closing) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(closing));
            } else if !is_closed && !VOID.contains(&name.as_str()) {
                open.push(name.clone());
                if ["script", "style"].contains(&name.as_str()) {
                    rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
                }
            }
            tags.push(format!("{name} {attributes:?}"));
        }
        assert!(open.is_empty(), "not closed: {open:?}");
        tags
    }

    /// Parses one tag: its name, the names of its attributes, whether it is self-closing, and the
    /// rest.
    fn tag(text: &str) -> (String, Vec<String>, bool, &str) {
        let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap();
        let (name, mut rest) = text.split_at(end);
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>") {
                return (name.to_owned(), attributes, true, after);
            }
            if let Some(after) = rest.strip_prefix('>') {
                return (name.to_owned(), attributes, false, after);
            }
            let end = rest.find(|c: char| c.is_whitespace() || "=>".contains(c)).unwrap();
            attributes.push(rest[..end].to_owned());
            rest = &rest[end..];
            if let Some(value) = rest.strip_prefix("=\"") {
                rest = value.split_once('"').unwrap().1;
            }
        }
    }
}
