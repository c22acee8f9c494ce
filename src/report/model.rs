//! Figures of a run as plain data, with the unit in each field's name. Not responsible for how it is filled (`sim`) or
//! shown (the renderers beside this file).

mod assumption;
mod budgets;
mod classes;
mod money;

use serde::Serialize;

pub use super::balancing::Balancing;
use super::llm::LlmReport;
pub use assumption::{Answer, Assumption};
pub use budgets::{BurnRateAlert, ErrorBudget, GoodAndFast};
pub use classes::ClassReport;
pub use money::{
    ChargeLine, CostReport, DiscountLine, DiscountOf, MachineCost, PoolCost, Provenance,
    WorkloadCost,
};

/// Version of the JSON form: the minor grows with added fields, the major with changed ones.
pub const FORMAT_VERSION: &str = "1.4";

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`FORMAT_VERSION`].
    pub format_version: &'static str,
    /// Scenario, seed and fingerprints of the run.
    pub run: RunInfo,
    /// The scenario's objectives, met or missed.
    pub objectives: Vec<ObjectiveResult>,
    /// Per service with traffic: those with objectives first, then those that clients ask, the busiest of them first.
    pub services: Vec<ServiceReport>,
    /// What the objectives let go wrong, and what used that up.
    pub error_budgets: Vec<ErrorBudget>,
    /// Replicas, restarts and CPU of each workload.
    pub workloads: Vec<WorkloadReport>,
    /// Nodes and their use.
    pub cluster: ClusterReport,
    /// The invoice: nodes by pool and by workload, and what comes beside them.
    pub cost: CostReport,
    /// What was not scheduled, failed or ignored: never to be overlooked.
    pub attention: Vec<Attention>,
    /// Decisions of the controllers, faults and changes of the cluster, in order of time.
    pub log: Vec<LogEntry>,
    /// What the run spans over the phases of the control loops, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhaseBand>,
    /// Settings of the scenario that are guesses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<Assumption>,
    /// The same instants for all series, in seconds from the start: the end of each interval.
    pub interval_ends_seconds: Vec<f64>,
}

/// What runs span that differ in the phases of the control loops alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseBand {
    /// Number of runs.
    pub phases: u32,
    /// Least and greatest of each figure.
    pub figures: Vec<BandFigure>,
}

/// Range of a figure over the runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandFigure {
    /// The service or workload.
    pub subject: String,
    /// The figure, with its unit.
    pub figure: String,
    /// Least of all runs.
    pub least: f64,
    /// Greatest of all runs.
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
    /// Fingerprint of the scenario with all its files, hexadecimal.
    pub scenario_hash: String,
    /// Fingerprint of the run, hexadecimal: equal digests mean equal runs.
    pub digest: String,
    /// Simulated time in all, milliseconds.
    pub duration_ms: u64,
    /// The first part of it, whose requests are not counted, milliseconds.
    pub warm_up_ms: u64,
    /// Events that the engine handled, requests not included.
    pub events: u64,
    /// Requests that were simulated, warm-up included.
    pub requests: u64,
}

/// One objective with the value that the run reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectiveResult {
    /// Subject: `service ai-agents/ai-agent` or `cost`.
    pub subject: String,
    /// The figure: `latency p99`, `availability`, `cost per month`.
    pub figure: String,
    /// The limit in words: `<= 2 s`, `>= 99.9 %`, `<= $300`.
    pub limit: String,
    /// The value in words; `none` where no request ended, `never` where so many failed that no time is enough.
    pub value: String,
    /// Value and limit as numbers, in the figure's base unit (seconds, fraction, USD).
    pub limit_number: f64,
    /// See `limit_number`; absent where there is no value.
    pub value_number: Option<f64>,
    /// Whether it was met.
    pub met: bool,
    /// Why it was missed, as far as the run tells; empty if it was met.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// The minutes that hold the limit by themselves; absent for a figure that is not told by the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<MinutesHeld>,
}

/// How many minutes hold a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MinutesHeld {
    /// Those that hold it.
    pub held: u64,
    /// Those with requests.
    pub of: u64,
}

/// Latency quantiles in milliseconds; absent where nothing was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 95 %.
    pub p95_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

