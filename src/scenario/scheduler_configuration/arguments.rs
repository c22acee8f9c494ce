//! `pluginConfig`: the arguments of plugins, by their names.

use k8s_openapi::api::core::v1 as core;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::typed;
use cluster::Name;
use manifest::constraints::{affinity, topology_spread};
use manifest::field::{FieldErrors, FieldPath};
use scheduler::framework::MAX_NODE_SCORE;
use scheduler::gpu::GpuRequest;
use scheduler::plugins::gpu_fragmentation::{Fragmentation, TypicalPod};
use scheduler::plugins::gpu_share::{self, DeviceSelection};
use scheduler::plugins::resource_allocation::{ResourceWeight, ScoringStrategy};
use scheduler::plugins::{self, PluginArguments};

/// Reads the arguments of one plugin into those of its profile.
pub(super) fn read(
    plugin: &str,
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let at = path.field("args");
    match plugin {
        "NodeResourcesFit" => resources_fit(args, &at, arguments, errors),
        "NodeResourcesBalancedAllocation" => balanced_allocation(args, &at, arguments, errors),
        "NodeAffinity" => node_affinity(args, &at, arguments, errors),
        "PodTopologySpread" => spread(args, &at, arguments, errors),
        "InterPodAffinity" => inter_pod_affinity(args, &at, arguments, errors),
        "DefaultPreemption" => preemption(args, &at, arguments, errors),
        gpu_share::NAME => gpu_sharing(args, &at, arguments, errors),
        "FGDScore" => fragmentation(args, &at, arguments, errors),
        // These have arguments that bear on nothing that is simulated.
        "VolumeBinding" | "DynamicResources" => {}
        other => {
            let known = plugins::find(other).is_some();
            let problem = if known { "takes no arguments" } else { "is not the name of a plugin" };
            errors.push(&path.field("name"), format!("{other:?} {problem}"));
        }
    }
}

