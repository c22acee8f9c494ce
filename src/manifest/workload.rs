//! The common parts of all workloads: a selector and a pod template that must match.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::field::{FieldErrors, FieldPath};
use super::names::{check_key, check_labels};
use super::pod::{pairs, pod_template};
use super::selector::label_selector;
use super::validation::{Owner, pod_annotations, validate_pod_spec};
use cluster::pod_template::PodTemplate;
use cluster::selector::Selector;

/// Restart policies allowed in a workload.
const ALWAYS: [&str; 1] = ["Always"];
const UNLESS_DONE: [&str; 2] = ["OnFailure", "Never"];

/// A pod template, validated like in the API server. `claims` are volumes that a StatefulSet adds.
pub(super) fn checked_template(
    template: &core::PodTemplateSpec,
    claims: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let metadata = template.metadata.as_ref();
    let at = path.field("metadata");
    check_labels(metadata.and_then(|m| m.labels.as_ref()), &at.field("labels"), errors);
    for key in metadata.iter().flat_map(|m| m.annotations.iter().flatten()).map(|(key, _)| key) {
        check_key(key, &at.field("annotations"), errors);
    }
    let Some(spec) = &template.spec else {
        errors.required(&path.field("spec"), "the pods' specification");
        return PodTemplate {
            labels: pairs(metadata.and_then(|m| m.labels.as_ref())),
            ..PodTemplate::default()
        };
    };
    let mut rules = FieldErrors::default();
    validate_pod_spec(spec, Owner::Template(claims), &path.field("spec"), &mut rules);
    pod_annotations(
        metadata.and_then(|m| m.annotations.as_ref()),
        &at.field("annotations"),
        &mut rules,
    );
    errors.append_rules(rules);
    pod_template(metadata, spec, path, errors)
}

/// Selector and template of a workload with long-running pods: the template must match the selector, and
/// its pods must restart (`ValidatePodTemplateSpecForReplicaSet`).
pub(super) fn selector_and_template(
    selector: &meta::LabelSelector,
    template: &core::PodTemplateSpec,
    claims: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> (Selector, PodTemplate) {
    let at = path.field("selector");
    let lowered_selector = label_selector(selector, &at, errors);
    check_labels(selector.match_labels.as_ref(), &at.field("matchLabels"), errors);
    let at_template = path.field("template");
    let lowered = checked_template(template, claims, &at_template, errors);
    if lowered_selector.is_empty() {
        errors.required(
            &at,
            "an empty selector is invalid; repeat labels of spec.template.metadata.labels",
        );
    } else if !lowered_selector.matches(&lowered.labels) {
        let metadata = at_template.field("metadata");
        let labels: Vec<String> =
            lowered.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let rule = "`selector` does not match template `labels`";
        errors.invalid(&metadata.field("labels"), labels.join(","), rule);
    }
    let at_spec = at_template.field("spec");
    restart_policy_is_one_of(&ALWAYS, template, &at_template, errors);
    let deadline = template.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    if deadline.is_some() {
        errors.push(
            &at_spec.field("activeDeadlineSeconds"),
            "Forbidden: only pods that end may have it",
        );
    }
    (lowered_selector, lowered)
}

/// The template of a workload whose pods run to completion (`ValidateJobSpec`).
pub(super) fn template_that_ends(
    template: &core::PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let path = path.field("template");
    let lowered = checked_template(template, &[], &path, errors);
    restart_policy_is_one_of(&UNLESS_DONE, template, &path, errors);
    lowered
}

fn restart_policy_is_one_of(
    policies: &[&str],
    template: &core::PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(spec) = &template.spec else { return };
    let policy = spec.restart_policy.as_deref().unwrap_or_default();
    let is_known = ["Always", "OnFailure", "Never"].contains(&policy);
    if is_known && !policies.contains(&policy) {
        let spec = path.field("spec");
        errors.not_supported(&spec.field("restartPolicy"), policy, policies);
    }
}

/// Maximum number of simulated pods of one workload; Kubernetes is tested with 150,000 in a whole cluster.
const MOST_PODS: i32 = 1_000_000;

/// Number of pods of a workload.
pub(super) fn pod_count(given: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) -> i32 {
    let pods = count(given, path, errors);
    if pods > MOST_PODS {
        let problem = format!("{pods} pods: at most {MOST_PODS} per workload are simulated");
        errors.push(path, problem);
    }
    pods
}

/// A non-negative count.
pub(super) fn count(given: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) -> i32 {
    let count = given.unwrap_or_default();
    errors.not_negative(path, i64::from(count));
    count
}
