//! Builds the report from the recorded facts: sums, means, costs. Pure.

mod attention;

use std::collections::BTreeMap;

use super::bill::{self, BillFacts};
use super::ledger::Ledger;
use super::model::{
    Balancing, ClusterReport, ClusterSteps, CostReport, DiscountLine, DiscountOf, JobsReport,
    LogEntry, Notice, PoolReport, Report, RunInfo, Spread, WorkloadCost, WorkloadReport,
    WorkloadSeries, WorkloadSteps,
};
use super::network::NetworkReport;
use super::node_bill::NodeCosts;
use super::{node_changes, node_costs};
use capacity::cost::{self, CostAllocation};
use cluster::Name;
use engine::{SimDuration, SimTime};
use record::{BatchTrack, NodeTrack, Recorder, Steps, TimeWeighted, WorkloadTrack};
use scenario::objectives::Objective;
use traffic::{
    HeldRequests, IntervalFigures, MinuteFigures, NetworkSpec, Outcomes, ServiceFigures, UserUptime,
};
use units::{Money, ResourceTime};

/// Input of a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// Identity of the run.
    pub run: &'a RunInfo,
    /// Length of the run, warm-up included.
    pub duration: SimDuration,
    /// The calendar instant at which it starts, seconds since 1970.
    pub start_seconds: i64,
    /// Record of the cluster: workloads, nodes, log.
    pub recorder: &'a Recorder,
    /// Outcomes and latencies of the requests, service by service.
    pub services: &'a [ServiceFacts],
    /// The scenario's objectives.
    pub objectives: &'a [Objective],
    /// The scenario's network times.
    pub network: &'a NetworkSpec,
    /// Inputs of the invoice.
    pub bill: BillFacts<'a>,
    /// Notes about the scenario and its manifests: ignored fields, kinds that are not simulated.
    pub notes: &'a [Notice],
}

/// The requests to one service.
#[derive(Clone, Debug)]
pub struct ServiceFacts {
    /// `namespace/name`.
    pub service: String,
    /// True if clients call it; false if only other services do.
    pub has_clients: bool,
    /// Load balancing of requests over its pods.
    pub balancing: Balancing,
    /// Services whose failed calls made its requests fail, with the number of those calls, most first.
    pub failed_calls: Vec<(String, u64)>,
    /// Services that its pods call.
    pub calls: Vec<String>,
    /// NetworkPolicies that blocked requests to it.
    pub blocked_by: Vec<String>,
    /// Requests that Knative's activator held; absent without an activator.
    pub held: Option<HeldRequests>,
    /// Indexes of the workloads behind it.
    pub workloads: Vec<usize>,
    /// Totals after the warm-up.
    pub figures: ServiceFigures,
    /// Figures per interval.
    pub intervals: Vec<IntervalFigures>,
    /// Figures per minute.
    pub minutes: Vec<MinuteFigures>,
    /// Figures per class, if there are several classes.
    pub classes: Vec<ClassFacts>,
    /// Up and down time of its users, if it is known which requests come from the same one.
    pub user_uptime: Option<UserUptime>,
}

/// The requests of one class of a service.
#[derive(Clone, Debug)]
pub struct ClassFacts {
    /// Name of the request class.
    pub class: String,
    /// Totals after the warm-up.
    pub figures: ServiceFigures,
    /// Figures per minute.
    pub minutes: Vec<MinuteFigures>,
}

/// Requests covered by an objective: all of a service, or those of one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted<'a> {
    pub figures: &'a ServiceFigures,
    pub minutes: &'a [MinuteFigures],
}

impl ServiceFacts {
    /// Outcomes by class, or of all requests if there are no classes.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (Option<&str>, &Outcomes)> {
        let all = self.classes.is_empty().then_some((None, &self.figures.outcomes));
        let classes = self.classes.iter();
        classes.map(|one| (Some(&*one.class), &one.figures.outcomes)).chain(all)
    }

    /// The requests of a class, or all; `None` if there is no such class.
    pub(super) fn counted(&self, class: Option<&str>) -> Option<Counted<'_>> {
        let Some(class) = class else {
            return Some(Counted { figures: &self.figures, minutes: &self.minutes });
        };
        let facts = self.classes.iter().find(|one| one.class == class)?;
        Some(Counted { figures: &facts.figures, minutes: &facts.minutes })
    }
}

