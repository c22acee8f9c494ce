//! A cause for every effect: what a report says of why something happened.

use crate::in_memory::resolved;
use wavetank::report::Report;

const MANIFESTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1', resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

/// Twenty requests a second for twenty minutes; `more` are lines of the scenario.
fn run(manifests: &str, more: &str) -> Report {
    run_of(manifests, &scenario(more))
}

fn scenario(more: &str) -> String {
    format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: causes
duration: 20m
manifests: [manifests.yaml]
traffic:
  - {{service: shop/web, load: {{pattern: constant, rps: 20}}, timeout: 2s}}
{more}
"
    )
}

fn run_of(manifests: &str, scenario: &str) -> Report {
    let resolved = resolved(scenario, manifests, &[]).unwrap_or_else(|error| panic!("{error}"));
    wavetank::sweep::run(&resolved, 1, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

const NODES: &str = "cluster: {nodePools: [{name: a, count: 2, instanceType: aws/m5.large}]}";

#[test]
fn ready_pods_in_which_nothing_listens_are_called_that() {
    let slow = "
workloads:
  - {workload: Deployment/shop/web, app: {warmUp: 60s}, requests: {cpuTime: 5ms}}
timeline: [{at: 10m, restartRollout: Deployment/shop/web}]
objectives: [{service: shop/web, availability: 99}]";
    let report = run(MANIFESTS, &format!("{NODES}{slow}"));
    let down = &report.services[0].downtimes;
    let causes: Vec<&str> = down.iter().map(|one| one.cause.as_str()).collect();
    assert!(
        causes.iter().all(|one| one.contains("its pods are ready but not listening")),
        "{causes:?}"
    );
    assert!(!causes.is_empty());
    let used_by: Vec<&str> =
        report.error_budgets[0].used_by.iter().map(|(what, _)| what.as_str()).collect();
    assert!(used_by.contains(&"pods that were not listening"), "{used_by:?}");
    assert!(!used_by.contains(&"pods that were not ready"), "{used_by:?}");
}

/// The reason of the only objective, which is missed.
fn reason(manifests: &str, workloads: &str) -> String {
    let more = format!(
        "
workloads: {workloads}
objectives: [{{service: shop/web, latency: {{p95: 1ms}}}}]"
    );
    let report = run(manifests, &format!("{NODES}{more}"));
    assert_eq!(report.objectives.len(), 1);
    report.objectives[0].because.clone()
}

#[test]
fn a_latency_is_put_down_to_the_cpu_limit_that_throttles_its_pods() {
    let workloads = "[{workload: Deployment/shop/web, requests: {cpuTime: 40ms}}]";
    let limited = MANIFESTS.replace("{cpu: 500m}}", "{cpu: 500m}, limits: {cpu: 500m}}");
    let because = reason(&limited, workloads);
    assert!(because.starts_with("the CPU limit throttled Deployment/shop/web for "), "{because}");
    // Without a limit nothing is.
    let because = reason(MANIFESTS, workloads);
    assert!(!because.contains("throttled"), "{because}");
}

#[test]
fn a_latency_is_put_down_to_what_a_called_service_suffers() {
    let shop =
        MANIFESTS.replace("web", "db").replace("{cpu: 500m}}", "{cpu: 500m}, limits: {cpu: 500m}}");
    let shop = format!("{MANIFESTS}---{shop}");
    let workloads = "
  - {workload: Deployment/shop/web, requests: {cpuTime: 1ms, calls: [{service: shop/db, timeout: 5s}]}}
  - {workload: Deployment/shop/db, requests: {cpuTime: 40ms}}";
    let because = reason(&shop, workloads);
    assert!(because.starts_with("the CPU limit throttled Deployment/shop/db for "), "{because}");
}

#[test]
fn a_latency_without_any_trouble_is_put_down_to_the_load() {
    let workloads = "[{workload: Deployment/shop/web, requests: {cpuTime: 20ms}}]";
    let because = reason(MANIFESTS, workloads);
    let told = "this is the latency at this load: Deployment/shop/web, the busiest, used 40";
    assert!(because.starts_with(told), "{because}");
}

#[test]
fn requests_find_no_endpoint_at_a_port_whose_name_the_pods_lack() {
    let with = |target: &str| {
        let manifests = MANIFESTS
            .replace(
                "image: 'web:1', ",
                "image: 'web:1', ports: [{name: http, containerPort: 80}], ",
            )
            .replace("[{port: 80}]", &format!("[{{port: 80, targetPort: {target}}}]"));
        let more = "
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]
objectives: [{service: shop/web, availability: 99}]";
        let report = run(&manifests, &format!("{NODES}{more}"));
        (report.services[0].answered, report.objectives[0].because.clone())
    };
    let (answered, because) = with("htp");
    assert_eq!(answered, 0);
    assert!(because.contains("no ready endpoint"), "{because}");
    assert!(because.contains("the Service's targetPort names no port of its pods"), "{because}");
    assert!(with("http").0 > 0);
    assert!(with("8080").0 > 0);
}

#[test]
fn replicas_are_told_at_the_instant_at_which_they_change() {
    let more = "
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]
timeline:
  - {at: 10m17s, scale: {workload: Deployment/shop/web, replicas: 5}}
  - {at: 12m5s, killNode: a-1}";
    let report = run(MANIFESTS, &format!("{NODES}{more}"));
    let steps = &report.workloads[0].series.steps;
    assert_eq!(steps.desired, [(0.0, 2.0), (617.0, 5.0)]);
    let last = report.workloads[0].series.ready.last();
    assert_eq!(steps.ready.last().map(|(_, value)| value), last);
    // The node is found to be lost 40 to 50 seconds after it falls silent.
    let nodes = &report.cluster.steps;
    assert_eq!(nodes.nodes, [(0.0, 2.0)]);
    let [(_, 2.0), (lost, 1.0)] = nodes.ready_nodes[..] else { panic!("{nodes:?}") };
    assert!((725.0 + 40.0..725.0 + 51.0).contains(&lost), "{lost}");
}

