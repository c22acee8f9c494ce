//! A cluster at the documented size limits of Kubernetes, 5,000 nodes with 150,000 pods: it starts, idles
//! for a day, loses a zone for an hour, and rolls out all of its Deployments at once.
//!
//! `cargo bench --bench cluster_limits`; once, with CPU seconds, memory and the time of each part: `cargo
//! bench --bench cluster_limits -- --once 5000`.

#![expect(clippy::disallowed_methods, reason = "a bench tells how long each part took")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use wavetank::engine::SimTime;
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mean number of pods per node.
const PODS_PER_NODE: usize = 30;
/// Pods of a Deployment.
const REPLICAS: usize = 150;
/// The parts of the run, each up to an hour.
const PARTS: [(&str, i64); 4] =
    [("start", 1), ("idle day", 25), ("zone outage", 28), ("rollout of everything", 30)];

fn scenario(nodes: usize) -> ResolvedScenario {
    let deployments = nodes * PODS_PER_NODE / REPLICAS;
    let mut text = format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: limits
duration: 30h
manifests: [apps.yaml]
cluster:
  nodePools:
    - {{name: general, instanceType: aws/m5.4xlarge, count: {nodes}, zones: [a, b, c]}}
timeline:
  - {{at: 25h, killZone: a}}
  - {{at: 26h, recoverZone: a}}
"
    );
    let mut manifests = String::new();
    for number in 0..deployments {
        let name = format!("app-{number:04}");
        write!(
            manifests,
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: app
          image: example.com/{name}:v1
          readinessProbe: {{httpGet: {{path: /, port: 8080}}}}
          resources: {{requests: {{cpu: 250m, memory: 512Mi}}, limits: {{memory: 512Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
"
        )
        .expect("a string takes everything");
        let workload = format!("Deployment/default/{name}");
        writeln!(text, "  - {{at: 28h, restartRollout: {workload}}}")
            .expect("a string takes everything");
    }
    let source = Source::new("scenario.yaml", text);
    let text = ScenarioText::parse(&source, &[]).expect("a valid scenario");
    let manifests = vec![Source::new("apps.yaml", manifests)];
    let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
    ResolvedScenario { text, files, manifest_settings: Vec::new() }
}

/// Runs all parts, and reports the time of each and the ready pods at its end.
fn run(nodes: usize) -> String {
    let mut said = String::new();
    let mut began = Instant::now();
    let mut say = |said: &mut String, part: &str, simulation: Option<&Simulation>| {
        let ready = simulation.map(|one| {
            one.view().pods().values().filter(|pod| pod.is_ready() && !pod.is_terminating()).count()
        });
        let ready = ready.map_or_else(String::new, |ready| format!(", {ready} pods ready"));
        writeln!(said, "{part}: {:.1} s{ready}", began.elapsed().as_secs_f64())
            .expect("a string takes everything");
        began = Instant::now();
    };
    let scenario = scenario(nodes);
    let blueprint = Blueprint::new(&scenario).expect("a valid scenario");
    let mut simulation = Simulation::new(blueprint.world(1).expect("a valid scenario"));
    say(&mut said, "reading", None);
    for (part, until) in PARTS {
        simulation.run_until(SimTime::from_secs(until * 3600));
        say(&mut said, part, Some(&simulation));
    }
    writeln!(said, "{} events", simulation.handled()).expect("a string takes everything");
    said
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--once") {
        for nodes in arguments[at + 1..].iter().filter_map(|argument| argument.parse().ok()) {
            // Standard output may be closed.
            let _ = write!(std::io::stdout(), "{}", run(nodes));
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .configure_from_args();
    criterion.bench_function("cluster limits/500 nodes", |bencher| {
        bencher.iter(|| run(500));
    });
    criterion.final_summary();
}
