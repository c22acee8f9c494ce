//! Table rows: individual calls of one part of the controller.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{calculator_row, controller_row, defaulted_spec};
use crate::Difference;
use crate::json::first_gap;
use crate::recording::parse;
use cluster::hpa::Behavior;
use cluster::hpa_status::HpaConditionReason;
use controllers::hpa::{
    Desired, HpaHistory, Limiting, Recommendation, ScaleEvent, Stabilization, Windows, limit,
    limit_with_behavior, replicas_changed_in, scale_down_limit, scale_up_limit, weigh,
    weigh_with_behavior,
};
use engine::{SimDuration, SimTime};

/// Time of all single decisions: ages are relative to it.
pub(super) const NOW: SimTime = SimTime::ZERO;

/// Namespace of the HPA in all rows.
pub(super) const NAMESPACE: &str = "test-namespace";

/// The upstream tests use the real clock: ages within this tolerance [s] are equal.
const AGE_TOLERANCE_SECONDS: f64 = 0.1;

/// Replays one row and returns the first difference, if any.
pub(super) fn replay(table: &str, line: &str) -> Result<Option<Difference>, String> {
    let mut inputs: Map<String, Value> = parse(line)?;
    let expected = inputs.remove("expect").unwrap_or_default();
    let got = match table {
        "reconcile" => controller_row::reconcile(line, &expected)?,
        "replica-calculator" => calculator_row::replica_calculator(line, &expected)?,
        "group-pods" => calculator_row::group_pods(line)?,
        "pod-requests" => calculator_row::pod_requests(line, &expected)?,
        "rate-limit-no-behavior" | "rate-limit-with-behavior" => rate_limit(table, &parse(line)?)?,
        "scale-up-limit" | "scale-down-limit" => policy_limit(table, &parse(line)?)?,
        "events-in-period" => events_in_period(&parse(line)?),
        "store-scale-event" => store_scale_event(&parse(line)?)?,
        "stabilize-no-behavior" => stabilize_without_behavior(&parse(line)?),
        "stabilize-with-behavior" => stabilize_by_behavior(&parse(line)?),
        _ => return Err(format!("there is no table {table:?}")),
    };
    let difference = got.into_iter().find(|(field, value)| {
        expected.get(*field).is_some_and(|expected| !is_same(expected, value))
    });
    Ok(difference.map(|(field, got)| {
        Difference::new("", field, expected[field].clone(), got, Value::Object(inputs))
    }))
}

/// Our answer, field by field. Fields missing in the recording are not compared.
pub(super) type ComputedFields = Vec<(&'static str, Value)>;

/// True if equal, with a tolerance for ages.
fn is_same(expected: &Value, got: &Value) -> bool {
    let slack =
        |path: &str| if path.ends_with(".ageSeconds") { AGE_TOLERANCE_SECONDS } else { 0.0 };
    first_gap("", expected, got, &slack).is_none()
}

/// A recommendation with its age.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgedRecommendation {
    age_seconds: f64,
    replicas: i32,
}

/// A scale event with its age.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgedEvent {
    age_seconds: f64,
    replica_change: i32,
    #[serde(default)]
    outdated: bool,
}

/// A controller's history of scale events.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleEvents {
    #[serde(default)]
    scale_up_events: Vec<AgedEvent>,
    #[serde(default)]
    scale_down_events: Vec<AgedEvent>,
}

impl ScaleEvents {
    /// A history with only these events.
    pub(super) fn history(&self) -> HpaHistory {
        HpaHistory {
            recommendations: None,
            scale_up_events: events(&self.scale_up_events),
            scale_down_events: events(&self.scale_down_events),
        }
    }
}

/// The time of this age.
pub(super) fn ago(age_seconds: f64) -> SimTime {
    NOW - SimDuration::from_secs_f64(age_seconds)
}

pub(super) fn recommendations(aged: &[AgedRecommendation]) -> Vec<Recommendation> {
    let recommendation = |aged: &AgedRecommendation| Recommendation {
        replicas: aged.replicas,
        timestamp: ago(aged.age_seconds),
    };
    aged.iter().map(recommendation).collect()
}

fn events(aged: &[AgedEvent]) -> Vec<ScaleEvent> {
    let event = |aged: &AgedEvent| ScaleEvent {
        replica_change: aged.replica_change,
        timestamp: ago(aged.age_seconds),
        is_outdated: aged.outdated,
    };
    aged.iter().map(event).collect()
}

pub(super) fn recommendations_json(history: &HpaHistory) -> Value {
    let recommendations = history.recommendations.iter().flatten().map(|entry| {
        let age = NOW - entry.timestamp;
        json!({ "ageSeconds": age.as_secs_f64(), "replicas": entry.replicas })
    });
    recommendations.collect()
}

fn events_json(events: &[ScaleEvent]) -> Value {
    let events = events.iter().map(|event| {
        json!({
            "ageSeconds": (NOW - event.timestamp).as_secs_f64(),
            "outdated": event.is_outdated,
            "replicaChange": event.replica_change,
        })
    });
    events.collect()
}

