//! A day of a million requests per second over 50 services with autoscalers and daily cycles: what a
//! month costs is thirty times that. The cost depends on scrapes, syncs and rescales, not on requests.

use std::fmt::Write;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation};

const SERVICES: usize = 50;

/// 20,000 requests/s in the mean each, between 8,000 and 32,000, with the peaks spread over the day; 0.4 ms
/// of CPU each, on pods of four cores.
fn scenario() -> (Source, Source) {
    let mut scenario = String::from(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: fluid-day\nduration: 1d\nmanifests: [all.yaml]\n\
         cluster:\n  nodePools:\n  - {name: big, count: 40, capacity: {cpu: 64, memory: 256Gi, pods: 250}, \
         pricePerHour: 3.0}\n",
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
    (Source::new("fluid-day.yaml", scenario), Source::new("all.yaml", manifests))
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

fn day(criterion: &mut Criterion) {
    let (scenario, manifests) = scenario();
    let text = ScenarioText::parse(&scenario, &[]).expect("the scenario is right");
    let files = ScenarioFiles { manifests: vec![manifests], ..ScenarioFiles::default() };
    let resolved = ResolvedScenario { text, files: files.into(), manifest_settings: Vec::new() };
    let blueprint = Blueprint::new(&resolved).expect("the manifests are right");
    let world = Arc::new(blueprint.world(1).expect("the traffic is right"));
    let mut group = criterion.benchmark_group("fluid");
    group.sample_size(10);
    group.bench_function("a day of 1 M requests/s, 50 services", |bencher| {
        bencher.iter(|| {
            let mut simulation = Simulation::new((*world).clone());
            simulation.run_until(wavetank::engine::SimTime::ZERO + world.duration);
            simulation.finish();
            simulation.requests()
        });
    });
    group.finish();
}

criterion_group!(benches, day);
criterion_main!(benches);
