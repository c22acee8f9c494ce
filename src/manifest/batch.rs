//! Converts Jobs and CronJobs of the API to those of `cluster`, validated like in the API server
//! (`pkg/apis/batch/validation`, 1.36).

use k8s_openapi::api::batch::v1 as batch;

use super::defaults;
use super::field::{FieldErrors, FieldPath};
use super::job_policies::{failure_policy, success_policy};
use super::pod::pairs;
use super::workload::{count, pod_count, template_that_ends};
use cluster::cron_job::{ConcurrencyPolicy, CronJobSpec, JobTemplate};
use cluster::cron_schedule::{Schedule, time_zone};
use cluster::job::{JOB_LABELS, JobSpec};

/// Value of `spec.managedBy` for Jobs managed by the Job controller (`JobControllerName`).
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";
/// Replaces an invalid schedule so that validation can continue.
const EVERY_MINUTE: &str = "* * * * *";

/// `spec` of a Job.
pub(super) fn job_spec(
    spec: &batch::JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> JobSpec {
    let parallelism = pod_count(spec.parallelism, &path.field("parallelism"), errors);
    let backoff_limit = spec.backoff_limit;
    for (given, field) in [
        (spec.completions, "completions"),
        (backoff_limit, "backoffLimit"),
        (spec.backoff_limit_per_index, "backoffLimitPerIndex"),
        (spec.max_failed_indexes, "maxFailedIndexes"),
        (spec.ttl_seconds_after_finished, "ttlSecondsAfterFinished"),
    ] {
        count(given, &path.field(field), errors);
    }
    let deadline = spec.active_deadline_seconds;
    errors.not_negative(&path.field("activeDeadlineSeconds"), deadline.unwrap_or_default());
    let modes = [("NonIndexed", false), ("Indexed", true)];
    let at = path.field("completionMode");
    let is_indexed = errors.choose(spec.completion_mode.as_deref(), &modes, &at);
    check_index_fields(spec, is_indexed, path, errors);
    let mut template = template_that_ends(&spec.template, path, errors);
    if spec.manual_selector != Some(true) {
        // A Job read back from a cluster gets new generated labels.
        let labels = template.labels.iter().filter(|(key, _)| !JOB_LABELS.contains(&&***key));
        template.labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    }
    JobSpec {
        completions: spec.completions,
        parallelism,
        is_indexed,
        backoff_limit: backoff_limit.unwrap_or_default(),
        backoff_limit_per_index: spec.backoff_limit_per_index,
        max_failed_indexes: spec.max_failed_indexes,
        active_deadline_seconds: deadline,
        suspend: spec.suspend.unwrap_or_default(),
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
        pod_failure_policy: failure_policy(spec, path, errors),
        success_policy: success_policy(spec, is_indexed, path, errors),
        replaces_only_failed: replaces_only_failed(spec, path, errors),
        is_managed_elsewhere: spec.managed_by.as_deref().is_some_and(|by| by != JOB_CONTROLLER),
        template,
    }
}

/// Fields that only apply to Indexed Jobs.
fn check_index_fields(
    spec: &batch::JobSpec,
    is_indexed: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if is_indexed && spec.completions.is_none() {
        errors.required(&path.field("completions"), "when completion mode is Indexed");
    }
    if !is_indexed && spec.backoff_limit_per_index.is_some() {
        let at = path.field("backoffLimitPerIndex");
        errors.invalid(&at, spec.backoff_limit_per_index, "requires indexed completion mode");
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let why = "when maxFailedIndexes is specified";
        errors.required(&path.field("backoffLimitPerIndex"), why);
    }
}

/// A Job with a failure policy replaces a pod only once it has terminated.
fn replaces_only_failed(
    spec: &batch::JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> bool {
    let choices = [("TerminatingOrFailed", false), ("Failed", true)];
    let at = path.field("podReplacementPolicy");
    let only_failed = errors.chosen(spec.pod_replacement_policy.as_deref(), &choices, &at);
    if spec.pod_failure_policy.is_some() && only_failed == Some(false) {
        let rule = "Unsupported value: \"TerminatingOrFailed\": supported values: Failed";
        errors.push(&at, rule);
    }
    only_failed.unwrap_or_default()
}

/// `spec` of a CronJob.
pub(super) fn cron_job_spec(spec: &batch::CronJobSpec, errors: &mut FieldErrors) -> CronJobSpec {
    let path = FieldPath::ROOT.field("spec");
    let policies = [
        ("Allow", ConcurrencyPolicy::Allow),
        ("Forbid", ConcurrencyPolicy::Forbid),
        ("Replace", ConcurrencyPolicy::Replace),
    ];
    let policy = spec.concurrency_policy.as_deref();
    let at = path.field("concurrencyPolicy");
    let concurrency_policy = errors.choose(policy, &policies, &at);
    let schedule = schedule(&spec.schedule, &path, errors);
    if let Some(name) = &spec.time_zone
        && time_zone(Some(name)).is_none()
    {
        errors.invalid(&path.field("timeZone"), name, format!("unknown time zone {name}"));
    }
    let deadline = spec.starting_deadline_seconds;
    errors.not_negative(&path.field("startingDeadlineSeconds"), deadline.unwrap_or_default());
    let mut counted = |given, field| count(given, &path.field(field), errors);
    let successful_history_limit =
        counted(spec.successful_jobs_history_limit, "successfulJobsHistoryLimit");
    let failed_history_limit = counted(spec.failed_jobs_history_limit, "failedJobsHistoryLimit");
    let metadata = spec.job_template.metadata.clone().unwrap_or_default();
    let mut job = spec.job_template.spec.clone().unwrap_or_default();
    defaults::job_spec(&mut job);
    let at = path.field("jobTemplate");
    CronJobSpec {
        schedule,
        time_zone: spec.time_zone.as_deref().map(Into::into),
        starting_deadline_seconds: deadline,
        concurrency_policy,
        suspend: spec.suspend.unwrap_or_default(),
        job_template: JobTemplate {
            labels: pairs(metadata.labels.as_ref()),
            annotations: pairs(metadata.annotations.as_ref()),
            spec: job_spec(&job, &at.field("spec"), errors),
        },
        successful_history_limit,
        failed_history_limit,
    }
}

fn schedule(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) -> Schedule {
    let at = path.field("schedule");
    if text.is_empty() {
        errors.required(&at, "the schedule of the Jobs, such as \"*/5 * * * *\"");
    } else if text.contains("TZ") {
        let rule = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(&at, text, rule);
    } else {
        match Schedule::parse(text) {
            Ok(schedule) => return schedule,
            Err(why) => errors.invalid(&at, text, why),
        }
    }
    Schedule::parse(EVERY_MINUTE).expect("`* * * * *` is a schedule")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::SetDefaults;
    use serde_json::{Value, json};

    fn errors_of(mut job: Value, policy: &str) -> Vec<String> {
        job["template"] = json!({"spec": {"restartPolicy": policy, "containers": [{"name": "a", "image": "a:1"}]}});
        let cron = json!({"schedule": "", "jobTemplate": {"spec": job}});
        let mut errors = FieldErrors::default();
        let mut cron: batch::CronJob = serde_json::from_value(json!({ "spec": cron })).unwrap();
        cron.set_defaults();
        cron_job_spec(&cron.spec, &mut errors);
        errors.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_pods_of_a_job_end_and_its_counts_are_not_negative() {
        assert_eq!(errors_of(json!({}), "OnFailure").len(), 1, "only the schedule is missing");
        let errors = errors_of(json!({"parallelism": -1, "completionMode": "Indexed"}), "Always");
        assert_eq!(
            errors[1..],
            [
                "spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.jobTemplate.spec.completions: Required value: when completion mode is Indexed",
                "spec.jobTemplate.spec.template.spec.restartPolicy: Unsupported value: \"Always\": supported values: \"OnFailure\", \"Never\"",
            ]
        );
    }
}
