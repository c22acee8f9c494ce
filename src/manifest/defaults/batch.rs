//! Workloads that run to completion (`pkg/apis/batch/v1/defaults.go`, 1.36).

use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};

use super::pod::template;
use super::{SetDefaults, text};

/// Default back-off limit of a Job, unless each index has its own.
const BACKOFF_LIMIT: i32 = 6;

impl SetDefaults for Job {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        job_spec(spec);
        job_template(spec);
        let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        if self.metadata.labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty) {
            self.metadata.labels = labels.cloned();
        }
    }
}

/// Job defaults beyond those of its template. The Jobs of a CronJob get them when they are created.
pub(crate) fn job_spec(spec: &mut JobSpec) {
    // A Job without both numbers runs one pod; with parallelism only, it is a work queue.
    if spec.parallelism.is_none() {
        spec.completions.get_or_insert(1);
    }
    spec.parallelism.get_or_insert(1);
    let limit = spec.backoff_limit_per_index.map_or(BACKOFF_LIMIT, |_| i32::MAX);
    spec.backoff_limit.get_or_insert(limit);
    text(&mut spec.completion_mode, "NonIndexed");
    spec.suspend.get_or_insert(false);
    // A Job with a failure policy is required to wait for terminating pods.
    let has_policy = spec.pod_failure_policy.is_some();
    let replacement = if has_policy { "Failed" } else { "TerminatingOrFailed" };
    text(&mut spec.pod_replacement_policy, replacement);
    spec.manual_selector.get_or_insert(false);
}

/// All defaults of a Job's spec.
pub(crate) fn job_with_template(spec: &mut JobSpec) {
    job_spec(spec);
    job_template(spec);
}

fn job_template(spec: &mut JobSpec) {
    template(&mut spec.template);
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        text(&mut pattern.status, "True");
    }
}

impl SetDefaults for CronJob {
    fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        text(&mut spec.concurrency_policy, "Allow");
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        job_template(spec.job_template.spec.get_or_insert_default());
    }
}
