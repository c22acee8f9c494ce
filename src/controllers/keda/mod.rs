//! The KEDA operator: makes an HPA of each ScaledObject, and scales its target from and to zero, which
//! the HPA does not do (`pkg/scaling/executor/scale_scaledobjects.go`, KEDA 2.18).

mod hpa;
mod triggers;

use std::collections::BTreeMap;
use std::fmt;

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::action::Event;
use cluster::hpa::MetricIdentifier;
use cluster::hpa_object::HpaObject;
use cluster::scaled_object::ScaledObjectStatus;
use cluster::scaled_object::{FallbackBehavior, ScaledObject, ScaledObjectId, ScaledObjectSpec};
use cluster::{Action, Change, ClusterView, Kind, Name, NamespacedName, ObjectId};
use engine::SimTime;

pub use hpa::{COMPOSITE_METRIC, SCALED_OBJECT_LABEL, hpa_of};
pub use triggers::{Activity, external_value, health_changes, rule_of};

/// The ScaledObject whose trigger a metric of an HPA is.
pub fn scaled_object_of(metric: &MetricIdentifier) -> Option<&Name> {
    let selector = metric.selector.as_ref()?;
    let label = selector.requirements.iter().find(|one| *one.key == *SCALED_OBJECT_LABEL)?;
    label.values.first()
}

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
    /// Triggers fail, and none is active: nothing is scaled on what is not known.
    Fails,
    /// An annotation forbids to wake it, or to put it to sleep.
    HeldBack,
    /// It is paused.
    Paused,
    /// It is paused with this many replicas.
    PausedAt(i32),
}

/// What triggers say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Triggers {
    /// One of them is active.
    pub is_active: bool,
    /// One of them fails.
    pub is_failing: bool,
}

