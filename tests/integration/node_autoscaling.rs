//! Nodes that come and go in whole runs: who asks for them, what becomes of their machines, and who pays.

use proptest::prelude::*;

use crate::texts::{ran, resolved};
use wavetank::report::{NodeEvent, Report};
use wavetank::sim::Simulation;
use wavetank::units::Money;

/// A Deployment whose pods ask for a core each.
pub(crate) fn workers(replicas: u32) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: worker, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: worker}}}}
  template:
    metadata: {{labels: {{app: worker}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - {{name: worker, image: \"example.com/worker:1\", resources: {{requests: {{cpu: 1, memory: 1Gi}}}}}}
"
    )
}

/// A run of 2 workers who become `peak` from the second minute to the tenth.
fn burst(peak: u32, cluster: &str, rest: &str) -> (Report, Simulation) {
    let scenario = format!(
        "\
duration: 45m
cluster: {cluster}
timeline:
  - {{at: 2m, scale: {{workload: Deployment/default/worker, replicas: {peak}}}}}
  - {{at: 10m, scale: {{workload: Deployment/default/worker, replicas: 2}}}}
{rest}"
    );
    ran(&resolved(&scenario, &workers(2), &[]))
}

const POOL: &str =
    "{name: web, capacity: {cpu: 4, memory: 16Gi}, pricePerHour: 0.2, count: {min: 1, max: 5}}";

/// The most nodes that a pool had.
fn most(report: &Report, name: &str) -> String {
    let pool = report.cluster.pools.iter().find(|pool| pool.pool == name);
    pool.expect("the pool had a node").nodes.max.to_string()
}

/// The bill adds up, to the last digit, however it is split.
fn assert_adds_up(report: &Report) {
    let cost = &report.cost;
    let workloads: Money = cost.workloads.iter().map(|one| one.usd).sum();
    let pools: Money = cost.pools.iter().map(|one| one.usd).sum();
    let machines: Money = cost.machines.iter().map(|one| one.usd).sum();
    assert_eq!(cost.total_usd, workloads + cost.idle_usd);
    assert_eq!(cost.total_usd, pools);
    assert_eq!(cost.total_usd, machines);
}

#[test]
fn a_pool_grows_for_pods_that_wait_and_shrinks_when_they_are_gone() {
    let (report, simulation) = burst(12, &format!("{{nodePools: [{POOL}]}}"), "");
    // Four pods to a node.
    assert_eq!(most(&report, "web"), "3");
    assert_eq!(simulation.view().nodes().len(), 1, "at the end");
    let changes = &report.cluster.node_changes;
    let of = |event| changes.iter().filter(move |change| change.event == event);
    assert_eq!((of(NodeEvent::Added).count(), of(NodeEvent::Removed).count()), (2, 2));
    for added in of(NodeEvent::Added) {
        assert!(added.reason.contains("web 1->3 (max: 5)"), "{}", added.reason);
        assert!((120.0..300.0).contains(&added.at_seconds), "{}", added.at_seconds);
    }
    for removed in of(NodeEvent::Removed) {
        assert!(removed.reason.starts_with("not needed for 610s"), "{}", removed.reason);
        assert!(removed.at_seconds >= 1_200.0, "{}", removed.at_seconds);
    }
    let waits = report.cluster.pod_waits.expect("pods waited");
    assert_eq!(waits.pods, 8);
    assert!((30.0..180.0).contains(&waits.max_seconds), "{waits:?}");
    assert_adds_up(&report);
}

#[test]
fn no_pool_grows_beyond_its_maximum() {
    let (report, simulation) = burst(40, &format!("{{nodePools: [{POOL}]}}"), "");
    assert_eq!(most(&report, "web"), "5");
    let refused = simulation.recorder().log.iter().any(|line| {
        line.reason == "NotTriggerScaleUp" && line.message.contains("max node group size reached")
    });
    assert!(refused, "pods without help are told so");
}

#[test]
fn a_fixed_pool_stays_as_it_is() {
    let fixed = POOL.replace("{min: 1, max: 5}", "1");
    let (report, _) = burst(12, &format!("{{nodePools: [{fixed}]}}"), "");
    assert_eq!(most(&report, "web"), "1");
    assert!(report.cluster.node_changes.is_empty());
}

#[test]
fn what_is_sold_out_comes_from_another_pool() {
    let pools = "{autoscaler: {clusterAutoscaler: {flags: {expander: priority}, priorities: {9: [cheap], 1: [dear]}}}, nodePools: [\
        {name: base, capacity: {cpu: 4, memory: 16Gi}, count: 1}, \
        {name: cheap, spot: true, capacity: {cpu: 4, memory: 16Gi}, pricePerHour: 0.1, count: {min: 0, max: 4}}, \
        {name: dear, capacity: {cpu: 4, memory: 16Gi}, pricePerHour: 0.3, count: {min: 0, max: 4}}]}";
    let (report, _) = burst(6, pools, "");
    assert!(report.cluster.pools.iter().all(|pool| pool.pool != "dear"), "nobody needs it");
    assert_eq!(most(&report, "cheap"), "1");
    let sold_out = "  - {at: 1m, stockOut: {capacityType: spot, for: 30m}}";
    let (report, simulation) = burst(6, pools, sold_out);
    assert!(report.cluster.pools.iter().all(|pool| pool.pool != "cheap"), "there is none");
    assert_eq!(most(&report, "dear"), "1");
    let refusals = simulation.recorder().log.iter().filter(|line| line.reason == "MachineRefused");
    assert!(refusals.count() >= 1);
    assert_adds_up(&report);
}

#[test]
fn a_machine_that_never_joins_is_paid_for_and_sent_away() {
    let cluster = format!("{{machines: {{bootFailures: 1}}, nodePools: [{POOL}]}}");
    let (report, simulation) = burst(6, &cluster, "");
    assert_eq!(most(&report, "web"), "1", "one node from the start, and no other");
    let hours = report.cost.machines[0].node_hours;
    assert!(hours > 0.75 + 0.2, "{hours} h: a quarter of an hour until it is given up");
    assert_eq!(simulation.view().nodes().len(), 1);
    assert_adds_up(&report);
}

#[test]
fn the_quota_ends_growth() {
    let cluster = format!("{{machines: {{quota: {{cpu: 8}}}}, nodePools: [{POOL}]}}");
    let (report, _) = burst(12, &cluster, "");
    assert_eq!(most(&report, "web"), "2");
    assert_adds_up(&report);
}

#[test]
fn a_spot_machine_that_is_taken_back_is_replaced() {
    let cluster = "{nodePools: [{name: web, spot: true, capacity: {cpu: 4, memory: 16Gi}, pricePerHour: 0.1, \
                   count: {min: 2, max: 4, start: 2}}]}";
    let (report, simulation) = burst(4, cluster, "  - {at: 5m, reclaimSpot: {pool: web}}");
    assert_eq!(simulation.view().nodes().len(), 2, "the group keeps its size");
    assert!(simulation.view().node_named("web-3").is_some());
    assert_eq!(report.cost.machines[0].capacity_type, "spot");
    assert_adds_up(&report);
}

#[test]
fn a_new_node_has_the_daemons_of_its_preset_and_what_they_request_is_not_free() {
    let cluster = format!("{{preset: eks, nodePools: [{POOL}]}}");
    let (report, simulation) = burst(12, &cluster, "");
    // 3920 m less 150 m of daemons: three pods to a node.
    assert_eq!(most(&report, "web"), "4");
    let view = simulation.view();
    let daemons = view.pods().values().filter(|pod| *pod.id.namespace == *"kube-system");
    assert_eq!(daemons.count(), 2 * view.nodes().len());
}

#[test]
fn a_node_tells_why_it_came_and_why_it_stays() {
    let scenario = format!("duration: 10m\ncluster: {{nodePools: [{POOL}]}}\n");
    let (_, simulation) = ran(&resolved(&scenario, &workers(6), &[]));
    let story = simulation.explain_node(&"web-2".into()).expect("it is there");
    let text = story.to_string();
    assert!(text.contains("group web from 1 to 2 nodes (at most 5)"), "{text}");
    assert!(text.contains("->") && text.contains("least-waste"), "{text}");
    assert!(text.contains("Kept:") && text.contains("% of its cpu is requested"), "{text}");
    assert_eq!(story.to_json()["added"]["options"][0]["chosen"], true);
    let first = simulation.explain_node(&"web-1".into()).expect("it is there").to_string();
    assert!(first.contains("from the start"), "{first}");
    assert!(simulation.explain_node(&"web-9".into()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Whatever comes and goes: what workloads pay and what is idle is what the machines cost.
    #[test]
    fn every_bill_of_nodes_that_come_and_go_adds_up(
        peak in 2..40_u32,
        failures in 0..4_u32,
        spot in any::<bool>(),
        sold_out in any::<bool>(),
        between in 5..60_u32,
    ) {
        let (price, is_spot) = if spot { ("0.0671", "true") } else { ("0.2003", "false") };
        let cluster = format!(
            "{{machines: {{bootFailures: 0.{failures}}}, nodePools: [\
             {{name: a, spot: {is_spot}, capacity: {{cpu: 4, memory: 16Gi}}, pricePerHour: {price}, count: {{min: 1, max: 6}}}}, \
             {{name: b, capacity: {{cpu: 8, memory: 8Gi}}, pricePerHour: 0.3337, count: {{min: 0, max: 3}}}}]}}"
        );
        let stock_out = if sold_out { "  - {at: 3m, stockOut: {pool: a, for: 5m}}\n" } else { "" };
        let reclaim = "fault: reclaimSpot, pool: a, together: 0.9, meanTimeBetween";
        let rest = format!("{stock_out}faults:\n  - {{{reclaim}: {between}m}}\n");
        let (report, _) = burst(peak, &cluster, &rest);
        assert_adds_up(&report);
    }
}

/// What is said of a cluster that is wrong.
fn problems(cluster: &str) -> String {
    let scenario = format!("duration: 45m\ncluster: {cluster}\n");
    resolved(&scenario, &workers(2), &[]).check().to_string()
}

#[test]
fn bounds_flags_and_steps_that_are_wrong_are_named_with_what_would_be_right() {
    let pool =
        |count: &str| format!("{{nodePools: [{}]}}", POOL.replace("{min: 1, max: 5}", count));
    let flags = |flags: &str| {
        format!("{{autoscaler: {{clusterAutoscaler: {{flags: {flags}}}}}, nodePools: [{POOL}]}}")
    };
    for (cluster, field, says) in [
        (pool("{min: 5, max: 2}"), "count.min", "lower `min` to 2"),
        (pool("{min: 1, max: 2, start: 3}"), "count.start", "from 1 to 2"),
        (flags("{expander: cheapest}"), "flags[expander]", "least-waste"),
        (flags("{scan-intervall: 5s}"), "flags[scan-intervall]", "no flag"),
        (flags("{gpu-total: [a100:0:2, b]}"), "flags[gpu-total][1]", "no GPU limit"),
        (flags("{salvo-scale-up: true}"), "flags[salvo-scale-up]", "is not simulated"),
        (flags("{expander: priority}"), "priorities", "patterns by priority"),
        (
            format!("{{machines: {{boot: {{p50: 10s, p90: 5s}}}}, nodePools: [{POOL}]}}"),
            "machines.boot.p90",
            "raise p90",
        ),
        (
            format!("{{autoscaler: {{}}, nodePools: [{POOL}]}}"),
            "cluster.autoscaler",
            "no autoscaler resizes the pool web",
        ),
        (
            flags("{expander: price}").replace("pricePerHour: 0.2, ", ""),
            "nodePools[0]",
            "give it `pricePerHour`",
        ),
    ] {
        let said = problems(&cluster);
        assert!(said.contains(field) && said.contains(says), "{cluster}: {said}");
        assert!(said.contains("scenario.yaml:"), "{said}");
    }
    let fine = problems(&format!("{{nodePools: [{POOL}]}}"));
    assert!(!fine.contains("cluster"), "{fine}");
}
