//! The custom and external metrics: scrapes the traffic by the scenario's rules and publishes what an
//! adapter makes of it; and the faults of the metrics pipeline.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::reactions::traffic_id;
use super::simulation::Simulation;
use cluster::custom_metrics::{ApiHealth, CustomMetrics, MetricSeries, MetricsApi};
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::selection::Selecting;
use cluster::{Action, Name, NamespacedName, ObjectReference};
use engine::{SimDuration, SimTime, Streams};
use faults::Scraper;
use metrics::{
    LATENCY_BOUNDS_SECONDS, Measure, MetricRule, Reading, RuleSeries, Scraped, Values, Whole,
};
use traffic::{BackendId, ServiceId};

/// The series of all rules, by their position in the scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Adapter {
    rules: Vec<RuleSeries>,
}

/// What of the metrics pipeline does not work now.
#[derive(Clone, Debug, Default)]
pub(super) struct ScrapeFaults {
    failing_nodes: BTreeSet<NodeId>,
    /// Nodes whose kubelets did not answer the last scrape.
    pub(super) unreachable: BTreeSet<NodeId>,
    paused: BTreeSet<Scraper>,
}

impl ScrapeFaults {
    pub(super) fn is_paused(&self, scraper: Scraper) -> bool {
        self.paused.contains(&scraper)
    }

    pub(super) fn pause(&mut self, scraper: Scraper, pauses: bool) {
        if pauses {
            self.paused.insert(scraper);
        } else {
            self.paused.remove(&scraper);
        }
    }
}

impl Simulation {
    /// The custom and external APIs are there if the scenario has metrics for them; the external one also
    /// where there is KEDA, which serves it itself.
    pub(super) fn start_adapter(&mut self) {
        let world = std::sync::Arc::clone(&self.world);
        let rules = &world.metrics.custom;
        self.adapter.rules = vec![RuleSeries::default(); rules.len()];
        if rules.is_empty() {
            let steps = world.timeline.iter().flat_map(|(_, step)| &step.objects);
            let mut objects = world.objects.iter().chain(steps);
            let has_keda = objects.any(|action| matches!(action, Action::CreateScaledObject(_)));
            let external = (!has_keda).then_some(MetricsApi::External);
            for api in [Some(MetricsApi::Custom), external].into_iter().flatten() {
                self.act("cluster", Action::SetMetricsApi(api, ApiHealth::Unregistered));
            }
            return;
        }
        for rule in rules.iter().filter(|rule| rule.measure == Measure::LatencyP95) {
            if let Some(service) = self.traffic_of(&rule.service.0) {
                self.traffic.count_latencies(service, &LATENCY_BOUNDS_SECONDS);
            }
        }
        self.publish(&[]);
        let timing = world.metrics.prometheus;
        let streams = Streams::new(world.seed);
        let first = timing.first_scrape.offset("Prometheus", timing.scrape_interval, streams);
        self.enter(SimTime::ZERO + first, Event::PrometheusScrape);
    }

    /// Prometheus scrapes the applications, and the adapter's answers follow.
    pub(super) fn scrape_applications(&mut self) {
        let world = std::sync::Arc::clone(&self.world);
        let settings = world.metrics.prometheus;
        self.enter(self.now + settings.scrape_interval, Event::PrometheusScrape);
        let mut served = Vec::new();
        for (position, rule) in world.metrics.custom.iter().enumerate() {
            let is_paused = self.scrapes.is_paused(Scraper::Prometheus);
            let scraped = (!is_paused).then(|| self.scrape_rule(rule));
            let series = &mut self.adapter.rules[position];
            if let Some(scraped) = scraped {
                series.scrape(self.now, settings.rate_window, &scraped);
            }
            served.push(series.values(self.now, rule.measure, settings.rate_window));
        }
        self.publish(&served);
    }

