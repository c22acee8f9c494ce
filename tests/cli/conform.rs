//! `wavetank conform` as a person or a pipeline meets it.
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use assert_cmd::Command;
use serde_json::Value;

const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hpa/tables.jsonl");

/// A row that was recorded wrongly: from 3 replicas, 6 is the limit.
const WRONG_ROW: &str = r#"{"table":"rate-limit-no-behavior","id":"wrong","currentReplicas":3,
"desiredReplicas":9,"legacyScaleUpLimitFactor":2,"maxReplicas":10,"minReplicas":1,
"expect":{"reason":"ScaleUpLimit","replicas":7}}"#;

fn conform(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    command.args(["conform", "hpa"]).args(arguments);
    command
}

#[test]
fn agreement_ends_with_0_and_a_line_per_case() {
    let output = conform(&[TABLES]).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 170);
    assert_eq!(text.lines().last(), Some("169 cases: 169 agreed, 0 disagreed"));
}

#[test]
fn what_is_no_recording_is_refused_with_its_form() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, "kind: Scenario\n").expect("writable");
    let output = conform(&[&file.to_string_lossy()]).assert().code(2).get_output().clone();
    let message = String::from_utf8_lossy(&output.stderr);
    let says = "line 1: not JSON: expected value at column 1; write one JSON object per line";
    assert!(message.contains(says), "{message}");
}

#[cfg(unix)]
#[test]
fn a_folder_stands_for_all_recordings_in_it() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hpa");
    let output = conform(&[golden]).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().last(), Some("702 cases: 702 agreed, 0 disagreed"));
    let empty = tempfile::tempdir().expect("a temporary folder");
    conform(&[&empty.path().to_string_lossy()]).assert().code(2);

    let runs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/end-to-end");
    let (all, one) = (tempfile::tempdir().expect("a folder"), "01-ramp-defaults");
    std::os::unix::fs::symlink(format!("{runs}/{one}"), all.path().join(one)).expect("linked");
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let folder = all.path().to_string_lossy();
    let output = command.args(["conform", "end-to-end", &folder]).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.ends_with("1 case: 1 agreed, 0 disagreed\n"), "{text}");
}

#[test]
fn what_a_real_cluster_was_measured_at_agrees_and_without_any_table_there_is_nothing_to_compare() {
    let measured = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/real-cluster");
    let folder = tempfile::tempdir().expect("a folder");
    let conform = || {
        let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
        command.args(["conform", "real-cluster", &folder.path().to_string_lossy()]);
        command.assert()
    };
    let output = conform().code(2).get_output().stderr.clone();
    let text = String::from_utf8_lossy(&output).into_owned();
    assert!(text.contains("holds no recorded situation; expected one of start-stop,"), "{text}");
    for file in ["cases.json", "image-requests.csv", "image-events.csv"] {
        std::fs::copy(format!("{measured}/{file}"), folder.path().join(file)).expect("copied");
    }
    let output = conform().success().get_output().stdout.clone();
    let text = String::from_utf8_lossy(&output).into_owned();
    assert!(text.starts_with("agreed     images pull 1 to pull 2"), "{text}");
}

#[test]
fn cases_of_a_measured_cluster_may_have_any_name_and_any_image() {
    let measured = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/real-cluster");
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["cases.json", "image-requests.csv", "image-events.csv"] {
        let text = std::fs::read_to_string(format!("{measured}/{file}")).expect("is there");
        let text = text.replace("img-", "absent-").replace("\"img\"", "\"absent\"");
        let text = text.replace("10.200.0.1:5000/nowhere:1", "registry.example/web:7");
        std::fs::write(folder.path().join(file), text).expect("written");
    }
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    command.args(["conform", "real-cluster", &folder.path().to_string_lossy()]);
    let output = command.assert().success().get_output().stdout.clone();
    let text = String::from_utf8_lossy(&output).into_owned();
    assert!(text.starts_with("agreed     images absent: pull 1 to pull 2"), "{text}");
}

#[test]
fn a_disagreement_ends_with_1_and_shows_the_first_difference() {
    let row = WRONG_ROW.replace('\n', "");
    let output = conform(&["-"]).write_stdin(row).assert().code(1).get_output().clone();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r#"
    disagreed  wrong
        replicas
          expected  7
          got       6
          inputs    {"table":"rate-limit-no-behavior","id":"wrong","currentReplicas":3,"desiredReplicas":9,"legacyScaleUpLimitFactor":2,"maxReplicas":10,"minReplicas":1}
    1 case: 0 agreed, 1 disagreed
    "#);
}

#[test]
fn the_json_form_holds_every_case() {
    let row = WRONG_ROW.replace('\n', "");
    let output =
        conform(&["-o", "json", "-"]).write_stdin(row).assert().code(1).get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["disagreed"], 1);
    assert_eq!(report["cases"][0]["difference"]["expected"], 7);
    assert_eq!(report["cases"][0]["difference"]["got"], 6);
}