/// Builds the report of a run.
pub fn build(facts: ReportInput<'_>) -> Report {
    let node_bill = NodeCosts::of(facts);
    let (allocation, ledger) = node_bill.allocate(facts);
    let services = super::build_services::of(facts, &allocation);
    let mut report = Report {
        format_version: super::FORMAT_VERSION,
        run: facts.run.clone(),
        objectives: Vec::new(),
        workloads: facts.recorder.workloads.iter().map(|one| workload(facts, one)).collect(),
        cluster: cluster(facts),
        error_budgets: Vec::new(),
        cost: cost_report(facts, &node_bill, &allocation),
        attention: Vec::new(),
        phases: None,
        assumptions: Vec::new(),
        log: facts.recorder.log.iter().map(log_entry).collect(),
        interval_ends_seconds: facts
            .recorder
            .interval_ends
            .iter()
            .map(|end| end.as_secs_f64())
            .collect(),
        services,
        network: NetworkReport::of(facts.network),
    };
    report.cost.ledger = ledger;
    report.cost.ledger.beside = report.cost.total_usd - report.cost.nodes_usd;
    report.objectives = super::build_objectives::judge(facts, &report);
    report.error_budgets = super::error_budget::of(facts, &report);
    report.attention = attention::attention(facts, &report);
    report
}

/// The pool of a node; a node given as a Node object is a pool of its own.
pub(super) fn pool_of(node: &NodeTrack) -> &Name {
    if node.pool.is_empty() { &node.name } else { &node.pool }
}

pub(super) fn end(facts: ReportInput<'_>) -> SimTime {
    SimTime::ZERO + facts.duration
}

fn cost_report(
    facts: ReportInput<'_>,
    node_bill: &NodeCosts,
    allocation: &CostAllocation,
) -> CostReport {
    // A request that calls other services counts once.
    let services = facts.services.iter();
    let answered = services.map(|service| service.figures.outcomes.answered_of_clients()).sum();
    // Both must cover the same time, or the figure would depend on the length of the warm-up: costs are
    // those of the whole run, answered requests those after the warm-up.
    let bill = bill::of(facts);
    let (discounts, unused_commitments) = node_bill.lines(facts, bill.total);
    let beside = bill.total.usd
        + sum(&unused_commitments, |line| line.usd)
        + off_charges(&discounts, |line| line.usd);
    let beside_month = bill.total.month_usd
        + sum(&unused_commitments, |line| line.month_usd)
        + off_charges(&discounts, |line| line.month_usd);
    let mut machines = node_costs::by_machine(facts);
    machines.extend(node_bill.by_serverless(facts));
    let mut not_counted = bill.not_counted;
    not_counted.extend(NodeCosts::unpriced_pods(facts));
    let total = allocation.total + beside;
    let nodes_month = cost::per_month(allocation.total, facts.duration).unwrap_or_default();
    let counted_cost = while_counted(facts, total);
    let mut workloads: Vec<WorkloadCost> = allocation
        .workloads
        .iter()
        .map(|(workload, usd)| WorkloadCost { workload: workload.to_string(), usd: *usd })
        .collect();
    workloads.sort_by_key(|workload| std::cmp::Reverse(workload.usd));
    CostReport {
        total_usd: total,
        month_usd: nodes_month + beside_month,
        million_requests_usd: cost::per_million(counted_cost, answered),
        nodes_usd: allocation.total,
        nodes_list_usd: node_bill.list_price(),
        discounts,
        unused_commitments,
        pools: node_costs::by_pool(facts, allocation),
        machines,
        charges: bill.lines,
        not_counted,
        workloads,
        idle_usd: allocation.idle,
        ledger: Ledger::default(),
        unpriced: node_costs::unpriced(facts),
    }
}

fn sum(lines: &[DiscountLine], of: fn(&DiscountLine) -> Money) -> Money {
    lines.iter().map(of).sum()
}

fn off_charges(discounts: &[DiscountLine], of: fn(&DiscountLine) -> Money) -> Money {
    discounts.iter().filter(|line| line.of == DiscountOf::Charges).map(of).sum()
}

/// The time after the warm-up.
pub(super) fn counted_time(facts: ReportInput<'_>) -> SimDuration {
    facts.duration - SimDuration::from_millis(facts.run.warm_up_ms.cast_signed())
}

/// The share of a cost of the whole run that falls on the time after the warm-up.
pub(super) fn while_counted(facts: ReportInput<'_>, cost: Money) -> Money {
    let (counted, whole) = (counted_time(facts).as_nanos(), facts.duration.as_nanos());
    cost.share(counted.into(), whole.max(1).into())
}

fn spread(value: &TimeWeighted, now: SimTime) -> Spread {
    let (min, max) = value.range(now);
    let seconds = now.as_secs_f64();
    let mean = if seconds > 0.0 { value.integral_seconds(now) / seconds } else { 0.0 };
    Spread { min: min as f64, mean, max: max as f64 }
}

/// Time for which pods that are newly desired at the end of a run do not count as missing.
const STARTING: SimDuration = SimDuration::from_secs(60);

