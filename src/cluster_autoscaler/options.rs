//! The autoscaler's flags with their original names and defaults (`cluster-autoscaler/config/flags/flags.go`, built
//! on 1.36).

use std::fmt;

use super::expander::{ExpanderKind, PriorityList};
use cluster::Name;
use engine::parse_duration;
use engine::{SimDuration, format_duration};

/// Why a flag cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The flag.
    pub flag: String,
    /// The problem and the expected value.
    pub problem: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flag, self.problem)
    }
}

impl std::error::Error for OptionError {}

/// A type of flag values.
trait Flag: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

macro_rules! flags {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $flag:literal $default:literal;)*) => {
        /// All flags that affect decisions.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Options {
            $($(#[$doc])* pub $field: $type,)*
            /// `gpu-total`, which can be repeated: GPU type (the value of the cloud's GPU label), minimum and
            /// maximum number of GPUs in the cluster.
            pub gpu_total: Vec<(Name, i64, i64)>,
            /// `balancing-ignore-label`, which can be repeated: labels that may differ between similar groups.
            pub balancing_ignore_labels: Vec<Name>,
            /// The config map of the expander `priority`.
            pub priorities: PriorityList,
        }

        impl Default for Options {
            fn default() -> Self {
                const SOUND: &str = "the defaults are values of their flags' types";
                Self {
                    $($field: <$type as Flag>::read($default).expect(SOUND),)*
                    gpu_total: Vec::new(),
                    balancing_ignore_labels: Vec::new(),
                    priorities: PriorityList::default(),
                }
            }
        }

        impl Options {
            /// Sets a flag from text.
            pub fn set(&mut self, flag: &str, text: &str) -> Result<(), OptionError> {
                let wrong = |problem: String| OptionError { flag: flag.to_owned(), problem };
                match flag {
                    $($flag => self.$field = <$type as Flag>::read(text).map_err(wrong)?,)*
                    "gpu-total" => self.gpu_total.push(gpu_total(text).map_err(wrong)?),
                    "balancing-ignore-label" => self.balancing_ignore_labels.push(text.into()),
                    _ => return check_fixed(flag, text),
                }
                Ok(())
            }

            /// All flags with their values as text, except those that can be repeated.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                let own = [$(($flag, self.$field.show()),)*];
                let fixed = FIXED.iter().map(|(flag, value)| (*flag, (*value).to_owned()));
                own.into_iter().chain(fixed).collect()
            }
        }
    };
}

