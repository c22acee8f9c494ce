//! A sync of a Rollout with the blue-green strategy (`rollout/bluegreen.go`, Argo Rollouts 1.9.1).

use super::sync::Sync;
use crate::Requeue;
use cluster::analysis::AnalysisPhase;
use cluster::rollout::{BlueGreenStrategy, PauseReason, RolloutStatus};
use engine::SimDuration;

const PAUSE: PauseReason = PauseReason::BlueGreenPause;

impl Sync<'_> {
    /// `rolloutBlueGreen`.
    pub(super) fn blue_green(mut self, strategy: &BlueGreenStrategy) -> Requeue {
        if let Some(preview) = &strategy.preview_service
            && !self.is_halted()
        {
            let hash = self.new_hash();
            self.switch_service(preview, &hash);
            self.preview_switched_to = Some(hash);
        }
        let is_changed = {
            let known = &self.rollout.status.current_pod_hash;
            !known.is_empty() && *known != self.new_hash()
        };
        if is_changed {
            return self.blue_green_status(strategy, true);
        }
        self.restart_pods();
        self.scale_blue_green(strategy);
        self.pause_before_switch(strategy);
        self.switch_active(strategy);
        self.reconcile_blue_green_runs(strategy);
        self.blue_green_status(strategy, false)
    }

    pub(super) fn new_hash(&self) -> cluster::Name {
        self.sets.new_set().map_or_else(|| "".into(), |set| set.hash.clone())
    }

    /// Pods of the new version (`NewRSNewReplicas`).
    fn new_replicas(&self, strategy: &BlueGreenStrategy) -> i32 {
        let wanted = self.wanted();
        let Some(preview) = strategy.preview_replica_count else { return wanted };
        let status = &self.rollout.status;
        let active = self.sets.of_hash(&status.active_selector);
        let new = self.new_hash();
        let is_in_use = active.is_none_or(|active| active.hash == new);
        if is_in_use || status.promote_full {
            return wanted;
        }
        let is_paused = self.rollout.spec.paused || !status.pauses.is_empty();
        if new == status.current_pod_hash && !is_paused && status.preview_accepted {
            wanted
        } else {
            preview
        }
    }

    /// `reconcileBlueGreenReplicaSets`.
    pub(super) fn scale_blue_green(&mut self, strategy: &BlueGreenStrategy) {
        self.remove_deadlines();
        if let Some(stable) = self.sets.stable {
            self.scale_set(stable, self.wanted());
        }
        let replicas = self.new_replicas(strategy);
        self.scale_new(replicas);
        self.scale_down_earlier(strategy);
        self.clean_up();
    }

    /// Scales down versions that no Service has any more, after their delay (`scaleDownOldReplicaSetsForBlueGreen`).
    fn scale_down_earlier(&mut self, strategy: &BlueGreenStrategy) {
        let status = &self.rollout.status;
        if status.paused_since(PauseReason::InconclusiveAnalysisRun).is_some() {
            return;
        }
        let waits_for_analysis = strategy.post_promotion_analysis.is_some()
            && strategy.scale_down_delay_seconds.is_none()
            && !self.skips_post_promotion();
        let run = self.runs.post_promotion.as_ref();
        if waits_for_analysis && run.is_none_or(|run| run.phase != AnalysisPhase::Successful) {
            return;
        }
        let mut others = self.sets.others();
        others.sort_by_key(|at| std::cmp::Reverse(self.sets.all[*at].revision));
        let mut kept = 0;
        for at in others {
            let replicas = self.sets.all[at].replicas;
            if replicas > 0 && !self.is_referenced(at) {
                let stays = self.delayed_scale_down(at, &mut kept, self.wanted());
                if stays != replicas {
                    self.scale_set(at, stays);
                }
            }
        }
    }

    /// Whether the new version has the pods that it should have now (`ReadyForPause`).
    fn is_new_ready(&self, strategy: &BlueGreenStrategy) -> bool {
        let wanted = self.new_replicas(strategy);
        self.sets.new_set().is_some_and(|new| (new.replicas, new.available()) == (wanted, wanted))
    }

    /// Whether the switch needs no pause (`isBlueGreenFastTracked`).
    fn is_fast_tracked(&self, strategy: &BlueGreenStrategy) -> bool {
        let selected = self.selected_hash(&strategy.active_service);
        self.sets.new_set().is_some_and(|new| new.deadline.is_some())
            || self.rollout.status.promote_full
            || selected.is_empty()
            || selected == self.new_hash()
    }

    /// Pauses before the switch, or ends the pause (`reconcileBlueGreenPause`).
    fn pause_before_switch(&mut self, strategy: &BlueGreenStrategy) {
        let status = &self.rollout.status;
        if status.is_aborted() || !self.is_new_ready(strategy) || self.is_halted() {
            return;
        }
        let needs_pause = !strategy.auto_promotion_enabled || strategy.auto_promotion_seconds > 0;
        if self.is_fast_tracked(strategy) || status.preview_accepted || !needs_pause {
            return self.pauses.remove(PAUSE);
        }
        if !self.has_passed_pre_promotion(strategy) {
            return;
        }
        match status.paused_since(PAUSE) {
            None if !status.controller_pause => self.pauses.add(PAUSE),
            Some(_) if self.is_pause_over(strategy) => self.pauses.remove(PAUSE),
            Some(since) if strategy.auto_promotion_seconds > 0 => {
                let seconds = strategy.auto_promotion_seconds.into();
                self.wake_at(since + SimDuration::from_secs(seconds));
            }
            None | Some(_) => {}
        }
    }

    /// Whether the pause is over, by time or promotion (`CompletedBlueGreenPause`).
    fn is_pause_over(&self, strategy: &BlueGreenStrategy) -> bool {
        let status = &self.rollout.status;
        let since = status.paused_since(PAUSE);
        if !self.pauses.added.is_empty() {
            return false;
        }
        if status.preview_accepted {
            return true;
        }
        if strategy.auto_promotion_enabled {
            let seconds = strategy.auto_promotion_seconds;
            let delay = SimDuration::from_secs(seconds.into());
            return seconds == 0 || since.is_some_and(|since| self.view.now >= since + delay);
        }
        status.controller_pause && since.is_none()
    }

    pub(super) fn has_passed_pre_promotion(&self, strategy: &BlueGreenStrategy) -> bool {
        let run = self.runs.pre_promotion.as_ref();
        strategy.pre_promotion_analysis.is_none()
            || run.is_some_and(|run| run.phase == AnalysisPhase::Successful)
    }

    /// Switches the active Service when the new version is ready and accepted, or back after an abort
    /// (`reconcileActiveService`).
    fn switch_active(&mut self, strategy: &BlueGreenStrategy) {
        let wanted = self.wanted();
        let is_saturated = self.sets.new_set().is_some_and(|new| new.is_saturated(wanted));
        if self.is_halted() || !self.is_new_ready(strategy) || !is_saturated {
            return;
        }
        let active = &strategy.active_service;
        let is_accepted = self.is_fast_tracked(strategy)
            || self.is_pause_over(strategy) && self.has_passed_pre_promotion(strategy);
        let hash = if self.rollout.status.is_aborted() {
            self.rollout.status.stable_hash.clone()
        } else if is_accepted {
            self.new_hash()
        } else {
            self.selected_hash(active)
        };
        self.switch_service(active, &hash);
        self.active_switched_to = Some(hash);
    }

    /// `syncRolloutStatusBlueGreen`.
    fn blue_green_status(mut self, strategy: &BlueGreenStrategy, is_changed: bool) -> Requeue {
        let mut status = self.base_status();
        if is_changed {
            self.reset(&mut status);
        }
        if self.rollout.status.promote_full || self.is_rollback_within_window() {
            self.pauses.clear();
        }
        let switched = self.preview_switched_to.take();
        status.preview_selector = match &strategy.preview_service {
            Some(name) => switched.unwrap_or_else(|| self.selected_hash(name)),
            None => "".into(),
        };
        let switched = self.active_switched_to.take();
        status.active_selector =
            switched.unwrap_or_else(|| self.selected_hash(&strategy.active_service));
        if let Some(reason) = self.blue_green_promotion(strategy, &status) {
            self.promote_stable(&mut status, &reason);
        } else {
            status.preview_accepted = self.accepts_preview(strategy);
        }
        let active = self.sets.of_hash(&status.active_selector).and_then(|set| set.status());
        if let Some(active) = active {
            status.hpa_replicas = active.replicas;
            status.available_replicas = active.available_replicas;
            status.ready_replicas = active.ready_replicas;
        } else {
            status.hpa_replicas = self.sets.sum(|set| set.replicas);
            status.available_replicas = self.sets.sum(|set| set.available_replicas);
        }
        self.judge(&mut status);
        self.persist(status)
    }

    /// Whether the preview has been accepted, so that all pods of the new version start
    /// (`calculateScaleUpPreviewCheckPoint`).
    fn accepts_preview(&self, strategy: &BlueGreenStrategy) -> bool {
        let Some(preview) = strategy.preview_replica_count else { return false };
        self.rollout.status.preview_accepted
            || self.has_passed_pre_promotion(strategy)
                && self.is_pause_over(strategy)
                && self.sets.new_set().is_some_and(|new| new.available() == preview)
    }

    /// Why the new version becomes the stable one, if it does (`shouldFullPromote`).
    fn blue_green_promotion(
        &self,
        strategy: &BlueGreenStrategy,
        status: &RolloutStatus,
    ) -> Option<String> {
        if self.sets.stable.is_none() || status.active_selector.is_empty() {
            return Some("Initial deploy".to_owned());
        }
        if status.active_selector != status.current_pod_hash {
            return None;
        }
        if self.rollout.status.promote_full {
            return Some("Full promotion requested".to_owned());
        }
        if self.is_rollback_within_window() {
            return Some("Rollback within window".to_owned());
        }
        if self.pauses.is_aborted(self.rollout) {
            return None;
        }
        let run = self.runs.post_promotion.as_ref();
        if strategy.post_promotion_analysis.is_some() {
            let new = self.sets.new_set()?;
            if new.deadline.is_some() {
                return Some(format!("Rollback to '{}' within scaleDownDelay", new.name));
            }
            run.filter(|run| run.phase == AnalysisPhase::Successful)?;
        }
        Some("Completed blue-green update".to_owned())
    }

    /// Whether there is nothing to analyse after the switch (`skipPostPromotionAnalysisRun`).
    pub(super) fn skips_post_promotion(&self) -> bool {
        let (status, new) = (&self.rollout.status, self.new_hash());
        if status.stable_hash == new || status.active_selector != new || new.is_empty() {
            return true;
        }
        let wanted = self.wanted();
        self.runs.post_promotion.is_none()
            && !self.sets.new_set().is_some_and(|set| set.is_saturated(wanted))
    }

    /// Whether it is not yet time to analyse before the switch, or no longer (`skipPrePromotionAnalysisRun`).
    pub(super) fn skips_pre_promotion(&self, strategy: &BlueGreenStrategy) -> bool {
        let (status, new) = (&self.rollout.status, self.new_hash());
        let active = &status.active_selector;
        if status.stable_hash == new || active.is_empty() || *active == new || new.is_empty() {
            return true;
        }
        if self.runs.pre_promotion.is_some() {
            return false;
        }
        let Some(set) = self.sets.new_set() else { return true };
        match strategy.preview_replica_count {
            Some(preview) => (set.replicas, set.available()) != (preview, preview),
            None => !set.is_saturated(self.wanted()),
        }
    }
}
