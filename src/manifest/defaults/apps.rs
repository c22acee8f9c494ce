//! Workloads with long-running pods (`pkg/apis/apps/v1/defaults.go`, 1.36).

use k8s_openapi::api::apps::v1::{
    DaemonSet, Deployment, ReplicaSet, RollingUpdateStatefulSetStrategy, StatefulSet,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaimStatus;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::core::claim_spec;
use super::pod::template;
use super::{SetDefaults, text};

const REPLICAS: i32 = 1;
const REVISION_HISTORY_LIMIT: i32 = 10;
const PROGRESS_DEADLINE_SECONDS: i32 = 600;
const ROLLING_UPDATE: &str = "RollingUpdate";

impl SetDefaults for Deployment {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.replicas.get_or_insert(REPLICAS);
        spec.revision_history_limit.get_or_insert(REVISION_HISTORY_LIMIT);
        spec.progress_deadline_seconds.get_or_insert(PROGRESS_DEADLINE_SECONDS);
        let strategy = spec.strategy.get_or_insert_default();
        text(&mut strategy.type_, ROLLING_UPDATE);
        if strategy.type_.as_deref() == Some(ROLLING_UPDATE) {
            let rolling = strategy.rolling_update.get_or_insert_default();
            for number in [&mut rolling.max_surge, &mut rolling.max_unavailable] {
                number.get_or_insert_with(|| IntOrString::String("25%".to_owned()));
            }
        }
        template(&mut spec.template);
    }
}

impl SetDefaults for ReplicaSet {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.replicas.get_or_insert(REPLICAS);
        template(spec.template.get_or_insert_default());
    }
}

impl SetDefaults for StatefulSet {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.replicas.get_or_insert(REPLICAS);
        spec.revision_history_limit.get_or_insert(REVISION_HISTORY_LIMIT);
        text(&mut spec.pod_management_policy, "OrderedReady");
        let strategy = spec.update_strategy.get_or_insert_default();
        if strategy.type_.as_ref().is_none_or(String::is_empty) {
            strategy.type_ = Some(ROLLING_UPDATE.to_owned());
            strategy.rolling_update.get_or_insert_with(RollingUpdateStatefulSetStrategy::default);
        }
        if strategy.type_.as_deref() == Some(ROLLING_UPDATE)
            && let Some(rolling) = &mut strategy.rolling_update
        {
            // `maxUnavailable` is only defaulted if its feature gate is enabled, which it is not by
            // default.
            rolling.partition.get_or_insert(0);
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        text(&mut retention.when_deleted, "Retain");
        text(&mut retention.when_scaled, "Retain");
        template(&mut spec.template);
        for claim in spec.volume_claim_templates.iter_mut().flatten() {
            claim_spec(claim.spec.get_or_insert_default());
            let phase = Some("Pending".to_owned());
            claim.status = Some(PersistentVolumeClaimStatus {
                phase,
                ..PersistentVolumeClaimStatus::default()
            });
        }
    }
}

impl SetDefaults for DaemonSet {
    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.revision_history_limit.get_or_insert(REVISION_HISTORY_LIMIT);
        let strategy = spec.update_strategy.get_or_insert_default();
        text(&mut strategy.type_, ROLLING_UPDATE);
        if strategy.type_.as_deref() == Some(ROLLING_UPDATE) {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        template(&mut spec.template);
    }
}
