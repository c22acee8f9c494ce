//! The main picture: the load of a service, the replicas behind it and the latency that came of
//! both, on one time axis. For workloads without a service: replicas and CPU. For the cluster: nodes
//! and pending pods.

use super::canvas::fit;
use super::marks;
use super::panel::{CLOCK_HEIGHT, LEFT, Level, Panel, Series, Stroke, TITLE_HEIGHT, TimeAxis};
use super::scale::Unit;
use super::scene::{Color, Scene, Text, WIDTH};
use crate::figures::{count, latency, percent};
use crate::llm::LlmReport;
use crate::milestone::Milestone;
use crate::model::{LogEntry, Report, ServiceReport, WorkloadReport};

const TITLE_SIZE: f64 = 34.0;
const SUBTITLE_SIZE: f64 = 23.0;
/// Between a panel and the title of the next, pixels.
const GAP: f64 = 10.0;

/// A panel to be placed.
struct Plan {
    title: &'static str,
    unit: Unit,
    height: f64,
    series: Vec<Series>,
    levels: Vec<Level>,
    rescales_seconds: Vec<f64>,
}

/// Load, replicas and latency of a service; `index` is its position in the report.
pub fn service(report: &Report, index: usize) -> Scene {
    let service = &report.services[index];
    let mut plans = vec![
        load(service, index),
        replicas(report, |workload| service.workloads.contains(&workload.workload), 230.0),
        latencies(report, service, index),
    ];
    if let Some(llm) = &service.llm {
        plans.extend(language_models(llm, index));
    }
    stack(report, &service.service, &subtitle(report, service), plans)
}

/// Replicas and CPU of a workload without a service.
pub fn workload(report: &Report, index: usize) -> Scene {
    let workload = &report.workloads[index];
    let plans = vec![
        replicas(report, |other| other.workload == workload.workload, 330.0),
        Plan {
            height: 250.0,
            ..Plan::new(
                "CPU used [cores]",
                Unit::Rate,
                vec![Series {
                    name: "used",
                    color: Color::BLUE,
                    stroke: Stroke::Area,
                    values: present(&workload.series.cpu_cores),
                    sources: vec![format!("/workloads/{index}/series/cpu_cores")],
                }],
            )
        },
    ];
    let subtitle = format!("{}, seed {}", report.run.scenario, report.run.seed);
    stack(report, &workload.workload, &subtitle, plans)
}

/// Nodes and pods without a node.
pub fn nodes(report: &Report) -> Scene {
    let series = |name, color, stroke, values: &[f64], key: &str| Series {
        name,
        color,
        stroke,
        values: present(values),
        sources: vec![format!("/cluster/{key}")],
    };
    let cluster = &report.cluster;
    let plans = vec![
        Plan {
            height: 330.0,
            ..Plan::new(
                "Nodes",
                Unit::Count,
                vec![
                    series(
                        "Ready",
                        Color::GREEN,
                        Stroke::StepArea,
                        &cluster.series_ready_nodes,
                        "series_ready_nodes",
                    ),
                    series("all", Color::INK, Stroke::Steps, &cluster.series_nodes, "series_nodes"),
                ],
            )
        },
        Plan {
            height: 250.0,
            ..Plan::new(
                "Pods without a node",
                Unit::Count,
                vec![series(
                    "pending",
                    Color::ORANGE,
                    Stroke::StepArea,
                    &cluster.series_pending_pods,
                    "series_pending_pods",
                )],
            )
        },
    ];
    let subtitle = format!("{}, seed {}", report.run.scenario, report.run.seed);
    stack(report, "Nodes and pending pods", &subtitle, plans)
}

impl Plan {
    fn new(title: &'static str, unit: Unit, series: Vec<Series>) -> Self {
        Self {
            title,
            unit,
            height: 230.0,
            series,
            levels: Vec::new(),
            rescales_seconds: Vec::new(),
        }
    }
}

fn load(service: &ServiceReport, index: usize) -> Plan {
    let mut series = vec![Series {
        name: "arrived",
        color: Color::BLUE,
        stroke: Stroke::Area,
        values: present(&service.series.arrived_rps),
        sources: vec![format!("/services/{index}/series/arrived_rps")],
    }];
    if service.series.failed_rps.iter().any(|&rps| rps > 0.0) {
        series.push(Series {
            name: "failed",
            color: Color::VERMILLION,
            stroke: Stroke::Area,
            values: above_zero(present(&service.series.failed_rps)),
            sources: vec![format!("/services/{index}/series/failed_rps")],
        });
    }
    if !service.series.retried_rps.is_empty() {
        series.push(Series {
            name: "retries",
            color: Color::ORANGE,
            stroke: Stroke::Line,
            values: present(&service.series.retried_rps),
            sources: vec![format!("/services/{index}/series/retried_rps")],
        });
    }
    Plan::new("Load [requests/s]", Unit::Rate, series)
}

