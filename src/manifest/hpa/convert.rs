//! Older versions of the HPA API to `autoscaling/v2` (`pkg/apis/autoscaling/v1/conversion.go` and,
//! for versions no longer served, `v2beta1` and `v2beta2` of Kubernetes 1.24).

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricSpec,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::defaults::cpu_utilization;
use crate::field::{FieldError, FieldErrors, FieldPath};
use units::Quantity;

const SPEC: FieldPath<'static> = FieldPath::ROOT.field("spec");
/// The annotation in which autoscaling/v1 stores metrics that it has no fields for.
pub(crate) const METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CONDITIONS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The spec of an HPA object in the form of `autoscaling/v2`, quantities in canonical form.
pub fn to_v2(
    api_version: &str,
    object: &Value,
) -> Result<HorizontalPodAutoscalerSpec, Vec<FieldError>> {
    let mut spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    match api_version {
        // v2beta2 and v2 have the same structure.
        "autoscaling/v2" | "autoscaling/v2beta2" => typed(spec, &SPEC),
        "autoscaling/v2beta1" => {
            if let Some(Value::Array(metrics)) = spec.get_mut("metrics") {
                for metric in metrics {
                    *metric = metric_of_beta1(metric);
                }
            }
            // v2beta1 has no such field, but an annotation like v1.
            if let Value::Object(fields) = &mut spec {
                fields.remove("behavior");
            }
            let mut spec: HorizontalPodAutoscalerSpec = typed(spec, &SPEC)?;
            spec.behavior = annotated_behavior(object.pointer("/metadata/annotations"));
            Ok(spec)
        }
        "autoscaling/v1" => of_v1(&spec, object.pointer("/metadata/annotations")),
        _ => Err(error(
            &FieldPath::ROOT.field("apiVersion"),
            format!(
                "no kind \"HorizontalPodAutoscaler\" is registered for version \"{api_version}\""
            ),
        )),
    }
}

/// Removes annotations whose contents have fields in the current version
/// (`DropRoundTripHorizontalPodAutoscalerAnnotations`).
pub(crate) fn drop_conversion_annotations(object: &mut Value) {
    if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        for name in [
            METRICS_ANNOTATION,
            BEHAVIOR_ANNOTATION,
            CONDITIONS_ANNOTATION,
            CURRENT_METRICS_ANNOTATION,
        ] {
            annotations.shift_remove(name);
        }
    }
}

fn of_v1(
    spec: &Value,
    annotations: Option<&Value>,
) -> Result<HorizontalPodAutoscalerSpec, Vec<FieldError>> {
    let mut metrics: Vec<MetricSpec> = Vec::new();
    // Like the API server, ignore annotations that cannot be parsed.
    if let Some(Value::Array(others)) = annotation(annotations, METRICS_ANNOTATION) {
        let others = others.iter().map(metric_of_beta1).collect();
        metrics = typed(Value::Array(others), &SPEC).unwrap_or_default();
    }
    if let Some(percent) = spec.get("targetCPUUtilizationPercentage").filter(|v| !v.is_null()) {
        let path = SPEC.field("targetCPUUtilizationPercentage");
        metrics.push(cpu_utilization(typed(percent.clone(), &path)?));
    }
    let mut spec = spec.clone();
    if let Value::Object(fields) = &mut spec {
        fields.remove("targetCPUUtilizationPercentage");
        fields.remove("metrics");
    }
    let mut spec: HorizontalPodAutoscalerSpec = typed(spec, &SPEC)?;
    spec.metrics = Some(metrics);
    spec.behavior = annotated_behavior(annotations);
    Ok(spec)
}

/// The behavior stored in an annotation; `None` if it is empty or cannot be parsed.
fn annotated_behavior(annotations: Option<&Value>) -> Option<HorizontalPodAutoscalerBehavior> {
    let behavior = with_lower_initials(annotation(annotations, BEHAVIOR_ANNOTATION)?);
    let behavior = typed(behavior, &SPEC).ok()?;
    (behavior != HorizontalPodAutoscalerBehavior::default()).then_some(behavior)
}

fn annotation(annotations: Option<&Value>, name: &str) -> Option<Value> {
    serde_json::from_str(annotations?.get(name)?.as_str()?).ok()
}