flags! {
    /// Interval between loops, unless one is triggered earlier.
    scan_interval: SimDuration = "scan-interval" "10s";
    /// Whether a loop that did something, or a pod that just became unschedulable, triggers the next loop at once.
    frequent_loops_enabled: bool = "frequent-loops-enabled" "true";
    /// Whether nodes are removed at all.
    scale_down_enabled: bool = "scale-down-enabled" "true";
    /// Whether nodes that are not ready are removed.
    scale_down_unready_enabled: bool = "scale-down-unready-enabled" "true";
    /// Delay from a scale-up to the next removal.
    scale_down_delay_after_add: SimDuration = "scale-down-delay-after-add" "10m";
    /// Whether the three delays apply per group.
    scale_down_delay_type_local: bool = "scale-down-delay-type-local" "false";
    /// Delay from a removal to the next.
    scale_down_delay_after_delete: SimDuration = "scale-down-delay-after-delete" "0s";
    /// Delay from a failed removal to the next.
    scale_down_delay_after_failure: SimDuration = "scale-down-delay-after-failure" "3m";
    /// How long a node must be unneeded before it is removed.
    scale_down_unneeded_time: SimDuration = "scale-down-unneeded-time" "10m";
    /// How long a node that is not ready must be unneeded.
    scale_down_unready_time: SimDuration = "scale-down-unready-time" "20m";
    /// Utilization by requests below which a node may be removed, as a fraction.
    scale_down_utilization_threshold: f64 = "scale-down-utilization-threshold" "0.5";
    /// The same for the GPUs of a node that has any.
    scale_down_gpu_utilization_threshold: f64 = "scale-down-gpu-utilization-threshold" "0.5";
    /// How long a node's deletion waits for delaying annotations to be removed.
    node_deletion_delay_timeout: SimDuration = "node-deletion-delay-timeout" "2m";
    /// How long deletions of one group are batched before they are sent to the cloud.
    node_deletion_batcher_interval: SimDuration = "node-deletion-batcher-interval" "0s";
    /// Maximum number of nodes in the cluster; 0 = no limit.
    max_nodes_total: i64 = "max-nodes-total" "0";
    /// Minimum and maximum number of cores in the cluster.
    cores_total: Limits = "cores-total" "0:320000";
    /// Minimum and maximum memory of the cluster in GiB.
    memory_total: Limits = "memory-total" "0:6400000";
    /// Maximum number of nodes that get or lose the soft taint in a loop; 0 = soft taints are not used.
    max_bulk_soft_taint_count: i64 = "max-bulk-soft-taint-count" "10";
    /// Maximum grace period of an evicted pod in seconds.
    max_graceful_termination_sec: i64 = "max-graceful-termination-sec" "600";
    /// Percentage of unready nodes above which loops do nothing.
    max_total_unready_percentage: f64 = "max-total-unready-percentage" "45";
    /// Number of unready nodes up to which that percentage does not apply.
    ok_total_unready_count: i64 = "ok-total-unready-count" "3";
    /// How long an instance may take to become a ready node before the scale-up counts as failed.
    max_node_provision_time: SimDuration = "max-node-provision-time" "15m";
    /// How long a registered node may take to become ready before it counts as unready.
    max_node_startup_time: SimDuration = "max-node-startup-time" "15m";
    /// How long the eviction of a pod is retried.
    max_pod_eviction_time: SimDuration = "max-pod-eviction-time" "2m";
    /// The chain of expanders.
    expander: Expanders = "expander" "least-waste";
    /// Whether DaemonSet pods are excluded from a node's utilization.
    ignore_daemonsets_utilization: bool = "ignore-daemonsets-utilization" "false";
    /// Whether mirror pods are excluded from a node's utilization.
    ignore_mirror_pods_utilization: bool = "ignore-mirror-pods-utilization" "false";
    /// Whether new nodes are spread over similar groups.
    balance_similar_node_groups: bool = "balance-similar-node-groups" "false";
    /// How long a node is skipped after its removal failed in simulation.
    unremovable_node_recheck_timeout: SimDuration = "unremovable-node-recheck-timeout" "5m";
    /// Pods with a lower priority neither trigger scale-ups nor prevent removals.
    expendable_pods_priority_cutoff: i64 = "expendable-pods-priority-cutoff" "-10";
    /// Minimum age of a pod to trigger a scale-up.
    new_pod_scale_up_delay: SimDuration = "new-pod-scale-up-delay" "0s";
    /// Whether templates made from a cordoned node count as schedulable.
    scale_from_unschedulable: bool = "scale-from-unschedulable" "false";
    /// Whether nodes are cordoned before they are removed.
    cordon_node_before_terminating: bool = "cordon-node-before-terminating" "true";
    /// Whether DaemonSet pods are evicted from nodes without other pods.
    daemonset_eviction_for_empty_nodes: bool = "daemonset-eviction-for-empty-nodes" "false";
    /// Whether DaemonSet pods are evicted from nodes with other pods.
    daemonset_eviction_for_occupied_nodes: bool = "daemonset-eviction-for-occupied-nodes" "true";
    /// Back-off of a group after its first failure.
    initial_node_group_backoff_duration: SimDuration = "initial-node-group-backoff-duration" "5m";
    /// Maximum back-off of a group.
    max_node_group_backoff_duration: SimDuration = "max-node-group-backoff-duration" "30m";
    /// Time without failure after which a group's back-off is forgotten.
    node_group_backoff_reset_timeout: SimDuration = "node-group-backoff-reset-timeout" "3h";
    /// Maximum number of nodes being removed at the same time.
    max_scale_down_parallelism: i64 = "max-scale-down-parallelism" "10";
    /// Maximum number of nodes being drained at the same time.
    max_drain_parallelism: i64 = "max-drain-parallelism" "1";
    /// Maximum number of nodes that one scale-up adds.
    max_nodes_per_scaleup: i64 = "max-nodes-per-scaleup" "1000";
    /// Whether pods in kube-system without a disruption budget prevent the removal of their node.
    skip_nodes_with_system_pods: bool = "skip-nodes-with-system-pods" "true";
    /// Whether pods with local volumes prevent the removal of their node.
    skip_nodes_with_local_storage: bool = "skip-nodes-with-local-storage" "true";
    /// Whether pods of custom controllers prevent the removal of their node.
    skip_nodes_with_custom_controller_pods: bool = "skip-nodes-with-custom-controller-pods" "true";
    /// Minimum number of replicas of a controller for its pods to be moved.
    min_replica_count: i64 = "min-replica-count" "0";
    /// How long a pod in kube-system prevents the removal of its node.
    blocking_system_pod_disruption_timeout: SimDuration = "blocking-system-pod-distruption-timeout" "1h";
    /// Delay from the taint to the deletion, for the scheduler to see the taint.
    node_delete_delay_after_taint: SimDuration = "node-delete-delay-after-taint" "5s";
    /// Fraction by which the memory of similar groups may differ.
    memory_difference_ratio: f64 = "memory-difference-ratio" "0.015";
    /// Fraction by which the free resources of similar groups' nodes may differ.
    max_free_difference_ratio: f64 = "max-free-difference-ratio" "0.05";
    /// Fraction by which the allocatable resources of similar groups may differ.
    max_allocatable_difference_ratio: f64 = "max-allocatable-difference-ratio" "0.05";
    /// Whether DaemonSet pods that a template node lacks are added to it.
    force_ds: bool = "force-ds" "false";
    /// Whether groups below their minimum size are scaled up to it.
    enforce_node_group_min_size: bool = "enforce-node-group-min-size" "false";
    /// Whether instances that never registered are deleted even if the group then falls below its minimum size.
    force_delete_unregistered_nodes: bool = "force-delete-unregistered-nodes" "false";
    /// How long a template made from a group's node is used after the last node is gone.
    node_info_cache_expire_time: SimDuration = "node-info-cache-expire-time" "87600h";
}

