//! The ReplicaSet controller (`pkg/controller/replicaset`, 1.36): keeps the number of pods at `spec.replicas`. The
//! owner chooses template and number.

pub mod status;
pub mod victims;

use rustc_hash::FxHashMap;

use self::victims::{Candidate, DELETION_COST_ANNOTATION};
use super::pod_control::{PodOperation, owner_of_changed_pod};
use super::{Actions, Controller, Key, RecordedRequest, Requeue, Watches};
use cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use cluster::node::NodeId;
use cluster::pod::{Owner, Pod, PodId};
use cluster::replica_set::{ReplicaSet, ReplicaSetId};
use cluster::{Action, Change, ClusterView, Name, ObjectId, Refused, Store};

/// Maximum number of pods created or deleted by one sync (`BurstReplicas`).
const BURST_REPLICAS: usize = 500;
/// Size of the first batch of creations (`SlowStartInitialBatchSize`).
const SLOW_START_INITIAL_BATCH: usize = 1;

/// The ReplicaSet controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplicaSetController;

/// Difference between a set's desired and actual pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The number is right.
    None,
    /// Number of pods to create now.
    Create(usize),
    /// Number of pods to delete now.
    Delete(usize),
}

/// Number of pods that one sync creates or deletes (`manageReplicas`).
pub fn difference(active: i32, wanted: i32) -> Difference {
    let burst = |count: i32| usize::try_from(count).unwrap_or(0).min(BURST_REPLICAS);
    match active - wanted {
        0 => Difference::None,
        missing if missing < 0 => Difference::Create(burst(-missing)),
        surplus => Difference::Delete(burst(surplus)),
    }
}

/// Sizes of the batches in which `count` pods are created: each is twice the one before, and starts only if the
/// previous one succeeded (`slowStartBatch`).
pub(crate) fn slow_start_batches(count: usize) -> impl Iterator<Item = usize> {
    let mut remaining = count;
    let mut size = SLOW_START_INITIAL_BATCH;
    std::iter::from_fn(move || {
        let batch = size.min(remaining);
        remaining -= batch;
        size *= 2;
        (batch > 0).then_some(batch)
    })
}

impl Controller for ReplicaSetController {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::REPLICA_SETS.and(Watches::PODS_OF_REPLICA_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let owner = match *change {
            Change::Spec(ObjectId::ReplicaSet(set), _)
            | Change::Status(ObjectId::ReplicaSet(set)) => {
                wake.push(Key::ReplicaSet(set));
                None
            }
            _ => owner_of_changed_pod(view, change),
        };
        if let Some(Owner::ReplicaSet(set)) = owner {
            wake.push(Key::ReplicaSet(set));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::ReplicaSet(id) = key else { return Requeue::No };
        let Some(set) = view.replica_sets().get(id) else { return Requeue::No };
        let counts = count_pods(view, id, set);
        match difference(counts.active, set.replicas) {
            Difference::None => {}
            Difference::Create(count) => create_pods(id, set, count, actions),
            Difference::Delete(count) => delete_pods(view, id, set, count, actions),
        }
        let status = status::calculate(set, counts, None, view.now);
        if status != set.status {
            actions.push(Action::status(id, status));
        }
        counts.next_available.map_or(Requeue::No, Requeue::At)
    }

    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        refusals: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        let Key::ReplicaSet(id) = key else { return Requeue::No };
        let Some(set) = view.replica_sets().get(id) else { return Requeue::No };
        let counts = count_pods(view, id, set);
        let reason = if counts.active < set.replicas { "FailedCreate" } else { "FailedDelete" };
        let failure = refusals.first().map(|refused| (reason, refused.to_string()));
        let status = status::calculate(set, counts, failure, view.now);
        if status != set.status {
            actions.push(Action::status(id, status));
        }
        Requeue::Backoff
    }

    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        PodOperation::of(store, action).map(RecordedRequest::Pod)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

fn count_pods(view: ClusterView<'_>, id: ReplicaSetId, set: &ReplicaSet) -> status::PodCounts {
    let pods = view.store().siblings(Owner::ReplicaSet(id));
    status::count(pods.counts(), set.min_ready, view.now)
}

fn create_pods(id: ReplicaSetId, set: &ReplicaSet, count: usize, actions: &mut Actions) {
    let prefix: Name = format!("{}-", set.meta.name()).into();
    for batch in slow_start_batches(count) {
        for _ in 0..batch {
            actions.push(Action::CreatePod(Box::new(PodDraft {
                name: PodName::Generate(prefix.clone()),
                namespace: set.meta.namespace().clone(),
                template: PodSource::Interned(set.template),
                owner: Some(Owner::ReplicaSet(id)),
            })));
        }
        actions.end_batch();
    }
}

fn delete_pods(
    view: ClusterView<'_>,
    id: ReplicaSetId,
    set: &ReplicaSet,
    count: usize,
    actions: &mut Actions,
) {
    let active: Vec<(PodId, &Pod)> =
        view.store().pods_of(Owner::ReplicaSet(id)).filter(|(_, pod)| pod.is_active()).collect();
    let colocated = colocated_by_node(view, set);
    let candidates: Vec<Candidate> = active
        .iter()
        .map(|(_, pod)| Candidate {
            uid: pod.uid,
            is_assigned: pod.node.is_some(),
            phase: pod.phase,
            ready_since: pod.ready.filter(|_| pod.is_ready()).map(|ready| ready.since),
            deletion_cost: view
                .annotations_of(pod)
                .get(DELETION_COST_ANNOTATION)
                .map_or(0, |cost| victims::deletion_cost(cost)),
            colocated: colocated.get(&pod.node).copied().unwrap_or(0),
            restarts: pod.restarts,
            created: pod.created,
        })
        .collect();
    for victim in victims::victims(&candidates, count, view.now) {
        actions.push(Action::DeletePod(active[victim].0, PodDeletion::default()));
    }
}

/// Active pods of all ReplicaSets of the same Deployment, by node (`getIndirectlyRelatedPods`); a
/// set without an owner has no relations, its own pods included.
fn colocated_by_node(view: ClusterView<'_>, set: &ReplicaSet) -> FxHashMap<Option<NodeId>, u32> {
    // Lookups only.
    let mut counts = FxHashMap::default();
    let siblings = set.owner.into_iter().flat_map(|owner| view.store().replica_sets_of(owner));
    for (sibling, _) in siblings {
        for (_, pod) in view.store().pods_of(Owner::ReplicaSet(sibling)) {
            if pod.is_active() {
                *counts.entry(pod.node).or_default() += 1;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sync_creates_or_deletes_at_most_five_hundred_pods() {
        assert_eq!(difference(3, 3), Difference::None);
        assert_eq!(difference(0, 1100), Difference::Create(500));
        assert_eq!(difference(1100, 700), Difference::Delete(400));
    }

    #[test]
    fn creations_come_in_doubling_batches() {
        assert_eq!(slow_start_batches(12).collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!(slow_start_batches(0).count(), 0);
    }
}
