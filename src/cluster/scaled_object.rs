//! KEDA's ScaledObject: what is scaled, by which triggers, and down to zero when.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::action::Refused;
use super::apply::next_sequence;
use super::change::Change;
use super::cron_schedule::Schedule;
use super::formula::Formula;
use super::hpa::{Behavior, ObjectReference};
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::store::Store;
use super::workload_apply::delete_hpa;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`ScaledObject`] in the store.
pub type ScaledObjectId = Id<ScaledObject>;

/// A ScaledObject of `keda.sh/v1alpha1`.
#[derive(Clone, Debug)]
pub struct ScaledObject {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What it asks for.
    pub spec: ScaledObjectSpec,
    /// `status.lastActiveTime`: when a trigger was last seen active.
    pub last_active: Option<SimTime>,
    /// `status.health`: how often in a row the HPA could not be told a metric, by the metric's name. Kept
    /// only where there is a fallback.
    pub failures: BTreeMap<Name, u32>,
}

/// `spec` of a ScaledObject, defaulted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledObjectSpec {
    /// What is scaled.
    pub scale_target: ObjectReference,
    /// From one look at the triggers to the next.
    pub polling_interval: SimDuration,
    /// From the last activity to the scaling to zero.
    pub cooldown_period: SimDuration,
    /// From the object's creation to the first scaling to zero.
    pub initial_cooldown_period: SimDuration,
    /// Replicas while nothing is active; must be below the minimum.
    pub idle_replicas: Option<i32>,
    /// Lower limit; 0 = to zero while nothing is active.
    pub min_replicas: i32,
    /// Upper limit.
    pub max_replicas: i32,
    /// What makes it scale.
    pub triggers: Vec<Trigger>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`.
    pub behavior: Option<Behavior>,
    /// Name of the HPA that KEDA makes.
    pub hpa_name: Name,
    /// What the HPA is told while triggers fail.
    pub fallback: Option<Fallback>,
    /// What its annotations hold back.
    pub pause: Pause,
    /// `advanced.scalingModifiers`: one number in place of all triggers but those on CPU and memory.
    pub modifiers: Option<ScalingModifiers>,
}

/// `advanced.scalingModifiers` of a ScaledObject.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingModifiers {
    /// The number, from those of the triggers by their names.
    pub formula: Formula,
    /// What the HPA holds it against.
    pub target: super::hpa::MetricTarget,
    /// Above this it is active, thousandths of a unit.
    pub activation_milli: i64,
}

/// `fallback` of a ScaledObject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// So many failures in a row are borne.
    pub failure_threshold: u32,
    /// The replicas that the HPA is to come to.
    pub replicas: i32,
    /// What the current number has to do with it.
    pub behavior: FallbackBehavior,
}

/// `fallback.behavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackBehavior {
    /// `replicas`, whatever there are.
    #[default]
    Static,
    /// As many as there are.
    CurrentReplicas,
    /// As many as there are, but at least `replicas`.
    CurrentReplicasIfHigher,
    /// As many as there are, but at most `replicas`.
    CurrentReplicasIfLower,
    /// The formula goes on without the triggers that fail, which are nil to it; `replicas` where it then
    /// comes to nothing.
    ScalingModifiers,
}

impl Fallback {
    /// The replicas to come to, from so many.
    pub fn replicas(self, current: i32) -> i32 {
        match self.behavior {
            FallbackBehavior::Static | FallbackBehavior::ScalingModifiers => self.replicas,
            FallbackBehavior::CurrentReplicas => current,
            FallbackBehavior::CurrentReplicasIfHigher => self.replicas.max(current),
            FallbackBehavior::CurrentReplicasIfLower => self.replicas.min(current),
        }
    }
}

/// The annotations `autoscaling.keda.sh/paused`, `paused-replicas`, `paused-scale-in`,
/// `paused-scale-out` and `force-activation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Nothing is scaled, and there is no HPA.
    pub is_paused: bool,
    /// While it is paused there are so many replicas.
    pub replicas: Option<i32>,
    /// Nothing is scaled down.
    pub scale_in: bool,
    /// Nothing is woken from zero or from the idle count.
    pub scale_out: bool,
    /// Not a pause but its contrary, `autoscaling.keda.sh/force-activation`: it counts as active, whatever
    /// the triggers say.
    pub force_activation: bool,
}

