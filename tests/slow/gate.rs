//! How often `compare --fail-on worse` is wrong: over harmless changes, and over a service that is 10 % slower.
//! docs/pipelines.md has the figures of `GATE_COMPARISONS=200 cargo test --test slow gate -- --nocapture`.

use crate::in_memory::resolved;
use wavetank::scenario::resolved::ResolvedScenario;
use wavetank::sweep::compare::{Comparison, Verdict};
use wavetank::sweep::gate::Filter;
use wavetank::sweep::measure::Measurement;
use wavetank::sweep::run_all;

/// Of `compare`.
const SEEDS: u64 = 5;
const TOLERANCE: f64 = 0.01;

const MANIFESTS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 8
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: db:1, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80}]}
";

const SCENARIO: &str = "
apiVersion: wavetank/v1
kind: Scenario
name: gate
duration: 20m
warmUp: 5m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: a, count: 6, instanceType: aws/m5.large}]}
workloads:
  - workload: Deployment/shop/web
    requests:
      cpuTime: {distribution: lognormal, mean: 20ms, cv: 1}
      concurrency: 16
      calls: [{service: shop/db, timeout: 1s}]
  - workload: Deployment/shop/db
    requests: {cpuTime: {distribution: exponential, mean: 5ms}, concurrency: 8}
traffic:
  - {service: shop/web, load: {pattern: sine, meanRps: 40, amplitudeRps: 15, period: 20m}, timeout: 2s}
objectives:
  - {service: shop/web, latency: {p95: 300ms}, availability: 99.9}
";

/// Changes that do nothing to the services: pods of another workload, another label, other names of the nodes.
fn harmless(number: u64) -> ResolvedScenario {
    let batch = format!(
        "{MANIFESTS}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: batch-{number}, namespace: shop, labels: {{change: '{number}'}}}}
spec:
  replicas: {}
  selector: {{matchLabels: {{app: batch}}}}
  template:
    metadata: {{labels: {{app: batch}}}}
    spec: {{containers: [{{name: batch, image: batch:{number}, resources: {{requests: {{cpu: 100m}}}}}}]}}
",
        number % 7 + 1
    );
    let labelled = MANIFESTS.replace("labels: {app: web}", "labels: {app: web, change: 'a'}");
    let renamed = SCENARIO.replace("name: a,", &format!("name: pool-{number},"));
    let (scenario, manifests) = match number % 3 {
        0 => (SCENARIO, batch),
        1 => (SCENARIO, labelled),
        _ => (&*renamed, MANIFESTS.to_owned()),
    };
    resolved(scenario, &manifests, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn measured(scenario: &ResolvedScenario, first_seed: u64) -> Measurement {
    let seeds: Vec<u64> = (first_seed..first_seed + SEEDS).collect();
    let reports = run_all(std::slice::from_ref(scenario), &seeds, || {});
    Measurement::of("", &reports.unwrap_or_else(|error| panic!("{error}"))[0])
}

#[expect(clippy::print_stdout, reason = "says which figure made the gate fail")]
fn fails(baseline: &Measurement, candidate: &Measurement) -> bool {
    let comparison = Comparison::new(baseline, candidate, TOLERANCE, &Filter::default());
    assert!(comparison.figures.iter().filter(|one| one.is_gated).count() >= 6);
    for worse in comparison.gated(Verdict::Worse) {
        println!(
            "{} {}: {:?} to {:?}",
            worse.name.subject, worse.name.figure, worse.baseline_values, worse.candidate_values
        );
    }
    comparison.gated(Verdict::Worse).next().is_some()
}

/// How many comparisons are made: few of them with every run of the tests.
#[expect(clippy::disallowed_methods, reason = "a longer measurement is asked for by hand")]
fn comparisons() -> u64 {
    let asked = std::env::var("GATE_COMPARISONS").ok();
    asked.map_or(8, |asked| asked.parse().expect("a number"))
}

#[test]
fn harmless_changes_hardly_ever_fail_the_gate() {
    let same = resolved(SCENARIO, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    let all = comparisons();
    // Half of the candidates have the baseline's random numbers as far as they go, the others have their own.
    let failed = (0..all).filter(|number| {
        let first = 1 + number * 2 * SEEDS;
        let candidate = if number % 2 == 0 {
            measured(&harmless(number / 2), first)
        } else {
            let mut other = measured(&same, first + SEEDS);
            other.seeds = (first..first + SEEDS).collect();
            other
        };
        fails(&measured(&same, first), &candidate)
    });
    let failed = failed.count() as u64;
    println!("{failed} of {all} harmless changes failed the gate");
    // One in a hundred is promised: eight have more than one with a probability of 0.003.
    assert!(failed <= 1 + all / 50, "{failed} of {all}");
}

#[test]
fn a_service_that_is_a_tenth_slower_fails_the_gate() {
    let same = resolved(SCENARIO, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    let slower = SCENARIO.replace("mean: 20ms", "mean: 22ms");
    let slower = resolved(&slower, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"));
    let all = comparisons() / 2;
    let found = (0..all).filter(|number| {
        let first = 1 + number * SEEDS;
        fails(&measured(&same, first), &measured(&slower, first))
    });
    let found = found.count() as u64;
    println!("{found} of {all} slower services failed the gate");
    assert!(found * 100 >= all * 95, "{found} of {all}");
}