/// Pods that are missing at the end of a run, besides those that an autoscaler has just added and that may still start.
#[derive(Debug, PartialEq)]
struct Missing {
    /// Without a node.
    pending: i64,
    /// On a node, and not ready.
    not_ready: i64,
}

impl Missing {
    fn of(track: &WorkloadTrack, end: SimTime) -> Self {
        let before = track.desired.value_at(SimTime::ZERO.max(end - STARTING));
        Self::among(before, track.desired.value(), track.ready.value(), track.pending.value())
    }

    /// Of the pods that are not ready, the newest are the added ones, and of those the pending ones come first: a pod
    /// gets its node before it starts.
    fn among(before: i64, desired: i64, ready: i64, pending: i64) -> Self {
        let added = (desired - before).max(0);
        let starting = added - added.min(pending);
        Self {
            pending: pending - added.min(pending),
            not_ready: (desired - ready - pending - starting).max(0),
        }
    }
}

fn workload(facts: ReportInput<'_>, track: &WorkloadTrack) -> WorkloadReport {
    let end = end(facts);
    let position = facts
        .recorder
        .workloads
        .iter()
        .position(|other| other.workload == track.workload)
        .unwrap_or_default();
    let requested: i128 = facts
        .recorder
        .holdings
        .range((position, 0)..(position + 1, 0))
        .map(|(_, held)| held.requested.cpu_milli_ns)
        .sum();
    let used = track.cpu_time.as_nanos() as f64 * 1000.0;
    // A pod of a Job may legitimately start or end at this moment; only the outcome of its Job matters.
    let is_batch = track.batch.is_some();
    let missing = Missing::of(track, end);
    let not_ready = if is_batch { 0 } else { missing.not_ready };
    let pending = if is_batch { track.pending.value() } else { missing.pending };
    let whole = |count: i64| u64::try_from(count).unwrap_or_default();
    let floats = |series: &[i64]| series.iter().map(|value| *value as f64).collect();
    WorkloadReport {
        workload: track.workload.to_string(),
        hpa: track.hpa.as_ref().map(ToString::to_string),
        replicas: spread(track.desired.weighted(), end),
        ready: spread(track.ready.weighted(), end),
        hpa_at_maximum_seconds: track.capped.integral_seconds(end),
        rescales: track.rescales,
        pods_created: track.pods_created,
        restarts: track.restarts,
        pending_pod_seconds: track.pending.integral_seconds(end),
        pods_without_node: whole(pending),
        pods_not_ready: whole(not_ready),
        cpu_utilization: (requested > 0).then(|| used / requested as f64),
        cpu_throttled: throttled(track, end),
        jobs: track.batch.as_ref().map(|batch| jobs(batch, end)),
        series: WorkloadSeries {
            desired: floats(&track.desired_series),
            ready: floats(&track.ready_series),
            pending: floats(&track.pending_series),
            cpu_cores: cores(&track.cpu_time_series, &facts.recorder.interval_ends),
            hpa_percent_of_target: track.percent_of_target_series.clone(),
            steps: WorkloadSteps {
                desired: changes(&track.desired),
                ready: changes(&track.ready),
                pending: changes(&track.pending),
            },
        },
    }
}

/// From when on [s] it had which value.
fn changes(steps: &Steps) -> Vec<(f64, f64)> {
    steps.changes().iter().map(|(at, value)| (at.as_secs_f64(), *value as f64)).collect()
}

/// Share of the time of its ready pods in which a CPU limit kept requests from the CPU; absent if it never did.
fn throttled(track: &WorkloadTrack, end: SimTime) -> Option<f64> {
    let ready = track.ready.integral_seconds(end);
    let throttled = track.throttled.as_secs_f64();
    (throttled > 0.0 && ready > 0.0).then(|| (throttled / ready).min(1.0))
}

fn jobs(batch: &BatchTrack, end: SimTime) -> JobsReport {
    let has_any = batch.complete > 0;
    let mean = batch.completion_time.as_secs_f64() / batch.complete.max(1) as f64;
    let mut failures: Vec<(String, u64)> =
        batch.failures.iter().map(|(reason, count)| (reason.to_string(), *count)).collect();
    failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    JobsReport {
        created: batch.created,
        complete: batch.complete,
        failed: batch.failed,
        deleted: batch.deleted,
        unfinished: u64::try_from(batch.running.value()).unwrap_or(0),
        at_once: spread(&batch.running, end),
        suspended_seconds: Some(batch.suspended.integral_seconds(end)).filter(|all| *all > 0.0),
        completion_seconds_mean: has_any.then_some(mean),
        completion_seconds_max: has_any.then(|| batch.completion_time_max.as_secs_f64()),
        pods_succeeded: batch.pods_succeeded,
        pods_failed: batch.pods_failed,
        failures,
    }
}

