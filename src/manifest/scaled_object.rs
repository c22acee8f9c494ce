//! KEDA's ScaledObject (`keda.sh/v1alpha1`): its fields, and what of them is simulated.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;

use super::field::{FieldErrors, FieldPath};
use super::hpa::{lower, set_defaults};
use cluster::cron_schedule::{Schedule, time_zone};
use cluster::formula::Formula;
use cluster::hpa::{Behavior, MetricTarget, ObjectReference};
use cluster::scaled_object::{
    Fallback, FallbackBehavior, Pause, ScaledObjectSpec, ScalingModifiers, Trigger, TriggerSource,
};
use cluster::{Name, ObjectMeta};
use engine::SimDuration;
use units::Quantity;

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
    fallback: Option<WrittenFallback>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Fallback")]
struct WrittenFallback {
    failure_threshold: i32,
    replicas: i32,
    behavior: Option<String>,
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
    scaling_modifiers: Option<WrittenModifiers>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScalingModifiers")]
struct WrittenModifiers {
    formula: Option<String>,
    target: Option<String>,
    activation_target: Option<String>,
    metric_type: Option<String>,
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
    meta: &ObjectMeta,
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
    // A minimum of 0 that is written counts as 1, that of the HPA (`CheckReplicaCountBoundsAreValid`).
    let least = spec.min_replica_count.map_or(0, |written| written.max(1));
    if least > max_replicas {
        let at = path.field("minReplicaCount");
        errors.push(&at, format!("must not be more than maxReplicaCount, {max_replicas}"));
    }
    if let Some(idle) = spec.idle_replica_count
        && idle >= least
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
    // KEDA's webhook (`verifyCPUMemoryScalers`) looks at these two kinds of targets alone.
    let kind = spec.scale_target_ref.kind.as_deref().unwrap_or("Deployment");
    let is_resource = |one: &ScaleTriggers| matches!(one.r#type.as_str(), "cpu" | "memory");
    if matches!(kind, "Deployment" | "StatefulSet")
        && !spec.triggers.is_empty()
        && spec.triggers.iter().all(is_resource)
        && min_replicas == 0
    {
        let problem = "scaledobject has only cpu/memory triggers AND minReplica is 0 (scale to zero doesn't \
                       work in this case); write 1 or more, or add a trigger of another type";
        errors.push(&path.field("minReplicaCount"), problem.to_owned());
    }
    let triggers = spec.triggers.iter().enumerate();
    let advanced = spec.advanced.as_ref();
    let written = advanced.and_then(|advanced| advanced.scaling_modifiers.as_ref());
    let formula = written.and_then(|modifiers| modifiers.formula.as_deref());
    let has_formula = formula.is_some_and(|text| !text.is_empty());
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
            .map_or_else(|| format!("keda-hpa-{}", meta.name()).into(), Into::into),
        fallback: spec
            .fallback
            .as_ref()
            .map(|one| fallback(one, has_formula, &path.field("fallback"), errors)),
        pause: pause(meta, errors),
        modifiers: written.and_then(|written| modifiers(written, spec, errors)),
    }
}

/// One formula in place of the triggers (`ValidateAndCompileScalingModifiers`); nothing without a formula
/// or a target.
fn modifiers(
    written: &WrittenModifiers,
    spec: &WrittenSpec,
    errors: &mut FieldErrors,
) -> Option<ScalingModifiers> {
    let path = FieldPath::ROOT.field("spec");
    let (path, at_triggers) = (path.field("advanced"), path.field("triggers"));
    let path = path.field("scalingModifiers");
    let text = written.formula.as_deref().unwrap_or_default();
    let target = written.target.as_deref().unwrap_or_default();
    match (text.is_empty(), target.is_empty()) {
        (true, true) => return None,
        (true, false) => errors.push(&path.field("formula"), "is missing".to_owned()),
        (false, true) => errors.push(&path.field("target"), "is missing".to_owned()),
        (false, false) => {}
    }
    let mut names: Vec<Name> = Vec::new();
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let Some(name) = trigger.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if names.iter().any(|other| **other == *name) {
            let problem = format!("{name:?} is the name of another trigger");
            errors.push(&at_triggers.item(index).field("name"), problem);
        }
        // CPU and memory go to the HPA by themselves.
        if !matches!(trigger.r#type.as_str(), "cpu" | "memory") {
            names.push(name.into());
        }
    }
    let mut milli = |field: &str, text: &str| match text.parse::<f64>() {
        Ok(number) if number.is_finite() => whole_milli(number),
        _ => {
            errors.push(&path.field(field), format!("{text:?} is not a number"));
            0
        }
    };
    let target_milli = if target.is_empty() { 0 } else { milli("target", target) };
    let activation = written.activation_target.as_deref().filter(|text| !text.is_empty());
    let activation_milli = activation.map_or(0, |text| milli("activationTarget", text));
    if !target.is_empty() && target_milli <= 0 {
        errors.push(&path.field("target"), "must be more than 0".to_owned());
    }
    let types = [("AverageValue", false), ("Value", true)];
    let at_type = path.field("metricType");
    let is_value = errors.choose(written.metric_type.as_deref(), &types, &at_type);
    let formula = Formula::parse(text, &names);
    let formula = formula.map_err(|problem| {
        if !text.is_empty() {
            errors.push(&path.field("formula"), problem);
        }
    });
    Some(ScalingModifiers {
        formula: formula.ok()?,
        target: if is_value {
            MetricTarget::ValueMilli(target_milli)
        } else {
            MetricTarget::AverageValueMilli(target_milli)
        },
        activation_milli,
    })
}

