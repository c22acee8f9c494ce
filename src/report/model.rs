//! The figures of a run as plain data, with the unit in each field's name. They are computed elsewhere (`sim`) and
//! shown by the renderers beside this file.

mod activator;
mod assumption;
mod budgets;
mod classes;
mod money;
mod objective;
mod steps;
mod user_uptime;

use serde::Serialize;

pub use super::balancing::Balancing;
use super::llm::LlmReport;
use super::network::NetworkReport;
pub use activator::ActivatorReport;
pub use assumption::{Assumption, HeadlineFigures};
pub use budgets::{BurnRateAlert, ErrorBudget, GoodAndFast};
pub use classes::ClassReport;
pub use money::{
    ChargeLine, CostReport, DiscountLine, DiscountOf, MachineCost, PoolCost, Provenance,
    WorkloadCost,
};
pub use objective::{MinutesHeld, ObjectiveResult};
pub use steps::{ClusterSteps, WorkloadSteps};
pub use user_uptime::{UserUptimeReport, WorstWindow};

/// Version of the JSON output: the minor version grows with added fields, the major version with changed ones.
pub const FORMAT_VERSION: &str = "1.7";

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`FORMAT_VERSION`].
    pub format_version: &'static str,
    /// Scenario, seed and fingerprints of the run.
    pub run: RunInfo,
    /// The scenario's objectives, met or missed.
    pub objectives: Vec<ObjectiveResult>,
    /// Services with traffic: those with objectives first, then those called by clients, busiest first.
    pub services: Vec<ServiceReport>,
    /// Network time of the requests.
    pub network: NetworkReport,
    /// Error budgets of the objectives and their causes of use.
    pub error_budgets: Vec<ErrorBudget>,
    /// Replicas, restarts and CPU of each workload.
    pub workloads: Vec<WorkloadReport>,
    /// Nodes and their utilization.
    pub cluster: ClusterReport,
    /// The invoice: nodes by pool and workload, and all other items.
    pub cost: CostReport,
    /// Unschedulable pods, failures and ignored input that need the user's attention.
    pub attention: Vec<Notice>,
    /// Decisions of the controllers, faults and changes of the cluster, in order of time.
    pub log: Vec<LogEntry>,
    /// Range of the figures over the phases of the control loops, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhaseBand>,
    /// Settings of the scenario that are guesses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<Assumption>,
    /// End of each interval in seconds from the start, shared by all series.
    pub interval_ends_seconds: Vec<f64>,
}

/// Range of the figures over runs that differ only in the phases of the control loops.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseBand {
    /// Number of runs.
    pub phases: u32,
    /// Minimum and maximum of each figure.
    pub figures: Vec<BandFigure>,
}

/// Range of a figure over the runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandFigure {
    /// The service or workload.
    pub subject: String,
    /// Name of the figure, with its unit.
    pub figure: String,
    /// Minimum over all runs.
    pub least: f64,
    /// Maximum over all runs.
    pub greatest: f64,
}

/// Identity of a run: equal hashes and seeds mean equal runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunInfo {
    /// Name of the scenario.
    pub scenario: String,
    /// Its description, empty if none.
    pub description: String,
    /// Version of wavetank.
    pub wavetank_version: &'static str,
    /// Seed of all randomness.
    pub seed: u64,
    /// Hash of the scenario with all its files, hexadecimal.
    pub scenario_hash: String,
    /// Fingerprint of the run, hexadecimal: equal digests mean equal runs.
    pub digest: String,
    /// Simulated time, warm-up included, milliseconds.
    pub duration_ms: u64,
    /// Length of the warm-up, whose requests are not counted, milliseconds.
    pub warm_up_ms: u64,
    /// Events processed by the engine, requests excluded.
    pub events: u64,
    /// Simulated requests, warm-up included.
    pub requests: u64,
}

/// Latency quantiles in milliseconds; absent where nothing was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Maximum.
    pub max_ms: f64,
}

/// Latency quantiles over all finished requests, failed ones counting as infinitely slow, in milliseconds; absent if
/// too many failed for any time to suffice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyWithFailures {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// Maximum.
    pub max_ms: Option<f64>,
}

