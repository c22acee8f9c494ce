//! What the source of the controllers of Kubernetes 1.36 says where no recording does, in the form of the
//! recordings (`tests/golden/controllers/README.md`) and replayed as they are. Each case names the function
//! that it was read from.
#![allow(
    clippy::needless_pass_by_value,
    reason = "`json!` makes values, and nobody needs them afterwards"
)]

use serde_json::{Value, json};
use wavetank::conform::controllers::check;

fn job(spec: Value) -> Value {
    object("Job", "work", spec, "/spec/template")
}

fn cron_job(spec: Value) -> Value {
    object("CronJob", "tick", spec, "/spec/jobTemplate/spec/template")
}

fn object(kind: &str, name: &str, spec: Value, template: &str) -> Value {
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    });
    *object.pointer_mut(template).expect("a place for the template") = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "job:v1"}]}});
    object
}

fn patch(t: i64, kind: &str, name: &str, spec: Value) -> Value {
    json!({"t": t, "do": "patch", "kind": kind, "name": name, "patch": {"spec": spec}})
}

/// A Job's status in which nothing is; `given` says what is.
fn status(given: Value) -> Value {
    let mut status = json!({
        "active": 0, "ready": 0, "terminating": 0, "succeeded": 0, "failed": 0, "cond": [],
    });
    for (key, value) in given.as_object().expect("fields") {
        status[key] = value.clone();
    }
    status
}

fn replays(class: &str, rest: Value) {
    let mut case = json!({
        "id": "by source", "class": class, "controllers": ["job", "cronjob"], "nodes": 5,
        "t0": "2000-01-01T00:00:30Z",
        "kubelet": {"default": {"start": 1, "ready": 0, "term": 3, "runFor": 10, "exit": 0}},
        "stable": {"podCounts": true, "podOrdinals": true, "timeline": true,
                   "timelineIgnoringProgressingReason": true},
    });
    for (key, value) in rest.as_object().expect("fields") {
        case[key] = value.clone();
    }
    let outcome = check(&case.to_string()).expect("a case that can be replayed");
    assert!(outcome.differences.is_empty(), "{}", outcome.differences.join("\n"));
}

fn created(t: f64, owner: &str, ordinal: u32, index: Option<&str>) -> Value {
    let mut extra = json!({"image": "job:v1"});
    if let Some(index) = index {
        extra["index"] = json!(index);
    }
    json!([t, "create", owner, ordinal, extra])
}

/// `calculateSucceededIndexes` and `activePodsForRemoval`: indexes from the new number of completions on
/// count no more, and their pods go.
#[test]
fn an_indexed_job_that_shrinks_forgets_the_indexes_that_it_has_no_more() {
    let complete = json!([
        ["Complete", "True", "CompletionsReached"],
        ["SuccessCriteriaMet", "True", "CompletionsReached"]
    ]);
    let at = |t: i64, given: Value| json!({"t": t, "job": {"work": status(given)}});
    let work = "Job/work";
    replays(
        "job",
        json!({
            "until": 60,
            "objects": [job(json!({"completionMode": "Indexed", "completions": 4, "parallelism": 4,
                                   "template": {}}))],
            "actions": [patch(8, "Job", "work", json!({"completions": 2, "parallelism": 2}))],
            "kubelet": {"default": {"start": 1, "ready": 0, "term": 3, "runFor": 20, "exit": 0,
                "sequence": [{"runFor": 20}, {"runFor": 20}, {"runFor": 3}, {"runFor": 20}]}},
            "expect": {
                "timeline": [
                    at(0, json!({"active": 4, "startTime": 0})),
                    at(2, json!({"active": 4, "ready": 4, "startTime": 0})),
                    at(5, json!({"active": 3, "ready": 3, "succeeded": 1, "startTime": 0,
                                 "completedIndexes": "2"})),
                    at(8, json!({"active": 2, "ready": 2, "terminating": 1, "startTime": 0})),
                    at(12, json!({"active": 2, "ready": 2, "startTime": 0})),
                    at(22, json!({"succeeded": 2, "startTime": 0, "completionTime": 22,
                                  "completedIndexes": "0,1", "cond": complete})),
                ],
                "pods": [
                    created(0.0, work, 1, Some("0")),
                    created(0.0, work, 2, Some("1")),
                    created(0.0, work, 3, Some("2")),
                    created(0.0, work, 4, Some("3")),
                    [8.0, "delete", work, 4, {"wasReady": true}],
                    [11.0, "gone", work, 4, {}],
                ],
            },
        }),
    );
}

