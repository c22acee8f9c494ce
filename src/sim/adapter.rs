//! Custom and external metrics: scrapes the applications by the scenario's rules and publishes the values that an
//! adapter would serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::data_plane::DataPlane;
use super::endpoints::traffic_id;
use super::environment::Environment;
use super::event::Event;
use cluster::custom_metrics::{ApiHealth, CustomMetrics, MetricSeries, MetricsApi};
use cluster::pod::PodId;
use cluster::selection::Selecting;
use cluster::{Action, AnySpec, Kind, NamespacedName, ObjectReference};
use engine::{SimDuration, SimTime, Streams};
use metrics::{
    LATENCY_BOUNDS_SECONDS, Measure, MetricRule, Reading, RuleSeries, Scraped, ServiceAggregation,
    Values,
};
use traffic::{BackendId, ServiceId, Traffic};

/// The series of all rules, in the scenario's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Adapter {
    rules: Vec<RuleSeries>,
}

impl Adapter {
    /// Registers the custom and external metrics APIs if the scenario defines metrics for them. The external one is
    /// also registered if there is KEDA, which serves it itself.
    pub(super) fn start(&mut self, env: &mut Environment, data_plane: &mut DataPlane) {
        let world = Arc::clone(&env.world);
        let rules = &world.metrics.custom;
        self.rules = vec![RuleSeries::default(); rules.len()];
        if rules.is_empty() {
            let steps = world.timeline.iter().flat_map(|(_, step)| &step.objects);
            let mut objects = world.objects.iter().chain(steps);
            let has_keda = objects.any(|action| {
                matches!(action, Action::Apply(_, AnySpec::ScaledObject(_) | AnySpec::ScaledJob(_)))
            });
            let external = (!has_keda).then_some(MetricsApi::External);
            for api in [Some(MetricsApi::Custom), external].into_iter().flatten() {
                env.act("cluster", Action::SetMetricsApi(api, ApiHealth::Unregistered));
            }
            return;
        }
        for rule in rules.iter().filter(|rule| rule.measure == Measure::LatencyP95) {
            if let Some(service) = traffic_of(env, &rule.service.0) {
                data_plane.traffic.count_latencies(service, &LATENCY_BOUNDS_SECONDS);
            }
        }
        publish(env, &[]);
        let timing = world.metrics.prometheus;
        let streams = Streams::new(world.seed);
        let first = timing.first_scrape.offset("Prometheus", timing.scrape_interval, streams);
        env.enter(SimTime::ZERO + first, Event::PrometheusScrape);
    }

    /// One Prometheus scrape of the applications, unless Prometheus is paused; the adapter's values follow from it.
    pub(super) fn scrape(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        is_paused: bool,
    ) {
        let settings = env.world.metrics.prometheus;
        env.enter(env.now + settings.scrape_interval, Event::PrometheusScrape);
        let mut served = Vec::new();
        for (rule, series) in env.world.metrics.custom.iter().zip(&mut self.rules) {
            if !is_paused {
                let scraped = scrape_rule(env, data_plane, rule);
                series.scrape(env.now, settings.rate_window, &scraped);
            }
            served.push(series.values(env.now, rule.measure, settings.rate_window));
        }
        publish(env, &served);
    }
}

fn publish(env: &mut Environment, served: &[Values]) {
    let mut metrics = CustomMetrics::default();
    let window = env.world.metrics.prometheus.rate_window;
    for (position, rule) in env.world.metrics.custom.iter().enumerate() {
        let series = metrics.series.entry(rule.name.clone()).or_default();
        if let Some(values) = served.get(position) {
            series.push(series_of(rule, values, env.now, window));
        }
    }
    env.act("metrics-adapter", Action::PublishCustomMetrics(Box::new(metrics)));
}

