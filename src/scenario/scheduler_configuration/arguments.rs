//! `pluginConfig`: the arguments of plugins, by their names.

use k8s_openapi::api::core::v1 as core;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::typed;
use crate::read::drop_empty_fields;
use cluster::Name;
use manifest::constraints::{affinity, topology_spread};
use manifest::field::{FieldErrors, FieldPath};
use scheduler::framework::MAX_NODE_SCORE;
use scheduler::gpu::GpuRequest;
use scheduler::plugins::gpu_fragmentation::{Fragmentation, TypicalPod};
use scheduler::plugins::gpu_share::{self, DeviceSelection};
use scheduler::plugins::inter_pod_affinity::InterPodAffinity;
use scheduler::plugins::resource_allocation::{ResourceWeight, ScoringStrategy};
use scheduler::plugins::{self, PluginArguments};
use scheduler::preemption::PreemptionArguments;

/// Reads the arguments of one plugin into those of its profile.
pub(super) fn read(
    plugin: &str,
    args: &Value,
    path: &FieldPath<'_>,
    arguments: &mut PluginArguments,
    errors: &mut FieldErrors,
) {
    let at = path.field("args");
    let mut reader = Reader { args, at: &at, arguments, errors };
    let problem = match plugin {
        "NodeResourcesFit" => return reader.resources_fit(),
        "NodeResourcesBalancedAllocation" => return reader.balanced_allocation(),
        "NodeAffinity" => return reader.node_affinity(),
        "PodTopologySpread" => return reader.spread(),
        "InterPodAffinity" => return reader.inter_pod_affinity(),
        "DefaultPreemption" => return reader.preemption(),
        gpu_share::NAME => return reader.gpu_sharing(),
        "FGDScore" => return reader.fragmentation(),
        // The arguments of these plugins affect nothing that is simulated.
        "VolumeBinding" | "DynamicResources" => return,
        other if plugins::find(other).is_some() => "takes no arguments",
        _ => "is not the name of a plugin",
    };
    errors.push(&path.field("name"), format!("{plugin:?} {problem}"));
}