/// Requests, latency and availability of one service, after the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceReport {
    /// `namespace/name`.
    pub service: String,
    /// The workloads whose pods it selects, under their names in [`Report::workloads`].
    pub workloads: Vec<String>,
    /// True if clients call it; false if only other services do.
    pub has_clients: bool,
    /// Load balancing of requests over its pods.
    pub balancing: Balancing,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Failed requests by cause (`no ready endpoint`, `timeout`, ...), largest first.
    pub failed_by_cause: Vec<(String, u64)>,
    /// Services whose failed calls made its requests fail, with the number of those calls, most first; absent if there
    /// were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_calls: Vec<(String, u64)>,
    /// Services that its pods call at the end of the run; absent if they call none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Names of the NetworkPolicies that blocked requests to it; absent if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<String>,
    /// Requests in flight at the end.
    pub in_flight: u64,
    /// Retries of these requests by callers, in addition to `arrived`; absent if there were none. A multiple of
    /// `arrived` is a retry storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// Requests that Knative's activator held until a pod could take them; absent without an activator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activator: Option<ActivatorReport>,
    /// Latency of answered requests; absent if there were none.
    pub latency: Option<Latency>,
    /// Figures per class, if its requests have several classes; they add up to those of the service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassReport>,
    /// Figures of its language models; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmReport>,
    /// Latency over all finished requests, a failed one being slower than any answer; absent if none finished.
    pub latency_of_all: Option<LatencyWithFailures>,
    /// Answered over answered and failed, 0..1; absent without requests.
    pub availability_by_requests: Option<f64>,
    /// Share of all finished requests that were answered within each limit of its latency objectives; empty without
    /// such limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub good_and_fast: Vec<GoodAndFast>,
    /// Share of time in which it was not down, 0..1.
    pub availability_by_time: f64,
    /// Uptime as its users see it; absent if it is not known which requests come from the same user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_uptime: Option<UserUptimeReport>,
    /// Share of answered requests below which a minute counts as down, 0..1.
    pub down_below: f64,
    /// Periods in which it was down: no endpoint was reachable, or too few requests were answered.
    pub downtimes: Vec<Downtime>,
    /// Per interval, as long as `interval_ends_seconds`.
    pub series: ServiceSeries,
}

/// A period in which a service was down.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Downtime {
    /// Start, seconds from the start of the run.
    pub from_seconds: f64,
    /// Length, seconds.
    pub seconds: f64,
    /// Length of the part after the warm-up, which counts for availability, seconds.
    pub counted_seconds: f64,
    /// Share of answered requests in the minutes in which too few were answered, 0..1; absent if it was down by its
    /// endpoints only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<f64>,
    /// Cause, as far as the cluster's state reveals it.
    pub cause: String,
}

/// Requests and latency of a service in each interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceSeries {
    /// Requests per second that arrived.
    pub arrived_rps: Vec<f64>,
    /// Requests per second that failed.
    pub failed_rps: Vec<f64>,
    /// Retries per second, counted in the interval in which callers decided on them; absent if there were none in the
    /// run. A retry storm is where they exceed `arrived_rps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retried_rps: Vec<f64>,
    /// Median latency; absent where nothing was answered.
    pub latency_p50_ms: Vec<Option<f64>>,
    /// 95th percentile.
    pub latency_p95_ms: Vec<Option<f64>>,
    /// 99th percentile.
    pub latency_p99_ms: Vec<Option<f64>>,
}

/// A workload over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkloadReport {
    /// `Deployment ai-agents/ai-agent`.
    pub workload: String,
    /// The HPA or PodAutoscaler of Knative that scales it, if any.
    pub hpa: Option<String>,
    /// Desired pods (`spec.replicas`; eligible nodes for a DaemonSet; active pods of Jobs): minimum, mean over time,
    /// and maximum.
    pub replicas: Spread,
    /// Ready pods: minimum, mean over time, and maximum.
    pub ready: Spread,
    /// Time in which its HPA wanted more pods than its maximum, or its ScaledJob more Jobs, seconds.
    pub hpa_at_maximum_seconds: f64,
    /// Changes of `spec.replicas` by an autoscaler.
    pub rescales: u64,
    /// Total number of pods created.
    pub pods_created: u64,
    /// Container restarts.
    pub restarts: u64,
    /// Total time that pods waited for a node, seconds.
    pub pending_pod_seconds: f64,
    /// Pods without a node at the end of the run.
    pub pods_without_node: u64,
    /// Other desired pods that were not ready at the end of the run, without those that were first desired in its last
    /// minute; 0 for workloads that create Jobs.
    pub pods_not_ready: u64,
    /// CPU use over requests, mean over the run, 0..; absent without requests.
    pub cpu_utilization: Option<f64>,
    /// Share of the time of its ready pods in which the CPU limit kept requests from the CPU, 0..1; absent if it never
    /// did. The kernel's `throttled_time` over the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttled: Option<f64>,
    /// Outcomes of its Jobs; absent for other kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobsReport>,
    /// Per interval.
    pub series: WorkloadSeries,
}

