//! Converts StatefulSets and DaemonSets of the API to those of `cluster`, validated like in the API
//! server (`pkg/apis/apps/validation`, 1.36).

use k8s_openapi::api::apps::v1 as apps;

use super::claim::claim_spec;
use super::field::{FieldErrors, FieldPath};
use super::int_or_percent::{at_most_100_percent, int_or_percent, is_zero};
use super::workload::{count, pod_count, selector_and_template};
use cluster::Name;
use cluster::claim::ClaimTemplate;
use cluster::daemon_set::{DaemonSetSpec, DaemonSetUpdate};
use cluster::stateful_set::{ClaimRetention, StatefulSetSpec, StatefulSetUpdate};

/// Update strategies; true if pods are only replaced once a user deletes them.
const UPDATES: [(&str, bool); 2] = [("RollingUpdate", false), ("OnDelete", true)];

/// `spec` of a StatefulSet.
pub(super) fn stateful_set_spec(
    spec: &apps::StatefulSetSpec,
    errors: &mut FieldErrors,
) -> StatefulSetSpec {
    let path = FieldPath::ROOT.field("spec");
    let at = path.field("volumeClaimTemplates");
    let (mut claims, mut claim_templates) = (Vec::new(), Vec::new());
    for (place, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        let (Some(name), Some(asked)) = (&claim.metadata.name, &claim.spec) else { continue };
        let spec = claim_spec(asked, &at.item(place).field("spec"), errors);
        claim_templates.push(ClaimTemplate { name: Name::from(name.as_str()), spec });
        claims.push(name.as_str());
    }
    let claim_retention = claim_retention(spec, &path, errors);
    let replicas = pod_count(spec.replicas, &path.field("replicas"), errors);
    let mut counted = |given, field| count(given, &path.field(field), errors);
    let min_ready_seconds = counted(spec.min_ready_seconds, "minReadySeconds");
    let revision_history_limit = counted(spec.revision_history_limit, "revisionHistoryLimit");
    let ordinals = path.field("ordinals");
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    let start_ordinal = count(start, &ordinals.field("start"), errors);
    let policies = [("OrderedReady", false), ("Parallel", true)];
    let policy = spec.pod_management_policy.as_deref();
    let at = path.field("podManagementPolicy");
    let is_parallel = errors.choose(policy, &policies, &at);
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
        |given: Option<&str>, field| errors.choose(given, &policies, &path.field(field));
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
    let is_on_delete = errors.choose(strategy.type_.as_deref(), &UPDATES, &at);
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
    let at = at.field("rollingUpdate");
    let partition = count(partition, &at.field("partition"), errors);
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
    let mut counted = |given, field| count(given, &path.field(field), errors);
    let min_ready_seconds = counted(spec.min_ready_seconds, "minReadySeconds");
    let revision_history_limit = counted(spec.revision_history_limit, "revisionHistoryLimit");
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    let at = path.field("updateStrategy");
    let is_on_delete = errors.choose(strategy.type_.as_deref(), &UPDATES, &at);
    let rolling = strategy.rolling_update;
    let rolling = rolling.map(|one| rolling_update(&one, &at.field("rollingUpdate"), errors));
    let (selector, template) =
        selector_and_template(&spec.selector, &spec.template, &[], &path, errors);
    DaemonSetSpec {
        selector,
        template,
        update: rolling.filter(|_| !is_on_delete).unwrap_or(DaemonSetUpdate::OnDelete),
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
    let mut number = |given: &Option<_>, field| {
        let at = path.field(field);
        let number = int_or_percent(given.as_ref(), &at, errors);
        at_most_100_percent(number, &at, errors);
        number
    };
    let max_unavailable = number(&rolling.max_unavailable, "maxUnavailable");
    let max_surge = number(&rolling.max_surge, "maxSurge");
    match (is_zero(max_unavailable), is_zero(max_surge)) {
        (false, false) => {
            let rule = "Forbidden: may not be set when maxUnavailable is non-zero";
            errors.push(&path.field("maxSurge"), rule);
        }
        (true, true) => {
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
    use crate::defaults::SetDefaults;
    use serde_json::{Value, json};

    fn object<T: SetDefaults>(spec: &Value) -> T {
        let mut object: T = serde_json::from_value(json!({ "spec": spec })).unwrap();
        object.set_defaults();
        object
    }

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
        let set: apps::StatefulSet = object(&spec(extra));
        stateful_set_spec(&set.spec.unwrap(), &mut errors);
        errors.into_vec().iter().map(|error| error.path.clone()).collect()
    }

    fn of_daemon_set(rolling: &Value) -> Vec<String> {
        let mut errors = FieldErrors::default();
        let volumes = json!([{"name": "data"}]);
        let mut spec = spec(&json!({"updateStrategy": {"rollingUpdate": rolling}}));
        spec["template"]["spec"]["volumes"] = volumes;
        daemon_set_spec(&object::<apps::DaemonSet>(&spec).spec.unwrap(), &mut errors);
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
