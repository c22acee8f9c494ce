//! The timings of a cluster that no manifest states, in one place, with the values of real clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{ClientRate, RuleWrites};
use engine::SimDuration;
use kubelet::timing::{KubeletTiming, KubeletTimingText};

/// How long what goes on between the parts of a cluster takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "TimingText")]
pub struct Timing {
    /// From a write to the API server until controllers, scheduler and kubelets work on it.
    pub watch: SimDuration,
    /// When connections to Services go by a change of the endpoints.
    pub kube_proxy: RuleWrites,
    /// When an ingress controller, which sends requests to pods by itself, does.
    pub ingress_controller: RuleWrites,
    /// When gateways of Gateway API do.
    pub gateway: RuleWrites,
    /// The rate of requests that each controller may send to the API server.
    pub controller_client: ClientRate,
    /// From the exit of the last container of a pod that is to go until its network is taken down.
    pub sandbox_stop: SimDuration,
    /// From a change of a headless Service's endpoints until its clients go by it.
    pub dns_cache: SimDuration,
    /// How often it is looked at which pods share the CPU of their node.
    pub cpu_sharing_period: SimDuration,
    /// Kubelets and container runtimes.
    pub kubelet: KubeletTiming,
}

/// How long what goes on between the parts of a cluster takes: a preset, and what is otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Timing")]
pub struct TimingText {
    /// What all that is not named here is as. Default measured.
    pub preset: TimingPreset,
    /// From a write to the API server until controllers, scheduler and kubelets work on it. Default
    /// 10ms: write, watch and work queue of an unloaded control plane.
    pub watch: Option<SimDuration>,
    /// When connections to Services go by a change of the endpoints. Default: an idle kube-proxy has written its rules
    /// 20 to 100 ms after it; one that wrote in the last second (`minSyncPeriod`), for whatever Service, waits for the
    /// rest of it.
    pub kube_proxy: Option<RuleWrites>,
    /// When an ingress controller, which sends requests to pods by itself, goes by a change of the endpoints. Default:
    /// as ingress-nginx with its `--sync-rate-limit` of 0.3 a second.
    pub ingress_controller: Option<RuleWrites>,
    /// When gateways of Gateway API do. Default: as Envoy whose control plane waits 100 ms for further changes
    /// (`PILOT_DEBOUNCE_AFTER`).
    pub gateway: Option<RuleWrites>,
    /// The rate of requests that each controller may send to the API server (`--kube-api-qps` and `--kube-api-burst` of
    /// kube-controller-manager). Default: 20 a second, 30 at once: of 40 pods thirty are created at once. `qps: 0` is no
    /// limit.
    pub controller_client: Option<ClientRate>,
    /// From the exit of the last container of a pod that is to go until its network is taken down: nobody refuses
    /// connections to its address any more, they hang. Default 300ms.
    pub sandbox_stop: Option<SimDuration>,
    /// From a change of a headless Service's endpoints until its clients go by it: how long they and the
    /// DNS keep what they looked up. Default 30s, the TTL that kubeadm gives CoreDNS.
    pub dns_cache: Option<SimDuration>,
    /// How often it is looked at which pods share the CPU of their node, what they burn for themselves, and what
    /// flows bring; requests share it at each instant. Default 1s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub cpu_sharing_period: Option<SimDuration>,
    /// Kubelets and container runtimes: how long pods take to come up, to be found ready, and to go.
    pub kubelet: KubeletTimingText,
}

/// Timings that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimingPreset {
    /// Nothing takes time that need not: what is decided comes at once, to the last kubelet.
    Ideal,
    /// As a real cluster was measured.
    #[default]
    Measured,
}

impl Timing {
    /// Nothing takes time that need not.
    pub const IDEAL: Self = Self {
        watch: SimDuration::ZERO,
        kube_proxy: RuleWrites::IDEAL,
        ingress_controller: RuleWrites::IDEAL,
        gateway: RuleWrites::IDEAL,
        controller_client: ClientRate::UNLIMITED,
        sandbox_stop: SimDuration::ZERO,
        dns_cache: SimDuration::ZERO,
        cpu_sharing_period: SimDuration::from_secs(1),
        kubelet: KubeletTiming::IDEAL,
    };
    /// As a real cluster was measured.
    pub const MEASURED: Self = Self {
        watch: SimDuration::from_millis(10),
        kube_proxy: RuleWrites::after_millis(1000, [20, 100]),
        ingress_controller: RuleWrites::after_millis(3333, [20, 100]),
        gateway: RuleWrites::after_millis(0, [100, 200]),
        controller_client: ClientRate { qps: 20, burst: 30 },
        sandbox_stop: SimDuration::from_millis(300),
        dns_cache: SimDuration::from_secs(30),
        cpu_sharing_period: SimDuration::from_secs(1),
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
            sandbox_stop: text.sandbox_stop.unwrap_or(base.sandbox_stop),
            dns_cache: text.dns_cache.unwrap_or(base.dns_cache),
            cpu_sharing_period: text.cpu_sharing_period.unwrap_or(base.cpu_sharing_period),
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