fn replicas(report: &Report, belongs: impl Fn(&WorkloadReport) -> bool, height: f64) -> Plan {
    let mut members = Vec::new();
    for (index, workload) in report.workloads.iter().enumerate() {
        if belongs(workload) {
            members.push((index, workload));
        }
    }
    let sum = |name, color, stroke, key: &str, of: fn(&WorkloadReport) -> &[f64]| Series {
        name,
        color,
        stroke,
        values: sum(members.iter().map(|(_, workload)| of(workload))),
        sources: members.iter().map(|(i, _)| format!("/workloads/{i}/series/{key}")).collect(),
    };
    let mut series =
        vec![sum("ready", Color::GREEN, Stroke::StepArea, "ready", |w| &w.series.ready)];
    let pending = sum("pending", Color::ORANGE, Stroke::StepArea, "pending", |w| &w.series.pending);
    let values = above_zero(pending.values);
    if values.iter().any(Option::is_some) {
        series.push(Series { values, ..pending });
    }
    series.push(sum("desired", Color::INK, Stroke::Steps, "desired", |w| &w.series.desired));
    let is_rescale = |entry: &&LogEntry| {
        Milestone::of(entry) == Some(Milestone::Rescale)
            && members.iter().any(|(_, workload)| workload.workload == entry.object)
    };
    let rescales_seconds =
        report.log.iter().filter(is_rescale).map(|entry| entry.at_seconds).collect();
    Plan { height, rescales_seconds, ..Plan::new("Replicas [pods]", Unit::Count, series) }
}

fn latencies(report: &Report, service: &ServiceReport, index: usize) -> Plan {
    let quantile = |name, color, values: &[Option<f64>], key: &str| Series {
        name,
        color,
        stroke: Stroke::Line,
        values: values.to_vec(),
        sources: vec![format!("/services/{index}/series/{key}")],
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
            Some(Level { value: limit_ms, name, color })
        })
        .collect();
    Plan { height: 320.0, levels, ..Plan::new("Latency", Unit::Latency, quantiles) }
}

/// Servers of a language model: times of tokens, tokens per second, and the use of their KV caches.
fn language_models(llm: &LlmReport, index: usize) -> [Plan; 4] {
    let LlmReport { series, .. } = llm;
    let line = |name, color, values: Vec<Option<f64>>, key: &str| Series {
        name,
        color,
        stroke: Stroke::Line,
        values,
        sources: vec![format!("/services/{index}/llm/series/{key}")],
    };
    let area = |name, color, values, key: &str| Series {
        stroke: Stroke::Area,
        ..line(name, color, values, key)
    };
    let counts = |values: &[u64]| values.iter().map(|count| Some(*count as f64)).collect();
    let percents = |values: &[f64]| values.iter().map(|share| Some(share * 100.0)).collect();
    let times = vec![
        line(
            "TTFT p95",
            Color::VERMILLION,
            series.time_to_first_token_p95_ms.clone(),
            "time_to_first_token_p95_ms",
        ),
        line(
            "TPOT p95",
            Color::BLUE,
            series.time_per_output_token_p95_ms.clone(),
            "time_per_output_token_p95_ms",
        ),
    ];
    let tokens = vec![area(
        "answers",
        Color::GREEN,
        present(&series.output_tokens_per_second),
        "output_tokens_per_second",
    )];
    let requests = vec![
        area("running", Color::SKY, counts(&series.num_requests_running), "num_requests_running"),
        line(
            "waiting",
            Color::ORANGE,
            counts(&series.num_requests_waiting),
            "num_requests_waiting",
        ),
    ];
    let full = vec![
        line("GPU busy", Color::PURPLE, percents(&series.gpu_utilization), "gpu_utilization"),
        line(
            "KV cache, peak",
            Color::ORANGE,
            percents(&series.kv_cache_usage_peak),
            "kv_cache_usage_peak",
        ),
    ];
    [
        Plan::new("Tokens: to the first (TTFT) and between (TPOT)", Unit::Latency, times),
        Plan::new("Tokens [tokens/s]", Unit::Rate, tokens),
        Plan::new("Requests in the servers", Unit::Count, requests),
        Plan::new("GPUs and KV cache [%]", Unit::Rate, full),
    ]
}

fn subtitle(report: &Report, service: &ServiceReport) -> String {
    let mut parts = vec![
        format!("{}, seed {}", report.run.scenario, report.run.seed),
        format!("{} requests", count(service.arrived)),
    ];
    if let Some(of) = service.latency {
        parts.push(format!("p50 {}, p95 {}", latency(of.p50_ms), latency(of.p95_ms)));
    }
    if let Some(share) = service.availability_by_requests {
        parts.push(format!("{} answered", percent(share)));
    }
    parts.join(" · ")
}

/// Stacks panels under a title and the marks, over one time axis.
fn stack(report: &Report, title: &str, subtitle: &str, plans: Vec<Plan>) -> Scene {
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
    let mut panels = Vec::new();
    for plan in plans {
        let top = bottom + TITLE_HEIGHT;
        bottom = top + plan.height;
        panels.push(Panel {
            title: plan.title.to_owned(),
            unit: plan.unit,
            series: plan.series,
            levels: plan.levels,
            rescales_seconds: plan.rescales_seconds,
            time,
            top,
            bottom,
        });
        bottom += GAP;
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

/// Without the zeros, which would draw a line over the axis.
fn above_zero(values: Vec<Option<f64>>) -> Vec<Option<f64>> {
    values.into_iter().map(|value| value.filter(|&value| value > 0.0)).collect()
}

/// The series added up, as long as the longest.
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
