//! ScaledJobs: individual polls, with the existing Jobs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::conditions;
use crate::Difference;
use crate::json::is_equal;
use crate::objects::phase;
use crate::recording::{Mapped, inputs_of, parse};
use cluster::Name;
use cluster::scaled_job::{JobScaling, ScalingStrategy};
use cluster::scaled_object::KedaConditions;
use controllers::keda::executor::Triggers;
use controllers::keda::scaled_job::{
    self, JobEnd, JobPodState, JobState, jobs_to_create, jobs_to_delete,
};

/// Number of finished Jobs kept by default.
const DEFAULT_HISTORY_LIMIT: i32 = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    spec: Mapped<Spec>,
    jobs: Option<Vec<Mapped<Job>>>,
    active: bool,
    error: bool,
    scale_to: i64,
    max_scale: i64,
    expect: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    min_replica_count: Option<i32>,
    max_replica_count: Option<i32>,
    successful_jobs_history_limit: Option<i32>,
    failed_jobs_history_limit: Option<i32>,
    scaling_strategy: Option<Mapped<Strategy>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Strategy {
    #[serde(rename = "strategy")]
    name: Option<String>,
    custom_scaling_queue_length_deduction: Option<i32>,
    custom_scaling_running_job_percentage: Option<String>,
    pending_pod_conditions: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    name: String,
    #[serde(default)]
    finished: String,
    completion_time: Option<i64>,
    pods: Option<Vec<Mapped<Pod>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    phase: String,
    true_conditions: Option<Vec<String>>,
}

impl Spec {
    fn lower(&self) -> JobScaling {
        let strategy = self.scaling_strategy.as_deref();
        let named = |strategy: &Strategy| {
            ScalingStrategy::named(
                strategy.name.as_deref().unwrap_or_default(),
                strategy.custom_scaling_queue_length_deduction.unwrap_or(0).into(),
                strategy.custom_scaling_running_job_percentage.as_deref().unwrap_or_default(),
            )
        };
        let limit = |written: Option<i32>| {
            usize::try_from(written.unwrap_or(DEFAULT_HISTORY_LIMIT)).unwrap_or(0)
        };
        JobScaling {
            min_replicas: self.min_replica_count.map(i64::from),
            max_replicas: self.max_replica_count.map(i64::from),
            strategy: strategy.map_or(ScalingStrategy::Default, named),
            pending_pod_conditions: names(
                strategy.and_then(|strategy| strategy.pending_pod_conditions.as_deref()),
            ),
            successful_jobs_history_limit: limit(self.successful_jobs_history_limit),
            failed_jobs_history_limit: limit(self.failed_jobs_history_limit),
        }
    }
}

impl Job {
    fn lower(&self) -> JobState {
        let completion_time = self.completion_time;
        let end = |is_complete| JobEnd { is_complete, completion_time };
        let pods = self.pods.iter().flatten().map(|pod| JobPodState {
            phase: phase(&pod.phase),
            true_conditions: names(pod.true_conditions.as_deref()),
        });
        JobState {
            end: (!self.finished.is_empty()).then(|| end(self.finished == "Complete")),
            pods: pods.collect(),
        }
    }
}

fn names(written: Option<&[String]>) -> Vec<Name> {
    written.unwrap_or_default().iter().map(|name| name.as_str().into()).collect()
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let spec = case.spec.lower();
    let recorded: Vec<&Job> = case.jobs.iter().flatten().map(|job| &**job).collect();
    let jobs: Vec<JobState> = recorded.iter().map(|job| job.lower()).collect();
    let created = jobs_to_create(&spec, &jobs, case.active, case.scale_to, case.max_scale);
    let deleted = jobs_to_delete(&spec, &jobs).into_iter();
    let mut deleted: Vec<&str> = deleted.map(|place| recorded[place].name.as_str()).collect();
    deleted.sort_unstable();
    let triggers = Triggers { is_active: case.active, is_failing: case.error };
    let fields = [
        ("created", json!(created)),
        ("deleted", if deleted.is_empty() { Value::Null } else { json!(deleted) }),
        ("conditions", conditions(scaled_job::conditions(KedaConditions::default(), triggers))),
    ];
    let difference = fields.into_iter().find(|(field, got)| !is_equal(&case.expect[*field], got));
    Ok(difference.map(|(field, got)| {
        let expected = case.expect[field].clone();
        Difference::new("", field, expected, got, inputs_of(line, &[], 0))
    }))
}
