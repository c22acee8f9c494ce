//! Rollouts of Argo Rollouts (`argoproj.io/v1alpha1`, 1.9.1): their fields; `lower` validates and converts them.

mod lower;
mod steps;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::{
    IntOrStringFields, LabelSelectorFields, ObjectMetaFields, PodTemplateFields,
};

pub(super) use lower::rollout;
pub(super) use steps::reference;

/// Fields whose content is not simulated.
type Opaque = Option<BTreeMap<String, Value>>;

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rollout {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    spec: RolloutSpec,
    #[expect(dead_code, reason = "the controller's; here for the schema")]
    status: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutSpec {
    replicas: Option<i32>,
    #[schemars(with = "Option<LabelSelectorFields>")]
    selector: Option<meta::LabelSelector>,
    #[schemars(with = "Option<PodTemplateFields>")]
    template: Option<core::PodTemplateSpec>,
    workload_ref: Option<WorkloadRef>,
    strategy: Option<RolloutStrategy>,
    min_ready_seconds: Option<i32>,
    revision_history_limit: Option<i32>,
    paused: Option<bool>,
    progress_deadline_seconds: Option<i32>,
    progress_deadline_abort: Option<bool>,
    rollback_window: Option<RollbackWindow>,
    #[schemars(with = "Option<String>")]
    restart_at: Option<meta::Time>,
    analysis: Option<AnalysisRunStrategy>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct WorkloadRef {
    api_version: Option<String>,
    kind: Option<String>,
    name: String,
    scale_down: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RollbackWindow {
    revisions: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct AnalysisRunStrategy {
    successful_run_history_limit: Option<i32>,
    unsuccessful_run_history_limit: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutStrategy {
    blue_green: Option<BlueGreenStrategy>,
    canary: Option<CanaryStrategy>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct BlueGreenStrategy {
    active_service: String,
    preview_service: Option<String>,
    preview_replica_count: Option<i32>,
    auto_promotion_enabled: Option<bool>,
    auto_promotion_seconds: Option<i32>,
    #[schemars(with = "Option<IntOrStringFields>")]
    max_unavailable: Option<IntOrString>,
    scale_down_delay_seconds: Option<i32>,
    scale_down_delay_revision_limit: Option<i32>,
    abort_scale_down_delay_seconds: Option<i32>,
    pre_promotion_analysis: Option<RolloutAnalysis>,
    post_promotion_analysis: Option<RolloutAnalysis>,
    anti_affinity: Opaque,
    preview_metadata: Opaque,
    active_metadata: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct CanaryStrategy {
    canary_service: Option<String>,
    stable_service: Option<String>,
    steps: Vec<CanaryStep>,
    traffic_routing: Option<RolloutTrafficRouting>,
    #[schemars(with = "Option<IntOrStringFields>")]
    max_surge: Option<IntOrString>,
    #[schemars(with = "Option<IntOrStringFields>")]
    max_unavailable: Option<IntOrString>,
    analysis: Option<RolloutAnalysisBackground>,
    anti_affinity: Opaque,
    canary_metadata: Opaque,
    stable_metadata: Opaque,
    scale_down_delay_seconds: Option<i32>,
    scale_down_delay_revision_limit: Option<i32>,
    abort_scale_down_delay_seconds: Option<i32>,
    dynamic_stable_scale: Option<bool>,
    ping_pong: Opaque,
    min_pods_per_replica_set: Option<i32>,
    replica_progress_threshold: Option<ReplicaProgressThreshold>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct ReplicaProgressThreshold {
    r#type: String,
    value: i32,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutTrafficRouting {
    nginx: Option<NginxTrafficRouting>,
    plugins: BTreeMap<String, Value>,
    max_traffic_weight: Option<i32>,
    managed_routes: Option<Vec<Value>>,
    istio: Opaque,
    alb: Opaque,
    smi: Opaque,
    ambassador: Opaque,
    app_mesh: Opaque,
    traefik: Opaque,
    apisix: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct NginxTrafficRouting {
    annotation_prefix: Option<String>,
    stable_ingress: Option<String>,
    stable_ingresses: Vec<String>,
    additional_ingress_annotations: Option<BTreeMap<String, String>>,
    canary_ingress_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct CanaryStep {
    set_weight: Option<i32>,
    pause: Option<RolloutPause>,
    analysis: Option<RolloutAnalysis>,
    set_canary_scale: Option<SetCanaryScale>,
    experiment: Opaque,
    set_header_route: Opaque,
    set_mirror_route: Opaque,
    plugin: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutPause {
    #[schemars(with = "Option<IntOrStringFields>")]
    duration: Option<IntOrString>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct SetCanaryScale {
    weight: Option<i32>,
    replicas: Option<i32>,
    match_traffic_weight: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutAnalysis {
    templates: Vec<AnalysisTemplateRef>,
    args: Vec<AnalysisRunArgument>,
    dry_run: Vec<DryRun>,
    measurement_retention: Option<Vec<Value>>,
    analysis_run_metadata: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RolloutAnalysisBackground {
    templates: Vec<AnalysisTemplateRef>,
    args: Vec<AnalysisRunArgument>,
    dry_run: Vec<DryRun>,
    measurement_retention: Option<Vec<Value>>,
    analysis_run_metadata: Opaque,
    starting_step: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AnalysisTemplateRef {
    pub(super) template_name: String,
    pub(super) cluster_scope: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct AnalysisRunArgument {
    name: String,
    value: Option<String>,
    value_from: Option<ArgumentValueFrom>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct ArgumentValueFrom {
    pod_template_hash_value: Option<String>,
    field_ref: Option<FieldRef>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FieldRef {
    field_path: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DryRun {
    pub(super) metric_name: String,
}
