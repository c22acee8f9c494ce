//! Pods that the selector of an autoscaled workload matches though they are another's.

use crate::in_memory::{Run, world};
use wavetank::cluster::ObjectReference;
use wavetank::engine::{SimDuration, SimTime};
use wavetank::sim::Simulation;

/// `web` burns 80 % of what two pods request.
const HEAD: &str = "\
apiVersion: wavetank/v1
kind: Scenario
name: labels
duration: 30m
manifests: [manifests.yaml]
cluster:
  nodePools: [{name: general, count: 4, capacity: {cpu: 8, memory: 32Gi}}]
";

const WEB: &str = "workloads:
  - {workload: Deployment/web, cpuLoad: [{at: 0s, cpu: 1600m}]}
";

/// A Deployment of pods that request a core each.
fn deployment(name: &str, replicas: u32, labels: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{{labels}}}}}
  template: {{metadata: {{labels: {{{labels}}}}}, {POD}}}
---
"
    )
}

const POD: &str =
    "spec: {containers: [{name: app, image: 'app:1', resources: {requests: {cpu: 1}}}]}";

fn hpa(name: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: 1
  maxReplicas: 10
  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}]
---
"
    )
}

fn job(labels: &str) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: migrate}}
spec: {{template: {{metadata: {{labels: {{{labels}}}}}, spec: {{restartPolicy: Never, containers: \
         [{{name: app, image: 'app:1', resources: {{requests: {{cpu: 1}}}}}}]}}}}}}
---
"
    )
}

#[test]
fn an_hpa_counts_the_pods_of_another_deployment_that_its_selector_matches() {
    let manifests = |canary: &str| {
        let web = deployment("web", 2, "app: web");
        format!("{web}{}{}", deployment("canary", 2, canary), hpa("web"))
    };
    let scenario = format!(
        "{HEAD}{WEB}  - {{workload: Deployment/canary, cpuLoad: [{{at: 0s, cpu: 200m}}]}}\n"
    );
    // 160 % / 2 pods = 80 % against 60 %: three pods.
    let mut run = Run::new(&scenario, &manifests("app: canary"));
    assert_eq!(run.until(600).replicas("web"), 3);
    let told = run.explain("hpa/default/web");
    assert!(told.contains("3 counted"), "{told}");
    // With the canary's, (160 % + 20 %) / 4 pods = 45 %, and 4 * 45 / 60 = 3; then 180 % / 5 = 36 %, and
    // 5 * 36 / 60 = 3.
    let mut run = Run::new(&scenario, &manifests("app: web, track: canary"));
    assert_eq!((run.until(600).replicas("web"), run.replicas("canary")), (3, 2));
    let told = run.explain("hpa/default/web");
    assert!(told.contains("5 counted") && told.contains("= 36%"), "{told}");
}

#[test]
fn a_finished_pod_of_a_job_with_the_same_labels_holds_an_hpa_back() {
    let scenario = format!("{HEAD}{WEB}  - {{workload: Job/migrate, app: {{runsFor: 20s}}}}\n");
    let manifests =
        |labels| format!("{}{}{}", deployment("web", 2, "app: web"), hpa("web"), job(labels));
    let mut apart = Run::new(&scenario, &manifests("app: migrate"));
    assert_eq!(apart.until(600).replicas("web"), 3);
    // Its pod has no sample, and so counts as using nothing: 160 % / 3 pods = 53 %, below the target.
    let mut alike = Run::new(&scenario, &manifests("app: web"));
    assert_eq!(alike.until(600).replicas("web"), 2);
    let told = alike.explain("hpa/default/web");
    assert!(told.contains("migrate-"), "{told}");
}

#[test]
fn hpas_whose_selectors_match_the_same_pods_refuse_to_scale() {
    let (web, canary) =
        (deployment("web", 2, "app: web"), deployment("canary", 1, "app: web, track: canary"));
    let manifests = format!("{web}{canary}{}{}", hpa("canary"), hpa("web"));
    let mut run = Run::new(&format!("{HEAD}{WEB}"), &manifests);
    assert_eq!((run.until(900).replicas("web"), run.replicas("canary")), (2, 1));
    for name in ["web", "canary"] {
        let told = run.explain(&format!("hpa/default/{name}"));
        assert!(
            told.contains("controlled by multiple HPAs: [{canary default} {web default}]"),
            "{told}"
        );
    }
    assert!(run.events("AmbiguousSelector").len() > 50, "at every sync of both");
}

/// What an HPA thinks at every sync of a run, and the fingerprint of the run.
fn decisions(scenario: &str, manifests: &str, repeats_quiet_syncs: bool) -> (Vec<String>, u64) {
    let mut world = world(scenario, manifests, &[]);
    world.controllers.hpa.repeats_quiet_syncs = repeats_quiet_syncs;
    let hpa: ObjectReference = "hpa/default/web".parse().expect("a reference");
    let end = SimTime::ZERO + world.duration;
    let (mut simulation, mut told) = (Simulation::new(world), Vec::new());
    while simulation.now() < end {
        simulation.run_until(simulation.now() + SimDuration::from_secs(5));
        told.extend(simulation.explain(&hpa));
    }
    (told, simulation.digest())
}

#[test]
fn an_hpa_that_sleeps_is_woken_by_pods_of_others_that_it_counts() {
    let scenario = format!(
        "{HEAD}metrics: {{resolution: 60s}}
timeline:
  - {{at: 740s, scale: {{workload: Deployment/canary, replicas: 3}}}}
  - {{at: 980s, scale: {{workload: Deployment/canary, replicas: 0}}}}
{WEB}  - {{workload: CronJob/tidy, app: {{runsFor: 50s}}}}\n"
    );
    let cron_job = job("app: web").replace("kind: Job", "kind: CronJob").replace(
        "metadata: {name: migrate}\nspec: {template",
        "metadata: {name: tidy}\nspec: {schedule: '*/25 * * * *', jobTemplate: {spec: {template",
    );
    let cron_job = cron_job.replace("}\n---", "}}}\n---");
    let canary = deployment("canary", 0, "app: web, track: canary");
    let manifests = format!("{}{canary}{cron_job}{}", deployment("web", 2, "app: web"), hpa("web"));
    let quick = decisions(&scenario, &manifests, true);
    let plain = decisions(&scenario, &manifests, false);
    assert!(plain.0.iter().any(|told| told.contains("tidy-")));
    assert!(plain.0.iter().any(|told| told.contains("6 counted")), "{:?}", plain.0.last());
    assert_eq!(quick, plain);
}