/// `updateCronJob`: a new schedule is waited for, and its times that have passed start nothing.
#[test]
fn a_cron_job_whose_schedule_changes_starts_nothing_before_its_next_time() {
    let one = "tick-15778083";
    let at = |t: f64, cron_job: Value, job: Option<Value>| {
        let mut record = json!({"t": t, "cronjob": {"tick": cron_job}});
        if let Some(job) = job {
            record["job"] = json!({(one): status(job)});
        }
        record
    };
    let complete = json!([
        ["Complete", "True", "CompletionsReached"],
        ["SuccessCriteriaMet", "True", "CompletionsReached"]
    ]);
    let last = "2000-01-01T00:03:00Z";
    let running = json!({"active": 1, "lastSchedule": last});
    let done = json!({"active": 0, "lastSchedule": last, "lastSuccessful": "2000-01-01T00:03:12Z"});
    replays(
        "cronjob",
        json!({
            "until": 200,
            "objects": [cron_job(json!({"schedule": "7 * * * *",
                                        "jobTemplate": {"spec": {"template": {}}}}))],
            // At 00:02:10: the minute 00:02:00 has passed under the new schedule.
            "actions": [patch(100, "CronJob", "tick", json!({"schedule": "* * * * *"}))],
            "expect": {
                "timeline": [
                    at(0.0, json!({"active": 0}), None),
                    at(150.1, running.clone(), Some(json!({"active": 1, "startTime": 150}))),
                    at(152.1, running, Some(json!({"active": 1, "ready": 1, "startTime": 150}))),
                    at(162.1, done, Some(json!({"succeeded": 1, "startTime": 150,
                                                "completionTime": 162, "cond": complete}))),
                ],
                "pods": [created(150.1, &format!("Job/{one}"), 1, None)],
            },
        }),
    );
}

/// `managedByExternalController`: the Job controller leaves such a Job alone.
#[test]
fn a_job_that_somebody_else_manages_gets_no_pods() {
    replays(
        "job",
        json!({
            "until": 30,
            "objects": [job(json!({"managedBy": "example.com/queue", "template": {}}))],
            "actions": [],
            "expect": {"timeline": [{"t": 0, "job": {"work": status(json!({}))}}], "pods": []},
        }),
    );
}

/// `syncJob` under the gate `MutableSchedulingDirectivesForSuspendedJobs`, on by default since 1.36: a Job
/// that is suspended has no start time, and its deadline counts anew when it is resumed.
#[test]
fn a_job_that_is_suspended_forgets_when_it_started_and_what_ran_is_not_counted() {
    let complete = json!([
        ["Complete", "True", "CompletionsReached"],
        ["SuccessCriteriaMet", "True", "CompletionsReached"],
        ["Suspended", "False", "JobResumed"]
    ]);
    let suspended = json!([["Suspended", "True", "JobSuspended"]]);
    let resumed = json!([["Suspended", "False", "JobResumed"]]);
    let at = |t: i64, given: Value| json!({"t": t, "job": {"work": status(given)}});
    let work = "Job/work";
    replays(
        "job",
        json!({
            "until": 90,
            "objects": [job(json!({"completions": 2, "parallelism": 2, "activeDeadlineSeconds": 30,
                                   "template": {}}))],
            "actions": [patch(5, "Job", "work", json!({"suspend": true})),
                        patch(40, "Job", "work", json!({"suspend": false}))],
            "kubelet": {"default": {"start": 1, "ready": 0, "term": 3, "runFor": 20, "exit": 0}},
            "expect": {
                "timeline": [
                    at(0, json!({"active": 2, "startTime": 0})),
                    at(2, json!({"active": 2, "ready": 2, "startTime": 0})),
                    at(5, json!({"terminating": 2, "suspend": true, "cond": suspended})),
                    at(9, json!({"suspend": true, "cond": suspended})),
                    at(40, json!({"active": 2, "startTime": 40, "cond": resumed})),
                    at(42, json!({"active": 2, "ready": 2, "startTime": 40, "cond": resumed})),
                    at(62, json!({"succeeded": 2, "startTime": 40, "completionTime": 62,
                                  "cond": complete})),
                ],
                "pods": [
                    created(0.0, work, 1, None),
                    created(0.0, work, 2, None),
                    [5.0, "delete", work, 1, {"wasReady": true}],
                    [5.0, "delete", work, 2, {"wasReady": true}],
                    [8.0, "gone", work, 1, {}],
                    [8.0, "gone", work, 2, {}],
                    created(40.0, work, 3, None),
                    created(40.0, work, 4, None),
                ],
            },
        }),
    );
}