/// A behavior with the API server's defaults.
fn behavior(behavior: &Value) -> Result<Option<Behavior>, String> {
    let object = json!({ "spec": { "maxReplicas": 1, "behavior": behavior, "scaleTargetRef": {
        "kind": "Deployment", "name": "web",
    } } });
    Ok(defaulted_spec("autoscaling/v2", &object)?.0.behavior)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RateLimitRow {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    #[serde(default)]
    legacy_scale_up_limit_factor: f64,
    #[serde(default)]
    scale_up: Value,
    #[serde(default)]
    scale_down: Value,
    #[serde(flatten)]
    events: ScaleEvents,
}

fn rate_limit(table: &str, row: &RateLimitRow) -> Result<ComputedFields, String> {
    let desired = Desired {
        current: row.current_replicas,
        stabilized: row.desired_replicas,
        min: row.min_replicas,
        max: row.max_replicas,
    };
    let history = row.events.history();
    let rules = json!({ "scaleUp": row.scale_up, "scaleDown": row.scale_down });
    let Limiting { replicas, reason, .. } = match behavior(&rules)? {
        Some(behavior) if table == "rate-limit-with-behavior" => {
            limit_with_behavior(desired, &behavior, &history, NOW)
        }
        _ => limit(desired, row.legacy_scale_up_limit_factor),
    };
    Ok(vec![("replicas", json!(replicas)), ("reason", json!(reason.as_str()))])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyLimitRow {
    current_replicas: i32,
    rules: Value,
    #[serde(flatten)]
    events: ScaleEvents,
}

fn policy_limit(table: &str, row: &PolicyLimitRow) -> Result<ComputedFields, String> {
    let history = row.events.history();
    let rules = &row.rules;
    let behavior = behavior(&json!({ "scaleUp": rules, "scaleDown": rules }))?;
    let Behavior { scale_up, scale_down } = behavior.ok_or("there are no rules")?;
    let limit = if table == "scale-up-limit" {
        scale_up_limit(row.current_replicas, &scale_up, &history, NOW)
    } else {
        scale_down_limit(row.current_replicas, &scale_down, &history, NOW)
    };
    Ok(vec![("limit", json!(limit.limit))])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventsInPeriodRow {
    events: Vec<AgedEvent>,
    period_seconds: i64,
}

fn events_in_period(row: &EventsInPeriodRow) -> ComputedFields {
    let period = SimDuration::from_secs(row.period_seconds);
    let change = replicas_changed_in(&events(&row.events), period, NOW);
    vec![("replicaChange", json!(change))]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreScaleEventRow {
    behavior: Value,
    previous_replicas: i32,
    new_replicas: i32,
    #[serde(flatten)]
    events: ScaleEvents,
}

fn store_scale_event(row: &StoreScaleEventRow) -> Result<ComputedFields, String> {
    let mut history = row.events.history();
    let behavior = behavior(&row.behavior)?;
    history.record_scale_event(behavior.as_ref(), row.previous_replicas, row.new_replicas, NOW);
    Ok(vec![
        ("scaleUpEvents", events_json(&history.scale_up_events)),
        ("scaleDownEvents", events_json(&history.scale_down_events)),
    ])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StabilizeRow {
    #[serde(default)]
    current_replicas: i32,
    desired_replicas: i32,
    recommendations: Vec<AgedRecommendation>,
    #[serde(default)]
    downscale_stabilization_seconds: i64,
    #[serde(default)]
    scale_up_stabilization_window_seconds: i64,
    #[serde(default)]
    scale_down_stabilization_window_seconds: i64,
}

impl StabilizeRow {
    fn history(&self) -> HpaHistory {
        let recommendations = Some(recommendations(&self.recommendations));
        HpaHistory { recommendations, ..HpaHistory::default() }
    }
}

fn stabilize_without_behavior(row: &StabilizeRow) -> ComputedFields {
    let mut history = row.history();
    let window = SimDuration::from_secs(row.downscale_stabilization_seconds);
    let weighed = weigh(&history, row.desired_replicas, window, NOW);
    let stabilization = weighed.settle(&mut history, NOW);
    stabilized(&stabilization, &history)
}

fn stabilize_by_behavior(row: &StabilizeRow) -> ComputedFields {
    let mut history = row.history();
    let windows = Windows {
        up: SimDuration::from_secs(row.scale_up_stabilization_window_seconds),
        down: SimDuration::from_secs(row.scale_down_stabilization_window_seconds),
    };
    let (current, desired) = (row.current_replicas, row.desired_replicas);
    let weighed = weigh_with_behavior(&history, desired, current, windows, NOW);
    let stabilization = weighed.settle(&mut history, NOW);
    let mut answer = stabilized(&stabilization, &history);
    // The recording has a reason even if nothing changed and the controller drops it.
    if stabilization.reason != HpaConditionReason::ReadyForNewScale {
        answer.push(("reasonIfChanged", json!(stabilization.reason.as_str())));
    }
    answer
}

fn stabilized(stabilization: &Stabilization, history: &HpaHistory) -> ComputedFields {
    vec![
        ("stabilized", json!(stabilization.stabilized)),
        ("recommendationsAfter", recommendations_json(history)),
    ]
}
