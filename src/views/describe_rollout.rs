//! Rollouts of Argo Rollouts in detail.

use serde_json::{Map, Value, json};

use super::describe::{labels, names};
use super::get::Snapshot;
use super::object_status::conditions;
use super::page::{Page, line};
use cluster::analysis::AnalysisRun;
use cluster::rollout::{Rollout, RolloutStrategy};
use cluster::{ClusterView, NamespacedName};

/// A Rollout: its strategy and what came of it.
pub(super) fn rollout(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let rollout = snapshot.view.store().find::<Rollout>(id)?;
    let (spec, status) = (&rollout.spec, &rollout.status);
    names(id, page);
    labels(&rollout.meta, page);
    line!(page, 0, "API Version:\targoproj.io/v1alpha1");
    line!(page, 0, "Kind:\tRollout");
    line!(page, 0, "Metadata:");
    line!(page, 1, "Creation Timestamp:\t{}", snapshot.date(rollout.meta.created));
    line!(page, 1, "Generation:\t{}", rollout.meta.generation);
    line!(page, 0, "Spec:");
    line!(page, 1, "Replicas:\t{}", spec.replicas);
    match &spec.strategy {
        RolloutStrategy::Canary(canary) => {
            line!(page, 1, "Strategy:\tCanary");
            line!(page, 1, "Steps:\t{}", canary.steps.len());
        }
        RolloutStrategy::BlueGreen(blue_green) => {
            line!(page, 1, "Strategy:\tBlueGreen");
            line!(page, 1, "Active Service:\t{}", blue_green.active_service);
        }
    }
    line!(page, 0, "Status:");
    line!(page, 1, "Available Replicas:\t{}", status.available_replicas);
    line!(page, 1, "Current Pod Hash:\t{}", status.current_pod_hash);
    if let Some(step) = status.current_step {
        line!(page, 1, "Current Step Index:\t{step}");
    }
    line!(page, 1, "HPA Replicas:\t{}", status.hpa_replicas);
    if !status.message.is_empty() {
        line!(page, 1, "Message:\t{}", status.message);
    }
    line!(page, 1, "Phase:\t{:?}", status.phase);
    line!(page, 1, "Ready Replicas:\t{}", status.ready_replicas);
    line!(page, 1, "Replicas:\t{}", status.replicas);
    line!(page, 1, "Stable RS:\t{}", status.stable_hash);
    line!(page, 1, "Updated Replicas:\t{}", status.updated_replicas);
    Some(())
}

/// `status` of a Rollout.
pub(super) fn status(view: ClusterView<'_>, rollout: &Rollout) -> Map<String, Value> {
    let status = &rollout.status;
    let mut fields = json!({
        "HPAReplicas": status.hpa_replicas,
        "availableReplicas": status.available_replicas,
        "blueGreen": {},
        "canary": {},
        "conditions": conditions(view, &status.conditions),
        "currentPodHash": &*status.current_pod_hash,
        "observedGeneration": status.observed_generation.to_string(),
        "phase": format!("{:?}", status.phase),
        "readyReplicas": status.ready_replicas,
        "replicas": status.replicas,
        "stableRS": &*status.stable_hash,
        "updatedReplicas": status.updated_replicas,
    });
    let mut set = |field: &str, value: Value| fields[field] = value;
    if let Some(step) = status.current_step {
        set("currentStepIndex", step.into());
    }
    if !status.message.is_empty() {
        set("message", (*status.message).into());
    }
    if status.is_aborted() {
        set("abort", true.into());
    }
    if let Some(at) = status.restarted_at {
        set("restartedAt", at.to_string().into());
    }
    if status.controller_pause {
        set("controllerPause", true.into());
    }
    let pauses = status.pauses.iter().map(|(reason, _)| json!({ "reason": reason.name() }));
    let pauses: Vec<Value> = pauses.collect();
    if !pauses.is_empty() {
        set("pauseConditions", pauses.into());
    }
    let run = |run: &AnalysisRun| json!({"message": &*run.message, "name": &*run.name, "status": run.phase.name()});
    let runs = &status.runs;
    for (part, field, value) in [
        ("canary", "currentStepAnalysisRunStatus", runs.step.as_ref().map(run)),
        ("canary", "currentBackgroundAnalysisRunStatus", runs.background.as_ref().map(run)),
        ("blueGreen", "prePromotionAnalysisRunStatus", runs.pre_promotion.as_ref().map(run)),
        ("blueGreen", "postPromotionAnalysisRunStatus", runs.post_promotion.as_ref().map(run)),
    ] {
        if let Some(value) = value {
            fields[part][field] = value;
        }
    }
    if let Some(weights) = &status.weights {
        fields["canary"]["weights"] = json!({
            "canary": {"podTemplateHash": &*weights.canary_hash, "weight": weights.canary},
            "stable": {"podTemplateHash": &*weights.stable_hash, "weight": weights.stable},
        });
    }
    for (field, hash) in
        [("activeSelector", &status.active_selector), ("previewSelector", &status.preview_selector)]
    {
        if !hash.is_empty() {
            fields["blueGreen"][field] = (**hash).into();
        }
    }
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
