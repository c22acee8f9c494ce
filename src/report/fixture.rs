//! A synthetic report for the tests of all renderers: an hour of chat traffic, a node lost half
//! way, then a new image; a second service without requests; names of various lengths.

mod log;

use super::model::{
    Balancing, BurnRateAlert, ChargeLine, ClusterReport, ClusterSteps, CostReport, Downtime,
    ErrorBudget, FORMAT_VERSION, GoodAndFast, Latency, MachineCost, ObjectiveResult, PoolCost,
    PoolReport, Provenance, Report, RunInfo, ServiceReport, ServiceSeries, Spread, WorkloadCost,
    WorkloadReport, WorkloadSeries, WorkloadSteps,
};
use super::network::NetworkReport;
use crate::ledger::Ledger;
use engine::SimDuration;
use units::{HourlyPrice, Money};

const HOUR_SECONDS: f64 = 3_600.0;
const NODE_LOST_SECONDS: f64 = 1_800.0;
const EVICTED_SECONDS: f64 = 2_143.0;

/// The report with one value in each series per `interval_seconds`.
pub fn hour(interval_seconds: f64) -> Report {
    let mut ends = Vec::new();
    while (ends.len() as f64) < HOUR_SECONDS / interval_seconds {
        ends.push((ends.len() + 1) as f64 * interval_seconds);
    }
    Report {
        format_version: FORMAT_VERSION,
        run: RunInfo {
            scenario: "ai-agent".to_owned(),
            description: "An hour of chat traffic; a node fails half way, a new image follows."
                .to_owned(),
            wavetank_version: "0.1.0",
            seed: 7,
            scenario_hash: "9c1f0a7be2d84c55".to_owned(),
            digest: "5be0cd19137e2179".to_owned(),
            duration_ms: 3_600_000,
            warm_up_ms: 300_000,
            events: 48_211,
            requests: 41_902,
        },
        objectives: objectives(),
        services: vec![agent_service(&ends), idle_service(&ends)],
        workloads: vec![agent_workload(&ends), idle_workload(&ends)],
        cluster: cluster(&ends),
        error_budgets: vec![budget()],
        cost: cost(),
        attention: log::attention(),
        phases: None,
        network: NetworkReport::default(),
        assumptions: Vec::new(),
        log: log::log(),
        interval_ends_seconds: ends,
    }
}

/// A report of a run without any objects.
pub fn empty() -> Report {
    Report {
        objectives: Vec::new(),
        services: Vec::new(),
        workloads: Vec::new(),
        cluster: ClusterReport::default(),
        cost: CostReport::default(),
        attention: Vec::new(),
        phases: None,
        network: NetworkReport::default(),
        assumptions: Vec::new(),
        log: Vec::new(),
        interval_ends_seconds: Vec::new(),
        ..hour(HOUR_SECONDS)
    }
}

/// The same report with `text` in place of every name and sentence from user input.
pub(crate) fn with_texts(mut report: Report, text: &str) -> Report {
    let put = |field: &mut String| text.clone_into(field);
    put(&mut report.run.scenario);
    put(&mut report.run.description);
    for service in &mut report.services {
        put(&mut service.service);
        service.workloads.iter_mut().for_each(put);
        service.failed_by_cause.iter_mut().for_each(|(cause, _)| put(cause));
        service.downtimes.iter_mut().for_each(|downtime| put(&mut downtime.cause));
    }
    for workload in &mut report.workloads {
        put(&mut workload.workload);
        workload.hpa.iter_mut().for_each(put);
    }
    for pool in &mut report.cluster.pools {
        put(&mut pool.pool);
        put(&mut pool.instance_type);
    }
    for objective in &mut report.objectives {
        put(&mut objective.subject);
        put(&mut objective.figure);
        put(&mut objective.limit);
        put(&mut objective.value);
    }
    for entry in &mut report.log {
        put(&mut entry.actor);
        put(&mut entry.object);
        put(&mut entry.reason);
        put(&mut entry.message);
    }
    report.cost.pools.iter_mut().for_each(|pool| put(&mut pool.pool));
    report.cost.workloads.iter_mut().for_each(|workload| put(&mut workload.workload));
    report.cost.unpriced.iter_mut().for_each(put);
    report.attention.iter_mut().for_each(|attention| put(&mut attention.message));
    report
}

