//! StatefulSets and DaemonSets of the API: checked as the API server does
//! (`pkg/apis/apps/validation`, 1.36). Only their pod templates are used so far.

use k8s_openapi::api::apps::v1 as apps;

use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{at_most_100_percent, int_or_percent};
use super::workload::{count, selector_and_template};
use crate::cluster::deployment::IntOrPercent;
use crate::cluster::pod_template::PodTemplate;

/// The template of a StatefulSet.
pub(super) fn stateful_set_template(
    spec: &apps::StatefulSetSpec,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let path = FieldPath::ROOT.field("spec");
    let claims = spec.volume_claim_templates.iter().flatten();
    let claims: Vec<&str> = claims.filter_map(|claim| claim.metadata.name.as_deref()).collect();
    let mut counted = |given, default, field| count(given, default, &path.field(field), errors);
    counted(spec.replicas, 1, "replicas");
    counted(spec.min_ready_seconds, 0, "minReadySeconds");
    counted(spec.revision_history_limit, 10, "revisionHistoryLimit");
    let policies = ["OrderedReady", "Parallel"].map(|name| (name, name));
    let policy = spec.pod_management_policy.as_deref();
    errors.choose(policy, &policies, "OrderedReady", &path.field("podManagementPolicy"));
    if let Some(strategy) = &spec.update_strategy {
        let at = path.field("updateStrategy");
        let types = ["RollingUpdate", "OnDelete"].map(|name| (name, name));
        errors.choose(strategy.type_.as_deref(), &types, "RollingUpdate", &at.field("type"));
        let partition = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
        let at = at.field("rollingUpdate");
        count(partition, 0, &at.field("partition"), errors);
    }
    selector_and_template(&spec.selector, &spec.template, &claims, &path, errors).1
}

/// The template of a DaemonSet.
pub(super) fn daemon_set_template(
    spec: &apps::DaemonSetSpec,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let path = FieldPath::ROOT.field("spec");
    count(spec.min_ready_seconds, 0, &path.field("minReadySeconds"), errors);
    count(spec.revision_history_limit, 10, &path.field("revisionHistoryLimit"), errors);
    if let Some(strategy) = &spec.update_strategy {
        let at = path.field("updateStrategy");
        let types = ["RollingUpdate", "OnDelete"].map(|name| (name, name));
        errors.choose(strategy.type_.as_deref(), &types, "RollingUpdate", &at.field("type"));
        if let Some(rolling) = &strategy.rolling_update {
            rolling_update(rolling, &at.field("rollingUpdate"), errors);
        }
    }
    selector_and_template(&spec.selector, &spec.template, &[], &path, errors).1
}

/// `ValidateRollingUpdateDaemonSet`: either pods may be missing, or there may be more of them.
fn rolling_update(
    rolling: &apps::RollingUpdateDaemonSet,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut number = |given: &Option<_>, default, field| {
        let at = path.field(field);
        let number = given.as_ref().map_or(default, |given| int_or_percent(given, &at, errors));
        at_most_100_percent(number, &at, errors);
        !matches!(number, IntOrPercent::Int(0) | IntOrPercent::Percent(0))
    };
    let has_unavailable = number(&rolling.max_unavailable, IntOrPercent::Int(1), "maxUnavailable");
    let has_surge = number(&rolling.max_surge, IntOrPercent::Int(0), "maxSurge");
    match (has_unavailable, has_surge) {
        (true, true) => {
            let rule = "Forbidden: may not be set when maxUnavailable is non-zero";
            errors.push(&path.field("maxSurge"), rule);
        }
        (false, false) => {
            let rule = "Required value: cannot be 0 when maxSurge is 0";
            errors.push(&path.field("maxUnavailable"), rule);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(extra: &Value) -> Value {
        let mut spec = json!({
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
                {"name": "db", "image": "db:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
        });
        let fields = extra.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(fields);
        spec
    }

    fn of_stateful_set(extra: &Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        stateful_set_template(&serde_json::from_value(spec(extra)).unwrap(), &mut errors);
        errors.into_vec().iter().map(|error| error.path.clone()).collect()
    }

    fn of_daemon_set(rolling: &Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        let volumes = json!([{"name": "data"}]);
        let mut spec = spec(&json!({"updateStrategy": {"rollingUpdate": rolling}}));
        spec["template"]["spec"]["volumes"] = volumes;
        daemon_set_template(&serde_json::from_value(spec).unwrap(), &mut errors);
        errors.into_vec().iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn claims_of_a_stateful_set_are_volumes_of_its_pods() {
        assert_eq!(
            of_stateful_set(
                &json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]})
            ),
            [""; 0]
        );
        assert_eq!(
            of_stateful_set(&json!({})),
            ["spec.template.spec.containers[0].volumeMounts[0].name"]
        );
    }

    #[test]
    fn a_daemon_set_replaces_pods_either_before_or_after_the_new_ones() {
        assert_eq!(of_daemon_set(&json!({})), [""; 0]);
        assert_eq!(of_daemon_set(&json!({"maxSurge": 1, "maxUnavailable": 0})), [""; 0]);
        assert_eq!(
            of_daemon_set(&json!({"maxSurge": 1})),
            ["spec.updateStrategy.rollingUpdate.maxSurge"]
        );
        assert_eq!(
            of_daemon_set(&json!({"maxUnavailable": 0})),
            ["spec.updateStrategy.rollingUpdate.maxUnavailable"]
        );
    }
}
