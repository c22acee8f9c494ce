//! Explains in one line why an objective was missed, as far as the run reveals it.

use super::figures::{DEPENDENCY, causes, counted, number, percent, span};
use super::model::{ObjectiveResult, Report, ServiceReport, WorkloadReport};
use traffic::FailureCause;

/// Minimum number of retries per request that is mentioned.
const RETRIED: f64 = 0.5;
/// Minimum share of throttled time that is mentioned.
const THROTTLED: f64 = 0.005;
/// Minimum share of the failed requests that a lack of capacity can fail, for which such a lack is mentioned.
const FAILED_BY_LACK: f64 = 0.1;
/// Minimum share of requests that waited in an activator that is mentioned.
const HELD: f64 = 0.005;
/// Minimum total time that pods waited for nodes that is mentioned, seconds.
const PENDING: f64 = 60.0;
/// Maximum number of reasons in one line.
const REASONS: usize = 3;

/// The reasons why an objective was missed, most important first; empty if unknown. `disturbance` describes a
/// disturbance that contributed.
pub(super) fn of(report: &Report, missed: &ObjectiveResult, disturbance: Option<String>) -> String {
    let Some(subject) = missed.subject.strip_prefix("service ") else { return of_cost(report) };
    let (name, class) = match subject.split_once(" class ") {
        Some((name, class)) => (name, Some(class)),
        None => (subject, None),
    };
    let Some(service) = report.services.iter().find(|service| service.service == name) else {
        return format!("no request is sent to {name}");
    };
    let class = class.and_then(|class| service.classes.iter().find(|one| one.class == class));
    if class.map_or(service.arrived, |class| class.arrived) == 0 {
        return "no request arrived".to_owned();
    }
    let is_unexplained = disturbance.is_none();
    let mut reasons = Vec::from_iter(disturbance);
    let is_latency = ["latency", "TTFT", "TPOT"].iter().any(|one| missed.figure.starts_with(one));
    // Failures of a class are described in the same words as those of a service.
    let of_class = class.map(|class| ServiceReport {
        failed_by_cause: class.failed_by_cause.clone(),
        ..service.clone()
    });
    let judged = of_class.as_ref().unwrap_or(service);
    if !is_latency || missed.value_number.is_none() {
        reasons.extend(failures(report, judged));
    }
    if is_latency {
        reasons.extend(held(service));
    }
    let behind = workloads_behind(report, service);
    if is_latency && service.balancing.is_work_queue {
        reasons.extend(too_few_workers(&behind));
    }
    reasons.extend(retries(service));
    let failed = service.availability_by_requests.is_some_and(|share| share < 1.0);
    let is_of_time = missed.figure.ends_with("by time") || missed.figure == "good minutes";
    if is_of_time || (is_unexplained && failed && !reasons.is_empty()) {
        let longest = service.downtimes.iter().filter(|down| down.counted_seconds > 0.0);
        let longest = longest.max_by(|a, b| a.counted_seconds.total_cmp(&b.counted_seconds));
        reasons.extend(
            longest.map(|down| {
                format!("it was down for {}: {}", span(down.counted_seconds), down.cause)
            }),
        );
    }
    let was_short = is_latency || failed_by_lack(judged) >= FAILED_BY_LACK;
    reasons.extend(behind.iter().flat_map(|workload| troubles(workload, was_short)));
    if reasons.is_empty() {
        reasons.extend(busiest(&behind));
    }
    let mut unique: Vec<String> = Vec::new();
    for reason in reasons {
        if !unique.contains(&reason) {
            unique.push(reason);
        }
    }
    unique.truncate(REASONS);
    unique.join("; ")
}

/// Requests that waited for a pod in Knative's activator, if they are enough to show in a tail.
fn held(service: &ServiceReport) -> Option<String> {
    let activator = service.activator?;
    let held = activator.held_requests;
    (held as f64 >= HELD * service.arrived as f64 && held > 0).then(|| {
        format!(
            "{} waited in Knative's activator for a pod, up to {}",
            counted(held, "request"),
            span(activator.max_wait_ms / 1000.0)
        )
    })
}

/// Why messages of a work queue waited for a worker.
fn too_few_workers(behind: &[&WorkloadReport]) -> Option<String> {
    let workload = behind.first()?;
    let name = &workload.workload;
    let of_jobs = workload.jobs.is_some();
    let most = workload.replicas.max;
    let workers = if of_jobs { "Jobs" } else { "pods" };
    let suspended = workload.jobs.as_ref().and_then(|jobs| jobs.suspended_seconds);
    let suspended = suspended.filter(|seconds| *seconds >= PENDING);
    let why = if workload.hpa_at_maximum_seconds > 0.0 {
        // The maximum is told as a reason of its own.
        String::new()
    } else if let Some(seconds) = suspended {
        format!(": they waited suspended for a quota, {} in total", span(seconds))
    } else if workload.pending_pod_seconds >= PENDING {
        ": their pods waited for nodes".to_owned()
    } else if of_jobs {
        ": none waited for a node or a quota, so KEDA started them too late (pollingInterval, scalingStrategy)"
            .to_owned()
    } else {
        String::new()
    };
    Some(format!(
        "too few {workers} of {name} took messages from the queue, at most {most:.0} at once{why}"
    ))
}

/// The HPA of a workload, or its ScaledJob, at its maximum.
pub(super) fn at_maximum(workload: &WorkloadReport) -> String {
    if workload.jobs.is_some() {
        let seconds = span(workload.hpa_at_maximum_seconds);
        return format!(
            "{} was held at its maxReplicaCount for {seconds}: its queue asked for more Jobs",
            workload.workload
        );
    }
    let hpa = workload.hpa.as_deref().unwrap_or("an HPA");
    let seconds = workload.hpa_at_maximum_seconds;
    let most = workload.replicas.max;
    format!("HPA {hpa} was held at its maximum of {most:.0} pods for {}", span(seconds))
}

