//! KEDA's ScaledObject: target, triggers, and scaling to zero.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::action::Refused;
use super::change::Change;
use super::cron_schedule::Schedule;
use super::formula::Formula;
use super::hpa::{Behavior, ObjectReference};
use super::hpa_object::HpaObject;
use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`ScaledObject`] in the store.
pub type ScaledObjectId = Id<ScaledObject>;

/// A ScaledObject of `keda.sh/v1alpha1`.
#[derive(Clone, Debug)]
pub struct ScaledObject {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`, defaulted.
    pub spec: ScaledObjectSpec,
    /// As KEDA last wrote it.
    pub status: ScaledObjectStatus,
}

/// `status` of a ScaledObject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaledObjectStatus {
    /// `lastActiveTime`: when a trigger was last seen active, cut to whole seconds.
    pub last_active: Option<SimTime>,
    /// `health`: consecutive failures to supply a metric to the HPA, by metric name. Kept only with a fallback.
    pub failures: BTreeMap<Name, u32>,
    /// `conditions`.
    pub conditions: KedaConditions,
}

/// `status.conditions` of a ScaledObject or ScaledJob, with the values that KEDA gives new ones
/// (`GetInitializedConditions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KedaConditions {
    /// `Ready`: the triggers can be queried.
    pub ready: KedaCondition,
    /// `Active`: one of them is active.
    pub active: KedaCondition,
    /// `Fallback`: a trigger fails, and the fallback replaces it.
    pub fallback: KedaCondition,
    /// `Paused`: an annotation pauses it.
    pub paused: KedaCondition,
}

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KedaCondition {
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason; empty until it is first set.
    pub reason: &'static str,
}

impl KedaCondition {
    /// A condition with this status and reason.
    pub const fn new(status: ConditionStatus, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// Whether it has this status.
    pub fn is(self, status: ConditionStatus) -> bool {
        self.status == status
    }
}

impl Default for KedaConditions {
    fn default() -> Self {
        let unset = KedaCondition::new(ConditionStatus::Unknown, "");
        let paused = KedaCondition::new(ConditionStatus::False, "");
        Self { ready: unset, active: unset, fallback: unset, paused }
    }
}

/// `spec` of a ScaledObject, defaulted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledObjectSpec {
    /// The workload to scale.
    pub scale_target: ObjectReference,
    /// `pollingInterval`: time between evaluations of the triggers.
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
    /// `triggers`.
    pub triggers: Vec<Trigger>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`.
    pub behavior: Option<Behavior>,
    /// Name of the HPA that KEDA makes.
    pub hpa_name: Name,
    /// Replaces failing triggers in the HPA's metrics.
    pub fallback: Option<Fallback>,
    /// Scaling paused by annotations.
    pub pause: Pause,
    /// `advanced.scalingModifiers`: a formula that replaces all triggers except those on CPU and memory.
    pub modifiers: Option<ScalingModifiers>,
}

/// `advanced.scalingModifiers` of a ScaledObject.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingModifiers {
    /// The formula over the values of named triggers.
    pub formula: Formula,
    /// Target of the HPA's metric.
    pub target: super::hpa::MetricTarget,
    /// Above this it is active, thousandths of a unit.
    pub activation_milli: i64,
    /// Whether the target is a whole number, without which the fallback does not apply (`HasValidFallback`).
    pub has_whole_target: bool,
}

/// `fallback` of a ScaledObject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Consecutive failures tolerated.
    pub failure_threshold: u32,
    /// Replicas during the fallback.
    pub replicas: i32,
    /// Relation of `replicas` to the current number.
    pub behavior: FallbackBehavior,
}

/// `fallback.behavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackBehavior {
    /// Always `replicas`.
    #[default]
    Static,
    /// The current number.
    CurrentReplicas,
    /// The current number, but at least `replicas`.
    CurrentReplicasIfHigher,
    /// The current number, but at most `replicas`.
    CurrentReplicasIfLower,
    /// The formula is evaluated with the failing triggers as nil; `replicas` if that yields no value.
    ScalingModifiers,
}

impl Fallback {
    /// Replicas during the fallback, given the current number.
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
    /// Replicas while paused.
    pub replicas: Option<i32>,
    /// `paused-replicas` is not a number: scaling stops entirely.
    pub is_unreadable: bool,
    /// Nothing is scaled down.
    pub scale_in: bool,
    /// No scaling up from zero or from the idle count.
    pub scale_out: bool,
    /// The opposite of a pause, `autoscaling.keda.sh/force-activation`: it counts as active regardless of the
    /// triggers.
    pub force_activation: bool,
}

impl Pause {
    /// Reads the pause annotations; `annotation` looks each up by its name after `autoscaling.keda.sh/`
    /// (`NeedToBePausedByAnnotation`, `GetPausedReplicaCount`, `getBoolAnnotation`).
    pub fn of<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        // A value that is neither true nor false counts as true.
        let is_true = |name: &str| {
            annotation(name)
                .is_some_and(|text| !matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False"))
        };
        let written = annotation("paused-replicas");
        let replicas = written.and_then(|text| text.parse().ok());
        Self {
            // `paused-replicas` takes precedence over `paused`.
            is_paused: written.is_some() || is_true("paused"),
            replicas,
            is_unreadable: written.is_some() && replicas.is_none(),
            scale_in: is_true("paused-scale-in"),
            scale_out: is_true("paused-scale-out"),
            force_activation: is_true("force-activation"),
        }
    }
}

/// One trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Its name in the formula.
    pub name: Option<Name>,
    /// Its type, such as `prometheus`.
    pub kind: Name,
    /// Name of its metric in the HPA, such as `s0-prometheus`; empty for cpu and memory.
    pub metric_name: Name,
    /// Source of its value.
    pub source: TriggerSource,
}

/// Source of a trigger's value.
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
    /// A custom metric of the scenario, by a query that contains its name, or a queue by name.
    Measured {
        /// The query, or the name of the queue.
        query: Name,
        /// The value per pod, or in total for `metricType: Value`, thousandths of a unit.
        target: super::hpa::MetricTarget,
        /// Above this the trigger is active, thousandths of a unit.
        activation_milli: i64,
        /// Whether a query without a result counts as 0 (`ignoreNullValues`), else it fails.
        ignores_missing: bool,
    },
    /// A calendar window with a minimum number of replicas.
    Cron {
        /// Start of the window.
        start: Schedule,
        /// End of the window.
        end: Schedule,
        /// In which time zone.
        time_zone: TimeZone,
        /// Value of its metric within the window; 0 outside.
        desired_replicas: i64,
        /// 1, per pod or in total.
        target: super::hpa::MetricTarget,
    },
    /// A type that is not simulated.
    Unknown,
}

impl Object for ScaledObject {
    const KIND: Kind = Kind::ScaledObject;
    type Spec = ScaledObjectSpec;
    type Status = ScaledObjectStatus;

    object::accessors!(ScaledObjectStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: ScaledObjectSpec) -> Self {
        Self { meta, spec, status: ScaledObjectStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: ScaledObjectId,
        meta: ObjectMeta,
        spec: ScaledObjectSpec,
    ) -> Result<bool, Refused> {
        let object = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        // The pause is of the metadata.
        let is_same = ScaledObjectSpec { pause: spec.pause, ..object.spec.clone() } == spec;
        Ok(object::replace_if((&mut object.meta, &mut object.spec), meta, spec, is_same))
    }

    /// Deletes its HPA.
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        _: ScaledObjectId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let hpa = NamespacedName::new(self.meta.namespace().clone(), self.spec.hpa_name);
        match store.named::<HpaObject>(&hpa) {
            Some(hpa) => object::delete(store, now, hpa, changes),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Marks the source of a custom or external metric as failing, or as recovered.
    pub(super) fn set_metric_failing(&mut self, name: Name, fails: bool) {
        if fails {
            self.failing_metrics.insert(name);
        } else {
            self.failing_metrics.remove(&name);
        }
    }
}
