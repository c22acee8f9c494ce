//! Simulated pods against the exact results of queueing theory.
//!
//! Each model of the table is simulated once with a fixed seed. The run is cut into batches, which are
//! all but independent of each other; their spread gives the confidence interval in which the exact
//! value must lie. The interval itself must be narrow, or the comparison would say nothing.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    FailureCause, IntervalFigures, Latencies, Recording, RequestModelId, RequestModelSpec,
    ServiceId, ServiceTraffic, Traffic, TrafficSpec,
};

/// The table's unit of time is the mean service time.
const SERVICE_SECONDS: f64 = 0.01;
const BATCHES: i64 = 30;
/// Quantile of Student's t with 29 degrees of freedom: 99.9 % lie within it on both sides.
const STUDENT_T: f64 = 3.659;

/// One model of the table with all its metrics.
struct Model {
    name: String,
    parameters: BTreeMap<String, String>,
    metrics: Vec<(String, f64)>,
}

/// An estimate with half the width of its confidence interval.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    value: f64,
    half_width: f64,
}

#[test]
fn simulated_pods_agree_with_queueing_theory() {
    let models = models();
    let rows: usize = models.iter().map(|model| model.metrics.len()).sum();
    assert!(rows >= 50, "the table has {rows} rows");
    let failures: Vec<String> = models.par_iter().flat_map_iter(compare).collect();
    assert!(failures.is_empty(), "{} of {rows} rows:\n{}", failures.len(), failures.join("\n"));
}

fn models() -> Vec<Model> {
    let text = include_str!("golden/queueing/queueing.csv");
    let mut models: Vec<Model> = Vec::new();
    for line in text.lines().skip(1) {
        let [name, parameters, metric, value] =
            line.split(',').collect::<Vec<_>>().try_into().expect("four columns");
        let parameters: BTreeMap<String, String> = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let metric = (metric.to_owned(), value.parse().expect("a number"));
        let known = models.iter_mut().find(|m| m.name == name && m.parameters == parameters);
        match known {
            Some(model) => model.metrics.push(metric),
            None => {
                models.push(Model { name: name.to_owned(), parameters, metrics: vec![metric] });
            }
        }
    }
    models
}

/// Simulates a model and returns what does not agree.
fn compare(model: &Model) -> Vec<String> {
    let run = Run::of(model);
    let mut failures = Vec::new();
    for (metric, exact) in &model.metrics {
        let Estimate { value, half_width } = run.estimate(metric);
        let text = format!("{} {:?} {metric}: ", model.name, model.parameters);
        let figures = format!("{exact} expected, {value:.5} +- {half_width:.5} simulated");
        if (value - exact).abs() > half_width {
            failures.push(text + "outside: " + &figures);
        } else if half_width > 0.08 * exact {
            failures.push(text + "too vague: " + &figures);
        }
    }
    failures
}

impl Model {
    fn number(&self, name: &str) -> Option<f64> {
        self.parameters.get(name).map(|value| value.parse().expect("a number"))
    }

    fn utilization(&self) -> f64 {
        self.number("rho").expect("every model has a utilization")
    }

    fn is_sharing(&self) -> bool {
        self.name.ends_with("PS")
    }

    /// What a person would write to get this model.
    fn settings(&self) -> (TrafficSpec, RequestModelSpec) {
        let rps = self.number("lam").expect("every model has a rate") / SERVICE_SECONDS;
        let arrivals = if self.name.starts_with('D') { "even" } else { "poisson" };
        let traffic = json!({"service": "queue", "load": {"pattern": "constant", "rps": rps},
                             "arrivals": arrivals, "timeout": "10h"});
        let mean = format!("{}ms", SERVICE_SECONDS * 1e3);
        let law = match self.parameters.get("service").map(String::as_str) {
            Some(service) if service.starts_with("lognormal") => {
                let cv = self.number("cs2").expect("a coefficient").sqrt();
                json!({"distribution": "lognormal", "mean": mean, "cv": cv})
            }
            Some("D") => json!(mean),
            None if self.parameters.contains_key("D") => json!(mean),
            _ => json!({"distribution": "exponential", "mean": mean}),
        };
        let whole =
            |name| self.parameters.get(name).map(|text| text.parse().expect("a whole number"));
        let slots: u32 = if self.is_sharing() { 1_000_000 } else { whole("c").unwrap_or(1) };
        let queue = whole("K").map_or(u32::MAX, |places| places - slots);
        let request = json!({"concurrency": slots, "queue": queue, "cpuTime": law});
        let read = "settings as a person would write them";
        (
            serde_json::from_value::<TrafficSpec>(traffic).expect(read),
            serde_json::from_value::<RequestModelSpec>(request).expect(read),
        )
    }