/// Flags that have no effect on decisions here, or for which only one value is simulated.
const FIXED: [(&str, &str); 17] = [
    ("scale-down-non-empty-candidates-count", "30"),
    ("scale-down-candidates-pool-ratio", "0.1"),
    ("scale-down-candidates-pool-min-count", "50"),
    ("max-bulk-soft-taint-time", "3s"),
    ("scale-up-from-zero", "true"),
    ("parallel-scale-up", "false"),
    ("salvo-scale-up", "false"),
    ("estimator", "binpacking"),
    ("max-binpacking-time", "5m0s"),
    ("max-nodegroup-binpacking-duration", "10s"),
    ("fastpath-binpacking-enabled", "false"),
    ("scale-down-simulation-timeout", "30s"),
    ("force-delete-failed-nodes", "false"),
    ("enable-proactive-scaleup", "false"),
    ("predicate-parallelism", "4"),
    ("enable-dynamic-resource-allocation", "true"),
    ("node-deletion-candidate-ttl", "0s"),
];

/// Any value of these is equivalent to the default: they affect only speed and additional output.
const WITHOUT_EFFECT: [&str; 7] = [
    "scale-down-non-empty-candidates-count",
    "scale-down-candidates-pool-ratio",
    "scale-down-candidates-pool-min-count",
    "max-binpacking-time",
    "max-nodegroup-binpacking-duration",
    "scale-down-simulation-timeout",
    "predicate-parallelism",
];

