//! Revision counters of the pods and samples behind each scale target, so that readers can detect that nothing
//! changed without reading every pod.

use rustc_hash::{FxHashMap, FxHashSet};

use super::change::Change;
use super::node::NodeId;
use super::objects::ObjectId;
use super::pod::{Owner, PodId};
use super::scale::ScaleTarget;
use super::store::Store;

/// The last change of each scale target's pods, and of the autoscalers.
#[derive(Clone, Debug, Default)]
pub(super) struct Revisions {
    last: u64,
    /// Lookups only, never iterated.
    by_target: FxHashMap<ScaleTarget, u64>,
    autoscalers: u64,
    nodes: u64,
    /// The number of the last write to any pod on a node, by the node's slot.
    pods_by_node: Vec<u64>,
}

impl Revisions {
    fn revise(&mut self, target: ScaleTarget) {
        self.last += 1;
        self.by_target.insert(target, self.last);
    }
}

impl Store {
    /// Grows whenever a pod of the target, its samples, or its place in the target changes.
    pub fn pods_revision(&self, target: ScaleTarget) -> u64 {
        self.revisions.by_target.get(&target).copied().unwrap_or(0)
    }

    /// Grows whenever an autoscaler is created, changed or deleted, or a metrics API fails or recovers.
    pub const fn autoscalers_revision(&self) -> u64 {
        self.revisions.autoscalers
    }

    /// Grows whenever a node is added, changed or removed.
    pub const fn nodes_revision(&self) -> u64 {
        self.revisions.nodes
    }

    /// Grows whenever a pod is bound to the node, changes on it, or is removed from it.
    pub fn revision_of_pods_on(&self, node: NodeId) -> u64 {
        self.revisions.pods_by_node.get(node.index()).copied().unwrap_or(0)
    }

    /// Takes note of changes that were just made.
    pub(super) fn revise(&mut self, changes: &[Change]) {
        for change in changes {
            self.note_version(change);
            self.note_node(change);
            self.note_overlaps(change);
            self.note_standing(change);
            match change {
                Change::PodUpdated(pod, _) => {
                    self.note_state(*pod);
                    self.revise_target_of(change);
                }
                Change::PodAdded(_)
                | Change::PodRemoved { .. }
                | Change::PodSamples(_)
                | Change::Spec(ObjectId::ReplicaSet(_), _) => self.revise_target_of(change),
                Change::Spec(ObjectId::HorizontalPodAutoscaler(_), _) | Change::MetricsApi => {
                    self.revisions.autoscalers += 1;
                }
                Change::NodeAdded(_) | Change::NodeUpdated(_) => self.revisions.nodes += 1,
                Change::Removed { object, .. } => match object {
                    ObjectId::ReplicaSet(_) => self.revise_target_of(change),
                    ObjectId::HorizontalPodAutoscaler(_) => self.revisions.autoscalers += 1,
                    ObjectId::Node(_) => self.revisions.nodes += 1,
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// Numbers a write on the object that was written.
    fn note_version(&mut self, change: &Change) {
        let Some(object) = change.object() else { return };
        self.resource_version += 1;
        let version = self.resource_version;
        if let ObjectId::Pod(pod) = object {
            if let Some(pod) = self.pods.get_mut(pod) {
                pod.resource_version = version;
            }
        } else if let Some(meta) = self.meta_of_mut(object) {
            meta.resource_version = version;
        }
    }

    /// Numbers the last write to the pods of a node.
    fn note_node(&mut self, change: &Change) {
        let node = match change {
            Change::PodAdded(pod) | Change::PodUpdated(pod, _) => {
                self.pods.get(*pod).and_then(|pod| pod.node)
            }
            Change::PodRemoved { node, .. } => *node,
            _ => return,
        };
        let Some(node) = node else { return };
        let by_node = &mut self.revisions.pods_by_node;
        if by_node.len() <= node.index() {
            by_node.resize(node.index() + 1, 0);
        }
        by_node[node.index()] = self.resource_version;
    }

    /// The scale targets affected by a change: the target that owns the pod, and those that count it without owning
    /// it.
    pub fn scale_targets_of(&self, change: &Change) -> impl Iterator<Item = ScaleTarget> {
        self.scale_target_of(change).into_iter().chain(self.strange_targets_of(change))
    }

    /// Targets that count the pod of a change without owning it. Reporting additions and label changes is enough: an
    /// HPA that counts such pods reads them at every sync.
    fn strange_targets_of(&self, change: &Change) -> impl Iterator<Item = ScaleTarget> {
        let pod = match change {
            Change::PodAdded(pod) | Change::PodUpdated(pod, _) => Some(*pod),
            _ => None,
        };
        pod.into_iter().flat_map(|pod| self.counted_by_other_targets(pod))
    }

    fn scale_target_of(&self, change: &Change) -> Option<ScaleTarget> {
        let object = match change {
            Change::PodAdded(pod) | Change::PodUpdated(pod, _) => {
                return self.scaled_owner(self.pods.get(*pod)?.owner?);
            }
            Change::PodRemoved { owner, .. } => return self.scaled_owner((*owner)?),
            Change::PodSamples(owner) => return self.scaled_owner(*owner),
            Change::Removed { object, owner, .. } => owner.unwrap_or(*object),
            Change::Spec(ObjectId::ReplicaSet(set), _)
            | Change::Status(ObjectId::ReplicaSet(set)) => {
                return self.scaled_owner(Owner::ReplicaSet(*set));
            }
            Change::Spec(object, _) | Change::Status(object) => *object,
            _ => return None,
        };
        ScaleTarget::of(object)
    }

    /// Reports changed samples of pods, once per owner.
    pub(super) fn revise_samples(&self, pods: &[PodId], changes: &mut Vec<Change>) {
        let (mut seen, mut last) = (FxHashSet::default(), None);
        let owners = pods.iter().filter_map(|pod| self.pods.get(*pod)?.owner);
        // Pods of one owner often lie side by side.
        let is_new = |owner: &Owner| last.replace(*owner) != Some(*owner) && seen.insert(*owner);
        let mut owners: Vec<Owner> = owners.filter(is_new).collect();
        owners.sort_unstable();
        changes.extend(owners.into_iter().map(Change::PodSamples));
    }

    /// Stores the state of a pod next to those of its siblings.
    fn note_state(&mut self, id: PodId) {
        let Some(pod) = self.pods.get(id) else { return };
        let siblings = pod.owner.and_then(|owner| self.index.pods_by_owner.get_mut(&owner));
        if let Some(siblings) = siblings {
            siblings.update(id, pod.state());
        }
    }

    fn revise_target_of(&mut self, change: &Change) {
        if let Some(own) = self.scale_target_of(change) {
            self.revisions.revise(own);
        }
        if !self.has_no_overlaps() {
            let strange: Vec<ScaleTarget> = self.strange_targets_of(change).collect();
            for target in strange {
                self.revisions.revise(target);
            }
        }
    }
}
