//! Cost per pod, node, HPA, Service and simulated hour, from 100 of them to 100,000.
//!
//! `cargo bench --bench growth` prints the table; `cargo bench --bench growth -- pods 100 1000` some of its cells.

#![expect(clippy::disallowed_methods, reason = "a bench tells how long each cell took")]

mod cpu_clock;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use cpu_clock::CpuClock;
use wavetank::engine::SimTime;
use wavetank::files::memory_in_use;
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The quantity that grows.
#[derive(Clone, Copy)]
enum Grown {
    /// Pods of one Deployment with a Service and an HPA, for ten minutes.
    Pods,
    /// The same without Service, HPA and requests.
    BarePods,
    /// Nodes without a pod of the user's, for an hour.
    Nodes,
    /// Deployments of one pod, each with an HPA, for ten minutes.
    Hpas,
    /// Deployments of one pod, each with a Service, for ten minutes.
    Services,
    /// Hours of four nodes with one Service at one request per second.
    Hours,
}

const ALL: [(&str, Grown); 6] = [
    ("pods", Grown::Pods),
    ("bare-pods", Grown::BarePods),
    ("nodes", Grown::Nodes),
    ("hpas", Grown::Hpas),
    ("services", Grown::Services),
    ("hours", Grown::Hours),
];

/// Pods that a node has room for.
const PODS_PER_NODE: usize = 100;

/// A Deployment, with a Service and an HPA if it has them.
fn workload(name: &str, replicas: usize, has_service: bool, has_hpa: bool) -> String {
    let mut text = format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: app
          image: example.com/app:v1
          resources: {{requests: {{cpu: 100m, memory: 64Mi}}, limits: {{memory: 64Mi}}}}
---
"
    );
    if has_service {
        write!(
            text,
            "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
---
"
        )
        .expect("a string takes everything");
    }
    if has_hpa {
        write!(
            text,
            "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: default}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: {replicas}
  maxReplicas: {}
  metrics:
    - {{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}
---
",
            2 * replicas
        )
        .expect("a string takes everything");
    }
    text
}

fn scenario(grown: Grown, count: usize) -> (ResolvedScenario, SimTime) {
    let minutes = |minutes: i64| SimTime::from_secs(60 * minutes);
    let each = |has_service, has_hpa| {
        (0..count).map(|at| workload(&format!("app-{at}"), 1, has_service, has_hpa)).collect()
    };
    let (manifests, pods, until): (String, usize, SimTime) = match grown {
        Grown::Pods => (workload("app", count, true, true), count, minutes(10)),
        Grown::BarePods => (workload("app", count, false, false), count, minutes(10)),
        Grown::Nodes => (workload("app", 1, false, false), 1, minutes(60)),
        Grown::Hpas => (each(false, true), count, minutes(10)),
        Grown::Services => (each(true, false), count, minutes(10)),
        Grown::Hours => {
            let hours = i64::try_from(count).expect("not that many hours");
            (workload("app", 2, true, false), 4 * PODS_PER_NODE, minutes(60 * hours))
        }
    };
    let nodes = match grown {
        Grown::Nodes => count,
        _ => pods.div_ceil(PODS_PER_NODE) + 1,
    };
    let mean_rps = if matches!(grown, Grown::Hours) { 1 } else { pods };
    let requests = match grown {
        Grown::Pods | Grown::Hours => format!(
            "\
workloads: [{{workload: Deployment/default/app, requests: {{cpuTime: 10ms}}}}]
traffic:
  - service: default/app
    load: {{pattern: sine, meanRps: {mean_rps}, amplitudeRps: {}, period: 1d}}
    arrivals: fluid
",
            mean_rps / 2
        ),
        _ => String::new(),
    };
    let text = format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: growth
duration: {}s
manifests: [apps.yaml]
timing: {{controllerClient: {{qps: 0, burst: 0}}, schedulerClient: {{qps: 0, burst: 0}}}}
cluster:
  nodePools:
    - {{name: general, count: {nodes}, capacity: {{cpu: 16, memory: 64Gi}}, pricePerHour: 0.4}}
{requests}",
        until.as_nanos() / 1_000_000_000
    );
    let source = Source::new("scenario.yaml", text);
    let text = ScenarioText::parse(&source, &[]).expect("a valid scenario");
    let manifests = vec![Source::new("apps.yaml", manifests)];
    let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
    (ResolvedScenario { text, files, manifest_settings: Vec::new() }, until)
}

/// What a run took.
struct Took {
    /// CPU seconds, the scenario's reading included.
    seconds: f64,
    /// Memory at its end beyond what the process had before [bytes].
    memory: u64,
    events: u64,
}

fn run(grown: Grown, count: usize) -> Took {
    let memory = || memory_in_use().unwrap_or(0);
    let (clock, before) = (CpuClock::start(), memory());
    let (scenario, until) = scenario(grown, count);
    let blueprint = Blueprint::new(&scenario).expect("a valid scenario");
    let mut simulation = Simulation::new(blueprint.world(1).expect("a valid scenario"));
    simulation.run_until(until);
    simulation.finish();
    let memory = memory().saturating_sub(before);
    Took { seconds: clock.seconds(), memory, events: simulation.handled() }
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let is_named = |name: &str| given.iter().any(|one| one == name);
    let any = ALL.iter().any(|(name, _)| is_named(name));
    let mut counts: Vec<usize> = given.iter().filter_map(|one| one.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![100, 1_000, 10_000, 100_000];
    }
    // Tables that a process makes once are no part of what grows.
    run(Grown::Pods, 1);
    for (name, grown) in ALL.into_iter().filter(|(name, _)| !any || is_named(name)) {
        for count in &counts {
            let Took { seconds, memory, events } = run(grown, *count);
            let (each, bytes) = (seconds * 1e6 / *count as f64, memory / *count as u64);
            // Nobody may be reading.
            let _ = writeln!(
                std::io::stdout(),
                "{name} {count}: {seconds:.2} s of CPU, {each:.1} us, {bytes} bytes and {:.1} events each",
                events as f64 / *count as f64
            );
        }
    }
}
