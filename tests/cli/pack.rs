//! `wavetank pack`, and `wavetank explain` about pods, as a person meets them.
#![expect(clippy::disallowed_methods, reason = "tests write files")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const PACKING: &str = "apiVersion: wavetank/v1\nkind: Packing\nname: small\n\
    cluster:\n  nodePools: [{name: gpu, instanceType: aws/g5.12xlarge, count: 2}]\n\
    pods: [{trace: pods.csv}]\npolicies: [{policy: default}, {policy: most-allocated}]\ngrow: gpu\n";

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let output = command.current_dir(folder).args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Six pods of which one fits on each of two nodes.
fn folder(packing: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let pods = "cpu_milli,memory_mib\n".to_owned() + &"30000,1024\n".repeat(6);
    fs::write(folder.path().join("pods.csv"), pods).expect("writable");
    fs::write(folder.path().join("pack.yaml"), packing).expect("writable");
    folder
}

#[test]
fn a_packing_says_how_many_fit_and_what_all_of_them_would_need() {
    let folder = folder(PACKING);
    let arguments = ["pack", "pack.yaml", "-o", "json", "--charts", "out", "--placements", "p.csv"];
    let (code, out, error) = run(folder.path(), &arguments);
    assert_eq!((code, error.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    for policy in report["policies"].as_array().expect("two of them") {
        assert_eq!((policy["placed"].as_i64(), policy["refused"].as_i64()), (Some(2), Some(4)));
        assert_eq!(policy["nodes_needed"].as_i64(), Some(6));
        assert_eq!(policy["nodes_needed_usd_per_hour"].as_f64(), Some(34.032));
    }
    let placements = fs::read_to_string(folder.path().join("p.csv")).expect("written");
    assert_eq!(placements.lines().count(), 13);
    let chart = fs::read_to_string(folder.path().join("out/packing.svg")).expect("written");
    assert!(chart.contains("most-allocated"));
}

/// Two nodes; a StatefulSet, a DaemonSet that tolerates nothing, a Job and a CronJob.
const WORKLOADS: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: 'db:1', resources: {requests: {cpu: '1'}}}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: 'agent:1', resources: {requests: {cpu: '10'}}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: load}
spec:
  parallelism: 3
  completions: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: load, image: 'load:1', resources: {requests: {cpu: '1'}}}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: 0 3 * * *
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: 'main:1', resources: {requests: {cpu: '1'}}}]}
";

#[test]
fn of_every_kind_of_workload_the_pods_are_packed_and_daemons_follow_the_nodes() {
    let pods = "pods: [{manifests: k8s.yaml}, {trace: pods.csv}]";
    let folder = folder(&PACKING.replace("pods: [{trace: pods.csv}]", pods));
    fs::write(folder.path().join("k8s.yaml"), WORKLOADS).expect("writable");
    let arguments =
        ["pack", "pack.yaml", "--policy", "default", "-o", "json", "--placements", "p.csv"];
    let (code, out, error) = run(folder.path(), &arguments);
    assert_eq!((code, error.as_str()), (0, ""));
    let placements = fs::read_to_string(folder.path().join("p.csv")).expect("written");
    let placed: Vec<(&str, &str)> = placements
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split(',').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(_, node)| !node.is_empty())
        .collect();
    let names: Vec<&str> = placed.iter().map(|(name, _)| *name).collect();
    // The manifests' pods in their order, the daemons where their manifest stands; then those of the trace
    // for which there is room.
    assert_eq!(names[..7], ["db-0", "db-1", "agent", "agent", "load", "load", "nightly"]);
    assert_eq!(names.len(), 9);
    assert_ne!(placed[2].1, placed[3].1, "a node has one daemon");
    // With a daemon on each of them too, six nodes have room for the six large pods.
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["policies"][0]["nodes_needed"].as_i64(), Some(6));
}

