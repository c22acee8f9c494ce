//! One sync of a Deployment: gathers its ReplicaSets, applies the rules, and issues the resulting requests
//! (`pkg/controller/deployment/{sync,rolling,recreate}.go`, 1.36).

mod new_set;

use self::new_set::annotations_of;
use super::rolling::{self, Fenceposts, SetSize};
use super::scaling::{self, ActiveSet, Target};
use super::status::{self, Totals};
use crate::replica_set::status::REPLICA_FAILURE;
use crate::{Actions, Backoff, Requeue};
use cluster::action::Event;
use cluster::deployment::{
    Deployment, DeploymentId, DeploymentStatus, DeploymentStrategy, WorkloadCondition,
};
use cluster::node::ConditionStatus;
use cluster::pod::Owner;
use cluster::replica_set::{ReplicaSet, ReplicaSetId, ReplicaSetStatus, ReplicaSetUpdate};
use cluster::{Action, ClusterView, Kind, Name, NamespacedName, ObjectId};
use engine::{SimDuration, SimTime};

/// Margin added to the progress deadline, so that it has certainly passed at the check (`requeueStuckDeployment`).
const DEADLINE_SKEW: SimDuration = SimDuration::from_secs(1);

/// A ReplicaSet as it will be after the requests of this sync so far.
#[derive(Debug)]
struct SetState<'a> {
    /// Absent for a set created by this sync.
    id: Option<ReplicaSetId>,
    name: Name,
    replicas: i32,
    desired_replicas: Option<i32>,
    max_replicas: Option<i32>,
    revision: i64,
    /// The stored object; absent for a set created by this sync.
    observed: Option<&'a ReplicaSet>,
}

impl SetState<'_> {
    fn status(&self) -> Option<&ReplicaSetStatus> {
        self.observed.map(|set| &set.status)
    }

    fn size(&self) -> SetSize {
        let available = self.status().map_or(0, |status| status.available_replicas);
        SetSize { replicas: self.replicas, available }
    }
}

/// The set of a Deployment's template, as found by an earlier sync. Valid while the spec is unchanged: the templates
/// of sets never change, and no older set with the same template can appear.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownSet {
    deployment: DeploymentId,
    generation: i64,
    set: ReplicaSetId,
}

/// A sync in progress.
pub(super) struct Sync<'a> {
    view: ClusterView<'a>,
    id: DeploymentId,
    deployment: &'a Deployment,
    fenceposts: Fenceposts,
    /// Conditions with the changes of this sync so far.
    conditions: Vec<WorkloadCondition>,
    /// Sets of earlier templates, oldest first.
    old: Vec<SetState<'a>>,
    /// The set of the present template.
    new: Option<SetState<'a>>,
    actions: &'a mut Actions,
}

impl<'a> Sync<'a> {
    /// Gathers the inputs of a sync.
    pub(super) fn new(
        view: ClusterView<'a>,
        id: DeploymentId,
        deployment: &'a Deployment,
        known_new: &mut Option<KnownSet>,
        actions: &'a mut Actions,
    ) -> Self {
        let mut sets: Vec<(ReplicaSetId, &ReplicaSet)> = view.store().replica_sets_of(id).collect();
        sets.sort_by_key(|(_, set)| (set.meta.created, set.meta.sequence));
        let known = known_new.filter(|known| {
            (known.deployment, known.generation) == (id, deployment.meta.generation)
        });
        let known = known.and_then(|known| sets.iter().position(|(set, _)| *set == known.set));
        let new = known.or_else(|| {
            sets.iter().position(|(_, set)| {
                deployment.spec.template.equals_ignoring_hash(&view.templates()[set.template])
            })
        });
        *known_new = new.map(|new| KnownSet {
            deployment: id,
            generation: deployment.meta.generation,
            set: sets[new].0,
        });
        let mut old: Vec<SetState<'_>> = sets.iter().map(|(id, set)| state_of(*id, set)).collect();
        let new = new.map(|position| old.remove(position));
        Self {
            view,
            id,
            deployment,
            fenceposts: rolling::fenceposts(deployment.spec.strategy, deployment.spec.replicas),
            conditions: deployment.status.conditions.clone(),
            old,
            new,
            actions,
        }
    }