/// Chat requests per second: a slow wave with a burst at 20 minutes.
fn load_rps(seconds: f64) -> f64 {
    let swell = 8.0 + 6.0 * libm::sin(seconds / HOUR_SECONDS * core::f64::consts::PI);
    let burst = 9.0 * libm::exp(-libm::pow((seconds - 1_260.0) / 150.0, 2.0));
    swell + burst + 0.9 * libm::sin(seconds / 23.0) + 0.6 * libm::sin(seconds / 7.1)
}

/// `spec.replicas` as the HPA sets it over the run.
fn desired_replicas(seconds: f64) -> f64 {
    match seconds {
        s if s < 420.0 => 3.0,
        s if s < 1_185.0 => 4.0,
        s if s < 1_290.0 => 6.0,
        s if s < 2_700.0 => 8.0,
        s if s < 3_000.0 => 6.0,
        _ => 5.0,
    }
}

fn ready_replicas(seconds: f64) -> f64 {
    if (NODE_LOST_SECONDS + 50.0..EVICTED_SECONDS + 25.0).contains(&seconds) {
        return desired_replicas(seconds) - 3.0;
    }
    // New pods become ready with a delay.
    desired_replicas(seconds - 30.0).min(desired_replicas(seconds) + 1.0)
}

/// Latency at a quantile: grows with the load per ready pod, in the tail more than at the median.
fn latency_ms(seconds: f64, quantile: f64) -> f64 {
    let utilization = (load_rps(seconds) / (4.2 * ready_replicas(seconds))).min(1.4);
    let tail = libm::pow(1.0 - quantile + 0.002, -0.45);
    620.0 * tail * libm::exp(2.1 * utilization * quantile) / 1.6
}

fn objectives() -> Vec<ObjectiveResult> {
    let objective = |subject: &str, figure: &str, limit: (&str, f64), value: (&str, f64), met| {
        ObjectiveResult {
            subject: subject.to_owned(),
            figure: figure.to_owned(),
            limit: limit.0.to_owned(),
            value: value.0.to_owned(),
            limit_number: limit.1,
            value_number: Some(value.1),
            met,
            because: String::new(),
            minutes: None,
        }
    };
    let agent = "service ai-agents/ai-agent";
    vec![
        objective(agent, "latency p95", ("<= 8 s", 8.0), ("5.31 s", 5.31), true),
        objective(agent, "latency p99", ("<= 10 s", 10.0), ("13.7 s", 13.7), false),
        objective(agent, "availability", (">= 99 %", 0.99), ("99.17 %", 0.991_7), true),
        objective("cost", "cost per month", ("<= $300", 300.0), ("$236.52", 236.52), true),
        ObjectiveResult {
            value_number: None,
            ..objective(
                "service shop/storefront",
                "latency p95",
                ("<= 1 s", 1.0),
                ("none", 0.0),
                false,
            )
        },
    ]
}