#[test]
fn a_scenario_is_no_packing() {
    let folder = folder("apiVersion: wavetank/v1\nkind: Scenario\nname: x\nduration: 1h\n");
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let command = command.arg("pack").arg(folder.path().join("pack.yaml"));
    let output = command.assert().code(2).get_output().clone();
    let message = String::from_utf8_lossy(&output.stderr);
    let says = ":1: this is a Scenario, not a packing\n  help: `wavetank run` runs it\n";
    assert!(message.ends_with(says), "{message}");
}

#[test]
fn a_packing_is_validated_with_the_files_that_it_names() {
    let validate = |packing: &str, manifests: &str| {
        let folder = folder(packing);
        fs::write(folder.path().join("k8s.yaml"), manifests).expect("writable");
        let (code, out, error) = run(folder.path(), &["validate", "."]);
        assert_eq!(error, "");
        (code, out)
    };
    let pods = "pods: [{manifests: k8s.yaml}, {trace: pods.csv}]";
    let packing = PACKING.replace("pods: [{trace: pods.csv}]", pods);
    let (code, out) = validate(&packing, WORKLOADS);
    assert_eq!((code, out.as_str()), (0, "valid: 2 files, 0 errors, 0 warnings\n"));
    for (packing, manifests, says) in [
        (
            packing.replace("policy: default", "policy: worst-fit"),
            WORKLOADS.to_owned(),
            "pack.yaml:7: policies[0]: unknown policy",
        ),
        (packing.replace("pods.csv", "gone.csv"), WORKLOADS.to_owned(), "pack.yaml:6: pods[1]: "),
        (packing.replace("grow", "grew"), WORKLOADS.to_owned(), "pack.yaml:8: grew: unknown field"),
        (packing.clone(), WORKLOADS.replace("replicas: 2", "replicas: -2"), "k8s.yaml:5: "),
        (
            packing.replace("aws/g5.12xlarge", "aws/g5.13xlarge"),
            WORKLOADS.to_owned(),
            "pack.yaml:5: cluster.nodePools[0].instanceType: ",
        ),
    ] {
        let (code, out) = validate(&packing, &manifests);
        assert_eq!(code, 2, "{out}");
        assert!(out.contains(says), "{says}: {out}");
        assert!(out.contains("not valid: 2 files, 1 error, 0 warnings"), "{out}");
    }
}

#[test]
fn an_unknown_policy_is_told_at_its_line() {
    let folder = folder(&PACKING.replace("policy: default", "policy: worst-fit"));
    let (code, _, error) = run(folder.path(), &["pack", "pack.yaml"]);
    assert_eq!(code, 2);
    assert!(error.starts_with("error: pack.yaml:7: policies[0]: unknown policy"), "{error}");
}

#[test]
fn a_pod_is_explained_with_the_scores_that_placed_it_or_with_what_rejected_each_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scenario = "scenarios/gpu-pool/scenario.yaml";
    let (_, report, _) = run(root, &["run", scenario, "-o", "json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let log = report["log"].as_array().expect("a log");
    let pod_of = |reason: &str| {
        let entry = log.iter().find(|entry| entry["reason"] == reason).expect("it happened");
        entry["object"].as_str().unwrap_or_default().replace("Pod ", "pod/")
    };
    let explain = |pod: &str, at: &str| {
        let arguments = ["explain", scenario, pod, "--at", at, "-o", "json"];
        let (code, out, error) = run(root, &arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{pod}");
        serde_json::from_str::<Value>(&out).expect("JSON")
    };
    let placed = explain(&pod_of("Scheduled"), "10m");
    assert_eq!(placed["result"], "scheduled");
    assert_eq!(placed["feasible"][0]["node"], placed["node"]);
    let waiting = explain(&pod_of("FailedScheduling"), "25m");
    assert_eq!(waiting["result"], "unschedulable");
    assert_eq!(waiting["rejected"].as_array().map(Vec::len), Some(4));
    assert!(!waiting["preemption"]["failure"].is_null());
}