#[test]
fn what_is_no_recording_ends_with_2_and_names_file_and_line() {
    for (input, problem) in [
        ("", "holds no case"),
        ("{\"id\": \"x\"}\n", "line 1: case x: missing field"),
        (
            "\n{\"id\": \"x\", \"table\": \"chairs\"}",
            "line 2: case x: there is no table \"chairs\"",
        ),
        (
            "not json",
            "line 1: not JSON: expected ident at column 2; write one JSON object per line",
        ),
    ] {
        let output = conform(&["-"]).write_stdin(input).assert().code(2).get_output().clone();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.starts_with("error: -: ") && complaint.contains(problem), "{complaint}");
    }
    let whole = include_bytes!("../golden/hpa/sequences.jsonl.gz");
    let cut = conform(&["-"]).write_stdin(&whole[..20_000]).assert().code(2).get_output().clone();
    let complaint = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(complaint.starts_with("error: -: cannot be read: "), "{complaint}");
    let output = conform(&["no-such-file"]).assert().code(2).get_output().clone();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaint, "error: no-such-file: no such file\n");
}

#[test]
fn what_is_wrong_with_a_scheduling_case_is_told_with_the_object_and_the_field() {
    let case = |field: &str, objects: Value| {
        let mut case = serde_json::json!({
            "id": "one", "category": "", "desc": "", "queue": [], "steps": [], "pending": [],
            "nodes": [{"metadata": {"name": "a"}, "status": {"allocatable": {"pods": "9"}}}],
        });
        case[field] = objects;
        case.to_string()
    };
    let pod = |spec: Value| serde_json::json!([{"metadata": {"name": "p"}, "spec": spec}]);
    for (case, problem) in [
        (
            case("nodes", serde_json::json!([{"metadata": {"name": 3}}])),
            "line 1: case one: nodes[0].metadata.name: Invalid value: 3: must be text",
        ),
        (
            case("pending", pod(serde_json::json!({"containers": []}))),
            "line 1: case one: pending[0].spec.containers: Required value",
        ),
        (
            case(
                "running",
                pod(serde_json::json!({"containers": [{"name": "c"}], "nodeName": "b"})),
            ),
            "line 1: case one: running[0].spec.nodeName: there is no node \"b\"",
        ),
        (
            case("profile", serde_json::json!({"profiles": [{"plugins": {"bind": 1}}]})),
            "line 1: case one: profile.",
        ),
    ] {
        let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
        let output = command.args(["conform", "scheduler", "-"]).write_stdin(case).assert().code(2);
        let complaint = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(complaint.starts_with(&format!("error: -: {problem}")), "{complaint}");
    }
}

#[test]
fn histories_of_controllers_are_replayed_too() {
    let controllers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/controllers/");
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    command.args(["conform", "controllers"]).arg(format!("{controllers}slowstart.jsonl"));
    let output = command.assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().last(), Some("5 cases: 5 agreed, 0 disagreed"));
}

#[test]
fn a_history_that_went_another_way_is_told_with_all_that_differs() {
    let case = r#"{"id":"one","class":"victims","pods":[
        {"name":"a","uid":"1","owner":"rs","node":"n1","phase":"Running","ready":true,"readyAge":9,"age":9},
        {"name":"b","uid":"2","owner":"rs","node":"","phase":"Pending","ready":false,"readyAge":0,"age":9}],
        "expect":{"delete":1,"certain":["a"]}}"#;
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    command.args(["conform", "controllers", "-"]).write_stdin(case.replace('\n', ""));
    let output = command.assert().code(1).get_output().clone();
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("disagreed  one") && text.contains("| a must go, and stays"), "{text}");
}

#[test]
fn a_history_too_large_to_be_replayed_is_refused_with_the_field() {
    for (field, problem) in [
        (r#""nodes":4611686018427387904"#, "nodes: 4611686018427387904 are more than 10000"),
        (r#""until":1e300"#, "until: 1"),
    ] {
        let case = format!(r#"{{"id":"one","class":"job",{field},"expect":{{}}}}"#);
        let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
        command.args(["conform", "controllers", "-"]).write_stdin(case);
        let output = command.assert().code(2).get_output().clone();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.starts_with(&format!("error: -: line 1: {problem}")), "{complaint}");
    }
}

/// What `conform` says of a recording with one line, which it cannot replay.
fn unreadable(recording: &str, line: &str) -> String {
    let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
    let ran = command.args(["conform", recording, "-"]).write_stdin(line).assert().code(2);
    let text = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn what_is_no_object_in_a_recording_is_told_with_its_line_and_field() {
    let text = include_str!("../golden/controllers/statefulset.jsonl");
    let line = text.lines().next().expect("a case");
    let mut case: Value = serde_json::from_str(line).expect("JSON");
    case["objects"][0] = Value::from(7);
    let told = unreadable("controllers", &case.to_string());
    assert!(told.contains("line 1: "), "{told}");
}
