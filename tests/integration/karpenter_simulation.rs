//! Karpenter in whole runs: nodes for pods that wait, and nodes that go again.

use crate::node_autoscaling::workers;
use crate::texts::{ran, resolved};
use wavetank::report::{NodeEvent, Report};
use wavetank::sim::Simulation;
use wavetank::units::Money;

/// A Deployment whose pods ask for a core each, kept by a budget, and a NodePool with its class.
fn manifests(replicas: u32, requirements: &str, class: &str) -> String {
    let workers = workers(replicas);
    format!(
        "\
{workers}---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: worker, namespace: default}}
spec: {{maxUnavailable: 1, selector: {{matchLabels: {{app: worker}}}}}}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: general}}
spec:
  template:
    spec:
      requirements: {requirements}
      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: {class}}}
  disruption:
    consolidateAfter: 30s
    budgets: [{{nodes: \"100%\"}}]
---
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {{name: default}}
spec: {{role: node}}
"
    )
}

const M5: &str = "[{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large, m5.xlarge, m5.2xlarge]}]";

/// A run of 2 workers who become 12 from the second minute to the tenth.
fn burst(rest: &str) -> (Report, Simulation) {
    let scenario = format!(
        "\
duration: 45m
cluster: {{}}
timeline:
  - {{at: 2m, scale: {{workload: Deployment/default/worker, replicas: 12}}}}
  - {{at: 10m, scale: {{workload: Deployment/default/worker, replicas: 2}}}}
{rest}"
    );
    ran(&resolved(&scenario, &manifests(2, M5, "default"), &[]))
}

#[test]
fn nodes_come_for_pods_that_wait_and_go_when_these_have_room_elsewhere() {
    let (report, simulation) = burst("");
    let of =
        |event: NodeEvent| report.cluster.node_changes.iter().filter(move |one| one.event == event);
    assert!(
        of(NodeEvent::Added)
            .all(|one| one.reason.contains("waited") || one.reason.contains("in place of"))
    );
    assert!(of(NodeEvent::Removed).count() >= 1, "{:?}", report.cluster.node_changes);
    let view = simulation.view();
    assert!(view.pods().values().all(|pod| pod.node.is_some()));
    // Two cores and what the kubelet keeps fit a machine of four at best.
    let left: Vec<String> =
        view.nodes().values().map(|one| one.machine.instance_type.to_string()).collect();
    assert_eq!(left, ["m5.xlarge"]);
    let prices: Vec<f64> = view
        .nodes()
        .values()
        .filter_map(|one| one.machine.price)
        .map(wavetank::units::HourlyPrice::as_usd)
        .collect();
    assert_eq!(prices, [0.192]);
}

#[test]
fn the_bill_is_that_of_the_machines_and_of_the_workloads_with_what_is_idle() {
    let (report, _) = burst("");
    let cost = &report.cost;
    let machines: Money = cost.machines.iter().map(|one| one.usd).sum();
    let workloads: Money = cost.workloads.iter().map(|one| one.usd).sum();
    assert_eq!(cost.total_usd, machines);
    assert_eq!(cost.total_usd, workloads + cost.idle_usd);
}

#[test]
fn the_story_of_a_node_tells_its_pods_its_options_with_prices_and_why_it_went() {
    let (report, simulation) = burst("");
    let removed = report.cluster.node_changes.iter().find(|one| one.event == NodeEvent::Removed);
    let name = removed.expect("a node went").node.as_str();
    let story = simulation.explain_node(&name.into()).expect("there was such a node").to_string();
    for text in [
        "Added by Karpenter",
        "NodePool general fit",
        "$/h",
        "the cloud gave m5",
        "Removal by Karpenter",
    ] {
        assert!(story.contains(text), "{story}");
    }
}

#[test]
fn runs_are_repeated_to_the_last_digit() {
    let (_, mut one) = burst("");
    let (_, mut other) = burst("");
    assert_eq!(one.digest(), other.digest());
}

/// What is wrong with a NodePool, in words.
fn problems(requirements: &str, class: &str) -> String {
    let resolved = resolved("duration: 5m\ncluster: {}\n", &manifests(1, requirements, class), &[]);
    resolved.check().to_string()
}

#[test]
fn what_keeps_a_pool_from_making_nodes_is_told_with_its_place() {
    for (requirements, class, expected) in [
        (M5, "other", "there is no EC2NodeClass called \"other\""),
        (
            "[{key: kubernetes.io/arch, operator: In, values: [sparc]}]",
            "default",
            "kubernetes.io/arch sparc",
        ),
        (
            "[{key: kubernetes.io/os, operator: In, values: [linux]}, {key: kubernetes.io/os, operator: NotIn, values: [linux]}]",
            "default",
            "no value of kubernetes.io/os meets this",
        ),
        (
            "[{key: karpenter.sh/capacity-type, operator: In, values: [spot]}]",
            "default",
            "no spot price",
        ),
        (
            "[{key: node.kubernetes.io/instance-type, operator: In, values: [m5.huge]}]",
            "default",
            "m5.huge",
        ),
        (
            "[{key: kubernetes.io/arch, operator: Is, values: [amd64]}]",
            "default",
            "\"Is\" is none of",
        ),
        (
            "[{key: karpenter.k8s.aws/instance-cpu, operator: Gt, values: [\"9999\"]}]",
            "default",
            "no instance type meets",
        ),
    ] {
        let told = problems(requirements, class);
        assert!(told.contains(expected), "{told}");
        assert!(told.contains("spec.template.spec"), "{told}");
    }
    assert!(!problems(M5, "default").contains("spec.template.spec"));
}
