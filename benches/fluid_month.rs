//! A month of a million requests per second over 50 services with autoscalers and daily cycles. The cost
//! depends on scrapes, syncs and rescales, not on requests. `cargo bench --bench fluid_month -- [DAYS]`, 30
//! by default.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::time::Instant;

use wavetank::engine::SimTime;
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: usize = 50;

/// 20,000 requests/s on average per service, between 8,000 and 32,000, with the peaks spread over the day;
/// 0.4 ms of CPU per request, on pods of four cores.
fn scenario(days: u32) -> (Source, Source) {
    let mut scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: fluid-month\nduration: {days}d\nmanifests: [all.yaml]\n\
         cluster:\n  nodePools:\n  - {{name: big, count: 40, capacity: {{cpu: 64, memory: 256Gi, pods: 250}}, \
         pricePerHour: 3.0}}\n",
    );
    let (mut workloads, mut traffic, mut manifests) =
        (String::from("workloads:\n"), String::from("traffic:\n"), String::new());
    for number in 0..SERVICES {
        let hour = number * 24 / SERVICES;
        let _ = writeln!(
            workloads,
            "- workload: Deployment/default/s{number}\n  app: {{warmUp: 5s}}\n  requests: {{cpuTime: 400us}}"
        );
        let _ = writeln!(
            traffic,
            "- service: default/s{number}\n  arrivals: fluid\n  load: {{pattern: sine, meanRps: 20000, \
             amplitudeRps: 12000, period: 1d, peakAt: {hour}h}}"
        );
        let _ = write!(manifests, "{}", workload(number));
    }
    scenario.push_str(&workloads);
    scenario.push_str(&traffic);
    (Source::new("fluid-month.yaml", scenario), Source::new("all.yaml", manifests))
}

fn workload(number: usize) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: s{number}}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: s{number}}}}}
  template:
    metadata: {{labels: {{app: s{number}}}}}
    spec:
      containers:
      - name: app
        image: registry.example/s{number}:v1
        readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 5}}
        resources: {{requests: {{cpu: 4, memory: 1Gi}}, limits: {{cpu: 4, memory: 1Gi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: s{number}}}
spec: {{selector: {{app: s{number}}}, ports: [{{port: 80}}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: s{number}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: s{number}}}
  minReplicas: 2
  maxReplicas: 20
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}
"
    )
}

fn main() -> std::io::Result<()> {
    let days = std::env::args().find_map(|one| one.parse::<u32>().ok()).unwrap_or(30);
    let (scenario, manifests) = scenario(days);
    let text = ScenarioText::parse(&scenario, &[]).expect("the scenario is right");
    let files = ScenarioFiles { manifests: vec![manifests], ..ScenarioFiles::default() };
    let resolved = ResolvedScenario { text, files: files.into(), manifest_settings: Vec::new() };
    let blueprint = Blueprint::new(&resolved).expect("the manifests are right");
    let world = blueprint.world(1).expect("the traffic is right");
    let end = SimTime::ZERO + world.duration;
    let begin = Instant::now();
    let mut simulation = Simulation::new(world);
    simulation.run_until(end);
    simulation.finish();
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(
        stdout(),
        "{days} days of {SERVICES} services: {:.3e} requests in {seconds:.2} s",
        simulation.requests() as f64
    )
}
