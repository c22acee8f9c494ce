//! The sums of a run, in the form of `summary.json`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::run::split;
use cluster::ClusterView;
use cluster::pod::PodId;
use engine::SimTime;
use sim::watch::{PodEvent, Watched, WatchedChange};
use traffic::FlowAmounts;

/// Sums accumulated during a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    deployments: BTreeMap<String, DeploymentSums>,
    pods: BTreeMap<PodId, PodState>,
    /// Creation time of each existing node.
    nodes: BTreeMap<String, SimTime>,
    node_seconds: f64,
    rescales: BTreeMap<String, u32>,
    disruptions: BTreeMap<String, u32>,
    evictions: [u32; 2],
    samples: u32,
    pending: (f64, f64),
    nodes_with_pods: f64,
}

#[derive(Clone, Debug, Default)]
struct DeploymentSums {
    pod_seconds: f64,
    ready_seconds: f64,
    created: u32,
    bound: u32,
    bind_delay: f64,
    max: (i32, f64),
    /// Number of ready pods, and the time since which there are none.
    ready: u32,
    down_since: Option<SimTime>,
    down_seconds: f64,
    sampled_replicas: f64,
}

#[derive(Clone, Debug)]
struct PodState {
    deployment: String,
    created: SimTime,
    bound: Option<SimTime>,
    ready: Option<SimTime>,
}

impl Sums {
    /// Nodes that exist at the start count from time zero.
    pub(super) fn new(view: ClusterView<'_>) -> Self {
        let names = view.nodes().values().map(|node| node.meta.name().to_string());
        Self { nodes: names.map(|name| (name, SimTime::ZERO)).collect(), ..Self::default() }
    }

    /// Adds an event.
    pub(super) fn watched(&mut self, Watched { at, what }: &Watched) {
        match what {
            WatchedChange::Pod { pod, deployment, event } => {
                let name = deployment.as_ref().map_or("", |id| id.name.as_ref());
                self.pod(*at, *pod, name, event);
            }
            WatchedChange::Node { name, state: Some(_) } => {
                self.nodes.entry(name.to_string()).or_insert((*at).max(SimTime::ZERO));
            }
            WatchedChange::Node { name, state: None } => {
                if let Some(since) = self.nodes.remove(name.as_ref()) {
                    self.node_seconds += (*at - since).as_secs_f64();
                }
            }
            WatchedChange::Replicas { deployment, replicas } => {
                let sums = self.deployment(deployment.name.as_ref());
                if *replicas > sums.max.0 {
                    sums.max = (*replicas, at.as_secs_f64());
                }
            }
            WatchedChange::Rescale(rescale) => {
                *self.rescales.entry(rescale.hpa.name.to_string()).or_default() += 1;
            }
            WatchedChange::NewReplicaSet { .. }
            | WatchedChange::Progressing { .. }
            | WatchedChange::Step { .. } => {}
        }
    }

    /// Adds a sample.
    pub(super) fn sampled(&mut self, sample: &Value) {
        self.samples += 1;
        let pending = sample["pending"].as_f64().unwrap_or_default();
        self.pending = (self.pending.0.max(pending), self.pending.1 + pending);
        let nodes = sample["podsPerNode"].as_object();
        let used = nodes.into_iter().flat_map(|nodes| nodes.values());
        self.nodes_with_pods += used.filter(|pods| **pods != 0).count() as f64;
        for (name, sums) in &mut self.deployments {
            sums.sampled_replicas += sample["deployments"][name]["spec"].as_f64().unwrap_or(0.0);
        }
    }

