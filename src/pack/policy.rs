//! The built-in named policies, in addition to KubeSchedulerConfiguration files.

use cluster::Name;
use scheduler::SchedulerConfiguration;
use scheduler::framework::PluginName;
use scheduler::plugins::ExtensionPoint;
use scheduler::plugins::gpu_share::{self, DeviceSelection};
use scheduler::plugins::resource_allocation::ScoringStrategy;
use scheduler::profile::{PluginSet, ProfileConfiguration};

/// A scheduler's configuration under a name.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name shown in the report.
    pub name: String,
    /// Profiles and plugins, as in a KubeSchedulerConfiguration.
    pub configuration: SchedulerConfiguration,
}

/// The policies that have a name, each with a description.
pub const NAMED: &[(&str, &str)] = &[
    ("default", "kube-scheduler's default profile"),
    (
        "most-allocated",
        "the default profile with NodeResourcesFit's MostAllocated and no spreading",
    ),
    ("random", "GPU sharing; random node and device"),
    ("best-fit", "GPU sharing; least remaining CPU and GPU"),
    ("dot-product", "GPU sharing; least alignment of free resources with the request"),
    ("gpu-packing", "GPU sharing; shared devices before idle ones before idle nodes"),
    ("gpu-clustering", "GPU sharing; next to pods of the same kind"),
    ("fgd", "GPU sharing; Fragmentation Gradient Descent"),
];

/// The configuration of a named policy; `None` if none has this name.
pub fn named(name: &str) -> Option<SchedulerConfiguration> {
    let sharing = |score, devices| Some(gpu_sharing(score, devices));
    match name {
        "default" => Some(SchedulerConfiguration::default()),
        "most-allocated" => Some(most_allocated()),
        "random" => sharing("RandomScore", DeviceSelection::Random),
        "best-fit" => sharing("BestFitScore", DeviceSelection::Tightest),
        "dot-product" => sharing("DotProductScore", DeviceSelection::Tightest),
        "gpu-packing" => sharing("GpuPackingScore", DeviceSelection::Tightest),
        "gpu-clustering" => sharing("GpuClusteringScore", DeviceSelection::Tightest),
        "fgd" => sharing("FGDScore", DeviceSelection::Fragmentation),
        _ => None,
    }
}

/// The default filters with GPU sharing, one score, and every node scored: as the experiments of Weng
/// et al. (USENIX ATC 2023) are set up.
fn gpu_sharing(score: PluginName, devices: DeviceSelection) -> SchedulerConfiguration {
    let set = |enabled: &[&str], disabled: &[&str]| PluginSet {
        enabled: enabled.iter().map(|name| (Name::from(*name), 1)).collect(),
        disabled: disabled.iter().map(|name| Name::from(*name)).collect(),
    };
    let mut profile = ProfileConfiguration {
        multi_point: set(&[gpu_share::NAME], &[]),
        points: vec![(ExtensionPoint::Score, set(&[score], &["*"]))],
        percentage_of_nodes_to_score: Some(100),
        ..ProfileConfiguration::default()
    };
    profile.arguments.gpu_share = devices;
    SchedulerConfiguration { profiles: vec![profile], ..SchedulerConfiguration::default() }
}

fn most_allocated() -> SchedulerConfiguration {
    let spreading = ["PodTopologySpread", "NodeResourcesBalancedAllocation"];
    let disabled = PluginSet { disabled: spreading.map(Name::from).into(), ..PluginSet::default() };
    let mut profile = ProfileConfiguration {
        points: vec![(ExtensionPoint::Score, disabled)],
        ..ProfileConfiguration::default()
    };
    profile.arguments.resources_fit.strategy = ScoringStrategy::MostAllocated;
    SchedulerConfiguration { profiles: vec![profile], ..SchedulerConfiguration::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_policy_makes_sense_to_the_scheduler() {
        for (name, _) in NAMED {
            let configuration = named(name).expect("it is listed");
            assert!(configuration.resolve().is_ok(), "{name}");
        }
        assert!(named("worst-fit").is_none());
    }
}
