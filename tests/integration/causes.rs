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
    let scenario = format!(
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
    );
    let resolved = resolved(&scenario, manifests, &[]).unwrap_or_else(|error| panic!("{error}"));
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
        causes.iter().all(|one| one.contains("its pods are ready, but nothing listens in them")),
        "{causes:?}"
    );
    assert!(!causes.is_empty());
    let used_by: Vec<&str> =
        report.error_budgets[0].used_by.iter().map(|(what, _)| what.as_str()).collect();
    assert!(used_by.contains(&"pods that did not listen"), "{used_by:?}");
    assert!(!used_by.contains(&"pods that were not ready"), "{used_by:?}");
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
        let report = run(manifests, &format!("{NODES}{more}"));
        report.services[0].balancing.via.label()
    };
    assert_eq!(of(&headless), "the client, of the addresses in the DNS");
    assert_eq!(of(MANIFESTS), "kube-proxy");
}