    /// All sums at the end, by path.
    pub(super) fn summary(
        mut self,
        end: SimTime,
        services: &BTreeMap<String, FlowAmounts>,
    ) -> BTreeMap<String, f64> {
        let mut summary = BTreeMap::new();
        let open: Vec<PodId> = self.pods.keys().copied().collect();
        for pod in open {
            self.unready(end, pod);
            self.unbind(end, pod);
        }
        let samples = f64::from(self.samples.max(1));
        for (name, sums) in &self.deployments {
            let mut put = |key: &str, value| {
                summary.insert(format!("deployments/{name}/{key}"), value);
            };
            put("podSeconds", sums.pod_seconds);
            put("readyPodSeconds", sums.ready_seconds);
            put("podsCreated", sums.created.into());
            put("podsNeverBound", f64::from(sums.created - sums.bound));
            put("meanBindDelay", sums.bind_delay / f64::from(sums.bound.max(1)));
            put("maxReplicas", sums.max.0.into());
            put("timeOfMax", sums.max.1);
            put("meanSpecReplicasSampled", sums.sampled_replicas / samples);
            // The end of the run itself does not count as downtime.
            let down = sums.down_since.filter(|since| *since < end);
            let down = down.map_or(0.0, |since| (end - since).as_secs_f64());
            put("unavailableSeconds", sums.down_seconds + down);
        }
        let nodes: f64 = self.nodes.values().map(|since| (end - *since).as_secs_f64()).sum();
        let mut put = |key: String, value: f64| {
            summary.insert(key, value);
        };
        put("nodeSeconds".into(), self.node_seconds + nodes);
        put("rescaleCount".into(), self.rescales.values().sum::<u32>().into());
        for (hpa, count) in &self.rescales {
            put(format!("rescales/{hpa}"), (*count).into());
        }
        for (reason, count) in &self.disruptions {
            put(format!("disruptions/{reason}"), (*count).into());
        }
        put("evictionsGranted".into(), self.evictions[0].into());
        put("evictionsRefused".into(), self.evictions[1].into());
        put("maxPendingSampled".into(), self.pending.0);
        put("meanPendingSampled".into(), self.pending.1 / samples);
        put("meanNodesWithPods".into(), self.nodes_with_pods / samples);
        for (name, amounts) in services {
            let totals = [
                ("demand", amounts.arrived),
                ("served", amounts.served),
                ("dropped", amounts.failed_in_all()),
                ("queuedAtEnd", amounts.queued),
            ];
            for (key, value) in totals.into_iter().chain(split(amounts)) {
                put(format!("services/{name}/{key}"), value);
            }
        }
        summary
    }

    fn deployment(&mut self, name: &str) -> &mut DeploymentSums {
        self.deployments.entry(name.to_owned()).or_insert_with(|| DeploymentSums {
            down_since: Some(SimTime::ZERO),
            ..DeploymentSums::default()
        })
    }

    fn pod(&mut self, at: SimTime, pod: PodId, deployment: &str, event: &PodEvent) {
        match event {
            PodEvent::Created => {
                self.deployment(deployment).created += 1;
                let deployment = deployment.to_owned();
                let state = PodState { deployment, created: at, bound: None, ready: None };
                self.pods.insert(pod, state);
            }
            PodEvent::Bound(_) => {
                let Some(state) = self.pods.get_mut(&pod) else { return };
                state.bound = Some(at);
                let delay = (at - state.created).as_secs_f64();
                let sums = self.deployment(deployment);
                sums.bound += 1;
                sums.bind_delay += delay;
            }
            PodEvent::Ready => {
                let Some(state) = self.pods.get_mut(&pod) else { return };
                state.ready = Some(at);
                let sums = self.deployment(deployment);
                sums.ready += 1;
                if let Some(since) = sums.down_since.take() {
                    sums.down_seconds += (at - since).as_secs_f64();
                }
            }
            PodEvent::Unready => self.unready(at, pod),
            PodEvent::Deleted(reason) => {
                self.unready(at, pod);
                if let Some(reason) = reason {
                    *self.disruptions.entry((*reason).to_owned()).or_default() += 1;
                }
            }
            PodEvent::Gone => {
                self.unready(at, pod);
                self.unbind(at, pod);
                self.pods.remove(&pod);
            }
            PodEvent::Evicted { granted } => self.evictions[usize::from(!granted)] += 1,
        }
    }

    fn unready(&mut self, at: SimTime, pod: PodId) {
        let Some(state) = self.pods.get_mut(&pod) else { return };
        let Some(since) = state.ready.take() else { return };
        let name = state.deployment.clone();
        let sums = self.deployment(&name);
        sums.ready_seconds += (at - since).as_secs_f64();
        sums.ready -= 1;
        if sums.ready == 0 {
            sums.down_since = Some(at);
        }
    }

    fn unbind(&mut self, at: SimTime, pod: PodId) {
        let Some(state) = self.pods.get_mut(&pod) else { return };
        let Some(since) = state.bound.take() else { return };
        let name = state.deployment.clone();
        self.deployment(&name).pod_seconds += (at - since).as_secs_f64();
    }
}