#[test]
fn a_deleted_pod_has_an_event() {
    let more = "
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]
timeline: [{at: 10m, deletePod: {workload: Deployment/shop/web, count: 1}}]";
    let report = run(MANIFESTS, &format!("{NODES}{more}"));
    let deleted: Vec<_> = report.log.iter().filter(|line| line.reason == "Deleted").collect();
    assert_eq!(deleted.len(), 1);
    assert!((deleted[0].at_seconds - 600.0).abs() < 1e-9);
    assert!(deleted[0].object.starts_with("Pod shop/web-"), "{:?}", deleted[0]);
}

#[test]
fn a_machine_that_is_taken_back_twice_is_drained_once() {
    let more = "
cluster: {nodePools: [{name: a, count: 1, instanceType: aws/m5.large, spot: true, pricePerHour: 0.03}]}
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]
timeline:
  - {at: 10m, reclaimSpot: {pool: a, count: 1, drain: true, notice: 2m}}
  - {at: 10m30s, reclaimSpot: {pool: a, count: 1, drain: true, notice: 2m}}";
    let report = run(MANIFESTS, more);
    let count = |reason: &str| report.log.iter().filter(|line| line.reason == reason).count();
    assert_eq!((count("SpotInterruption"), count("Evicted"), count("SpotReclaimed")), (1, 2, 1));
}

#[test]
fn the_clients_of_a_headless_service_choose_by_the_dns() {
    let headless = MANIFESTS
        .replace("spec: {selector: {app: web}", "spec: {clusterIP: None, selector: {app: web}");
    let more = "
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]";
    let of = |manifests: &str| {
        let service = run(manifests, &format!("{NODES}{more}")).services.remove(0);
        let causes: Vec<String> = service.downtimes.into_iter().map(|down| down.cause).collect();
        (service.balancing.via.label(), causes.join(", "))
    };
    let (via, causes) = of(&headless);
    assert_eq!(via, "the client, from the addresses in the DNS");
    assert!(causes.contains("clients still have the DNS's answer from before"), "{causes}");
    let (via, causes) = of(MANIFESTS);
    assert_eq!(via, "kube-proxy");
    assert!(!causes.contains("DNS"), "{causes}");
}

