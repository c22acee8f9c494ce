//! Words of a report that must be true to someone who reads nothing else.

use crate::in_memory::resolved;
use wavetank::report::{Downtime, ObjectiveResult, Report, ServiceReport};

const MANIFESTS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: db:1, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80}]}
";

/// Twenty requests a second for half an hour; `faults` and `objectives` are lists.
fn run(timeline: &str, objectives: &str) -> Report {
    let scenario = format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: answers
duration: 30m
warmUp: 5m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: a, count: 2, instanceType: aws/m5.large}}]}}
workloads:
  - workload: Deployment/shop/web
    requests: {{cpuTime: 5ms, concurrency: 16, calls: [{{service: shop/db, timeout: 1s}}]}}
  - workload: Deployment/shop/db
    requests: {{cpuTime: 2ms, concurrency: 16}}
traffic:
  - {{service: shop/web, load: {{pattern: constant, rps: 20}}, timeout: 2s}}
timeline: {timeline}
objectives: {objectives}
"
    );
    let resolved = resolved(&scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    wavetank::sweep::run(&resolved, 1, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

const LOST_FOR_FIVE_MINUTES: &str = "[{at: 10m, scale: {workload: Deployment/shop/db, replicas: 0}}, \
                                      {at: 15m, scale: {workload: Deployment/shop/db, replicas: 1}}]";

fn service<'a>(report: &'a Report, name: &str) -> &'a ServiceReport {
    report.services.iter().find(|service| service.service == name).expect("it has traffic")
}

/// Downtimes after the warm-up.
fn downtimes(service: &ServiceReport) -> Vec<&Downtime> {
    service.downtimes.iter().filter(|down| down.counted_seconds > 0.0).collect()
}

fn objective<'a>(report: &'a Report, figure: &str) -> &'a ObjectiveResult {
    report.objectives.iter().find(|one| one.figure == figure).expect("it is an objective")
}

#[test]
fn a_service_is_down_while_all_of_its_requests_fail_for_a_lost_dependency() {
    let objectives = "[{service: shop/web, availabilityByTime: 99.9}]";
    let report = run(LOST_FOR_FIVE_MINUTES, objectives);
    let web = service(&report, "shop/web");
    let downtimes = downtimes(web);
    assert_eq!(downtimes.len(), 1, "{downtimes:?}");
    let down = downtimes[0];
    assert!((300.0..=360.0).contains(&down.seconds), "{down:?}");
    assert!(down.cause.contains("dependency failed"), "{down:?}");
    assert!((0.75..=0.81).contains(&web.availability_by_time), "{}", web.availability_by_time);
    assert!(!objective(&report, "availability by time").met);
}

#[test]
fn a_threshold_of_zero_looks_at_endpoints_alone() {
    let objectives = "[{service: shop/web, availabilityByTime: 99.9, downBelow: 0}]";
    let report = run(LOST_FOR_FIVE_MINUTES, objectives);
    assert!(downtimes(service(&report, "shop/web")).is_empty());
    assert!(objective(&report, "availability by time").met);
}

#[test]
fn a_failed_request_is_slower_than_any_limit_unless_told_otherwise() {
    let limits = "service: shop/web, latency: {p50: 300ms, p95: 300ms, max: 1500ms}";
    let report = run(LOST_FOR_FIVE_MINUTES, &format!("[{{{limits}}}]"));
    assert!(objective(&report, "latency p50").met);
    let p95 = objective(&report, "latency p95");
    assert_eq!((p95.met, &*p95.value), (false, "never"));
    assert_eq!(p95.minutes.map(|minutes| minutes.of - minutes.held), Some(5));
    assert!(!objective(&report, "latency max").met);
    let report = run(LOST_FOR_FIVE_MINUTES, &format!("[{{{limits}, countFailures: false}}]"));
    assert!(report.objectives.iter().all(|objective| objective.met), "{:?}", report.objectives);
}

#[test]
fn few_bad_minutes_miss_good_minutes_though_the_whole_run_holds() {
    let timeline = "[{at: 10m, scale: {workload: Deployment/shop/db, replicas: 0}}, \
                     {at: 10m30s, scale: {workload: Deployment/shop/db, replicas: 1}}]";
    let objectives = "[{service: shop/web, latency: {p95: 300ms}, goodMinutes: 99}]";
    let report = run(timeline, objectives);
    let p95 = objective(&report, "latency p95");
    assert!(p95.met, "{p95:?}");
    assert_eq!(p95.minutes.map(|minutes| (minutes.held, minutes.of)), Some((24, 25)));
    let good = objective(&report, "good minutes");
    assert_eq!((good.met, &*good.value), (false, "96 %"));
}

#[test]
fn a_quiet_run_was_never_down_and_holds_all_minutes() {
    let objectives = "[{service: shop/web, latency: {p95: 300ms}, availability: 99.9, \
                       availabilityByTime: 100, goodMinutes: 100}]";
    let report = run("[]", objectives);
    assert!(report.objectives.iter().all(|objective| objective.met), "{:?}", report.objectives);
    let minutes = report.objectives[0].minutes.expect("told by the minute");
    assert_eq!((minutes.held, minutes.of), (25, 25));
}

#[test]
fn a_flow_is_down_like_requests_that_come_one_by_one() {
    let scenario = "
apiVersion: wavetank/v1
kind: Scenario
name: flow
duration: 30m
warmUp: 5m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: a, count: 2, instanceType: aws/m5.large}]}
workloads:
  - {workload: Deployment/shop/web, requests: {cpuTime: 5ms, concurrency: 16}}