    fn publish(&mut self, served: &[Values]) {
        let mut metrics = CustomMetrics::default();
        let world = std::sync::Arc::clone(&self.world);
        let window = world.metrics.prometheus.rate_window;
        for (position, rule) in world.metrics.custom.iter().enumerate() {
            let series = metrics.series.entry(rule.name.clone()).or_default();
            if let Some(values) = served.get(position) {
                series.push(series_of(rule, values, self.now, window));
            }
        }
        self.act("metrics-adapter", Action::PublishCustomMetrics(Box::new(metrics)));
    }

    /// Counters and gauges of a rule as they are now.
    fn scrape_rule(&mut self, rule: &MetricRule) -> Scraped {
        let Some(service) = self.traffic_of(&rule.service.0) else { return Scraped::default() };
        let now = self.now;
        if rule.measure.reading() == Reading::Quantile {
            let counts = self.traffic.latency_counts(now, service);
            return Scraped {
                pods: Vec::new(),
                whole: counts.iter().map(|count| *count as f64).collect(),
            };
        }
        let pods: Vec<(PodId, f64)> = self
            .backends_of(service)
            .into_iter()
            .filter_map(|(pod, backend)| Some((pod, self.measure(rule.measure, backend)?)))
            .collect();
        let whole = match (rule.measure.whole(), rule.measure) {
            (Whole::Own, Measure::RequestsPerSecond) => vec![self.traffic.arrived(service) as f64],
            (Whole::Own, _) => {
                let in_pods: f64 = pods.iter().map(|(_, value)| value).sum();
                vec![in_pods + self.traffic.work_queue_length(service) as f64]
            }
            (Whole::Sum | Whole::Mean, _) => Vec::new(),
        };
        Scraped { pods, whole }
    }

    /// A counter or gauge of one pod's application; `None` where it has no such thing.
    fn measure(&mut self, measure: Measure, backend: BackendId) -> Option<f64> {
        let now = self.now;
        let mut server = || self.traffic.llm_status(now, backend);
        match measure {
            Measure::KvCacheUsage => Some(server()?.kv_cache_usage_perc),
            Measure::TokensPerSecond => Some(server()?.generation_tokens_total as f64),
            Measure::PromptTokensPerSecond => Some(server()?.prompt_tokens_total as f64),
            // Percent is the rate of hundred times the seconds at work.
            Measure::GpuUtilization => Some(server()?.gpu_busy.as_secs_f64() * 100.0),
            Measure::RequestsPerSecond => Some(self.traffic.taken(now, backend) as f64),
            Measure::Concurrency => Some(self.traffic.in_flight(now, backend) as f64),
            Measure::QueueDepth => Some(match server() {
                Some(server) => server.num_requests_waiting as f64,
                None => self.traffic.queued(now, backend) as f64,
            }),
            // A histogram, not a number: it is read of the whole Service.
            Measure::LatencyP95 => None,
        }
    }

    /// The applications of a Service's pods that answer a scrape: one that has not begun to listen has no
    /// metrics either, nor has one on a node that is down.
    fn backends_of(&self, service: ServiceId) -> Vec<(PodId, BackendId)> {
        let id = self.services.get(service.0 as usize).copied().flatten();
        let pods = id.into_iter().flat_map(|id| {
            self.plane.store().selected_by(Selecting::Service(id)).map(|(pod, _)| pod)
        });
        let apps = pods.filter_map(|pod| self.apps.get(pod));
        apps.filter(|app| {
            app.is_running() && app.node.is_some_and(|one| !self.kubelet.is_down(one))
        })
        .filter_map(|app| Some((app.pod, app.backend?)))
        .filter(|(_, backend)| self.traffic.is_serving(*backend))
        .collect()
    }

    fn traffic_of(&self, service: &NamespacedName) -> Option<ServiceId> {
        let position = self.world.traffic.iter().position(|(name, _)| name == service)?;
        Some(traffic_id(position))
    }

