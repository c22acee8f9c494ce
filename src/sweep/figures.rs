//! The figures of a report used to compare runs: one flat list, each with its unit and the direction in
//! which it improves.

use serde::{Deserialize, Serialize};

use report::figures::{ABSENT, latency, number, percent, span};
use report::{Latency, LlmReport, Report};
use units::Money;

/// Unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// A share, 0 to 1.
    Share,
    /// US dollars.
    Usd,
    /// A plain number.
    Number,
}

/// Direction in which a figure improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// Neither: a descriptive figure.
    Neither,
}

/// Name of a figure, with its subject, unit and direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FigureName {
    /// `service shop/web`, `Deployment shop/web`, `cost`.
    pub subject: String,
    /// `latency p95`, `availability`, `cost per month`.
    pub figure: String,
    /// Unit of its values.
    pub unit: Unit,
    /// Direction in which it improves.
    pub better: Better,
}

/// A figure of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of the figure.
    pub name: FigureName,
    /// Its value; absent if there were no answers, or no price.
    pub value: Option<f64>,
}

impl Unit {
    /// A value in words: `412 ms`, `99.9 %`, `$210.24`.
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Ms => latency(value),
            Self::Seconds => span(value),
            Self::Share => percent(value),
            Self::Usd if value.abs() < 1.0 => format!("${value:.4}"),
            Self::Usd => format!("${value:.2}"),
            Self::Number => number(value),
        }
    }

    /// A value in words, or the mark of an absent one.
    pub(crate) fn words_or_absent(self, value: Option<f64>) -> String {
        value.map_or_else(|| ABSENT.to_owned(), |value| self.words(value))
    }

    /// A difference in words, with its sign.
    pub fn difference(self, by: f64) -> String {
        let size = match self {
            // The difference of two shares is in percentage points, which must not read as a ratio.
            Self::Share => format!("{} points", number(by.abs() * 100.0)),
            _ => self.words(by.abs()),
        };
        match by {
            by if by > 0.0 => format!("+{size}"),
            by if by < 0.0 => format!("-{size}"),
            _ => "0".to_owned(),
        }
    }
}

/// All figures of a run, in a fixed order: services, workloads, cost.
pub fn figures(report: &Report) -> Vec<Figure> {
    let mut all = Vec::new();
    let mut add = |subject: &str, figure: &str, unit, better, value| {
        let (subject, figure) = (subject.to_owned(), figure.to_owned());
        all.push(Figure { name: FigureName { subject, figure, unit, better }, value });
    };
    for service in &report.services {
        let subject = format!("service {}", service.service);
        let latency = |of: fn(&Latency) -> f64| service.latency.as_ref().map(of);
        for (name, value) in [
            ("latency mean", latency(|latency| latency.mean_ms)),
            ("latency p50", latency(|latency| latency.p50_ms)),
            ("latency p95", latency(|latency| latency.p95_ms)),
            ("latency p99", latency(|latency| latency.p99_ms)),
        ] {
            add(&subject, name, Unit::Ms, Better::Lower, value);
        }
        for (name, unit, better, value) in service.llm.iter().flat_map(llm_figures) {
            add(&subject, name, unit, better, value);
        }
        let availability = service.availability_by_requests;
        add(&subject, "availability", Unit::Share, Better::Higher, availability);
        let by_time = Some(service.availability_by_time);
        add(&subject, "availability by time", Unit::Share, Better::Higher, by_time);
        add(&subject, REQUESTS, Unit::Number, Better::Neither, Some(service.arrived as f64));
        for class in &service.classes {
            let subject = format!("{subject} class {}", class.class);
            let latency = |of: fn(&Latency) -> f64| class.latency.as_ref().map(of);
            let p95 = latency(|latency| latency.p95_ms);
            let p99 = latency(|latency| latency.p99_ms);
            add(&subject, "latency p95", Unit::Ms, Better::Lower, p95);
            add(&subject, "latency p99", Unit::Ms, Better::Lower, p99);
            let availability = class.availability_by_requests;
            add(&subject, "availability", Unit::Share, Better::Higher, availability);
        }
    }
    for workload in &report.workloads {
        let subject = &workload.workload;
        let ready = Some(workload.ready.mean);
        add(subject, "ready pods, mean", Unit::Number, Better::Neither, ready);
        let waited = Some(workload.pending_pod_seconds);
        add(subject, "pods waited for nodes", Unit::Seconds, Better::Lower, waited);
        add(subject, "restarts", Unit::Number, Better::Lower, Some(workload.restarts as f64));
    }
    let month = Some(report.cost.month_usd.as_usd());
    add("cost", "cost per month", Unit::Usd, Better::Lower, month);
    let million = report.cost.million_requests_usd.map(Money::as_usd);
    add("cost", "cost per million requests", Unit::Usd, Better::Lower, million);
    all
}

/// Figures of a service's inference servers.
fn llm_figures(llm: &LlmReport) -> [(&'static str, Unit, Better, Option<f64>); 12] {
    let million = llm.million_output_tokens_usd.map(Money::as_usd);
    let loaded = llm.million_output_tokens_fully_loaded_usd.map(Money::as_usd);
    let rate = llm.output_tokens_per_second;
    let first = |of: fn(&Latency) -> f64| llm.time_to_first_token.as_ref().map(of);
    let next = |of: fn(&Latency) -> f64| llm.time_per_output_token.as_ref().map(of);
    [
        ("TTFT p50", Unit::Ms, Better::Lower, first(|latency| latency.p50_ms)),
        (TTFT_P95, Unit::Ms, Better::Lower, first(|latency| latency.p95_ms)),
        ("TTFT p99", Unit::Ms, Better::Lower, first(|latency| latency.p99_ms)),
        ("TPOT p50", Unit::Ms, Better::Lower, next(|latency| latency.p50_ms)),
        ("TPOT p95", Unit::Ms, Better::Lower, next(|latency| latency.p95_ms)),
        ("tokens generated", Unit::Number, Better::Neither, Some(llm.output_tokens as f64)),
        ("tokens generated a second", Unit::Number, Better::Neither, Some(rate)),
        ("cost per million tokens, allocated", Unit::Usd, Better::Lower, million),
        ("cost per million tokens, fully loaded", Unit::Usd, Better::Lower, loaded),
        ("prompt tokens cached", Unit::Share, Better::Higher, Some(llm.prefix_hit_ratio)),
        ("preemptions", Unit::Number, Better::Lower, Some(llm.preemptions as f64)),
        ("GPU time in use", Unit::Share, Better::Neither, Some(llm.gpu_utilization)),
    ]
}

/// The primary figure of inference servers.
pub(crate) const TTFT_P95: &str = "TTFT p95";

/// The figure that must be equal on both sides for a comparison to be valid.
pub const REQUESTS: &str = "requests";
