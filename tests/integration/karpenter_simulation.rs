//! Karpenter in whole runs: nodes for pods that wait, and nodes that go again.

use crate::node_autoscaling::workers;
use crate::texts::{ran, resolved};
use wavetank::cluster::pod::Pod;
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
        "launched: m5",
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
fn pods_for_which_no_type_of_a_pool_is_large_enough_are_reported_with_that_pool() {
    let nano = "[{key: node.kubernetes.io/instance-type, operator: In, values: [t3.nano]}]";
    let (report, _) =
        ran(&resolved("duration: 5m\ncluster: {}\n", &manifests(2, nano, "default"), &[]));
    let said: Vec<&String> = report.attention.iter().map(|notice| &notice.message).collect();
    let pending = said.iter().find(|said| said.contains("2 pods still pending")).expect("they are");
    for words in [
        "Karpenter: no instance type has enough resources",
        "karpenter.sh/nodepool In [general]",
        "t3.nano",
    ] {
        assert!(pending.contains(words), "{words} is not in {pending}");
    }
}

#[test]
fn what_keeps_a_pool_from_making_nodes_is_told_with_its_place() {
    for (requirements, class, expected) in [
        (M5, "other", "there is no EC2NodeClass \"other\""),
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
            "no instance type has a spot price",
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

/// A NodePool with these requirements and other fields of its template's spec, and its class.
fn pool(requirements: &str, template: &str, disruption: &str) -> String {
    format!(
        "\
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: general}}
spec:
  template:
    spec:
      requirements: {requirements}
      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}
{template}
  disruption: {disruption}
---
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {{name: default}}
spec: {{role: node}}
"
    )
}

const ALL_AT_ONCE: &str = "{consolidateAfter: 30s, budgets: [{nodes: \"100%\"}]}";
const NEVER: &str = "{consolidateAfter: Never}";

/// What a run of four workers comes to.
fn run_of(cluster: &str, rest: &str, pool: &str) -> (Report, Simulation) {
    let scenario = format!("duration: 45m\ncluster: {cluster}\n{rest}");
    ran(&resolved(&scenario, &(workers(4) + pool), &[]))
}

fn all_run(simulation: &Simulation) -> bool {
    simulation.view().pods().values().all(Pod::is_ready)
}

/// When the first node went, and why.
fn first_removal(report: &Report) -> (f64, &str) {
    let mut changes = report.cluster.node_changes.iter();
    let removed = changes.find(|one| one.event == NodeEvent::Removed).expect("a node went");
    (removed.at_seconds, &removed.reason)
}

#[test]
fn a_pod_that_asks_for_a_gpu_gets_a_machine_with_one_and_waits_for_its_device_plugin() {
    let g6 =
        "[{key: node.kubernetes.io/instance-type, operator: In, values: [g6.xlarge, m5.xlarge]}]";
    let workers = workers(1).replace("memory: 1Gi}", "memory: 1Gi}, limits: {nvidia.com/gpu: 1}");
    let pool = pool(g6, "", NEVER);
    let scenario = "duration: 20m\ncluster: {machines: {devicePlugin: 3m}}\n";
    let (report, simulation) = ran(&resolved(scenario, &(workers + &pool), &[]));
    let view = simulation.view();
    let nodes: Vec<&str> = view.nodes().values().map(|one| &*one.machine.instance_type).collect();
    assert_eq!(nodes, ["g6.xlarge"]);
    assert!(all_run(&simulation));
    let waits = report.cluster.pod_waits.expect("it waited");
    assert!(waits.max_seconds > 180.0 + 30.0, "{waits:?}");
}

const SPOT: &str = "{autoscaler: {karpenter: {spotShare: 0.4}}}";

fn of_capacity(types: &str) -> String {
    format!(
        "[{{key: node.kubernetes.io/instance-type, operator: In, values: [m5.xlarge]}}, \
         {{key: karpenter.sh/capacity-type, operator: In, values: {types}}}]"
    )
}

#[test]
fn a_spot_machine_that_is_taken_back_is_drained_at_the_notice_and_replaced_before_its_end() {
    let pool = pool(&of_capacity("[spot]"), "", NEVER);
    let (report, simulation) =
        run_of(SPOT, "timeline:\n  - {at: 10m, reclaimSpot: {pool: general}}\n", &pool);
    let (at, reason) = first_removal(&report);
    assert!(reason.starts_with("Interrupted"), "{reason}");
    assert!((600.0..=725.0).contains(&at), "{at}");
    let mut changes = report.cluster.node_changes.iter();
    assert!(changes.any(|one| one.event == NodeEvent::Added && one.at_seconds > 600.0));
    assert!(all_run(&simulation));
    assert!(report.cost.machines.iter().all(|one| one.capacity_type == "spot"));
}

#[test]
fn what_is_sold_out_as_spot_is_bought_on_demand() {
    let pool = pool(&of_capacity("[spot, on-demand]"), "", NEVER);
    let kinds = |rest: &str| -> Vec<String> {
        let (report, simulation) = run_of(SPOT, rest, &pool);
        assert!(all_run(&simulation));
        report.cost.machines.iter().map(|one| one.capacity_type.to_string()).collect()
    };
    assert_eq!(kinds(""), ["spot"]);
    let sold_out = "timeline:\n  - {at: 0s, stockOut: {capacityType: spot, for: 30m}}\n";
    assert_eq!(kinds(sold_out), ["on-demand"]);
}

#[test]
fn nodes_that_a_changed_pool_would_not_make_are_replaced() {
    let before = pool(M5, "", ALL_AT_ONCE);
    let changed =
        pool(M5, "      taints: [{key: tier, value: new, effect: PreferNoSchedule}]", ALL_AT_ONCE);
    let scenario = "duration: 45m\ncluster: {}\ntimeline:\n  - {at: 10m, apply: new.yaml}\n";
    let manifests = workers(4) + &before;
    let (report, simulation) =
        ran(&resolved(scenario, &manifests, &[("new.yaml", changed.as_str())]));
    let (at, reason) = first_removal(&report);
    assert!(reason.starts_with("Drifted"), "{reason}");
    assert!(at > 600.0, "{at}");
    assert!(all_run(&simulation));
    let view = simulation.view();
    assert!(view.nodes().values().all(|one| one.taints.iter().any(|taint| *taint.key == *"tier")));
}

#[test]
fn nodes_of_kwok_register_after_the_delay_of_their_class() {
    let pool = "\
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      requirements: [{key: karpenter.kwok.sh/instance-cpu, operator: In, values: [\"4\", \"8\"]}]
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: default}
---
apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {name: default}
spec: {nodeRegistrationDelay: 90s}
";
    let (report, simulation) = run_of("{}", "", pool);
    assert!(all_run(&simulation));
    let waits = report.cluster.pod_waits.expect("they waited");
    assert!((90.0..120.0).contains(&waits.max_seconds), "{waits:?}");
    let view = simulation.view();
    for node in view.nodes().values() {
        let zone = node.meta.labels.get("topology.kubernetes.io/zone").expect("it is in a zone");
        assert!(zone.starts_with("test-zone-"), "{zone}");
    }
}

