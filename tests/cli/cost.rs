//! The bill as people and programs meet it: sums, OpenCost, waterfall, OpenSLO, a user's prices.
#![expect(clippy::disallowed_methods, reason = "tests write files")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const MANIFESTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, team: store}}
    spec: {containers: [{name: web, image: web:1, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

const SCENARIO: &str = "
apiVersion: wavetank/v1
kind: Scenario
name: cost
duration: 10m
warmUp: 1m
manifests: [web.yaml]
cluster: {nodePools: [{name: a, instanceType: aws/m5.large, count: 2}]}
workloads: [{workload: Deployment/shop/web, requests: {cpuTime: 5ms, concurrency: 4}}]
traffic: [{service: shop/web, load: {pattern: constant, rps: 5}, timeout: 1s}]
openSlo: [slo.yaml]
bill: {priceList: prices.csv}
";

const SLO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: {name: web}
spec:
  service: web
  indicator: {metadata: {name: good}, spec: {ratioMetric: {good: {}, total: {}}}}
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
";

fn wavetank(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let output = command.current_dir(folder).args(arguments).output().expect("it runs");
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).expect("UTF-8"));
    (out, err)
}

fn folder(prices: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("web.yaml", MANIFESTS),
        ("scenario.yaml", SCENARIO),
        ("slo.yaml", SLO),
        ("prices.csv", prices),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

const PRICES: &str = "type,region,price\nm5.large,us-east-1,0.12\n";

#[test]
fn opencosts_allocations_come_to_the_bill_of_the_nodes() {
    let folder = folder(PRICES);
    let (out, err) = wavetank(
        folder.path(),
        &["run", "scenario.yaml", "-o", "opencost", "--aggregate", "label:team"],
    );
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"));
    let set = answer["data"][0].as_object().expect("a set of allocations");
    assert_eq!(set.keys().map(String::as_str).collect::<Vec<_>>(), ["store", "__idle__"]);
    let total: f64 = set.values().filter_map(|one| one["totalCost"].as_f64()).sum();
    // Two machines at the list's price for ten minutes.
    assert!((total - 0.04).abs() < 1e-9, "{total}");
}

#[test]
fn explain_cost_fills_in_the_sums_of_a_workload() {
    let folder = folder(PRICES);
    let (out, err) = wavetank(folder.path(), &["explain", "cost/web", "scenario.yaml"]);
    assert!(
        out.starts_with("Deployment/shop/web pays $")
            || out.starts_with("Deployment shop/web pays $"),
        "{out}{err}"
    );
    let (_, err) = wavetank(folder.path(), &["explain", "cost/db", "scenario.yaml"]);
    assert!(err.contains("db had no share of any node"), "{err}");
}

#[test]
fn an_slo_of_a_file_is_an_objective() {
    let folder = folder(PRICES);
    let (out, err) = wavetank(folder.path(), &["check", "scenario.yaml"]);
    assert!(out.contains("availability") && out.contains(">= 99 %"), "{out}{err}");
}

#[test]
fn compare_tells_what_changes_the_bill() {
    let folder = folder(PRICES);
    let more = "cluster.nodePools[a].count=3";
    let arguments = ["compare", "scenario.yaml", "--set", more, "--seeds", "1", "-o", "json"];
    let (out, err) = wavetank(folder.path(), &arguments);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"));
    let fall = &answer["waterfall"];
    let steps = fall["steps"].as_array().expect("steps");
    assert_eq!(steps[0]["what"], "nodes: aws/m5.large, on-demand: hours");
    let usd = |value: &Value| value.as_f64().expect("dollars");
    let sum: f64 = steps.iter().map(|step| usd(&step["usd"])).sum();
    assert!((usd(&fall["from_usd"]) + sum - usd(&fall["to_usd"])).abs() < 1e-9, "{fall}");
}

#[test]
fn what_is_wrong_in_a_price_list_is_told_at_its_line() {
    let folder = folder("type,region,price\nm5.large,us-east-1,dear\n");
    let (_, err) = wavetank(folder.path(), &["run", "scenario.yaml"]);
    assert!(err.contains("prices.csv:2") && err.contains("is not a price"), "{err}");
}