/// Rejects other values of a flag for which only one is simulated.
fn check_fixed(flag: &str, text: &str) -> Result<(), OptionError> {
    let wrong = |problem: String| Err(OptionError { flag: flag.to_owned(), problem });
    let Some((_, default)) = FIXED.iter().find(|(name, _)| *name == flag) else {
        return wrong("is no flag of the autoscaler that is simulated".to_owned());
    };
    if text == *default || WITHOUT_EFFECT.contains(&flag) {
        return Ok(());
    }
    wrong(format!("{text:?} is not simulated; {default} is"))
}

/// Minimum and maximum of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Minimum.
    pub min: i64,
    /// Maximum.
    pub max: i64,
}

/// A chain of expanders: each one narrows down the options left by the previous one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanders(pub Vec<ExpanderKind>);

impl Flag for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Flag for i64 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not a whole number"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Flag for f64 {
    fn read(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number: &Self| number.is_finite());
        number.ok_or_else(|| format!("{text:?} is not a number"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Flag for SimDuration {
    fn read(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        format_duration(*self)
    }
}

impl Flag for Limits {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a range such as 0:320000");
        let (min, max) = text.split_once(':').ok_or_else(wrong)?;
        let (min, max) = (i64::read(min)?, i64::read(max)?);
        if min < 0 || max < min {
            return Err(format!("{text:?}: the minimum must be between 0 and the maximum"));
        }
        Ok(Self { min, max })
    }

    fn show(&self) -> String {
        format!("{}:{}", self.min, self.max)
    }
}

impl Flag for Expanders {
    fn read(text: &str) -> Result<Self, String> {
        ExpanderKind::read_chain(text).map(Self)
    }

    fn show(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|one| one.name()).collect();
        names.join(",")
    }
}

fn gpu_total(text: &str) -> Result<(Name, i64, i64), String> {
    let wrong = || format!("{text:?} is no GPU limit; such as nvidia-tesla-a100:0:8 would be one");
    let (kind, range) = text.split_once(':').ok_or_else(wrong)?;
    let Limits { min, max } = Limits::read(range)?;
    Ok((kind.into(), min, max))
}

/// Options that a group can override (`NodeGroup.GetOptions`); absent = the flag applies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupOptions {
    /// `scale-down-utilization-threshold`.
    pub scale_down_utilization_threshold: Option<f64>,
    /// `scale-down-gpu-utilization-threshold`.
    pub scale_down_gpu_utilization_threshold: Option<f64>,
    /// `scale-down-unneeded-time`.
    pub scale_down_unneeded_time: Option<SimDuration>,
    /// `scale-down-unready-time`.
    pub scale_down_unready_time: Option<SimDuration>,
    /// `max-node-provision-time`.
    pub max_node_provision_time: Option<SimDuration>,
    /// `max-node-startup-time`.
    pub max_node_startup_time: Option<SimDuration>,
    /// `ignore-daemonsets-utilization`.
    pub ignore_daemonsets_utilization: Option<bool>,
}

impl GroupOptions {
    /// Sets an option of a group from text, under the name of the flag that it overrides.
    pub fn set(&mut self, flag: &str, text: &str) -> Result<(), OptionError> {
        let wrong = |problem: String| OptionError { flag: flag.to_owned(), problem };
        let duration = || SimDuration::read(text).map(Some).map_err(wrong);
        let ratio = || f64::read(text).map(Some).map_err(wrong);
        match flag {
            "scale-down-utilization-threshold" => self.scale_down_utilization_threshold = ratio()?,
            "scale-down-gpu-utilization-threshold" => {
                self.scale_down_gpu_utilization_threshold = ratio()?;
            }
            "scale-down-unneeded-time" => self.scale_down_unneeded_time = duration()?,
            "scale-down-unready-time" => self.scale_down_unready_time = duration()?,
            "max-node-provision-time" => self.max_node_provision_time = duration()?,
            "max-node-startup-time" => self.max_node_startup_time = duration()?,
            "ignore-daemonsets-utilization" => {
                self.ignore_daemonsets_utilization = Some(bool::read(text).map_err(wrong)?);
            }
            _ => return Err(wrong("is no option of a single node group".to_owned())),
        }
        Ok(())
    }