    /// Requests per batch: the nearer to saturation, the longer the queue remembers; and the more
    /// slots, the less the wait is of the whole.
    fn batch_requests(&self) -> f64 {
        let slack = 1.0 - self.utilization();
        let slots = self.number("c").unwrap_or(1.0);
        match self.number("K") {
            Some(_) => 30_000.0,
            None => (2500.0 / (slack * slack * slots.sqrt())).max(30_000.0),
        }
    }
}

/// What came out of one simulation.
struct Run {
    batches: Vec<IntervalFigures>,
    latencies: Latencies,
    failed: f64,
}

impl Run {
    fn of(model: &Model) -> Self {
        let (traffic, request) = model.settings();
        let rps = model.number("lam").expect("a rate") / SERVICE_SECONDS;
        let interval = SimDuration::from_secs_f64(model.batch_requests() / rps);
        let streams = Streams::new(20_260);
        let name = format!("{} {:?}", model.name, model.parameters);
        let service = ServiceTraffic {
            arrivals: traffic.arrivals("", None, streams.stream(&name, 0)).expect("right settings"),
            name,
            balancer: traffic.balancer,
            timeout: traffic.timeout,
        };
        let recording = Recording { interval, warm_up: interval };
        let models = vec![request.model("").expect("right settings")];
        let mut traffic = Traffic::new(vec![service], models, streams, recording);
        // A shared pod of c cores is one whose requests share c cores.
        let cores = model.number("c").unwrap_or(1.0);
        let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), cores);
        traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &[pod]);
        let end = SimTime::ZERO + interval * (BATCHES + 1);
        let figures = traffic.figures(end, ServiceId(0));
        let outcomes = figures.outcomes;
        Self {
            batches: traffic.intervals(ServiceId(0))[1..].to_vec(),
            latencies: figures.latencies.expect("requests were answered"),
            failed: outcomes.failed_in_all() as f64 / outcomes.arrived as f64,
        }
    }

    fn estimate(&self, metric: &str) -> Estimate {
        let in_services = |span: SimDuration| span.as_secs_f64() / SERVICE_SECONDS;
        let latency = |pick: fn(&Latencies) -> SimDuration, offset: f64| {
            let of_batch = |batch: &IntervalFigures| {
                in_services(pick(&batch.latencies.expect("requests were answered")))
            };
            let value = in_services(pick(&self.latencies)) + offset;
            Estimate { value, half_width: self.half_width(of_batch) }
        };
        match metric {
            "mean_W" | "mean_W_accepted" => latency(|l| l.mean, 0.0),
            "W_p50" => latency(|l| l.p50, 0.0),
            "W_p99" => latency(|l| l.p99, 0.0),
            // Of a mean always, of a quantile where the service time is constant.
            "mean_Wq" => latency(|l| l.mean, -1.0),
            "Wq_p99" => latency(|l| l.p99, -1.0),
            "p_block" => {
                let of_batch = |batch: &IntervalFigures| {
                    let outcomes = batch.outcomes;
                    outcomes.failed_by(FailureCause::QueueFull) as f64 / outcomes.arrived as f64
                };
                Estimate { value: self.failed, half_width: self.half_width(of_batch) }
            }
            other => panic!("no estimate for {other}"),
        }
    }

    fn half_width(&self, of_batch: impl Fn(&IntervalFigures) -> f64) -> f64 {
        let values: Vec<f64> = self.batches.iter().map(of_batch).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        STUDENT_T * (squares / (n - 1.0) / n).sqrt()
    }
}

/// The comparison must be able to fail: pods that are 7 % slower are noticed in most rows.
#[test]
fn a_wrong_service_time_is_noticed() {
    let slower = models().into_iter().filter(|model| model.name == "M/M/c").map(|model| {
        let metrics = model.metrics.iter().map(|(name, exact)| (name.clone(), exact * 0.93));
        Model { metrics: metrics.collect(), ..model }
    });
    let slower: Vec<Model> = slower.collect();
    let noticed: usize =
        slower.par_iter().map(|model| usize::from(!compare(model).is_empty())).sum();
    assert!(noticed * 4 >= slower.len() * 3, "{noticed} of {}", slower.len());
}
