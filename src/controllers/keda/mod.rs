//! The KEDA operator, 2.18: makes an HPA of each ScaledObject, scales its target from and to zero
//! (`executor`), and answers for triggers that fail (`fallback`). `job_controller` creates the Jobs of ScaledJobs by the
//! rules in `scaled_job`.

pub mod executor;
pub mod fallback;
mod hpa;
mod job_controller;
pub mod scaled_job;
mod triggers;

use std::collections::BTreeMap;
use std::fmt;

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::action::Event;
use cluster::hpa::MetricIdentifier;
use cluster::hpa_object::HpaObject;
use cluster::node::ConditionStatus;
use cluster::scaled_object::ScaledObjectStatus;
use cluster::scaled_object::{
    FallbackBehavior, KedaCondition, KedaConditions, Pause, ScaledObject, ScaledObjectId,
};
use cluster::{Action, Change, ClusterView, Kind, Name, NamespacedName, ObjectId};
use engine::SimTime;
use executor::{ActivationDecision, Triggers, decide};

pub use hpa::COMPOSITE_METRIC;
pub(crate) use hpa::{SCALED_OBJECT_LABEL, hpa_of};
pub use job_controller::ScaledJobController;
pub use triggers::{Activity, Reading, cron_reading, rule_of};
pub(crate) use triggers::{external_value, health_changes};

/// The ScaledObject to which a metric of an HPA belongs.
pub(crate) fn scaled_object_of(metric: &MetricIdentifier) -> Option<&Name> {
    let selector = metric.selector.as_ref()?;
    let label = selector.requirements.iter().find(|one| *one.key == *SCALED_OBJECT_LABEL)?;
    label.values.first()
}

/// The KEDA operator.
#[derive(Clone, Debug, Default)]
pub struct KedaController {
    last: BTreeMap<ScaledObjectId, String>,
    /// Generation and pause of each as they were last seen.
    seen: BTreeMap<ScaledObjectId, (i64, Pause)>,
}

impl Controller for KedaController {
    fn name(&self) -> &'static str {
        "keda-operator"
    }

    fn watches(&self) -> Watches {
        Watches::SCALED_OBJECTS
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Spec(ObjectId::ScaledObject(id), _) => {
                let Some(object) = view.scaled_objects().get(id) else { return };
                // Other annotations start no loop: the next poll reads them.
                let Pause { is_paused, replicas, is_unreadable, .. } = object.spec.pause;
                let pause = Pause { is_paused, replicas, is_unreadable, ..Pause::default() };
                let present = (object.meta.generation, pause);
                if self.seen.insert(id, present) != Some(present) {
                    wake.push(Key::ScaledObject(id));
                }
            }
            Change::Removed { object: ObjectId::ScaledObject(id), .. } => {
                self.seen.remove(&id);
                self.last.remove(&id);
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::ScaledObject(id) = key else { return Requeue::No };
        let Some(object) = view.scaled_objects().get(id) else { return Requeue::No };
        let hpa =
            NamespacedName::new(object.meta.namespace().clone(), object.spec.hpa_name.clone());
        if !object.spec.pause.is_paused && view.find::<HpaObject>(&hpa).is_none() {
            let (meta, spec) = hpa_of(object);
            actions.push(Action::create(meta, spec));
        }
        let activity = Activity::of(view, object);
        let target = &object.spec.scale_target;
        let reference = NamespacedName::new(object.meta.namespace().clone(), target.name.clone());
        let scale_target = view.scale_target(&target.kind, &reference);
        let scale = scale_target.and_then(|target| view.scale(target));
        let (Some(scale_target), Some(scale)) = (scale_target, scale) else {
            self.last.insert(id, format!("at {}: the scale target does not exist\n", view.now));
            return Requeue::OnlyAt(view.now + object.spec.polling_interval);
        };
        let (spec, created) = (&object.spec, object.meta.created);
        let triggers =
            Triggers { is_active: activity.is_active(), is_failing: activity.is_failing() };
        let replicas = scale.spec_replicas;
        let decision =
            decide(spec, created, object.status.last_active, triggers, replicas, view.now);
        // The API server accepts every count written here.
        let is_refused = false;
        let before = &object.status;
        let conditions = decision.conditions(before.conditions, spec, triggers, is_refused);
        let conditions = KedaConditions { paused: paused(object), ..conditions };
        let is_noted = decision.notes_activity(spec, triggers, is_refused);
        let last_active =
            if is_noted { Some(view.now.floor_to_second()) } else { before.last_active };
        if is_noted || conditions != before.conditions {
            let failures = before.failures.clone();
            let status = ScaledObjectStatus { last_active, failures, conditions };
            actions.push(Action::status(id, status));
        }
        if let Some(replicas) = decision.scales_to() {
            actions.push(Action::Scale(scale_target, replicas));
        }
        if let Some(event) = said(object, decision, replicas, &activity) {
            actions.push(Action::Event(Box::new(event)));
        }
        self.last.insert(id, explain(object, &activity, decision, replicas, view.now));
        match decision {
            // The scale loop is stopped.
            ActivationDecision::Paused => Requeue::No,
            // A change cancels the loop and starts another (`HandleScalableObject`).
            _ => Requeue::OnlyAt(view.now + object.spec.polling_interval),
        }
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Explain for KedaController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        let Key::ScaledObject(id) = key else { return None };
        self.last.get(&id).cloned()
    }
}