    /// Runs the sync (`syncDeployment`).
    pub(super) fn run(mut self) -> Requeue {
        self.show_pause();
        if self.deployment.spec.paused {
            return self.scale_only();
        }
        self.sync_revision();
        if self.is_scaling_event() {
            return self.scale_only();
        }
        match self.deployment.spec.strategy {
            DeploymentStrategy::Recreate => self.recreate(),
            DeploymentStrategy::RollingUpdate { .. } => self.roll(),
        }
    }

    fn show_pause(&mut self) {
        if status::has_progress_deadline(self.deployment) {
            let current = status::find_condition(&self.conditions, status::PROGRESSING);
            let is_paused = self.deployment.spec.paused;
            if let Some(condition) = status::pause_condition(is_paused, current, self.view.now) {
                status::set_condition(&mut self.conditions, condition);
            }
        }
    }

    /// Makes the new set's revision the highest, and hands it `minReadySeconds`
    /// (`getNewReplicaSet` of a set that exists).
    fn sync_revision(&mut self) {
        let revision = self.next_revision();
        let min_ready = self.min_ready();
        let Some(new) = &mut self.new else { return };
        let (Some(id), Some(observed)) = (new.id, new.observed) else { return };
        let annotations = annotations_of(self.deployment);
        let is_older = new.revision < revision;
        let is_current =
            observed.min_ready == min_ready && observed.meta.annotations == annotations;
        if is_older || !is_current {
            new.revision = new.revision.max(revision);
            let update = ReplicaSetUpdate {
                min_ready: Some(min_ready),
                revision: Some(new.revision),
                annotations: Some(annotations),
                ..ReplicaSetUpdate::default()
            };
            self.actions.push(Action::SetReplicaSet(id, update));
        } else if status::find_condition(&self.conditions, status::PROGRESSING).is_none() {
            let message = format!("Found new replica set \"{}\"", new.name);
            self.show_progress("FoundNewReplicaSet", message);
        }
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| set.revision).max().unwrap_or(0) + 1
    }

    fn min_ready(&self) -> SimDuration {
        SimDuration::from_secs(self.deployment.spec.min_ready_seconds.into())
    }

    fn show_progress(&mut self, reason: &'static str, message: String) {
        if status::has_progress_deadline(self.deployment) {
            let now = self.view.now;
            let condition =
                status::condition(status::PROGRESSING, ConditionStatus::True, reason, message, now);
            status::set_condition(&mut self.conditions, condition);
        }
    }

    /// Whether the Deployment's size changed since its active sets were scaled (`isScalingEvent`).
    fn is_scaling_event(&self) -> bool {
        let wanted = self.deployment.spec.replicas;
        self.sets()
            .filter(|set| set.replicas > 0)
            .any(|set| set.desired_replicas.is_some_and(|desired| desired != wanted))
    }

    /// Scales without rolling out (`sync`).
    fn scale_only(mut self) -> Requeue {
        if self.deployment.spec.paused {
            self.sync_revision();
        }
        self.scale();
        if self.deployment.spec.paused {
            self.clean_up();
        }
        let status = self.calculate_status();
        self.write_status(status);
        Requeue::No
    }

    fn scale(&mut self) {
        let wanted = self.deployment.spec.replicas;
        let active: Vec<usize> = (0..self.len()).filter(|at| self.set(*at).replicas > 0).collect();
        match active[..] {
            [] if self.len() == 0 => {}
            // The newest of the empty sets grows: the new one, or else the youngest old one.
            [] => self.scale_set(self.len() - 1, wanted),
            [only] => self.scale_set(only, wanted),
            _ if self.is_saturated() => {
                for position in active {
                    if position < self.old.len() {
                        self.scale_set(position, 0);
                    }
                }
            }
            _ => self.scale_in_proportion(&active),
        }
    }

    /// Whether the new set has all desired replicas (`IsSaturated`).
    fn is_saturated(&self) -> bool {
        let wanted = self.deployment.spec.replicas;
        self.new.as_ref().is_some_and(|new| {
            new.size() == SetSize { replicas: wanted, available: wanted }
                && new.desired_replicas == Some(wanted)
        })
    }

    fn scale_in_proportion(&mut self, active: &[usize]) {
        if self.deployment.spec.strategy == DeploymentStrategy::Recreate {
            return;
        }
        // The order of `FindActiveOrLatest`: the youngest first, and the current one last of all.
        let is_old = |position: &usize| *position < self.old.len();
        let (mut order, current): (Vec<usize>, Vec<usize>) =
            active.iter().partition(|at| is_old(at));
        order.reverse();
        order.extend(current);
        let active_set = |position: &usize| {
            let set = self.set(*position);
            let created = set.observed.map_or(self.view.now, |set| set.meta.created);
            ActiveSet { replicas: set.replicas, max_replicas: set.max_replicas, created }
        };
        let sets: Vec<ActiveSet> = order.iter().map(active_set).collect();
        let target = Target {
            wanted: self.deployment.spec.replicas,
            surge: self.fenceposts.surge,
            observed: self.deployment.status.replicas,
        };
        // The sets are reconciled in this order, and so the Deployment is notified of them in this order.
        for (position, size) in scaling::proportional(&sets, target) {
            self.scale_and_annotate(order[position], size);
        }
    }

    fn roll(mut self) -> Requeue {
        self.create_new_set();
        let wanted = self.deployment.spec.replicas;
        let new = self.new.as_ref().map_or(SetSize::default(), SetState::size);
        let total = self.sets().map(|set| set.replicas).sum();
        let size = rolling::new_set_replicas(wanted, self.fenceposts, total, new.replicas);
        if size != new.replicas {
            self.scale_set(self.old.len(), size);
            return self.finish();
        }
        let old: Vec<SetSize> = self.old.iter().map(SetState::size).collect();
        let sizes = rolling::old_set_replicas(wanted, self.fenceposts, &old, new);
        for (position, size) in &sizes {
            self.scale_set(*position, *size);
        }
        if sizes.is_empty() && status::is_complete(self.deployment, &self.deployment.status) {
            self.clean_up();
        }
        self.finish()
    }

    fn recreate(mut self) -> Requeue {
        let has_active_old = self.old.iter().any(|set| set.replicas > 0);
        if has_active_old {
            for position in 0..self.old.len() {
                self.scale_set(position, 0);
            }
            return self.finish();
        }
        if self.has_old_pods() {
            return self.finish();
        }
        self.create_new_set();
        self.scale_set(self.old.len(), self.deployment.spec.replicas);
        if status::is_complete(self.deployment, &self.deployment.status) {
            self.clean_up();
        }
        self.finish()
    }

    /// Whether pods of earlier templates are left, terminating ones included (`oldPodsRunning`).
    fn has_old_pods(&self) -> bool {
        self.old.iter().any(|set| {
            set.status().is_some_and(|status| status.replicas > 0)
                || set.id.is_some_and(|id| {
                    let mut pods = self.view.store().pods_of(Owner::ReplicaSet(id));
                    pods.any(|(_, pod)| !pod.phase.is_terminal())
                })
        })
    }

    /// Deletes old sets above the history limit (`cleanupDeployment`).
    fn clean_up(&mut self) {
        let limit = usize::try_from(self.deployment.spec.revision_history_limit).unwrap_or(0);
        let surplus = self.old.len().saturating_sub(limit);
        let mut by_revision: Vec<&SetState<'_>> = self.old.iter().collect();
        by_revision.sort_by_key(|set| set.revision);
        for set in by_revision.into_iter().take(surplus) {
            let (Some(id), Some(observed)) = (set.id, set.observed) else { continue };
            let is_settled = observed.status.observed_generation >= observed.meta.generation;
            if is_settled && observed.status.replicas == 0 && set.replicas == 0 {
                self.actions.push(Action::Delete(ObjectId::ReplicaSet(id)));
            }
        }
    }

    /// Writes the status with a judgement of progress, or else sees to it that the deadline is not
    /// missed (`syncRolloutStatus`).
    fn finish(self) -> Requeue {
        let mut status = self.calculate_status();
        let name = || match &self.new {
            None => format!("Deployment \"{}\"", self.deployment.meta.name()),
            Some(new) => format!("ReplicaSet \"{}\"", new.name),
        };
        let conditions = &self.conditions;
        status::judge_progress(self.deployment, conditions, &mut status, name, self.view.now);
        match self.failure() {
            Some(failure) => status::set_condition(&mut status.conditions, failure),
            None => status::remove_condition(&mut status.conditions, REPLICA_FAILURE),
        }
        if status != self.deployment.status {
            self.write_status(status);
            return Requeue::No;
        }
        next_progress_check(self.deployment, &status, self.view.now)
    }

    fn calculate_status(&self) -> DeploymentStatus {
        let mut totals = Totals::default();
        for set in self.sets() {
            totals.spec_replicas += set.replicas;
            let Some(status) = set.status() else { continue };
            totals.replicas += status.replicas;
            totals.ready += status.ready_replicas;
            totals.available += status.available_replicas;
            totals.terminating += status.terminating_replicas;
        }
        let new = self.new.as_ref().and_then(SetState::status);
        totals.updated = new.map_or(0, |status| status.replicas);
        let unavailable = self.fenceposts.unavailable;
        status::calculate(self.deployment, &self.conditions, totals, unavailable, self.view.now)
    }

    fn write_status(self, status: DeploymentStatus) {
        if status != self.deployment.status {
            self.actions.push(Action::status(self.id, status));
        }
    }

    /// A ReplicaSet's failure, the new one's first (`getReplicaFailures`).
    fn failure(&self) -> Option<WorkloadCondition> {
        let sets = self.new.iter().chain(&self.old);
        sets.filter_map(SetState::status)
            .find_map(|status| status::find_condition(&status.conditions, REPLICA_FAILURE))
            .cloned()
    }

    /// Scales a set unless it has that size (`scaleReplicaSetAndRecordEvent`).
    fn scale_set(&mut self, position: usize, replicas: i32) {
        if self.set(position).replicas != replicas {
            self.scale_and_annotate(position, replicas);
        }
    }

    fn scale_and_annotate(&mut self, position: usize, replicas: i32) {
        let wanted = self.deployment.spec.replicas;
        let max = wanted + self.fenceposts.surge;
        let set = self.set_mut(position);
        let before = std::mem::replace(&mut set.replicas, replicas);
        set.desired_replicas = Some(wanted);
        set.max_replicas = Some(max);
        let (id, name) = (set.id, set.name.clone());
        if let Some(id) = id {
            let update = ReplicaSetUpdate {
                replicas: Some(replicas),
                desired_replicas: Some(wanted),
                max_replicas: Some(max),
                ..ReplicaSetUpdate::default()
            };
            self.actions.push(Action::SetReplicaSet(id, update));
            if before != replicas {
                self.record_scaling(&name, before, replicas);
            }
        }
    }

    fn record_scaling(&mut self, set: &Name, before: i32, after: i32) {
        let direction = if after > before { "up" } else { "down" };
        let object: NamespacedName = self.deployment.meta.id.clone();
        self.actions.push(Action::Event(Box::new(Event {
            kind: Kind::Deployment,
            object,
            is_warning: false,
            reason: "ScalingReplicaSet",
            message: format!("Scaled {direction} replica set {set} from {before} to {after}"),
        })));
    }

    /// All sets, the new one last.
    fn sets(&self) -> impl Iterator<Item = &SetState<'a>> {
        self.old.iter().chain(&self.new)
    }

    fn len(&self) -> usize {
        self.old.len() + usize::from(self.new.is_some())
    }

    fn set(&self, position: usize) -> &SetState<'a> {
        self.sets().nth(position).expect("positions come from `len` or a set just created")
    }

    fn set_mut(&mut self, position: usize) -> &mut SetState<'a> {
        let mut sets = self.old.iter_mut().chain(&mut self.new);
        sets.nth(position).expect("positions come from `len` or a set just created")
    }
}