/// Why requests failed, traced to the service at which the failures began.
fn failures(report: &Report, service: &ServiceReport) -> Option<String> {
    let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
    if failed == 0 {
        return None;
    }
    let own = format!("{} failed: {}", counted(failed, "request"), causes(service));
    let is_called = service.failed_by_cause.first().is_some_and(|(cause, _)| cause == DEPENDENCY);
    let root = causes_downstream(report, service).last();
    let root = root.filter(|root| is_called && !root.failed_by_cause.is_empty());
    Some(match root {
        Some(root) => format!("{own}; at {}: {}", root.service, causes(root)),
        None => own,
    })
}

/// Share of the failed requests whose cause can be a lack of capacity; 1 without failed requests, because then the
/// objective was missed by slow ones. A CPU limit refuses no connection and makes no node die.
fn failed_by_lack(service: &ServiceReport) -> f64 {
    const BY_LACK: [FailureCause; 5] = [
        FailureCause::QueueFull,
        FailureCause::Timeout,
        FailureCause::Shed,
        FailureCause::CircuitOpen,
        FailureCause::Dependency,
    ];
    let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
    let is_by_lack = |label: &str| BY_LACK.iter().any(|one| one.label() == label);
    let by_lack = service.failed_by_cause.iter().filter(|(label, _)| is_by_lack(label));
    let by_lack: u64 = by_lack.map(|(_, count)| count).sum();
    if failed == 0 { 1.0 } else { by_lack as f64 / failed as f64 }
}

/// The load added by retries, if significant.
fn retries(service: &ServiceReport) -> Option<String> {
    let each = service.retries? as f64 / service.arrived.max(1) as f64;
    (each >= RETRIED).then(|| format!("retries made {} attempts per request", number(1.0 + each)))
}

/// The chain of services with the most failed calls: the one that a service called, the one that this called, and so
/// on.
fn causes_downstream<'a>(
    report: &'a Report,
    service: &'a ServiceReport,
) -> impl Iterator<Item = &'a ServiceReport> + Clone {
    let next = |service: &&'a ServiceReport| {
        let (called, _) = service.failed_calls.first()?;
        report.services.iter().find(|one| one.service == *called)
    };
    // Bounded, because services may call each other.
    std::iter::successors(next(&service), next).take(report.services.len())
}

/// The workloads that answer requests to a service, those of the services that it calls last.
fn workloads_behind<'a>(report: &'a Report, service: &'a ServiceReport) -> Vec<&'a WorkloadReport> {
    let mut asked: Vec<&ServiceReport> = vec![service];
    let mut next = 0;
    while let Some(service) = asked.get(next) {
        let failed = service.failed_calls.iter().map(|(called, _)| called);
        for called in failed.chain(&service.calls) {
            let called = report.services.iter().find(|one| one.service == *called);
            let is_new = |one: &&ServiceReport| asked.iter().all(|it| it.service != one.service);
            asked.extend(called.filter(is_new));
        }
        next += 1;
    }
    let names = asked.iter().flat_map(|service| &service.workloads);
    names.filter_map(|name| report.workloads.iter().find(|one| one.workload == *name)).collect()
}

/// Share of the requested CPU below which the CPU is not what requests wait for.
const IDLE: f64 = 0.3;

/// The explanation when nothing went wrong: this is the latency at this load.
fn busiest(workloads: &[&WorkloadReport]) -> Option<String> {
    let used = workloads.iter().filter_map(|one| Some((one, one.cpu_utilization?)));
    let (busiest, used) = &used.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let (name, used_words) = (&busiest.workload, percent(*used));
    Some(if *used < IDLE {
        format!(
            "this is the latency at this load: requests take that long by themselves or wait for a worker, as \
             {name}, the busiest, used only {used_words} of its CPU request"
        )
    } else {
        format!(
            "this is the latency at this load: {name}, the busiest, used {used_words} of its CPU request"
        )
    })
}

/// Problems of a workload that make its service slow or unavailable; `was_short` if a lack of capacity may be one.
fn troubles(workload: &WorkloadReport, was_short: bool) -> Vec<String> {
    let name = &workload.workload;
    let mut troubles = Vec::new();
    if was_short && workload.hpa_at_maximum_seconds > 0.0 {
        troubles.push(at_maximum(workload));
    }
    if workload.pending_pod_seconds >= PENDING {
        let waited = span(workload.pending_pod_seconds);
        troubles.push(format!("pods of {name} were pending for {waited} in total"));
    }
    if workload.restarts > 0 {
        troubles.push(format!("{} of containers of {name}", counted(workload.restarts, "restart")));
    }
    let throttled = workload.cpu_throttled.filter(|share| was_short && *share >= THROTTLED);
    if let Some(throttled) = throttled {
        troubles
            .push(format!("the CPU limit throttled {name} for {} of the time", percent(throttled)));
    }
    troubles
}

fn of_cost(report: &Report) -> String {
    let dearest = report.cost.pools.iter().max_by_key(|pool| pool.usd);
    let dearest = dearest
        .map(|pool| format!("pool {} costs {} of {}", pool.pool, pool.usd, report.cost.total_usd));
    let charge = report.cost.charges.iter().max_by_key(|line| line.usd);
    let charge = charge.map(|line| format!("{} costs {}", line.item, line.usd));
    let idle = report.cost.idle_usd.as_usd() / report.cost.nodes_usd.as_usd();
    let idle = (idle.is_finite() && idle > 0.0)
        .then(|| format!("{} of the node cost is idle", percent(idle)));
    dearest.into_iter().chain(charge).chain(idle).collect::<Vec<_>>().join("; ")
}