fn fallback(
    written: &WrittenFallback,
    has_formula: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Fallback {
    let mut not_negative = |field: &str, value: i32| {
        if value < 0 {
            errors.push(&path.field(field), format!("{value} must not be negative"));
        }
        value.max(0)
    };
    let threshold = not_negative("failureThreshold", written.failure_threshold);
    let replicas = not_negative("replicas", written.replicas);
    let behaviors = [
        ("static", FallbackBehavior::Static),
        ("currentReplicas", FallbackBehavior::CurrentReplicas),
        ("currentReplicasIfHigher", FallbackBehavior::CurrentReplicasIfHigher),
        ("currentReplicasIfLower", FallbackBehavior::CurrentReplicasIfLower),
        ("scalingModifiers", FallbackBehavior::ScalingModifiers),
    ];
    let behavior = written.behavior.as_deref();
    let at = path.field("behavior");
    let behavior = errors.choose(behavior, &behaviors, &at);
    if behavior == FallbackBehavior::ScalingModifiers && !has_formula {
        errors.push(&at, "scalingModifiers needs advanced.scalingModifiers.formula".to_owned());
    }
    Fallback { failure_threshold: threshold.unsigned_abs(), replicas, behavior }
}

/// What annotations hold back (`NeedToBePausedByAnnotation`, `GetPausedReplicaCount`).
fn pause(meta: &ObjectMeta, errors: &mut FieldErrors) -> Pause {
    let annotations = FieldPath::ROOT.field("metadata");
    let annotations = annotations.field("annotations");
    // What is neither true nor false counts as true.
    let is_true = |name: &str| {
        let text = meta.annotations.get(name);
        text.is_some_and(|text| !matches!(&**text, "0" | "f" | "F" | "false" | "FALSE" | "False"))
    };
    let [paused, scale_in, scale_out, force_activation] =
        ["paused", "paused-scale-in", "paused-scale-out", "force-activation"]
            .map(|name| is_true(&format!("autoscaling.keda.sh/{name}")));
    let name = "autoscaling.keda.sh/paused-replicas";
    let written = meta.annotations.get(name);
    let replicas = written.and_then(|text| {
        let parsed = text.parse().ok().filter(|replicas: &i32| *replicas >= 0);
        if parsed.is_none() {
            let problem = format!("{text:?} is no number of replicas");
            errors.push(&annotations.field(name), problem);
        }
        parsed
    });
    // How many replicas counts before whether.
    let is_paused = paused || written.is_some();
    Pause { is_paused, replicas, scale_in, scale_out, force_activation }
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
    let name: Option<Name> = written.name.as_deref().map(Into::into);
    let metadata = &written.metadata;
    let at = path.field("metadata");
    if matches!(kind, "cpu" | "memory") {
        let source = resource(written, path, errors);
        return Trigger { name, kind: kind.into(), metric_name: "".into(), source };
    }
    if kind == "cron" {
        return cron(index, written, path, errors);
    }
    let Some((_, query, targets, activation, default)) =
        MEASURED.iter().find(|(known, ..)| *known == kind)
    else {
        return Trigger {
            name,
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
    let target = external_target(written, target_milli, path, errors);
    let last_part = query_text.rsplit('/').next().unwrap_or_default();
    let metric_name = match kind {
        "prometheus" => format!("s{index}-prometheus"),
        "metrics-api" => format!("s{index}-metric-api-{last_part}"),
        _ => format!("s{index}-{}-{last_part}", kind.trim_end_matches("-queue")),
    };
    Trigger {
        name,
        kind: kind.into(),
        metric_name: metric_name.replace(['.', ':', '%', '(', ')', '/'], "-").into(),
        source: TriggerSource::Measured {
            query: query_text.into(),
            target,
            activation_milli,
            // Queues that are empty have 0 messages; only a query can be without a result.
            ignores_missing: metadata.get("ignoreNullValues").is_none_or(|text| text != "false"),
        },
    }
}

/// The target of an external metric (`GetMetricTargetType`).
fn external_target(
    written: &ScaleTriggers,
    milli: i64,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> MetricTarget {
    let types = [
        ("AverageValue", MetricTarget::AverageValueMilli(milli)),
        ("Value", MetricTarget::ValueMilli(milli)),
    ];
    errors.choose(written.metric_type.as_deref(), &types, &path.field("metricType"))
}

/// A span of the calendar (`pkg/scalers/cron_scaler.go`).
fn cron(
    index: usize,
    written: &ScaleTriggers,
    trigger: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Trigger {
    let path = &trigger.field("metadata");
    let mut text = |field: &str| {
        let text = written.metadata.get(field).cloned().unwrap_or_default();
        if text.is_empty() {
            errors.push(&path.field(field), "a cron trigger needs it".to_owned());
        }
        text
    };
    let [start, end, zone, replicas] =
        ["start", "end", "timezone", "desiredReplicas"].map(&mut text);
    let mut schedule = |field: &str, text: &str| {
        // KEDA's parser takes five fields and no descriptors.
        let parsed = if text.starts_with('@') {
            Err("descriptors such as @daily are not accepted; write five fields".to_owned())
        } else {
            Schedule::parse(text)
        };
        parsed
            .map_err(|problem| {
                if !text.is_empty() {
                    errors.push(&path.field(field), problem);
                }
            })
            .ok()
    };
    let schedules = schedule("start", &start).zip(schedule("end", &end));
    if !start.is_empty() && start == end {
        let problem = "start and end can not have exactly same time input".to_owned();
        errors.push(&path.field("end"), problem);
    }
    let time_zone = time_zone(Some(&zone));
    if !zone.is_empty() && time_zone.is_none() {
        let problem = format!("{zone:?} is no time zone; write one such as Europe/Berlin");
        errors.push(&path.field("timezone"), problem);
    }
    let desired_replicas = replicas.parse::<i64>().unwrap_or_default();
    if !replicas.is_empty() && desired_replicas <= 0 {
        let problem = format!("{replicas:?} must be a number above 0");
        errors.push(&path.field("desiredReplicas"), problem);
    }
    let target = external_target(written, 1_000, trigger, errors);
    let plain =
        |text: &str| text.replace(' ', "").replace('*', "x").replace('/', "Sl").replace('?', "Qm");
    let name = format!("s{index}-cron-{zone}-{}-{}", plain(&start), plain(&end));
    let source =
        schedules.zip(time_zone).map_or(TriggerSource::Unknown, |((start, end), time_zone)| {
            TriggerSource::Cron { start, end, time_zone, desired_replicas, target }
        });
    Trigger {
        name: written.name.as_deref().map(Into::into),
        kind: "cron".into(),
        metric_name: name.replace(['.', ':', '%', '(', ')', '/'], "-").into(),
        source,
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
