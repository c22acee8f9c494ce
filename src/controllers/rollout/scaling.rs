//! Scales the ReplicaSets of a Rollout: at once, or after the delay of a version that gets no more requests
//! (`rollout/replicaset.go`, `scaleReplicaSet` of `rollout/sync.go`, Argo Rollouts 1.9.1).

use super::sets::{SetState, with_deadline};
use super::sync::Sync;
use cluster::replica_set::ReplicaSetUpdate;
use cluster::rollout::{RolloutPhase, RolloutStrategy, ScaleDown};
use cluster::scale::ScaleTarget;
use cluster::{Action, Kind, NamespacedName, ObjectId};
use engine::{SimDuration, SimTime};

/// For how long a version that gets no more requests stays, unless the strategy says otherwise.
const DEFAULT_DELAY_SECONDS: i32 = 30;

impl Sync<'_> {
    /// Scales a set unless it has that size; whether its size changes (`scaleReplicaSetAndRecordEvent`).
    pub(super) fn scale_set(&mut self, position: usize, replicas: i32) -> bool {
        let wanted = self.wanted();
        let keeps_deadline = self.delays_scale_down_on_abort();
        let view = self.view;
        let set = &mut self.sets.all[position];
        if set.replicas == replicas && set.desired_replicas == Some(wanted) {
            return false;
        }
        let before = std::mem::replace(&mut set.replicas, replicas);
        set.desired_replicas = Some(wanted);
        let (Some(id), Some(observed)) = (set.id, set.observed) else { return false };
        let mut update = ReplicaSetUpdate {
            replicas: Some(replicas),
            desired_replicas: Some(wanted),
            ..ReplicaSetUpdate::default()
        };
        if replicas == 0 && !keeps_deadline && set.deadline.take().is_some() {
            update.annotations = Some(with_deadline(view, observed, None));
        }
        let (name, revision) = (set.name.clone(), set.revision);
        self.actions.push(Action::SetReplicaSet(id, update));
        if before == replicas {
            return false;
        }
        let direction = if replicas > before { "up" } else { "down" };
        let message = format!(
            "Scaled {direction} ReplicaSet {name} (revision {revision}) from {before} to {replicas}"
        );
        self.tell("ScalingReplicaSet", message);
        true
    }

    /// Gives a set a deadline after which it is scaled down, or takes it away.
    pub(super) fn set_deadline(&mut self, position: usize, deadline: Option<SimTime>) {
        let view = self.view;
        let set = &mut self.sets.all[position];
        let (Some(id), Some(observed)) = (set.id, set.observed) else { return };
        if set.deadline == deadline {
            return;
        }
        set.deadline = deadline;
        let annotations = Some(with_deadline(view, observed, deadline));
        let update = ReplicaSetUpdate { annotations, ..ReplicaSetUpdate::default() };
        self.actions.push(Action::SetReplicaSet(id, update));
    }

    /// Takes the deadlines of versions that are in use again (`removeScaleDownDeadlines`).
    pub(super) fn remove_deadlines(&mut self) {
        let new = self.sets.new.filter(|_| !self.delays_scale_down_on_abort());
        for position in new.into_iter().chain(self.sets.stable) {
            self.set_deadline(position, None);
        }
    }

    /// The time that a version stays after an abort; `None` = for good. Whether the strategy says it.
    fn abort_delay(&self) -> (Option<SimDuration>, bool) {
        let written = match &self.rollout.spec.strategy {
            RolloutStrategy::Canary(canary) => canary.abort_scale_down_delay_seconds,
            RolloutStrategy::BlueGreen(blue_green) => blue_green.abort_scale_down_delay_seconds,
        };
        let seconds = written.unwrap_or(DEFAULT_DELAY_SECONDS);
        ((seconds != 0).then(|| SimDuration::from_secs(seconds.into())), written.is_some())
    }

    /// Whether the new version stays for a while after an abort (`shouldDelayScaleDownOnAbort`).
    pub(super) fn delays_scale_down_on_abort(&self) -> bool {
        let (delay, is_written) = self.abort_delay();
        let canary = self.rollout.spec.canary();
        let is_basic = canary.is_some_and(|canary| canary.routing.is_none());
        let is_dynamic = canary.is_some_and(|canary| canary.dynamic_stable_scale);
        self.pauses.is_aborted(self.rollout)
            && self.sets.stable.is_some()
            && !is_basic
            && delay.is_some()
            && (is_written || !is_dynamic)
    }

    /// Scales the new set; whether its size changes (`reconcileNewReplicaSet`).
    pub(super) fn scale_new(&mut self, mut replicas: i32) -> bool {
        let Some(position) = self.sets.new else { return false };
        if self.delays_scale_down_on_abort() {
            let deadline = self.sets.all[position].deadline;
            match deadline {
                Some(at) if at > self.view.now => {
                    self.wake_at(at);
                    return false;
                }
                Some(_) => replicas = 0,
                None => {
                    let stable = self.sets.stable().map_or(0, SetState::available);
                    if let (Some(delay), true) = (self.abort_delay().0, stable == self.wanted()) {
                        let at = (self.view.now + delay).floor_to_second();
                        self.set_deadline(position, Some(at));
                        self.wake_at(at);
                    }
                    return false;
                }
            }
        }
        let is_scaled = self.scale_set(position, replicas);
        self.scale_referenced_workload();
        is_scaled
    }

    /// Scales the Deployment from which the Rollout took its template.
    fn scale_referenced_workload(&mut self) {
        let Some((name, when)) = &self.rollout.spec.workload else { return };
        let is_first = self.sets.new_set().is_some_and(|set| set.revision == 1);
        let is_healthy = self.rollout.status.phase == RolloutPhase::Healthy;
        let ready = self.rollout.status.ready_replicas;
        let wanted = match when {
            ScaleDown::OnSuccess | ScaleDown::Progressively if is_first && is_healthy => 0,
            ScaleDown::Progressively if is_first && ready > 0 => (self.wanted() - ready).max(0),
            _ => return,
        };
        let namespace = self.rollout.meta.namespace().clone();
        let id = NamespacedName::new(namespace, name.clone());
        let target = self.view.scale_target(Kind::Deployment.name(), &id);
        let is_other = |target: &ScaleTarget| {
            self.view.scale(*target).is_some_and(|scale| scale.spec_replicas != wanted)
        };
        if let Some(target) = target.filter(is_other) {
            self.actions.push(Action::Scale(target, wanted));
        }
    }

    /// How many pods a version without requests keeps: it gets a deadline, and goes when that has passed
    /// (`scaleDownDelayHelper`). `kept` counts the versions that wait.
    pub(super) fn delayed_scale_down(
        &mut self,
        position: usize,
        kept: &mut i32,
        stays: i32,
    ) -> i32 {
        let limit = match &self.rollout.spec.strategy {
            RolloutStrategy::Canary(canary) => canary.scale_down_delay_revision_limit,
            RolloutStrategy::BlueGreen(blue_green) => blue_green.scale_down_delay_revision_limit,
        };
        let limit = limit.unwrap_or(i32::MAX);
        let set = &self.sets.all[position];
        match set.deadline {
            None if set.replicas > 0 && *kept < limit => {
                *kept += 1;
                let replicas = set.replicas;
                let delay = self.scale_down_delay();
                if delay == SimDuration::ZERO {
                    // `addScaleDownDelay` sets no deadline then, so that the version stays.
                    return replicas;
                }
                let at = (self.view.now + delay).floor_to_second();
                self.set_deadline(position, Some(at));
                self.wake_at(at);
                replicas
            }
            None => 0,
            Some(at) => {
                *kept += 1;
                if *kept <= limit && at > self.view.now {
                    self.wake_at(at);
                    return stays;
                }
                0
            }
        }
    }

    fn scale_down_delay(&self) -> SimDuration {
        let seconds = match &self.rollout.spec.strategy {
            RolloutStrategy::Canary(canary) if canary.routing.is_none() => Some(0),
            RolloutStrategy::Canary(canary) => canary.scale_down_delay_seconds,
            RolloutStrategy::BlueGreen(blue_green) => blue_green.scale_down_delay_seconds,
        };
        SimDuration::from_secs(seconds.unwrap_or(DEFAULT_DELAY_SECONDS).into())
    }

    /// Deletes old sets above the history limit (`reconcileRevisionHistoryLimit`).
    pub(super) fn clean_up(&mut self) {
        let limit = usize::try_from(self.rollout.spec.revision_history_limit).unwrap_or(0);
        let others = self.sets.others();
        let surplus = others.len().saturating_sub(limit);
        for position in others.into_iter().take(surplus) {
            let set = &self.sets.all[position];
            let (Some(id), Some(observed)) = (set.id, set.observed) else { continue };
            let is_settled = observed.status.observed_generation >= observed.meta.generation;
            if is_settled && observed.status.replicas == 0 && set.replicas == 0 {
                self.actions.push(Action::Delete(ObjectId::ReplicaSet(id)));
            }
        }
    }
}
