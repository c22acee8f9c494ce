//! The KEDA operator: makes an HPA of each ScaledObject, and scales its target from and to zero, which
//! the HPA does not do (`pkg/scaling/executor/scale_scaledobjects.go`, KEDA 2.17).

mod hpa;
mod triggers;

use std::collections::BTreeMap;

use super::{Actions, Controller, Key, Requeue};
use crate::cluster::action::Event;
use crate::cluster::scaled_object::{ScaledObject, ScaledObjectId, ScaledObjectSpec};
use crate::cluster::{Action, Change, ClusterView, NamespacedName};
use crate::engine::SimTime;

pub use hpa::{SCALED_OBJECT_LABEL, hpa_of};
pub use triggers::{Activity, external_value, rule_of};

/// The KEDA operator.
#[derive(Clone, Debug, Default)]
pub struct KedaController {
    last: BTreeMap<ScaledObjectId, String>,
}

/// What KEDA itself does with a scale target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroDecision {
    /// The HPA is in charge, or nothing is to be done.
    Leave,
    /// Something is active: from zero, or from the idle count, to this many.
    Activate(i32),
    /// Nothing is active and the cooldown is over: down to this many.
    Deactivate(i32),
    /// Nothing is active, and the cooldown lasts until then.
    CoolDown(SimTime),
    /// Below the minimum: up to it.
    RaiseToMinimum(i32),
}

/// What to do with a target of so many replicas (`RequestScale`).
pub fn decide(
    spec: &ScaledObjectSpec,
    created: SimTime,
    last_active: Option<SimTime>,
    is_active: bool,
    replicas: i32,
    now: SimTime,
) -> ZeroDecision {
    let is_idle = spec.idle_replicas.is_some() && replicas < spec.min_replicas;
    if is_active {
        return match replicas {
            _ if is_idle || replicas == 0 => ZeroDecision::Activate(spec.min_replicas.max(1)),
            _ if replicas < spec.min_replicas => ZeroDecision::RaiseToMinimum(spec.min_replicas),
            _ => ZeroDecision::Leave,
        };
    }
    let floor = match spec.idle_replicas {
        Some(idle) if replicas > idle => idle,
        None if replicas > 0 && spec.min_replicas == 0 => 0,
        None if replicas < spec.min_replicas => {
            return ZeroDecision::RaiseToMinimum(spec.min_replicas);
        }
        _ => return ZeroDecision::Leave,
    };
    let cooled_down = match last_active {
        Some(active) => active + spec.cooldown_period,
        None => created + spec.initial_cooldown_period,
    };
    if cooled_down < now {
        ZeroDecision::Deactivate(floor)
    } else {
        ZeroDecision::CoolDown(cooled_down)
    }
}

