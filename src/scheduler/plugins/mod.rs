//! The plugins: one file each, and the list of them.

pub mod balanced_allocation;
mod class_memo;
pub(crate) mod dynamic_resources;
pub mod gpu_fragmentation;
mod gpu_scores;
pub mod gpu_share;
mod image_locality;
pub mod inter_pod_affinity;
mod inter_pod_affinity_score;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
mod node_unschedulable;
mod node_volume_limits;
pub mod resource_allocation;
pub mod resources_fit;
pub mod taint_toleration;
pub mod topology_spread;
mod topology_spread_filter;
mod topology_spread_score;
mod volume_zone;
pub mod volumes;

use std::sync::Arc;

use super::framework::{FilterPlugin, PluginName, ReservePlugin, ScorePlugin};
use super::preemption::PreemptionArguments;
use gpu_scores::GpuPolicy;

/// Extension points at which plugins can be switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtensionPoint {
    /// May keep a pod out of the queue.
    PreEnqueue,
    /// Orders the queue.
    QueueSort,
    /// Examines the pod before any node.
    PreFilter,
    /// Rejects nodes.
    Filter,
    /// Helps where no node does.
    PostFilter,
    /// Examines the feasible nodes as a whole.
    PreScore,
    /// Scores nodes.
    Score,
    /// Reserves resources before binding.
    Reserve,
    /// May hold a binding back.
    Permit,
    /// Runs before binding.
    PreBind,
    /// Binds.
    Bind,
    /// Is notified of the binding.
    PostBind,
}

/// Arguments of all plugins of a profile.
#[derive(Clone, Debug, Default)]
pub struct PluginArguments {
    /// `NodeResourcesFitArgs`.
    pub resources_fit: resources_fit::NodeResourcesFit,
    /// `NodeResourcesBalancedAllocationArgs`.
    pub balanced_allocation: balanced_allocation::BalancedAllocation,
    /// `NodeAffinityArgs`.
    pub node_affinity: node_affinity::NodeAffinity,
    /// `PodTopologySpreadArgs`.
    pub topology_spread: topology_spread::TopologySpread,
    /// `InterPodAffinityArgs`.
    pub inter_pod_affinity: inter_pod_affinity::InterPodAffinity,
    /// `DefaultPreemptionArgs`.
    pub preemption: PreemptionArguments,
    /// Arguments of `Open-Gpu-Share`.
    pub gpu_share: gpu_share::DeviceSelection,
    /// Arguments of `FGDScore`.
    pub gpu_fragmentation: gpu_fragmentation::Fragmentation,
}

/// A plugin that profiles can name.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// Plugin name, as in a KubeSchedulerConfiguration.
    pub name: PluginName,
    /// The extension points that it implements.
    pub points: &'static [ExtensionPoint],
    /// Its weight in the default profile; absent = not part of it.
    pub default_weight: Option<i64>,
    /// Makes its part at PreFilter and Filter, if that can reject anything here.
    pub filter: Option<MakeFilter>,
    /// Makes its part at PreScore and Score.
    pub score: Option<MakeScore>,
    /// Makes its part at Reserve, if that decides anything here.
    pub reserve: Option<MakeReserve>,
}

/// Makes a plugin's part that filters from its arguments.
pub type MakeFilter = fn(&PluginArguments) -> Arc<dyn FilterPlugin>;
/// Makes a plugin's part that scores from its arguments.
pub type MakeScore = fn(&PluginArguments) -> Arc<dyn ScorePlugin>;
/// Makes a plugin's part that reserves from its arguments.
pub type MakeReserve = fn(&PluginArguments) -> Arc<dyn ReservePlugin>;

/// The plugin of a name.
pub fn find(name: &str) -> Option<&'static Plugin> {
    ALL.iter().find(|plugin| plugin.name == name)
}

/// Name of the plugin that holds back pods with gates.
pub(crate) const SCHEDULING_GATES: PluginName = "SchedulingGates";
/// Name of the plugin for resource claims.
pub(crate) const DYNAMIC_RESOURCES: PluginName = "DynamicResources";
/// Name of the preemption plugin.
pub(crate) const DEFAULT_PREEMPTION: PluginName = "DefaultPreemption";

use ExtensionPoint::{
    Bind, Filter, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore, QueueSort, Reserve, Score,
};

