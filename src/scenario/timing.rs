//! Delays inside a cluster that no manifest states, with values measured in real clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::RuleSync;
use engine::{ClientRate, SimDuration};
use kubelet::timing::{KubeletTiming, KubeletTimingText};

/// Delays between the components of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "TimingText")]
pub struct Timing {
    /// Delay from a write to the API server until controllers, scheduler and kubelets process it.
    pub watch: SimDuration,
    /// When connections to Services follow a change of endpoints.
    pub kube_proxy: RuleSync,
    /// When an ingress controller, which sends requests directly to pods, follows a change of endpoints.
    pub ingress_controller: RuleSync,
    /// When Gateway API gateways follow a change of endpoints.
    pub gateway: RuleSync,
    /// Rate limit of each controller's requests to the API server.
    pub controller_client: ClientRate,
    /// Rate limit of the scheduler's requests to the API server.
    pub scheduler_client: ClientRate,
    /// Delay from the exit of the last container of a terminating pod until its network is torn down.
    pub sandbox_stop: SimDuration,
    /// Delay from a change of a headless Service's endpoints until its clients use it.
    pub dns_cache: SimDuration,
    /// Period at which the sharing of a node's CPU among its pods is recomputed.
    pub cpu_sharing_period: SimDuration,
    /// Attaching and detaching of volumes.
    pub volumes: VolumeTiming,
    /// Kubelets and container runtimes.
    pub kubelet: KubeletTiming,
}

/// Delays between the components of a cluster: a preset, and settings that override it.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Timing")]
pub struct TimingText {
    /// The preset that supplies all settings not given here. Default measured.
    pub preset: TimingPreset,
    /// Delay from a write to the API server until controllers, scheduler and kubelets process it. Default 10ms: write,
    /// watch and work queue of an unloaded control plane.
    pub watch: Option<SimDuration>,
    /// When connections to Services follow a change of endpoints. Default: an idle kube-proxy has written its rules 20
    /// to 100 ms after the change; one that has written within the last second (`minSyncPeriod`), for any Service,
    /// first waits for the rest of that second.
    pub kube_proxy: Option<RuleSync>,
    /// When an ingress controller, which sends requests directly to pods, follows a change of endpoints. Default: as
    /// ingress-nginx with its `--sync-rate-limit` of 0.3 per second.
    pub ingress_controller: Option<RuleSync>,
    /// When Gateway API gateways follow a change of endpoints. Default: as Envoy with a control plane that waits 100 ms
    /// for further changes (`PILOT_DEBOUNCE_AFTER`).
    pub gateway: Option<RuleSync>,
    /// Rate limit of each controller's requests to the API server (`--kube-api-qps` and `--kube-api-burst` of
    /// kube-controller-manager), which includes the Events that it records. Default: 20 per second with a burst of 30, so
    /// that of 100 pods 29 are created at once and the last one 4.8 seconds later. The clients with which the HPA
    /// controller reads scales and metrics have the same limit each: more than 300 HPAs are decided on less often than
    /// every 15 seconds. `qps: 0` means no limit.
    pub controller_client: Option<ClientRate>,
    /// Rate limit of the scheduler's requests to the API server (`qps` and `burst` of its `clientConnection`): one for
    /// each pod that it binds. Default: 50 per second with a burst of 100, so that of 300 pods for which there is room at
    /// last the last one is bound 4 seconds after the first. `qps: 0` means no limit.
    pub scheduler_client: Option<ClientRate>,
    /// Delay from the exit of the last container of a terminating pod until its network is torn down. From then on,
    /// connections to its address are no longer refused but hang. Default 300ms.
    pub sandbox_stop: Option<SimDuration>,
    /// Delay from a change of a headless Service's endpoints until its clients use it: the time for which clients and DNS
    /// cache a lookup. Default 30s, the TTL that kubeadm configures for CoreDNS.
    pub dns_cache: Option<SimDuration>,
    /// Period at which the sharing of a node's CPU is recomputed for the background load of pods and for fluid traffic;
    /// individual requests share it at every instant. Default 1s, at least 1ms.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub cpu_sharing_period: Option<SimDuration>,
    /// Attaching and detaching of volumes by the cloud.
    pub volumes: VolumeTiming,
    /// Kubelets and container runtimes: times for pods to start, to become ready, and to terminate.
    pub kubelet: KubeletTimingText,
}

