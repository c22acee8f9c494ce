//! A sync of a Rollout with the canary strategy (`rollout/canary.go`, Argo Rollouts 1.9.1).

use super::canary::{BasicCanary, Counts, RoutedCanary, basic, has_progressed, routed};
use super::pauses::canary_pause_is_over;
use super::sets::SetState;
use super::steps;
use super::sync::Sync;
use crate::Requeue;
use cluster::analysis::AnalysisPhase;
use cluster::rollout::{CanaryStrategy, PauseReason, RolloutStatus, StepAction, TrafficWeights};

impl Sync<'_> {
    /// `rolloutCanary`.
    pub(super) fn canary(mut self, canary: &CanaryStrategy) -> Requeue {
        if self.is_changed() {
            return self.canary_status(canary);
        }
        if self.restart_pods() {
            // The counts of available pods are no longer right.
            return self.wake.map_or(Requeue::No, Requeue::At);
        }
        self.clean_up();
        self.point_canary_services(canary);
        self.route(canary);
        self.reconcile_canary_runs(canary);
        if !self.pauses.added.is_empty() || self.scale_canary(canary) {
            return self.canary_status(canary);
        }
        self.pause_at_step();
        self.canary_status(canary)
    }

    /// The pods that both versions should have now, by these weights of the router.
    pub(super) fn counts(
        &self,
        canary: &CanaryStrategy,
        weights: Option<&TrafficWeights>,
    ) -> Counts {
        let (new, stable) = (self.sets.new_set(), self.sets.stable());
        let (new, stable) = (new.map(SetState::size), stable.map(SetState::size));
        let (set_replicas, weight) = steps::replicas_or_weight(self.rollout, new, stable);
        let max_weight = steps::max_weight(&self.rollout.spec);
        if canary.routing.is_some() {
            return routed(&RoutedCanary {
                wanted: self.wanted(),
                set_replicas,
                weight,
                max_weight,
                is_dynamic: canary.dynamic_stable_scale,
                min_pods: canary.min_pods_per_replica_set,
                weights,
                is_aborted: self.rollout.status.is_aborted(),
            });
        }
        let others = self.sets.others().into_iter().map(|at| self.sets.all[at].replicas).sum();
        basic(&BasicCanary {
            wanted: self.wanted(),
            weight,
            max_weight,
            fenceposts: self.fenceposts(),
            new,
            stable: self.sets.other_stable().map(SetState::size),
            stable_or_new: stable,
            others,
        })
    }

    /// Scales the versions, one after the other; whether one was (`reconcileCanaryReplicaSets`).
    pub(super) fn scale_canary(&mut self, canary: &CanaryStrategy) -> bool {
        if self.is_halted() {
            return false;
        }
        self.remove_deadlines();
        if self.sets.other_stable().is_some()
            && let Some(stable) = self.sets.stable
        {
            // By the weights before this sync, so that the old version shrinks only after the requests have left it.
            let counts = self.counts(canary, self.rollout.status.weights.as_ref());
            if self.scale_set(stable, counts.stable) {
                return true;
            }
        }
        let counts = self.counts(canary, self.weights.clone().as_ref());
        self.scale_new(counts.new) || self.scale_down_others(canary)
    }

    /// Scales down versions that are neither new nor stable; whether there were pods to take
    /// (`scaleDownOldReplicaSetsForCanary`).
    fn scale_down_others(&mut self, canary: &CanaryStrategy) -> bool {
        let active = |sync: &Self, at: &usize| sync.sets.all[*at].replicas > 0;
        let mut others = self.sets.others();
        others.retain(|at| active(self, at));
        let mut is_scaled = false;
        for at in &others {
            // Unavailable pods go first: they would block the update (`cleanupUnhealthyReplicas`).
            let size = self.sets.all[*at].size();
            if size.available < size.replicas {
                is_scaled |= self.scale_set(*at, size.available);
            }
        }
        let least = self.wanted() - self.fenceposts().unavailable;
        let mut may_go = self.sets.sum(|set| set.available_replicas) - least;
        if may_go <= 0 {
            return false;
        }
        others.sort_by_key(|at| std::cmp::Reverse(self.sets.all[*at].revision));
        let mut kept = 0;
        for at in others {
            let replicas = self.sets.all[at].replicas;
            if may_go <= 0 {
                break;
            }
            if replicas == 0 || canary.routing.is_some() && self.is_referenced(at) {
                continue;
            }
            let is_stable = self.rollout.status.is_fully_promoted();
            let stays = if canary.routing.is_none() {
                (replicas - may_go).max(0)
            } else if (is_stable || self.sets.all[at].deadline.is_some())
                && !canary.dynamic_stable_scale
            {
                self.delayed_scale_down(at, &mut kept, replicas)
            } else {
                0
            };
            if stays != replicas {
                self.scale_set(at, stays);
                may_go -= replicas - stays;
                is_scaled = true;
            }
        }
        is_scaled
    }

    /// Pauses at a `pause` step, or waits for its end (`reconcileCanaryPause`).
    fn pause_at_step(&mut self) {
        let status = &self.rollout.status;
        if self.rollout.spec.paused || status.promote_full {
            return;
        }
        let Some((_, step)) = steps::current(self.rollout) else { return };
        if !matches!(step.action, StepAction::Pause(_)) {
            return;
        }
        match status.paused_since(PauseReason::CanaryPauseStep) {
            None if !status.controller_pause => self.pauses.add(PauseReason::CanaryPauseStep),
            None => {}
            Some(since) => {
                let end = step.pause().map(|duration| since + duration);
                if let Some(end) = end.filter(|end| *end > self.view.now) {
                    self.wake_at(end);
                }
            }
        }
    }

    /// Whether the present step is done (`completedCurrentCanaryStep`).
    fn is_step_completed(&self, canary: &CanaryStrategy) -> bool {
        let Some((_, step)) = steps::current(self.rollout) else { return false };
        if self.rollout.spec.paused {
            return false;
        }
        match &step.action {
            StepAction::Pause(_) => {
                canary_pause_is_over(&self.rollout.status, step.pause(), self.view.now)
            }
            StepAction::Analysis(_) if step.scale.is_none() => {
                self.runs.step.as_ref().is_some_and(|run| run.phase == AnalysisPhase::Successful)
            }
            StepAction::Other(_) if step.scale.is_none() => true,
            // Beside a scale the controller waits for nothing else.
            _ => self.is_at_desired_counts(canary, self.weights.as_ref()),
        }
    }

    /// Whether both versions have their pods (`AtDesiredReplicaCountsForCanary`).
    pub(super) fn is_at_desired_counts(
        &self,
        canary: &CanaryStrategy,
        weights: Option<&TrafficWeights>,
    ) -> bool {
        let counts = self.counts(canary, weights);
        let new = self.sets.new_set().map(SetState::size);
        if !has_progressed(canary.progress_threshold, new, counts.new) {
            return false;
        }
        if canary.routing.is_none() || !canary.dynamic_stable_scale {
            let is_there = self.sets.stable().is_some_and(|set| {
                let created = set.status().map_or(0, |status| status.replicas);
                (set.replicas, created) == (counts.stable, counts.stable)
            });
            if !is_there {
                return false;
            }
        }
        let others = self.sets.others();
        canary.routing.is_some() || others.into_iter().all(|at| self.sets.all[at].available() == 0)
    }

    /// `syncRolloutStatusCanary`.
    fn canary_status(mut self, canary: &CanaryStrategy) -> Requeue {
        let mut status = self.base_status();
        status.available_replicas = self.sets.sum(|set| set.available_replicas);
        status.hpa_replicas = self.sets.sum(|set| set.replicas);
        let steps = canary.steps.len();
        if self.is_changed() {
            self.restart_steps(&mut status, steps);
            self.judge(&mut status);
            return self.persist(status);
        }
        let skips = self.rollout.status.promote_full || self.is_rollback_within_window();
        if skips {
            self.pauses.clear();
            if steps > 0 {
                status.current_step = Some(steps);
            }
        }
        if let Some(reason) = self.canary_promotion(canary) {
            self.promote_stable(&mut status, &reason);
        } else if self.pauses.is_aborted(self.rollout) {
            let at = if status.is_fully_promoted() { steps } else { 0 };
            status.current_step = (steps > 0).then_some(at);
        } else if let Some((index, step)) =
            steps::current(self.rollout).filter(|_| self.is_step_completed(canary))
        {
            status.current_step = Some(if skips { steps } else { index + 1 });
            status.runs.step = None;
            let number = index + 1;
            let message =
                format!("Rollout step {number}/{steps} completed ({})", steps::text(step));
            self.tell("RolloutStepCompleted", message);
            self.pauses.remove(PauseReason::CanaryPauseStep);
        }
        self.judge(&mut status);
        self.persist(status)
    }

    /// Begins an update with the first step, or after the last if it goes back to a known version.
    fn restart_steps(&mut self, status: &mut RolloutStatus, steps: usize) {
        self.reset(status);
        let Some(new) = self.sets.new_set().filter(|_| steps > 0) else { return };
        if self.rollout.status.stable_hash == new.hash {
            status.current_step = Some(steps);
            self.tell("SkipSteps", "Rollback to stable ReplicaSets".to_owned());
        } else if new.replicas > 0 && self.is_rollback_within_window() {
            status.current_step = Some(steps);
            let message = "Rollback to active ReplicaSets within RollbackWindow";
            self.tell("SkipSteps", message.to_owned());
        }
    }

    /// Why the new version becomes the stable one, if it does (`shouldFullPromote`).
    fn canary_promotion(&self, canary: &CanaryStrategy) -> Option<String> {
        if self.sets.stable.is_none() {
            return Some("Initial deploy".to_owned());
        }
        let wanted = self.wanted();
        let size = self.sets.new_set()?.size();
        let has_enough = size.available >= wanted
            || has_progressed(canary.progress_threshold, Some(size), wanted);
        if self.pauses.is_aborted(self.rollout) || !has_enough {
            return None;
        }
        if self.rollout.status.promote_full {
            return Some("Full promotion requested".to_owned());
        }
        if self.is_rollback_within_window() {
            return Some("Rollback within window".to_owned());
        }
        let steps = canary.steps.len();
        let is_done = steps == 0 || self.rollout.status.current_step == Some(steps);
        is_done.then(|| format!("Completed all {steps} canary steps"))
    }
}
