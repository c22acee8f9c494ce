//! The delays of a cluster that no manifest states, in one place, with the values of real clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;

/// Delays between the parts of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delays {
    /// From a write to the API server until controllers, scheduler and kubelets work on it. Default
    /// 10ms: write, watch and work queue of an unloaded control plane.
    pub watch: SimDuration,
    /// When connections to Services go by a change of the endpoints. Default: an idle kube-proxy has written its rules
    /// 20 to 100 ms after it; one that wrote in the last second (`minSyncPeriod`), for whatever Service, waits for the
    /// rest of it.
    pub kube_proxy: RuleWrites,
    /// When an ingress controller, which sends requests to pods by itself, goes by a change of the endpoints. Default:
    /// as ingress-nginx with its `--sync-rate-limit` of 0.3 a second.
    pub ingress_controller: RuleWrites,
    /// When gateways of Gateway API do. Default: as Envoy whose control plane waits 100 ms for further changes
    /// (`PILOT_DEBOUNCE_AFTER`).
    pub gateway: RuleWrites,
    /// The rate of requests that each controller may send to the API server (`--kube-api-qps` and `--kube-api-burst` of
    /// kube-controller-manager). Default: 20 a second, 30 at once: of 40 pods thirty are created at once. `qps: 0` is no
    /// limit.
    pub controller_client: ClientRate,
    /// From the exit of the last container of a pod that is to go until its network is taken down: nobody refuses
    /// connections to its address any more, they hang. Default 300ms.
    pub sandbox_stop: SimDuration,
    /// From a change of a headless Service's endpoints until its clients go by it: how long they and the
    /// DNS keep what they looked up. Default 30s, the TTL that kubeadm gives CoreDNS.
    pub dns_cache: SimDuration,
    /// How often it is looked at which pods share the CPU of their node, what they burn for themselves, and what
    /// flows bring; requests share it at each instant. Default 1s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub cpu_sharing_period: SimDuration,
}

/// The rate limit of a client of the API server: a bucket of tokens, one for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientRate {
    /// Requests a second in the long run; 0 is no limit.
    pub qps: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

impl ClientRate {
    /// No limit.
    pub const UNLIMITED: Self = Self { qps: 0, burst: 0 };
}

impl Default for ClientRate {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// How somebody who sends requests to endpoints keeps up with changes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleWrites {
    /// Shortest time from the end of one write to the beginning of the next; what changes meanwhile waits.
    pub min_sync_period: SimDuration,
    /// Shortest time that it takes to hear of a change and to write.
    pub sync_min: SimDuration,
    /// Longest such time; all between are equally likely.
    pub sync_max: SimDuration,
}

impl RuleWrites {
    /// Changes are followed at once.
    pub const IDEAL: Self = Self::after_millis(0, [0, 0]);

    /// With so many milliseconds between writes, each of which takes from so many to so many.
    pub const fn after_millis(min_sync_period: i64, [sync_min, sync_max]: [i64; 2]) -> Self {
        Self {
            min_sync_period: SimDuration::from_millis(min_sync_period),
            sync_min: SimDuration::from_millis(sync_min),
            sync_max: SimDuration::from_millis(sync_max),
        }
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            watch: SimDuration::from_millis(10),
            kube_proxy: RuleWrites::after_millis(1000, [20, 100]),
            ingress_controller: RuleWrites::after_millis(3333, [20, 100]),
            gateway: RuleWrites::after_millis(0, [100, 200]),
            controller_client: ClientRate { qps: 20, burst: 30 },
            sandbox_stop: SimDuration::from_millis(300),
            dns_cache: SimDuration::from_secs(30),
            cpu_sharing_period: SimDuration::from_secs(1),
        }
    }
}