/// Times within which shares of all requests that ended were answered, in milliseconds; absent where so many failed that
/// no time is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyOfAll {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90 %.
    pub p90_ms: Option<f64>,
    /// 95 %.
    pub p95_ms: Option<f64>,
    /// 99 %.
    pub p99_ms: Option<f64>,
    /// 99.9 %.
    pub p999_ms: Option<f64>,
    /// All.
    pub max_ms: Option<f64>,
}

/// Requests, latency and availability of one service, after the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceReport {
    /// `namespace/name`.
    pub service: String,
    /// The workloads whose pods it selects, under their names in [`Report::workloads`].
    pub workloads: Vec<String>,
    /// Whether clients ask it, and not its fellow services alone.
    pub has_clients: bool,
    /// How requests find its pods.
    pub balancing: Balancing,
    /// Requests that arrived.
    pub arrived: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those that failed, by cause (`no ready endpoint`, `timeout`, ...), largest first.
    pub failed_by_cause: Vec<(String, u64)>,
    /// Services that it called in vain for requests that failed, with the number of those calls, most first; absent
    /// if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_calls: Vec<(String, u64)>,
    /// NetworkPolicies that kept requests from it, by name; absent if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<String>,
    /// Those still under way at the end.
    pub in_flight: u64,
    /// Further attempts that callers made at these requests after a failure, on top of them; absent if
    /// there were none. A multiple of `arrived` is a retry storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// Of those that were answered; absent if there were none.
    pub latency: Option<Latency>,
    /// Class by class, where its requests are of several; they add up to the service's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassReport>,
    /// Of its language models; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmReport>,
    /// Of all that ended, a failed one being slower than any answer; absent if none ended.
    pub latency_of_all: Option<LatencyOfAll>,
    /// Answered over answered and failed, 0..1; absent without requests.
    pub availability_by_requests: Option<f64>,
    /// Of all requests that ended, those that were answered within each limit of its latency objectives; empty without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub good_and_fast: Vec<GoodAndFast>,
    /// Share of the time in which it was not down, 0..1.
    pub availability_by_time: f64,
    /// A minute in which a smaller share of the requests was answered counts as down, 0..1.
    pub down_below: f64,
    /// Spans in which it was down: no endpoint could be reached, or too few requests were answered.
    pub downtimes: Vec<Downtime>,
    /// Per interval, as long as `interval_ends_seconds`.
    pub series: ServiceSeries,
}

/// A span during which a service could not answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Downtime {
    /// From, seconds from the start.
    pub from_seconds: f64,
    /// Length, seconds.
    pub seconds: f64,
    /// The part of it after the warm-up, seconds: what availability counts.
    pub counted_seconds: f64,
    /// Share of the requests that were answered in the minutes in which too few were, 0..1; absent where only the
    /// endpoints tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<f64>,
    /// Cause, as far as the cluster's state tells.
    pub cause: String,
}

/// Requests and latency of a service in each interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceSeries {
    /// Requests per second that arrived.
    pub arrived_rps: Vec<f64>,
    /// Requests per second that failed.
    pub failed_rps: Vec<f64>,
    /// Further attempts per second that callers made after a failure, in the interval in which they
    /// decided on them; absent if there were none in the run. A retry storm is where they rise past
    /// `arrived_rps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retried_rps: Vec<f64>,
    /// Median latency; absent where nothing was answered.
    pub latency_p50_ms: Vec<Option<f64>>,
    /// 95 %.
    pub latency_p95_ms: Vec<Option<f64>>,
    /// 99 %.
    pub latency_p99_ms: Vec<Option<f64>>,
}

