//! Every recorded decision of the real Karpenter is reproduced.

use std::fs::File;
use std::io::BufReader;

use serde_json::json;
use wavetank::conform::{ConformReport, karpenter};

#[expect(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn report(name: &str) -> ConformReport {
    let path = format!("{}/tests/golden/karpenter/{name}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let file = File::open(path).expect("the golden file is part of the repository");
    ConformReport::new(karpenter::replay(BufReader::new(file)).expect("it is well-formed"))
}

#[test]
fn the_recorded_scheduling_passes_are_reproduced() {
    let report = report("provisioning");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 52);
}

#[test]
fn the_recorded_disruption_decisions_are_reproduced() {
    let report = report("disruption");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 32);
}

#[test]
fn the_recorded_timelines_are_reproduced() {
    let report = report("sequence");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 11);
}

/// A case without pods, with one field replaced.
fn case(field: &str, value: serde_json::Value) -> String {
    let mut case = json!({
        "id": "one", "layer": "provisioning",
        "nodepools": [{ "name": "p", "spec": { "template": { "spec": {} } } }],
        "expected": { "outcomes": [] },
    });
    case[field] = value;
    case.to_string()
}

#[test]
fn what_is_wrong_with_a_case_is_told_with_line_and_field() {
    let pool = |spec: serde_json::Value| json!([{ "name": "p", "spec": spec }]);
    let node = |field: &str, value: &str| {
        let mut node = json!({
            "name": "n", "instance_type": "m6i.large", "zone": "z", "capacity_type": "spot",
            "state": "initialized",
        });
        node[field] = json!(value);
        json!([node])
    };
    for (line, expected) in [
        (case("nodes", node("state", "gone")), "line 1: nodes[0].state: unknown variant"),
        (case("nodes", node("nodepool", "q")), "line 1: case one: nodes[0].nodepool: "),
        (case("nodes", node("instance_type", "x")), "line 1: case one: nodes[0].instance_type: "),
        (case("instance_types", json!(["x"])), "line 1: case one: instance_types: "),
        (case("options", json!({"max_types": 1})), "line 1: options.max_types: unknown field"),
        (
            case("pods", json!([{"name": "a", "uid": "u", "node": "n"}])),
            "line 1: case one: pods[0].node: ",
        ),
        (
            case("nodepools", pool(json!({"template": {"spec": {"expireAfter": "2d"}}}))),
            "line 1: case one: nodepools[0].spec.template.spec.expireAfter: ",
        ),
        (
            case("nodepools", pool(json!({"template": {"spec": {}}, "limits": {"cpu": "x"}}))),
            "line 1: case one: nodepools[0].spec.limits.cpu: ",
        ),
    ] {
        let told = karpenter::replay(line.as_bytes()).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
}
