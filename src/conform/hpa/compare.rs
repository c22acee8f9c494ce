//! Field-by-field comparison of our decision with the recorded one, in the form of the recording.

use serde_json::{Value, json};

use crate::json::is_equal;
use cluster::hpa::MetricSource;
use cluster::hpa_status::{HpaStatus, MetricStatus, MetricValue};
use controllers::hpa::{Decision, HpaEvent, SyncError};
use engine::SimTime;

/// A field with its recorded value and ours.
pub(super) type FieldDifference = (&'static str, Value, Value);

/// The first field of a sync that differs. `has_replicas` is true if `status.replicas` of the scale is above 0:
/// averages over 0 replicas depend on the CPU architecture and are not compared.
pub(super) fn first_difference(
    expected: &Value,
    decision: &Decision,
    has_replicas: bool,
) -> Option<FieldDifference> {
    let status = &decision.status;
    let write = decision.scale_write.as_ref();
    let failed = write.filter(|write| write.error.is_some());
    let is_unsaid = |field: &str| expected[field].is_null();
    let fields = [
        ("error", json!(error_kind(decision.error.as_ref()))),
        ("rawRecommendation", json!(decision.raw_recommendation())),
        ("currentMetrics", metrics(status)),
        ("desiredReplicas", json!(status.desired_replicas)),
        ("currentReplicas", json!(status.current_replicas)),
        ("scaled", json!(write.is_some() && failed.is_none())),
        ("attemptedReplicas", json!(failed.map(|write| write.replicas))),
        (
            "specReplicasAfter",
            decision
                .replicas_after()
                .map_or_else(|| expected["specReplicasAfter"].clone(), Value::from),
        ),
        ("conditions", conditions(status)),
        ("lastScaleTime", json!(status.last_scale_time.map(SimTime::as_secs_f64))),
        ("events", events(&expected["events"], &decision.events)),
        (
            "statusWritten",
            json!((!is_unsaid("statusWritten")).then_some(decision.is_status_changed)),
        ),
    ];
    let compared = fields.into_iter().map(|(field, got)| {
        // A list missing in the recording is empty.
        let is_list = is_unsaid(field) && got.is_array();
        let expected = if is_list { json!([]) } else { expected[field].clone() };
        match field {
            "currentMetrics" if !has_replicas => {
                (field, without_averages(expected), without_averages(got))
            }
            _ => (field, expected, got),
        }
    });
    compared.into_iter().find(|(_, expected, got)| !is_equal(expected, got))
}

/// Conditions with their last transition time, in stored order.
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

/// Metrics from the status; null for those that failed.
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

/// Our events, with their messages where the recording has them.
pub(super) fn events(expected: &Value, got: &[HpaEvent]) -> Value {
    let got = got.iter().enumerate().map(|(index, event)| {
        let kind = if event.is_warning { "Warning" } else { "Normal" };
        let has_message = !expected[index]["message"].is_null();
        let message = has_message.then_some(&event.message);
        json!({ "type": kind, "reason": event.reason, "message": message })
    });
    got.collect()
}

/// The recording's term for the error of a sync.
fn error_kind(error: Option<&SyncError>) -> Option<&'static str> {
    Some(match error? {
        SyncError::GetScaleFailed => "getScaleFailed",
        SyncError::SelectorUnusable(_) | SyncError::MetricsFailed(_) => "metricsFailed",
        SyncError::PartialMetricsFailure(_) => "partialMetricsFailure",
        SyncError::RescaleFailed => "rescaleFailed",
    })
}
