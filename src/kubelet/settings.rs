//! The supported part of the kubelet's configuration (`KubeletConfiguration`, 1.36).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;
use units::Quantity;

/// Settings of the kubelets on all nodes; the defaults are the real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeletSettings {
    /// Whether a node pulls one image at a time. Default true.
    pub serialize_image_pulls: bool,
    /// With `serializeImagePulls: false`: maximum number of concurrent pulls. Default: unlimited.
    #[schemars(range(min = 1))]
    pub max_parallel_image_pulls: Option<u32>,
    /// Image pulls per second that a kubelet may request from its container runtime, `registryPullQPS`: a pull over
    /// the limit fails with `pull QPS exceeded` and is retried after its back-off. 0 = unlimited. Default 5.
    pub registry_pull_qps: u32,
    /// Burst of pulls allowed above that rate, `registryBurst`. Default 10.
    pub registry_burst: u32,
    /// Bandwidth of one pull of an image whose size is given, in bytes per second. Default 100Mi.
    pub image_pull_bandwidth: Quantity,
    /// The longest back-off between restarts, `crashLoopBackOff.maxContainerRestartPeriod`. Default
    /// 5m.
    pub max_container_restart_period: SimDuration,
    /// Eviction threshold `evictionHard: memory.available`: the kubelet evicts pods when less memory is free. Default
    /// 100Mi.
    pub eviction_hard_memory_available: Quantity,
    /// Time from the eviction of a pod for memory until the node's pressure condition clears,
    /// `evictionPressureTransitionPeriod`. Default 5m.
    pub eviction_pressure_transition_period: SimDuration,
    /// Time that a node's shutdown waits for its pods, `shutdownGracePeriod`. Default 0s: no wait.
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
