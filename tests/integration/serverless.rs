//! Pods on Fargate and Autopilot, from the scenario to the bill.

use crate::in_memory::resolved;
use wavetank::report::{CostReport, MachineCost};
use wavetank::units::Money;

const MANIFESTS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1, resources: {requests: {cpu: 800m, memory: 1500Mi}}}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent:1, resources: {requests: {cpu: 100m}}}]}
";

/// An hour; the pods are bound in its first second.
fn cost(kind: &str, bill: &str, timeline: &str) -> CostReport {
    let scenario = format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: serverless
duration: 1h
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: pods, count: 1, serverless: {kind}}}]}}
workloads: [{{workload: Deployment/shop/web}}]
timeline: {timeline}
bill: {{{bill}}}
"
    );
    let resolved = resolved(&scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    wavetank::sweep::run(&resolved, 1, |_| {}).expect("a run").cost
}

fn pods(cost: &CostReport) -> &MachineCost {
    assert_eq!(cost.machines.len(), 1, "{:?}", cost.machines);
    &cost.machines[0]
}

#[test]
fn pods_on_fargate_pay_for_the_size_that_they_are_rounded_up_to() {
    let cost = cost("fargate", "", "[]");
    // 1 vCPU and 2 GB for each of two pods.
    let each = 0.04048 + 2.0 * 0.004_445;
    assert!((pods(&cost).usd.as_usd() / (2.0 * each) - 1.0).abs() < 1e-9, "{:?}", cost.machines);
    // The workload pays for all of it; the system's pods and the node cost nothing.
    let paid: Money = cost.workloads.iter().map(|one| one.usd).sum();
    assert_eq!((cost.nodes_usd, cost.idle_usd), (paid, Money::ZERO));
    assert_eq!(cost.workloads[0].usd, cost.nodes_usd);
    assert!(!cost.charges.iter().any(|line| line.item.starts_with("disk:")));
}

#[test]
fn pods_on_autopilot_pay_for_requests_and_storage() {
    let cost = cost("autopilot", "", "[]");
    let gib = 1_500.0 / 1_024.0;
    let each = 0.8 * 0.0445 + gib * 0.004_922_5 + 0.000_054_8;
    assert!((pods(&cost).usd.as_usd() / (2.0 * each) - 1.0).abs() < 1e-9, "{:?}", cost.machines);
}

#[test]
fn a_pod_that_is_gone_is_not_billed_any_more() {
    let scaled = "[{at: 30m, scale: {workload: Deployment/shop/web, replicas: 1}}]";
    let cost = cost("fargate", "", scaled);
    let hours = pods(&cost).node_hours;
    assert!((1.5..1.52).contains(&hours), "{hours} hours");
}

#[test]
fn a_savings_plan_covers_pods_on_fargate() {
    let cost = cost("fargate", "savingsPlans: [{perHour: 10, percentOff: 20}]", "[]");
    let share = cost.nodes_usd.as_usd() / cost.nodes_list_usd.as_usd();
    // The last second is billed whole, past the end of the run and of the plan.
    assert!((share - 0.8).abs() < 1e-5, "{share}");
    assert_eq!(cost.unused_commitments.len(), 1);
}

#[test]
fn a_pool_whose_pods_are_billed_has_no_price_of_its_own() {
    let scenario = "
apiVersion: wavetank/v1
kind: Scenario
name: serverless
duration: 1h
manifests: [manifests.yaml]
cluster: {nodePools: [{name: pods, count: {min: 1, max: 2}, serverless: fargate, pricePerHour: 1}]}
";
    let told = resolved(scenario, MANIFESTS, &[]).expect("well-formed").check().to_string();
    assert!(told.contains("the serverless pool pods is billed by its pods"), "{told}");
    assert!(told.contains("is not scaled"), "{told}");
}
