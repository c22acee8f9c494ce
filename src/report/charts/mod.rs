//! The charts of a run, as file contents; `cli` writes them.

mod canvas;
mod cost;
mod font;
mod heat_map;
mod influence;
mod marks;
mod over_time;
mod panel;
mod scale;
mod scatter;
mod scene;
mod waterfall;

pub use heat_map::{HeatCell, HeatMap, heat_map};
pub use influence::{Influence, influence};
pub use scatter::{Scatter, ScatterPoint, scatter};
pub use scene::{Anchor, Color, Readout, ReadoutSeries, Scene, Text, WIDTH};
pub use waterfall::{Bar, waterfall};

use super::model::Report;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// Its name, without a folder.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// A chart and the stem of its file name.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Letters, digits and dashes.
    pub stem: String,
    /// The drawing.
    pub scene: Scene,
}

/// All charts: one per service, one per workload without a service, nodes, cost.
pub fn charts(report: &Report) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (index, service) in report.services.iter().enumerate() {
        let scene = over_time::service(report, index);
        charts.push(Chart { stem: stem("service", &service.service), scene });
    }
    for (index, workload) in report.workloads.iter().enumerate() {
        let has_service =
            report.services.iter().any(|service| service.workloads.contains(&workload.workload));
        if !has_service {
            let scene = over_time::workload(report, index);
            charts.push(Chart { stem: stem("workload", &workload.workload), scene });
        }
    }
    charts.push(Chart { stem: "nodes".to_owned(), scene: over_time::nodes(report) });
    charts.push(Chart { stem: "cost".to_owned(), scene: cost::scene(report) });
    make_distinct(&mut charts);
    charts
}

/// All charts as SVG and PNG.
pub fn render(report: &Report) -> Vec<ChartFile> {
    let mut files = Vec::new();
    for chart in charts(report) {
        files.extend(self::files(&chart.stem, &chart.scene));
    }
    files
}

/// A chart as SVG and PNG, with a file name stem.
pub fn files(stem: &str, scene: &Scene) -> [ChartFile; 2] {
    let svg = canvas::svg(scene).into_bytes();
    let png = canvas::png(scene);
    [
        ChartFile { name: format!("{stem}.svg"), bytes: svg },
        ChartFile { name: format!("{stem}.png"), bytes: png },
    ]
}

/// A chart as an SVG document.
pub fn svg(scene: &Scene) -> String {
    canvas::svg(scene)
}

/// `service-shop-web` for `shop/web`: a portable file name.
fn stem(kind: &str, name: &str) -> String {
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() || character == '.' { character } else { '-' }
    };
    let name: String = name.chars().take(100).map(safe).collect();
    format!("{kind}-{}", name.trim_matches('.'))
}