/// Arguments with the `apiVersion` and `kind` that they may carry.
fn parse<T: DeserializeOwned>(
    args: &Value,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<T> {
    let mut args = args.clone();
    if let Some(fields) = args.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    typed(&args, path, errors)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GpuShareArgs {
    #[serde(default)]
    gpu_sel_method: Option<String>,
}

fn gpu_sharing(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<GpuShareArgs>(args, path, errors) else { return };
    arguments.gpu_share = match args.gpu_sel_method.as_deref() {
        None | Some("best") => DeviceSelection::Tightest,
        Some("worst") => DeviceSelection::Loosest,
        Some("random") => DeviceSelection::Random,
        Some("FGDScore") => DeviceSelection::Fragmentation,
        Some(other) => {
            let problem = format!("{other:?} is not one of best, worst, random, FGDScore");
            errors.push(&path.field("gpuSelMethod"), problem);
            return;
        }
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FragmentationArgs {
    #[serde(default)]
    typical_pods: Vec<TypicalPodArgs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypicalPodArgs {
    milli_cpu: i64,
    #[serde(default)]
    gpu_milli: i64,
    #[serde(default)]
    gpu_count: usize,
    #[serde(default)]
    gpu_models: Vec<String>,
    count: u32,
}

/// Typical pods with how often each comes; without them those of the manifests are taken.
fn fragmentation(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<FragmentationArgs>(args, path, errors) else { return };
    let all: f64 = args.typical_pods.iter().map(|pod| f64::from(pod.count)).sum();
    let typical = args.typical_pods.iter().filter(|pod| pod.count > 0).map(|pod| TypicalPod {
        milli_cpu: pod.milli_cpu,
        gpu: (pod.gpu_count > 0 && pod.gpu_milli > 0).then(|| GpuRequest {
            count: pod.gpu_count,
            milli_each: pod.gpu_milli,
            models: pod.gpu_models.join("|").into(),
        }),
        share: f64::from(pod.count) / all,
    });
    arguments.gpu_fragmentation = Fragmentation { typical: typical.collect() };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourcesFitArgs {
    #[serde(default)]
    ignored_resources: Vec<String>,
    #[serde(default)]
    ignored_resource_groups: Vec<String>,
    #[serde(default)]
    scoring_strategy: Option<Strategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    name: String,
    #[serde(default)]
    weight: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratio {
    shape: Vec<ShapePoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapePoint {
    utilization: i64,
    score: i64,
}

fn resources_fit(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<ResourcesFitArgs>(args, path, errors) else { return };
    let names = |names: &[String]| names.iter().map(|name| Name::from(name.as_str())).collect();
    let fit = &mut arguments.resources_fit;
    fit.ignored_resources = names(&args.ignored_resources);
    fit.ignored_resource_groups = names(&args.ignored_resource_groups);
    if let Some(given) = args.scoring_strategy {
        let at = path.field("scoringStrategy");
        fit.strategy = strategy(&given, &at, errors);
        if !given.resources.is_empty() {
            fit.resources = weights(&given.resources, &at.field("resources"), errors);
        }
    }
}

fn strategy(given: &Strategy, path: &FieldPath<'_>, errors: &mut FieldErrors) -> ScoringStrategy {
    match given.kind.as_str() {
        "LeastAllocated" => ScoringStrategy::LeastAllocated,
        "MostAllocated" => ScoringStrategy::MostAllocated,
        "RequestedToCapacityRatio" => {
            let shape = given.requested_to_capacity_ratio.as_ref().map(|ratio| &ratio.shape);
            let shape = shape.map_or(&[][..], Vec::as_slice);
            let at = path.field("requestedToCapacityRatio");
            ScoringStrategy::RequestedToCapacityRatio(points(shape, &at.field("shape"), errors))
        }
        other => {
            let problem = format!(
                "{other:?} is not one of LeastAllocated, MostAllocated, RequestedToCapacityRatio"
            );
            errors.push(&path.field("type"), problem);
            ScoringStrategy::LeastAllocated
        }
    }
}

/// The points of a shape; its scores from 0 to 10 are stretched to those of nodes.
fn points(shape: &[ShapePoint], path: &FieldPath<'_>, errors: &mut FieldErrors) -> Vec<(i64, i64)> {
    const MAX_CUSTOM_PRIORITY_SCORE: i64 = 10;
    if shape.is_empty() {
        errors.push(path, "must hold at least one point");
    }
    let ascends = shape.windows(2).all(|pair| pair[0].utilization < pair[1].utilization);
    if !ascends {
        errors.push(path, "must be sorted by utilization, each greater than the one before");
    }
    for (position, point) in shape.iter().enumerate() {
        let is_valid = (0..=100).contains(&point.utilization)
            && (0..=MAX_CUSTOM_PRIORITY_SCORE).contains(&point.score);
        if !is_valid {
            let problem = "utilization must be from 0 to 100 and score from 0 to 10";
            errors.push(&path.item(position), problem);
        }
    }
    let stretch = MAX_NODE_SCORE / MAX_CUSTOM_PRIORITY_SCORE;
    shape.iter().map(|point| (point.utilization, point.score * stretch)).collect()
}

fn weights(
    resources: &[Resource],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<ResourceWeight> {
    let mut weights = Vec::with_capacity(resources.len());
    for (position, resource) in resources.iter().enumerate() {
        // The API takes 0 for a weight that is not given.
        let weight = if resource.weight == 0 { 1 } else { resource.weight };
        if !(1..=100).contains(&weight) {
            let at = path.item(position);
            errors.push(&at.field("weight"), format!("{weight} must be from 1 to 100"));
        }
        weights.push(ResourceWeight { name: Name::from(resource.name.as_str()), weight });
    }
    weights
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BalancedAllocationArgs {
    #[serde(default)]
    resources: Vec<Resource>,
}

fn balanced_allocation(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<BalancedAllocationArgs>(args, path, errors) else { return };
    if !args.resources.is_empty() {
        let at = path.field("resources");
        for (position, resource) in args.resources.iter().enumerate() {
            // The API takes 0 for a weight that is not given.
            if !(0..=1).contains(&resource.weight) {
                errors.push(&at.item(position).field("weight"), "must be 1");
            }
            if args.resources[..position].iter().any(|other| other.name == resource.name) {
                let problem = format!("{:?} comes twice", resource.name);
                errors.push(&at.item(position).field("name"), problem);
            }
        }
        arguments.balanced_allocation.resources = weights(&args.resources, &at, errors);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NodeAffinityArgs {
    #[serde(default)]
    added_affinity: Option<core::NodeAffinity>,
}

fn node_affinity(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<NodeAffinityArgs>(args, path, errors) else { return };
    let Some(added) = args.added_affinity else { return };
    let given = core::Affinity { node_affinity: Some(added), ..core::Affinity::default() };
    let lowered = affinity(&given, &path.field("addedAffinity"), errors);
    arguments.node_affinity.added_required = lowered.required_node;
    arguments.node_affinity.added_preferred = lowered.preferred_node;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopologySpreadArgs {
    #[serde(default)]
    default_constraints: Vec<core::TopologySpreadConstraint>,
    #[serde(default)]
    defaulting_type: Option<String>,
}

fn spread(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<TopologySpreadArgs>(args, path, errors) else { return };
    let at = path.field("defaultingType");
    let choices = [("System", true), ("List", false)];
    let is_system_default = errors.choose(args.defaulting_type.as_deref(), &choices, &at);
    let path = path.field("defaultConstraints");
    if is_system_default {
        if !args.default_constraints.is_empty() {
            errors.push(&path, "can only be given together with defaultingType List");
        }
        return;
    }
    let mut constraints = Vec::with_capacity(args.default_constraints.len());
    for (position, given) in args.default_constraints.iter().enumerate() {
        let at = path.item(position);
        if given.label_selector.is_some() {
            let problem = "must not be given: it follows from the pod's Services and owner";
            errors.push(&at.field("labelSelector"), problem);
        }
        constraints.push(topology_spread(given, &at, errors));
    }
    let spread = &mut arguments.topology_spread;
    spread.is_system_default = false;
    spread.default_constraints = constraints;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InterPodAffinityArgs {
    #[serde(default)]
    hard_pod_affinity_weight: Option<i64>,
    #[serde(default)]
    ignore_preferred_terms_of_existing_pods: bool,
}

fn inter_pod_affinity(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<InterPodAffinityArgs>(args, path, errors) else { return };
    let plugin = &mut arguments.inter_pod_affinity;
    plugin.ignores_preferred_terms_of_existing_pods = args.ignore_preferred_terms_of_existing_pods;
    if let Some(weight) = args.hard_pod_affinity_weight {
        if !(0..=100).contains(&weight) {
            errors.push(&path.field("hardPodAffinityWeight"), "must be from 0 to 100");
        }
        plugin.hard_pod_affinity_weight = weight;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PreemptionArgs {
    #[serde(default)]
    min_candidate_nodes_percentage: Option<usize>,
    #[serde(default)]
    min_candidate_nodes_absolute: Option<usize>,
}

fn preemption(
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let Some(args) = parse::<PreemptionArgs>(args, path, errors) else { return };
    let given = &mut arguments.preemption;
    if let Some(percentage) = args.min_candidate_nodes_percentage {
        if percentage > 100 {
            errors.push(&path.field("minCandidateNodesPercentage"), "must be from 0 to 100");
        }
        given.min_candidate_nodes_percentage = percentage;
    }
    if let Some(nodes) = args.min_candidate_nodes_absolute {
        given.min_candidate_nodes_absolute = nodes;
    }
    if given.min_candidate_nodes_percentage == 0 && given.min_candidate_nodes_absolute == 0 {
        let problem = "must not be 0 together with minCandidateNodesPercentage";
        errors.push(&path.field("minCandidateNodesAbsolute"), problem);
    }
}
