//! Our decision beside the recorded one, field by field, in the recording's own terms.

use serde::Deserialize;
use serde_json::{Value, json};

use cluster::hpa::MetricSource;
use cluster::hpa_status::{HpaStatus, MetricStatus, MetricValue};
use controllers::hpa::{Decision, HpaEvent, SyncError};
use engine::SimTime;

/// What a recorded sync led to. Fields are compared as JSON, so that a word that we do not know is a
/// difference and not an error.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpectedTick {
    raw_recommendation: Option<i32>,
    desired_replicas: i32,
    current_replicas: i32,
    spec_replicas_after: i32,
    scaled: bool,
    attempted_replicas: Option<i32>,
    last_scale_time: Option<f64>,
    #[serde(default)]
    conditions: Value,
    #[serde(default)]
    current_metrics: Value,
    error: Option<String>,
    #[serde(default)]
    events: Vec<Value>,
    status_written: Option<bool>,
}

/// A field with what was recorded and what we have.
pub(super) type FieldDifference = (&'static str, Value, Value);

/// The first field of a sync that differs. `has_replicas` says whether `status.replicas` of the
/// scale is above 0: averages over 0 replicas depend on the processor and are not compared.
pub(super) fn first_difference(
    expected: &ExpectedTick,
    decision: &Decision,
    has_replicas: bool,
) -> Option<FieldDifference> {
    let status = &decision.status;
    let write = decision.scale_write.as_ref();
    let succeeded = write.is_some_and(|write| write.error.is_none());
    let attempted = write.filter(|write| write.error.is_some()).map(|write| write.replicas);
    let metrics = metrics(status);
    let (expected_metrics, metrics) = if has_replicas {
        (expected.current_metrics.clone(), metrics)
    } else {
        (without_averages(expected.current_metrics.clone()), without_averages(metrics))
    };
    let (expected_events, events) = events(&expected.events, &decision.events);
    let fields = [
        ("error", json!(expected.error), json!(error_kind(decision.error.as_ref()))),
        (
            "rawRecommendation",
            json!(expected.raw_recommendation),
            json!(decision.raw_recommendation()),
        ),
        ("currentMetrics", expected_metrics, metrics),
        ("desiredReplicas", json!(expected.desired_replicas), json!(status.desired_replicas)),
        ("currentReplicas", json!(expected.current_replicas), json!(status.current_replicas)),
        ("scaled", json!(expected.scaled), json!(succeeded)),
        ("attemptedReplicas", json!(expected.attempted_replicas), json!(attempted)),
        (
            "specReplicasAfter",
            json!(expected.spec_replicas_after),
            json!(decision.replicas_after().unwrap_or(expected.spec_replicas_after)),
        ),
        ("conditions", expected.conditions.clone(), conditions(status)),
        (
            "lastScaleTime",
            json!(expected.last_scale_time),
            json!(status.last_scale_time.map(SimTime::as_secs_f64)),
        ),
        ("events", expected_events, events),
        (
            "statusWritten",
            json!(expected.status_written),
            json!(expected.status_written.map(|_| decision.is_status_changed)),
        ),
    ];
    fields.into_iter().find(|(_, expected, got)| !is_equal(expected, got))
}

/// Numbers are equal by value: a recording may write whole seconds as 15 or as 15.0.
pub(super) fn is_equal(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_equal(a, b)))
        }
        _ => expected == got,
    }
}

/// Conditions with the time of their last transition, in stored order.
pub(super) fn conditions(status: &HpaStatus) -> Value {
    let conditions = status.conditions.iter().map(|condition| {
        json!({
            "type": condition.kind.as_str(),
            "status": condition.status.as_str(),
            "reason": condition.reason.as_str(),
            "since": condition.last_transition_time.as_secs_f64(),
        })
    });
    conditions.collect()
}

/// Metrics as the status shows them; null for one that failed.
pub(super) fn metrics(status: &HpaStatus) -> Value {
    let metrics = status.current_metrics.iter();
    metrics.map(|metric| metric.as_ref().map_or(Value::Null, metric_json)).collect()
}

fn metric_json(metric: &MetricStatus) -> Value {
    let mut json = json!({ "type": metric.source.type_name(), "name": metric.source.name() });
    if let MetricSource::Resource { container: Some(container), .. } = &*metric.source {
        json["container"] = json!(**container);
    }
    match metric.current {
        MetricValue::Utilization { percent, average_milli } => {
            json["averageUtilization"] = json!(percent);
            json["averageValueMilli"] = json!(average_milli);
        }
        MetricValue::AverageValueMilli(milli) => json["averageValueMilli"] = json!(milli),
        MetricValue::ValueMilli(milli) => json["valueMilli"] = json!(milli),
    }
    json
}

fn without_averages(mut metrics: Value) -> Value {
    for metric in metrics.as_array_mut().into_iter().flatten() {
        if let Value::Object(fields) = metric {
            fields.remove("averageValueMilli");
        }
    }
    metrics
}

/// Recorded and our events. A message counts only where the recording holds one.
pub(super) fn events(expected: &[Value], got: &[HpaEvent]) -> (Value, Value) {
    let got = got.iter().enumerate().map(|(index, event)| {
        let kind = if event.is_warning { "Warning" } else { "Normal" };
        let mut json = json!({ "type": kind, "reason": event.reason });
        if expected.get(index).is_some_and(|expected| expected.get("message").is_some()) {
            json["message"] = json!(event.message);
        }
        json
    });
    (json!(expected), got.collect())
}

/// The recording's word for the error that a sync ends with.
fn error_kind(error: Option<&SyncError>) -> Option<&'static str> {
    Some(match error? {
        SyncError::GetScaleFailed => "getScaleFailed",
        SyncError::SelectorUnusable(_) | SyncError::MetricsFailed(_) => "metricsFailed",
        SyncError::PartialMetricsFailure(_) => "partialMetricsFailure",
        SyncError::RescaleFailed => "rescaleFailed",
    })
}
