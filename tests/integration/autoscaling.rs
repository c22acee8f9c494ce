//! Autoscalers in whole runs: what they read of the traffic, and what becomes of it.

mod keda;

use crate::in_memory::{self, Run, world};
use wavetank::cluster::ObjectReference;
use wavetank::engine::{SimDuration, SimTime};
use wavetank::sim::{Simulation, World};

/// A Deployment, its Service, and what follows.
fn shop(replicas: i32, autoscaler: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: example.com/web:v1
          ports: [{{containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 2}}
          resources: {{requests: {{cpu: 500m, memory: 128Mi}}, limits: {{cpu: 1, nvidia.com/gpu: 1}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
{autoscaler}"
    )
}

fn hpa(spec: &str) -> String {
    format!(
        "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: shop}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
{spec}"
    )
}

/// Traffic to `shop/web`, and what follows.
fn scenario(requests: &str, load: &str, rest: &str) -> String {
    format!(
        "\
apiVersion: wavetank/v1
kind: Scenario
name: shop
duration: 40m
manifests: [manifests.yaml]
cluster:
  nodePools: [{{name: general, count: 12, capacity: {{cpu: 8, memory: 32Gi, nvidia.com/gpu: 8}}}}]
workloads:
  - workload: Deployment/shop/web
    app: {{start: 1s}}
    requests: {requests}
traffic: [{{service: shop/web, load: {load}, timeout: 60s}}]
{rest}"
    )
}

/// A small model on a small GPU: some hundred tokens a second for each pod.
const SMALL_MODEL: &str = "{llm: {model: Llama-3.1-8B, gpu: L4, kvCacheTokens: 20000, maxModelLen: 4096, \
                           promptTokens: {mean: 400}, outputTokens: {mean: 200}}}";

fn measures(name: &str, measure: &str) -> String {
    format!("metrics: {{custom: [{{name: {name}, measure: {measure}, service: shop/web}}]}}\n")
}

fn pods_metric(name: &str, average: &str) -> String {
    hpa(&format!(
        "  minReplicas: 1
  maxReplicas: 8
  metrics:
    - type: Pods
      pods: {{metric: {{name: {name}}}, target: {{type: AverageValue, averageValue: {average}}}}}
"
    ))
}

#[test]
fn an_hpa_on_the_kv_cache_gives_language_models_the_pods_that_their_requests_fill() {
    let scenario = scenario(
        SMALL_MODEL,
        "{pattern: ramp, fromRps: 0.2, toRps: 4, at: 10m, over: 1m}",
        &measures("vllm:kv_cache_usage_perc", "kvCacheUsage"),
    );
    let mut run = Run::new(&scenario, &shop(1, &pods_metric("vllm:kv_cache_usage_perc", "500m")));
    assert_eq!(run.until(600).replicas("web"), 1);
    let told = run.explain("hpa/shop/web");
    assert!(told.contains("pods metric vllm:kv_cache_usage_perc, target 0.5"), "{told}");
    let grown = run.until(2_400).replicas("web");
    assert!((2..=8).contains(&grown), "{grown} replicas: {}", run.explain("hpa/shop/web"));
}

#[test]
fn an_hpa_on_tokens_a_second_holds_each_pod_near_its_target() {
    // 2 requests a second with 200 tokens each: 400 tokens a second, and 100 for each pod.
    let scenario = scenario(
        SMALL_MODEL,
        "{pattern: constant, rps: 2}",
        &measures("generation_tokens_per_second", "tokensPerSecond"),
    );
    let manifests = shop(1, &pods_metric("generation_tokens_per_second", "100"));
    let mut run = Run::new(&scenario, &manifests);
    let replicas = run.until(2_400).replicas("web");
    assert!((4..=5).contains(&replicas), "{}", run.explain("hpa/shop/web"));
}

#[test]
fn gpu_utilization_of_a_service_is_the_mean_of_its_pods_in_percent() {
    let scenario = scenario(
        SMALL_MODEL,
        "{pattern: constant, rps: 0.5}",
        &measures("DCGM_FI_DEV_GPU_UTIL", "gpuUtilization"),
    );
    let external = hpa("  minReplicas: 1
  maxReplicas: 8
  metrics:
    - type: External
      external: {metric: {name: DCGM_FI_DEV_GPU_UTIL}, target: {type: Value, value: 60}}
");
    let mut run = Run::new(&scenario, &shop(4, &external));
    run.until(600);
    let told = run.explain("hpa/shop/web");
    let current: f64 = told
        .split("ratio = ")
        .nth(1)
        .and_then(|rest| rest.split(" / ").next()?.parse().ok())
        .unwrap_or_else(|| panic!("{told}"));
    // A request takes some ten seconds of one of the pods, alone or with others.
    assert!((20.0..=100.0).contains(&current), "{told}");
}

#[test]
fn a_measure_of_language_models_without_one_is_a_mistake_of_the_scenario() {
    let scenario = scenario(
        "{concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}",
        "{pattern: constant, rps: 2}",
        &measures("cache", "kvCacheUsage"),
    );
    let manifests = shop(1, &pods_metric("cache", "500m"));
    let resolved = in_memory::resolved(&scenario, &manifests, &[]).expect("it reads");
    let problems = wavetank::sim::Blueprint::new(&resolved).expect_err("a mistake").to_string();
    assert!(problems.contains("metrics.custom[0].measure"), "{problems}");
    assert!(problems.contains("no workload serves one"), "{problems}");
}

/// What an HPA thinks at every sync of a run, and the fingerprint of the run.
fn decisions(world: World, repeats_quiet_syncs: bool) -> (Vec<String>, u64) {
    let mut world = world;
    world.controllers.hpa.repeats_quiet_syncs = repeats_quiet_syncs;
    let hpa: ObjectReference = "hpa/shop/web".parse().expect("a reference");
    let (mut simulation, end) = (Simulation::new(world.clone()), SimTime::ZERO + world.duration);
    let mut told = Vec::new();
    while simulation.now() < end {
        simulation.run_until(simulation.now() + SimDuration::from_secs(5));
        let now = simulation.explain(&hpa).unwrap_or_default();
        if told.last() != Some(&now) {
            told.push(now);
        }
    }
    (told, simulation.digest())
}

#[test]
fn a_quiet_sync_that_is_not_worked_out_anew_is_what_it_would_have_been() {
    let cpu = "  minReplicas: 2
  maxReplicas: 12
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
";
    let memory = "  maxReplicas: 9
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
    - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 100Mi}}}
";
    let windows = "  behavior:
    scaleUp: {stabilizationWindowSeconds: 45, policies: [{type: Pods, value: 1, periodSeconds: 60}]}
    scaleDown: {stabilizationWindowSeconds: 120, policies: [{type: Percent, value: 20, periodSeconds: 90}]}
";
    let events = "timeline:
  - {at: 6m, killNode: general-1}
  - {at: 9m, scale: {workload: Deployment/shop/web, replicas: 7}}
  - {at: 12m, recoverNode: general-1}
  - {at: 14m, metricsApiDown: resource}
  - {at: 15m, metricsApiUp: resource}
  - {at: 17m, restartRollout: Deployment/shop/web}
  - {at: 22m, failReadiness: {workload: Deployment/shop/web, count: 2, for: 90s}}
  - {at: 26m, pauseScrapes: metricsServer}
  - {at: 28m, resumeScrapes: metricsServer}
  - {at: 30m, scrapesFail: general-2}
  - {at: 32m, deletePod: {workload: Deployment/shop/web, count: 2}}
metrics: {resolution: 60s}
";
    let requests = "{concurrency: 8, queue: 100, cpuTime: {distribution: exponential, mean: 20ms}}";
    for load in [
        "{pattern: constant, rps: 60}, arrivals: fluid",
        "{pattern: constant, rps: 60}",
        "{pattern: sine, meanRps: 60, amplitudeRps: 50, period: 8m}",
    ] {
        for spec in [cpu.to_owned(), memory.to_owned(), format!("{cpu}{windows}")] {
            let scenario = scenario(requests, load, events);
            let world = world(&scenario, &shop(3, &hpa(&spec)), &[]);
            let (quick, plain) = (decisions(world.clone(), true), decisions(world, false));
            assert_eq!(quick.1, plain.1, "{load} {spec}");
            for (quick, plain) in quick.0.iter().zip(&plain.0) {
                assert_eq!(quick, plain, "{load} {spec}");
            }
            assert_eq!(quick.0.len(), plain.0.len());
            assert!(quick.0.len() > 140, "a decision every 15 s");
        }
    }
}

const REQUESTS: &str =
    "{concurrency: 8, queue: 100, cpuTime: {distribution: exponential, mean: 20ms}}";
const QUIET: &str = "{pattern: constant, rps: 5}";

#[test]
fn a_vpa_raises_what_is_killed_for_its_memory() {
    let scenario = scenario(REQUESTS, QUIET, "").replace(
        "    app: {start: 1s}\n",
        "    app: {start: 1s}\n    memory: 100Mi\n    memoryLeakPerHour: 4Gi\n",
    );
    let vpa = "\
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, updatePolicy: {updateMode: 'Off'}}
";
    let manifests = shop(3, vpa).replace("limits: {cpu: 1, ", "limits: {cpu: 1, memory: 400Mi, ");
    let mut run = Run::new(&scenario, &manifests);
    run.until(2_390);
    let told = run.explain("vpa/shop/web");
    assert!(told.contains("OOM-killed"), "{told}");
    // 128Mi are requested; at 400Mi the kernel kills. The peak in use is what the estimate starts from.
    let memory: f64 = told
        .split("memory ")
        .nth(1)
        .and_then(|rest| rest.split(" MiB").next()?.parse().ok())
        .unwrap_or_else(|| panic!("{told}"));
    assert!(memory > 400.0, "{told}");
}

#[test]
fn an_hpa_scales_to_zero_and_back_where_the_feature_gate_allows_it() {
    let external = hpa("  minReplicas: 0
  maxReplicas: 8
  metrics:
    - type: External
      external: {metric: {name: rate}, target: {type: AverageValue, averageValue: 10}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
");
    let metrics = measures("rate", "requestsPerSecond");
    let load = "{pattern: step, rps: 0, steps: [{at: 15m, rps: 30}, {at: 25m, rps: 0}]}";
    let gate = "controllerManager:
  horizontalPodAutoscaler: {featureGates: {HPAScaleToZero: true}}
";
    let off = scenario(REQUESTS, load, &metrics);
    let resolved = in_memory::resolved(&off, &shop(2, &external), &[]).expect("it reads");
    let problems = wavetank::sim::Blueprint::new(&resolved).expect_err("the gate").to_string();
    assert!(problems.contains("spec.minReplicas: Invalid value: 0"), "{problems}");

    let on = scenario(REQUESTS, load, &format!("{metrics}{gate}"));
    let mut run = Run::new(&on, &shop(2, &external));
    assert_eq!(run.until(890).replicas("web"), 0, "{}", run.explain("hpa/shop/web"));
    assert!(run.explain("hpa/shop/web").contains("condition ScaledToZero True"));
    assert!(run.until(1_400).replicas("web") >= 3, "{}", run.explain("hpa/shop/web"));
    assert_eq!(run.until(2_300).replicas("web"), 0);
}

#[test]
fn older_versions_of_an_hpa_decide_as_the_current_one() {
    let of = |version: &str, spec: &str| {
        format!(
            "\
apiVersion: autoscaling/{version}
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: shop}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  maxReplicas: 9
{spec}"
        )
    };
    let metric = "  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 40}}}]\n";
    let scenario = scenario(REQUESTS, "{pattern: constant, rps: 60}", "");
    let replicas = |autoscaler: &str| {
        let mut run = Run::new(&scenario, &shop(2, autoscaler));
        let replicas = run.until(900).replicas("web");
        (replicas, run.explain("hpa/shop/web"))
    };
    let current = replicas(&of("v2", metric));
    assert!(current.0 > 2, "{}", current.1);
    assert_eq!(replicas(&of("v2beta2", metric)), current);
    let beta1 =
        "  metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 40}}]\n";
    assert_eq!(replicas(&of("v2beta1", beta1)), current);
    assert_eq!(replicas(&of("v1", "  targetCPUUtilizationPercentage: 40\n")), current);
}

/// When in their periods the HPA decided and metrics-server scraped, and what came of it.
fn phases_of_a_run(settings: &str, seed: u64) -> (SimTime, SimTime, u64) {
    let cpu = hpa(
        "  maxReplicas: 9\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 40}}}]\n",
    );
    let load = "{pattern: constant, rps: 60}";
    let text = scenario(REQUESTS, load, &format!("seed: {seed}\n{settings}"));
    let mut run = Run::new(&text, &shop(2, &cpu));
    run.until(600);
    let hpa: ObjectReference = "hpa/shop/web".parse().expect("a reference");
    // Its watch brings an HPA to the controller 10 ms later.
    let decided = run.0.explain_as_row(&hpa).expect("a decision").at.floor_to_second();
    let view = run.0.view();
    let sample = view.pods().iter().find_map(|(pod, _)| view.pod_metrics().get(pod));
    (decided, sample.expect("a sample").timestamp, run.0.digest())
}

#[test]
fn phases_of_control_loops_are_as_the_scenario_sets_them_or_drawn_with_the_seed() {
    let settings = |sync: &str, scrape: &str| {
        format!(
            "controllerManager: {{horizontalPodAutoscaler: {{syncPhase: {sync}}}}}\n\
             metrics: {{firstScrape: {scrape}, housekeepingInterval: 0s, scrapeTime: 0s}}\n"
        )
    };
    let at = SimTime::from_secs;
    let (decided, scraped, _) = phases_of_a_run(&settings("4s", "11s"), 1);
    assert_eq!((decided, scraped), (at(600 - 15 + 4), at(600 - 15 + 11)));
    let defaults = "metrics: {housekeepingInterval: 0s, scrapeTime: 0s}\n";
    assert_eq!(phases_of_a_run(defaults, 1), phases_of_a_run(&settings("0s", "5s"), 1));

    let seeded = |seed| phases_of_a_run(&settings("seeded", "seeded"), seed);
    let first = seeded(1);
    assert_eq!(first, seeded(1), "the seed decides");
    let runs: Vec<_> = (1..5).map(seeded).collect();
    let differ = |of: fn(&(SimTime, SimTime, u64)) -> SimTime| {
        runs[1..].iter().any(|run| of(run) != of(&runs[0]))
    };
    assert!(differ(|run| run.0) && differ(|run| run.1), "{runs:?}");
    // That one loop is drawn moves no other.
    assert_eq!(phases_of_a_run(&settings("seeded", "5s"), 1).0, first.0);
    assert_eq!(phases_of_a_run(&settings("0s", "seeded"), 1).1, first.1);
}

#[test]
fn a_pod_that_does_not_answer_yet_has_no_value_of_a_custom_metric() {
    let conc = measures("conc", "concurrency");
    let scenario =
        scenario("{concurrency: 20, waitTime: 1s}", "{pattern: constant, rps: 15}", &conc)
            .replace("app: {start: 1s}", "app: {start: 1s, warmUp: 4m}");
    let mut run = Run::new(&scenario, &shop(6, &pods_metric("conc", "5")));
    // Nothing is known of any of the six, and so nothing is done.
    let told = run.until(120).explain("hpa/shop/web");
    assert!(told.contains("no metrics returned from custom metrics API"), "{told}");
    assert_eq!(run.replicas("web"), 6);
    // Then there are about fifteen requests in flight, at five a pod.
    let shrunk = run.until(1_200).replicas("web");
    assert!((3..=5).contains(&shrunk), "{}", run.explain("hpa/shop/web"));
}
