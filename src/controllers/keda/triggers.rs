//! Evaluates triggers: their values, whether they are active, and the metrics served to the HPA.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::COMPOSITE_METRIC;
use super::fallback::{FallbackChoice, answer, condition, failures_after, value_milli};
use super::scaled_job::TriggerDemand;
use cluster::cron_schedule::Schedule;
use cluster::hpa::{MetricSource, MetricTarget};
use cluster::hpa_object::HpaObject;
use cluster::pod::PodPhase;
use cluster::scaled_object::{
    Fallback, FallbackBehavior, ScaledObject, ScaledObjectId, ScaledObjectStatus, ScalingModifiers,
    Trigger, TriggerSource,
};
use cluster::{Action, ClusterView, Name, NamespacedName};

/// The triggers of a ScaledObject or ScaledJob at an instant.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    triggers: Vec<TriggerState>,
    /// Only CPU and memory: these never put anything to sleep.
    only_resources: bool,
    /// The formula over the other triggers, which replaces them.
    composed: Option<(Name, TriggerState)>,
    /// Quantity that a target of type `AverageValue` counts.
    counted: &'static str,
}

#[derive(Clone, Debug)]
struct TriggerState {
    kind: Name,
    metric_name: Name,
    target: MetricTarget,
    reading: Reading,
}

/// Reading of one trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A value and the one above which it is active.
    Value {
        /// Thousandths of a unit.
        milli: i64,
        /// Thousandths of a unit.
        activation_milli: i64,
    },
    /// A span of the calendar.
    Calendar {
        /// Whether it lasts.
        lasts: bool,
        /// The replicas that it requests, in thousandths.
        milli: i64,
    },
    /// Its source does not answer, or has no value.
    Failing,
}

impl Activity {
    /// Reads all triggers of a ScaledJob.
    pub(super) fn of_job(view: ClusterView<'_>, triggers: &[Trigger]) -> Self {
        Self { triggers: states(view, triggers), counted: "Job", ..Self::default() }
    }

    /// The values of the triggers that answer.
    pub(super) fn demands(&self) -> Vec<TriggerDemand> {
        let demand = |one: &TriggerState| {
            let (Reading::Value { milli, .. } | Reading::Calendar { milli, .. }) = one.reading
            else {
                return None;
            };
            let target = match one.target {
                MetricTarget::AverageValueMilli(milli) => milli as f64 / 1000.0,
                MetricTarget::ValueMilli(_) | MetricTarget::Utilization(_) => 0.0,
            };
            let is_active = one.reading.is_active();
            Some(TriggerDemand { length: milli as f64 / 1000.0, target, is_active })
        };
        self.triggers.iter().filter_map(demand).collect()
    }

    /// Reads all triggers.
    pub fn of(view: ClusterView<'_>, object: &ScaledObject) -> Self {
        let triggers = &object.spec.triggers;
        let mut simulated = triggers.iter().filter(|one| one.source != TriggerSource::Unknown);
        Self {
            triggers: states(view, triggers),
            counted: "pod",
            only_resources: simulated
                .all(|one| matches!(one.source, TriggerSource::Resource { .. })),
            composed: object.spec.modifiers.as_ref().map(|modifiers| {
                let seen = TriggerState {
                    kind: "formula".into(),
                    metric_name: COMPOSITE_METRIC.into(),
                    target: modifiers.target,
                    reading: composite(view, object, modifiers),
                };
                (modifiers.formula.to_string().into(), seen)
            }),
        }
    }

    /// Whether any of them is active.
    pub fn is_active(&self) -> bool {
        if let Some((_, composed)) = &self.composed {
            return composed.reading.is_active();
        }
        self.only_resources || self.triggers.iter().any(|one| one.reading.is_active())
    }

    /// Whether any of them fails.
    pub fn is_failing(&self) -> bool {
        self.triggers.iter().any(|one| one.reading == Reading::Failing)
    }

    /// The scalers that are active, as KEDA's events name them.
    pub(super) fn active_names(&self) -> String {
        let active = self.triggers.iter().filter(|one| one.reading.is_active());
        active.map(|one| format!("{}Scaler", one.kind)).collect::<Vec<_>>().join(";")
    }
}

