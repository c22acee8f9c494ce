//! Pods that name their node: the scheduler does not look at them, and the kubelet of that node takes them or
//! not.

use crate::texts::{resolved, simulation};
use wavetank::cluster::pod::PodPhase;
use wavetank::engine::SimTime;
use wavetank::sim::Simulation;

const HEAD: &str = "duration: 10m
cluster: {nodePools: [{name: nod, capacity: {cpu: 2, memory: 4Gi}, count: 2}]}
";

fn pod(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{spec}, containers: [{{name: x, \
         image: busybox}}]}}\n"
    )
}

fn at(seconds: i64, scenario: &str, manifests: &str) -> Simulation {
    let mut simulation = simulation(&resolved(scenario, manifests, &[]), 1);
    simulation.run_until(SimTime::from_secs(seconds));
    simulation
}

/// Phase, reason and node of each pod, by name.
fn pods(simulation: &Simulation) -> Vec<(String, PodPhase, Option<&'static str>, Option<String>)> {
    let view = simulation.view();
    let mut told: Vec<_> = view
        .store()
        .pods()
        .values()
        .map(|pod| {
            let node = pod.node.map(|node| view.nodes()[node].meta.name().to_string());
            (pod.name().to_string(), pod.phase, pod.status_reason, node)
        })
        .collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

fn events<'a>(simulation: &'a Simulation, reason: &str) -> Vec<(f64, &'a str)> {
    let log = simulation.recorder().log.iter().filter(|line| line.reason == reason);
    log.map(|line| (line.at.as_secs_f64(), line.message.as_str())).collect()
}

#[test]
fn a_pod_runs_on_the_node_that_it_names_and_no_scheduler_says_so() {
    let deployment = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 2
  selector: {matchLabels: {app: d}}
  template: {metadata: {labels: {app: d}}, spec: {nodeName: nod-2, containers: [{name: x, image: busybox}]}}
";
    let manifests = format!("{}{deployment}", pod("bare", "nodeName: nod-1"));
    let run = at(60, HEAD, &manifests);
    let on: Vec<_> =
        pods(&run).into_iter().map(|(_, phase, _, node)| (phase, node.unwrap())).collect();
    let running = |node: &str| (PodPhase::Running, node.to_owned());
    assert_eq!(on, [running("nod-1"), running("nod-2"), running("nod-2")]);
    assert!(events(&run, "Scheduled").is_empty());
}

#[test]
fn a_kubelet_takes_a_pod_that_names_it_even_where_the_scheduler_would_not_send_one() {
    let scenario =
        format!("{HEAD}timeline: [{{at: 30s, cordon: nod-1}}, {{at: 1m, apply: late.yaml}}]\n");
    let late = pod("late", "nodeName: nod-1");
    let mut run = simulation(
        &resolved(&scenario, &pod("other", "nodeName: nod-2"), &[("late.yaml", &late)]),
        1,
    );
    run.run_until(SimTime::from_secs(120));
    assert_eq!(pods(&run)[0].1, PodPhase::Running);
}

#[test]
fn a_kubelet_rejects_what_does_not_fit_with_the_reason_of_the_predicate() {
    let large = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{nodeName: nod-1, containers: [{{name: x, \
             image: busybox, resources: {{requests: {{cpu: 1500m}}}}, ports: [{{containerPort: 80, hostPort: 80}}]}}]}}\n"
        )
    };
    let port = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: nod-1, containers: [{name: x, \
                image: busybox, ports: [{containerPort: 1, hostPort: 80}]}]}\n";
    let shy = pod("s", "nodeName: nod-1, nodeSelector: {disk: ssd}");
    let run = at(60, HEAD, &format!("{}{}{port}{shy}", large("a"), large("b")));
    let told: Vec<_> =
        pods(&run).into_iter().map(|(_, phase, reason, _)| (phase, reason)).collect();
    let failed = |reason| (PodPhase::Failed, Some(reason));
    assert_eq!(
        told,
        [
            (PodPhase::Running, None),
            failed("OutOfcpu"),
            failed("NodePorts"),
            failed("NodeAffinity")
        ]
    );
    let said = events(&run, "OutOfcpu");
    let message =
        "Node didn't have enough resource: cpu, requested: 1500, used: 1500, capacity: 2000";
    assert_eq!(said.iter().map(|(_, text)| *text).collect::<Vec<_>>(), [message]);
}

#[test]
fn a_kubelet_takes_no_more_pods_than_its_node_has_places() {
    let scenario = HEAD.replace("memory: 4Gi}", "memory: 4Gi, pods: 1}");
    let manifests = format!("{}{}", pod("a", "nodeName: nod-1"), pod("b", "nodeName: nod-1"));
    let told = pods(&at(60, &scenario, &manifests));
    let told: Vec<_> = told.into_iter().map(|(_, phase, reason, _)| (phase, reason)).collect();
    assert_eq!(told, [(PodPhase::Running, None), (PodPhase::Failed, Some("OutOfpods"))]);
}

#[test]
fn replacing_rejected_pods_takes_time_so_that_a_run_ends() {
    let deployment = "apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 1
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {nodeName: nod-2, containers: [{name: x, image: busybox, resources: {requests: {cpu: 3}}}]}
";
    let run = at(60, HEAD, deployment);
    let failed = pods(&run).iter().filter(|(_, phase, ..)| *phase == PodPhase::Failed).count();
    assert!((30..=60).contains(&failed), "{failed}");
}

#[test]
fn a_pod_that_names_no_node_of_the_cluster_waits_and_is_collected_after_the_quarantine() {
    let manifests = pod("lost", "nodeName: nod-9");
    let early = pods(&at(30, HEAD, &manifests));
    assert_eq!(early, [("lost".to_owned(), PodPhase::Pending, None, None)]);
    // A pass of the collector sees it, and the first one 40 s later removes it.
    assert!(pods(&at(90, HEAD, &manifests)).is_empty());
}

#[test]
fn a_pod_that_names_a_node_to_come_runs_once_it_joins() {
    let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: own}\nstatus: {capacity: {cpu: 2, memory: 4Gi, pods: 10}, allocatable: {cpu: 2, memory: 4Gi, pods: 10}}\n";
    let scenario = format!("{HEAD}timeline: [{{at: 20s, apply: node.yaml}}]\n");
    let mut run =
        simulation(&resolved(&scenario, &pod("early", "nodeName: own"), &[("node.yaml", node)]), 1);
    run.run_until(SimTime::from_secs(120));
    let found = pods(&run);
    assert_eq!((found[0].1, found[0].3.as_deref()), (PodPhase::Running, Some("own")));
}
