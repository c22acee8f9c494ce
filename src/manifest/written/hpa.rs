//! Writes HorizontalPodAutoscalers in the form of API clients (autoscaling/v2).

use serde_json::{Value, json};

use super::selector;
use cluster::hpa::{
    Behavior, HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ObjectReference,
    ScalingRules,
};
use units::Quantity;

pub(super) fn hpa_spec(spec: &HpaSpec) -> Value {
    let mut fields = json!({
        "maxReplicas": spec.max_replicas,
        "metrics": spec.metrics.iter().map(metric).collect::<Value>(),
        "minReplicas": spec.min_replicas,
        "scaleTargetRef": reference(&spec.scale_target),
    });
    if let Some(Behavior { scale_up, scale_down }) = &spec.behavior {
        fields["behavior"] = json!({ "scaleDown": rules(scale_down), "scaleUp": rules(scale_up) });
    }
    fields
}

fn reference(object: &ObjectReference) -> Value {
    let mut fields = json!({ "kind": &*object.kind, "name": &*object.name });
    if !object.api_version.is_empty() {
        fields["apiVersion"] = Value::from(&*object.api_version);
    }
    fields
}

/// A metric of an HPA with its target.
pub fn metric(metric: &MetricSpec) -> Value {
    let target = target(metric);
    let type_name = metric.source.type_name();
    let (field, source) = match &*metric.source {
        MetricSource::Resource { resource, container: None } => {
            ("resource", json!({ "name": &**resource, "target": target }))
        }
        MetricSource::Resource { resource, container: Some(container) } => (
            "containerResource",
            json!({ "container": &**container, "name": &**resource, "target": target }),
        ),
        MetricSource::Pods { metric } => {
            ("pods", json!({ "metric": identifier(metric), "target": target }))
        }
        MetricSource::Object { metric, described_object } => (
            "object",
            json!({
                "describedObject": reference(described_object),
                "metric": identifier(metric),
                "target": target,
            }),
        ),
        MetricSource::External { metric } => {
            ("external", json!({ "metric": identifier(metric), "target": target }))
        }
        MetricSource::Invalid { .. } => return json!({ "type": type_name }),
    };
    json!({ "type": type_name, field: source })
}

fn identifier(metric: &MetricIdentifier) -> Value {
    let mut fields = json!({ "name": &*metric.name });
    if let Some(chosen) = &metric.selector {
        fields["selector"] = selector(chosen);
    }
    fields
}

fn target(metric: &MetricSpec) -> Value {
    let amount = |milli: i64| Quantity::from_milli(milli).to_string();
    match metric.target {
        MetricTarget::Utilization(percent) => {
            json!({ "averageUtilization": percent, "type": "Utilization" })
        }
        MetricTarget::AverageValueMilli(milli) => {
            json!({ "averageValue": amount(milli), "type": "AverageValue" })
        }
        MetricTarget::ValueMilli(milli) => json!({ "type": "Value", "value": amount(milli) }),
    }
}

fn rules(rules: &ScalingRules) -> Value {
    let policies = rules.policies.iter().map(|policy| {
        json!({
            "periodSeconds": policy.period.as_secs(),
            "type": format!("{:?}", policy.kind),
            "value": policy.value,
        })
    });
    let mut fields = json!({
        "policies": policies.collect::<Value>(),
        "selectPolicy": format!("{:?}", rules.select_policy),
    });
    if let Some(window) = rules.stabilization_window {
        fields["stabilizationWindowSeconds"] = window.as_secs().into();
    }
    if let Some(tolerance) = rules.tolerance {
        fields["tolerance"] = tolerance.to_string().into();
    }
    fields
}
