//! Pods whose readiness waits for more than their containers, and containers that say themselves when they start again.

use crate::in_memory::{Run, resolved};
use wavetank::cluster::container_status::ContainerState;
use wavetank::cluster::pod::{Pod, PodCondition, PodPhase};
use wavetank::sim::Blueprint;

fn scenario(app: &str) -> String {
    format!(
        "apiVersion: wavetank/v1
kind: Scenario
name: readiness
duration: 30m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: general, instanceType: aws/m5.large, count: 1}}]}}
workloads: [{{workload: Deployment/shop/web, app: {{{app}}}, requests: {{cpuTime: 2ms}}}}]
traffic: [{{service: shop/web, load: {{pattern: constant, rps: 1}}}}]
"
    )
}

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      readinessGates: [{conditionType: target-health.elbv2.k8s.aws/web}]
      containers: [{name: a, image: a}]
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

fn pod(run: &Run) -> Pod {
    run.0.view().pods().values().next().expect("a pod").clone()
}

#[test]
fn a_pod_is_ready_when_its_conditions_are_set_and_not_before() {
    let mut run = Run::new(&scenario("readinessGates: 90s"), WEB);
    let mut containers = None;
    let mut ready = None;
    for second in 1..300 {
        run.until(second);
        let view = run.0.view();
        let Some(pod) = view.pods().values().next() else { continue };
        let of_containers = pod.conditions.containers_ready.is_some_and(PodCondition::is_true);
        containers = containers.or(of_containers.then_some(second));
        ready = ready.or(pod.is_ready().then_some(second));
    }
    let (containers, ready) = (containers.expect("they are"), ready.expect("it is"));
    assert!((89..=92).contains(&(ready - containers)), "{containers} {ready}");
}

#[test]
fn conditions_that_nobody_sets_keep_a_pod_from_being_ready_and_are_named_as_the_cause() {
    let mut run = Run::new(&scenario(""), WEB);
    run.until(600);
    assert!(pod(&run).conditions.containers_ready.is_some_and(PodCondition::is_true));
    assert!(!pod(&run).is_ready());
    let notes = |app: &str| {
        let resolved = resolved(&scenario(app), WEB, &[]).expect("sound");
        Blueprint::new(&resolved).expect("sound").notes().to_string()
    };
    let set = notes("readinessGates: 1s");
    let notes = notes("");
    assert!(
        notes.contains("no controller sets the condition target-health.elbv2.k8s.aws/web of the readinessGates of Deployment/shop/web"),
        "{notes}"
    );
    assert!(!set.contains("nobody sets"), "{set}");
}

/// A pod of two containers, and the scenario in which the first ends after a minute with this code.
fn two_containers(policy: &str, code: i32) -> Run {
    let manifests = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: two, namespace: shop}}, spec: {{restartPolicy: Never, initContainers: \
         [{{name: i, image: i}}], containers: [{{name: a, image: a{policy}}}, {{name: b, image: b}}]}}}}\n"
    );
    let scenario = format!(
        "apiVersion: wavetank/v1
kind: Scenario
name: restarts
duration: 30m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: general, instanceType: aws/m5.large, count: 1}}]}}
workloads: [{{workload: Pod/shop/two, app: {{runsFor: 60s, exitCode: {code}}}}}]
"
    );
    Run::new(&scenario, &manifests)
}

/// How often `a` and `b` were restarted after five minutes, and whether `a` has ended for good.
fn restarts(policy: &str, code: i32) -> (u32, u32, bool) {
    let mut run = two_containers(policy, code);
    run.until(300);
    let pod = pod(&run);
    let view = run.0.view();
    let [a, b] = pod.containers.split(&view.template_of(&pod).spec).1 else { panic!("two") };
    assert_eq!(pod.phase, PodPhase::Running);
    (a.restarts, b.restarts, matches!(a.state, ContainerState::Terminated(_)) && a.restarts == 0)
}

#[test]
fn a_container_starts_again_by_its_own_rules() {
    assert_eq!(restarts("", 1), (0, 0, true));
    let (own, other, _) = restarts(", restartPolicy: Always", 0);
    assert!(own >= 2 && other == 0, "{own} {other}");
    assert_eq!(restarts(", restartPolicy: OnFailure", 0), (0, 0, true));
    let rule = |action: &str, codes: &str| {
        format!(
            ", restartPolicy: Never, restartPolicyRules: [{{action: {action}, exitCodes: {{operator: In, values: {codes}}}}}]"
        )
    };
    let (own, other, _) = restarts(&rule("Restart", "[42]"), 42);
    assert!(own >= 2 && other == 0, "{own} {other}");
    assert_eq!(restarts(&rule("Restart", "[42]"), 1), (0, 0, true));
    let (own, other, _) = restarts(&rule("RestartAllContainers", "[42]"), 42);
    assert!(own >= 2 && own == other, "{own} {other}");
}
