//! The metrics pipeline: metrics-server, Prometheus with its adapter, and their failures.

use std::collections::{BTreeSet, VecDeque};

use super::adapter::Adapter;
use super::check_clock::next_tick;
use super::data_plane::DataPlane;
use super::environment::Environment;
use super::event::Event;
use cluster::custom_metrics::{ApiHealth, MetricsApi};
use cluster::metrics::PodMetricsUpdate;
use cluster::node::NodeId;
use cluster::{Action, Kind, Name, NamespacedName, ObjectReference};
use engine::{SimDuration, SimTime, Streams};
use faults::Scraper;
use metrics::housekeeping::ROUND;
use metrics::{Housekeeping, MetricsServer, PodUsage, Point, ScrapeResult};

/// The components between the pods and the metrics APIs that autoscalers read.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricsPipeline {
    server: MetricsServer,
    /// Absent if a scrape reads the counters as of its own instant.
    housekeeping: Option<Housekeeping>,
    /// The next round in which there is something to read.
    next_round: Option<SimTime>,
    /// Scrapes under way, the first to end first.
    scraped: VecDeque<PodMetricsUpdate>,
    adapter: Adapter,
    /// Nodes that metrics-server cannot scrape although their kubelets work.
    failing_nodes: BTreeSet<NodeId>,
    /// Nodes whose kubelets did not answer the last scrape.
    unreachable: BTreeSet<NodeId>,
    paused: BTreeSet<Scraper>,
}

impl MetricsPipeline {
    /// Starts the scrapers.
    pub(super) fn start(&mut self, env: &mut Environment, data_plane: &mut DataPlane) {
        let metrics = &env.world.metrics;
        let streams = Streams::new(env.world.seed);
        let first = metrics.first_scrape.offset("metrics-server", metrics.resolution, streams);
        let is_read = metrics.housekeeping_interval > SimDuration::ZERO;
        env.enter(SimTime::ZERO + first, Event::Scrape);
        if is_read && !env.world.traffic.is_empty() {
            self.housekeeping = Some(Housekeeping::new(streams.stream("housekeeping", 0)));
        }
        self.adapter.start(env, data_plane);
    }

    /// The kubelets read the CPU counters of containers that are due.
    pub(super) fn run_housekeeping(&mut self, env: &mut Environment, data_plane: &mut DataPlane) {
        let Some(housekeeping) = &mut self.housekeeping else { return };
        if self.next_round != Some(env.now) {
            return;
        }
        let (now, interval) = (env.now, env.world.metrics.housekeeping_interval);
        let DataPlane { apps, traffic, .. } = data_plane;
        for pod in apps.take_started() {
            housekeeping.started(now, pod);
        }
        for pod in housekeeping.take_due(now) {
            if let Some(usage) = apps.usage(now, pod, None, traffic) {
                let PodUsage { cpu_time, memory, started, others, .. } = usage;
                housekeeping.read(
                    pod,
                    Point { at: now, started, cpu_time, memory, others },
                    interval,
                );
            }
        }
        self.next_round = None;
        if let Some(due) = housekeeping.next_due() {
            self.plan_round(env, next_tick(due, ROUND, false));
        }
    }

    /// Plans a round for containers that have just started; `is_past`: this instant's round is over.
    pub(super) fn wake_housekeeping(
        &mut self,
        env: &mut Environment,
        data_plane: &DataPlane,
        is_past: bool,
    ) {
        if self.housekeeping.is_some() && data_plane.apps.have_started() {
            let at = next_tick(env.now, ROUND, is_past);
            self.plan_round(env, at.max(SimTime::ZERO + ROUND));
        }
    }

    fn plan_round(&mut self, env: &mut Environment, at: SimTime) {
        if self.next_round.is_none_or(|planned| at < planned) {
            self.next_round = Some(at);
            env.enter(at, Event::Housekeeping);
        }
    }

    /// metrics-server scrapes the kubelets that answer.
    pub(super) fn scrape(&mut self, env: &mut Environment, data_plane: &mut DataPlane) {
        env.enter(env.now + env.world.metrics.resolution, Event::Scrape);
        if self.paused.contains(&Scraper::MetricsServer) {
            return;
        }
        self.note_unreachable_nodes(env, data_plane);
        let Self { server, unreachable, housekeeping, .. } = self;
        let DataPlane { apps, traffic, .. } = data_plane;
        if housekeeping.is_none() {
            apps.take_started();
        }
        let pods = apps.take_unsteady();
        let meters = apps.take_changed_meters(env.now);
        let last = server.last_scrape();
        let usage = pods.iter().map(|pod| {
            let app = apps.get(*pod);
            let node = app.and_then(|app| app.node);
            let answers = node.is_some_and(|node| !unreachable.contains(&node));
            let is_read = app.is_some_and(|app| app.is_running() && app.backend.is_some());
            let answer = || match housekeeping {
                Some(housekeeping) if is_read => {
                    housekeeping.last(*pod).cloned().map(ScrapeResult::Earlier)
                }
                _ => apps.usage(env.now, *pod, last, traffic).map(ScrapeResult::Now),
            };
            (*pod, answers.then(answer).flatten())
        });
        let resolution = env.world.metrics.resolution;
        let served = server.scrape(env.now, resolution, usage, meters);
        apps.disturb(pods.into_iter().filter(|pod| !server.is_steady(*pod)));
        let takes = env.world.metrics.scrape_time;
        self.scraped.push_back(served);
        if takes > SimDuration::ZERO {
            env.enter(env.now + takes, Event::Publish);
        } else {
            self.publish(env);
        }
    }

