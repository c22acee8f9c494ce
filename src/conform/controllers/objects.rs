//! The objects of the golden cases, from their JSON. They are few kinds with few fields, so that
//! what a case does not use is not read.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use cluster::deployment::{DeploymentSpec, DeploymentStrategy, IntOrPercent};
use cluster::node::Taint;
use cluster::pod_template::{
    Container, PodSpec, PodTemplate, RestartPolicy, TaintEffect, Toleration, TolerationOperator,
};
use cluster::policy::{Budget, PodDisruptionBudget, PodDisruptionBudgetStatus};
use cluster::selector::Selector;
use cluster::{Action, Labels, Name, ObjectMeta};
use engine::SimDuration;
use manifest::{Diagnostics, Object, Source, admit, read_manifests};

/// Reads a typed object.
pub(super) fn typed<T: DeserializeOwned>(document: &Value) -> Result<T, String> {
    serde_json::from_value(document.clone()).map_err(|error| error.to_string())
}

/// `kind` and `metadata.name` of a document.
pub(super) fn identity(document: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&document["kind"]), text(&document["metadata"]["name"]))
}

/// Name, labels and annotations.
pub(super) fn object_meta(meta: &meta::ObjectMeta) -> ObjectMeta {
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    let mut object = ObjectMeta::new(namespace, name);
    object.labels = labels(meta.labels.as_ref());
    object.annotations = labels(meta.annotations.as_ref());
    object
}

/// A Deployment's spec with the API server's defaults.
pub(super) fn deployment_spec(deployment: &apps::Deployment) -> Result<DeploymentSpec, String> {
    let spec = deployment.spec.as_ref().ok_or("a Deployment has a spec")?;
    let strategy = spec.strategy.as_ref();
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrPercent::Percent(25);
    let limit = |value: Option<&IntOrString>| value.map_or(Ok(quarter), int_or_percent);
    let strategy = match strategy.and_then(|strategy| strategy.type_.as_deref()) {
        Some("Recreate") => DeploymentStrategy::Recreate,
        _ => DeploymentStrategy::RollingUpdate {
            max_surge: limit(rolling.and_then(|rolling| rolling.max_surge.as_ref()))?,
            max_unavailable: limit(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()))?,
        },
    };
    Ok(DeploymentSpec {
        replicas: spec.replicas.unwrap_or(1),
        selector: selector(&spec.selector),
        template: pod_template(&spec.template),
        strategy,
        min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
        revision_history_limit: spec.revision_history_limit.unwrap_or(10),
        paused: spec.paused.unwrap_or(false),
        progress_deadline_seconds: spec.progress_deadline_seconds.unwrap_or(600),
    })
}

/// The action that creates an object, which goes the way of every manifest.
pub(super) fn creation(document: &Value) -> Result<Action, String> {
    let source = Source::new("case", document.to_string());
    let mut problems = Diagnostics::default();
    let loaded = admit(read_manifests(&[source], &mut problems));
    problems.append(loaded.diagnostics);
    if problems.has_errors() {
        return Err(problems.to_string());
    }
    let action = loaded.objects.into_iter().next().and_then(Object::into_action);
    action.ok_or_else(|| format!("{} is not replayed", identity(document).0))
}

/// A PodDisruptionBudget.
pub(super) fn disruption_budget(
    budget: &policy::PodDisruptionBudget,
) -> Result<PodDisruptionBudget, String> {
    let spec = budget.spec.as_ref().ok_or("a PodDisruptionBudget has a spec")?;
    let limit = match (&spec.min_available, &spec.max_unavailable) {
        (_, Some(number)) => Budget::MaxUnavailable(int_or_percent(number)?),
        (Some(number), None) => Budget::MinAvailable(int_or_percent(number)?),
        (None, None) => return Err("a PodDisruptionBudget has a limit".to_owned()),
    };
    Ok(PodDisruptionBudget {
        meta: object_meta(&budget.metadata),
        selector: spec.selector.as_ref().map(selector),
        budget: limit,
        always_allows_unhealthy: spec.unhealthy_pod_eviction_policy.as_deref()
            == Some("AlwaysAllow"),
        generation: 1,
        status: PodDisruptionBudgetStatus::default(),
    })
}

/// `maxSurge` and its like.
pub(super) fn int_or_percent(value: &IntOrString) -> Result<IntOrPercent, String> {
    match value {
        IntOrString::Int(number) => Ok(IntOrPercent::Int(*number)),
        IntOrString::String(text) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse().ok())
            .map(IntOrPercent::Percent)
            .ok_or_else(|| format!("\"{text}\" is neither a number nor a percentage")),
    }
}

/// A selector by `matchLabels`.
pub(super) fn selector(selector: &meta::LabelSelector) -> Selector {
    Selector::from_labels(&labels(selector.match_labels.as_ref()))
}

fn labels(labels: Option<&std::collections::BTreeMap<String, String>>) -> Labels {
    labels.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// A pod template.
pub(super) fn pod_template(template: &core::PodTemplateSpec) -> PodTemplate {
    let meta = template.metadata.as_ref();
    PodTemplate {
        labels: labels(meta.and_then(|meta| meta.labels.as_ref())),
        annotations: labels(meta.and_then(|meta| meta.annotations.as_ref())),
        spec: template.spec.as_ref().map(pod_spec).unwrap_or_default(),
    }
}

/// A pod's spec with the tolerations that admission adds.
pub(super) fn pod_spec(spec: &core::PodSpec) -> PodSpec {
    let containers = spec.containers.iter().map(|container| Container {
        name: container.name.as_str().into(),
        image: container.image.as_deref().unwrap_or_default().into(),
        ..Container::default()
    });
    let grace = spec.termination_grace_period_seconds.unwrap_or(30);
    PodSpec {
        containers: containers.collect(),
        restart_policy: match spec.restart_policy.as_deref() {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        },
        termination_grace_period: SimDuration::from_secs(grace),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
        ..PodSpec::default()
    }
}

fn toleration(toleration: &core::Toleration) -> Toleration {
    let text = |value: Option<&String>| Name::from(value.map_or("", String::as_str));
    Toleration {
        key: text(toleration.key.as_ref()),
        operator: match toleration.operator.as_deref() {
            Some("Exists") => TolerationOperator::Exists,
            _ => TolerationOperator::Equal,
        },
        value: text(toleration.value.as_ref()),
        effect: toleration.effect.as_deref().and_then(taint_effect),
        toleration_seconds: toleration.toleration_seconds,
    }
}

fn taint_effect(effect: &str) -> Option<TaintEffect> {
    match effect {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

/// A node's taint.
pub(super) fn taint(taint: &core::Taint) -> Option<Taint> {
    Some(Taint {
        key: taint.key.as_str().into(),
        value: taint.value.as_deref().unwrap_or_default().into(),
        effect: taint_effect(&taint.effect)?,
        time_added: None,
    })
}

/// A node's taint as the API writes it.
pub(super) fn taint_json(taint: &Taint) -> Value {
    let effect = match taint.effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    json!({ "key": taint.key.as_ref(), "value": taint.value.as_ref(), "effect": effect })
}

/// RFC 7386: what `patch` says replaces what is there, null removes.
pub(super) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, change) in changes {
        if change.is_null() {
            if let Some(fields) = target.as_object_mut() {
                fields.shift_remove(key);
            }
        } else {
            merge_patch(&mut target[key.as_str()], change);
        }
    }
}
