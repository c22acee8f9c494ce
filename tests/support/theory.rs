//! Simulates models of queueing theory by way of user settings, and estimates their metrics with
//! confidence intervals.
//!
//! A run is divided into batches that are nearly independent; their spread gives the confidence
//! interval in which the exact value must lie.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::{
    FailureCause, IntervalFigures, Latencies, Recording, RequestModelId, RequestModelSpec,
    ServiceId, ServiceTraffic, Traffic, TrafficSpec,
};

/// The table's unit of time is the mean service time. It is set to a second here, so that the
/// histograms' resolution of microseconds is negligible.
const SERVICE_SECONDS: f64 = 1.0;
const BATCHES: i64 = 30;
/// Two-sided quantiles of Student's t with 29 degrees of freedom, for 99.9 % and 95 %.
const STUDENT_T_999: f64 = 3.659;
const STUDENT_T_95: f64 = 2.045;
/// Histograms are precise to three digits.
const RESOLUTION: f64 = 1e-3;
/// Probabilities below one in a million requests, and times below a millionth of a service time,
/// cannot be observed.
const UNSEEN: f64 = 2e-6;

/// The exact results.
pub const TABLE: &str = include_str!("../golden/queueing/queueing.csv");

/// One model of the table with all its metrics.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    pub parameters: BTreeMap<String, String>,
    pub metrics: Vec<(String, f64)>,
}

/// A simulated figure and the exact one.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub text: String,
    pub exact: f64,
    pub simulated: f64,
    /// Half width of the 99.9 % confidence interval.
    pub half_width: f64,
    /// Half width of the 95 % confidence interval relative to the exact value.
    pub relative_half_width: f64,
}

impl Comparison {
    pub fn agrees(&self) -> bool {
        (self.simulated - self.exact).abs() <= self.half_width + RESOLUTION * self.exact + UNSEEN
    }

    pub fn relative_error(&self) -> f64 {
        if self.exact == 0.0 { 0.0 } else { (self.simulated - self.exact) / self.exact }
    }
}

/// The models of the table that are simulated. `G/G/c approx` contains approximations, `staffing`
/// follows from the waits of M/M/c, and metrics by request size are not available.
pub fn models() -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    let mut positions = BTreeMap::new();
    for line in TABLE.lines().skip(1) {
        let [name, parameters, metric, value, _] =
            line.splitn(5, ',').collect::<Vec<_>>().try_into().expect("five columns");
        let is_simulated = !["G/G/c approx", "M/M/c staffing"].contains(&name)
            && !["mean_W_given_size", "p0"].contains(&metric);
        if !is_simulated {
            continue;
        }
        // Erlang's B refers to the same pods without a queue.
        let name = if metric == "erlang_b" { "M/M/c/c" } else { name };
        let position = *positions.entry((name, parameters)).or_insert_with(|| {
            let parameters = parameters
                .split(';')
                .filter_map(|parameter| parameter.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            models.push(Model { name: name.to_owned(), parameters, metrics: Vec::new() });
            models.len() - 1
        });
        models[position].metrics.push((metric.to_owned(), value.parse().expect("a number")));
    }
    models
}