/// Time at which to check a stalled rollout (`requeueStuckDeployment`).
fn next_progress_check(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: SimTime,
) -> Requeue {
    let progressing = status::find_condition(&status.conditions, status::PROGRESSING);
    let Some(progressing) = progressing else { return Requeue::No };
    if !status::has_progress_deadline(deployment)
        || status::is_complete(deployment, status)
        || progressing.reason == status::TIMED_OUT
        // The real controller keeps checking once the deadline of a completed rollout has passed, but such a rollout
        // never times out, so the checks have no effect.
        || progressing.reason == status::NEW_SET_AVAILABLE
    {
        return Requeue::No;
    }
    let deadline = SimDuration::from_secs(deployment.spec.progress_deadline_seconds.into());
    let remaining = progressing.last_update + deadline - now;
    if remaining < DEADLINE_SKEW {
        // The queue's rate limiter, which the successful sync then resets.
        return Requeue::After(Backoff::default().initial);
    }
    Requeue::After(remaining + DEADLINE_SKEW)
}

fn state_of(id: ReplicaSetId, set: &ReplicaSet) -> SetState<'_> {
    SetState {
        id: Some(id),
        name: set.meta.name().clone(),
        replicas: set.replicas,
        desired_replicas: set.desired_replicas,
        max_replicas: set.max_replicas,
        revision: set.revision,
        observed: Some(set),
    }
}
