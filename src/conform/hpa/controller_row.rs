//! Rows of the table `reconcile`: whole syncs of a fresh controller.

use serde::Deserialize;
use serde_json::{Value, json};

use super::compare::{conditions, events, metrics};
use super::pods::{Pod, own_templates};
use super::readings::{MetricsResponse, Reading};
use super::row::{AgedRecommendation, ComputedFields, NAMESPACE, NOW, ScaleEvents};
use super::row_errors::{error_answer, sync_error};
use super::sync::{Scale, Sync};
use super::{Flags, defaulted_spec, row};
use crate::recording::parse;
use cluster::hpa::MetricSpec;
use cluster::hpa_status::{
    ConditionDetail, HpaCondition, HpaConditionReason, HpaConditionType, HpaStatus,
};
use controllers::hpa::{Decision, HpaFeatureGates, HpaHistory};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReconcileRow {
    flags: Flags,
    feature_gates: HpaFeatureGates,
    #[serde(default)]
    history: History,
    hpa_spec_defaulted: Value,
    #[serde(default)]
    status_before: StatusBefore,
    scale: Option<Scale>,
    #[serde(default)]
    other_hpa_selects_same_pods: bool,
    #[serde(default)]
    pods: Vec<Pod>,
    metrics: Option<Vec<MetricsResponse>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct History {
    recommendations: Vec<AgedRecommendation>,
    recommendations_known: bool,
    #[serde(flatten)]
    events: ScaleEvents,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusBefore {
    conditions: Vec<ConditionBefore>,
    current_replicas: i32,
    desired_replicas: i32,
    has_last_scale_time: bool,
}

#[derive(Deserialize)]
struct ConditionBefore {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
}

impl History {
    fn history(&self) -> HpaHistory {
        let recommendations = row::recommendations(&self.recommendations);
        HpaHistory {
            recommendations: self.recommendations_known.then_some(recommendations),
            ..self.events.history()
        }
    }
}

impl StatusBefore {
    fn status(&self) -> Result<HpaStatus, String> {
        let conditions: Result<Vec<_>, _> =
            self.conditions.iter().map(ConditionBefore::condition).collect();
        Ok(HpaStatus {
            last_scale_time: self.has_last_scale_time.then_some(NOW),
            current_replicas: self.current_replicas,
            desired_replicas: self.desired_replicas,
            current_metrics: Vec::new(),
            conditions: conditions?,
        })
    }
}

impl ConditionBefore {
    fn condition(&self) -> Result<HpaCondition, String> {
        use HpaConditionType as Type;
        let kinds =
            [Type::AbleToScale, Type::ScalingActive, Type::ScalingLimited, Type::ScaledToZero];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == self.kind);
        let reason = HpaConditionReason::ALL.iter().find(|reason| reason.as_str() == self.reason);
        Ok(HpaCondition {
            kind: kind.ok_or_else(|| format!("there is no condition {:?}", self.kind))?,
            status: (self.status == "True").into(),
            reason: *reason.ok_or_else(|| format!("there is no reason {:?}", self.reason))?,
            detail: ConditionDetail::None,
            last_transition_time: NOW,
        })
    }
}

/// One sync of a fresh controller. Whether the status is written is not compared: the row does not contain the
/// complete previous status.
pub(super) fn reconcile(line: &str, expected: &Value) -> Result<ComputedFields, String> {
    let mut row: ReconcileRow = parse(line)?;
    let object = json!({ "spec": row.hpa_spec_defaulted });
    let (spec, _) = defaulted_spec("autoscaling/v2", &object)?;
    let templates = own_templates(&mut row.pods)?;
    let answered = row.metrics.unwrap_or_default();
    let reading = |metric: &MetricSpec| {
        let answer = answered.iter().find(|answered| answered.is_for(&metric.source));
        answer.map_or(Reading::Empty, |answered| answered.reading(&row.pods))
    };
    let readings: Vec<Reading> = spec.metrics.iter().map(reading).collect();
    let last_write = expected["scaleWrites"].as_array().and_then(|writes| writes.last());
    let sync = Sync {
        namespace: NAMESPACE,
        settings: &row.flags.settings(row.feature_gates)?,
        spec: &spec,
        status: &row.status_before.status()?,
        scale: row.scale.as_ref(),
        selector: "",
        has_rival: row.other_hpa_selects_same_pods,
        write_fails: last_write.is_some_and(|write| write["ok"] == json!(false)),
        pods: &row.pods,
        templates: &templates,
        readings: &readings,
        now: NOW,
    };
    let mut history = row.history.history();
    let decision = sync.reconcile(&mut history);
    Ok(decision_answer(&decision, &history, expected))
}

fn decision_answer(decision: &Decision, history: &HpaHistory, expected: &Value) -> ComputedFields {
    let status = &decision.status;
    let mut conditions = conditions(status);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        condition.as_object_mut().and_then(|fields| fields.shift_remove("since"));
    }
    let write = decision.scale_write.as_ref();
    let succeeded = write.is_some_and(|write| write.error.is_none());
    // Conflicting writes are retried: only the last one is the controller's result.
    let mut writes = expected["scaleWrites"].clone();
    if let Some(last) = writes.as_array_mut().and_then(|writes| writes.last_mut()) {
        *last = json!({ "ok": succeeded, "replicas": write.map(|write| write.replicas) });
    } else if write.is_some() {
        writes = json!([{ "ok": succeeded, "replicas": write.map(|write| write.replicas) }]);
    }
    let mut events = events(&expected["events"], &decision.events);
    if decision.events.is_empty() && expected["events"].is_null() {
        // Nothing is written in either case.
        events = Value::Null;
    }
    vec![
        ("error", error_answer(sync_error(decision.error.as_ref()), &expected["error"])),
        ("currentMetrics", metrics(status)),
        ("conditions", conditions),
        ("desiredReplicas", json!(status.desired_replicas)),
        ("currentReplicas", json!(status.current_replicas)),
        ("scaled", json!(succeeded)),
        ("scaleWrites", writes),
        ("events", events),
        ("recommendationsAfter", row::recommendations_json(history)),
    ]
}