impl Reading {
    const fn is_active(self) -> bool {
        match self {
            Self::Value { milli, activation_milli } => milli > activation_milli,
            Self::Calendar { lasts, .. } => lasts,
            Self::Failing => false,
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |milli: i64| milli as f64 / 1000.0;
        for TriggerState { kind, metric_name, target, reading } in &self.triggers {
            let is_active = if reading.is_active() { "active" } else { "not active" };
            write!(f, "trigger {kind} ({metric_name}): ")?;
            match *reading {
                Reading::Value { milli, activation_milli } => {
                    let (value, activation) = (number(milli), number(activation_milli));
                    write!(f, "{value}, {is_active} above {activation}, ")?;
                }
                Reading::Calendar { lasts: true, milli } => {
                    write!(f, "{}, active until its end, ", number(milli))?;
                }
                Reading::Calendar { lasts: false, milli } => {
                    write!(f, "{}, not active until its start, ", number(milli))?;
                }
                Reading::Failing => write!(f, "its source does not respond, ")?,
            }
            match target {
                MetricTarget::AverageValueMilli(milli) => {
                    writeln!(f, "target {} per {}", number(*milli), self.counted)?;
                }
                MetricTarget::ValueMilli(milli) => {
                    writeln!(f, "target {} in total", number(*milli))?;
                }
                MetricTarget::Utilization(percent) => writeln!(f, "target {percent}%")?,
            }
        }
        if let Some((formula, TriggerState { target, reading, .. })) = &self.composed {
            write!(f, "formula {formula} = ")?;
            match (*reading, target) {
                (
                    Reading::Value { milli, activation_milli },
                    MetricTarget::AverageValueMilli(target) | MetricTarget::ValueMilli(target),
                ) => {
                    let is_active = if reading.is_active() { "active" } else { "not active" };
                    let (value, activation) = (number(milli), number(activation_milli));
                    write!(f, "{value}, {is_active} above {activation}, ")?;
                    writeln!(f, "target {}", number(*target))?;
                }
                _ => writeln!(f, "nothing, because a trigger fails or the result is not a number")?,
            }
        }
        if self.only_resources {
            writeln!(f, "triggers on CPU and memory alone always count as active")?;
        }
        Ok(())
    }
}

fn states(view: ClusterView<'_>, triggers: &[Trigger]) -> Vec<TriggerState> {
    let state = |trigger: &Trigger| {
        Some(TriggerState {
            kind: trigger.kind.clone(),
            metric_name: trigger.metric_name.clone(),
            target: target_of(trigger)?,
            reading: reading(view, trigger)?,
        })
    };
    triggers.iter().filter_map(state).collect()
}

/// Response of KEDA's metrics server to the HPA, which queries it at each sync: a value in thousandths of a unit, or
/// an error. `None` for a metric that belongs to no trigger.
///
/// Once a trigger has failed more often than its object's `failureThreshold`, the fallback is served instead
/// (`pkg/fallback/fallback.go`).
pub(crate) fn external_value(
    view: ClusterView<'_>,
    namespace: &str,
    scaled_object: &str,
    metric_name: &str,
) -> Option<Result<i64, String>> {
    let (_, object) = scaled_object_named(view, namespace, scaled_object)?;
    let (reading, target) = metric(view, object, metric_name)?;
    Some(match reading {
        Reading::Value { milli, .. } | Reading::Calendar { milli, .. } => Ok(milli),
        Reading::Failing => fallback_value(view, object, metric_name, target).ok_or_else(|| {
            format!(
                "rpc error: code = Unknown desc = error when getting metric values \
                 metric:{metric_name} encountered error"
            )
        }),
    })
}

/// Status updates with the consecutive failures of each metric after the HPA's queries, for the ScaledObjects whose
/// status changes. Kept only with a fallback.
pub(crate) fn health_changes(view: ClusterView<'_>, hpa: &HpaObject) -> Vec<Action> {
    let namespace = hpa.meta.namespace();
    let mut written: BTreeMap<ScaledObjectId, ScaledObjectStatus> = BTreeMap::new();
    for metric in &hpa.spec.metrics {
        let MetricSource::External { metric } = &*metric.source else { continue };
        let named = super::scaled_object_of(metric)
            .and_then(|name| scaled_object_named(view, namespace, name));
        let Some((id, object)) = named else { continue };
        let Some(fallback) = valid_fallback(object) else { continue };
        let readings: Vec<(&Name, Reading)> = if continues_without_triggers(object) {
            let triggers = object.spec.triggers.iter();
            triggers.filter_map(|one| Some((&one.metric_name, reading(view, one)?))).collect()
        } else {
            let own = self::metric(view, object, &metric.name);
            own.map(|own| (&metric.name, own.0)).into_iter().collect()
        };
        for (name, reading) in readings {
            let before = failures(object, name);
            let now = failures_after(before, reading == Reading::Failing);
            let status = written.entry(id).or_insert_with(|| object.status.clone());
            status.conditions.fallback = condition(fallback, &status.failures);
            if now != before {
                status.failures.insert(name.clone(), now);
            }
        }
    }
    let is_new = |(id, status): &(ScaledObjectId, ScaledObjectStatus)| {
        view.scaled_objects().get(*id).is_some_and(|object| object.status != *status)
    };
    let written = written.into_iter().filter(is_new);
    written.map(|(id, status)| Action::status(id, status)).collect()
}

/// Whether failures are counted per trigger, with the formula taking triggers that failed too often as nil.
fn continues_without_triggers(object: &ScaledObject) -> bool {
    let behavior = object.spec.fallback.map(|fallback| fallback.behavior);
    behavior == Some(FallbackBehavior::ScalingModifiers) && object.spec.modifiers.is_some()
}

/// Whether a metric that fails now has failed more often in a row than is borne.
fn is_past_bearing(object: &ScaledObject, metric_name: &str) -> bool {
    // The failure of this very answer counts, too.
    let failures = failures_after(failures(object, metric_name), true);
    answer(valid_fallback(object), failures) == FallbackChoice::Fallback
}

fn failures(object: &ScaledObject, metric_name: &str) -> u32 {
    object.status.failures.get(metric_name).copied().unwrap_or(0)
}

/// Reading and target of one metric of the HPA: of a trigger, or of the formula.
fn metric(
    view: ClusterView<'_>,
    object: &ScaledObject,
    metric_name: &str,
) -> Option<(Reading, MetricTarget)> {
    if let Some(modifiers) = &object.spec.modifiers {
        let reading = composite(view, object, modifiers);
        return (metric_name == COMPOSITE_METRIC).then_some((reading, modifiers.target));
    }
    let trigger = object.spec.triggers.iter().find(|one| *one.metric_name == *metric_name)?;
    Some((reading(view, trigger)?, target_of(trigger)?))
}

const fn target_of(trigger: &Trigger) -> Option<MetricTarget> {
    match &trigger.source {
        TriggerSource::Measured { target, .. } | TriggerSource::Cron { target, .. } => {
            Some(*target)
        }
        TriggerSource::Resource { .. } | TriggerSource::Unknown => None,
    }
}

/// The formula over the triggers; a trigger that fails makes it fail, unless it is nil to it.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
fn composite(
    view: ClusterView<'_>,
    object: &ScaledObject,
    modifiers: &ScalingModifiers,
) -> Reading {
    let is_failing = Cell::new(false);
    let value_of = |name: &str| {
        let mut triggers = object.spec.triggers.iter();
        let trigger = triggers.find(|one| one.name.as_deref() == Some(name));
        let metric_name = trigger.map_or("", |trigger| &*trigger.metric_name);
        match trigger.and_then(|trigger| reading(view, trigger)) {
            Some(Reading::Value { milli, .. } | Reading::Calendar { milli, .. }) => {
                return Some(milli as f64 / 1000.0);
            }
            Some(Reading::Failing)
                if continues_without_triggers(object) && is_past_bearing(object, metric_name) => {}
            Some(Reading::Failing) | None => is_failing.set(true),
        }
        None
    };
    match modifiers.formula.evaluate(&value_of) {
        Ok(value) if !is_failing.get() => Reading::Value {
            milli: (value * 1000.0) as i64,
            activation_milli: modifiers.activation_milli,
        },
        _ => Reading::Failing,
    }
}

/// The value that brings the HPA to the replicas of the fallback; `None` if the fallback is not due, or the value
/// cannot be computed.
fn fallback_value(
    view: ClusterView<'_>,
    object: &ScaledObject,
    metric_name: &str,
    target: MetricTarget,
) -> Option<i64> {
    let fallback = valid_fallback(object)?;
    let is_due = if continues_without_triggers(object) {
        let triggers = object.spec.triggers.iter();
        let mut failing =
            triggers.filter(|one| reading(view, one) == Some(Reading::Failing)).peekable();
        failing.peek().is_some() && failing.all(|one| is_past_bearing(object, &one.metric_name))
    } else {
        is_past_bearing(object, metric_name)
    };
    if !is_due {
        return None;
    }
    let reference = &object.spec.scale_target;
    let name = NamespacedName::new(object.meta.namespace().clone(), reference.name.clone());
    let scale_target = view.scale_target(&reference.kind, &name)?;
    let current = view.scale(scale_target)?.spec_replicas;
    let pods = view.store().pods_scaled_by(scale_target);
    let ready = pods.filter(|(_, pod)| pod.phase == PodPhase::Running && pod.is_ready()).count();
    value_milli(fallback, target, current, ready)
}

/// The fallback, if it is usable (`HasValidFallback`).
fn valid_fallback(object: &ScaledObject) -> Option<Fallback> {
    let is_whole = object.spec.modifiers.as_ref().is_none_or(|one| one.has_whole_target);
    object.spec.fallback.filter(|_| is_whole)
}

fn scaled_object_named<'a>(
    view: ClusterView<'a>,
    namespace: &str,
    name: &str,
) -> Option<(ScaledObjectId, &'a ScaledObject)> {
    view.store().scaled_objects().iter().find(|(_, object)| {
        *object.meta.id.name == *name && **object.meta.namespace() == *namespace
    })
}