    /// All kubelets have answered a scrape: its samples are published.
    pub(super) fn publish(&mut self, env: &mut Environment) {
        if let Some(served) = self.scraped.pop_front() {
            env.act("metrics-server", Action::PublishPodMetrics(Box::new(served)));
        }
    }

    /// Determines which kubelets answer a scrape, and has the pods of nodes where this changed read again.
    fn note_unreachable_nodes(&mut self, env: &Environment, data_plane: &mut DataPlane) {
        let Self { failing_nodes, unreachable, .. } = self;
        let DataPlane { kubelet, apps, .. } = data_plane;
        if failing_nodes.is_empty() && unreachable.is_empty() && !kubelet.is_any_down() {
            return;
        }
        for (node, _) in env.store().nodes().iter() {
            let fails = kubelet.is_down(node) || failing_nodes.contains(&node);
            if fails != unreachable.contains(&node) {
                if fails {
                    unreachable.insert(node);
                } else {
                    unreachable.remove(&node);
                }
                apps.disturb(env.store().pods_on(node).map(|(pod, _)| pod));
            }
        }
    }

    /// Prometheus scrapes the applications, unless it is paused, and the adapter's values follow.
    pub(super) fn scrape_applications(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
    ) {
        let is_paused = self.paused.contains(&Scraper::Prometheus);
        self.adapter.scrape(env, data_plane, is_paused);
    }

    /// Sets whether metrics-server can scrape the kubelet of a node.
    pub(super) fn set_scrapes(&mut self, node: NodeId, succeed: bool) {
        if succeed {
            self.failing_nodes.remove(&node);
        } else {
            self.failing_nodes.insert(node);
        }
    }

    /// Pauses or resumes a scraper.
    pub(super) fn pause(&mut self, env: &mut Environment, scraper: Scraper, pauses: bool) {
        if pauses {
            self.paused.insert(scraper);
        } else {
            self.paused.remove(&scraper);
        }
        let name = match scraper {
            Scraper::MetricsServer => "metrics-server",
            Scraper::Prometheus => "prometheus",
        };
        let (reason, verb) = if pauses {
            ("ScrapesPaused", "scrapes nothing")
        } else {
            ("ScrapesResumed", "scrapes again")
        };
        env.emit_event(
            "scenario",
            &reference(Kind::Deployment, name),
            reason,
            format!("{name} {verb}"),
        );
    }
}

/// Sets whether a metrics API answers; one that is not registered stays so.
pub(super) fn set_metrics_api(env: &mut Environment, api: MetricsApi, answers: bool) {
    if env.store().metrics_apis().health(api) == ApiHealth::Unregistered {
        return;
    }
    let health = if answers { ApiHealth::Serving } else { ApiHealth::Unavailable };
    env.act("scenario", Action::SetMetricsApi(api, health));
    let service = match api {
        MetricsApi::Resource => "v1beta1.metrics.k8s.io",
        MetricsApi::Custom => "v1beta2.custom.metrics.k8s.io",
        MetricsApi::External => "v1beta1.external.metrics.k8s.io",
    };
    let (reason, verb) = match health {
        ApiHealth::Serving => ("MetricsApiUp", "answers again"),
        _ => ("MetricsApiDown", "stopped responding"),
    };
    let message = format!("the metrics API {service} {verb}");
    env.emit_event("scenario", &reference(Kind::APIService, service), reason, message);
}

/// Sets whether the source of a custom metric fails.
pub(super) fn set_metric_failing(env: &mut Environment, name: &Name, fails: bool) {
    env.act("scenario", Action::SetMetricFailing(name.clone(), fails));
    let (reason, verb) =
        if fails { ("MetricDown", "cannot be read") } else { ("MetricUp", "can be read again") };
    let message = format!("the metric {name} {verb}");
    env.emit_event("scenario", &reference(Kind::Metric, name), reason, message);
}

fn reference(kind: Kind, name: &str) -> ObjectReference {
    ObjectReference { kind, id: NamespacedName::new("", name) }
}