fn typed<T: DeserializeOwned>(
    mut value: Value,
    path: &FieldPath<'_>,
) -> Result<T, Vec<FieldError>> {
    let mut errors = FieldErrors::default();
    canonicalize(&mut value, path, &mut errors);
    if !errors.is_empty() {
        return Err(errors.into_vec());
    }
    serde_json::from_value(value)
        .map_err(|problem| error(path, format!("cannot be read: {problem}")))
}

fn error(path: &FieldPath<'_>, problem: String) -> Vec<FieldError> {
    vec![FieldError { path: path.to_string(), problem, is_rule: false }]
}

/// Formats every quantity as the API server stores it; bare numbers are quantities too.
fn canonicalize(value: &mut Value, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                canonicalize(item, &path.item(index), errors);
            }
        }
        Value::Object(fields) => {
            let is_policy = fields.contains_key("periodSeconds");
            for (name, field) in fields {
                let path = path.field(name);
                let is_quantity = match name.as_str() {
                    "averageValue" | "tolerance" => true,
                    "value" => !is_policy,
                    _ => false,
                };
                if is_quantity && !field.is_null() {
                    match serde_json::from_value::<Quantity>(field.clone()) {
                        Ok(quantity) => *field = Value::String(quantity.to_string()),
                        Err(error) => errors.push(&path, error.to_string()),
                    }
                } else {
                    canonicalize(field, &path, errors);
                }
            }
        }
        _ => {}
    }
}

/// Converts a metric of `v2beta1`, which v1's annotation uses too.
fn metric_of_beta1(metric: &Value) -> Value {
    let mut converted = json!({ "type": metric["type"] });
    if let Value::Object(fields) = metric {
        for (name, source) in fields {
            let source = match name.as_str() {
                "resource" | "containerResource" => resource_of_beta1(source),
                "pods" => pods_of_beta1(source),
                "object" => object_of_beta1(source),
                "external" => external_of_beta1(source),
                _ => continue,
            };
            converted[name] = source;
        }
    }
    converted
}

fn resource_of_beta1(source: &Value) -> Value {
    let utilization = &source["targetAverageUtilization"];
    let kind = if utilization.is_null() { "AverageValue" } else { "Utilization" };
    let average_value = &source["targetAverageValue"];
    let values = [("averageUtilization", utilization), ("averageValue", average_value)];
    let mut converted = json!({ "name": source["name"], "target": target(kind, &values) });
    if let Some(container) = source.get("container") {
        converted["container"] = container.clone();
    }
    converted
}

fn pods_of_beta1(source: &Value) -> Value {
    let zero = json!("0");
    let value = &source["targetAverageValue"];
    let value = if value.is_null() { &zero } else { value };
    json!({
        "metric": identifier(&source["metricName"], &source["selector"]),
        "target": target("AverageValue", &[("averageValue", value)]),
    })
}

fn object_of_beta1(source: &Value) -> Value {
    let average = &source["averageValue"];
    let kind = if average.is_null() { "Value" } else { "AverageValue" };
    // Not a pointer in that version: if absent it is 0, which validation rejects.
    let zero = json!("0");
    let value = if source["targetValue"].is_null() { &zero } else { &source["targetValue"] };
    let target = target(kind, &[("value", value), ("averageValue", average)]);
    json!({
        "describedObject": source["target"],
        "metric": identifier(&source["metricName"], &source["selector"]),
        "target": target,
    })
}

fn external_of_beta1(source: &Value) -> Value {
    let value = &source["targetValue"];
    let kind = if value.is_null() { "AverageValue" } else { "Value" };
    let values = [("value", value), ("averageValue", &source["targetAverageValue"])];
    json!({
        "metric": identifier(&source["metricName"], &source["metricSelector"]),
        "target": target(kind, &values),
    })
}

fn identifier(name: &Value, selector: &Value) -> Value {
    fields([("name", name), ("selector", selector)])
}

fn target(kind: &str, values: &[(&str, &Value)]) -> Value {
    let mut target = fields(values.iter().copied());
    target["type"] = json!(kind);
    target
}

/// An object of the fields that are present.
fn fields<'a>(values: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Value {
    let given = values.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

/// The annotation holds the API server's internal type, with capitalized field names.
fn with_lower_initials(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(with_lower_initials).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| {
                let (initial, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
                (initial.to_lowercase() + rest, with_lower_initials(field))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}