traffic:
  - {service: shop/web, arrivals: fluid, load: {pattern: spike, baseRps: 20, peakRps: 4000, at: 10m, hold: 5m}, timeout: 1s}
objectives:
  - {service: shop/web, latency: {p95: 300ms}, availabilityByTime: 99.9}
";
    let resolved = resolved(scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    let report = wavetank::sweep::run(&resolved, 1, |_| {}).expect("a run");
    let web = service(&report, "shop/web");
    let downtimes = downtimes(web);
    assert_eq!(downtimes.len(), 1, "{downtimes:?}");
    assert!((300.0..=420.0).contains(&downtimes[0].seconds), "{downtimes:?}");
    let p95 = objective(&report, "latency p95");
    let minutes = p95.minutes.expect("told by the minute");
    assert_eq!(minutes.of, 25);
    assert!((18..=20).contains(&minutes.held), "{minutes:?}");
}

#[test]
fn services_with_objectives_come_first_then_those_that_clients_ask() {
    let names = |report: &Report| -> Vec<String> {
        report.services.iter().map(|service| service.service.clone()).collect()
    };
    // By name, `db` is first.
    assert_eq!(names(&run("[]", "[]")), ["shop/web", "shop/db"]);
    let report = run("[]", "[{service: shop/db, latency: {p95: 300ms}}]");
    assert_eq!(names(&report), ["shop/db", "shop/web"]);
    assert_eq!(
        report.services.iter().map(|one| one.has_clients).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn a_failed_dependency_is_named_and_so_is_its_own_cause() {
    let report = run(LOST_FOR_FIVE_MINUTES, "[{service: shop/web, availability: 99.9}]");
    let missed = objective(&report, "availability");
    for says in ["dependency failed (shop/db)", "at shop/db: ", "no ready endpoint"] {
        assert!(missed.because.contains(says), "{says}: {}", missed.because);
    }
    let told =
        report.attention.iter().any(|one| one.message.contains("dependency failed (shop/db)"));
    assert!(told, "{:?}", report.attention);
}

#[test]
fn an_autoscaler_at_its_maximum_is_told_and_is_the_reason_of_a_miss() {
    let hpa = "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
";
    let scenario = "
apiVersion: wavetank/v1
kind: Scenario
name: capped
duration: 30m
warmUp: 5m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: a, count: 3, instanceType: aws/m5.large}]}
workloads:
  - {workload: Deployment/shop/web, requests: {cpuTime: 20ms, concurrency: 16}}
traffic:
  - {service: shop/web, load: {pattern: constant, rps: 140}, timeout: 2s}
objectives:
  - {service: shop/web, latency: {p95: 10ms}}
";
    let manifests = format!("{MANIFESTS}{hpa}");
    let resolved = resolved(scenario, &manifests, &[]).unwrap_or_else(|error| panic!("{error}"));
    let report = wavetank::sweep::run(&resolved, 1, |_| {}).expect("a run");
    let web = report.workloads.iter().find(|one| one.workload.ends_with("shop/web")).expect("web");
    assert!(web.hpa_at_maximum_seconds > 1_200.0, "{}", web.hpa_at_maximum_seconds);
    let missed = objective(&report, "latency p95");
    assert!(
        missed.because.contains("HPA shop/web was held at its maximum of 3 pods"),
        "{missed:?}"
    );
    let warned = report.attention.iter().any(|one| one.message.contains("was held at its maximum"));
    assert!(warned, "{:?}", report.attention);
}

#[test]
fn a_million_requests_cost_what_was_paid_and_answered_after_the_warm_up() {
    let report = run("[]", "[]");
    // Those between services are part of them.
    let [web, db] = &report.services[..] else { panic!("{:?}", report.services) };
    assert!((29_000.0..31_000.0).contains(&(web.answered as f64)), "{}", web.answered);
    assert!(web.has_clients && !db.has_clients && db.answered > 29_000);
    let answered = web.answered as f64;
    // Two nodes at $0.096 an hour with disks of $1.60 a month, a control plane, a NAT gateway and its address, for 25
    // of the 30 minutes.
    let paid = (2.0 * (0.096 + 1.6 / 730.0) + 0.1 + 0.045 + 0.005) * 25.0 / 60.0;
    let million = report.cost.million_requests_usd.expect("requests were answered").as_usd();
    let wanted = paid / answered * 1e6;
    assert!((million / wanted - 1.0).abs() < 1e-3, "{million} is not {wanted}");
}

#[test]
fn a_workload_that_uses_more_than_it_requests_pays_for_what_it_uses() {
    let bill = |cpu: &str| {
        let scenario = format!(
            "
apiVersion: wavetank/v1
kind: Scenario
name: bill
duration: 30m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: a, count: 2, instanceType: aws/m5.xlarge}}]}}
workloads:
  - {{workload: Deployment/shop/web, cpuLoad: [{{at: 0s, cpu: {cpu}m}}]}}
"
        );
        let resolved =
            resolved(&scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
        let report = wavetank::sweep::run(&resolved, 1, |_| {}).expect("a run");
        let paid = report.cost.workloads.iter().find(|one| one.workload.ends_with("shop/web"));
        paid.expect("it has pods").usd.as_usd()
    };
    // Two pods request 500 m each: below that only the requests count, above it what they burn.
    let (idle, below, above) = (bill("0"), bill("900"), bill("4000"));
    assert!((below / idle - 1.0).abs() < 0.01, "{idle} {below}");
    assert!(above > 3.0 * idle, "{idle} {above}");
}
