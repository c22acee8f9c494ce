//! Gathers the inputs of each sync from the cluster, and turns the decision into actions.

use std::collections::BTreeMap;

use super::{
    Decision, HpaHistory, HpaInputs, HpaSettings, HpaView, MetricReading, ObservedPod,
    ObservedScale, PodMetric, PodMetrics, ScaleSelector, cpu_milli, memory_milli, reconcile,
};
use crate::cluster::action::Event;
use crate::cluster::deployment::DeploymentId;
use crate::cluster::hpa::MetricSource;
use crate::cluster::hpa_object::{HpaId, HpaObject};
use crate::cluster::metrics::PodMetrics as SampledPod;
use crate::cluster::pod::{Owner, PodId};
use crate::cluster::pod_template::{PodSpec, TemplateId};
use crate::cluster::{Action, Change, ClusterView, Name, NamespacedName};
use crate::controllers::{Actions, Controller, Key, Requeue};
use crate::engine::SimTime;

/// The horizontal-pod-autoscaler controller.
#[derive(Clone, Debug, Default)]
pub struct HpaController {
    settings: HpaSettings,
    known: BTreeMap<HpaId, Known>,
}

/// What the controller remembers of one HPA.
#[derive(Clone, Debug)]
struct Known {
    history: HpaHistory,
    next_sync: SimTime,
    /// Its last decision, with the names of the pods that it was made from.
    last: Option<(Decision, Vec<Name>)>,
}

impl HpaController {
    /// A controller with these flags.
    pub fn new(settings: HpaSettings) -> Self {
        Self { settings, known: BTreeMap::new() }
    }
}