/// The current counters and gauges of a rule.
fn scrape_rule(env: &Environment, data_plane: &mut DataPlane, rule: &MetricRule) -> Scraped {
    let Some(service) = traffic_of(env, &rule.service.0) else { return Scraped::default() };
    if rule.measure.reading() == Reading::Quantile {
        let counts = data_plane.traffic.latency_counts(env.now, service);
        return Scraped {
            whole: counts.iter().map(|count| *count as f64).collect(),
            ..Scraped::default()
        };
    }
    let backends = backends_of(env, data_plane, service);
    let traffic = &mut data_plane.traffic;
    if rule.measure.reading() == Reading::Ratio {
        let now = env.now;
        let taken = |traffic: &mut Traffic, one| traffic.taken(now, one) as f64;
        return Scraped {
            pods: backends.iter().map(|(pod, one)| (*pod, taken(traffic, *one))).collect(),
            errors: backends.iter().map(|(_, one)| traffic.errors(*one) as f64).collect(),
            whole: Vec::new(),
        };
    }
    let mut value = |backend| measure(env.now, traffic, rule.measure, backend);
    let pods: Vec<(PodId, f64)> =
        backends.into_iter().filter_map(|(pod, backend)| Some((pod, value(backend)?))).collect();
    let whole = match (rule.measure.whole(), rule.measure) {
        (ServiceAggregation::Own, Measure::RequestsPerSecond) => {
            vec![traffic.arrived(service) as f64]
        }
        (ServiceAggregation::Own, _) => {
            let in_pods: f64 = pods.iter().map(|(_, value)| value).sum();
            vec![in_pods + traffic.work_queue_length(service) as f64]
        }
        (_, _) => Vec::new(),
    };
    Scraped { pods, whole, errors: Vec::new() }
}

/// A counter or gauge of one pod's application; `None` if the application does not have it.
fn measure(
    now: SimTime,
    traffic: &mut Traffic,
    measure: Measure,
    backend: BackendId,
) -> Option<f64> {
    let mut server = || traffic.llm_status(now, backend);
    match measure {
        Measure::KvCacheUsage => Some(server()?.kv_cache_usage_perc),
        Measure::TokensPerSecond => Some(server()?.generation_tokens_total as f64),
        Measure::PromptTokensPerSecond => Some(server()?.prompt_tokens_total as f64),
        // The counter is in percent-seconds, so that its rate is a percentage.
        Measure::GpuUtilization => Some(server()?.gpu_busy.as_secs_f64() * 100.0),
        Measure::RequestsPerSecond => Some(traffic.taken(now, backend) as f64),
        Measure::Concurrency => Some(traffic.in_flight(now, backend) as f64),
        Measure::QueueDepth => Some(match server() {
            Some(server) => server.num_requests_waiting as f64,
            None => traffic.queued(now, backend) as f64,
        }),
        // A histogram, or two counters, not a single number: these are read otherwise.
        Measure::LatencyP95 | Measure::ErrorRate | Measure::SuccessRate => None,
    }
}

/// Applications behind a Service that answer a scrape. Those that do not listen yet or are on a node that is down
/// expose no metrics.
fn backends_of(
    env: &Environment,
    data_plane: &DataPlane,
    service: ServiceId,
) -> Vec<(PodId, BackendId)> {
    let DataPlane { kubelet, apps, traffic, endpoints, .. } = data_plane;
    let id = endpoints.service(service.0 as usize);
    let pods = id
        .into_iter()
        .flat_map(|id| env.store().selected_by(Selecting::Service(id)).map(|(pod, _)| pod));
    let apps = pods.filter_map(|pod| apps.get(pod));
    apps.filter(|app| app.is_running() && app.node.is_some_and(|one| !kubelet.is_down(one)))
        .filter_map(|app| Some((app.pod, app.backend?)))
        .filter(|(_, backend)| traffic.is_serving(*backend))
        .collect()
}

fn traffic_of(env: &Environment, service: &NamespacedName) -> Option<ServiceId> {
    env.world.traffic_position(service).map(traffic_id)
}

fn series_of(
    rule: &MetricRule,
    values: &Values,
    now: SimTime,
    window: SimDuration,
) -> MetricSeries {
    let service = ObjectReference { kind: Kind::Service, id: rule.service.0.clone() };
    let objects: BTreeMap<ObjectReference, i64> =
        values.whole.map(|whole| (service, whole)).into_iter().collect();
    MetricSeries {
        labels: rule.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        pods: values.pods.clone(),
        objects,
        external: values.whole,
        exact: values.exact,
        timestamp: now,
        window: if rule.measure.reading() == Reading::Gauge { SimDuration::ZERO } else { window },
    }
}