/// What to do with a target of so many replicas (`RequestScale`).
pub fn decide(
    spec: &ScaledObjectSpec,
    created: SimTime,
    last_active: Option<SimTime>,
    triggers: Triggers,
    replicas: i32,
    now: SimTime,
) -> ZeroDecision {
    match spec.pause.replicas {
        Some(paused) if paused != replicas => return ZeroDecision::PausedAt(paused),
        _ if spec.pause.is_paused => return ZeroDecision::Paused,
        _ => {}
    }
    let is_idle = spec.idle_replicas.is_some() && replicas < spec.min_replicas;
    if triggers.is_active || spec.pause.force_activation {
        return match replicas {
            _ if !is_idle && replicas != 0 => ZeroDecision::Leave,
            _ if spec.pause.scale_out => ZeroDecision::HeldBack,
            _ => ZeroDecision::Activate(spec.min_replicas.max(1)),
        };
    }
    if triggers.is_failing && spec.fallback.is_none_or(|fallback| fallback.replicas != 0) {
        return ZeroDecision::Fails;
    }
    let floor = match spec.idle_replicas {
        Some(idle) if replicas > idle => idle,
        None if replicas > 0 && spec.min_replicas == 0 => 0,
        None if replicas < spec.min_replicas => {
            return ZeroDecision::RaiseToMinimum(spec.min_replicas);
        }
        _ => return ZeroDecision::Leave,
    };
    if spec.pause.scale_in {
        return ZeroDecision::HeldBack;
    }
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

    fn watches(&self) -> Watches {
        Watches::SCALED_OBJECTS
    }

    fn wakes_on(&self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if let Change::Spec(ObjectId::ScaledObject(id), _) = *change {
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
            return Requeue::At(view.now + object.spec.polling_interval);
        };
        let (spec, created) = (&object.spec, object.meta.created);
        let triggers =
            Triggers { is_active: activity.is_active(), is_failing: activity.is_failing() };
        let replicas = scale.spec_replicas;
        let decision =
            decide(spec, created, object.status.last_active, triggers, replicas, view.now);
        let is_noted = match decision {
            ZeroDecision::Activate(_) => true,
            ZeroDecision::Leave => {
                (triggers.is_active || spec.pause.force_activation) && !triggers.is_failing
            }
            _ => false,
        };
        if is_noted {
            let last_active = Some(view.now.floor_to_second());
            actions.push(Action::status(
                id,
                ScaledObjectStatus { last_active, ..object.status.clone() },
            ));
        }
        if let Some(replicas) = decision.scales_to() {
            actions.push(Action::Scale(scale_target, replicas));
        }
        if let Some(event) = said(object, decision, replicas, &activity) {
            actions.push(Action::Event(Box::new(event)));
        }
        self.last.insert(id, explain(object, &activity, decision, replicas, view.now));
        match decision {
            // The loop stands still.
            ZeroDecision::Paused => Requeue::No,
            _ => Requeue::At(view.now + object.spec.polling_interval),
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

impl ZeroDecision {
    /// The count to write, if it changes.
    const fn scales_to(self) -> Option<i32> {
        match self {
            Self::Activate(replicas)
            | Self::Deactivate(replicas)
            | Self::RaiseToMinimum(replicas)
            | Self::PausedAt(replicas) => Some(replicas),
            Self::Leave | Self::CoolDown(_) | Self::Fails | Self::HeldBack | Self::Paused => None,
        }
    }
}

/// The event that tells of a change, where there is one.
fn said(
    object: &ScaledObject,
    decision: ZeroDecision,
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
        // KEDA says nothing of a count that is raised to the minimum.
        ZeroDecision::RaiseToMinimum(_)
        | ZeroDecision::Leave
        | ZeroDecision::CoolDown(_)
        | ZeroDecision::Fails
        | ZeroDecision::HeldBack
        | ZeroDecision::Paused => return None,
        ZeroDecision::PausedAt(replicas) => {
            ("ScaledObjectPaused", format!("ScaledObject is paused, at {replicas} replicas"))
        }
        ZeroDecision::Activate(replicas) if object.spec.pause.force_activation => (
            "KEDAScaleTargetActivated",
            format!(
                "Scaled {named} from {current} to {replicas}, caused by forced activation annotation"
            ),
        ),
        ZeroDecision::Activate(replicas) => (
            "KEDAScaleTargetActivated",
            format!(
                "Scaled {named} from {current} to {replicas}, triggered by {}",
                activity.active_names()
            ),
        ),
        ZeroDecision::Deactivate(replicas) => (
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
    decision: ZeroDecision,
    replicas: i32,
    now: SimTime,
) -> String {
    let spec = &object.spec;
    let (least, most) = (spec.min_replicas, spec.max_replicas);
    let course = match decision {
        ZeroDecision::Leave if replicas == 0 => "nothing is active: it stays at 0".to_owned(),
        ZeroDecision::Leave => format!("the HPA {} decides", spec.hpa_name),
        ZeroDecision::Activate(to) if spec.pause.force_activation => {
            format!("force-activation is set: from {replicas} to {to}")
        }
        ZeroDecision::Activate(to) => format!("a trigger is active: from {replicas} to {to}"),
        ZeroDecision::Deactivate(to) => {
            format!("nothing was active for {}: from {replicas} to {to}", spec.cooldown_period)
        }
        ZeroDecision::CoolDown(until) => {
            format!("nothing is active, but the cooldown lasts until {until}")
        }
        ZeroDecision::RaiseToMinimum(to) => format!("below the minimum: from {replicas} to {to}"),
        ZeroDecision::Fails if spec.fallback.is_some() => {
            "triggers fail: it stays until the fallback comes to pass".to_owned()
        }
        ZeroDecision::Fails => "triggers fail: it stays as it is".to_owned(),
        ZeroDecision::HeldBack if activity.is_active() => {
            "a trigger is active, but paused-scale-out holds it back".to_owned()
        }
        ZeroDecision::HeldBack => "nothing is active, but paused-scale-in holds it".to_owned(),
        ZeroDecision::Paused => "it is paused, and there is no HPA".to_owned(),
        ZeroDecision::PausedAt(to) => format!("it is paused, from {replicas} to {to}"),
    };
    let activity = format!("{activity}{}", Failures(object));
    format!("at {now}: {replicas} replicas, {least} to {most} allowed\n{activity}{course}\n")
}

/// Failures of triggers in a row, where somebody counts them.
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
                    "it is nil to the formula, or {replicas} replicas if that gives nothing"
                )?;
            } else if *failures > threshold {
                writeln!(
                    f,
                    "the HPA is told what makes {replicas} replicas ({:?})",
                    fallback.behavior
                )?;
            } else {
                writeln!(f, "the fallback comes after {threshold}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::hpa::ObjectReference;
    use cluster::scaled_object::{Fallback, Pause};
    use engine::SimDuration;

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
            fallback: None,
            pause: Pause::default(),
            modifiers: None,
        }
    }

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn decision(spec: &ScaledObjectSpec, active: bool, replicas: i32, now: i64) -> ZeroDecision {
        let triggers = Triggers { is_active: active, is_failing: false };
        decide(spec, at(0), Some(at(100)), triggers, replicas, at(now))
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
        let quiet = Triggers::default();
        assert_eq!(decide(&fresh, at(0), None, quiet, 1, at(60)), ZeroDecision::CoolDown(at(60)));
        assert_eq!(decide(&fresh, at(0), None, quiet, 1, at(90)), ZeroDecision::Deactivate(0));
    }

    #[test]
    fn triggers_that_fail_put_nothing_to_sleep_unless_the_fallback_is_nothing() {
        let failing = Triggers { is_failing: true, is_active: false };
        let decision = |fallback: Option<i32>| {
            let fallback = fallback.map(|replicas| Fallback {
                failure_threshold: 3,
                replicas,
                behavior: FallbackBehavior::Static,
            });
            let spec = ScaledObjectSpec { fallback, ..spec(0, None) };
            decide(&spec, at(0), Some(at(100)), failing, 4, at(500))
        };
        assert_eq!(decision(None), ZeroDecision::Fails);
        assert_eq!(decision(Some(6)), ZeroDecision::Fails);
        assert_eq!(decision(Some(0)), ZeroDecision::Deactivate(0));
    }

    #[test]
    fn annotations_hold_back_one_direction_or_both() {
        let with = |pause| ScaledObjectSpec { pause, ..spec(0, None) };
        let scale_in = with(Pause { scale_in: true, ..Pause::default() });
        assert_eq!(decision(&scale_in, false, 4, 500), ZeroDecision::HeldBack);
        assert_eq!(decision(&scale_in, true, 0, 500), ZeroDecision::Activate(1));
        let scale_out = with(Pause { scale_out: true, ..Pause::default() });
        assert_eq!(decision(&scale_out, true, 0, 500), ZeroDecision::HeldBack);
        let forced = with(Pause { force_activation: true, ..Pause::default() });
        assert_eq!(decision(&forced, false, 0, 500), ZeroDecision::Activate(1));
        assert_eq!(decision(&forced, false, 3, 500), ZeroDecision::Leave);
        let paused = with(Pause { is_paused: true, replicas: Some(2), ..Pause::default() });
        assert_eq!(decision(&paused, true, 0, 500), ZeroDecision::PausedAt(2));
        assert_eq!(decision(&paused, false, 2, 500), ZeroDecision::Paused);
    }
}