#[test]
fn failures_at_a_dependency_are_put_down_to_what_happened_to_it() {
    let shop = format!("{MANIFESTS}---{}", MANIFESTS.replace("web", "db"));
    let workloads = "
workloads:
  - {workload: Deployment/shop/web, requests: {cpuTime: 1ms, calls: [{service: shop/db, timeout: 1s}]}}
  - {workload: Deployment/shop/db, requests: {cpuTime: 1ms}}
timeline:
  - {at: 10m, scale: {workload: Deployment/shop/db, replicas: 0}}
  - {at: 14m, scale: {workload: Deployment/shop/db, replicas: 2}}
objectives: [{service: shop/web, latency: {p95: 300ms}, availability: 99}]";
    let report = run(&shop, &format!("{NODES}{workloads}"));
    for objective in &report.objectives {
        let because = &objective.because;
        let told = "Deployment shop/db was scaled down at 00:10:00; ";
        assert!(because.starts_with(told), "{because}");
        assert!(because.contains("dependency failed (shop/db)"), "{because}");
    }
    let used_by = &report.error_budgets[0].used_by;
    assert_eq!(used_by[0].0, "a dependency");
}

#[test]
fn retries_are_told_where_they_multiply_the_load() {
    let storm = "
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 200ms, concurrency: 1, queue: 1}}]
objectives: [{service: shop/web, availability: 99}]";
    let patient = scenario(&format!("{NODES}{storm}"));
    let report = run_of(MANIFESTS, &patient);
    assert!(!report.objectives[0].because.contains("retries"));
    let impatient = patient.replace("timeout: 2s", "timeout: 2s, retries: {attempts: 3}");
    let because = &run_of(MANIFESTS, &impatient).objectives[0].because;
    assert!(because.contains("; retries made "), "{because}");
}

#[test]
fn pods_of_a_scheduler_that_is_not_simulated_are_said_to_wait_for_it() {
    let manifests =
        MANIFESTS.replace("spec: {containers", "spec: {schedulerName: binpack, containers");
    let workloads = "\nworkloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms}}]";
    let report = run(&manifests, &format!("{NODES}{workloads}"));
    let told = "Deployment/shop/web: 2 pods still pending at the end of the run: spec.schedulerName is binpack, a \
                scheduler that is not simulated (only default-scheduler)";
    let attention = &report.attention;
    assert!(attention.iter().any(|one| one.message.starts_with(told)), "{attention:?}");
}

#[test]
fn pods_that_a_liveness_probe_ends_before_they_listen_are_put_down_to_it() {
    let probe = "livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 10}, resources";
    let workloads = "
workloads: [{workload: Deployment/shop/web, app: {warmUp: 90s}, requests: {cpuTime: 5ms}}]
objectives: [{service: shop/web, availability: 99}]";
    let report = run(&MANIFESTS.replacen("resources", probe, 1), &format!("{NODES}{workloads}"));
    let because = &report.objectives[0].because;
    assert!(because.contains("a liveness probe of Pod shop/web-"), "{because}");
    assert!(because.contains(" failed and ended its container at 00:0"), "{because}");
}

#[test]
fn pods_that_are_added_just_before_the_end_are_not_called_missing() {
    let probe = "readinessProbe: {httpGet: {path: /, port: 80}}, resources";
    let manifests = MANIFESTS.replacen("resources", probe, 1);
    let missing = |at: &str| {
        let late = format!(
            "
workloads: [{{workload: Deployment/shop/web, app: {{warmUp: 90s}}, requests: {{cpuTime: 5ms}}}}]
timeline: [{{at: {at}, scale: {{workload: Deployment/shop/web, replicas: 3}}}}]"
        );
        run(&manifests, &format!("{NODES}{late}")).workloads[0].pods_not_ready
    };
    assert_eq!([missing("1130s"), missing("1170s")], [1, 0]);
}
