//! The fallback: values of one metric of a ScaledObject.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::conditions;
use super::scaled_object::Spec;
use crate::Difference;
use crate::json::is_equal;
use crate::recording::{Mapped, inputs_of, parse};
use cluster::Name;
use cluster::hpa::MetricTarget;
use cluster::scaled_object::KedaConditions;
use controllers::keda::COMPOSITE_METRIC;
use controllers::keda::fallback::{FallbackChoice, answer, condition, failures_after, value_milli};

#[derive(Debug, Deserialize)]
struct Case {
    spec: Mapped<Spec>,
    metric: Mapped<Metric>,
    steps: Vec<Mapped<Step>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    name: String,
    r#type: String,
    target_milli: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    fails: bool,
    value_milli: i64,
    replicas: i32,
    ready_pods: usize,
    expect: Value,
}

/// The target that determines the fallback's value: that of the formula, if there is one.
fn target(case: &Case) -> MetricTarget {
    let modifiers = case.spec.modifiers();
    let (kind, milli) = match modifiers {
        Some(modifiers) => {
            let whole: Option<i64> = modifiers.target.as_deref().and_then(|text| text.parse().ok());
            let milli = whole.unwrap_or(0).saturating_mul(1000);
            (modifiers.metric_type.as_deref().unwrap_or_default(), milli)
        }
        None => (case.metric.r#type.as_str(), case.metric.target_milli),
    };
    if kind == "Value" {
        MetricTarget::ValueMilli(milli)
    } else {
        MetricTarget::AverageValueMilli(milli)
    }
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let (fallback, target) = (case.spec.valid_fallback(), target(&case));
    let metric: Name = case.metric.name.as_str().into();
    let mut stored: BTreeMap<Name, u32> = BTreeMap::new();
    let mut status = KedaConditions::default();
    for (index, step) in case.steps.iter().enumerate() {
        let failures = failures_after(stored.get(&metric).copied().unwrap_or(0), step.fails);
        if let Some(fallback) = fallback {
            status.fallback = condition(fallback, &stored);
            stored.insert(metric.clone(), failures);
        }
        let answer = answer(fallback, failures);
        let own = |milli| Some((milli, case.metric.name.as_str()));
        let told = match answer {
            FallbackChoice::Own => own(step.value_milli),
            FallbackChoice::Error => None,
            FallbackChoice::Fallback => fallback
                .and_then(|fallback| value_milli(fallback, target, step.replicas, step.ready_pods))
                .map(|milli| match case.spec.modifiers() {
                    Some(_) => (milli, COMPOSITE_METRIC),
                    None => (milli, case.metric.name.as_str()),
                }),
        };
        let fields = [
            ("valueMilli", json!(told.map(|(milli, _)| milli))),
            ("name", json!(told.map(|(_, name)| name))),
            ("fallback", json!(answer == FallbackChoice::Fallback && told.is_some())),
            ("error", json!(told.is_none())),
            ("failures", json!(stored.get(&metric))),
            ("conditions", conditions(status)),
        ];
        for (field, got) in fields {
            let expected = &step.expect[field];
            if !is_equal(expected, &got) {
                let at = format!("step {index}");
                let inputs = inputs_of(line, &["steps"], index);
                return Ok(Some(Difference::new(at, field, expected.clone(), got, inputs)));
            }
        }
    }
    Ok(None)
}
