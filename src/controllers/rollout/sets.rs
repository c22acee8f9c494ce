//! The ReplicaSets of a Rollout, as they will be after the requests of a sync so far.

use super::canary::SetSize;
use cluster::replica_set::{ReplicaSet, ReplicaSetId, ReplicaSetStatus};
use cluster::rollout::{Rollout, RolloutId, rollout_hash};
use cluster::{ClusterView, Name};
use engine::{SimDuration, SimTime};

/// Annotation with the time at which a set that got no more requests is scaled down.
const DEADLINE: &str = "scale-down-deadline";

/// A ReplicaSet in a sync.
#[derive(Debug)]
pub(super) struct SetState<'a> {
    /// Absent for a set that this sync creates.
    pub(super) id: Option<ReplicaSetId>,
    pub(super) name: Name,
    pub(super) hash: Name,
    pub(super) replicas: i32,
    pub(super) desired_replicas: Option<i32>,
    pub(super) revision: i64,
    /// When it may be scaled down.
    pub(super) deadline: Option<SimTime>,
    pub(super) created: (SimTime, u64),
    /// The stored object; absent for a set that this sync creates.
    pub(super) observed: Option<&'a ReplicaSet>,
}

impl SetState<'_> {
    pub(super) fn status(&self) -> Option<&ReplicaSetStatus> {
        self.observed.map(|set| &set.status)
    }

    pub(super) fn available(&self) -> i32 {
        self.status().map_or(0, |status| status.available_replicas)
    }

    pub(super) fn size(&self) -> SetSize {
        SetSize { replicas: self.replicas, available: self.available() }
    }

    /// Whether it has all pods of the Rollout, available and counted (`IsSaturated`).
    pub(super) fn is_saturated(&self, wanted: i32) -> bool {
        self.size() == SetSize { replicas: wanted, available: wanted }
            && self.desired_replicas == Some(wanted)
    }
}

/// The sets of a Rollout, oldest first, and which of them are the new and the stable one.
#[derive(Debug, Default)]
pub(super) struct Sets<'a> {
    pub(super) all: Vec<SetState<'a>>,
    pub(super) new: Option<usize>,
    pub(super) stable: Option<usize>,
}

impl<'a> Sets<'a> {
    pub(super) fn of(view: ClusterView<'a>, id: RolloutId, rollout: &Rollout) -> Self {
        let mut sets: Vec<(ReplicaSetId, &'a ReplicaSet)> =
            view.store().replica_sets_of(id).collect();
        sets.sort_by_key(|(_, set)| (set.meta.created, set.meta.sequence));
        let new = sets.iter().position(|(_, set)| {
            let template = &view.store().templates()[set.template];
            rollout.spec.template.equals_ignoring(template, cluster::rollout::ROLLOUT_HASH_LABEL)
        });
        let all: Vec<SetState<'a>> =
            sets.into_iter().map(|(id, set)| state_of(view, id, set)).collect();
        let stable = &rollout.status.stable_hash;
        let stable = all.iter().position(|set| !stable.is_empty() && set.hash == *stable);
        Self { all, new, stable }
    }

    pub(super) fn new_set(&self) -> Option<&SetState<'a>> {
        self.new.map(|position| &self.all[position])
    }

    pub(super) fn stable(&self) -> Option<&SetState<'a>> {
        self.stable.map(|position| &self.all[position])
    }

    /// The stable set, if it is not the new one (`CheckStableRSExists`).
    pub(super) fn other_stable(&self) -> Option<&SetState<'a>> {
        self.stable().filter(|_| self.stable != self.new)
    }

    /// Positions of the sets that are neither the new nor the stable one.
    pub(super) fn others(&self) -> Vec<usize> {
        let is_other = |at: &usize| Some(*at) != self.new && Some(*at) != self.stable;
        (0..self.all.len()).filter(is_other).collect()
    }

    pub(super) fn of_hash(&self, hash: &str) -> Option<&SetState<'a>> {
        self.all.iter().find(|set| !hash.is_empty() && *set.hash == *hash)
    }

    /// A sum over the status of all sets.
    pub(super) fn sum(&self, of: impl Fn(&ReplicaSetStatus) -> i32) -> i32 {
        self.all.iter().filter_map(|set| set.status()).map(of).sum()
    }
}

fn state_of<'a>(view: ClusterView<'_>, id: ReplicaSetId, set: &'a ReplicaSet) -> SetState<'a> {
    SetState {
        id: Some(id),
        name: set.meta.name().clone(),
        hash: rollout_hash(&set.meta.labels),
        replicas: set.replicas,
        desired_replicas: set.desired_replicas,
        revision: set.revision,
        deadline: deadline_of(view, set),
        created: (set.meta.created, set.meta.sequence),
        observed: Some(set),
    }
}

fn deadline_of(view: ClusterView<'_>, set: &ReplicaSet) -> Option<SimTime> {
    let at: jiff::Timestamp = set.meta.annotations.get(DEADLINE)?.parse().ok()?;
    let seconds = at.as_second() - view.timestamp().as_second();
    Some(view.now.floor_to_second() + SimDuration::from_secs(seconds))
}

/// The annotations of a set with this deadline, or none.
pub(super) fn with_deadline(
    view: ClusterView<'_>,
    set: &ReplicaSet,
    deadline: Option<SimTime>,
) -> cluster::Labels {
    let others = set.meta.annotations.iter().filter(|(key, _)| key.as_ref() != DEADLINE);
    let others: cluster::Labels = others.map(|(key, value)| (key.clone(), value.clone())).collect();
    let Some(deadline) = deadline else { return others };
    let seconds = (deadline - view.now.floor_to_second()).as_secs();
    let at = view.timestamp().checked_add(jiff::SignedDuration::from_secs(seconds));
    others.with(DEADLINE, at.unwrap_or(jiff::Timestamp::MAX).to_string())
}
