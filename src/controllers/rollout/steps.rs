//! Steps of a canary: which one is under way, and the weight and scale that it sets (`utils/replicaset/canary.go`, Argo Rollouts
//! 1.9.1).

use super::canary::{SetSize, pods_of_weight};
use cluster::rollout::{CanaryScale, CanaryStep, Rollout, RolloutSpec, StepAction};
use engine::Digest;

/// The step under way; `None` without steps or after the last (`GetCurrentCanaryStep`).
pub fn current(rollout: &Rollout) -> Option<(usize, &CanaryStep)> {
    let index = rollout.status.current_step.unwrap_or_default();
    Some((index, rollout.spec.steps().get(index)?))
}

/// The weight of all requests or pods.
pub fn max_weight(spec: &RolloutSpec) -> i32 {
    let routing = spec.canary().and_then(|canary| canary.routing.as_ref());
    routing.map_or(100, |routing| routing.max_weight)
}

/// The weight that the last `setWeight` up to the present step sets (`GetCurrentSetWeight`).
pub fn set_weight(rollout: &Rollout) -> i32 {
    if rollout.status.is_aborted() {
        return 0;
    }
    match current(rollout) {
        None => max_weight(&rollout.spec),
        Some((index, _)) => weight_before(rollout.spec.steps(), index + 1),
    }
}

/// The weight that the last `setWeight` of the first steps sets.
pub(crate) fn weight_before(steps: &[CanaryStep], end: usize) -> i32 {
    let first = &steps[..end.min(steps.len())];
    first.iter().rev().find_map(CanaryStep::weight).unwrap_or_default()
}

/// The scale that a `setCanaryScale` step sets apart from the weight (`UseSetCanaryScale`).
fn canary_scale(rollout: &Rollout) -> Option<CanaryScale> {
    let canary = rollout.spec.canary().filter(|canary| canary.routing.is_some())?;
    // `abortScaleDownDelaySeconds: 0` leaves the canary as it is.
    if rollout.status.is_aborted() && canary.abort_scale_down_delay_seconds != Some(0) {
        return None;
    }
    let (index, _) = current(rollout)?;
    let scale = canary.steps[..=index].iter().rev().find_map(|step| step.scale)?;
    (scale != CanaryScale::MatchTrafficWeight).then_some(scale)
}

/// The pods that a step asks for, or else the weight (`GetCanaryReplicasOrWeight`).
pub(crate) fn replicas_or_weight(
    rollout: &Rollout,
    new: Option<SetSize>,
    stable: Option<SetSize>,
) -> (Option<i32>, i32) {
    let status = &rollout.status;
    if status.promote_full || status.stable_hash.is_empty() || status.is_fully_promoted() {
        return (None, max_weight(&rollout.spec));
    }
    match canary_scale(rollout) {
        Some(CanaryScale::Replicas(replicas)) => (Some(replicas), 0),
        Some(CanaryScale::Weight(weight)) => (None, weight),
        _ => (None, desired_weight(rollout, new, stable)),
    }
}

/// The weight of the new version (`GetDesiredCanaryWeight`). An aborted update with `dynamicStableScale` goes back through
/// the weights of its steps, as far as the stable version has grown.
pub(crate) fn desired_weight(
    rollout: &Rollout,
    new: Option<SetSize>,
    stable: Option<SetSize>,
) -> i32 {
    let is_dynamic = rollout.spec.canary().is_some_and(|canary| canary.dynamic_stable_scale);
    let (true, Some(new), Some(stable)) = (rollout.status.is_aborted() && is_dynamic, new, stable)
    else {
        return set_weight(rollout);
    };
    let wanted = rollout.spec.replicas;
    let pods = (wanted - stable.available).max(new.available);
    let max_weight = max_weight(&rollout.spec);
    let mut weights = rollout.spec.steps().iter().rev().filter_map(CanaryStep::weight);
    let lower = weights.find(|weight| pods_of_weight(wanted, *weight, max_weight) < pods);
    lower.unwrap_or_default()
}

/// Stands for `status.currentStepHash`: changes if the steps do; 0 with blue-green.
pub fn digest(spec: &RolloutSpec) -> u64 {
    let Some(canary) = spec.canary() else { return 0 };
    let mut digest = Digest::default();
    digest.bytes(format!("{:?}", canary.steps).as_bytes());
    digest.value()
}

/// A step as the controller's Events name it (`CanaryStepString`).
pub fn text(step: &CanaryStep) -> String {
    match (&step.action, step.scale) {
        (StepAction::SetWeight(weight), _) => format!("setWeight: {weight}"),
        (StepAction::Pause(None), _) => "pause".to_owned(),
        (StepAction::Pause(Some(length)), _) => format!("pause: {}", length.written),
        (StepAction::Analysis(_), _) => "analysis".to_owned(),
        (_, Some(CanaryScale::Weight(weight))) => format!("setCanaryScale{{weight: {weight}}}"),
        (_, Some(CanaryScale::Replicas(replicas))) => {
            format!("setCanaryScale{{replicas: {replicas}}}")
        }
        (_, Some(CanaryScale::MatchTrafficWeight)) => {
            "setCanaryScale{matchTrafficWeight: true}".to_owned()
        }
        (StepAction::Other(name), None) => name.to_string(),
        (StepAction::Scale, None) => "invalid".to_owned(),
    }
}
