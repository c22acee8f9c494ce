//! Every recorded loop of the real Cluster Autoscaler is reproduced, field by field.

use std::fs::File;
use std::io::BufReader;

use serde_json::json;
use wavetank::conform::{ConformReport, cluster_autoscaler};

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn the_recorded_loops_are_reproduced() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cluster-autoscaler/cases.jsonl.gz");
    let file = File::open(path).expect("the golden file is part of the repository");
    let cases = cluster_autoscaler::replay(BufReader::new(file)).expect("it is well-formed");
    let report = ConformReport::new(cases);
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 71);
}

/// A case without loops, with one field of its input replaced.
fn case(field: &str, value: serde_json::Value) -> String {
    let mut case = serde_json::json!({
        "id": "one", "family": "f", "loops": [],
        "input": {
            "scan_s": 10, "first_loop_s": 10, "flags": {},
            "groups": [{"id": "a", "max": 3, "size": 1, "template": {"cpu_m": 1000, "mem_mi": 1000}}],
        },
    });
    case["input"][field] = value;
    case.to_string()
}

#[test]
fn what_is_wrong_with_a_case_is_told_with_line_and_field() {
    let problem = |line: &str| cluster_autoscaler::replay(line.as_bytes()).unwrap_err().to_string();
    for (line, expected) in [
        (case("scan_s", json!("soon")), "line 1: input.scan_s: "),
        (
            case("flags", json!({"expander": "cheapest"})),
            "line 1: case one: input.flags.expander: ",
        ),
        (
            case("flags", json!({"scan-intervall": "1s"})),
            "line 1: case one: input.flags.scan-intervall: ",
        ),
        (case("gpu_total", json!(["a100"])), "line 1: case one: input.gpu_total[0]: "),
        (
            case("priority_config", json!("10: [\"(\"]")),
            "line 1: case one: input.priority_config: ",
        ),
        (
            case("pods", json!([{"name": "p", "node": "b-001"}])),
            "line 1: case one: input.pods[0].node: ",
        ),
        (
            case("pods", json!([{"name": "p", "cpu_m": -1}])),
            "line 1: case one: input.pods[0].cpu_m: -1",
        ),
        (
            case("pods", json!([{"name": "p", "count": 9_000_000_000_u64}])),
            "line 1: case one: input.pods: ",
        ),
        (
            case("groups", json!([{"id": "a", "max": -3, "template": {"cpu_m": 1, "mem_mi": 1}}])),
            "line 1: case one: input.groups[0].max: -3",
        ),
        (
            case("groups", json!([{"id": "a", "max": 3, "template": {"cpu_m": 1}}])),
            "line 1: input.groups[0].template: missing field `mem_mi`",
        ),
    ] {
        let told = problem(&line);
        assert!(told.starts_with(expected), "{told}");
    }
}