/// Mean cores used per interval, from the cumulative CPU time at each end.
fn cores(cpu_times: &[SimDuration], ends: &[SimTime]) -> Vec<f64> {
    let mut before = (SimDuration::ZERO, SimTime::ZERO);
    cpu_times
        .iter()
        .zip(ends)
        .map(|(cpu_time, end)| {
            let used = (*cpu_time - before.0).as_secs_f64();
            let span = (*end - before.1).as_secs_f64();
            before = (*cpu_time, *end);
            if span > 0.0 { used / span } else { 0.0 }
        })
        .collect()
}

fn cluster(facts: ReportInput<'_>) -> ClusterReport {
    let series = &facts.recorder.series;
    let counts = |series: &[usize]| series.iter().map(|count| *count as f64).collect();
    ClusterReport {
        pools: pools(facts),
        node_changes: node_changes::changes(facts),
        pod_waits: node_changes::waits(facts),
        series_nodes: counts(&series.nodes),
        series_ready_nodes: counts(&series.ready_nodes),
        series_pending_pods: series.pending_pods.iter().map(|count| *count as f64).collect(),
        steps: ClusterSteps {
            nodes: changes(&series.node_steps),
            ready_nodes: changes(&series.ready_node_steps),
            pending_pods: changes(&series.pending_pod_steps),
        },
    }
}

/// Capacity, requests and usage of a pool, integrated over its nodes and time.
#[derive(Clone, Copy, Debug, Default)]
struct PoolSums {
    nodes: TimeWeighted,
    allocatable: ResourceTime,
    requested: ResourceTime,
    used: ResourceTime,
}

fn pools(facts: ReportInput<'_>) -> Vec<PoolReport> {
    let end = end(facts);
    let mut sums: BTreeMap<&Name, PoolSums> = BTreeMap::new();
    let mut changes: Vec<(SimTime, &Name, i64)> = Vec::new();
    for node in &facts.recorder.nodes {
        let sum = sums.entry(pool_of(node)).or_default();
        sum.allocatable += ResourceTime::held(node.allocatable, node.existed(end));
        if !node.has_joined() {
            continue;
        }
        changes.push((node.added, pool_of(node), 1));
        changes.extend(node.removed.map(|at| (at, pool_of(node), -1)));
    }
    changes.sort_by_key(|change| change.0);
    for (at, pool, by) in changes {
        if at < end {
            sums.entry(pool).or_default().nodes.add(at, by);
        }
    }
    for ((_, node), held) in &facts.recorder.holdings {
        let sum = sums.entry(pool_of(&facts.recorder.nodes[*node])).or_default();
        sum.requested += held.requested;
        sum.used += held.used;
    }
    let share = |part: i128, whole: i128| if whole > 0 { part as f64 / whole as f64 } else { 0.0 };
    sums.into_iter()
        .map(|(pool, sum)| PoolReport {
            pool: pool.to_string(),
            instance_type: node_costs::types_of(facts, pool),
            nodes: spread(&sum.nodes, end),
            cpu_requested: share(sum.requested.cpu_milli_ns, sum.allocatable.cpu_milli_ns),
            cpu_used: share(sum.used.cpu_milli_ns, sum.allocatable.cpu_milli_ns),
            memory_requested: share(sum.requested.memory_byte_ns, sum.allocatable.memory_byte_ns),
            gpu_requested: (sum.allocatable.gpu_ns > 0)
                .then(|| share(sum.requested.gpu_ns, sum.allocatable.gpu_ns)),
        })
        .collect()
}

fn log_entry(line: &record::LogLine) -> LogEntry {
    LogEntry {
        at_seconds: line.at.as_secs_f64(),
        actor: line.actor.to_owned(),
        object: format!("{} {}", line.kind, line.object),
        reason: line.reason.to_owned(),
        message: line.message.clone(),
        is_warning: line.is_warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_were_just_added_do_not_count_as_missing_but_do_not_hide_others() {
        let among = |before, desired, ready, pending| {
            let Missing { pending, not_ready } = Missing::among(before, desired, ready, pending);
            (pending, not_ready)
        };
        assert_eq!(among(5, 8, 5, 0), (0, 0), "three start");
        assert_eq!(among(5, 8, 5, 3), (0, 0), "three wait for a node");
        assert_eq!(among(5, 8, 3, 3), (0, 2), "two of the five crashed");
        assert_eq!(among(5, 8, 5, 1), (0, 0), "one waits, two start");
        assert_eq!(among(5, 5, 3, 1), (1, 1), "none was added");
        assert_eq!(among(8, 5, 5, 0), (0, 0), "scaled down");
    }
}
