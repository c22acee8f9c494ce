//! VerticalPodAutoscaler (`autoscaling.k8s.io/v1`): its fields, and the simulated ones among them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;

use super::definitions::{ObjectMetaFields, QuantityFields};
use super::field::{FieldErrors, FieldPath};
use super::resources::resource_list;
use cluster::hpa::ObjectReference;
use cluster::vpa::{ContainerPolicy, EvictionRequirement, UpdateMode, VpaSpec};
use engine::SimDuration;
use units::Quantity;

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerticalPodAutoscaler {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    spec: WrittenSpec,
    #[expect(dead_code, reason = "the recommender's; here for the schema")]
    status: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "VerticalPodAutoscalerSpec")]
struct WrittenSpec {
    target_ref: TargetRef,
    update_policy: Option<PodUpdatePolicy>,
    resource_policy: Option<PodResourcePolicy>,
    recommenders: Option<Vec<BTreeMap<String, String>>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TargetRef {
    api_version: Option<String>,
    kind: String,
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PodUpdatePolicy {
    update_mode: Option<String>,
    min_replicas: Option<i32>,
    eviction_requirements: Option<Vec<WrittenRequirement>>,
    #[serde(rename = "evictAfterOOMSeconds")]
    evict_after_oom_seconds: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EvictionRequirement")]
struct WrittenRequirement {
    resources: Vec<String>,
    change_requirement: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PodResourcePolicy {
    container_policies: Option<Vec<ContainerResourcePolicy>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ContainerResourcePolicy {
    container_name: Option<String>,
    mode: Option<String>,
    #[schemars(with = "Option<BTreeMap<String, QuantityFields>>")]
    min_allowed: Option<BTreeMap<String, ApiQuantity>>,
    #[schemars(with = "Option<BTreeMap<String, QuantityFields>>")]
    max_allowed: Option<BTreeMap<String, ApiQuantity>>,
    controlled_resources: Option<Vec<String>>,
    controlled_values: Option<String>,
}

/// The spec, defaulted. `Auto` currently behaves like `Recreate`.
pub(super) fn vpa_spec(object: &VerticalPodAutoscaler, errors: &mut FieldErrors) -> VpaSpec {
    let spec = &object.spec;
    let path = FieldPath::ROOT.field("spec");
    let mut rules = FieldErrors::default();
    validate(spec, &path, &mut rules);
    errors.append_rules(rules);
    let policy = spec.update_policy.as_ref();
    let modes = [
        ("Off", UpdateMode::Off),
        ("Initial", UpdateMode::Initial),
        ("Recreate", UpdateMode::Recreate),
        ("InPlaceOrRecreate", UpdateMode::InPlaceOrRecreate),
        ("InPlace", UpdateMode::InPlace),
        ("Auto", UpdateMode::Recreate),
    ];
    let at_policy = path.field("updatePolicy");
    let mode = policy.and_then(|policy| policy.update_mode.as_deref());
    let mode = errors.chosen(mode, &modes, &at_policy.field("updateMode"));
    let at_resources = path.field("resourcePolicy");
    let at_list = at_resources.field("containerPolicies");
    let written = spec.resource_policy.as_ref().and_then(|one| one.container_policies.as_ref());
    let policies = written.into_iter().flatten().enumerate();
    let at_requirements = at_policy.field("evictionRequirements");
    let requirements = policy.and_then(|policy| policy.eviction_requirements.as_ref());
    let requirements = requirements.into_iter().flatten().enumerate();
    VpaSpec {
        target: ObjectReference {
            api_version: spec.target_ref.api_version.as_deref().unwrap_or_default().into(),
            kind: spec.target_ref.kind.as_str().into(),
            name: spec.target_ref.name.as_str().into(),
        },
        mode: mode.unwrap_or(UpdateMode::Recreate),
        min_replicas: policy.and_then(|policy| policy.min_replicas),
        policies: policies
            .map(|(index, policy)| container_policy(policy, &at_list.item(index), errors))
            .collect(),
        eviction_requirements: policy.map(|_| {
            let read =
                |(index, one)| eviction_requirement(one, &at_requirements.item(index), errors);
            requirements.map(read).collect()
        }),
        evict_after_oom: policy
            .and_then(|policy| policy.evict_after_oom_seconds)
            .map(|seconds| SimDuration::from_secs(seconds.into())),
    }
}

/// The rules of the admission controller (`ValidateVPA` in `pkg/admission-controller/resource/vpa/handler.go`, 1.6), with the
/// fields that its messages mean.
fn validate(spec: &WrittenSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(policy) = &spec.update_policy {
        let at = path.field("updatePolicy");
        if policy.update_mode.is_none() {
            errors.required(
                &at.field("updateMode"),
                "updateMode is required if UpdatePolicy is used",
            );
        }
        if let Some(replicas) = policy.min_replicas.filter(|replicas| *replicas <= 0) {
            errors.invalid(&at.field("minReplicas"), replicas, "minReplicas has to be positive");
        }
    }
    let at = path.field("resourcePolicy");
    let list = at.field("containerPolicies");
    let policies = spec.resource_policy.as_ref().and_then(|one| one.container_policies.as_ref());
    for (index, policy) in policies.into_iter().flatten().enumerate() {
        let at = list.item(index);
        if policy.container_name.as_deref().is_none_or(str::is_empty) {
            errors.required(&at.field("containerName"), "");
        }
        let amounts = |list: &Option<BTreeMap<String, ApiQuantity>>| -> Vec<(String, Quantity)> {
            // What is no quantity is reported elsewhere.
            let read =
                |(name, text): (&String, &ApiQuantity)| Some((name.clone(), text.0.parse().ok()?));
            list.iter().flatten().filter_map(read).collect()
        };
        let (least, most) = (amounts(&policy.min_allowed), amounts(&policy.max_allowed));
        for (field, list) in [("minAllowed", &least), ("maxAllowed", &most)] {
            for (name, amount) in list {
                let (nanos, rule) = match name.as_str() {
                    "cpu" => (1_000_000, "must be a whole number of milli CPUs"),
                    "memory" => (1_000_000_000, "must be a whole number of bytes"),
                    _ => continue,
                };
                if amount.nanos() % nanos != 0 {
                    errors.invalid(&at.field(field).key(name), amount.to_string(), rule);
                }
            }
        }
        for (name, least) in &least {
            if most.iter().any(|(other, most)| other == name && most < least) {
                let rule = format!("max resource for {name} is lower than min");
                errors.invalid(&at.field("maxAllowed").key(name), least.to_string(), rule);
            }
        }
        let is_off = policy.mode.as_deref() == Some("Off");
        if is_off && policy.controlled_values.as_deref() == Some("RequestsAndLimits") {
            let rule = "controlledValues shouldn't be specified if container scaling mode is off";
            errors.invalid(&at.field("controlledValues"), "RequestsAndLimits", rule);
        }
    }
    if spec.recommenders.as_ref().is_some_and(|all| all.len() > 1) {
        let rule = "the current version of VPA object shouldn't specify more than one recommenders";
        errors.invalid(&path.field("recommenders"), "", rule);
    }
}

fn eviction_requirement(
    written: &WrittenRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> EvictionRequirement {
    let directions = [("TargetHigherThanRequests", true), ("TargetLowerThanRequests", false)];
    let at_change = path.field("changeRequirement");
    let written_change = Some(written.change_requirement.as_str());
    let has = |name: &str| written.resources.iter().any(|resource| resource == name);
    let at_resources = path.field("resources");
    for (index, resource) in written.resources.iter().enumerate() {
        if !matches!(resource.as_str(), "cpu" | "memory") {
            let problem = format!("{resource:?} is not recommended; write cpu or memory");
            errors.push(&at_resources.item(index), problem);
        }
    }
    EvictionRequirement {
        cpu: has("cpu"),
        memory: has("memory"),
        higher: errors.choose(written_change, &directions, &at_change),
    }
}

fn container_policy(
    written: &ContainerResourcePolicy,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ContainerPolicy {
    let modes = [("Auto", false), ("Off", true)];
    let is_off = errors.choose(written.mode.as_deref(), &modes, &path.field("mode"));
    let values = [("RequestsAndLimits", false), ("RequestsOnly", true)];
    let at_values = path.field("controlledValues");
    let requests_only = errors.choose(written.controlled_values.as_deref(), &values, &at_values);
    let controlled = written.controlled_resources.as_ref();
    let controls = |name: &str| controlled.is_none_or(|list| list.iter().any(|one| one == name));
    let mut amounts = |list: &Option<BTreeMap<String, ApiQuantity>>, field| {
        resource_list(list.as_ref(), &path.field(field), errors)
    };
    ContainerPolicy {
        container: written.container_name.as_deref().unwrap_or("*").into(),
        is_off,
        requests_only,
        controls_cpu: controls("cpu"),
        controls_memory: controls("memory"),
        min_allowed: amounts(&written.min_allowed, "minAllowed"),
        max_allowed: amounts(&written.max_allowed, "maxAllowed"),
    }
}
