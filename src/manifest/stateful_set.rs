//! StatefulSets and DaemonSets of the API to those of `cluster`, defaulted and checked as the API server
//! does (`pkg/apis/apps/v1/defaults.go`, `pkg/apis/apps/validation`, 1.36).

use k8s_openapi::api::apps::v1 as apps;

use super::claim::claim_spec;
use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{at_most_100_percent, int_or_percent};
use super::workload::{count, pod_count, selector_and_template};
use cluster::Name;
use cluster::claim::ClaimTemplate;
use cluster::daemon_set::{DaemonSetSpec, DaemonSetUpdate};
use cluster::deployment::IntOrPercent;
use cluster::stateful_set::{ClaimRetention, StatefulSetSpec, StatefulSetUpdate};

const REVISION_HISTORY_LIMIT: i32 = 10;

/// `spec` of a StatefulSet.
pub(super) fn stateful_set_spec(
    spec: &apps::StatefulSetSpec,
    errors: &mut FieldErrors,
) -> StatefulSetSpec {
    let path = FieldPath::ROOT.field("spec");
    let claims = spec.volume_claim_templates.iter().flatten();
    let claims: Vec<&str> = claims.filter_map(|claim| claim.metadata.name.as_deref()).collect();
    let at = path.field("volumeClaimTemplates");
    let mut claim_templates = Vec::new();
    for (place, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        let Some(name) = claim.metadata.name.as_deref() else { continue };
        let at = at.item(place);
        let asked = claim.spec.clone().unwrap_or_default();
        let spec = claim_spec(&asked, &at.field("spec"), errors);
        claim_templates.push(ClaimTemplate { name: Name::from(name), spec });
    }
    let claim_retention = claim_retention(spec, &path, errors);
    let replicas = pod_count(spec.replicas, 1, &path.field("replicas"), errors);
    let mut counted = |given, default, field| count(given, default, &path.field(field), errors);
    let min_ready_seconds = counted(spec.min_ready_seconds, 0, "minReadySeconds");
    let revision_history_limit =
        counted(spec.revision_history_limit, REVISION_HISTORY_LIMIT, "revisionHistoryLimit");
    let ordinals = path.field("ordinals");
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    let start_ordinal = count(start, 0, &ordinals.field("start"), errors);
    let policies = [("OrderedReady", false), ("Parallel", true)];
    let policy = spec.pod_management_policy.as_deref();
    let at = path.field("podManagementPolicy");
    let is_parallel = errors.choose(policy, &policies, false, &at);
    let update = stateful_set_update(spec.update_strategy.as_ref(), &path, errors);
    let (selector, template) =
        selector_and_template(&spec.selector, &spec.template, &claims, &path, errors);
    StatefulSetSpec {
        replicas,
        selector,
        template,
        start_ordinal,
        is_parallel,
        update,
        min_ready_seconds,
        revision_history_limit,
        claim_templates,
        claim_retention,
    }
}

/// `ValidatePersistentVolumeClaimRetentionPolicy`.
fn claim_retention(
    spec: &apps::StatefulSetSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ClaimRetention {
    let path = path.field("persistentVolumeClaimRetentionPolicy");
    let policy = spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    let policies = [("Retain", false), ("Delete", true)];
    let mut choose =
        |given: Option<&str>, field| errors.choose(given, &policies, false, &path.field(field));
    ClaimRetention {
        deletes_with_set: choose(policy.when_deleted.as_deref(), "whenDeleted"),
        deletes_when_scaled: choose(policy.when_scaled.as_deref(), "whenScaled"),
    }
}

fn stateful_set_update(
    strategy: Option<&apps::StatefulSetUpdateStrategy>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> StatefulSetUpdate {
    let strategy = strategy.cloned().unwrap_or_default();
    let at = path.field("updateStrategy");
    let types = [("RollingUpdate", false), ("OnDelete", true)];
    let is_on_delete = errors.choose(strategy.type_.as_deref(), &types, false, &at.field("type"));
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
    let at = at.field("rollingUpdate");
    let partition = count(partition, 0, &at.field("partition"), errors);
    if is_on_delete {
        StatefulSetUpdate::OnDelete
    } else {
        StatefulSetUpdate::RollingUpdate { partition }
    }
}

/// `spec` of a DaemonSet.
pub(super) fn daemon_set_spec(
    spec: &apps::DaemonSetSpec,
    errors: &mut FieldErrors,
) -> DaemonSetSpec {
    let path = FieldPath::ROOT.field("spec");
    let mut counted = |given, default, field| count(given, default, &path.field(field), errors);
    let min_ready_seconds = counted(spec.min_ready_seconds, 0, "minReadySeconds");
    let revision_history_limit =
        counted(spec.revision_history_limit, REVISION_HISTORY_LIMIT, "revisionHistoryLimit");
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    let at = path.field("updateStrategy");
    let types = [("RollingUpdate", false), ("OnDelete", true)];
    let is_on_delete = errors.choose(strategy.type_.as_deref(), &types, false, &at.field("type"));
    let rolling = strategy.rolling_update.unwrap_or_default();
    let rolling = rolling_update(&rolling, &at.field("rollingUpdate"), errors);
    let (selector, template) =
        selector_and_template(&spec.selector, &spec.template, &[], &path, errors);
    DaemonSetSpec {
        selector,
        template,
        update: if is_on_delete { DaemonSetUpdate::OnDelete } else { rolling },
        min_ready_seconds,
        revision_history_limit,
    }
}

/// `ValidateRollingUpdateDaemonSet`: either pods may be missing, or there may be more of them.
fn rolling_update(
    rolling: &apps::RollingUpdateDaemonSet,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> DaemonSetUpdate {
    let mut number = |given: &Option<_>, default, field| {
        let at = path.field(field);
        let number = given.as_ref().map_or(default, |given| int_or_percent(given, &at, errors));
        at_most_100_percent(number, &at, errors);
        number
    };
    let max_unavailable = number(&rolling.max_unavailable, IntOrPercent::Int(1), "maxUnavailable");
    let max_surge = number(&rolling.max_surge, IntOrPercent::Int(0), "maxSurge");
    let is_some = |number| !matches!(number, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
    match (is_some(max_unavailable), is_some(max_surge)) {
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
    DaemonSetUpdate::RollingUpdate { max_surge, max_unavailable }
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
        stateful_set_spec(&serde_json::from_value(spec(extra)).unwrap(), &mut errors);
        errors.into_vec().iter().map(|error| error.path.clone()).collect()
    }

    fn of_daemon_set(rolling: &Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        let volumes = json!([{"name": "data"}]);
        let mut spec = spec(&json!({"updateStrategy": {"rollingUpdate": rolling}}));
        spec["template"]["spec"]["volumes"] = volumes;
        daemon_set_spec(&serde_json::from_value(spec).unwrap(), &mut errors);
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
