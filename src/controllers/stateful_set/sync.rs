//! One sync of a StatefulSet (`stateful_set_control.go`, `updateStatefulSet`).

use super::rules::{is_available, is_running_and_ready, is_unavailable, takes_current_revision};
use crate::replica_set::slow_start_batches;
use crate::replica_set::status::available_at;
use crate::{Actions, Requeue};
use cluster::ObjectMeta;
use cluster::action::{Event, PodDeletion, PodDraft, PodName, PodSource};
use cluster::claim::ClaimContent;
use cluster::claim::{Claim, ClaimDraft, ClaimOwner};
use cluster::controller_revision::{REVISION_HASH_LABEL, Revision, truncate, with_latest};
use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::stateful_set::{
    StatefulSet, StatefulSetId, StatefulSetStatus, StatefulSetUpdate, ordinal,
};
use cluster::{Action, ClusterView, Kind, Name, NamespacedName};
use engine::SimDuration;

/// State of one sync.
pub(super) struct Sync<'a> {
    view: ClusterView<'a>,
    id: StatefulSetId,
    set: &'a StatefulSet,
    /// All revisions, the update revision last.
    revisions: Vec<Revision>,
    /// Hash of the revision from which an update starts.
    current: Name,
    /// By ordinal, starting at the first; absent where there is no pod.
    replicas: Vec<Option<MemberPod<'a>>>,
    /// Pods outside of the range, highest ordinal first.
    condemned: Vec<MemberPod<'a>>,
    /// Updates to be subtracted from `status.currentReplicas` in this sync.
    replaced: i32,
}

/// A pod of the set.
#[derive(Clone, Copy, Debug)]
struct MemberPod<'a> {
    id: PodId,
    pod: &'a Pod,
    ordinal: i32,
}

/// Whether an ordered set may continue with the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    Wait,
}

impl<'a> Sync<'a> {
    pub(super) fn new(view: ClusterView<'a>, id: StatefulSetId) -> Option<Self> {
        let set = view.store().stateful_sets().get(id)?;
        let revisions = with_latest(&set.revisions, &set.spec.template);
        let known = |hash: &&Name| revisions.iter().any(|revision| revision.hash == **hash);
        let current = set.status.current_revision.as_ref().filter(known);
        let current = current.or(revisions.last().map(|latest| &latest.hash))?.clone();
        let count = usize::try_from(set.spec.replicas).unwrap_or(0);
        let mut replicas = vec![None; count];
        let mut condemned = Vec::new();
        for (pod_id, pod) in view.store().pods_of(Owner::StatefulSet(id)) {
            let Some(ordinal) = ordinal(view.store().labels_of(pod)) else { continue };
            let member = MemberPod { id: pod_id, pod, ordinal };
            let place = usize::try_from(ordinal - set.spec.start_ordinal).ok();
            match place.and_then(|place| replicas.get_mut(place)) {
                Some(slot) => *slot = Some(member),
                None => condemned.push(member),
            }
        }
        condemned.sort_by_key(|member| std::cmp::Reverse(member.ordinal));
        Some(Self { view, id, set, revisions, current, replicas, condemned, replaced: 0 })
    }

    pub(super) fn run(mut self, actions: &mut Actions) -> Requeue {
        self.write_revisions(actions);
        let mut step = self.process_replicas(actions);
        if step == Step::GoOn {
            step = self.process_condemned(actions);
        }
        if step == Step::GoOn {
            self.update_one(actions);
        }
        self.write_status(actions);
        self.next_available().map_or(Requeue::No, Requeue::At)
    }

    const fn is_ordered(&self) -> bool {
        !self.set.spec.is_parallel
    }

    fn update_revision(&self) -> &Revision {
        self.revisions.last().expect("there is always a revision of the present template")
    }

    fn revision_of<'p>(&'p self, pod: &'p Pod) -> Option<&'p Name> {
        self.view.labels_of(pod).get(REVISION_HASH_LABEL)
    }

    fn write_revisions(&mut self, actions: &mut Actions) {
        let in_use: Vec<Name> = self
            .members()
            .filter_map(|member| self.revision_of(member.pod))
            .chain([&self.current, &self.update_revision().hash])
            .cloned()
            .collect();
        let limit = self.set.spec.revision_history_limit;
        let mut kept = self.revisions.clone();
        truncate(&mut kept, limit, |hash| in_use.contains(hash));
        if kept != self.set.revisions {
            actions.push(Action::SetRevisions(Owner::StatefulSet(self.id), kept));
        }
    }

