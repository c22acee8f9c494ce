//! Shares of a node's CPU that are held as long as nothing changes, and what ends that. In debug builds a held share that
//! should not be is found by the simulation itself; in others by what follows from it.

use crate::texts;
use wavetank::report::Report;

/// One node of one core; a flow to `web` and one to `other`, a hundredth of a core for each request.
fn scenario(web: &str, timeline: &str) -> String {
    format!(
        "duration: 10m
cluster: {{nodePools: [{{name: one, count: 1, capacity: {{cpu: 1, memory: 8Gi, pods: 20}}, allocatable: {{cpu: 1, memory: 8Gi, pods: 20}}}}]}}
traffic:
- {{service: web, load: {web}, arrivals: fluid}}
- {{service: other, load: {{pattern: constant, rps: 40}}, arrivals: fluid}}
workloads:
- {{workload: Deployment/web, requests: {{concurrency: 100, queue: 0, cpuTime: 10ms}}}}
- {{workload: Deployment/other, requests: {{concurrency: 100, queue: 0, cpuTime: 10ms}}}}
timeline: {timeline}
"
    )
}

fn manifests(web: u32) -> String {
    let workload = |name: &str, replicas: u32| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: \
             {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: \
             [{{name: app, image: 'app:1', resources: {{requests: {{cpu: 50m}}}}}}]}}\n---\napiVersion: v1\nkind: \
             Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n---\n"
        )
    };
    workload("web", web) + &workload("other", 1)
}

fn ran(web: &str, pods: u32, timeline: &str) -> Report {
    texts::ran(&texts::resolved(&scenario(web, timeline), &manifests(pods), &[])).0
}

fn answered(report: &Report, service: &str) -> f64 {
    let found = report.services.iter().find(|one| one.service.ends_with(service));
    let service = found.expect("the service");
    service.answered as f64 / service.arrived as f64
}

#[test]
fn flows_that_fit_their_node_are_answered() {
    let report = ran("{pattern: constant, rps: 50}", 2, "[]");
    assert!(answered(&report, "web") > 0.97, "{}", answered(&report, "web"));
}

/// 90 a second from half of the time on: with the other flow 1.3 cores of one. Both get half of it, of which the other
/// needs 0.4 only.
#[test]
fn a_flow_that_rises_where_shares_are_held_makes_the_node_short() {
    let load = "{pattern: step, rps: 50, steps: [{at: 5m, rps: 90}]}";
    let report = ran(load, 1, "[]");
    let expected = (50.0 + 60.0) / (50.0 + 90.0);
    let share = answered(&report, "web");
    assert!((share - expected).abs() < 0.02, "{share}, not {expected}");
    assert!(answered(&report, "other") > 0.97);
}

/// From 20 a second to 90 in ten minutes; what is beyond 60 finds no CPU.
#[test]
fn a_flow_that_rises_steadily_makes_the_node_short_at_its_time() {
    let report = ran("{pattern: ramp, fromRps: 20, toRps: 90, over: 10m}", 1, "[]");
    let all = 55.0 * 600.0;
    let beyond = 0.5 * 30.0 * (30.0 / 70.0 * 600.0);
    let share = answered(&report, "web");
    assert!((share - (1.0 - beyond / all)).abs() < 0.02, "{share}");
}

/// The other node has room for nothing else: the pod that is left gets all of the flow.
#[test]
fn a_pod_that_is_left_alone_with_a_flow_makes_its_node_short() {
    let text = scenario("{pattern: constant, rps: 90}", "[{at: 5m, killNode: one-1}]")
        .replace("count: 1", "count: 2");
    let spread = manifests(2).replace(
        "spec: {containers:",
        "spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: \
         DoNotSchedule, labelSelector: {matchLabels: {app: web}}}], containers:",
    );
    let report = texts::ran(&texts::resolved(&text, &spread, &[])).0;
    let share = answered(&report, "web");
    // Half a minute passes until the node is known to be lost; then 0.6 or, without the other pod, 0.9 cores are left.
    assert!((0.6..0.97).contains(&share), "{share}");
}

#[test]
fn a_crowd_of_single_requests_beside_a_flow_is_seen_at_each_instant() {
    let text = scenario("{pattern: constant, rps: 50}", "[]");
    let single = text.replace("rps: 40}, arrivals: fluid", "rps: 80}");
    let report = texts::ran(&texts::resolved(&single, &manifests(1), &[])).0;
    // 1.3 cores are wanted: half a core for the flow, which is as much as it needs, and half for the requests.
    assert!(answered(&report, "web") > 0.9, "{}", answered(&report, "web"));
    assert!(answered(&report, "other") < 0.75, "{}", answered(&report, "other"));
}
