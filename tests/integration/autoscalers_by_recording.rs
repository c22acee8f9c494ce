//! Every recorded decision of the VerticalPodAutoscaler and of KEDA is reproduced, and recordings that are
//! none are told apart by line and field.

use std::fs::File;
use std::io::BufReader;

use wavetank::conform::{CaseOutcome, ConformReport, RecordingError, keda, vpa};

type Replay = fn(BufReader<File>) -> Result<Vec<CaseOutcome>, RecordingError>;

#[expect(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn agree(name: &str, replay: Replay, cases: usize) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = File::open(&path).expect("the golden file is part of the repository");
    let outcomes = replay(BufReader::new(file)).expect("the golden file is well-formed");
    let report = ConformReport::new(outcomes);
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), cases);
}

fn complaint(outcome: Result<Vec<CaseOutcome>, RecordingError>) -> String {
    outcome.expect_err("it is no recording").to_string()
}

#[test]
fn the_recommender_recommends_and_stores_as_recorded() {
    agree("vpa/vpa-recommender-1.jsonl.gz", vpa::replay, 65);
}

#[test]
fn the_recommender_recommends_and_stores_as_recorded_in_other_cases() {
    agree("vpa/vpa-recommender-2.jsonl.gz", vpa::replay, 65);
}

#[test]
fn the_updater_evicts_and_resizes_as_recorded() {
    agree("vpa/vpa-updater.jsonl.gz", vpa::replay, 234);
}

#[test]
fn the_webhook_changes_pods_as_recorded() {
    agree("vpa/vpa-admission.jsonl.gz", vpa::replay, 320);
}

#[test]
fn the_scale_executor_of_keda_decides_as_recorded() {
    agree("keda/keda-executor.jsonl.gz", keda::replay, 160);
}

#[test]
fn scaled_jobs_create_and_delete_jobs_as_recorded() {
    agree("keda/keda-scaledjob.jsonl.gz", keda::replay, 300);
}

#[test]
fn the_fallback_answers_as_recorded() {
    agree("keda/keda-fallback.jsonl.gz", keda::replay, 120);
}

#[test]
fn cron_triggers_say_what_was_recorded() {
    agree("keda/keda-cron.jsonl.gz", keda::replay, 120);
}

#[test]
fn what_is_no_recording_is_told_with_line_and_field() {
    for (text, problem) in [
        (r#"{"id":3}"#, "line 1: id: must be a text"),
        (r#"{"id":"a"}"#, "line 1: case a: has none of the fields loops"),
        (
            r#"{"id":"a","loops":[[1]],"spec":{}}"#,
            "line 1: case a: loops[0]: invalid type: sequence",
        ),
        (r#"{"id":"a","metadata":[]}"#, "line 1: case a: metadata: must be an object"),
        (r#"{"id":"a","jobs":[],"spec":{"maxReplicaCount":1e300}}"#, "spec.maxReplicaCount: "),
    ] {
        let complaint = complaint(keda::replay(text.as_bytes()));
        assert!(complaint.contains(problem), "{complaint}");
    }
    let loops = |what: &str| {
        format!(
            r#"{{"id":"a","flags":{{}},"vpa":{{"spec":{{"targetRef":{{"kind":"Deployment","name":"app"}}}}}},"loops":[{what}]}}"#
        )
    };
    for (text, problem) in [
        (r#"{"id":"a"}"#.to_owned(), "line 1: case a: has neither loops"),
        (loops(r#"{"t":1,"samples":{"p":[]}}"#), "loops[0].samples.p: invalid type: sequence"),
        (loops(r#"{"t":1,"vpaSpec":[]}"#), "loops[0].vpaSpec: must be an object"),
        (
            r#"{"id":"a","flags":{"memoryAggregationIntervalSeconds":-1},"vpa":{"spec":{}},"loops":[]}"#
                .to_owned(),
            "flags.memoryAggregationIntervalSeconds: -1 s; must be more than 0",
        ),
        (
            r#"{"id":"a","vpas":[{"name":"v","createdAt":0,"spec":{"targetRef":3}}],"pod":{"containers":[]},"expect":{}}"#
                .to_owned(),
            "vpas[0].spec.targetRef: ",
        ),
    ] {
        let complaint = complaint(vpa::replay(text.as_bytes()));
        assert!(complaint.contains(problem), "{complaint}");
    }
}
