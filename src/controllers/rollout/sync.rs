//! One sync of a Rollout: gathers its ReplicaSets, scales them, and follows its strategy (`rollout/sync.go`,
//! `rollout/replicaset.go`, Argo Rollouts 1.9.1).

use jiff::Timestamp;

use super::canary::{self, Fenceposts};
use super::pauses::Pauses;
use super::progress;
use super::sets::Sets;
use super::steps;
use crate::{Actions, Requeue};
use cluster::action::Event;
use cluster::deployment::WorkloadCondition;
use cluster::node::ConditionStatus;
use cluster::replica_set::{ReplicaSet, ReplicaSetSpec, ReplicaSetUpdate};
use cluster::rollout::{
    AnalysisRuns, PauseReason, ROLLOUT_HASH_LABEL, Rollout, RolloutId, RolloutStatus,
    RolloutStrategy, TrafficWeights,
};
use cluster::rollout_references::InvalidField;
use cluster::store::rollout_template_hash;
use cluster::{Action, ClusterView, Kind, Name, NamespacedName, ObjectMeta};
use engine::{SimDuration, SimTime};

/// Time to the next try when an object is missing (`syncHandler`).
const RETRY_INVALID: SimDuration = SimDuration::from_secs(20);

/// A sync in progress.
pub(super) struct Sync<'a> {
    pub(super) view: ClusterView<'a>,
    pub(super) id: RolloutId,
    pub(super) rollout: &'a Rollout,
    pub(super) sets: Sets<'a>,
    pub(super) pauses: Pauses,
    /// The weights of the traffic router as this sync leaves them.
    pub(super) weights: Option<TrafficWeights>,
    pub(super) runs: AnalysisRuns,
    pub(super) conditions: Vec<WorkloadCondition>,
    pub(super) restarted_at: Option<Timestamp>,
    /// The hash to which this sync switched the preview Service.
    pub(super) preview_switched_to: Option<Name>,
    /// The hash to which this sync switched the active Service.
    pub(super) active_switched_to: Option<Name>,
    /// When to look again.
    pub(super) wake: Option<SimTime>,
    pub(super) actions: &'a mut Actions,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        view: ClusterView<'a>,
        id: RolloutId,
        rollout: &'a Rollout,
        actions: &'a mut Actions,
    ) -> Self {
        Self {
            view,
            id,
            rollout,
            sets: Sets::of(view, id, rollout),
            pauses: Pauses::default(),
            weights: rollout.status.weights.clone(),
            runs: rollout.status.runs.clone(),
            conditions: rollout.status.conditions.clone(),
            restarted_at: rollout.status.restarted_at,
            preview_switched_to: None,
            active_switched_to: None,
            wake: None,
            actions,
        }
    }

    /// Runs the sync (`reconcile`).
    pub(super) fn run(mut self) -> Requeue {
        if let Some(problem) = self.invalid_reference() {
            return self.invalid(&problem);
        }
        if self.sets.new.is_none() {
            self.create_new_set();
            return Requeue::No;
        }
        if self.rollout.status.is_fully_promoted() && self.pauses.is_aborted(self.rollout) {
            self.pauses.end_abort();
        }
        progress::show_pause(self.rollout, &mut self.conditions, self.view.now);
        self.sync_revision();
        if self.is_scaling_event() {
            return self.scale_only();
        }
        match &self.rollout.spec.strategy {
            RolloutStrategy::Canary(canary) => self.canary(canary),
            RolloutStrategy::BlueGreen(blue_green) => self.blue_green(blue_green),
        }
    }

    fn invalid(self, InvalidField { field, value, problem }: &InvalidField) -> Requeue {
        let rollout = self.rollout.meta.name();
        let message = format!(
            "The Rollout \"{rollout}\" is invalid: {field}: Invalid value: \"{value}\": {problem}"
        );
        let mut status = self.rollout.status.clone();
        let condition = progress::invalid_spec(message.clone(), self.view.now);
        progress::set(&mut status.conditions, condition);
        status.observed_generation = self.rollout.meta.generation;
        progress::settle_phase(&self.rollout.spec, &mut status);
        if status != self.rollout.status {
            let event = self.event(true, "InvalidSpec", message);
            self.actions.push(event);
            self.actions.push(Action::status(self.id, status));
        }
        Requeue::After(RETRY_INVALID)
    }

    pub(super) fn wanted(&self) -> i32 {
        self.rollout.spec.replicas
    }

    pub(super) fn fenceposts(&self) -> Fenceposts {
        let canary = self.rollout.spec.canary();
        canary.map_or_else(Fenceposts::default, |canary| canary::fenceposts(canary, self.wanted()))
    }

    /// Sees to a sync at this time at the latest.
    pub(super) fn wake_at(&mut self, at: SimTime) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn event(&self, is_warning: bool, reason: &'static str, message: String) -> Action {
        let object = self.rollout.meta.id.clone();
        Action::Event(Box::new(Event { kind: Kind::Rollout, object, is_warning, reason, message }))
    }

    pub(super) fn tell(&mut self, reason: &'static str, message: String) {
        let event = self.event(false, reason, message);
        self.actions.push(event);
    }

    pub(super) fn warn(&mut self, reason: &'static str, message: String) {
        let event = self.event(true, reason, message);
        self.actions.push(event);
    }

    /// Creates the set of the present template, without pods (`createDesiredReplicaSet`).
    fn create_new_set(&mut self) {
        let Rollout { meta, spec, .. } = self.rollout;
        let named = |hash: &str| format!("{}-{hash}", meta.name());
        // Other controllers' sets take names, too (`collisionCount`).
        let is_free = |hash: &String| {
            let id = NamespacedName::new(meta.namespace().clone(), named(hash));
            self.view.store().find::<ReplicaSet>(&id).is_none()
        };
        let mut hashes = (0..).map(|collisions| rollout_template_hash(&spec.template, collisions));
        let hash = hashes.find(is_free).unwrap_or_default();
        let mut template = spec.template.clone();
        template.labels = template.labels.with(ROLLOUT_HASH_LABEL, hash.as_str());
        let revision = self.next_revision();
        let name = named(&hash);
        let mut set_meta = ObjectMeta::new(meta.namespace().clone(), name.clone());
        set_meta.labels = template.labels.clone();
        let set_spec = ReplicaSetSpec {
            owner: Some(self.id.into()),
            replicas: 0,
            selector: spec.selector.with(ROLLOUT_HASH_LABEL, hash.as_str()),
            template,
            min_ready: SimDuration::from_secs(spec.min_ready_seconds.into()),
            revision,
            desired_replicas: Some(spec.replicas),
            max_replicas: None,
        };
        self.actions.push(Action::create(set_meta, set_spec));
        self.tell("RolloutUpdated", format!("Rollout updated to revision {revision}"));
        self.tell(
            "NewReplicaSetCreated",
            format!("Created ReplicaSet {name} (revision {revision})"),
        );
        let message = format!("Created new replica set \"{name}\"");
        let condition = progress::progressing(
            ConditionStatus::True,
            "NewReplicaSetCreated",
            message,
            self.view.now,
        );
        let mut status = self.rollout.status.clone();
        progress::set(&mut status.conditions, condition);
        self.actions.push(Action::status(self.id, status));
    }

    fn next_revision(&self) -> i64 {
        let others = self.sets.all.iter().enumerate().filter(|(at, _)| Some(*at) != self.sets.new);
        others.map(|(_, set)| set.revision).max().unwrap_or(0) + 1
    }

    /// Makes the new set's revision the highest, and hands it `minReadySeconds` (`syncReplicaSetRevision`).
    fn sync_revision(&mut self) {
        let revision = self.next_revision();
        let min_ready = SimDuration::from_secs(self.rollout.spec.min_ready_seconds.into());
        let Some(new) = self.sets.new.map(|at| &mut self.sets.all[at]) else { return };
        let (Some(id), Some(observed)) = (new.id, new.observed) else { return };
        let is_older = new.revision < revision;
        if !is_older && observed.min_ready == min_ready {
            return;
        }
        new.revision = new.revision.max(revision);
        let update = ReplicaSetUpdate {
            min_ready: Some(min_ready),
            revision: Some(new.revision),
            ..ReplicaSetUpdate::default()
        };
        self.actions.push(Action::SetReplicaSet(id, update));
        if is_older {
            self.tell("RolloutUpdated", format!("Rollout updated to revision {revision}"));
        }
    }

    /// Whether the Rollout's size changed since its active sets were scaled (`isScalingEvent`).
    fn is_scaling_event(&self) -> bool {
        let wanted = self.wanted();
        let active = [self.sets.new_set(), self.sets.stable()].into_iter().flatten();
        active
            .filter(|set| set.replicas > 0)
            .any(|set| set.desired_replicas.is_some_and(|desired| desired != wanted))
    }

    /// Follows a change of size alone (`syncReplicasOnly`).
    fn scale_only(mut self) -> Requeue {
        let mut status = self.rollout.status.clone();
        match &self.rollout.spec.strategy {
            RolloutStrategy::Canary(canary) => {
                self.scale_canary(canary);
                status.available_replicas = self.sets.sum(|set| set.available_replicas);
                status.hpa_replicas = self.sets.sum(|set| set.replicas);
            }
            RolloutStrategy::BlueGreen(blue_green) => {
                self.scale_blue_green(blue_green);
                let active =
                    self.sets.of_hash(&status.active_selector).and_then(|set| set.status());
                (status.hpa_replicas, status.available_replicas) = match active {
                    Some(active) => (active.replicas, active.available_replicas),
                    None => (
                        self.sets.sum(|set| set.replicas),
                        self.sets.sum(|set| set.available_replicas),
                    ),
                };
            }
        }
        self.persist(status)
    }

    /// Why neither sizes nor Services change now (`haltProgress`).
    pub(super) fn is_halted(&self) -> bool {
        let status = &self.rollout.status;
        self.rollout.spec.paused
            || status.paused_since(PauseReason::InconclusiveAnalysisRun).is_some()
    }

    /// Whether the update goes back to a version that is recent enough to skip the steps (`isRollbackWithinWindow`).
    pub(super) fn is_rollback_within_window(&self) -> bool {
        let window = self.rollout.spec.rollback_window;
        let (Some(new), Some(stable)) = (self.sets.new_set(), self.sets.stable()) else {
            return false;
        };
        // Creation times are whole seconds.
        let (new, stable) = (new.created.0, stable.created.0);
        let between = self
            .sets
            .all
            .iter()
            .filter(|set| new < set.created.0 && set.created.0 < stable)
            .count();
        window > 0 && new < stable && i32::try_from(between).is_ok_and(|between| between < window)
    }

    /// The status that follows from the sets (`calculateBaseStatus`).
    pub(super) fn base_status(&self) -> RolloutStatus {
        let before = &self.rollout.status;
        let new = self.sets.new_set();
        let mut status = RolloutStatus {
            current_pod_hash: new.map_or_else(|| "".into(), |set| set.hash.clone()),
            replicas: self.sets.sum(|set| set.replicas),
            updated_replicas: new.and_then(|set| set.status()).map_or(0, |set| set.replicas),
            ready_replicas: self.sets.sum(|set| set.ready_replicas),
            stable_hash: before.stable_hash.clone(),
            current_step: before.current_step,
            steps_digest: Some(steps::digest(&self.rollout.spec)),
            weights: self.weights.clone(),
            runs: self.runs.clone(),
            conditions: self.conditions.clone(),
            aborted_at: before.aborted_at,
            restarted_at: self.restarted_at,
            ..RolloutStatus::default()
        };
        // `newStatus.stableRS` is still empty when this is computed.
        status.promote_full = before.promote_full && !status.current_pod_hash.is_empty();
        progress::remove(&mut status.conditions, progress::INVALID_SPEC);
        status
    }

    /// Whether the template or the steps changed since the last sync (`PodTemplateOrStepsChanged`).
    pub(super) fn is_changed(&self) -> bool {
        let status = &self.rollout.status;
        let hash = self.sets.new_set().map(|set| &set.hash);
        let is_new_template =
            !status.current_pod_hash.is_empty() && hash != Some(&status.current_pod_hash);
        is_new_template || status.steps_digest != Some(steps::digest(&self.rollout.spec))
    }

    /// Starts an update from its beginning (`resetRolloutStatus`).
    pub(super) fn reset(&mut self, status: &mut RolloutStatus) {
        self.pauses.clear();
        status.promote_full = false;
        status.preview_accepted = false;
        // The pods of the new version are all young enough.
        status.restarted_at = self.rollout.spec.restart_at;
        status.runs = AnalysisRuns::default();
        status.current_step = (!self.rollout.spec.steps().is_empty()).then_some(0);
    }

    /// Makes the new version the stable one (`promoteStable`).
    pub(super) fn promote_stable(&mut self, status: &mut RolloutStatus, reason: &str) {
        self.pauses.clear();
        status.promote_full = false;
        status.preview_accepted = false;
        if self.rollout.spec.canary().is_some() {
            let steps = self.rollout.spec.steps().len();
            status.current_step = (steps > 0).then_some(steps);
        }
        if status.stable_hash != status.current_pod_hash {
            status.stable_hash = status.current_pod_hash.clone();
            let revision = self.sets.new_set().map_or(0, |set| set.revision);
            let hash = &status.current_pod_hash;
            let message =
                format!("Rollout completed update to revision {revision} ({hash}): {reason}");
            self.tell("RolloutCompleted", message);
        }
    }

    /// Writes the status with pauses and phase, or else sees to it that the deadline is not missed
    /// (`persistRolloutStatus`).
    pub(super) fn persist(mut self, mut status: RolloutStatus) -> Requeue {
        let before = &self.rollout.status;
        self.pauses.apply(before, &mut status, self.view.now);
        status.observed_generation = self.rollout.meta.generation;
        progress::settle_phase(&self.rollout.spec, &mut status);
        if status == *before {
            if let Some(at) = progress::next_check(self.rollout, &status, self.view.now) {
                self.wake_at(at);
            }
        } else {
            match (before.pauses.is_empty(), status.pauses.first()) {
                (true, Some((reason, _))) => {
                    let message = format!("Rollout is paused ({})", reason.name());
                    self.tell("RolloutPaused", message);
                }
                // An abort also ends pauses.
                (false, None) if !status.is_aborted() => {
                    self.tell("RolloutResumed", "Rollout is resumed".to_owned());
                }
                _ => {}
            }
            self.actions.push(Action::status(self.id, status));
        }
        self.wake.map_or(Requeue::No, Requeue::At)
    }
}
