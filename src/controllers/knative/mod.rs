//! Knative's autoscaler (KPA) and the reconciler of PodAutoscalers, 1.20: collects the statistics of a revision's
//! requests (`buckets`), decides on the number of pods (`decider`), and applies that, to zero as well (`activation`).

pub mod activation;
mod buckets;
mod decider;
mod explain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{Actions, Controller, Explain, Key, Requeue, Row, Watches};
use activation::{Step, UNKNOWN, mode, scale, status_after};
use buckets::Buckets;
use cluster::pod_autoscaler::{
    PodAutoscaler, PodAutoscalerId, PodAutoscalerSpec, RevisionReport, ScalingMetric,
    ServerlessMode,
};
use cluster::service::Service;
use cluster::{Action, Change, ClusterView, Kind, NamespacedName, ObjectId};
use decider::{Decider, Decision, Observation, TICK, excess_at_first};
use engine::SimTime;
use explain::DecisionSettings;

/// The autoscaler and the controller of PodAutoscalers.
#[derive(Clone, Debug, Default)]
pub struct KpaController {
    revisions: BTreeMap<PodAutoscalerId, Revision>,
}

/// The autoscaler's state of a revision.
#[derive(Clone, Debug)]
struct Revision {
    stable: Buckets,
    panic: Buckets,
    decider: Decider,
    /// The last statistics taken.
    reported: Option<SimTime>,
    /// Time of the next decision.
    next_tick: SimTime,
    /// Pods wanted by the last decision; -1 before it.
    desired: i32,
    excess_burst_capacity: i32,
    last: Option<LastDecision>,
}

/// The last decision and its application.
#[derive(Clone, Debug)]
struct LastDecision {
    at: SimTime,
    decision: Decision,
    step: Step,
    mode: ServerlessMode,
    settings: DecisionSettings,
    /// Pods asked of the Deployment before.
    before: i32,
    is_change: bool,
}

impl Revision {
    fn new(spec: &PodAutoscalerSpec, now: SimTime) -> Self {
        Self {
            stable: Buckets::new(spec.stable_window, spec.aggregation),
            panic: Buckets::new(spec.panic_window, spec.aggregation),
            decider: Decider::default(),
            reported: None,
            next_tick: now + TICK,
            desired: UNKNOWN,
            excess_burst_capacity: excess_at_first(spec),
            last: None,
        }
    }

    /// Takes statistics that it does not have yet. True if they are the first requests of a revision without pods, on
    /// which it decides at once.
    fn take(&mut self, metric: ScalingMetric, report: Option<RevisionReport>) -> bool {
        let Some(report) = report.filter(|report| Some(report.at) != self.reported) else {
            return false;
        };
        self.reported = Some(report.at);
        let value = match metric {
            ScalingMetric::Concurrency => report.concurrency,
            ScalingMetric::Rps => report.requests,
        };
        self.stable.record(report.at, value);
        self.panic.record(report.at, value);
        self.desired == 0 && report.concurrency > 0.0
    }

    /// Decides, if there are statistics.
    fn tick(&mut self, spec: &PodAutoscalerSpec, ready: i32, now: SimTime) -> Option<Decision> {
        // Without scrapes, nothing to report means no requests.
        let is_scraped = spec.target_burst_capacity >= 0.0;
        if is_scraped && self.stable.is_empty(now) {
            return None;
        }
        let (stable, panic) = (self.stable.average(now), self.panic.average(now));
        let decision = self.decider.decide(spec, Observation { ready, stable, panic }, now);
        self.desired = decision.desired;
        self.excess_burst_capacity = decision.excess_burst_capacity;
        Some(decision)
    }
}

impl Controller for KpaController {
    fn name(&self) -> &'static str {
        "knative-autoscaler"
    }

    fn watches(&self) -> Watches {
        Watches::POD_AUTOSCALERS.and(Watches::SERVICES)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Spec(ObjectId::PodAutoscaler(id), _)
            | Change::Status(ObjectId::PodAutoscaler(id))
            | Change::Removed { object: ObjectId::PodAutoscaler(id), .. } => {
                wake.push(Key::PodAutoscaler(id));
            }
            Change::Endpoints(service) => {
                let Some(service) = view.services().get(service) else { return };
                let all = view.store().pod_autoscalers().iter();
                let own = all.filter(|(_, one)| service_of(one) == service.meta.id);
                wake.extend(own.map(|(id, _)| Key::PodAutoscaler(id)));
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::PodAutoscaler(id) = key else { return Requeue::No };
        let Some(object) = view.store().pod_autoscalers().get(id) else {
            self.revisions.remove(&id);
            return Requeue::No;
        };
        let (spec, status, now) = (&object.spec, &object.status, view.now);
        let ready = ready_pods(view, object);
        let revision = self.revisions.entry(id).or_insert_with(|| Revision::new(spec, now));
        let is_poked = revision.take(spec.metric, object.report);
        let is_due = now >= revision.next_tick;
        let decision = if is_poked || is_due { revision.tick(spec, ready, now) } else { None };
        if is_due {
            revision.next_tick = now + TICK;
        }

        let name = NamespacedName::new(object.meta.namespace().clone(), spec.scale_target.clone());
        let target = view.scale_target(Kind::Deployment.name(), &name);
        let step = scale(spec, status, revision.desired, now);
        let mode = mode(step.want, revision.excess_burst_capacity);
        let after = status_after(spec, status, (step.want, mode), ready, now);
        if after != *status {
            actions.push(Action::status(id, after));
        }
        let before = target.and_then(|target| view.scale(target)).map(|scale| scale.spec_replicas);
        let applies = step.applies && step.want >= 0 && before.is_some_and(|one| one != step.want);
        if let Some(target) = target.filter(|_| applies) {
            actions.push(Action::Scale(target, step.want));
        }
        let known = revision.last.as_ref().map(|last| last.decision);
        if let Some(decision) = decision.or(known).filter(|_| decision.is_some() || applies) {
            let before = before.unwrap_or_default();
            let settings = DecisionSettings::of(spec);
            let is_change = applies;
            let last = LastDecision { at: now, decision, step, mode, settings, before, is_change };
            revision.last = Some(last);
        }
        // While nothing is reported, decisions would change nothing.
        let is_idle = revision.desired <= 0 && revision.stable.is_empty(now);
        let next_tick = (!is_idle).then_some(revision.next_tick);
        match [next_tick, step.again].into_iter().flatten().min() {
            Some(at) => Requeue::At(at),
            None => Requeue::No,
        }
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Number of ready pods, from the revision's endpoints.
fn ready_pods(view: ClusterView<'_>, object: &PodAutoscaler) -> i32 {
    let service = view.find::<Service>(&service_of(object));
    let ready = service.map_or(0, |one| one.endpoints.iter().filter(|one| one.ready).count());
    i32::try_from(ready).unwrap_or(i32::MAX)
}

fn service_of(object: &PodAutoscaler) -> NamespacedName {
    NamespacedName::new(object.meta.namespace().clone(), object.spec.service.clone())
}

impl KpaController {
    fn last_decision(&self, key: Key) -> Option<&LastDecision> {
        let Key::PodAutoscaler(id) = key else { return None };
        self.revisions.get(&id)?.last.as_ref()
    }
}

impl Explain for KpaController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        self.last_decision(key).map(LastDecision::to_string)
    }

    fn explain_as_json(&self, key: Key, _: SimTime) -> Option<serde_json::Value> {
        Some(self.last_decision(key)?.to_json())
    }

    fn explain_as_row(&self, key: Key, _: SimTime) -> Option<Row> {
        Some(self.last_decision(key)?.to_row())
    }
}
