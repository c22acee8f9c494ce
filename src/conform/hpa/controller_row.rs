//! Rows of the table `reconcile`: whole syncs of a fresh controller.

use serde::Deserialize;
use serde_json::{Value, json};

use super::compare::{events, metrics};
use super::readings::Reading;
use super::row::{AgedEvent, AgedRecommendation, Answer, NOW};
use super::row_errors::{error_answer, sync_error};
use super::row_pods::{Answered, Pod, Pods};
use super::{Flags, defaulted_spec, row};
use crate::recording::parse;
use cluster::hpa::MetricSpec;
use cluster::hpa_status::{
    ConditionDetail, HpaCondition, HpaConditionReason, HpaConditionType, HpaStatus,
};
use cluster::meta::Name;
use cluster::pod_template::PodSpec;
use cluster::selector::Selector;
use controllers::hpa::{
    Decision, HpaFeatureGates, HpaHistory, HpaInputs, HpaView, MetricReading, ObservedScale,
    ScaleSelector, reconcile as sync,
};

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
    metrics: Option<Vec<Answered>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct History {
    recommendations: Vec<AgedRecommendation>,
    recommendations_known: bool,
    scale_up_events: Vec<AgedEvent>,
    scale_down_events: Vec<AgedEvent>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scale {
    #[serde(default)]
    spec_replicas: i32,
    #[serde(default)]
    status_replicas: i32,
    #[serde(default)]
    selector: String,
    #[serde(default)]
    get_error: Value,
}

impl History {
    fn history(&self) -> HpaHistory {
        let recommendations = row::recommendations(&self.recommendations);
        HpaHistory {
            recommendations: self.recommendations_known.then_some(recommendations),
            scale_up_events: row::events(&self.scale_up_events),
            scale_down_events: row::events(&self.scale_down_events),
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

/// One sync of a fresh controller. Whether the status is sent is not compared: the row does not
/// hold the whole status before.
pub(super) fn reconcile(line: &str, expected: &Value) -> Result<Answer, String> {
    let row: ReconcileRow = parse(line)?;
    let settings = row.flags.settings(row.feature_gates);
    let object = json!({ "spec": row.hpa_spec_defaulted });
    let (spec, _) = defaulted_spec("autoscaling/v2", &object)?;
    let pods = Pods::new(&row.pods);
    let answered = row.metrics.unwrap_or_default();
    let reading = |metric: &MetricSpec| {
        let answer = answered.iter().find(|answered| answered.is_for(&metric.source));
        answer.map_or(Reading::Empty, |answered| answered.reading(&row.pods))
    };
    let readings: Vec<Reading> = spec.metrics.iter().map(reading).collect();
    let metrics: Vec<MetricReading<'_>> = readings.iter().map(Reading::as_input).collect();
    let templates: Vec<&PodSpec> = pods.specs.iter().collect();
    let no = Name::from("no");
    let scale_write = match expected["scaleWrites"].as_array().and_then(|writes| writes.last()) {
        Some(write) if write["ok"] == json!(false) => Err(&no),
        _ => Ok(()),
    };
    let scale = row.scale.as_ref().filter(|scale| scale.get_error.is_null());
    let scale = scale.map(|scale| ObservedScale {
        spec_replicas: scale.spec_replicas,
        status_replicas: scale.status_replicas,
        selector: match scale.selector.as_str() {
            "" => ScaleSelector::Missing,
            text if text.parse::<Selector>().is_err() => ScaleSelector::Invalid(&no),
            _ if row.other_hpa_selects_same_pods => ScaleSelector::Ambiguous(&no),
            _ => ScaleSelector::Unique,
        },
    });
    let inputs = HpaInputs {
        hpa: HpaView {
            namespace: "test-namespace",
            spec: &spec,
            status: &row.status_before.status()?,
            settings: &settings,
        },
        scale: scale.ok_or(&no),
        scale_write,
        pods: &pods.observed,
        templates: &templates,
        metrics: &metrics,
        pod_name: &|index| pods.names[index].clone(),
    };
    let mut history = row.history.history();
    let decision = sync(&inputs, &mut history, NOW);
    Ok(decision_answer(&decision, &history, expected))
}

fn decision_answer(decision: &Decision, history: &HpaHistory, expected: &Value) -> Answer {
    let status = &decision.status;
    let conditions = status.conditions.iter().map(|condition| {
        json!({
            "type": condition.kind.as_str(),
            "status": condition.status.as_str(),
            "reason": condition.reason.as_str(),
        })
    });
    let write = decision.scale_write.as_ref();
    let succeeded = write.is_some_and(|write| write.error.is_none());
    // Conflicts are tried again: only the last write is what the controller settles on.
    let mut writes = expected["scaleWrites"].clone();
    if let Some(last) = writes.as_array_mut().and_then(|writes| writes.last_mut()) {
        *last = json!({ "ok": succeeded, "replicas": write.map(|write| write.replicas) });
    } else if write.is_some() {
        writes = json!([{ "ok": succeeded, "replicas": write.map(|write| write.replicas) }]);
    }
    let recorded_events = expected["events"].as_array().cloned().unwrap_or_default();
    let (_, events) = events(&recorded_events, &decision.events);
    let events =
        if decision.events.is_empty() { expected_empty(&expected["events"]) } else { events };
    vec![
        ("error", error_answer(sync_error(decision.error.as_ref()), &expected["error"])),
        ("currentMetrics", metrics(status)),
        ("conditions", conditions.collect()),
        ("desiredReplicas", json!(status.desired_replicas)),
        ("currentReplicas", json!(status.current_replicas)),
        ("scaled", json!(succeeded)),
        ("scaleWrites", writes),
        ("events", events),
        ("recommendationsAfter", row::recommendations_json(history)),
    ]
}

/// Nothing, written as the recording writes it if it has nothing either.
fn expected_empty(expected: &Value) -> Value {
    if expected.is_null() { Value::Null } else { json!([]) }
}
