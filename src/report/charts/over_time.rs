//! The main chart: load of a service, the replicas behind it and the resulting latency on one time
//! axis. For workloads without a service: replicas and CPU. For the cluster: nodes and pending pods.

use super::canvas::fit;
use super::marks;
use super::panel::{
    CLOCK_HEIGHT, LEFT, Panel, ReferenceLine, Series, Stroke, TITLE_HEIGHT, TimeAxis,
};
use super::scale::Unit;
use super::scene::{Color, Scene, Text, WIDTH};
use crate::figures::{count, latency, percent};
use crate::llm::LlmReport;
use crate::milestone::Milestone;
use crate::model::{
    ClusterReport, LogEntry, Report, ServiceReport, ServiceSeries, WorkloadReport, WorkloadSeries,
};

const TITLE_SIZE: f64 = 34.0;
const SUBTITLE_SIZE: f64 = 23.0;
/// Between a panel and the title of the next, pixels.
const GAP: f64 = 10.0;

/// Load, replicas and latency of a service; `index` is its position in the report.
pub fn service(report: &Report, index: usize) -> Scene {
    let service = &report.services[index];
    let mut panels = vec![
        load(service, index),
        replicas(report, |workload| service.workloads.contains(&workload.workload), 230.0),
        latencies(report, service, index),
    ];
    if let Some(llm) = &service.llm {
        panels.extend(language_models(llm, index));
    }
    stack(report, &service.service, &subtitle(report, service), panels)
}

/// Replicas and CPU of a workload without a service.
pub fn workload(report: &Report, index: usize) -> Scene {
    let workload = &report.workloads[index];
    let source = format!("/workloads/{index}/series/cpu_cores");
    let values = present(&workload.series.cpu_cores);
    let used = Series::new("used", Color::BLUE, Stroke::Area, values, source);
    let panels = vec![
        replicas(report, |other| other.workload == workload.workload, 330.0),
        Panel { height: 250.0, ..Panel::new("CPU used [cores]", Unit::Rate, vec![used]) },
    ];
    stack(report, &workload.workload, &run(report), panels)
}

/// Nodes and pending pods.
pub fn nodes(report: &Report) -> Scene {
    let one = |name, color, stroke, values: &[f64], key: &str| {
        Series::new(name, color, stroke, present(values), format!("/cluster/{key}"))
    };
    let ClusterReport { series_nodes, series_ready_nodes, series_pending_pods, steps, .. } =
        &report.cluster;
    let ready = "series_ready_nodes";
    let ready = one("Ready", Color::GREEN, Stroke::StepArea, series_ready_nodes, ready);
    let all = one("all", Color::INK, Stroke::Steps, series_nodes, "series_nodes");
    let nodes = vec![ready.with_steps(&steps.ready_nodes), all.with_steps(&steps.nodes)];
    let key = "series_pending_pods";
    let pending = one("pending", Color::ORANGE, Stroke::StepArea, series_pending_pods, key);
    let pending = pending.with_steps(&steps.pending_pods);
    let panels = vec![
        Panel { height: 330.0, ..Panel::new("Nodes", Unit::Count, nodes) },
        Panel { height: 250.0, ..Panel::new("Pods without a node", Unit::Count, vec![pending]) },
    ];
    stack(report, "Nodes and pending pods", &run(report), panels)
}

fn load(service: &ServiceReport, index: usize) -> Panel<'static> {
    let one = |name, color, stroke, values: &[f64], key: &str| {
        let source = format!("/services/{index}/series/{key}");
        Series::new(name, color, stroke, present(values), source)
    };
    let ServiceSeries { arrived_rps, failed_rps, retried_rps, .. } = &service.series;
    let mut series = vec![one("arrived", Color::BLUE, Stroke::Area, arrived_rps, "arrived_rps")];
    let failed = one("failed", Color::VERMILLION, Stroke::Area, failed_rps, "failed_rps");
    series.extend(failed.above_zero());
    if !retried_rps.is_empty() {
        series.push(one("retries", Color::ORANGE, Stroke::Line, retried_rps, "retried_rps"));
    }
    Panel::new("Load [requests/s]", Unit::Rate, series)
}

