//! A day of a web shop from its scenario to its report: daily traffic cycle, an HPA, a lost node, a
//! rollout; 1.7 million requests.

#[path = "../tests/support/shop_texts.rs"]
mod shop;

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use wavetank::manifest::Source;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HPA: &str = "\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 12
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
";

const TIMELINE: &str = "\
timeline:
  - {at: 9h, killNode: general-1}
  - {at: 10h, recoverNode: general-1}
  - {at: 14h, setImage: {workload: Deployment/shop/web, image: 'example.com/web:v2'}}
";

fn day() -> ResolvedScenario {
    let scenario = shop::SCENARIO
        .replace("duration: 4m", "duration: 24h")
        .replace("count: 2", "count: 4")
        .replace(
            "{pattern: constant, rps: 20}",
            "{pattern: sine, meanRps: 20, amplitudeRps: 15, period: 24h}",
        );
    let source = Source::new("scenario.yaml", format!("{scenario}{TIMELINE}"));
    let text = ScenarioText::parse(&source, &[]).expect("a valid scenario");
    let manifests = vec![Source::new("web.yaml", format!("{}{HPA}", shop::MANIFESTS))];
    let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
    ResolvedScenario { text, files, manifest_settings: Vec::new() }
}

fn whole_day(criterion: &mut Criterion) {
    let day = day();
    let mut group = criterion.benchmark_group("whole day");
    group.sample_size(10);
    group.bench_function("24 h, 20 requests a second", |bencher| {
        bencher.iter(|| wavetank::sweep::run(&day, 1, |_| {}).expect("it runs"));
    });
    group.finish();
}

criterion_group!(benches, whole_day);
criterion_main!(benches);