/// The nodes of one zone, all Ready at first.
fn zone(nodes: usize, until: i64, actions: Value, timeline: Value) {
    let node = |number: usize| json!({"name": format!("n{number:02}"), "labels": {"topology.kubernetes.io/zone": "a"}});
    replays(
        "node",
        json!({
            "until": until,
            "t0": "2000-01-01T00:00:10Z",
            "controllers": ["nodelifecycle"],
            "leaseOffset": 1.3,
            "nodes": (1..=nodes).map(node).collect::<Vec<_>>(),
            "actions": actions,
            "expect": {"timeline": timeline},
        }),
    );
}

/// `tryUpdateNodeHealth`: the record made for a new status has no lease, so that the next pass takes the renewal at
/// 61.3 for a new one.
#[test]
fn a_node_that_dies_right_after_it_posted_a_status_is_lost_one_pass_later() {
    zone(
        3,
        200,
        json!([
            {"t": 66, "do": "nodeNotReady", "nodes": ["n01"]},
            {"t": 66.5, "do": "nodeDown", "nodes": ["n01"]},
        ]),
        json!([
            {"t": -10, "nodes": {"True|": 3}},
            {"t": 66, "nodes": {"True|": 2, "False|not-ready:NoSchedule": 1}},
            {"t": 70.1, "nodes": {"True|": 2, "False|not-ready:NoExecute,not-ready:NoSchedule": 1}},
            {"t": 125, "nodes": {"True|": 2, "Unknown|unreachable:NoExecute,unreachable:NoSchedule": 1}},
        ]),
    );
}

/// `handleDisruption`: the pass that finds every zone disrupted looks at the nodes as they were at its start
/// (`RemoveTaintOffNode`), and so leaves a taint that it has just exchanged for the other.
#[test]
fn a_taint_that_is_exchanged_as_the_last_zone_fails_stays() {
    zone(
        2,
        300,
        json!([
            {"t": 62, "do": "nodeNotReady", "nodes": ["n02"]},
            {"t": 194, "do": "nodeDown", "nodes": ["n01", "n02"]},
        ]),
        json!([
            {"t": -10, "nodes": {"True|": 2}},
            {"t": 62, "nodes": {"True|": 1, "False|not-ready:NoSchedule": 1}},
            {"t": 65.1, "nodes": {"True|": 1, "False|not-ready:NoExecute,not-ready:NoSchedule": 1}},
            {"t": 245, "nodes": {"Unknown|unreachable:NoSchedule": 1, "Unknown|unreachable:NoExecute,unreachable:NoSchedule": 1}},
        ]),
    );
}

/// `SetDefaults_Job`: a Job with neither number is a single pod, and stays one when it gets a parallelism later.
#[test]
fn a_job_without_numbers_keeps_its_single_completion_when_its_parallelism_changes() {
    let at = |t: i64, given: Value| json!({"t": t, "job": {"work": status(given)}});
    let complete = json!([
        ["Complete", "True", "CompletionsReached"],
        ["SuccessCriteriaMet", "True", "CompletionsReached"]
    ]);
    replays(
        "job",
        json!({
            "until": 60,
            "objects": [job(json!({"template": {}}))],
            "actions": [patch(5, "Job", "work", json!({"parallelism": 4}))],
            "expect": {
                "timeline": [
                    at(0, json!({"active": 1, "startTime": 0})),
                    at(2, json!({"active": 1, "ready": 1, "startTime": 0})),
                    at(12, json!({"succeeded": 1, "startTime": 0, "completionTime": 12, "cond": complete})),
                ],
                "pods": [created(0.0, "Job/work", 1, None)],
            },
        }),
    );
}