fn replicas(
    report: &Report,
    belongs: impl Fn(&WorkloadReport) -> bool,
    height: f64,
) -> Panel<'static> {
    let all = report.workloads.iter().enumerate();
    let members: Vec<_> = all.filter(|(_, workload)| belongs(workload)).collect();
    let sum = |name, color, stroke, of: Counts| Series {
        name,
        color,
        stroke,
        values: sum(members.iter().map(|(_, workload)| of(&workload.series).0)),
        steps: sum_of_steps(members.iter().map(|(_, workload)| of(&workload.series).1)),
        sources: members.iter().map(|(i, _)| format!("/workloads/{i}/series/{name}")).collect(),
    };
    let ready = sum("ready", Color::GREEN, Stroke::StepArea, |of| (&of.ready, &of.steps.ready));
    let pending =
        sum("pending", Color::ORANGE, Stroke::StepArea, |of| (&of.pending, &of.steps.pending));
    let desired = sum("desired", Color::INK, Stroke::Steps, |of| (&of.desired, &of.steps.desired));
    let series = [Some(ready), pending.above_zero(), Some(desired)].into_iter().flatten().collect();
    let is_rescale = |entry: &&LogEntry| {
        Milestone::of(entry) == Some(Milestone::Rescale)
            && members.iter().any(|(_, workload)| workload.workload == entry.object)
    };
    let rescales_seconds =
        report.log.iter().filter(is_rescale).map(|entry| entry.at_seconds).collect();
    Panel { rescales_seconds, height, ..Panel::new("Replicas [pods]", Unit::Count, series) }
}

fn latencies(report: &Report, service: &ServiceReport, index: usize) -> Panel<'static> {
    let quantile = |name, color, values: &[Option<f64>], key: &str| {
        let source = format!("/services/{index}/series/{key}");
        Series::new(name, color, Stroke::Line, values.to_vec(), source)
    };
    let series = &service.series;
    let quantiles = vec![
        quantile("p50", Color::SKY, &series.latency_p50_ms, "latency_p50_ms"),
        quantile("p95", Color::BLUE, &series.latency_p95_ms, "latency_p95_ms"),
        quantile("p99", Color::VERMILLION, &series.latency_p99_ms, "latency_p99_ms"),
    ];
    let subject = format!("service {}", service.service);
    let levels = report
        .objectives
        .iter()
        .filter(|objective| objective.subject == subject && objective.limit_number.is_finite())
        .filter_map(|objective| {
            let quantile = objective.figure.strip_prefix("latency ")?;
            let limit_ms = objective.limit_number * 1e3;
            let name = format!("{quantile} ≤ {}", latency(limit_ms));
            let limited = quantiles.iter().find(|series| series.name == quantile);
            let color = limited.map_or(Color::INK, |series| series.color);
            Some(ReferenceLine { value: limit_ms, name, color })
        })
        .collect();
    Panel { height: 320.0, levels, ..Panel::new("Latency", Unit::Latency, quantiles) }
}

/// Metrics of language model servers: token latencies, tokens per second, and utilization.
fn language_models(llm: &LlmReport, index: usize) -> [Panel<'static>; 4] {
    let of = &llm.series;
    let one = |name, color, stroke, values, key: &str| {
        Series::new(name, color, stroke, values, format!("/services/{index}/llm/series/{key}"))
    };
    let line = |name, color, values, key| one(name, color, Stroke::Line, values, key);
    let area = |name, color, values, key| one(name, color, Stroke::Area, values, key);
    let counts = |values: &[u64]| values.iter().map(|count| Some(*count as f64)).collect();
    let percents = |values: &[f64]| values.iter().map(|share| Some(share * 100.0)).collect();
    let [first, each] = [&of.time_to_first_token_p95_ms, &of.time_per_output_token_p95_ms];
    let times = vec![
        line("TTFT p95", Color::VERMILLION, first.clone(), "time_to_first_token_p95_ms"),
        line("TPOT p95", Color::BLUE, each.clone(), "time_per_output_token_p95_ms"),
    ];
    let output = present(&of.output_tokens_per_second);
    let tokens = vec![area("answers", Color::GREEN, output, "output_tokens_per_second")];
    let [running, waiting] =
        [&of.num_requests_running, &of.num_requests_waiting].map(|values| counts(values));
    let requests = vec![
        area("running", Color::SKY, running, "num_requests_running"),
        line("waiting", Color::ORANGE, waiting, "num_requests_waiting"),
    ];
    let [busy, cache] =
        [&of.gpu_utilization, &of.kv_cache_usage_peak].map(|values| percents(values));
    let full = vec![
        line("GPU busy", Color::PURPLE, busy, "gpu_utilization"),
        line("KV cache, peak", Color::ORANGE, cache, "kv_cache_usage_peak"),
    ];
    [
        Panel::new("Tokens: to the first (TTFT) and between (TPOT)", Unit::Latency, times),
        Panel::new("Tokens [tokens/s]", Unit::Rate, tokens),
        Panel::new("Requests in the servers", Unit::Count, requests),
        Panel::new("GPUs and KV cache [%]", Unit::Rate, full),
    ]
}

