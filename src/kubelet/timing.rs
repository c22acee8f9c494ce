//! How long what a kubelet and its container runtime do takes, in one place: what no manifest states and no
//! flag sets.

use engine::SimDuration;

/// Declares timings with their presets: the settings, and the form in which a scenario leaves some out.
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
            /// Nothing takes time that need not.
            pub const IDEAL: Self = Self { $( $field: $ideal, )* };
            /// As a real cluster was measured.
            pub const MEASURED: Self = Self { $( $field: $measured, )* };
        }

        impl $text {
            /// With what is left out as in `base`.
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
    /// How long kubelets and container runtimes take. Where a default comes from a measurement, it is that of a real
    /// Kubernetes 1.36 with containerd (`tests/golden/real-cluster`).
    KubeletTiming, KubeletTimingText as "KubeletTiming" {
        /// From the pulled image of a container to its start, the sandbox included, where its workload has no `start`: in
        /// place of what follows, up to the start. Default: what follows; with the preset `ideal` 1s.
        start: Option<SimDuration> = Some(SimDuration::from_secs(1)), None;
        /// From a pod's binding to the first look whether its volumes are mounted, and from look to look
        /// (`podAttachAndMountRetryInterval`): the sandbox comes at such a look. Default 300ms.
        pod_attach_and_mount_retry_interval: SimDuration = ZERO, millis(300);
        /// CPU time that mounting the volumes of a pod costs its node. Default 75ms, measured.
        mount_cpu: SimDuration = ZERO, millis(75);
        /// CPU time of a pod's sandbox: namespaces, network, the pause container. Default 300ms, measured: 160 ms on an
        /// idle node, 2.3 s beside 15 others on two cores.
        sandbox_cpu: SimDuration = ZERO, millis(300);
        /// CPU time of making a container. Default 16ms, measured.
        create_container_cpu: SimDuration = ZERO, millis(16);
        /// CPU time of starting a container. Default 160ms, measured: 80 ms on an idle node.
        start_container_cpu: SimDuration = ZERO, millis(160);
        /// CPU time from a change of a pod until the API server has its status. Default 70ms, measured: 28 ms on an
        /// idle node.
        status_cpu: SimDuration = ZERO, millis(70);
        /// CPU time of taking a pod down once its containers have ended: cgroups, network, sandbox. Default 300ms,
        /// measured: 0.2 s on an idle node, 4.5 s beside 39 others on two cores.
        stop_sandbox_cpu: SimDuration = ZERO, millis(300);
        /// How long that takes at least beside this work. Default 80ms, measured.
        stop_sandbox: SimDuration = ZERO, millis(80);
        /// Cores that one pod's share of this work can use at most. Default 1.85, measured: what it takes on an idle
        /// node over what it costs on a busy one.
        #[schemars(range(min = 0.01, max = 1000))]
        cores_per_pod: f64 = 1.85, 1.85;
        /// How much this CPU time differs from pod to pod: the coefficient of variation of a lognormal distribution.
        /// Default 0.5, measured.
        #[schemars(range(min = 0, max = 10))]
        cpu_cv: f64 = 0.0, 0.5;
        /// Cores on which all nodes together do this work, as where they are containers of one machine (kind, or the
        /// measured cluster). Default: each node has its own.
        #[schemars(range(min = 1, max = 100_000))]
        shared_cores: Option<u32> = None, None;
        /// From relist to relist of the pods by the kubelet (`RelistPeriod` of its generic PLEG): how long it takes until
        /// the exit of a container is noticed, and how soon a pod can be synced again. Default 1s.
        pleg_relist_period: SimDuration = ZERO, SimDuration::from_secs(1);
        /// From look to look at which pods are due for a sync (`syncLoop`). Default 1s.
        sync_loop_period: SimDuration = ZERO, SimDuration::from_secs(1);
        /// How much later than is due a pod is synced again after an error, at most, as a part of the wait
        /// (`workerBackOffPeriodJitterFactor`). Default 0.5.
        #[schemars(range(min = 0, max = 10))]
        back_off_jitter_factor: f64 = 0.0, 0.5;
        /// From the sync that ends a pod to the SIGTERM of its containers. Default 25ms, measured: 15 to 40 ms.
        stop_container: SimDuration = ZERO, millis(25);
        /// From the start of a container to the status update that has its readiness probed at once. Default 20ms,
        /// measured.
        readiness_trigger: SimDuration = ZERO, millis(20);
        /// Share of the pods in which that update comes before the kubelet's own status says that the container runs, so
        /// that nothing is probed until a whole period later. Default 0.13, measured: 7 of 54 pods.
        #[schemars(range(min = 0, max = 1))]
        readiness_trigger_lost: f64 = 0.0, 0.13;
        /// Share of the pods in which the readiness is first probed at the next relist. Default 0.3, measured.
        #[schemars(range(min = 0, max = 1))]
        readiness_trigger_late: f64 = 0.0, 0.3;
    }
}

impl Default for KubeletTiming {
    fn default() -> Self {
        Self::MEASURED
    }
}
