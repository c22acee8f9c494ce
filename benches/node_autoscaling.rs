//! A cluster that a node autoscaler makes as large as Kubernetes says that one may be, and small again: from no node
//! to 5,000 with 150,000 pods, and back to none.
//!
//! `cargo bench --bench node_autoscaling`; once, with the time of each part:
//! `cargo bench --bench node_autoscaling -- --once cluster-autoscaler 5000`, or `karpenter`; with `default-client` the
//! scheduler binds 50 pods a second, as it does by default, and the cluster takes 50 minutes to fill.

#![expect(clippy::disallowed_methods, reason = "a bench tells how long each part took")]

mod cpu_clock;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cpu_clock::CpuClock;
use criterion::Criterion;
use wavetank::engine::SimTime;
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of pods that fit on a node.
const PODS_PER_NODE: usize = 30;
/// Pods of a Deployment.
const REPLICAS: usize = 150;
/// The parts of the run, with their end in minutes.
const PARTS: [(&str, i64); 3] = [("empty", 5), ("growing", 60), ("shrinking", 240)];

/// The scheduler's client, with no limit that matters, and the default one.
const UNLIMITED: &str = "qps: 10000, burst: 10000";
const DEFAULT: &str = "qps: 50, burst: 100";

/// The node autoscaler under test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Autoscaler {
    ClusterAutoscaler,
    Karpenter,
}

/// Machines of 8 CPU and 32 GiB.
const NODE_POOL: &str = "\
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.2xlarge]}]
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
  disruption: {consolidateAfter: 1m}
---
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec: {role: node}
---
";

/// The controllers may send as many requests as those of clusters of this size are allowed.
fn scenario(autoscaler: Autoscaler, nodes: usize, client: &str) -> ResolvedScenario {
    let deployments = nodes * PODS_PER_NODE / REPLICAS;
    let cluster = match autoscaler {
        Autoscaler::ClusterAutoscaler => format!(
            "  autoscaler: {{clusterAutoscaler: {{flags: {{max-drain-parallelism: 10, max-scale-down-parallelism: 1000}}}}}}
  nodePools:
    - {{name: general, capacity: {{cpu: 8, memory: 32Gi}}, pricePerHour: 0.4, count: {{min: 0, max: {nodes}}}}}
"
        ),
        Autoscaler::Karpenter => "  preset: eks\n".to_owned(),
    };
    let mut text = format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: growth
duration: 4h
manifests: [apps.yaml]
timing: {{controllerClient: {{qps: 100, burst: 100}}, schedulerClient: {{{client}}}}}
cluster:
{cluster}timeline:
"
    );
    let mut manifests = match autoscaler {
        Autoscaler::ClusterAutoscaler => String::new(),
        Autoscaler::Karpenter => NODE_POOL.to_owned(),
    };
    for number in 0..deployments {
        let name = format!("app-{number:04}");
        write!(
            manifests,
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: app
          image: example.com/{name}:v1
          resources: {{requests: {{cpu: 260m, memory: 1Gi}}, limits: {{memory: 1Gi}}}}
---
"
        )
        .expect("a string takes everything");
        for (at, replicas) in [("5m", REPLICAS), ("60m", 0)] {
            let scale = format!("{{workload: Deployment/default/{name}, replicas: {replicas}}}");
            writeln!(text, "  - {{at: {at}, scale: {scale}}}").expect("a string takes everything");
        }
    }
    let source = Source::new("scenario.yaml", text);
    let text = ScenarioText::parse(&source, &[]).expect("a valid scenario");
    let manifests = vec![Source::new("apps.yaml", manifests)];
    let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
    ResolvedScenario { text, files, manifest_settings: Vec::new() }
}

/// Runs all parts, and reports the time of each and the nodes and ready pods at its end.
fn run(autoscaler: Autoscaler, nodes: usize, client: &str) -> String {
    let mut said = String::new();
    let scenario = scenario(autoscaler, nodes, client);
    let blueprint = Blueprint::new(&scenario).expect("a valid scenario");
    let mut simulation = Simulation::new(blueprint.world(1).expect("a valid scenario"));
    for (part, until) in PARTS {
        let clock = CpuClock::start();
        simulation.run_until(SimTime::from_secs(until * 60));
        let view = simulation.view();
        let ready = view.pods().values().filter(|pod| pod.is_ready()).count();
        let (seconds, nodes) = (clock.seconds(), view.nodes().len());
        writeln!(said, "{part}: {seconds:.1} s of CPU, {nodes} nodes, {ready} pods ready")
            .expect("a string takes everything");
    }
    writeln!(said, "{} events", simulation.handled()).expect("a string takes everything");
    said
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let known = [
        ("cluster-autoscaler", Autoscaler::ClusterAutoscaler),
        ("karpenter", Autoscaler::Karpenter),
    ];
    if let Some(at) = arguments.iter().position(|argument| argument == "--once") {
        let given = &arguments[at + 1..];
        let is_default = given.iter().any(|one| one == "default-client");
        let client = if is_default { DEFAULT } else { UNLIMITED };
        for nodes in given.iter().filter_map(|argument| argument.parse().ok()) {
            for (_, autoscaler) in
                known.iter().filter(|(name, _)| given.iter().any(|one| one == name))
            {
                // Standard output may be closed.
                let _ = write!(std::io::stdout(), "{}", run(*autoscaler, nodes, client));
            }
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .configure_from_args();
    for (name, autoscaler) in known {
        criterion.bench_function(&format!("{name}/500 nodes"), |bencher| {
            bencher.iter(|| run(autoscaler, 500, UNLIMITED));
        });
    }
    criterion.final_summary();
}
