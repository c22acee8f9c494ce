//! Jobs and CronJobs of the API: checked as the API server does (`pkg/apis/batch/validation`, 1.36).
//! Only their pod templates are used so far.

use k8s_openapi::api::batch::v1 as batch;

use super::field::{FieldErrors, FieldPath};
use super::workload::{count, template_that_ends};
use crate::cluster::pod_template::PodTemplate;

/// The template of a Job.
pub(super) fn job_template(
    spec: &batch::JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let mut counted = |given, field| count(given, 0, &path.field(field), errors);
    counted(spec.parallelism, "parallelism");
    counted(spec.completions, "completions");
    counted(spec.backoff_limit, "backoffLimit");
    counted(spec.backoff_limit_per_index, "backoffLimitPerIndex");
    counted(spec.max_failed_indexes, "maxFailedIndexes");
    counted(spec.ttl_seconds_after_finished, "ttlSecondsAfterFinished");
    errors.not_negative(
        &path.field("activeDeadlineSeconds"),
        spec.active_deadline_seconds.unwrap_or_default(),
    );
    let modes = [("NonIndexed", false), ("Indexed", true)];
    let at = path.field("completionMode");
    let is_indexed = errors.choose(spec.completion_mode.as_deref(), &modes, false, &at);
    if is_indexed && spec.completions.is_none() {
        errors.required(&path.field("completions"), "when completion mode is Indexed");
    }
    template_that_ends(&spec.template, path, errors)
}

/// The template of the Jobs of a CronJob.
pub(super) fn cron_job_template(
    spec: &batch::CronJobSpec,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let path = FieldPath::ROOT.field("spec");
    if spec.schedule.is_empty() {
        errors.required(&path.field("schedule"), "when the Jobs start, such as \"*/5 * * * *\"");
    }
    let policies = ["Allow", "Forbid", "Replace"].map(|name| (name, name));
    let policy = spec.concurrency_policy.as_deref();
    errors.choose(policy, &policies, "Allow", &path.field("concurrencyPolicy"));
    let history = path.field("successfulJobsHistoryLimit");
    count(spec.successful_jobs_history_limit, 3, &history, errors);
    let history = path.field("failedJobsHistoryLimit");
    count(spec.failed_jobs_history_limit, 1, &history, errors);
    let job = spec.job_template.spec.clone().unwrap_or_default();
    let at = path.field("jobTemplate");
    job_template(&job, &at.field("spec"), errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn errors_of(mut job: Value, policy: &str) -> Vec<String> {
        job["template"] = json!({"spec": {"restartPolicy": policy, "containers": [{"name": "a", "image": "a:1"}]}});
        let cron = json!({"schedule": "", "jobTemplate": {"spec": job}});
        let mut errors = FieldErrors::default();
        cron_job_template(&serde_json::from_value(cron).unwrap(), &mut errors);
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
                "spec.jobTemplate.spec.template.spec.restartPolicy: Unsupported value: \"Always\": supported values: OnFailure, Never",
            ]
        );
    }
}
