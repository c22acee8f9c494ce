//! One run of a case, with results in the form of the recording: samples, events, sums.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::sums::Sums;
use cluster::hpa_status::{HpaStatus, MetricValue};
use cluster::{ClusterView, NamespacedName};
use engine::{SimDuration, SimTime};
use sim::watch::{NodeState, PodEvent, Rescale, Watched, WatchedChange};
use sim::{Simulation, World};
use traffic::{FailureCause, FlowAmounts, ServiceId};
use units::Quantity;

/// Time of the first sample.
const FIRST_SAMPLE: SimDuration = SimDuration::from_millis(7_500);
/// Interval between samples.
const SAMPLE_PERIOD: SimDuration = SimDuration::from_secs(15);

/// Results of a run.
#[derive(Clone, Debug, Default)]
pub struct RunResults {
    /// The complete state at each sample.
    pub samples: Vec<Value>,
    /// Events: time, description, node.
    pub events: Vec<RunEvent>,
    /// The sums, by path as in `band.json`.
    pub summary: BTreeMap<String, f64>,
    /// Decisions in order, to investigate differences.
    pub log: Vec<(f64, String)>,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEvent {
    /// Time (s).
    pub t: f64,
    /// Description, such as `pod web create`.
    pub what: String,
    /// The node of a binding.
    pub node: Option<String>,
}

/// Runs a world to its end.
pub fn run(world: World) -> RunResults {
    let end = SimTime::ZERO + world.duration;
    let mut simulation = Simulation::new(world);
    simulation.watch();
    let names: Vec<NamespacedName> = simulation.traffic_services().cloned().collect();
    let mut shown = RunResults::default();
    let mut sums = Sums::new(simulation.view());
    let mut at = SimTime::ZERO + FIRST_SAMPLE;
    let view = simulation.view();
    let nodes = view.nodes().values().map(|node| node.meta.name().to_string()).collect();
    let mut seen = EventState { nodes, ..EventState::default() };
    while at < end {
        simulation.run_until(at);
        seen.take(&mut simulation, &mut shown, &mut sums);
        let sample = sample(&mut simulation, &names);
        sums.sampled(&sample);
        shown.samples.push(sample);
        at += SAMPLE_PERIOD;
    }
    simulation.run_until(end);
    seen.take(&mut simulation, &mut shown, &mut sums);
    let amounts = amounts(&mut simulation, &names);
    shown.summary = sums.summary(end, &amounts);
    let lines = simulation.recorder().log.iter();
    shown.log = lines
        .map(|line| {
            let text = format!("{} {} {}: {}", line.actor, line.object, line.reason, line.message);
            (line.at.as_secs_f64(), text)
        })
        .collect();
    shown
}

/// Request counts by Service.
fn amounts(simulation: &mut Simulation, names: &[NamespacedName]) -> BTreeMap<String, FlowAmounts> {
    let now = simulation.now();
    let amounts = (0..).zip(names).filter_map(|(position, id)| {
        let amounts = simulation.traffic_mut().flow_amounts(now, ServiceId(position))?;
        Some((id.name.to_string(), amounts))
    });
    amounts.collect()
}

fn sample(simulation: &mut Simulation, names: &[NamespacedName]) -> Value {
    let services: Map<String, Value> = amounts(simulation, names)
        .into_iter()
        .map(|(name, amounts)| {
            let value = json!({
                "demand": tenths(amounts.arrived),
                "served": tenths(amounts.served),
                "dropped": tenths(amounts.failed_in_all()),
                "queued": tenths(amounts.queued),
            });
            (name, value)
        })
        .collect();
    let view = simulation.view();
    let mut pending: BTreeMap<String, i64> = BTreeMap::new();
    for pod in view.pods().values().filter(|pod| pod.node.is_none()) {
        *pending.entry(deployment_of(view, pod)).or_default() += 1;
    }
    let on_nodes = view
        .nodes()
        .iter()
        .map(|(id, node)| (node.meta.name().to_string(), json!(view.pods_on(id).count())));
    json!({
        "t": simulation.now().as_secs_f64(),
        "deployments": deployments(view),
        "hpa": hpas(view),
        "pending": pending.values().sum::<i64>(),
        "pendingByDeployment": pending,
        "podsPerNode": on_nodes.collect::<Map<_, _>>(),
        "services": services,
    })
}

fn deployment_of(view: ClusterView<'_>, pod: &cluster::pod::Pod) -> String {
    let deployment = view.deployment_of(pod).and_then(|id| view.deployments().get(id));
    deployment.map_or_else(String::new, |one| one.meta.name().to_string())
}

fn deployments(view: ClusterView<'_>) -> Map<String, Value> {
    let one = |deployment: &cluster::deployment::Deployment| {
        let status = &deployment.status;
        json!({
            "spec": deployment.spec.replicas,
            "replicas": status.replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "updated": status.updated_replicas,
            "unavailable": status.unavailable_replicas,
            "terminating": status.terminating_replicas,
        })
    };
    view.deployments().values().map(|it| (it.meta.name().to_string(), one(it))).collect()
}

fn hpas(view: ClusterView<'_>) -> Map<String, Value> {
    let one = |status: &HpaStatus| {
        let mut conditions: Vec<String> = status
            .conditions
            .iter()
            .map(|it| format!("{}={}/{}", it.kind.as_str(), it.status.as_str(), it.reason.as_str()))
            .collect();
        conditions.sort_unstable();
        json!({
            "desired": status.desired_replicas,
            "current": status.current_replicas,
            "currentUtilization": current(status),
            "conditions": conditions,
        })
    };
    view.hpas().values().map(|hpa| (hpa.meta.name().to_string(), one(&hpa.status))).collect()
}

/// The current value of the first metric: a percentage, or a quantity as text.
fn current(status: &HpaStatus) -> Value {
    let metric = status.current_metrics.first().and_then(Option::as_ref);
    match metric.map(|metric| metric.current) {
        Some(MetricValue::Utilization { percent, .. }) => json!(percent),
        Some(MetricValue::AverageValueMilli(milli) | MetricValue::ValueMilli(milli)) => {
            json!(Quantity::from_milli(milli).to_string())
        }
        None => Value::Null,
    }
}

/// Rounds to tenths, as in the recording.
fn tenths(amount: f64) -> f64 {
    (amount * 10.0).round() / 10.0
}

/// State accumulated from the events so far.
#[derive(Clone, Debug, Default)]
struct EventState {
    progressing: BTreeMap<NamespacedName, &'static str>,
    nodes: BTreeSet<String>,
}

impl EventState {
    fn take(&mut self, simulation: &mut Simulation, shown: &mut RunResults, sums: &mut Sums) {
        for watched in simulation.take_watched() {
            sums.watched(&watched);
            let t = watched.at.as_secs_f64();
            if let Some((what, node)) = self.event(watched) {
                shown.events.push(RunEvent { t, what, node });
            }
        }
    }