    /// The options of this group, with the flags as defaults.
    pub fn resolved(&self, options: &Options) -> ResolvedGroupOptions {
        let gpu_threshold = options.scale_down_gpu_utilization_threshold;
        let ignores = options.ignore_daemonsets_utilization;
        ResolvedGroupOptions {
            utilization_threshold: self
                .scale_down_utilization_threshold
                .unwrap_or(options.scale_down_utilization_threshold),
            gpu_utilization_threshold: self
                .scale_down_gpu_utilization_threshold
                .unwrap_or(gpu_threshold),
            unneeded_time: self
                .scale_down_unneeded_time
                .unwrap_or(options.scale_down_unneeded_time),
            unready_time: self.scale_down_unready_time.unwrap_or(options.scale_down_unready_time),
            provision_time: self.max_node_provision_time.unwrap_or(options.max_node_provision_time),
            startup_time: self.max_node_startup_time.unwrap_or(options.max_node_startup_time),
            ignores_daemon_sets: self.ignore_daemonsets_utilization.unwrap_or(ignores),
        }
    }
}

/// The effective options of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResolvedGroupOptions {
    /// `scale-down-utilization-threshold`.
    pub utilization_threshold: f64,
    /// `scale-down-gpu-utilization-threshold`.
    pub gpu_utilization_threshold: f64,
    /// `scale-down-unneeded-time`.
    pub unneeded_time: SimDuration,
    /// `scale-down-unready-time`.
    pub unready_time: SimDuration,
    /// `max-node-provision-time`.
    pub provision_time: SimDuration,
    /// `max-node-startup-time`.
    pub startup_time: SimDuration,
    /// `ignore-daemonsets-utilization`.
    pub ignores_daemon_sets: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_the_default_of_the_real_autoscaler() {
        let golden = include_str!("../../tests/golden/cluster-autoscaler/flag_defaults.json");
        let golden: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(golden).unwrap();
        let own = Options::default().values();
        for (flag, value) in &golden {
            let text = value.as_str().unwrap();
            let (_, ours) = own.iter().find(|(name, _)| name == flag).expect(flag);
            let same_duration = || parse_duration(text).ok().zip(parse_duration(ours).ok());
            let is_same = ours == text || same_duration().is_some_and(|(one, other)| one == other);
            assert!(is_same, "{flag}: {ours}, recorded {text}");
        }
        let extra: Vec<_> = own.iter().filter(|(flag, _)| !golden.contains_key(*flag)).collect();
        assert!(extra.is_empty(), "{extra:?}");
    }

    #[test]
    fn a_flag_that_is_wrong_says_what_would_be_right() {
        let mut options = Options::default();
        let mut problem = |flag, text| options.set(flag, text).unwrap_err().to_string();
        assert_eq!(
            problem("cores-total", "5:2"),
            "cores-total: \"5:2\": the minimum must be between 0 and the maximum"
        );
        assert!(problem("expander", "cheapest").contains("least-waste"));
        assert!(problem("expander", "random,price").contains("random"));
        assert_eq!(
            problem("salvo-scale-up", "true"),
            "salvo-scale-up: \"true\" is not simulated; false is"
        );
        assert!(problem("scan-intervall", "10s").contains("no flag"));
        assert!(problem("scan-interval", "-1s").contains("scan-interval"));
        options.set("predicate-parallelism", "1").unwrap();
        options.set("gpu-total", "a100:0:2").unwrap();
        assert_eq!(options.gpu_total, [("a100".into(), 0, 2)]);
    }

    #[test]
    fn a_group_overrides_the_flags_that_it_names() {
        let mut own = GroupOptions::default();
        own.set("scale-down-unneeded-time", "1m").unwrap();
        let resolved = own.resolved(&Options::default());
        assert_eq!(resolved.unneeded_time, SimDuration::from_secs(60));
        assert_eq!(resolved.unready_time, SimDuration::from_secs(1200));
        assert!(own.set("scan-interval", "1m").is_err());
    }
}