fn agent_service(ends: &[f64]) -> ServiceReport {
    let latency = |quantile| ends.iter().map(|&end| Some(latency_ms(end, quantile))).collect();
    let is_failing = |end: f64| (NODE_LOST_SECONDS..NODE_LOST_SECONDS + 60.0).contains(&end);
    ServiceReport {
        service: "ai-agents/ai-agent".to_owned(),
        workloads: vec!["Deployment ai-agents/ai-agent".to_owned()],
        has_clients: true,
        balancing: Balancing { is_stated: true, kept_connections: Some(8), ..Balancing::default() },
        arrived: 38_771,
        answered: 38_449,
        failed_by_cause: vec![
            ("connection lost with the node".to_owned(), 211),
            ("timeout".to_owned(), 98),
            ("no ready endpoint".to_owned(), 9),
        ],
        failed_calls: Vec::new(),
        calls: Vec::new(),
        blocked_by: Vec::new(),
        in_flight: 4,
        retries: Some(1_206),
        activator: None,
        latency: Some(Latency {
            mean_ms: 1_912.4,
            p50_ms: 1_420.0,
            p90_ms: 3_870.0,
            p95_ms: 5_310.0,
            p99_ms: 13_700.0,
            p999_ms: 22_400.0,
            max_ms: 29_810.0,
        }),
        llm: None,
        availability_by_requests: Some(0.991_797_4),
        classes: Vec::new(),
        latency_of_all: None,
        good_and_fast: vec![GoodAndFast { within_ms: 2_000.0, share: 0.9893 }],
        availability_by_time: 0.998_6,
        user_uptime: None,
        down_below: 0.95,
        downtimes: vec![
            Downtime {
                from_seconds: 1_801.0,
                seconds: 3.7,
                counted_seconds: 3.7,
                answered: None,
                cause: "every ready pod ran on node pool-a-2, which was lost".to_owned(),
            },
            Downtime {
                from_seconds: 2_712.4,
                seconds: 1.3,
                counted_seconds: 1.3,
                answered: None,
                cause: "no pod was ready during the rollout".to_owned(),
            },
        ],
        series: ServiceSeries {
            arrived_rps: ends.iter().map(|&end| load_rps(end)).collect(),
            failed_rps: ends.iter().map(|&end| if is_failing(end) { 3.5 } else { 0.0 }).collect(),
            retried_rps: ends.iter().map(|&end| if is_failing(end) { 20.1 } else { 0.0 }).collect(),
            latency_p50_ms: latency(0.5),
            latency_p95_ms: latency(0.95),
            latency_p99_ms: latency(0.99),
        },
    }
}

/// A service with traffic in the scenario, but without requests and placed pods.
fn idle_service(ends: &[f64]) -> ServiceReport {
    let none = vec![None; ends.len()];
    ServiceReport {
        service: "shop/storefront".to_owned(),
        workloads: vec!["Deployment shop/storefront".to_owned()],
        downtimes: vec![Downtime {
            from_seconds: 0.0,
            seconds: HOUR_SECONDS,
            counted_seconds: HOUR_SECONDS,
            answered: None,
            cause: "no pod was ever scheduled".to_owned(),
        }],
        series: ServiceSeries {
            arrived_rps: vec![0.0; ends.len()],
            failed_rps: vec![0.0; ends.len()],
            latency_p50_ms: none.clone(),
            latency_p95_ms: none.clone(),
            latency_p99_ms: none,
            ..ServiceSeries::default()
        },
        ..ServiceReport::default()
    }
}

fn agent_workload(ends: &[f64]) -> WorkloadReport {
    let pending = |end: f64| if (EVICTED_SECONDS..2_200.0).contains(&end) { 1.0 } else { 0.0 };
    WorkloadReport {
        workload: "Deployment ai-agents/ai-agent".to_owned(),
        hpa: Some("ai-agents/ai-agent".to_owned()),
        replicas: Spread { min: 3.0, mean: 5.83, max: 8.0 },
        ready: Spread { min: 2.0, mean: 5.41, max: 8.0 },
        hpa_at_maximum_seconds: 0.0,
        rescales: 5,
        pods_created: 19,
        restarts: 1,
        pending_pod_seconds: 61.4,
        pods_without_node: 0,
        pods_not_ready: 0,
        cpu_utilization: Some(0.713),
        cpu_throttled: None,
        jobs: None,
        series: WorkloadSeries {
            desired: ends.iter().map(|&end| desired_replicas(end)).collect(),
            ready: ends.iter().map(|&end| ready_replicas(end)).collect(),
            pending: ends.iter().map(|&end| pending(end)).collect(),
            cpu_cores: ends.iter().map(|&end| load_rps(end) * 0.07).collect(),
            steps: WorkloadSteps::default(),
            hpa_percent_of_target: ends
                .iter()
                .map(|&end| Some(load_rps(end) * 28.0 / ready_replicas(end)))
                .collect(),
        },
    }
}

fn idle_workload(ends: &[f64]) -> WorkloadReport {
    let always = |value| Spread { min: value, mean: value, max: value };
    WorkloadReport {
        workload: "Deployment shop/storefront".to_owned(),
        replicas: always(2.0),
        pods_created: 2,
        pending_pod_seconds: 7_200.0,
        series: WorkloadSeries {
            desired: vec![2.0; ends.len()],
            ready: vec![0.0; ends.len()],
            pending: vec![2.0; ends.len()],
            cpu_cores: vec![0.0; ends.len()],
            steps: WorkloadSteps::default(),
            hpa_percent_of_target: vec![None; ends.len()],
        },
        ..WorkloadReport::default()
    }
}

