//! Pauses and aborts that a sync adds or ends (`rollout/pause.go`, Argo Rollouts 1.9.1).

use cluster::rollout::{PauseReason, Rollout, RolloutStatus};
use engine::{SimDuration, SimTime};

/// Changes of the pauses in one sync.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses {
    pub(super) added: Vec<PauseReason>,
    removed: Vec<PauseReason>,
    clears: bool,
    /// The reason of an abort that begins.
    pub(super) abort: Option<String>,
    ends_abort: bool,
}

impl Pauses {
    pub(super) fn add(&mut self, reason: PauseReason) {
        self.added.push(reason);
    }

    pub(super) fn remove(&mut self, reason: PauseReason) {
        self.removed.push(reason);
    }

    /// Ends all pauses, and an abort.
    pub(super) const fn clear(&mut self) {
        self.clears = true;
        self.ends_abort = true;
    }

    /// Ends an abort.
    pub(super) const fn end_abort(&mut self) {
        self.ends_abort = true;
    }

    pub(super) fn is_aborted(&self, rollout: &Rollout) -> bool {
        !self.ends_abort && (self.abort.is_some() || rollout.status.is_aborted())
    }

    /// Writes them into the next status (`CalculatePauseStatus`).
    pub(super) fn apply(&self, before: &RolloutStatus, next: &mut RolloutStatus, now: SimTime) {
        let since = now.floor_to_second();
        next.pauses = Vec::new();
        next.controller_pause = false;
        if self.abort.is_some() || !self.ends_abort && before.is_aborted() {
            next.aborted_at = before.aborted_at.or(Some(since));
            return;
        }
        next.aborted_at = None;
        if self.clears {
            return;
        }
        let mut controller_pause = before.controller_pause;
        let kept = before.pauses.iter().filter(|(reason, _)| !self.removed.contains(reason));
        next.pauses.extend(kept.copied());
        for reason in &self.added {
            if before.paused_since(*reason).is_none() {
                next.pauses.push((*reason, since));
                controller_pause = true;
            }
        }
        next.controller_pause = controller_pause && !next.pauses.is_empty();
    }
}

/// Whether a `pause` step is over: its time has passed, or it was promoted (`CompletedCanaryPauseStep`).
pub(super) fn canary_pause_is_over(
    status: &RolloutStatus,
    duration: Option<SimDuration>,
    now: SimTime,
) -> bool {
    match (status.paused_since(PauseReason::CanaryPauseStep), duration) {
        (None, _) => status.controller_pause,
        (Some(since), Some(duration)) => now >= since + duration,
        (Some(_), None) => false,
    }
}
