//! Durations of the work of kubelets and container runtimes, in one place: neither manifests nor flags specify them.

use engine::SimDuration;

/// Declares timings with their presets: the settings, and the partial form used in a scenario.
macro_rules! timings {
    (
        $(#[$about:meta])* $name:ident, $text:ident as $shown:literal {
            $( $(#[$doc:meta])* $field:ident: $type:ty = $ideal:expr, $measured:expr; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $( $(#[$doc])* pub $field: $type, )* }

        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        #[schemars(rename = $shown)]
        pub struct $text { $( $(#[$doc])* pub $field: Option<$type>, )* }

        impl $name {
            /// Everything takes zero time where possible.
            pub const IDEAL: Self = Self { $( $field: $ideal, )* };
            /// As measured on a real cluster.
            pub const MEASURED: Self = Self { $( $field: $measured, )* };
        }

        impl $text {
            /// Fills the omitted timings from `base`.
            pub fn over(self, base: $name) -> $name {
                $name { $( $field: self.$field.unwrap_or(base.$field), )* }
            }
        }
    };
}

const fn millis(millis: i64) -> SimDuration {
    SimDuration::from_millis(millis)
}

const ZERO: SimDuration = SimDuration::ZERO;

timings! {
    /// Durations of the work of kubelets and container runtimes. Measured defaults are from a real Kubernetes 1.36 with
    /// containerd (`tests/golden/real-cluster`).
    KubeletTiming, KubeletTimingText as "KubeletTiming" {
        /// Time from a container's pulled image to its start, sandbox included, for workloads without their own
        /// `start`; replaces the timings below up to the start. Default: the timings below; with the preset `ideal` 1s.
        start: Option<SimDuration> = Some(SimDuration::from_secs(1)), None;
        /// Delay from a pod's binding to the first check whether its volumes are mounted, and interval between checks
        /// (`podAttachAndMountRetryInterval`): the sandbox is created at such a check. Default 300ms.
        pod_attach_and_mount_retry_interval: SimDuration = ZERO, millis(300);
        /// Interval at which a kubelet reports its node's status (`nodeStatusUpdateFrequency`), with the volumes in use: an
        /// attached volume is mounted, and an unmounted one detached, only after the next report. Default 10s.
        node_status_update_frequency: SimDuration = ZERO, SimDuration::from_secs(10);
        /// CPU time to mount the volumes of a pod, spent on its node. Default 75ms, measured.
        mount_cpu: SimDuration = ZERO, millis(75);
        /// CPU time to create a pod's sandbox: namespaces, network, the pause container. Default 300ms, measured: 160
        /// ms on an idle node, 2.3 s together with 15 others on two cores.
        sandbox_cpu: SimDuration = ZERO, millis(300);
        /// CPU time to create a container. Default 16ms, measured.
        create_container_cpu: SimDuration = ZERO, millis(16);
        /// CPU time to start a container. Default 160ms, measured: 80 ms on an idle node.
        start_container_cpu: SimDuration = ZERO, millis(160);
        /// CPU time from a change in a pod until its status reaches the API server. Default 70ms, measured: 28 ms on an
        /// idle node.
        status_cpu: SimDuration = ZERO, millis(70);
        /// CPU time to tear down a pod once its containers have ended: cgroups, network, sandbox. Default 300ms,
        /// measured: 0.2 s on an idle node, 4.5 s together with 39 others on two cores.
        stop_sandbox_cpu: SimDuration = ZERO, millis(300);
        /// Additional fixed duration of the teardown. Default 80ms, measured.
        stop_sandbox: SimDuration = ZERO, millis(80);
        /// Maximum number of cores that the work of one pod can use. Default 1.85, measured: CPU time on a busy node
        /// divided by the elapsed time on an idle one.
        #[schemars(range(min = 0.01, max = 1000))]
        cores_per_pod: f64 = 1.85, 1.85;
        /// Variation of this CPU time from pod to pod: the coefficient of variation of a lognormal distribution.
        /// Default 0.5, measured.
        #[schemars(range(min = 0, max = 10))]
        cpu_cv: f64 = 0.0, 0.5;
        /// Cores shared by all nodes for this work, as where nodes are containers on one machine (kind, or the measured
        /// cluster). The control plane runs there too: a controller waits as long as `timing.watch` for the answer to each
        /// of its writes, and both take longer the more of this work there is. Default: each node has its own, and the
        /// control plane is elsewhere.
        #[schemars(range(min = 1, max = 100_000))]
        shared_cores: Option<u32> = None, None;
        /// Interval between the kubelet's relists of its pods (`RelistPeriod` of its generic PLEG), after which the exit of
        /// a container is noticed and a pod can be synced again. Default 1s.
        pleg_relist_period: SimDuration = ZERO, SimDuration::from_secs(1);
        /// Interval between checks for pods due for a sync (`syncLoop`). Default 1s.
        sync_loop_period: SimDuration = ZERO, SimDuration::from_secs(1);
        /// Maximum extra delay of a sync after an error, as a fraction of the wait (`workerBackOffPeriodJitterFactor`).
        /// Default 0.5.
        #[schemars(range(min = 0, max = 10))]
        back_off_jitter_factor: f64 = 0.0, 0.5;
        /// Time from the sync that terminates a pod to the SIGTERM of its containers. Default 25ms, measured: 15 to 40
        /// ms.
        stop_container: SimDuration = ZERO, millis(25);
        /// Requests per second of a kubelet to the API server (`kubeAPIQPS`), for the statuses of its pods (two requests
        /// each), their tokens (one), and the removal of those that have ended (one). Default 50; 0 means no limit.
        #[serde(rename = "kubeAPIQPS")]
        kube_api_qps: u32 = 0, 50;
        /// Burst of these requests (`kubeAPIBurst`). Default 100, so that on a node fourteen pods start before the first
        /// one waits.
        #[serde(rename = "kubeAPIBurst")]
        kube_api_burst: u32 = 0, 100;
        /// Time from the start of a container to the status update that triggers its readiness probe. Default 20ms,
        /// measured.
        readiness_trigger: SimDuration = ZERO, millis(20);
        /// Share of pods in which that update precedes the kubelet's own record of the running container, so that the
        /// first probe comes a whole period later. Default 0.13, measured: 7 of 54 pods.
        #[schemars(range(min = 0, max = 1))]
        readiness_trigger_lost: f64 = 0.0, 0.13;
        /// Share of pods whose readiness is first probed at the next relist. Default 0.3, measured.
        #[schemars(range(min = 0, max = 1))]
        readiness_trigger_late: f64 = 0.0, 0.3;
    }
}

impl Default for KubeletTiming {
    fn default() -> Self {
        Self::MEASURED
    }
}