impl Model {
    /// Simulates the model with about this many requests and compares the metrics.
    pub fn compare(&self, requests: f64) -> Vec<Comparison> {
        let run = Run::of(self, requests);
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .filter(|(name, _)| !["mu", "ES", "p1", "mu1", "mu2"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let compare = |(metric, exact): &(String, f64)| {
            let estimates = run.estimates(metric);
            let [simulated, of_batches @ ..] = &estimates[..] else { unreachable!("one at least") };
            let spread = spread(of_batches);
            Comparison {
                text: format!("{} {} {metric}", self.name, parameters.join(" ")),
                exact: *exact,
                simulated: *simulated,
                half_width: STUDENT_T_999 * spread,
                relative_half_width: if *exact == 0.0 {
                    0.0
                } else {
                    STUDENT_T_95 * spread / exact
                },
            }
        };
        self.metrics.iter().map(compare).collect()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.parameters.get(name).map(|value| value.parse().expect("a number"))
    }

    /// Requests per service time.
    fn rate(&self) -> f64 {
        self.number("lam").expect("every model has a rate")
    }

    pub fn utilization(&self) -> f64 {
        let slower = || self.number("mu1").into_iter().chain(self.number("mu2")).reduce(f64::min);
        self.number("rho").or_else(|| Some(self.rate() / slower()?)).expect("a utilization")
    }

    pub fn slots(&self) -> f64 {
        self.number("c").unwrap_or(1.0)
    }

    fn is_sharing(&self) -> bool {
        self.name.ends_with("PS")
    }

    /// The user setting for the requests' service time.
    fn law(&self) -> Value {
        let mean = format!("{SERVICE_SECONDS}s");
        let cs2 = || self.number("cs2").expect("a coefficient");
        match self.parameters.get("service").map(String::as_str) {
            Some("D") => json!(mean),
            None if self.parameters.contains_key("D") => json!(mean),
            Some("Erlang2") => empirical(erlang_two),
            Some(service) if service.starts_with("H2") => empirical(hyperexponential(cs2())),
            // The mean only depends on the first two moments.
            Some(service) if service.starts_with("lognormal") || service.starts_with("cs2") => {
                json!({"distribution": "lognormal", "mean": mean, "cv": cs2().sqrt()})
            }
            _ => json!({"distribution": "exponential", "mean": mean}),
        }
    }

    /// The request models: that of the pod, or, for a tandem, that of an entry without cost which
    /// calls the pods in sequence.
    fn request_models(&self) -> Vec<Value> {
        const ENOUGH: u32 = 1_000_000;
        if let (Some(first), Some(second)) = (self.number("mu1"), self.number("mu2"))
            && self.name.contains("tandem")
        {
            let station = |mu: f64| {
                let mean = format!("{}s", SERVICE_SECONDS / mu);
                json!({"concurrency": 1, "queue": ENOUGH,
                       "cpuTime": {"distribution": "exponential", "mean": mean}})
            };
            let call = |service: &str| json!({"service": service, "timeout": "10000h"});
            let entry =
                json!({"concurrency": ENOUGH, "calls": [call("a/first"), call("a/second")]});
            return vec![entry, station(first), station(second)];
        }
        let whole =
            |name| self.parameters.get(name).map(|text| text.parse().expect("a whole number"));
        let slots: u32 = if self.is_sharing() { ENOUGH } else { whole("c").unwrap_or(1) };
        let queue = match whole("K") {
            Some(places) => places - slots,
            None if self.name == "M/M/c/c" => 0,
            None => u32::MAX,
        };
        vec![json!({"concurrency": slots, "queue": queue, "cpuTime": self.law()})]
    }

    fn traffic(&self, interval: SimDuration) -> Traffic {
        let rps = self.rate() / SERVICE_SECONDS;
        let arrivals = if self.name.starts_with('D') { "even" } else { "poisson" };
        let spec = json!({"service": "queue", "load": {"pattern": "constant", "rps": rps},
                          "arrivals": arrivals, "timeout": "10000h"});
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let streams = Streams::new(20_260);
        let name = format!("{} {:?}", self.name, self.parameters);
        let arrivals = spec.arrivals("", None, streams.stream(&name, 0)).expect("right settings");
        let service = ServiceTraffic::plain(name, arrivals, spec.balancer, spec.timeout);
        let model = |settings: Value| {
            let spec: RequestModelSpec = serde_json::from_value(settings).expect("settings");
            spec.model("").expect("right settings")
        };
        let models: Vec<_> = self.request_models().into_iter().map(model).collect();
        let pods = u32::try_from(models.len()).expect("few models");
        let recording = Recording { interval, warm_up: interval, waits: true };
        let mut traffic = Traffic::new(vec![service], models, streams, recording);
        // In a shared pod with c cores, the requests share c cores.
        let cores = if pods > 1 { f64::from(u32::MAX) } else { self.slots() };
        for number in 0..pods {
            let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(number), cores);
            traffic.set_endpoints(SimTime::ZERO, ServiceId(number), &[pod]);
        }
        traffic
    }
}

/// A hyperexponential law of two phases with balanced means, mean 1.
fn hyperexponential(cs2: f64) -> impl Fn(f64) -> f64 {
    let p = 0.5 * (1.0 + ((cs2 - 1.0) / (cs2 + 1.0)).sqrt());
    let tail = move |x: f64| p * (-2.0 * p * x).exp() + (1.0 - p) * (-2.0 * (1.0 - p) * x).exp();
    move |u| invert(&tail, u)
}

fn erlang_two(u: f64) -> f64 {
    invert(&|x: f64| (1.0 + 2.0 * x) * (-2.0 * x).exp(), u)
}

/// The point at which the tail has dropped to 1 - u.
fn invert(tail: &impl Fn(f64) -> f64, u: f64) -> f64 {
    let (mut low, mut high) = (0.0, 200.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if tail(middle) > 1.0 - u { low = middle } else { high = middle }
    }
    low
}

/// A distribution given by many of its quantiles, scaled to a mean of 1.
fn empirical(quantile: impl Fn(f64) -> f64) -> Value {
    const POINTS: u32 = 100_000;
    let points: Vec<f64> =
        (0..POINTS).map(|one| quantile((f64::from(one) + 0.5) / f64::from(POINTS))).collect();
    let mean = points.iter().sum::<f64>() / f64::from(POINTS);
    let values: Vec<f64> = points.iter().map(|point| point / mean * SERVICE_SECONDS).collect();
    json!({"distribution": "empirical", "values": values})
}

/// The result of one simulation.
struct Run {
    batches: Vec<IntervalFigures>,
    /// All batches combined.
    whole: IntervalFigures,
    batch_services: f64,
}

impl Run {
    fn of(model: &Model, requests: f64) -> Self {
        let batch_services = requests / BATCHES as f64 / model.rate();
        let interval = SimDuration::from_secs_f64(batch_services * SERVICE_SECONDS);
        let mut traffic = model.traffic(interval);
        let end = SimTime::ZERO + interval * (BATCHES + 1);
        let figures = traffic.figures(end, ServiceId(0));
        let whole = IntervalFigures {
            outcomes: figures.outcomes,
            latencies: figures.latencies,
            llm: figures.llm,
            waits: figures.waits,
        };
        let batches = traffic.intervals(ServiceId(0))[1..].to_vec();
        Self { batches, whole, batch_services }
    }

