//! The kubelet's configuration, as far as it plays a part (`KubeletConfiguration`, 1.36).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;
use units::Quantity;

/// Settings of the kubelets of all nodes, with the real defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeletSettings {
    /// Whether a node pulls one image at a time. Default true.
    pub serialize_image_pulls: bool,
    /// With `serializeImagePulls: false`: how many pulls run at a time. Default: any number.
    #[schemars(range(min = 1))]
    pub max_parallel_image_pulls: Option<u32>,
    /// Pulls a second that a kubelet asks its container runtime for, `registryPullQPS`: one more fails with `pull QPS
    /// exceeded` and is tried again after its back-off. 0 = any number. Default 5.
    pub registry_pull_qps: u32,
    /// How many of them may come at once, `registryBurst`. Default 10.
    pub registry_burst: u32,
    /// Bytes per second at which one pull gets an image whose size is given. Default 100Mi.
    pub image_pull_bandwidth: Quantity,
    /// The longest back-off between restarts, `crashLoopBackOff.maxContainerRestartPeriod`. Default
    /// 5m.
    pub max_container_restart_period: SimDuration,
    /// Memory that is kept free on a node, `evictionHard: memory.available`: below it the kubelet
    /// evicts pods. Default 100Mi.
    pub eviction_hard_memory_available: Quantity,
    /// From the eviction of a pod for memory until the node counts as relieved,
    /// `evictionPressureTransitionPeriod`. Default 5m.
    pub eviction_pressure_transition_period: SimDuration,
    /// How long a node that is shut down waits for its pods, `shutdownGracePeriod`. Default 0s: it
    /// does not.
    pub shutdown_grace_period: SimDuration,
}

impl Default for KubeletSettings {
    fn default() -> Self {
        Self {
            serialize_image_pulls: true,
            max_parallel_image_pulls: None,
            registry_pull_qps: 5,
            registry_burst: 10,
            image_pull_bandwidth: Quantity::from_units(100 << 20),
            max_container_restart_period: SimDuration::from_secs(300),
            eviction_hard_memory_available: Quantity::from_units(100 << 20),
            eviction_pressure_transition_period: SimDuration::from_secs(300),
            shutdown_grace_period: SimDuration::ZERO,
        }
    }
}
