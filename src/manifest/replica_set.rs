//! ReplicaSets of the API to those of `cluster`, and what Deployments share with them
//! (`pkg/apis/apps/validation`, 1.36).

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::field::{FieldErrors, FieldPath};
use super::object_meta::namespaced;
use super::pod::pod_template;
use super::selector::label_selector;
use crate::cluster::action::ReplicaSetDraft;
use crate::cluster::pod_template::{PodTemplate, RestartPolicy};
use crate::cluster::selector::Selector;
use crate::engine::SimDuration;

/// A ReplicaSet that no Deployment owns, ready to be created.
pub fn replica_set(replica_set: &apps::ReplicaSet, errors: &mut FieldErrors) -> ReplicaSetDraft {
    let meta = namespaced(&replica_set.metadata, errors);
    let spec = replica_set.spec.clone().unwrap_or_default();
    let path = FieldPath::ROOT.field("spec");
    let replicas = errors.count(spec.replicas, 1, &path.field("replicas"));
    let template = spec.template.unwrap_or_default();
    let (selector, template) = pods_of_workload(&spec.selector, &template, &path, errors);
    let min_ready = errors.count(spec.min_ready_seconds, 0, &path.field("minReadySeconds"));
    ReplicaSetDraft {
        meta,
        owner: None,
        replicas,
        selector,
        template,
        min_ready: SimDuration::from_secs(min_ready.into()),
        revision: 0,
        desired_replicas: None,
        max_replicas: None,
    }
}

/// Selector and template of a workload whose pods run until they are deleted; `path` leads to the
/// spec that holds both (`ValidatePodTemplateSpecForReplicaSet`).
pub(super) fn pods_of_workload(
    selector: &meta::LabelSelector,
    template: &core::PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> (Selector, PodTemplate) {
    let at = path.field("selector");
    let selector = label_selector(selector, &at, errors);
    if selector.is_empty() {
        errors.push(&at, "is required: an empty selector is invalid");
    }
    let at = path.field("template");
    let spec = template.spec.clone().unwrap_or_default();
    let template = pod_template(template.metadata.as_ref(), &spec, &at, errors);
    if !selector.matches(&template.labels) {
        let at = at.field("metadata");
        errors.push(&at.field("labels"), "`selector` does not match template `labels`");
    }
    let at = at.field("spec");
    if template.spec.restart_policy != RestartPolicy::Always {
        errors.push(&at.field("restartPolicy"), "must be Always in a workload that keeps running");
    }
    if template.spec.active_deadline.is_some() {
        let problem = "is not supported in a workload that keeps running";
        errors.push(&at.field("activeDeadlineSeconds"), problem);
    }
    (selector, template)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lower(object: Value) -> (ReplicaSetDraft, Vec<String>) {
        let mut errors = FieldErrors::default();
        let typed: apps::ReplicaSet = serde_json::from_value(object).unwrap();
        let draft = replica_set(&typed, &mut errors);
        (draft, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_replica_set_of_its_own_has_one_replica_and_no_owner() {
        let (draft, errors) = lower(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web"}]},
                },
            },
        }));
        assert_eq!(errors, [""; 0]);
        assert_eq!(draft.meta.id.to_string(), "shop/web");
        assert_eq!((draft.replicas, draft.owner), (1, None));
        assert_eq!(draft.min_ready, SimDuration::ZERO);
    }

    #[test]
    fn pods_that_would_not_be_found_or_would_end_are_errors() {
        let (_, errors) = lower(json!({
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "api"}},
                    "spec": {
                        "containers": [{"name": "web"}],
                        "restartPolicy": "Never",
                        "activeDeadlineSeconds": 60,
                    },
                },
            },
        }));
        assert_eq!(
            errors,
            [
                "spec.template.metadata.labels: `selector` does not match template `labels`",
                "spec.template.spec.restartPolicy: must be Always in a workload that keeps running",
                "spec.template.spec.activeDeadlineSeconds: is not supported in a workload that \
                 keeps running",
            ]
        );
    }
}