/// Numbers duplicate stems.
fn make_distinct(charts: &mut [Chart]) {
    for index in 1..charts.len() {
        let (before, rest) = charts.split_at_mut(index);
        let wanted = rest[0].stem.clone();
        let mut number = 2;
        while before.iter().any(|chart| chart.stem == rest[0].stem) {
            rest[0].stem = format!("{wanted}-{number}");
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scene::{Anchor, Shape, Text};
    use super::*;
    use crate::fixture;
    use crate::model::{LogEntry, ObjectiveResult};

    /// Difficult charts: no data, one interval, a week, long names, a crowded log.
    fn reports() -> Vec<(&'static str, Report)> {
        let long = "a-namespace-with-a-long-name/and-a-service-with-a-longer-one-".repeat(5);
        let mut crowded = fixture::hour(15.0);
        for index in 0..60 {
            crowded.log.push(LogEntry {
                at_seconds: 61.0 * f64::from(index),
                actor: "node-controller".to_owned(),
                object: format!("Node pool-a-{index}"),
                reason: "NodeNotReady".to_owned(),
                message: String::new(),
                is_warning: true,
            });
        }
        crowded.log.sort_by(|one, other| one.at_seconds.total_cmp(&other.at_seconds));
        let mut week = fixture::hour(15.0);
        week.run.duration_ms = 7 * 86_400_000;
        for end in &mut week.interval_ends_seconds {
            *end *= 168.0;
        }
        let mut not_numbers = fixture::hour(15.0);
        not_numbers.services[0].series.arrived_rps[3] = f64::NAN;
        not_numbers.services[0].series.latency_p95_ms[7] = Some(f64::INFINITY);
        not_numbers.workloads[0].series.ready[9] = f64::NEG_INFINITY;
        not_numbers.objectives[0].limit_number = f64::NAN;
        vec![
            ("hour", fixture::hour(15.0)),
            ("empty", fixture::empty()),
            ("one-interval", fixture::hour(3_600.0)),
            ("long-names", fixture::with_texts(fixture::hour(15.0), &long)),
            ("crowded", crowded),
            ("week", week),
            ("not-numbers", not_numbers),
        ]
    }

    #[test]
    fn what_was_asked_for_is_told_whole() {
        for (limit_seconds, expected) in [
            (0.3, vec!["p99 ≤ 300 ms"]),
            (1.25, vec!["p99 ≤ 1.25 s"]),
            (0.000_123_4, vec!["p99", "≤ 0.123 ms"]),
            (12_345.678, vec!["p99 ≤ 12346 s"]),
        ] {
            let mut report = fixture::hour(15.0);
            let of_latency = |objective: &&mut ObjectiveResult| objective.figure == "latency p99";
            let objective = report.objectives.iter_mut().find(of_latency).expect("there is one");
            objective.limit_number = limit_seconds;
            let charts = charts(&report);
            let shapes = charts.iter().flat_map(|chart| &chart.scene.shapes);
            let texts: Vec<&str> = shapes
                .filter_map(|shape| match shape {
                    Shape::Text(text) => Some(text.content.as_str()),
                    _ => None,
                })
                .collect();
            let found = texts.windows(expected.len()).any(|some| some == expected);
            assert!(found, "{expected:?} {texts:?}");
        }
    }

    #[test]
    fn texts_do_not_overlap_and_stay_in_the_picture() {
        for (name, report) in reports() {
            for chart in charts(&report) {
                let boxes: Vec<_> = chart.scene.shapes.iter().filter_map(text_box).collect();
                for (index, one) in boxes.iter().enumerate() {
                    let (text, left, top, right, bottom) = one;
                    let place = format!("{name}/{}: {text:?} {one:?}", chart.stem);
                    assert!(*left >= 0.0 && *right <= WIDTH, "{place}");
                    assert!(*top >= 0.0 && *bottom <= chart.scene.height, "{place}");
                    for other in &boxes[index + 1..] {
                        let is_apart = other.1 >= *right
                            || other.3 <= *left
                            || other.2 >= *bottom
                            || other.4 <= *top;
                        assert!(is_apart, "{place} overlaps {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_point_is_a_number_inside_the_picture() {
        for (name, report) in reports() {
            for chart in charts(&report) {
                for shape in &chart.scene.shapes {
                    let (Shape::Line { points, .. } | Shape::Area { points, .. }) = shape else {
                        continue;
                    };
                    for &(x, y) in points {
                        let is_inside = (-10.0..=WIDTH + 10.0).contains(&x)
                            && (0.0..=chart.scene.height).contains(&y);
                        assert!(is_inside, "{name}/{}: {x}, {y}", chart.stem);
                    }
                }
            }
        }
    }

    #[test]
    fn readouts_point_at_series_of_the_report() {
        let report = fixture::hour(15.0);
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        for chart in charts(&report) {
            for series in chart.scene.readouts.iter().flat_map(|readout| &readout.series) {
                for source in &series.sources {
                    let values = json.pointer(source).and_then(|values| values.as_array());
                    assert_eq!(values.map(Vec::len), Some(240), "{source}");
                }
            }
        }
    }

    #[test]
    fn a_service_a_lone_workload_the_nodes_and_the_cost_have_a_picture_each() {
        let mut report = fixture::hour(600.0);
        report.services.truncate(1);
        report.workloads[1].workload = "Job shop/nightly".to_owned();
        report.workloads.push(report.workloads[1].clone());
        let stems: Vec<_> = charts(&report).into_iter().map(|chart| chart.stem).collect();
        assert_eq!(
            stems,
            [
                "service-ai-agents-ai-agent",
                "workload-Job-shop-nightly",
                "workload-Job-shop-nightly-2",
                "nodes",
                "cost"
            ]
        );
    }

    #[test]
    fn equal_reports_give_equal_files() {
        let files = render(&fixture::hour(60.0));
        assert_eq!(files, render(&fixture::hour(60.0)));
        for file in &files {
            let (_, extension) = file.name.rsplit_once('.').unwrap();
            let start: &[u8] = if extension == "png" { b"\x89PNG\r\n" } else { b"<svg " };
            assert!(file.bytes.starts_with(start), "{}", file.name);
        }
    }

    #[test]
    fn the_same_picture_is_drawn_as_before() {
        insta::assert_snapshot!(svg(&charts(&fixture::hour(600.0))[0].scene));
    }

    /// A text and its bounding box: left, top, right, bottom.
    fn text_box(shape: &Shape) -> Option<(&str, f64, f64, f64, f64)> {
        let Shape::Text(Text { at, content, size, anchor, is_bold, .. }) = shape else {
            return None;
        };
        let width = font::width(content, *size, *is_bold);
        let left = match anchor {
            Anchor::Start => at.0,
            Anchor::Middle => at.0 - width / 2.0,
            Anchor::End => at.0 - width,
        };
        Some((content, left, at.1 - size * 0.5, left + width, at.1 + size * 0.5))
    }
}