    /// The metric of the whole run, followed by that of each batch.
    fn estimates(&self, metric: &str) -> Vec<f64> {
        let whole = estimate(metric, &self.whole, self.batch_services * BATCHES as f64);
        let batches = self.batches.iter().map(|batch| estimate(metric, batch, self.batch_services));
        std::iter::once(whole).chain(batches).collect()
    }
}

/// A metric from the records of a period of this many service times.
fn estimate(metric: &str, figures: &IntervalFigures, services: f64) -> f64 {
    let latency = |of: fn(&Latencies) -> SimDuration| {
        figures.latencies.as_ref().map_or(0.0, |l| in_services(of(l)))
    };
    let waits = || figures.waits.expect("waits are recorded where service is in order of arrival");
    let wait = |of: fn(&Latencies) -> SimDuration| in_services(of(&waits().waits));
    let outcomes = &figures.outcomes;
    let rate = outcomes.answered as f64 / services;
    match metric {
        "mean_W" | "mean_W_accepted" => latency(|l| l.mean),
        "W_p50" => latency(|l| l.p50),
        "W_p90" => latency(|l| l.p90),
        "W_p95" => latency(|l| l.p95),
        "W_p99" => latency(|l| l.p99),
        "W_p999" => latency(|l| l.p999),
        "mean_Wq" | "mean_Wq_accepted" => wait(|l| l.mean),
        "Wq_p50" => wait(|l| l.p50),
        "Wq_p90" => wait(|l| l.p90),
        "Wq_p95" => wait(|l| l.p95),
        "Wq_p99" => wait(|l| l.p99),
        "Wq_p999" => wait(|l| l.p999),
        // Little's law.
        "mean_L" => rate * latency(|l| l.mean),
        "mean_Lq" => rate * wait(|l| l.mean),
        "throughput" => rate,
        "p_wait" | "sigma" => waits().share,
        "p_block" | "erlang_b" => {
            outcomes.failed_by(FailureCause::QueueFull) as f64 / outcomes.arrived as f64
        }
        other => panic!("no estimate for {other}"),
    }
}

fn in_services(span: SimDuration) -> f64 {
    span.as_secs_f64() / SERVICE_SECONDS
}

/// Standard error of the mean of the batches.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}