/// Four workers of whom none is left after five minutes.
const ALL_GONE: &str =
    "timeline:\n  - {at: 5m, scale: {workload: Deployment/default/worker, replicas: 0}}\n";

#[test]
fn a_budget_with_a_schedule_holds_while_it_lasts() {
    // The run begins at midnight.
    let budgets = "[{nodes: \"100%\"}, {nodes: \"0\", schedule: \"0 0 * * *\", duration: 20m}]";
    let disruption = format!("{{consolidateAfter: 30s, budgets: {budgets}}}");
    let (report, simulation) = run_of("{}", ALL_GONE, &pool(M5, "", &disruption));
    let (at, reason) = first_removal(&report);
    assert!(reason.starts_with("Empty"), "{reason}");
    assert!((1_200.0..1_500.0).contains(&at), "{at}");
    assert_eq!(simulation.view().nodes().len(), 0);
    let (report, _) = run_of("{}", ALL_GONE, &pool(M5, "", ALL_AT_ONCE));
    assert!(first_removal(&report).0 < 600.0);
}

#[test]
fn a_budget_of_pods_holds_a_drain_up_to_the_grace_of_the_node() {
    let keeper = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: worker, namespace: default}\n\
                  spec: {minAvailable: 100%, selector: {matchLabels: {app: worker}}}\n";
    let gone = |template: &str| {
        let (report, simulation) =
            run_of("{}", "", &(keeper.to_owned() + &pool(M5, template, NEVER)));
        let log = &simulation.recorder().log;
        assert!(log.iter().all(|line| line.reason != "Evicted"), "none is evicted");
        assert!(report.cluster.node_changes.iter().any(|one| one.event == NodeEvent::Added));
        simulation
    };
    let simulation = gone("      expireAfter: 10m");
    let view = simulation.view();
    assert!(view.pods().values().all(|pod| pod.created.as_secs_f64() < 60.0));
    let simulation = gone("      expireAfter: 10m\n      terminationGracePeriod: 5m");
    let view = simulation.view();
    assert!(view.pods().values().all(|pod| pod.created.as_secs_f64() > 800.0));
}

#[test]
fn a_pool_of_the_cluster_autoscaler_grows_beside_karpenters() {
    let own = |name: &str, selector: &str| {
        workers(3)
            .replace("name: worker, namespace", &format!("name: {name}, namespace"))
            .replace("app: worker", &format!("app: {name}"))
            .replace(
                "      containers:",
                &format!("      nodeSelector: {selector}\n      containers:"),
            )
    };
    let manifests = own("left", "{karpenter.sh/nodepool: general}")
        + "---\n"
        + &own("right", "{team: right}")
        + &pool(M5, "", NEVER);
    let scenario = "\
duration: 20m
cluster:
  nodePools:
    - {name: web, capacity: {cpu: 4, memory: 16Gi}, labels: {team: right}, count: {min: 0, max: 5}}
";
    let (_, simulation) = ran(&resolved(scenario, &manifests, &[]));
    assert!(all_run(&simulation));
    let view = simulation.view();
    let mut pools: Vec<&str> = view.nodes().values().map(|one| &*one.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    assert_eq!(pools, ["general", "web"]);
}