fn cluster(ends: &[f64]) -> ClusterReport {
    let is_lost = |end: f64| end >= NODE_LOST_SECONDS + 45.0;
    let evicted = |end: f64| if (EVICTED_SECONDS..2_200.0).contains(&end) { 1.0 } else { 0.0 };
    ClusterReport {
        node_changes: Vec::new(),
        pod_waits: None,
        pools: vec![
            PoolReport {
                pool: "pool-a".to_owned(),
                instance_type: "m7g.large".to_owned(),
                nodes: Spread { min: 3.0, mean: 3.0, max: 3.0 },
                cpu_requested: 0.534,
                cpu_used: 0.381,
                memory_requested: 0.472,
                gpu_requested: None,
            },
            PoolReport {
                pool: "gpu".to_owned(),
                nodes: Spread { min: 1.0, mean: 1.0, max: 1.0 },
                gpu_requested: Some(0.0),
                ..PoolReport::default()
            },
        ],
        series_nodes: vec![4.0; ends.len()],
        series_ready_nodes: ends.iter().map(|&e| if is_lost(e) { 3.0 } else { 4.0 }).collect(),
        series_pending_pods: ends.iter().map(|&end| 2.0 + evicted(end)).collect(),
        steps: ClusterSteps::default(),
    }
}

fn cost() -> CostReport {
    let hour = SimDuration::from_secs(3_600);
    let price = HourlyPrice::from_usd(0.108);
    let total = (price * 3).over(hour);
    let workload = total.share(41, 100);
    let plane = HourlyPrice::from_usd(0.1).over(hour);
    CostReport {
        total_usd: total + plane,
        month_usd: (total + plane).share(730, 1),
        nodes_usd: total,
        nodes_list_usd: total,
        discounts: Vec::new(),
        unused_commitments: Vec::new(),
        ledger: Ledger::default(),
        charges: vec![ChargeLine {
            item: "control-plane".to_owned(),
            what: "1 control plane".to_owned(),
            known: Provenance::Assumed,
            amount: 1.0,
            unit: "hour",
            unit_usd: plane,
            usd: plane,
            month_usd: plane.share(730, 1),
            source: "infracost eks_cluster_test".to_owned(),
            date: "2025-07-07".to_owned(),
        }],
        not_counted: vec!["logs: no size or price set (`bill.logSize`)".to_owned()],
        million_requests_usd: Some(total.share(1_000_000, 38_449)),
        pools: vec![PoolCost {
            pool: "pool-a".to_owned(),
            node_usd_per_hour: price,
            node_hours: 3.0,
            usd: total,
        }],
        machines: vec![MachineCost {
            instance_type: "aws/m5.large".to_owned(),
            capacity_type: "on-demand",
            node_hours: 3.0,
            usd: total,
        }],
        workloads: vec![
            WorkloadCost { workload: "Deployment ai-agents/ai-agent".to_owned(), usd: workload },
            WorkloadCost { workload: "Deployment shop/storefront".to_owned(), usd: Money::ZERO },
        ],
        idle_usd: total - workload,
        unpriced: vec!["gpu".to_owned()],
    }
}

fn budget() -> ErrorBudget {
    ErrorBudget {
        subject: "service ai-agents/ai-agent".to_owned(),
        figure: "availability".to_owned(),
        objective: 0.999,
        requests: 38_767,
        bad: 318,
        allowed: 38.767,
        used: 318.0 / 38.767,
        largest_burn_rate: 1_000.0,
        used_by: vec![("a node".to_owned(), 300), ("a rollout".to_owned(), 18)],
        alerts: vec![BurnRateAlert {
            factor: 14.4,
            long_minutes: 60,
            short_minutes: 5,
            from_seconds: NODE_LOST_SECONDS,
            seconds: 360.0,
            peak: 16.2,
        }],
    }
}