/// The Jobs of a Job or CronJob over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JobsReport {
    /// Jobs created.
    pub created: u64,
    /// Jobs completed.
    pub complete: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs deleted before they finished.
    pub deleted: u64,
    /// Jobs unfinished at the end of the run.
    pub unfinished: u64,
    /// Unfinished Jobs: minimum, mean over time, maximum.
    pub at_once: Spread,
    /// Total time for which its Jobs were suspended, as until Kueue admits them, seconds; absent if they never were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_seconds: Option<f64>,
    /// Mean time from creation to completion of the completed Jobs, seconds; absent without any.
    pub completion_seconds_mean: Option<f64>,
    /// Longest time from creation to completion, seconds; absent without any.
    pub completion_seconds_max: Option<f64>,
    /// Pods that succeeded.
    pub pods_succeeded: u64,
    /// Pods that failed, as counted in `status.failed` of their Jobs.
    pub pods_failed: u64,
    /// Failed Jobs by the reason of their Failed condition, most first.
    pub failures: Vec<(String, u64)>,
}

/// Minimum, mean over time, and maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Minimum.
    pub min: f64,
    /// Mean over time.
    pub mean: f64,
    /// Maximum.
    pub max: f64,
}

/// A workload at the end of each interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkloadSeries {
    /// `spec.replicas`.
    pub desired: Vec<f64>,
    /// Pods whose Ready condition is True.
    pub ready: Vec<f64>,
    /// Pods without a node.
    pub pending: Vec<f64>,
    /// CPU used, cores, mean over the interval.
    pub cpu_cores: Vec<f64>,
    /// The metric that its HPA last acted on, percent of target; absent without one.
    pub hpa_percent_of_target: Vec<Option<f64>>,
    /// The counts above at the instants at which they change, for the charts.
    #[serde(skip)]
    pub steps: WorkloadSteps,
}

/// The nodes over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Per pool; Node objects without a pool are listed under their own name.
    pub pools: Vec<PoolReport>,
    /// Nodes added or removed, in order of time; absent if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_changes: Vec<NodeChange>,
    /// Time that pods waited for a node; absent if none waited for a second or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_waits: Option<PodWaits>,
    /// Nodes at the end of each interval.
    pub series_nodes: Vec<f64>,
    /// Ready nodes.
    pub series_ready_nodes: Vec<f64>,
    /// Pods without a node.
    pub series_pending_pods: Vec<f64>,
    /// The counts above at the instants at which they change, for the charts.
    #[serde(skip)]
    pub steps: ClusterSteps,
}

/// A node added or removed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeChange {
    /// Time at which it joined the cluster or was gone, seconds from the start.
    pub at_seconds: f64,
    /// Node name.
    pub node: String,
    /// Added or removed.
    pub event: NodeEvent,
    /// Its instance type; empty if described in place.
    pub instance_type: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Reason; empty if unknown.
    pub reason: String,
}

/// Type of a node change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeEvent {
    /// It joined the cluster.
    Added,
    /// It was removed.
    Removed,
}

/// Time from creation to a node of pods that waited for a second or more, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PodWaits {
    /// Number of pods.
    pub pods: u64,
    /// Mean.
    pub mean_seconds: f64,
    /// Median.
    pub p50_seconds: f64,
    /// 95th percentile.
    pub p95_seconds: f64,
    /// Maximum.
    pub max_seconds: f64,
}

/// A pool over the run; shares are means over time and nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolReport {
    /// Name of the node pool.
    pub pool: String,
    /// Instance type; empty if described in place.
    pub instance_type: String,
    /// Number of nodes: minimum, mean, maximum.
    pub nodes: Spread,
    /// CPU requested over allocatable, 0..1.
    pub cpu_requested: f64,
    /// CPU used over allocatable, 0..1.
    pub cpu_used: f64,
    /// Memory requested over allocatable, 0..1.
    pub memory_requested: f64,
    /// GPUs requested over allocatable, 0..1; absent without GPUs.
    pub gpu_requested: Option<f64>,
}

/// A message that needs the user's attention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Notice {
    /// Severity of the message.
    pub severity: Severity,
    /// One sentence: the problem, its extent, and its effect on the result.
    pub message: String,
}

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A bad result: pods that were never placed, requests that failed.
    Failure,
    /// The result may mislead.
    Warning,
    /// Some input was not used.
    Ignored,
}

/// A log entry: a decision or an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// Time, seconds from the start.
    pub at_seconds: f64,
    /// Component: `horizontal-pod-autoscaler`, `default-scheduler`, `kubelet`, `scenario`, ...
    pub actor: String,
    /// The object concerned: `Deployment ai-agents/ai-agent`.
    pub object: String,
    /// One word, as in a Kubernetes Event: `SuccessfulRescale`, `Killing`, ...
    pub reason: String,
    /// A sentence with the numbers.
    pub message: String,
    /// True for a warning.
    pub is_warning: bool,
}