/// The current reading of a trigger; `None` if nothing in the scenario provides it.
fn reading(view: ClusterView<'_>, trigger: &Trigger) -> Option<Reading> {
    match &trigger.source {
        TriggerSource::Measured { query, activation_milli, ignores_missing, .. } => {
            let custom = view.store().custom_metrics();
            let rule = rule_of(query, custom.series.keys())?;
            if view.store().is_metric_failing(rule) {
                return Some(Reading::Failing);
            }
            let value = custom.series.get(rule)?.iter().find_map(|one| one.external);
            Some(match value {
                Some(milli) => Reading::Value { milli, activation_milli: *activation_milli },
                None if *ignores_missing => {
                    Reading::Value { milli: 0, activation_milli: *activation_milli }
                }
                None => Reading::Failing,
            })
        }
        TriggerSource::Cron { start, end, time_zone, desired_replicas, .. } => {
            Some(cron_reading((start, end), time_zone, *desired_replicas, view.timestamp()))
        }
        TriggerSource::Resource { .. } | TriggerSource::Unknown => None,
    }
}

/// Reading of a cron trigger: active with its replicas from a start to the next end.
pub fn cron_reading(
    (start, end): (&Schedule, &Schedule),
    time_zone: &TimeZone,
    desired_replicas: i64,
    now: Timestamp,
) -> Reading {
    let lasts = is_within(now, start.next(now, time_zone), end.next(now, time_zone));
    let replicas = if lasts { desired_replicas } else { 0 };
    Reading::Calendar { lasts, milli: replicas.saturating_mul(1000) }
}

