//! Pod Security admission in whole runs: pods that break the standard which their namespace enforces are refused.

use crate::in_memory::{Run, resolved};
use wavetank::sim::Blueprint;

const SCENARIO: &str = "apiVersion: wavetank/v1
kind: Scenario
name: security
duration: 10m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: general, instanceType: aws/m5.large, count: 2}]}
";

const CONFINED: &str = "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: a, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]";
const PLAIN: &str = "containers: [{name: a, image: a}]";
const REFUSED: &str = "violates PodSecurity \"restricted:v1.30\": allowPrivilegeEscalation != false (container \"a\" must \
     set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"a\" must set \
     securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"a\" must set \
     securityContext.runAsNonRoot=true), seccompProfile (pod or container \"a\" must set \
     securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

fn namespace(labels: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: shop, labels: {{{labels}}}}}}}\n")
}

/// A workload of one pod.
fn workload(kind: &str, name: &str, pod: &str) -> String {
    let template = format!(
        "selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{{pod}}}}}"
    );
    format!(
        "---\n{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: {name}, namespace: shop}}, spec: {{{template}}}}}\n"
    )
}

const ENFORCED: &str = "pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.30";

fn pods(run: &Run) -> Vec<String> {
    run.0.view().pods().values().map(|pod| pod.name().to_string()).collect()
}

#[test]
fn controllers_record_that_their_pods_are_refused() {
    let manifests = [
        namespace(ENFORCED),
        workload("Deployment", "good", CONFINED),
        workload("Deployment", "bad", PLAIN),
        workload("DaemonSet", "agent", PLAIN),
        workload("StatefulSet", "db", PLAIN),
        format!("---\n{{apiVersion: v1, kind: Pod, metadata: {{name: bare, namespace: shop}}, spec: {{{PLAIN}}}}}\n"),
        "---\n{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: shop}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}\n".to_owned(),
    ];
    let mut run = Run::new(SCENARIO, &manifests.concat());
    run.until(120);
    let pods = pods(&run);
    assert!(pods.len() == 1 && pods[0].starts_with("good-"), "{pods:?}");
    let failures = run.events("FailedCreate");
    for begin in ["bad-", "agent-", "once-"] {
        let own = failures
            .iter()
            .find(|(_, message)| message.starts_with(&format!("Error creating: pods \"{begin}")));
        let (_, message) = own.unwrap_or_else(|| panic!("{begin}: {failures:?}"));
        assert!(message.ends_with(&format!("is forbidden: {REFUSED}")), "{message}");
    }
    assert!(
        failures.iter().any(|(_, message)| message.contains("create Pod db-0 in StatefulSet db failed error: pods \"db-0\" is forbidden: violates PodSecurity")),
        "{failures:?}"
    );
}

#[test]
fn a_label_that_comes_later_holds_for_new_pods_alone() {
    let scenario = format!(
        "{SCENARIO}timeline:\n  - {{at: 2m, patch: {{workload: Namespace/shop, patch: {{metadata: {{labels: {{pod-security.kubernetes.io/enforce: baseline}}}}}}}}}}\n  - {{at: 3m, scale: {{workload: Deployment/shop/web, replicas: 3}}}}\n"
    );
    let host = "hostNetwork: true, containers: [{name: a, image: a}]";
    let manifests = namespace("") + &workload("Deployment", "web", host);
    let mut run = Run::new(&scenario, &manifests);
    run.until(300);
    assert_eq!(pods(&run).len(), 1);
    let failures = run.events("FailedCreate");
    assert!(
        failures[0].1.ends_with(
            "is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
        ),
        "{failures:?}"
    );
    assert!(failures[0].0 >= 180, "{failures:?}");
}

#[test]
fn workloads_whose_pods_break_a_standard_are_told_before_the_run() {
    let told = |labels: &str| {
        let manifests = namespace(labels) + &workload("Deployment", "bad", PLAIN);
        let resolved = resolved(SCENARIO, &manifests, &[]).expect("sound");
        Blueprint::new(&resolved).expect("sound").notes().to_string()
    };
    let enforced = told(ENFORCED);
    assert!(
        enforced.contains("would violate PodSecurity \"restricted:v1.30\": allow"),
        "{enforced}"
    );
    assert!(enforced.contains("the API server refuses its pods"), "{enforced}");
    let warned = told("pod-security.kubernetes.io/warn: restricted");
    assert!(warned.contains("would violate PodSecurity \"restricted:latest\""), "{warned}");
    assert!(warned.contains("the API server warns the client"), "{warned}");
    let audited = told("pod-security.kubernetes.io/audit: restricted");
    assert!(audited.contains("recorded in the audit log"), "{audited}");
    assert!(!told("pod-security.kubernetes.io/enforce: baseline").contains("PodSecurity"));
}
