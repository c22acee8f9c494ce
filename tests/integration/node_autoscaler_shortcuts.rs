//! What node autoscalers and the DaemonSet controller keep from one loop to the next changes no decision: on random
//! clusters, debug builds compare every loop with one that keeps nothing.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::texts::{ran, resolved};
use wavetank::cluster::pod::Pod;
use wavetank::sim::Simulation;

/// What the place of a pod depends on besides its requests.
#[derive(Clone, Copy, Debug)]
enum Placement {
    OneNode,
    AntiAffinity,
    Spread,
    Toleration,
}

/// A Deployment that grows and shrinks.
#[derive(Clone, Debug)]
struct Burst {
    replicas: u32,
    milli_cpu: u32,
    at_seconds: u32,
    seconds: u32,
    is_important: bool,
    placement: Placement,
}

fn burst() -> impl Strategy<Value = Burst> {
    let placement = prop_oneof![
        4 => Just(Placement::OneNode),
        1 => Just(Placement::AntiAffinity),
        1 => Just(Placement::Spread),
        1 => Just(Placement::Toleration),
    ];
    (1..25_u32, 100..1500_u32, 10..900_u32, 200..700_u32, any::<bool>(), placement).prop_map(
        |(replicas, milli_cpu, at_seconds, seconds, is_important, placement)| Burst {
            replicas,
            milli_cpu,
            at_seconds,
            seconds,
            is_important,
            placement,
        },
    )
}

/// The manifests of the Deployments, and the timeline that scales them.
fn workloads(bursts: &[Burst]) -> (String, String) {
    let mut manifests = "\
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: important}
value: 1000
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: default}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: \"example.com/agent:1\", resources: {requests: {cpu: 100m}}}]
---
"
    .to_owned();
    let mut timeline = "timeline:\n".to_owned();
    for (number, one) in bursts.iter().enumerate() {
        let terms = format!(
            "[{{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: w{number}}}}}}}]"
        );
        let placement = match one.placement {
            Placement::OneNode => String::new(),
            Placement::AntiAffinity => format!(
                "affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {terms}}}}}"
            ),
            Placement::Spread => format!(
                "topologySpreadConstraints: [{{maxSkew: 2, whenUnsatisfiable: DoNotSchedule, topologyKey: kubernetes.io/hostname, \
                 labelSelector: {{matchLabels: {{app: w{number}}}}}}}]"
            ),
            Placement::Toleration => "tolerations: [{key: dedicated, operator: Exists}]".to_owned(),
        };
        let class = if one.is_important { "priorityClassName: important" } else { "" };
        let cpu = one.milli_cpu;
        write!(
            manifests,
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: w{number}, namespace: default}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: w{number}}}}}
  template:
    metadata: {{labels: {{app: w{number}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      {class}
      {placement}
      containers: [{{name: w, image: \"example.com/w:1\", resources: {{requests: {{cpu: {cpu}m, memory: 64Mi}}}}}}]
---
"
        )
        .expect("a string takes everything");
        let steps =
            [(one.at_seconds, one.replicas), (one.at_seconds + one.seconds, one.replicas / 3)];
        for (at, replicas) in steps {
            let scale = format!("{{workload: Deployment/default/w{number}, replicas: {replicas}}}");
            writeln!(timeline, "  - {{at: {at}s, scale: {scale}}}")
                .expect("a string takes everything");
        }
    }
    (manifests, timeline)
}

/// Runs the Deployments; all pods that are left at the end run.
fn run(bursts: &[Burst], cluster: &str, pools: &str) -> Simulation {
    let (manifests, timeline) = workloads(bursts);
    let scenario = format!("duration: 40m\ncluster: {cluster}\n{timeline}");
    let (_, simulation) = ran(&resolved(&scenario, &format!("{manifests}{pools}"), &[]));
    let wanted: u32 = bursts.iter().map(|one| one.replicas / 3).sum();
    let view = simulation.view();
    let left = view.pods().values().filter(|pod| pod.id.name.starts_with('w'));
    assert_eq!(left.filter(|pod: &&Pod| pod.is_ready()).count(), wanted as usize);
    simulation
}

const NODE_POOL: &str = "\
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large, m5.xlarge, c5.xlarge]}]
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
  disruption: {consolidateAfter: 30s}
---
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec: {role: node}
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
    #[test]
    fn the_cluster_autoscaler_finds_the_nodes_of_pods_as_if_it_tried_all_in_each_loop(
        bursts in prop::collection::vec(burst(), 2..6),
    ) {
        run(
            &bursts,
            "{nodePools: [\
             {name: a, capacity: {cpu: 2, memory: 8Gi}, pricePerHour: 0.1, count: {min: 1, max: 40}}, \
             {name: b, capacity: {cpu: 4, memory: 8Gi}, pricePerHour: 0.3, count: {min: 0, max: 40}, \
             taints: [{key: dedicated, value: x, effect: NoSchedule}]}]}",
            "",
        );
    }

    #[test]
    fn karpenter_finds_the_nodes_of_pods_as_if_it_tried_all_in_each_pass(
        bursts in prop::collection::vec(burst(), 2..6),
    ) {
        run(&bursts, "{preset: eks}", NODE_POOL);
    }
}