/// Whether a window is open, given its next start and next end; a time that never comes is Go's zero time, which
/// precedes all others (`cronScaler.GetMetricsAndActivity`).
fn is_within(now: Timestamp, start: Option<Timestamp>, end: Option<Timestamp>) -> bool {
    let now = Some(now);
    if start < end { now > start && now < end } else { now > start || now < end }
}

/// The scenario metric meant by a query or queue name: the one with exactly that name, or else the longest name
/// contained in the query.
pub fn rule_of<'a>(query: &str, names: impl Iterator<Item = &'a Name>) -> Option<&'a Name> {
    names.filter(|name| query.contains(&***name)).max_by_key(|name| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stands_for_the_longest_metric_named_in_it() {
        let names: [Name; 3] =
            ["http_requests".into(), "http_requests_total".into(), "jobs".into()];
        let rule = |query| rule_of(query, names.iter()).map(|name| String::from(&**name));
        assert_eq!(
            rule("sum(rate(http_requests_total[2m]))").as_deref(),
            Some("http_requests_total")
        );
        assert_eq!(rule("jobs").as_deref(), Some("jobs"));
        assert_eq!(rule("up"), None);
    }

    #[test]
    fn a_span_lasts_while_its_end_comes_before_its_next_start() {
        let at = |hour: i64| Some(Timestamp::from_second(hour * 3_600).expect("a time"));
        let now = Timestamp::from_second(12 * 3_600).expect("a time");
        assert!(is_within(now, at(32), at(20)));
        assert!(!is_within(now, at(14), at(20)));
        // At its very start the next start is a day away.
        assert!(is_within(now, at(36), at(20)));
        assert!(!is_within(now, at(36), None), "an end that never comes");
    }
}