/// All plugins; those of the default profile in its order (`pkg/scheduler/apis/config/v1/default_plugins.go`, 1.36).
pub const ALL: &[Plugin] = &[
    plugin(SCHEDULING_GATES, &[PreEnqueue]),
    plugin("PrioritySort", &[QueueSort]),
    Plugin {
        filter: Some(|_| Arc::new(node_unschedulable::NodeUnschedulable)),
        ..plugin("NodeUnschedulable", &[Filter])
    },
    Plugin { filter: Some(|_| Arc::new(node_name::NodeName)), ..plugin("NodeName", &[Filter]) },
    Plugin {
        default_weight: Some(3),
        filter: Some(|_| Arc::new(taint_toleration::TaintToleration)),
        score: Some(|_| Arc::new(taint_toleration::TaintToleration)),
        ..plugin("TaintToleration", &[Filter, PreScore, Score])
    },
    Plugin {
        default_weight: Some(2),
        filter: Some(|arguments| Arc::new(arguments.node_affinity.clone())),
        score: Some(|arguments| Arc::new(arguments.node_affinity.clone())),
        ..plugin("NodeAffinity", &[PreFilter, Filter, PreScore, Score])
    },
    Plugin {
        filter: Some(|_| Arc::new(node_ports::NodePorts)),
        ..plugin("NodePorts", &[PreFilter, Filter])
    },
    Plugin {
        filter: Some(|arguments| Arc::new(arguments.resources_fit.clone())),
        score: Some(|arguments| Arc::new(arguments.resources_fit.clone())),
        ..plugin("NodeResourcesFit", &[PreFilter, Filter, PreScore, Score])
    },
    Plugin {
        filter: Some(|_| Arc::new(volumes::VolumeRestrictions)),
        ..plugin("VolumeRestrictions", &[PreFilter, Filter])
    },
    Plugin {
        filter: Some(|_| Arc::new(node_volume_limits::NodeVolumeLimits)),
        ..plugin("NodeVolumeLimits", &[PreFilter, Filter])
    },
    Plugin {
        filter: Some(|_| Arc::new(volumes::VolumeBinding)),
        ..plugin("VolumeBinding", &[PreFilter, Filter, PreScore, Score, Reserve, PreBind])
    },
    Plugin {
        filter: Some(|_| Arc::new(volume_zone::VolumeZone)),
        ..plugin("VolumeZone", &[PreFilter, Filter])
    },
    Plugin {
        default_weight: Some(2),
        filter: Some(|arguments| Arc::new(arguments.topology_spread.clone())),
        score: Some(|arguments| Arc::new(arguments.topology_spread.clone())),
        ..plugin("PodTopologySpread", &[PreFilter, Filter, PreScore, Score])
    },
    Plugin {
        default_weight: Some(2),
        filter: Some(|arguments| Arc::new(arguments.inter_pod_affinity)),
        score: Some(|arguments| Arc::new(arguments.inter_pod_affinity)),
        ..plugin("InterPodAffinity", &[PreFilter, Filter, PreScore, Score])
    },
    Plugin {
        default_weight: Some(2),
        score: Some(|_| Arc::new(dynamic_resources::DynamicResources)),
        ..plugin(
            DYNAMIC_RESOURCES,
            &[PreEnqueue, PreFilter, Filter, PostFilter, Score, Reserve, PreBind],
        )
    },
    plugin(DEFAULT_PREEMPTION, &[PreEnqueue, PostFilter]),
    Plugin {
        score: Some(|arguments| Arc::new(arguments.balanced_allocation.clone())),
        ..plugin("NodeResourcesBalancedAllocation", &[PreScore, Score])
    },
    Plugin {
        score: Some(|_| Arc::new(image_locality::ImageLocality)),
        ..plugin("ImageLocality", &[Score])
    },
    plugin("DefaultBinder", &[Bind]),
    plugin("NodeDeclaredFeatures", &[PreFilter, Filter]),
    Plugin {
        default_weight: None,
        filter: Some(|arguments| Arc::new(gpu_share(arguments))),
        reserve: Some(|arguments| Arc::new(gpu_share(arguments))),
        ..plugin(gpu_share::NAME, &[Filter, Reserve])
    },
    Plugin {
        default_weight: None,
        score: Some(|arguments| Arc::new(arguments.gpu_fragmentation.clone())),
        ..plugin("FGDScore", &[Score])
    },
    Plugin { score: Some(|_| Arc::new(GpuPolicy::BestFit)), ..gpu_policy("BestFitScore") },
    Plugin { score: Some(|_| Arc::new(GpuPolicy::DotProduct)), ..gpu_policy("DotProductScore") },
    Plugin { score: Some(|_| Arc::new(GpuPolicy::Packing)), ..gpu_policy("GpuPackingScore") },
    Plugin { score: Some(|_| Arc::new(GpuPolicy::Clustering)), ..gpu_policy("GpuClusteringScore") },
    Plugin { score: Some(|_| Arc::new(GpuPolicy::Random)), ..gpu_policy("RandomScore") },
];

/// A policy that profiles must name.
const fn gpu_policy(name: PluginName) -> Plugin {
    Plugin { default_weight: None, ..plugin(name, &[Score]) }
}

fn gpu_share(arguments: &PluginArguments) -> gpu_share::GpuShare {
    gpu_share::GpuShare {
        selection: arguments.gpu_share,
        fragmentation: arguments.gpu_fragmentation.clone(),
    }
}

/// A plugin of the default profile that neither rejects nor scores anything here.
const fn plugin(name: PluginName, points: &'static [ExtensionPoint]) -> Plugin {
    Plugin { name, points, default_weight: Some(1), filter: None, score: None, reserve: None }
}
