//! KEDA's ScaledObject (`keda.sh/v1alpha1`): its fields, and what of them is simulated.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;

use super::field::{FieldErrors, FieldPath};
use super::hpa::{lower, set_defaults};
use crate::cluster::hpa::{Behavior, MetricTarget, ObjectReference};
use crate::cluster::scaled_object::{ScaledObjectSpec, Trigger, TriggerSource};
use crate::engine::SimDuration;
use crate::units::Quantity;

/// The object as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaledObject {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    metadata: meta::ObjectMeta,
    spec: WrittenSpec,
    #[expect(dead_code, reason = "the operator's; here for the schema")]
    status: Option<BTreeMap<String, serde_json::Value>>,
}

/// `spec` as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScaledObjectSpec")]
pub(super) struct WrittenSpec {
    scale_target_ref: ScaleTarget,
    polling_interval: Option<i32>,
    cooldown_period: Option<i32>,
    initial_cooldown_period: Option<i32>,
    idle_replica_count: Option<i32>,
    min_replica_count: Option<i32>,
    max_replica_count: Option<i32>,
    advanced: Option<AdvancedConfig>,
    triggers: Vec<ScaleTriggers>,
    #[expect(dead_code, reason = "not simulated; here for the schema")]
    fallback: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScaleTarget {
    name: String,
    api_version: Option<String>,
    kind: Option<String>,
    #[expect(dead_code, reason = "for secrets of triggers alone; here for the schema")]
    env_source_container_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AdvancedConfig {
    horizontal_pod_autoscaler_config: Option<HorizontalPodAutoscalerConfig>,
    #[expect(dead_code, reason = "matters when the object is deleted; here for the schema")]
    restore_to_original_replica_count: Option<bool>,
    #[expect(dead_code, reason = "not simulated; here for the schema")]
    scaling_modifiers: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HorizontalPodAutoscalerConfig {
    behavior: Option<v2::HorizontalPodAutoscalerBehavior>,
    name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScaleTriggers {
    r#type: String,
    #[expect(dead_code, reason = "a name for people; here for the schema")]
    name: Option<String>,
    #[expect(dead_code, reason = "values are read when they are asked for; here for the schema")]
    use_cached_metrics: Option<bool>,
    metadata: BTreeMap<String, String>,
    #[expect(dead_code, reason = "there are no secrets to show; here for the schema")]
    authentication_ref: Option<BTreeMap<String, String>>,
    metric_type: Option<String>,
}

/// Type of a trigger, the field with its query or its queue's name, the fields of the target (the first
/// that is there counts), the field of the activation, and the target where none is written.
type Measured =
    (&'static str, &'static str, &'static [&'static str], &'static str, Option<&'static str>);

/// Types of triggers whose value is a number of the scenario.
const MEASURED: [Measured; 9] = [
    ("prometheus", "query", &["threshold"], "activationThreshold", None),
    ("rabbitmq", "queueName", &["value", "queueLength"], "activationValue", Some("20")),
    ("kafka", "topic", &["lagThreshold"], "activationLagThreshold", Some("10")),
    ("aws-sqs-queue", "queueURL", &["queueLength"], "activationQueueLength", Some("5")),
    ("azure-queue", "queueName", &["queueLength"], "activationQueueLength", Some("5")),
    ("azure-servicebus", "queueName", &["messageCount"], "activationMessageCount", Some("5")),
    ("gcp-pubsub", "subscriptionName", &["value"], "activationValue", Some("10")),
    ("redis", "listName", &["listLength"], "activationListLength", Some("5")),
    ("metrics-api", "valueLocation", &["targetValue"], "activationTargetValue", None),
];

/// The spec, defaulted.
pub(super) fn scaled_object_spec(
    name: &str,
    object: &ScaledObject,
    errors: &mut FieldErrors,
) -> ScaledObjectSpec {
    let spec = &object.spec;
    let path = FieldPath::ROOT.field("spec");
    let seconds = |given: Option<i32>, default: i32| {
        SimDuration::from_secs(i64::from(given.unwrap_or(default).max(0)))
    };
    let config = spec.advanced.as_ref();
    let config = config.and_then(|one| one.horizontal_pod_autoscaler_config.as_ref());
    let min_replicas = spec.min_replica_count.unwrap_or(0);
    let max_replicas = spec.max_replica_count.unwrap_or(100);
    if min_replicas > max_replicas {
        let at = path.field("minReplicaCount");
        errors.push(&at, format!("must not be more than maxReplicaCount, {max_replicas}"));
    }
    if let Some(idle) = spec.idle_replica_count
        && idle >= min_replicas
    {
        let at = path.field("idleReplicaCount");
        errors.push(&at, format!("must be less than minReplicaCount, {min_replicas}"));
    }
    if spec.polling_interval.is_some_and(|interval| interval <= 0) {
        errors.push(&path.field("pollingInterval"), "must be more than 0".to_owned());
    }
    let at_triggers = path.field("triggers");
    if spec.triggers.is_empty() {
        errors.push(&at_triggers, "no triggers defined in the ScaledObject".to_owned());
    }
    let triggers = spec.triggers.iter().enumerate();
    ScaledObjectSpec {
        scale_target: ObjectReference {
            api_version: spec.scale_target_ref.api_version.as_deref().unwrap_or("apps/v1").into(),
            kind: spec.scale_target_ref.kind.as_deref().unwrap_or("Deployment").into(),
            name: spec.scale_target_ref.name.as_str().into(),
        },
        polling_interval: seconds(spec.polling_interval, 30),
        cooldown_period: seconds(spec.cooldown_period, 300),
        initial_cooldown_period: seconds(spec.initial_cooldown_period, 0),
        idle_replicas: spec.idle_replica_count,
        min_replicas,
        max_replicas,
        triggers: triggers
            .map(|(index, one)| trigger(index, one, &at_triggers.item(index), errors))
            .collect(),
        behavior: config
            .and_then(|config| config.behavior.clone())
            .and_then(|written| behavior(written, errors)),
        hpa_name: config
            .and_then(|config| config.name.as_deref())
            .map_or_else(|| format!("keda-hpa-{name}").into(), Into::into),
    }
}

/// Completed as in an HPA, which it becomes a part of.
fn behavior(
    written: v2::HorizontalPodAutoscalerBehavior,
    errors: &mut FieldErrors,
) -> Option<Behavior> {
    let mut spec = v2::HorizontalPodAutoscalerSpec {
        max_replicas: 1,
        behavior: Some(written),
        ..v2::HorizontalPodAutoscalerSpec::default()
    };
    set_defaults(&mut spec);
    match lower(&spec) {
        Ok(spec) => spec.behavior,
        Err(problems) => {
            errors.append(problems);
            None
        }
    }
}

fn trigger(
    index: usize,
    written: &ScaleTriggers,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Trigger {
    let kind = written.r#type.as_str();
    let metadata = &written.metadata;
    let at = path.field("metadata");
    if matches!(kind, "cpu" | "memory") {
        let source = resource(written, path, errors);
        return Trigger { kind: kind.into(), metric_name: "".into(), source };
    }
    let Some((_, query, targets, activation, default)) =
        MEASURED.iter().find(|(known, ..)| *known == kind)
    else {
        return Trigger {
            kind: kind.into(),
            metric_name: "".into(),
            source: TriggerSource::Unknown,
        };
    };
    let query_text = metadata.get(*query).cloned().unwrap_or_else(|| {
        errors.push(&at.field(query), format!("a {kind} trigger needs it"));
        String::new()
    });
    let mut milli = |field: &str, text: &str| match text.parse::<f64>() {
        Ok(number) if number.is_finite() => whole_milli(number),
        _ => {
            errors.push(&at.field(field), format!("{text:?} is not a number"));
            0
        }
    };
    let written_target =
        targets.iter().find_map(|field| metadata.get(*field).map(|text| (*field, text.as_str())));
    let target_milli = match written_target.or(default.map(|text| (targets[0], text))) {
        Some((field, text)) => milli(field, text),
        None => milli(targets[0], ""),
    };
    let activation_milli =
        metadata.get(*activation).map_or(0, |text| milli(activation, text.as_str()));
    let target = match written.metric_type.as_deref() {
        Some("Value") => MetricTarget::ValueMilli(target_milli),
        _ => MetricTarget::AverageValueMilli(target_milli),
    };
    let last_part = query_text.rsplit('/').next().unwrap_or_default();
    let metric_name = match kind {
        "prometheus" => format!("s{index}-prometheus"),
        "metrics-api" => format!("s{index}-metric-api-{last_part}"),
        _ => format!("s{index}-{}-{last_part}", kind.trim_end_matches("-queue")),
    };
    Trigger {
        kind: kind.into(),
        metric_name: metric_name.replace(['.', ':', '%', '(', ')', '/'], "-").into(),
        source: TriggerSource::Measured { query: query_text.into(), target, activation_milli },
    }
}

/// `int64(number * 1000)`, as KEDA hands targets on.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
fn whole_milli(number: f64) -> i64 {
    (number * 1000.0) as i64
}

fn resource(
    written: &ScaleTriggers,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> TriggerSource {
    let at = path.field("metadata");
    let value = written.metadata.get("value").map_or("", String::as_str);
    let kind = written.metric_type.as_deref().or(written.metadata.get("type").map(String::as_str));
    let target = match kind {
        Some("AverageValue") => value
            .parse::<Quantity>()
            .map(|quantity| MetricTarget::AverageValueMilli(quantity.milli_value()))
            .map_err(|error| error.to_string()),
        Some("Utilization") => {
            value.parse().map(MetricTarget::Utilization).map_err(|error| error.to_string())
        }
        _ => Err("metricType must be Utilization or AverageValue".to_owned()),
    };
    let target = target.unwrap_or_else(|problem| {
        errors.push(&at.field("value"), problem);
        MetricTarget::Utilization(1)
    });
    TriggerSource::Resource {
        resource: written.r#type.as_str().into(),
        container: written.metadata.get("containerName").map(|name| name.as_str().into()),
        target,
    }
}