/// One trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The name by which a formula asks for it.
    pub name: Option<Name>,
    /// Its type, such as `prometheus`.
    pub kind: Name,
    /// Name of its metric in the HPA, such as `s0-prometheus`; empty for cpu and memory.
    pub metric_name: Name,
    /// Where its value comes from.
    pub source: TriggerSource,
}

/// Where a trigger's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TriggerSource {
    /// CPU or memory, which the HPA reads itself.
    Resource {
        /// `cpu` or `memory`.
        resource: Name,
        /// The only container that counts.
        container: Option<Name>,
        /// Percent of the request, or thousandths of a unit.
        target: super::hpa::MetricTarget,
    },
    /// A custom metric of the scenario: a query in which its name stands, or a queue of its name.
    Measured {
        /// The query, or the name of the queue.
        query: Name,
        /// The value per pod, or in all for `metricType: Value`, thousandths of a unit.
        target: super::hpa::MetricTarget,
        /// Above this the trigger is active, thousandths of a unit.
        activation_milli: i64,
        /// Whether a query without a result counts as 0 (`ignoreNullValues`), else it fails.
        ignores_missing: bool,
    },
    /// A span of the calendar in which there are so many replicas at least.
    Cron {
        /// When it begins.
        start: Schedule,
        /// When it ends.
        end: Schedule,
        /// In which time zone.
        time_zone: TimeZone,
        /// The value of its metric meanwhile; before and after it is 1.
        desired_replicas: i64,
        /// 1, per pod or in all.
        target: super::hpa::MetricTarget,
    },
    /// A type that is not simulated.
    Unknown,
}

impl Store {
    /// A new ScaledObject.
    pub(super) fn create_scaled_object(
        &mut self,
        now: SimTime,
        mut meta: ObjectMeta,
        spec: ScaledObjectSpec,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        if self.scaled_objects.values().any(|other| other.meta.id == meta.id) {
            return Err(Refused::AlreadyExists(meta.id));
        }
        meta.created = now.floor_to_second();
        meta.sequence = next_sequence(self);
        let object = ScaledObject { meta, spec, last_active: None, failures: BTreeMap::new() };
        let id = self.scaled_objects.insert(object);
        changes.push(Change::ScaledObject(id));
        Ok(())
    }

    /// A trigger is active now.
    pub(super) fn set_scaled_object_active(
        &mut self,
        now: SimTime,
        id: ScaledObjectId,
    ) -> Result<(), Refused> {
        let object = self.scaled_objects.get_mut(id).ok_or(Refused::NotFound)?;
        object.last_active = Some(now.floor_to_second());
        Ok(())
    }

    /// So often in a row a metric could not be told.
    pub(super) fn set_trigger_failures(
        &mut self,
        id: ScaledObjectId,
        metric: Name,
        failures: u32,
    ) -> Result<(), Refused> {
        let object = self.scaled_objects.get_mut(id).ok_or(Refused::NotFound)?;
        object.failures.insert(metric, failures);
        Ok(())
    }

    /// The source of a custom or external metric answers no more, or does so again.
    pub(super) fn set_metric_failing(&mut self, name: Name, fails: bool) {
        if fails {
            self.failing_metrics.insert(name);
        } else {
            self.failing_metrics.remove(&name);
        }
    }

    /// A ScaledObject goes, with its HPA.
    pub(super) fn delete_scaled_object(
        &mut self,
        id: ScaledObjectId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let object = self.scaled_objects.remove(id).ok_or(Refused::NotFound)?;
        let namespace = object.meta.namespace().clone();
        let hpa = self.hpa_named(&NamespacedName::new(namespace, object.spec.hpa_name));
        changes.push(Change::ScaledObject(id));
        hpa.map_or(Ok(()), |hpa| delete_hpa(self, hpa, changes))
    }
}