fn run(report: &Report) -> String {
    format!("{}, seed {}", report.run.scenario, report.run.seed)
}

fn subtitle(report: &Report, service: &ServiceReport) -> String {
    let mut parts = vec![run(report), format!("{} requests", count(service.arrived))];
    if let Some(of) = service.latency {
        parts.push(format!("p50 {}, p95 {}", latency(of.p50_ms), latency(of.p95_ms)));
    }
    if let Some(share) = service.availability_by_requests {
        parts.push(format!("{} answered", percent(share)));
    }
    parts.join(" · ")
}

/// Stacks panels below a title and the markers, on one time axis.
fn stack<'a>(report: &'a Report, title: &str, subtitle: &str, mut panels: Vec<Panel<'a>>) -> Scene {
    let time = TimeAxis {
        duration_seconds: report.run.duration_ms as f64 / 1e3,
        warm_up_seconds: report.run.warm_up_ms as f64 / 1e3,
        interval_ends_seconds: &report.interval_ends_seconds,
    };
    let marks = marks::marks(&report.log, time);
    let room = WIDTH - LEFT - 50.0;
    let title = fit(title, TITLE_SIZE, true, room);
    let mut scene = Scene { title: title.clone(), ..Scene::default() };
    scene.text(Text::new((LEFT, 48.0), TITLE_SIZE, title).color(Color::INK).bold());
    let subtitle = fit(subtitle, SUBTITLE_SIZE, false, room);
    scene.text(Text::new((LEFT, 92.0), SUBTITLE_SIZE, subtitle));

    let panels_top = 124.0 + marks::rows(&marks) as f64 * marks::ROW_HEIGHT;
    let mut bottom = panels_top;
    for panel in &mut panels {
        panel.time = time;
        panel.top = bottom + TITLE_HEIGHT;
        bottom = panel.bottom() + GAP;
    }
    bottom -= GAP;
    for panel in &panels {
        panel.draw_grid(&mut scene);
    }
    if let Some(first) = panels.first() {
        first.name_warm_up(&mut scene);
    }
    marks::draw(&mut scene, &marks, panels_top, bottom);
    for panel in &panels {
        panel.draw(&mut scene);
    }
    time.draw_clock(&mut scene, bottom);
    scene.height = bottom + CLOCK_HEIGHT;
    scene
}

fn present(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

/// A count of a workload: by interval, and at its instants.
type Counts = fn(&WorkloadSeries) -> (&[f64], &[(f64, f64)]);

/// The sum of several step series.
fn sum_of_steps<'a>(many: impl Iterator<Item = &'a [(f64, f64)]>) -> Vec<(f64, f64)> {
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for steps in many {
        let before = std::iter::once(0.0).chain(steps.iter().map(|(_, value)| *value));
        changes.extend(steps.iter().zip(before).map(|((at, value), before)| (*at, value - before)));
    }
    changes.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut value = 0.0;
    let mut sums: Vec<(f64, f64)> = Vec::new();
    for (at, by) in changes {
        value += by;
        match sums.last_mut() {
            Some((known, sum)) if *known >= at => *sum = value,
            _ => sums.push((at, value)),
        }
    }
    sums
}

/// The sum of the series, as long as the longest.
fn sum<'a>(many: impl Iterator<Item = &'a [f64]>) -> Vec<Option<f64>> {
    let mut total: Vec<Option<f64>> = Vec::new();
    for values in many {
        total.resize(total.len().max(values.len()), None);
        for (sum, value) in total.iter_mut().zip(values) {
            *sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    total
}
