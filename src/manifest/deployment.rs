//! Converts Deployments and ReplicaSets of the API to those of `cluster`, validated like in the API
//! server (`pkg/apis/apps/validation`, 1.36).

use k8s_openapi::api::apps::v1 as apps;

use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{at_most_100_percent, int_or_percent, is_zero};
use super::workload::{count, pod_count, selector_and_template};
use cluster::deployment::{DeploymentSpec, DeploymentStrategy};
use cluster::replica_set::ReplicaSetSpec;
use engine::SimDuration;

/// `spec` of a Deployment.
pub(super) fn deployment_spec(
    spec: &apps::DeploymentSpec,
    errors: &mut FieldErrors,
) -> DeploymentSpec {
    let path = FieldPath::ROOT.field("spec");
    let (selector, template) =
        selector_and_template(&spec.selector, &spec.template, &[], &path, errors);
    let replicas = pod_count(spec.replicas, &path.field("replicas"), errors);
    let mut counted = |given, field| count(given, &path.field(field), errors);
    let min_ready_seconds = counted(spec.min_ready_seconds, "minReadySeconds");
    let revision_history_limit = counted(spec.revision_history_limit, "revisionHistoryLimit");
    let progress_deadline_seconds =
        counted(spec.progress_deadline_seconds, "progressDeadlineSeconds");
    if progress_deadline_seconds <= min_ready_seconds {
        let at = path.field("progressDeadlineSeconds");
        let mut rules = FieldErrors::default();
        rules.invalid(&at, progress_deadline_seconds, "must be greater than minReadySeconds");
        errors.append_rules(rules);
    }
    DeploymentSpec {
        replicas,
        selector,
        template,
        strategy: strategy(spec.strategy.as_ref(), &path.field("strategy"), errors),
        min_ready_seconds,
        revision_history_limit,
        paused: spec.paused.unwrap_or_default(),
        progress_deadline_seconds,
    }
}

/// A standalone ReplicaSet.
pub(super) fn replica_set_spec(
    spec: &apps::ReplicaSetSpec,
    errors: &mut FieldErrors,
) -> ReplicaSetSpec {
    let path = FieldPath::ROOT.field("spec");
    let template = spec.template.clone().unwrap_or_default();
    let (selector, template) = selector_and_template(&spec.selector, &template, &[], &path, errors);
    let min_ready = count(spec.min_ready_seconds, &path.field("minReadySeconds"), errors);
    ReplicaSetSpec {
        owner: None,
        replicas: pod_count(spec.replicas, &path.field("replicas"), errors),
        selector,
        template,
        min_ready: SimDuration::from_secs(i64::from(min_ready)),
        revision: 0,
        desired_replicas: None,
        max_replicas: None,
    }
}

fn strategy(
    strategy: Option<&apps::DeploymentStrategy>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> DeploymentStrategy {
    let strategy = strategy.cloned().unwrap_or_default();
    let at = path.field("rollingUpdate");
    let choices = [("RollingUpdate", false), ("Recreate", true)];
    let is_recreate = errors.chosen(strategy.type_.as_deref(), &choices, path);
    if is_recreate == Some(true) {
        if strategy.rolling_update.is_some() {
            let problem = "Forbidden: may not be specified when strategy `type` is 'Recreate'";
            errors.push(&at, problem);
        }
        return DeploymentStrategy::Recreate;
    }
    let given = strategy.rolling_update.unwrap_or_default();
    let max_surge = int_or_percent(given.max_surge.as_ref(), &at.field("maxSurge"), errors);
    let max_unavailable = given.max_unavailable.as_ref();
    let max_unavailable = int_or_percent(max_unavailable, &at.field("maxUnavailable"), errors);
    let at = at.field("maxUnavailable");
    at_most_100_percent(max_unavailable, &at, errors);
    // An unknown strategy gets no defaults.
    if is_recreate.is_some() && is_zero(max_surge) && is_zero(max_unavailable) {
        errors.invalid(&at, 0, "may not be 0 when `maxSurge` is 0");
    }
    DeploymentStrategy::RollingUpdate { max_surge, max_unavailable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::SetDefaults;
    use cluster::deployment::IntOrPercent;
    use serde_json::{Value, json};

    fn lower(spec: &Value) -> (DeploymentSpec, Vec<String>) {
        let mut errors = FieldErrors::default();
        let mut object: apps::Deployment = serde_json::from_value(json!({ "spec": spec })).unwrap();
        object.set_defaults();
        let lowered = deployment_spec(&object.spec.unwrap(), &mut errors);
        (lowered, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    fn minimal() -> Value {
        json!({
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        })
    }

    #[test]
    fn what_is_not_written_has_the_api_servers_defaults() {
        let (spec, errors) = lower(&minimal());
        assert_eq!(errors, [""; 0]);
        assert_eq!((spec.replicas, spec.revision_history_limit), (1, 10));
        assert_eq!(
            (spec.progress_deadline_seconds, spec.min_ready_seconds, spec.paused),
            (600, 0, false)
        );
        let quarter = IntOrPercent::Percent(25);
        let rolling =
            DeploymentStrategy::RollingUpdate { max_surge: quarter, max_unavailable: quarter };
        assert_eq!(spec.strategy, rolling);
    }

    #[test]
    fn all_that_is_wrong_is_said_in_the_api_servers_words() {
        let mut spec = minimal();
        spec["replicas"] = json!(-1);
        spec["minReadySeconds"] = json!(600);
        spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}});
        spec["template"]["metadata"]["labels"]["app"] = json!("wbe");
        spec["template"]["spec"]["restartPolicy"] = json!("Never");
        let (_, errors) = lower(&spec);
        assert_eq!(
            errors,
            [
                "spec.template.metadata.labels: Invalid value: \"app=wbe\": `selector` does not match template `labels`",
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ]
        );
    }

    #[test]
    fn an_empty_selector_and_numbers_for_recreate_are_refused() {
        let mut spec = minimal();
        spec["selector"] = json!({});
        spec["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxUnavailable": "200%"}});
        let (lowered, errors) = lower(&spec);
        assert_eq!(lowered.strategy, DeploymentStrategy::Recreate);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors[0].starts_with("spec.selector: Required value: an empty selector is invalid")
        );
        assert!(errors[1].starts_with("spec.strategy.rollingUpdate: Forbidden"));
    }
}