    fn event(&mut self, Watched { at, what }: Watched) -> Option<(String, Option<String>)> {
        match what {
            WatchedChange::Pod { deployment, event, .. } => {
                let name = deployment.map_or_else(String::new, |id| id.name.to_string());
                let (what, node) = match event {
                    PodEvent::Created => ("create".to_owned(), None),
                    PodEvent::Bound(node) => ("bind".to_owned(), Some(node.to_string())),
                    PodEvent::Ready => ("ready".to_owned(), None),
                    PodEvent::Unready => ("unready".to_owned(), None),
                    PodEvent::Deleted(None) => ("delete".to_owned(), None),
                    PodEvent::Deleted(Some(reason)) => (format!("delete {reason}"), None),
                    PodEvent::Gone => ("gone".to_owned(), None),
                    PodEvent::Evicted { granted: true } => ("evict granted".to_owned(), None),
                    PodEvent::Evicted { granted: false } => ("evict refused".to_owned(), None),
                };
                Some((format!("pod {name} {what}"), node))
            }
            WatchedChange::Node { name, state } => {
                self.node_event(at, name.as_ref(), state.as_ref())
            }
            WatchedChange::NewReplicaSet { deployment, image } => {
                Some((format!("newReplicaSet {} {image}", deployment.name), None))
            }
            WatchedChange::Progressing { deployment, reason } => {
                let what = match reason {
                    "NewReplicaSetAvailable" => "rolloutComplete",
                    "ProgressDeadlineExceeded" => "rolloutDeadlineExceeded",
                    _ => "",
                };
                let name = deployment.name.clone();
                self.progressing.insert(deployment, reason);
                (!what.is_empty()).then(|| (format!("{what} {name}"), None))
            }
            WatchedChange::Replicas { .. } | WatchedChange::Step { .. } => None,
            WatchedChange::Rescale(rescale) => Some((rescale_text(&rescale), None)),
        }
    }

    fn node_event(
        &mut self,
        at: SimTime,
        name: &str,
        state: Option<&NodeState>,
    ) -> Option<(String, Option<String>)> {
        let Some(state) = state else {
            self.nodes.remove(name);
            return Some((format!("node {name} deleted"), None));
        };
        let is_new = self.nodes.insert(name.to_owned());
        if at < SimTime::ZERO {
            return None;
        }
        if is_new {
            return Some((format!("node {name} added"), None));
        }
        let mut taints: Vec<String> = state
            .taints
            .iter()
            .map(|taint| {
                let key = taint.key.rsplit('/').next().unwrap_or_default();
                format!("{key}:{:?}", taint.effect)
            })
            .collect();
        taints.sort_unstable();
        let (ready, cordoned) = (state.ready.as_str(), state.cordoned);
        Some((node_text(name, ready, &taints, cordoned), None))
    }
}

/// A node's state as one string.
pub(super) fn node_text(name: &str, ready: &str, taints: &[String], cordoned: bool) -> String {
    let cordoned = if cordoned { " cordoned" } else { "" };
    format!("node {name} {ready} [{}]{cordoned}", taints.join(","))
}

fn rescale_text(rescale: &Rescale) -> String {
    let limited = rescale
        .limited
        .map_or_else(String::new, |(status, reason)| format!("{}/{reason}", status.as_str()));
    let utilization = rescale.utilization.map_or(Value::Null, Value::from);
    rescale_line(&rescale.hpa.name, rescale.from, rescale.to, &utilization, &limited)
}

/// A rescale as one string.
pub(super) fn rescale_line(
    hpa: &str,
    from: i32,
    to: i32,
    utilization: &Value,
    limited: &str,
) -> String {
    format!("rescale {hpa} {from} -> {to} at {utilization} {limited}")
}

/// Maps failure causes to the categories of the recording.
pub(super) fn split(amounts: &FlowAmounts) -> [(&'static str, f64); 4] {
    [
        ("droppedNoEndpoint", amounts.failed_by(FailureCause::NoEndpoint)),
        ("droppedOverflow", amounts.failed_by(FailureCause::QueueFull)),
        ("droppedDeadNode", amounts.failed_by(FailureCause::Unreachable)),
        ("droppedKilled", amounts.failed_by(FailureCause::Killed)),
    ]
}
