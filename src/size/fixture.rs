//! A small scenario for the tests of this crate.

use std::sync::Arc;

use manifest::Source;
use scenario::resolved::{ResolvedScenario, ScenarioFiles};
use scenario::{Override, ScenarioText};

const SCENARIO: &str = "\
apiVersion: wavetank/v1
kind: Scenario
name: shop
duration: 10m
manifests: [web.yaml]
cluster:
  nodePools:
    - {name: general, instanceType: aws/m5.large, count: 3, zones: [a, b]}
workloads:
  - workload: Deployment/shop/web
    requests: {concurrency: 4, cpuTime: {distribution: exponential, mean: 20ms}}
  - workload: Deployment/shop/api
    requests: {concurrency: 4, cpuTime: 5ms}
traffic:
  - {service: shop/web, load: {pattern: constant, rps: 100}}
timeline:
  - {at: 1m, scale: {workload: Deployment/shop/api, replicas: 3}}
objectives:
  - {service: shop/web, availability: 99}
";

const MANIFESTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: web, resources: {requests: {cpu: 400m}, limits: {cpu: 1}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: api}]}
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
  maxReplicas: 6
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 65}}}
";

/// The scenario with settings.
pub fn shop(settings: &[&str]) -> ResolvedScenario {
    let settings: Vec<Override> =
        settings.iter().map(|one| one.parse().expect("well-formed")).collect();
    let text = ScenarioText::parse(&Source::new("scenario.yaml", SCENARIO), &settings);
    let files = ScenarioFiles {
        manifests: vec![Source::new("web.yaml", MANIFESTS)],
        ..ScenarioFiles::default()
    };
    let in_manifests = settings.iter().filter(|one| one.object().is_some());
    ResolvedScenario {
        text: text.expect("a scenario"),
        manifest_settings: in_manifests.cloned().collect(),
        files: Arc::new(files),
    }
}