/// `Paused`, which the reconciler sets.
const fn paused(object: &ScaledObject) -> KedaCondition {
    let before = object.status.conditions.paused;
    match before.status {
        _ if object.spec.pause.is_paused => {
            KedaCondition::new(ConditionStatus::True, "ScaledObjectPaused")
        }
        ConditionStatus::False => before,
        _ => KedaCondition::new(ConditionStatus::False, "ScaledObjectUnpaused"),
    }
}

/// The event about a change, if there is one.
fn said(
    object: &ScaledObject,
    decision: ActivationDecision,
    current: i32,
    activity: &Activity,
) -> Option<Event> {
    let target = &object.spec.scale_target;
    let named = format!(
        "{}.{} {}/{}",
        target.api_version,
        target.kind,
        object.meta.namespace(),
        target.name
    );
    let (reason, message) = match decision {
        // KEDA emits no event when raising a count to the minimum.
        ActivationDecision::RaiseToMinimum(_)
        | ActivationDecision::Leave
        | ActivationDecision::CoolDown(_)
        | ActivationDecision::Fails
        | ActivationDecision::HeldBack
        | ActivationDecision::PausedUnreadably
        | ActivationDecision::Paused => return None,
        ActivationDecision::PausedAt(replicas) => {
            ("ScaledObjectPaused", format!("ScaledObject is paused, at {replicas} replicas"))
        }
        ActivationDecision::Activate(replicas) if object.spec.pause.force_activation => (
            "KEDAScaleTargetActivated",
            format!(
                "Scaled {named} from {current} to {replicas}, caused by forced activation annotation"
            ),
        ),
        ActivationDecision::Activate(replicas) => (
            "KEDAScaleTargetActivated",
            format!(
                "Scaled {named} from {current} to {replicas}, triggered by {}",
                activity.active_names()
            ),
        ),
        ActivationDecision::Deactivate(replicas) => (
            "KEDAScaleTargetDeactivated",
            format!("Deactivated {named} from {current} to {replicas}"),
        ),
    };
    let event = Event {
        kind: Kind::ScaledObject,
        object: object.meta.id.clone(),
        is_warning: false,
        reason,
        message,
    };
    Some(event)
}

fn explain(
    object: &ScaledObject,
    activity: &Activity,
    decision: ActivationDecision,
    replicas: i32,
    now: SimTime,
) -> String {
    let spec = &object.spec;
    let (least, most) = (spec.min_replicas, spec.max_replicas);
    let course = match decision {
        ActivationDecision::Leave if replicas == 0 => {
            "no trigger is active: it stays at 0".to_owned()
        }
        ActivationDecision::Leave => format!("the HPA {} decides", spec.hpa_name),
        ActivationDecision::Activate(to) if spec.pause.force_activation => {
            format!("force-activation is set: from {replicas} to {to}")
        }
        ActivationDecision::Activate(to) => format!("a trigger is active: from {replicas} to {to}"),
        ActivationDecision::Deactivate(to) => {
            format!("no trigger was active for {}: from {replicas} to {to}", spec.cooldown_period)
        }
        ActivationDecision::CoolDown(until) => {
            format!("no trigger is active, but the cooldown lasts until {until}")
        }
        ActivationDecision::RaiseToMinimum(to) => {
            format!("below the minimum: from {replicas} to {to}")
        }
        ActivationDecision::Fails if spec.fallback.is_some() => {
            "triggers fail: the replica count stays until the fallback applies".to_owned()
        }
        ActivationDecision::Fails => "triggers fail: the replica count stays".to_owned(),
        ActivationDecision::HeldBack if activity.is_active() => {
            "a trigger is active, but paused-scale-out blocks scaling up".to_owned()
        }
        ActivationDecision::HeldBack => {
            "no trigger is active, but paused-scale-in blocks scaling down".to_owned()
        }
        ActivationDecision::Paused => "it is paused, and there is no HPA".to_owned(),
        ActivationDecision::PausedUnreadably => {
            "paused-replicas is not a number: scaling is disabled".to_owned()
        }
        ActivationDecision::PausedAt(to) => format!("it is paused, from {replicas} to {to}"),
    };
    let activity = format!("{activity}{}", Failures(object));
    format!("at {now}: {replicas} replicas, {least} to {most} allowed\n{activity}{course}\n")
}

/// Consecutive failures of triggers, where they are counted.
struct Failures<'a>(&'a ScaledObject);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(fallback) = self.0.spec.fallback else { return Ok(()) };
        for (metric, failures) in
            self.0.status.failures.iter().filter(|(_, failures)| **failures > 0)
        {
            let (threshold, replicas) = (fallback.failure_threshold, fallback.replicas);
            write!(f, "{metric} failed {failures} times in a row: ")?;
            if *failures > threshold && fallback.behavior == FallbackBehavior::ScalingModifiers {
                writeln!(
                    f,
                    "nil in the formula, or {replicas} replicas if the formula has no result"
                )?;
            } else if *failures > threshold {
                writeln!(
                    f,
                    "the HPA gets the value that yields {replicas} replicas ({:?})",
                    fallback.behavior
                )?;
            } else {
                writeln!(f, "the fallback begins after {threshold}")?;
            }
        }
        Ok(())
    }
}