impl Controller for HpaController {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn wakes_on(&self, _: ClusterView<'_>, change: Change, wake: &mut Vec<Key>) {
        if let Change::HpaSpec(id) = change
            && !self.known.contains_key(&id)
        {
            wake.push(Key::Hpa(id));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Hpa(id) = key else { return Requeue::No };
        let Some(hpa) = view.hpas().get(id) else {
            self.known.remove(&id);
            return Requeue::No;
        };
        let settings = &self.settings;
        let known = self.known.entry(id).or_insert_with(|| Known {
            history: HpaHistory::default(),
            // An HPA that is new waits for one period: the queue admits each key once in a period.
            next_sync: view.now + settings.sync_period,
            last: None,
        });
        if view.now >= known.next_sync {
            let (decision, pods) = sync(view, id, hpa, settings, &mut known.history);
            translate(hpa, id, &decision, view, actions);
            known.last = Some((decision, pods));
            known.next_sync = view.now + settings.sync_period;
        }
        Requeue::At(known.next_sync)
    }

    fn explain(&self, key: Key) -> Option<String> {
        let Key::Hpa(id) = key else { return None };
        let (decision, pods) = self.known.get(&id)?.last.as_ref()?;
        Some(decision.explain(&|position| pods[position].clone()))
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// One sync: what the controller would read from the API server, the decision on it, and the names of
/// the pods in the order in which the decision counts them.
fn sync(
    view: ClusterView<'_>,
    id: HpaId,
    hpa: &HpaObject,
    settings: &HpaSettings,
    history: &mut HpaHistory,
) -> (Decision, Vec<Name>) {
    let target = target_of(view, hpa);
    let others = target.and_then(|target| other_hpas_of(view, id, target));
    let not_found =
        Name::from(format!("deployments.apps \"{}\" not found", hpa.spec.scale_target.name));
    let scale = target.map(|target| view.deployments()[target].status.replicas).map(|status| {
        let spec_replicas = target.map_or(0, |target| view.deployments()[target].spec.replicas);
        let selector = others.as_ref().map_or(ScaleSelector::Unique, ScaleSelector::Ambiguous);
        ObservedScale { spec_replicas, status_replicas: status, selector }
    });
    let pods = Pods::of(view, target);
    let values: Vec<Option<Vec<Option<PodMetric>>>> =
        hpa.spec.metrics.iter().map(|metric| pods.values(view, &metric.source)).collect();
    let no_custom_metrics = Name::from("no custom or external metrics API is simulated");
    let readings: Vec<MetricReading<'_>> = values
        .iter()
        .map(|values| match values {
            Some(values) if values.iter().all(Option::is_none) => MetricReading::Empty,
            Some(values) => MetricReading::PerPod(PodMetrics { values, ..PodMetrics::default() }),
            None => MetricReading::Failed(&no_custom_metrics),
        })
        .collect();
    let names: Vec<Name> = pods.ids.iter().map(|id| view.pods()[*id].name().clone()).collect();
    let inputs = HpaInputs {
        hpa: HpaView {
            namespace: hpa.meta.namespace(),
            spec: &hpa.spec,
            status: &hpa.status,
            settings,
        },
        scale: scale.ok_or(&not_found),
        scale_write: Ok(()),
        pods: &pods.observed,
        templates: &pods.templates,
        metrics: &readings,
        pod_name: &|position| names[position].clone(),
    };
    (reconcile(&inputs, history, view.now), names.clone())
}

/// The Deployment that the HPA scales, if it exists.
fn target_of(view: ClusterView<'_>, hpa: &HpaObject) -> Option<DeploymentId> {
    let target = &hpa.spec.scale_target;
    let id = NamespacedName::new(hpa.meta.namespace().clone(), target.name.clone());
    (*target.kind == *"Deployment").then(|| view.deployment_named(&id)).flatten()
}

/// The names of other HPAs of the same target, if there are any.
fn other_hpas_of(view: ClusterView<'_>, id: HpaId, target: DeploymentId) -> Option<Name> {
    let names: Vec<String> = view
        .hpas()
        .iter()
        .filter(|(other, hpa)| *other != id && target_of(view, hpa) == Some(target))
        .map(|(_, hpa)| hpa.meta.id.to_string())
        .collect();
    (!names.is_empty()).then(|| names.join(", ").into())
}

/// The pods of a scale as the HPA sees them.
struct Pods<'a> {
    ids: Vec<PodId>,
    observed: Vec<ObservedPod>,
    templates: Vec<&'a PodSpec>,
}

impl<'a> Pods<'a> {
    fn of(view: ClusterView<'a>, target: Option<DeploymentId>) -> Self {
        let store = view.store();
        let mut pods = Self { ids: Vec::new(), observed: Vec::new(), templates: Vec::new() };
        let mut template_ids: Vec<TemplateId> = Vec::new();
        let sets = target.into_iter().flat_map(|target| store.replica_sets_of(target));
        for (id, pod) in sets.flat_map(|(set, _)| store.pods_of(Owner::ReplicaSet(set))) {
            let known = template_ids.iter().position(|template| *template == pod.template);
            let template = known.unwrap_or_else(|| {
                template_ids.push(pod.template);
                pods.templates.push(&store.template_of(pod).spec);
                template_ids.len() - 1
            });
            pods.ids.push(id);
            pods.observed.push(ObservedPod {
                count: 1,
                template: u32::try_from(template).unwrap_or(u32::MAX),
                phase: pod.phase,
                is_terminating: pod.is_terminating(),
                ready: pod.ready,
                start_time: pod.start_time,
            });
        }
        pods
    }

    /// The values of a metric, pod by pod; `None` for a metric that no API serves.
    fn values(
        &self,
        view: ClusterView<'_>,
        source: &MetricSource,
    ) -> Option<Vec<Option<PodMetric>>> {
        // A simulated pod is measured as a whole, so that a metric of one container is the pod's.
        let MetricSource::Resource { resource, .. } = source else { return None };
        let value: fn(&SampledPod) -> i64 = match resource.as_ref() {
            "cpu" => |sample| cpu_milli(sample.cpu_nano),
            "memory" => |sample| memory_milli(sample.memory.0),
            _ => return None,
        };
        let metrics = view.store().pod_metrics();
        let metric = |pod: &PodId| {
            metrics.get(*pod).map(|sample| PodMetric {
                value_milli: value(sample),
                timestamp: sample.timestamp,
                window: sample.window,
            })
        };
        Some(self.ids.iter().map(metric).collect())
    }
}

/// The decision as requests to the API server.
fn translate(
    hpa: &HpaObject,
    id: HpaId,
    decision: &Decision,
    view: ClusterView<'_>,
    actions: &mut Actions,
) {
    if let Some(write) = &decision.scale_write
        && let Some(target) = target_of(view, hpa)
    {
        actions.push(Action::ScaleDeployment(target, write.replicas));
    }
    for event in &decision.events {
        actions.push(Action::Event(Box::new(Event {
            kind: "HorizontalPodAutoscaler",
            object: hpa.meta.id.clone(),
            is_warning: event.is_warning,
            reason: event.reason,
            message: event.message.clone(),
        })));
    }
    if decision.is_status_changed {
        actions.push(Action::SetHpaStatus(id, Box::new(decision.status.clone())));
    }
}
