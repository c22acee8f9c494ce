//! Validation of updates to existing Jobs (`ValidateJobSpecUpdate`, 1.36).

use super::action::Refused;
use super::job::{JOB_LABELS, Job, JobSpec};
use super::meta::{Labels, Name, ObjectMeta};
use super::pod_template::{Container, PodTemplate};

/// Labels plus those by which a Job selects its pods (`generateSelector` of the Job strategy).
pub(super) fn own_labels(labels: &Labels, meta: &ObjectMeta) -> Labels {
    let uid = Name::from(format!("{:016x}", meta.uid));
    let values = [&uid, meta.name(), &uid, meta.name()];
    let added = JOB_LABELS.into_iter().zip(values);
    added.fold(labels.clone(), |all, (key, value)| all.with(key, value.clone()))
}

/// Refuses changes of immutable fields, each with the API server's message.
pub(super) fn validate(job: &Job, spec: &JobSpec) -> Result<(), Refused> {
    let old = &job.spec;
    let mut problems = Vec::new();
    let mut fixed = |field: &str, is_same: bool| {
        if !is_same {
            problems.push(format!("spec.{field}: Invalid value: field is immutable"));
        }
    };
    let is_elastic = spec.is_indexed && spec.completions.is_some();
    fixed("completions", is_elastic || spec.completions == old.completions);
    fixed("template", is_same_template(job, &spec.template));
    fixed("completionMode", spec.is_indexed == old.is_indexed);
    fixed("podFailurePolicy", spec.pod_failure_policy == old.pod_failure_policy);
    fixed("backoffLimitPerIndex", spec.backoff_limit_per_index == old.backoff_limit_per_index);
    fixed("managedBy", spec.is_managed_elsewhere == old.is_managed_elsewhere);
    fixed("successPolicy", spec.success_policy == old.success_policy);
    let goes_alone = spec.completions.is_some_and(|number| number != spec.parallelism);
    if is_elastic && spec.completions != old.completions && goes_alone {
        let rule = "can only be modified in tandem with spec.parallelism";
        problems.push(format!("spec.completions: Invalid value: {rule}"));
    }
    let name = job.meta.name();
    match problems.len() {
        0 => Ok(()),
        1 => Err(Refused::Conflict(format!("Job.batch \"{name}\" is invalid: {}", problems[0]))),
        _ => Err(Refused::Conflict(format!(
            "Job.batch \"{name}\" is invalid: [{}]",
            problems.join(", ")
        ))),
    }
}

/// True if the pod template is unchanged, except for scheduling directives and resource requests if the Job is
/// suspended and has no pods (gates `MutableSchedulingDirectivesForSuspendedJobs` and
/// `MutablePodResourcesForSuspendedJobs`, on by default since 1.36).
fn is_same_template(job: &Job, template: &PodTemplate) -> bool {
    let mut old = job.spec.template.clone();
    let is_at_rest = job.spec.suspend && job.status.active == 0 && job.status.start_time.is_none();
    if !is_at_rest {
        return old.labels == with_own_labels(job, template).labels
            && old.annotations == template.annotations
            && old.spec == template.spec
            && old.document == template.document;
    }
    old.labels.clone_from(&template.labels);
    old.annotations.clone_from(&template.annotations);
    // Mutability of fields that are not simulated does not matter.
    old.document.clone_from(&template.document);
    let (own, new) = (&mut old.spec, &template.spec);
    own.node_selector.clone_from(&new.node_selector);
    own.tolerations.clone_from(&new.tolerations);
    own.scheduling_gates.clone_from(&new.scheduling_gates);
    own.affinity.required_node.clone_from(&new.affinity.required_node);
    own.affinity.preferred_node.clone_from(&new.affinity.preferred_node);
    take_resources(&mut own.containers, &new.containers);
    take_resources(&mut own.init_containers, &new.init_containers);
    old == *template
}

/// A template plus the labels by which the Job selects its pods.
pub(super) fn with_own_labels(job: &Job, template: &PodTemplate) -> PodTemplate {
    let own = &job.spec.template.labels;
    let mut template = template.clone();
    for key in JOB_LABELS {
        if let Some(value) = own.get(key) {
            template.labels = template.labels.with(key, value.clone());
        }
    }
    template
}

fn take_resources(own: &mut [Container], new: &[Container]) {
    for (own, new) in own.iter_mut().zip(new) {
        own.requests.clone_from(&new.requests);
        own.limits.clone_from(&new.limits);
    }
}
