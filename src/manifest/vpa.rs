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
    #[expect(dead_code, reason = "there is one recommender; here for the schema")]
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