/// Times that a cloud takes for the disks of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeTiming {
    /// Time to attach a volume to a node, once its pod is scheduled there. Default, with the preset `ideal` 0s: 3s; 5s for
    /// disks of Google's cloud; 13s for those of Azure.
    pub attach: Option<SimDuration>,
    /// Time to detach a volume from a node, once it is unmounted there. Default: as of `attach`.
    pub detach: Option<SimDuration>,
}

impl VolumeTiming {
    /// No delay.
    pub const IDEAL: Self =
        Self { attach: Some(SimDuration::ZERO), detach: Some(SimDuration::ZERO) };
    /// The usual times of each driver.
    pub const MEASURED: Self = Self { attach: None, detach: None };
}

/// A consistent set of delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimingPreset {
    /// No avoidable delays: every decision reaches all components, down to the last kubelet, immediately.
    Ideal,
    /// As measured in a real cluster.
    #[default]
    Measured,
}

impl Timing {
    /// No avoidable delays.
    pub const IDEAL: Self = Self {
        watch: SimDuration::ZERO,
        kube_proxy: RuleSync::IDEAL,
        ingress_controller: RuleSync::IDEAL,
        gateway: RuleSync::IDEAL,
        controller_client: ClientRate::UNLIMITED,
        scheduler_client: ClientRate::UNLIMITED,
        sandbox_stop: SimDuration::ZERO,
        dns_cache: SimDuration::ZERO,
        cpu_sharing_period: SimDuration::from_secs(1),
        volumes: VolumeTiming::IDEAL,
        kubelet: KubeletTiming::IDEAL,
    };
    /// As measured in a real cluster.
    pub const MEASURED: Self = Self {
        watch: SimDuration::from_millis(10),
        kube_proxy: RuleSync::after_millis(1000, [20, 100]),
        ingress_controller: RuleSync::after_millis(3333, [20, 100]),
        gateway: RuleSync::after_millis(0, [100, 200]),
        controller_client: ClientRate { qps: 20, burst: 30 },
        scheduler_client: ClientRate { qps: 50, burst: 100 },
        sandbox_stop: SimDuration::from_millis(300),
        dns_cache: SimDuration::from_secs(30),
        cpu_sharing_period: SimDuration::from_secs(1),
        volumes: VolumeTiming::MEASURED,
        kubelet: KubeletTiming::MEASURED,
    };
}

impl Default for Timing {
    fn default() -> Self {
        Self::MEASURED
    }
}

impl From<TimingText> for Timing {
    fn from(text: TimingText) -> Self {
        let base = match text.preset {
            TimingPreset::Ideal => Self::IDEAL,
            TimingPreset::Measured => Self::MEASURED,
        };
        Self {
            watch: text.watch.unwrap_or(base.watch),
            kube_proxy: text.kube_proxy.unwrap_or(base.kube_proxy),
            ingress_controller: text.ingress_controller.unwrap_or(base.ingress_controller),
            gateway: text.gateway.unwrap_or(base.gateway),
            controller_client: text.controller_client.unwrap_or(base.controller_client),
            scheduler_client: text.scheduler_client.unwrap_or(base.scheduler_client),
            sandbox_stop: text.sandbox_stop.unwrap_or(base.sandbox_stop),
            dns_cache: text.dns_cache.unwrap_or(base.dns_cache),
            cpu_sharing_period: text.cpu_sharing_period.unwrap_or(base.cpu_sharing_period),
            volumes: VolumeTiming {
                attach: text.volumes.attach.or(base.volumes.attach),
                detach: text.volumes.detach.or(base.volumes.detach),
            },
            kubelet: text.kubelet.over(base.kubelet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(json: &str) -> Timing {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_named_is_as_the_preset_has_it() {
        assert_eq!(timing("{}"), Timing::MEASURED);
        assert_eq!(timing(r#"{"preset": "ideal"}"#), Timing::IDEAL);
        let own = timing(r#"{"preset": "ideal", "watch": "3s", "kubelet": {"sandboxCpu": "1s"}}"#);
        let kubelet =
            KubeletTiming { sandbox_cpu: SimDuration::from_secs(1), ..KubeletTiming::IDEAL };
        assert_eq!(own, Timing { watch: SimDuration::from_secs(3), kubelet, ..Timing::IDEAL });
    }

    #[test]
    fn timings_that_were_written_are_read_back() {
        let text = serde_json::to_string(&Timing::IDEAL).unwrap();
        assert_eq!(timing(&text), Timing::IDEAL);
    }
}