impl Controller for KedaController {
    fn name(&self) -> &'static str {
        "keda-operator"
    }

    fn wakes_on(&self, _: ClusterView<'_>, change: Change, wake: &mut Vec<Key>) {
        if let Change::ScaledObject(id) = change {
            wake.push(Key::ScaledObject(id));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::ScaledObject(id) = key else { return Requeue::No };
        let Some(object) = view.scaled_objects().get(id) else {
            self.last.remove(&id);
            return Requeue::No;
        };
        let hpa =
            NamespacedName::new(object.meta.namespace().clone(), object.spec.hpa_name.clone());
        if view.hpa_named(&hpa).is_none() {
            actions.push(Action::CreateHpa(Box::new(hpa_of(object))));
        }
        let activity = Activity::of(view, object);
        if activity.is_active() {
            actions.push(Action::SetScaledObjectActive(id));
        }
        let target = &object.spec.scale_target;
        let reference = NamespacedName::new(object.meta.namespace().clone(), target.name.clone());
        let scale_target = view.scale_target(&target.kind, &reference);
        let scale = scale_target.and_then(|target| view.scale(target));
        let (Some(scale_target), Some(scale)) = (scale_target, scale) else {
            self.last.insert(id, format!("at {}: the scale target does not exist\n", view.now));
            return Requeue::At(view.now + object.spec.polling_interval);
        };
        let (spec, created) = (&object.spec, object.meta.created);
        let (active, replicas) = (activity.is_active(), scale.spec_replicas);
        let decision = decide(spec, created, object.last_active, active, replicas, view.now);
        if let Some((replicas, event)) = said(object, decision, replicas, &activity) {
            actions.push(scale_target.scale_to(replicas));
            actions.push(Action::Event(Box::new(event)));
        }
        self.last.insert(id, explain(object, &activity, decision, replicas, view.now));
        Requeue::At(view.now + object.spec.polling_interval)
    }

    fn explain(&self, key: Key) -> Option<String> {
        let Key::ScaledObject(id) = key else { return None };
        self.last.get(&id).cloned()
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The count to write and the event that tells of it, if the count changes.
fn said(
    object: &ScaledObject,
    decision: ZeroDecision,
    current: i32,
    activity: &Activity,
) -> Option<(i32, Event)> {
    let target = &object.spec.scale_target;
    let named = format!(
        "{}.{} {}/{}",
        target.api_version,
        target.kind,
        object.meta.namespace(),
        target.name
    );
    let (replicas, reason, message) = match decision {
        ZeroDecision::Leave | ZeroDecision::CoolDown(_) => return None,
        ZeroDecision::Activate(replicas) => (
            replicas,
            "KEDAScaleTargetActivated",
            format!(
                "Scaled {named} from {current} to {replicas}, triggered by {}",
                activity.active_names()
            ),
        ),
        ZeroDecision::Deactivate(replicas) => (
            replicas,
            "KEDAScaleTargetDeactivated",
            format!("Deactivated {named} from {current} to {replicas}"),
        ),
        ZeroDecision::RaiseToMinimum(replicas) => (
            replicas,
            "KEDAScaleTargetActivated",
            format!("Scaled {named} from {current} to {replicas}, the minimum"),
        ),
    };
    let event = Event {
        kind: "ScaledObject",
        object: object.meta.id.clone(),
        is_warning: false,
        reason,
        message,
    };
    Some((replicas, event))
}

fn explain(
    object: &ScaledObject,
    activity: &Activity,
    decision: ZeroDecision,
    replicas: i32,
    now: SimTime,
) -> String {
    let spec = &object.spec;
    let (least, most) = (spec.min_replicas, spec.max_replicas);
    let course = match decision {
        ZeroDecision::Leave if replicas == 0 => "nothing is active: it stays at 0".to_owned(),
        ZeroDecision::Leave => format!("the HPA {} decides", spec.hpa_name),
        ZeroDecision::Activate(to) => format!("a trigger is active: from {replicas} to {to}"),
        ZeroDecision::Deactivate(to) => {
            format!("nothing was active for {}: from {replicas} to {to}", spec.cooldown_period)
        }
        ZeroDecision::CoolDown(until) => {
            format!("nothing is active, but the cooldown lasts until {until}")
        }
        ZeroDecision::RaiseToMinimum(to) => format!("below the minimum: from {replicas} to {to}"),
    };
    format!("at {now}: {replicas} replicas, {least} to {most} allowed\n{activity}{course}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::hpa::ObjectReference;
    use crate::engine::SimDuration;

    fn spec(min_replicas: i32, idle_replicas: Option<i32>) -> ScaledObjectSpec {
        ScaledObjectSpec {
            scale_target: ObjectReference {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "web".into(),
            },
            polling_interval: SimDuration::from_secs(30),
            cooldown_period: SimDuration::from_secs(300),
            initial_cooldown_period: SimDuration::ZERO,
            idle_replicas,
            min_replicas,
            max_replicas: 100,
            triggers: Vec::new(),
            behavior: None,
            hpa_name: "keda-hpa-web".into(),
        }
    }

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn decision(spec: &ScaledObjectSpec, active: bool, replicas: i32, now: i64) -> ZeroDecision {
        decide(spec, at(0), Some(at(100)), active, replicas, at(now))
    }

    #[test]
    fn the_cooldown_is_over_only_after_its_last_instant() {
        let to_zero = spec(0, None);
        assert_eq!(decision(&to_zero, false, 7, 400), ZeroDecision::CoolDown(at(400)));
        assert_eq!(decision(&to_zero, false, 7, 401), ZeroDecision::Deactivate(0));
        assert_eq!(decision(&to_zero, false, 0, 401), ZeroDecision::Leave);
    }

    #[test]
    fn activity_wakes_from_zero_to_the_minimum_but_at_least_to_one() {
        assert_eq!(decision(&spec(0, None), true, 0, 500), ZeroDecision::Activate(1));
        assert_eq!(decision(&spec(0, None), true, 3, 500), ZeroDecision::Leave);
        assert_eq!(decision(&spec(4, Some(1)), true, 1, 500), ZeroDecision::Activate(4));
    }

    #[test]
    fn an_idle_count_stands_in_for_zero_and_a_minimum_is_kept() {
        assert_eq!(decision(&spec(4, Some(1)), false, 6, 500), ZeroDecision::Deactivate(1));
        assert_eq!(decision(&spec(4, None), false, 6, 500), ZeroDecision::Leave);
        assert_eq!(decision(&spec(4, None), false, 2, 500), ZeroDecision::RaiseToMinimum(4));
    }

    #[test]
    fn without_any_activity_yet_the_initial_cooldown_counts() {
        let fresh = ScaledObjectSpec {
            initial_cooldown_period: SimDuration::from_secs(60),
            ..spec(0, None)
        };
        assert_eq!(decide(&fresh, at(0), None, false, 1, at(60)), ZeroDecision::CoolDown(at(60)));
        assert_eq!(decide(&fresh, at(0), None, false, 1, at(90)), ZeroDecision::Deactivate(0));
    }
}
