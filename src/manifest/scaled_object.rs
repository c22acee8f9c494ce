//! KEDA's ScaledObject (`keda.sh/v1alpha1`): its fields, and the simulated ones among them.

mod triggers;

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;

use super::definitions::{BehaviorFields, ObjectMetaFields};
use super::field::{FieldErrors, FieldPath};
use super::hpa::{lower, set_defaults};
use cluster::formula::Formula;
use cluster::hpa::{Behavior, MetricTarget, ObjectReference};
use cluster::scaled_object::{
    Fallback, FallbackBehavior, Pause, ScaledObjectSpec, ScalingModifiers,
};
use cluster::{Name, ObjectMeta};
use engine::SimDuration;
use triggers::milli;
pub(super) use triggers::trigger;

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaledObject {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    spec: WrittenSpec,
    #[expect(dead_code, reason = "the operator's; here for the schema")]
    status: Option<BTreeMap<String, serde_json::Value>>,
}

/// `spec` as written.
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
    #[schemars(with = "Option<BehaviorFields>")]
    behavior: Option<v2::HorizontalPodAutoscalerBehavior>,
    name: Option<String>,
}

/// A trigger as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleTriggers {
    pub(super) r#type: String,
    name: Option<String>,
    #[expect(dead_code, reason = "values are read when they are asked for; here for the schema")]
    use_cached_metrics: Option<bool>,
    metadata: BTreeMap<String, String>,
    #[expect(dead_code, reason = "there are no secrets to show; here for the schema")]
    authentication_ref: Option<BTreeMap<String, String>>,
    pub(super) metric_type: Option<String>,
}

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
    // An explicit minimum of 0 counts as 1, that of the HPA (`CheckReplicaCountBoundsAreValid`).
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
    // KEDA's webhook (`verifyCPUMemoryScalers`) only checks these two kinds of targets.
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

/// The formula that replaces the triggers (`ValidateAndCompileScalingModifiers`); `None` without a
/// formula or a target.
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
            let problem = format!("another trigger has the name {name:?}");
            errors.push(&at_triggers.item(index).field("name"), problem);
        }
        // CPU and memory triggers go to the HPA directly.
        if !matches!(trigger.r#type.as_str(), "cpu" | "memory") {
            names.push(name.into());
        }
    }
    let mut milli = |field: &str, text: &str| milli(text, &path.field(field), errors);
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
        has_whole_target: target.parse::<i64>().is_ok(),
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

/// The pause settings in annotations.
fn pause(meta: &ObjectMeta, errors: &mut FieldErrors) -> Pause {
    const PREFIX: &str = "autoscaling.keda.sh/";
    let annotation =
        |name: &str| meta.annotations.get(&format!("{PREFIX}{name}")).map(|text| &**text);
    let pause = Pause::of(annotation);
    if pause.is_unreadable || pause.replicas.is_some_and(|replicas| replicas < 0) {
        let annotations = FieldPath::ROOT.field("metadata");
        let text = annotation("paused-replicas").unwrap_or_default();
        let at = annotations.field("annotations");
        let problem = format!("{text:?} is not a number of replicas");
        errors.push(&at.field(&format!("{PREFIX}paused-replicas")), problem);
    }
    pause
}

/// Defaulted like in an HPA, of which it becomes a part.
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