/// The arguments of one plugin.
struct Reader<'a> {
    args: &'a Value,
    at: &'a FieldPath<'a>,
    arguments: &'a mut PluginArguments,
    errors: &'a mut FieldErrors,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GpuShareArgs {
    gpu_sel_method: Option<DeviceSelection>,
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ResourcesFitArgs {
    ignored_resources: Vec<Name>,
    ignored_resource_groups: Vec<Name>,
    scoring_strategy: Option<Strategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strategy {
    #[serde(rename = "type")]
    kind: StrategyKind,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    requested_to_capacity_ratio: Ratio,
}

#[derive(Deserialize)]
enum StrategyKind {
    LeastAllocated,
    MostAllocated,
    RequestedToCapacityRatio,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    name: Name,
    #[serde(default)]
    weight: i64,
}

#[derive(Default, Deserialize)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BalancedAllocationArgs {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NodeAffinityArgs {
    added_affinity: Option<core::NodeAffinity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopologySpreadArgs {
    #[serde(default)]
    default_constraints: Vec<core::TopologySpreadConstraint>,
    defaulting_type: Option<String>,
}

impl Reader<'_> {
    /// The arguments without `apiVersion` and `kind`, which they may contain.
    fn parse<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut args = self.args.clone();
        if let Some(fields) = args.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        drop_empty_fields(&mut args);
        typed(&args, self.at, self.errors)
    }

    fn gpu_sharing(&mut self) {
        let Some(args) = self.parse::<GpuShareArgs>() else { return };
        self.arguments.gpu_share = args.gpu_sel_method.unwrap_or_default();
    }

    /// Typical pods with their frequencies; without them those of the manifests are used.
    fn fragmentation(&mut self) {
        let Some(args) = self.parse::<FragmentationArgs>() else { return };
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
        self.arguments.gpu_fragmentation = Fragmentation { typical: typical.collect() };
    }

    fn resources_fit(&mut self) {
        let Some(args) = self.parse::<ResourcesFitArgs>() else { return };
        let fit = &mut self.arguments.resources_fit;
        fit.ignored_resources = args.ignored_resources;
        fit.ignored_resource_groups = args.ignored_resource_groups;
        let Some(given) = args.scoring_strategy else { return };
        let at = self.at.field("scoringStrategy");
        fit.strategy = match given.kind {
            StrategyKind::LeastAllocated => ScoringStrategy::LeastAllocated,
            StrategyKind::MostAllocated => ScoringStrategy::MostAllocated,
            StrategyKind::RequestedToCapacityRatio => {
                let at = at.field("requestedToCapacityRatio");
                let shape = &given.requested_to_capacity_ratio.shape;
                let points = points(shape, &at.field("shape"), self.errors);
                ScoringStrategy::RequestedToCapacityRatio(points)
            }
        };
        if !given.resources.is_empty() {
            fit.resources = weights(&given.resources, &at.field("resources"), self.errors);
        }
    }

    fn balanced_allocation(&mut self) {
        let Some(args) = self.parse::<BalancedAllocationArgs>() else { return };
        if args.resources.is_empty() {
            return;
        }
        let at = self.at.field("resources");
        for (position, resource) in args.resources.iter().enumerate() {
            // The API treats a weight of 0 as absent.
            if !(0..=1).contains(&resource.weight) {
                self.errors.push(&at.item(position).field("weight"), "must be 1");
            }
            if args.resources[..position].iter().any(|other| other.name == resource.name) {
                let problem = format!("{:?} comes twice", resource.name);
                self.errors.push(&at.item(position).field("name"), problem);
            }
        }
        self.arguments.balanced_allocation.resources = weights(&args.resources, &at, self.errors);
    }

    fn node_affinity(&mut self) {
        let Some(args) = self.parse::<NodeAffinityArgs>() else { return };
        let Some(added) = args.added_affinity else { return };
        let given = core::Affinity { node_affinity: Some(added), ..core::Affinity::default() };
        let lowered = affinity(&given, &self.at.field("addedAffinity"), self.errors);
        self.arguments.node_affinity.added_required = lowered.required_node;
        self.arguments.node_affinity.added_preferred = lowered.preferred_node;
    }

    fn spread(&mut self) {
        let Some(args) = self.parse::<TopologySpreadArgs>() else { return };
        let at = self.at.field("defaultingType");
        let choices = [("System", true), ("List", false)];
        let written = args.defaulting_type.as_deref();
        let is_system_default = self.errors.choose(written, &choices, &at);
        let path = self.at.field("defaultConstraints");
        if is_system_default {
            if !args.default_constraints.is_empty() {
                self.errors.push(&path, "can only be set together with defaultingType List");
            }
            return;
        }
        let mut constraints = Vec::with_capacity(args.default_constraints.len());
        for (position, given) in args.default_constraints.iter().enumerate() {
            let at = path.item(position);
            if given.label_selector.is_some() {
                let problem = "must not be set: it follows from the pod's Services and owner";
                self.errors.push(&at.field("labelSelector"), problem);
            }
            constraints.push(topology_spread(given, &at, self.errors));
        }
        let spread = &mut self.arguments.topology_spread;
        spread.is_system_default = false;
        spread.default_constraints = constraints;
    }

    fn inter_pod_affinity(&mut self) {
        let Some(args) = self.parse::<InterPodAffinity>() else { return };
        if !(0..=100).contains(&args.hard_pod_affinity_weight) {
            self.errors.push(&self.at.field("hardPodAffinityWeight"), "must be from 0 to 100");
        }
        self.arguments.inter_pod_affinity = args;
    }

    fn preemption(&mut self) {
        let Some(args) = self.parse::<PreemptionArguments>() else { return };
        if args.min_candidate_nodes_percentage > 100 {
            let at = self.at.field("minCandidateNodesPercentage");
            self.errors.push(&at, "must be from 0 to 100");
        }
        if args.min_candidate_nodes_percentage == 0 && args.min_candidate_nodes_absolute == 0 {
            let problem = "must not be 0 together with minCandidateNodesPercentage";
            self.errors.push(&self.at.field("minCandidateNodesAbsolute"), problem);
        }
        self.arguments.preemption = args;
    }
}

/// The points of a shape; its scores from 0 to 10 are scaled to the range of node scores.
fn points(shape: &[ShapePoint], path: &FieldPath<'_>, errors: &mut FieldErrors) -> Vec<(i64, i64)> {
    const MAX_CUSTOM_PRIORITY_SCORE: i64 = 10;
    if shape.is_empty() {
        errors.push(path, "must contain at least one point");
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
        // The API treats a weight of 0 as absent.
        let weight = if resource.weight == 0 { 1 } else { resource.weight };
        if !(1..=100).contains(&weight) {
            let at = path.item(position);
            errors.push(&at.field("weight"), format!("{weight} must be from 1 to 100"));
        }
        weights.push(ResourceWeight { name: resource.name.clone(), weight });
    }
    weights
}