    /// A metrics API answers, or does so no more.
    pub(super) fn set_metrics_api(&mut self, api: MetricsApi, answers: bool) {
        if self.plane.store().metrics_apis().health(api) == ApiHealth::Unregistered {
            return;
        }
        let health = if answers { ApiHealth::Serving } else { ApiHealth::Unavailable };
        self.act("scenario", Action::SetMetricsApi(api, health));
        let service = match api {
            MetricsApi::Resource => "v1beta1.metrics.k8s.io",
            MetricsApi::Custom => "v1beta2.custom.metrics.k8s.io",
            MetricsApi::External => "v1beta1.external.metrics.k8s.io",
        };
        let (reason, what) = match health {
            ApiHealth::Serving => ("MetricsApiUp", "answers again"),
            _ => ("MetricsApiDown", "answers no more"),
        };
        let message = format!("the metrics API {service} {what}");
        self.say("scenario", &reference("APIService", service), reason, message);
    }

    /// A scraper pauses, or goes on.
    pub(super) fn pause_scrapes(&mut self, scraper: Scraper, pauses: bool) {
        self.scrapes.pause(scraper, pauses);
        let name = match scraper {
            Scraper::MetricsServer => "metrics-server",
            Scraper::Prometheus => "prometheus",
        };
        let (reason, what) = if pauses {
            ("ScrapesPaused", "scrapes nothing")
        } else {
            ("ScrapesResumed", "scrapes again")
        };
        let message = format!("{name} {what}");
        self.say("scenario", &reference("Deployment", name), reason, message);
    }

    /// The source of a custom metric answers no more, or does so again.
    pub(super) fn set_metric_failing(&mut self, name: &Name, fails: bool) {
        self.act("scenario", Action::SetMetricFailing(name.clone(), fails));
        let (reason, what) = if fails {
            ("MetricDown", "cannot be read")
        } else {
            ("MetricUp", "can be read again")
        };
        let message = format!("the metric {name} {what}");
        self.say("scenario", &reference("Metric", name), reason, message);
    }

    /// Looks which kubelets answer a scrape: where that is otherwise than before, so are the samples.
    pub(super) fn note_unreachable_nodes(&mut self) {
        let ScrapeFaults { failing_nodes, unreachable, .. } = &self.scrapes;
        if failing_nodes.is_empty() && unreachable.is_empty() && !self.kubelet.is_any_down() {
            return;
        }
        for (node, _) in self.plane.store().nodes().iter() {
            let is_down = self.kubelet.is_down(node);
            let fails = is_down || self.scrapes.failing_nodes.contains(&node);
            if fails != self.scrapes.unreachable.contains(&node) {
                if fails {
                    self.scrapes.unreachable.insert(node);
                } else {
                    self.scrapes.unreachable.remove(&node);
                }
                self.apps.disturb(self.plane.store().pods_on(node).map(|(pod, _)| pod));
            }
        }
    }

    /// metrics-server reaches the kubelet of a node, or does so no more.
    pub(super) fn set_scrapes(&mut self, node: NodeId, succeed: bool) {
        if succeed {
            self.scrapes.failing_nodes.remove(&node);
        } else {
            self.scrapes.failing_nodes.insert(node);
        }
    }
}

fn reference(kind: &str, name: &str) -> ObjectReference {
    ObjectReference { kind: kind.into(), id: NamespacedName::new("", name) }
}

fn series_of(
    rule: &MetricRule,
    values: &Values,
    now: SimTime,
    window: SimDuration,
) -> MetricSeries {
    let service = ObjectReference { kind: "Service".into(), id: rule.service.0.clone() };
    let objects: BTreeMap<ObjectReference, i64> =
        values.whole.map(|whole| (service, whole)).into_iter().collect();
    MetricSeries {
        labels: rule.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        pods: values.pods.clone(),
        objects,
        external: values.whole,
        timestamp: now,
        window: if rule.measure.reading() == Reading::Gauge { SimDuration::ZERO } else { window },
    }
}