    fn members(&self) -> impl Iterator<Item = &MemberPod<'a>> {
        self.replicas.iter().flatten().chain(&self.condemned)
    }

    /// Creates missing pods and removes finished ones in ordinal order; an unavailable pod blocks an ordered set.
    fn process_replicas(&self, actions: &mut Actions) -> Step {
        if self.is_ordered() {
            for place in 0..self.replicas.len() {
                if self.process_replica(place, actions) == Step::Wait {
                    return Step::Wait;
                }
            }
            return Step::GoOn;
        }
        let mut place = 0;
        for batch in slow_start_batches(self.replicas.len()) {
            for _ in 0..batch {
                self.process_replica(place, actions);
                place += 1;
            }
            actions.end_batch();
        }
        Step::GoOn
    }

    fn process_replica(&self, place: usize, actions: &mut Actions) -> Step {
        let Some(member) = &self.replicas[place] else {
            let place = i32::try_from(place).unwrap_or(i32::MAX);
            let ordinal = self.set.spec.start_ordinal.saturating_add(place);
            // A claim owned by an earlier pod of this name must be removed first (`PodClaimIsStale`).
            let goes_with_pod = |claim: &Claim| matches!(claim.owner, Some(ClaimOwner::Pod(_)));
            if !self.claims(ordinal).any(|(_, claim)| claim.is_some_and(goes_with_pod)) {
                self.create_pod(ordinal, actions);
            }
            return Step::Wait;
        };
        if member.pod.phase.is_terminal() {
            if !member.pod.is_terminating() {
                self.delete_pod(member, actions);
            }
            return Step::Wait;
        }
        if member.pod.phase == PodPhase::Pending {
            self.create_claims(member.ordinal, actions);
        }
        if self.is_unavailable(member) {
            return Step::Wait;
        }
        self.keep_claims(member, actions);
        Step::GoOn
    }

    fn is_unavailable(&self, member: &MemberPod<'_>) -> bool {
        is_unavailable(member.pod, self.set.spec.min_ready_seconds, self.view.now)
    }

    /// Removes pods outside the ordinal range, the highest ordinal first; an ordered set removes one at a time, and
    /// only while no other pod is unavailable.
    fn process_condemned(&self, actions: &mut Actions) -> Step {
        let first_unavailable = self.first_unavailable();
        self.condemned.iter().for_each(|member| self.keep_claims(member, actions));
        for member in &self.condemned {
            if member.pod.is_terminating() {
                if self.is_ordered() {
                    return Step::Wait;
                }
                continue;
            }
            let is_first = first_unavailable == Some(member.id);
            if self.is_ordered() && self.is_unavailable(member) && !is_first {
                return Step::Wait;
            }
            self.delete_pod(member, actions);
            if self.is_ordered() {
                return Step::Wait;
            }
        }
        Step::GoOn
    }

    /// The first unavailable pod: by ordinal within the range, then outside it. A pod that is yet to be created
    /// counts, and has no id.
    fn first_unavailable(&self) -> Option<PodId> {
        for replica in &self.replicas {
            match replica {
                None => return None,
                Some(member) if self.is_unavailable(member) => return Some(member.id),
                Some(_) => {}
            }
        }
        let mut upwards = self.condemned.iter().rev();
        upwards.find(|member| self.is_unavailable(member)).map(|member| member.id)
    }

    /// Deletes the pod with the highest ordinal that is not of the update revision, unless a pod above it is still
    /// unavailable.
    fn update_one(&mut self, actions: &mut Actions) {
        let StatefulSetUpdate::RollingUpdate { partition } = self.set.spec.update else { return };
        let first = usize::try_from(partition).unwrap_or(0);
        for place in (first..self.replicas.len()).rev() {
            // A pod requested just now has the right revision and is not available yet.
            let Some(member) = self.replicas[place] else { return };
            let is_updated = self.revision_of(member.pod) == Some(&self.update_revision().hash);
            if !is_updated && !member.pod.is_terminating() {
                self.delete_pod(&member, actions);
                self.replaced += 1;
                return;
            }
            if self.is_unavailable(&member) {
                return;
            }
        }
    }

    fn create_pod(&self, ordinal: i32, actions: &mut Actions) {
        let current = self.revisions.iter().find(|revision| revision.hash == self.current);
        let revision = match current {
            Some(current) if takes_current_revision(&self.set.spec, ordinal) => current,
            _ => self.update_revision(),
        };
        let pod = PodDraft {
            name: PodName::Exact(self.set.pod_name(ordinal).into()),
            namespace: self.set.meta.namespace().clone(),
            template: PodSource::New(Box::new(self.set.pod_template(revision, ordinal))),
            owner: Some(Owner::StatefulSet(self.id)),
        };
        let claims = self.missing_claims(ordinal).collect();
        actions.push(Action::CreateStatefulPod(Box::new((pod, claims))));
    }

    /// The claims of the pod with an ordinal, as far as they exist.
    fn claims(&self, ordinal: i32) -> impl Iterator<Item = (NamespacedName, Option<&'a Claim>)> {
        let store = self.view.store();
        self.set.claims(ordinal).map(|(name, _)| {
            let id = NamespacedName::new(self.set.meta.namespace().clone(), name);
            let claim = store.claim(&id);
            (id, claim)
        })
    }

    /// The claims of a pod that do not exist yet, or are terminating: creating the latter is refused until they are
    /// removed.
    fn missing_claims(&self, ordinal: i32) -> impl Iterator<Item = ClaimDraft> {
        let owner = self.claim_owner(ordinal, None);
        let specs = self.set.claims(ordinal).map(|(_, spec)| spec);
        let wanted = self.claims(ordinal).zip(specs);
        let missing = wanted.filter(|((_, claim), _)| claim.is_none_or(Claim::is_terminating));
        missing.map(move |((id, _), spec)| ClaimDraft { id, spec: spec.clone(), owner })
    }

    /// Creates claims that a pod lost before it started.
    fn create_claims(&self, ordinal: i32, actions: &mut Actions) {
        for draft in self.missing_claims(ordinal) {
            let (pod, set) = (self.set.pod_name(ordinal), self.set.meta.name());
            let ClaimDraft { id, spec, owner } = draft;
            let name = &id.name;
            let message = format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
            let meta = ObjectMeta::new(id.namespace, id.name.clone());
            actions.push(Action::apply(meta, ClaimContent { spec, owner }));
            actions.push(self.event("SuccessfulCreate", message));
        }
    }

    /// The owner whose deletion deletes a pod's claims (`updateClaimOwnerRefForSetAndPod`).
    fn claim_owner(&self, ordinal: i32, pod: Option<PodId>) -> Option<ClaimOwner> {
        let retention = self.set.spec.claim_retention;
        if retention.deletes_when_scaled && !self.set.has_ordinal(ordinal) {
            pod.map(ClaimOwner::Pod)
        } else {
            retention.deletes_with_set.then_some(ClaimOwner::StatefulSet(self.id))
        }
    }

    /// Updates the owner of a pod's claims according to the retention policy (`UpdatePodClaimForRetentionPolicy`).
    fn keep_claims(&self, member: &MemberPod<'_>, actions: &mut Actions) {
        let owner = self.claim_owner(member.ordinal, Some(member.id));
        for (id, claim) in self.claims(member.ordinal) {
            if claim.is_some_and(|claim| claim.owner != owner) {
                actions.push(Action::SetClaimOwner(Box::new((id, owner))));
            }
        }
    }

    fn delete_pod(&self, member: &MemberPod<'_>, actions: &mut Actions) {
        actions.push(Action::DeletePod(member.id, PodDeletion::default()));
        let (pod, set) = (member.pod.name(), self.set.meta.name());
        let message = format!("delete Pod {pod} in StatefulSet {set} successful");
        actions.push(self.event("SuccessfulDelete", message));
    }

    fn event(&self, reason: &'static str, message: String) -> Action {
        Action::Event(Box::new(Event {
            kind: Kind::StatefulSet,
            object: self.set.meta.id.clone(),
            is_warning: false,
            reason,
            message,
        }))
    }

    /// Writes the status if it is another one (`updateStatefulSetStatus`).
    pub(super) fn write_status(&self, actions: &mut Actions) {
        let status = self.status();
        if status != self.set.status {
            actions.push(Action::status(self.id, status));
        }
    }

    fn status(&self) -> StatefulSetStatus {
        let spec = &self.set.spec;
        let count = |counts: &dyn Fn(&Pod) -> bool| {
            let count = self.members().filter(|member| counts(member.pod)).count();
            i32::try_from(count).unwrap_or(i32::MAX)
        };
        let of_revision = |hash: &Name| {
            count(&|pod| !pod.is_terminating() && self.revision_of(pod) == Some(hash))
        };
        let update = &self.update_revision().hash;
        let mut status = StatefulSetStatus {
            observed_generation: self.set.meta.generation,
            replicas: count(&|_| true),
            ready_replicas: count(&is_running_and_ready),
            available_replicas: count(&|pod| {
                is_available(pod, spec.min_ready_seconds, self.view.now)
            }),
            current_replicas: of_revision(&self.current) - self.replaced,
            updated_replicas: of_revision(update),
            current_revision: Some(self.current.clone()),
            update_revision: Some(update.clone()),
        };
        let counts = [status.updated_replicas, status.ready_replicas, status.replicas];
        let is_rolling = spec.update != StatefulSetUpdate::OnDelete;
        if is_rolling && counts.iter().all(|count| *count == spec.replicas) {
            status.current_replicas = status.updated_replicas;
            status.current_revision.clone_from(&status.update_revision);
        }
        status
    }

    /// When the next ready pod becomes available.
    fn next_available(&self) -> Option<engine::SimTime> {
        let min_ready = SimDuration::from_secs(self.set.spec.min_ready_seconds.into());
        let times = self.members().filter_map(|member| available_at(member.pod, min_ready));
        times.filter(|at| *at > self.view.now).min()
    }
}