/// One workload over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkloadReport {
    /// `Deployment ai-agents/ai-agent`.
    pub workload: String,
    /// The HPA that scales it, if any.
    pub hpa: Option<String>,
    /// Pods wanted (`spec.replicas`; nodes of a DaemonSet; active pods of Jobs): smallest number, mean
    /// over time, and largest.
    pub replicas: Spread,
    /// Ready pods, likewise.
    pub ready: Spread,
    /// Time for which its HPA wanted more pods than its maximum, seconds.
    pub hpa_at_maximum_seconds: f64,
    /// Changes of `spec.replicas` by an autoscaler.
    pub rescales: u64,
    /// Pods created in all.
    pub pods_created: u64,
    /// Restarts of containers.
    pub restarts: u64,
    /// Seconds that pods waited for a node, summed.
    pub pending_pod_seconds: f64,
    /// Pods that had no node at the end of the run.
    pub pods_without_node: u64,
    /// Further pods that it wanted and that were not ready at the end of the run; none of a workload that makes Jobs.
    pub pods_not_ready: u64,
    /// CPU use over requests, mean over the run, 0..; absent without requests.
    pub cpu_utilization: Option<f64>,
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
    /// Jobs that were complete.
    pub complete: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were deleted before their end.
    pub deleted: u64,
    /// Jobs that had not ended when the run did.
    pub unfinished: u64,
    /// Jobs that had not ended: smallest number, mean over time, largest.
    pub at_once: Spread,
    /// From creation to completion, mean of the complete Jobs, seconds; absent without any.
    pub completion_seconds_mean: Option<f64>,
    /// The longest of these.
    pub completion_seconds_max: Option<f64>,
    /// Pods that succeeded.
    pub pods_succeeded: u64,
    /// Pods that failed and counted.
    pub pods_failed: u64,
    /// Failed Jobs by the reason of their Failed condition, most first.
    pub failures: Vec<(String, u64)>,
}

/// Smallest, mean over time, largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Mean over time.
    pub mean: f64,
    /// Largest.
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
    /// The metric that its HPA looked at last, percent of target; absent without one.
    pub hpa_percent_of_target: Vec<Option<f64>>,
}

/// The nodes over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Per pool; Node objects without a pool stand under their own name.
    pub pools: Vec<PoolReport>,
    /// Nodes that were added or removed, in order of time; absent if none were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_changes: Vec<NodeChange>,
    /// How long pods waited for a node; absent if none waited for a second or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_waits: Option<PodWaits>,
    /// Nodes at the end of each interval.
    pub series_nodes: Vec<f64>,
    /// Nodes of them that are Ready.
    pub series_ready_nodes: Vec<f64>,
    /// Pods without a node.
    pub series_pending_pods: Vec<f64>,
}

/// A node that came or went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeChange {
    /// When it joined the cluster, or was gone, seconds from the start.
    pub at_seconds: f64,
    /// Its name.
    pub node: String,
    /// Whether it came or went.
    pub event: NodeEvent,
    /// Type of its machine, empty if described in place.
    pub instance_type: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Why; empty if nobody said.
    pub reason: String,
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeEvent {
    /// It joined the cluster.
    Added,
    /// It is gone.
    Removed,
}

/// How long pods waited for a node from their creation, of those that waited for a second or more, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PodWaits {
    /// Number of pods.
    pub pods: u64,
    /// Mean.
    pub mean_seconds: f64,
    /// Median.
    pub p50_seconds: f64,
    /// 95 %.
    pub p95_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
}

/// One pool over the run; shares are means over time and nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolReport {
    /// Name of the node pool.
    pub pool: String,
    /// Instance type, empty if inline.
    pub instance_type: String,
    /// Nodes: smallest, mean, largest.
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

/// Something that a reader must not overlook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Attention {
    /// Weight of the message.
    pub severity: Severity,
    /// One sentence: the problem, its amount, and its effect on the result.
    pub message: String,
}

/// Weight of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Pods that were never placed, requests that failed: the result is bad.
    Failure,
    /// The result may mislead.
    Warning,
    /// Something given was not used.
    Ignored,
}

/// A decision or an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// When, seconds from the start.
    pub at_seconds: f64,
    /// Component: `horizontal-pod-autoscaler`, `default-scheduler`, `kubelet`, `scenario`, ...
    pub actor: String,
    /// About what: `Deployment ai-agents/ai-agent`.
    pub object: String,
    /// One word, as in a Kubernetes Event: `SuccessfulRescale`, `Killing`, ...
    pub reason: String,
    /// A sentence with the numbers.
    pub message: String,
    /// Whether it warns.
    pub is_warning: bool,
}
