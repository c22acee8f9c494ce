//! ReplicaSets (apps/v1).

use super::action::Refused;
use super::change::Change;
use super::deployment::{DeploymentId, WorkloadCondition, selector_is_immutable};
use super::kind::Kind;
use super::meta::{Labels, ObjectMeta};
use super::object::{self, Object, Stored};
use super::objects::ObjectId;
use super::pod::Owner;
use super::pod_template::{PodTemplate, TemplateId};
use super::pod_verbs::delete_pods_of;
use super::rollout::RolloutId;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`ReplicaSet`] in the store.
pub type ReplicaSetId = Id<ReplicaSet>;

/// The owner of a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetOwner {
    /// A Deployment.
    Deployment(DeploymentId),
    /// A Rollout.
    Rollout(RolloutId),
}

impl SetOwner {
    /// The Deployment, if it is one.
    pub const fn deployment(self) -> Option<DeploymentId> {
        match self {
            Self::Deployment(id) => Some(id),
            Self::Rollout(_) => None,
        }
    }
}

impl From<DeploymentId> for SetOwner {
    fn from(id: DeploymentId) -> Self {
        Self::Deployment(id)
    }
}

impl From<RolloutId> for SetOwner {
    fn from(id: RolloutId) -> Self {
        Self::Rollout(id)
    }
}

impl From<SetOwner> for ObjectId {
    fn from(owner: SetOwner) -> Self {
        match owner {
            SetOwner::Deployment(id) => Self::Deployment(id),
            SetOwner::Rollout(id) => Self::Rollout(id),
        }
    }
}

/// A ReplicaSet.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// The Deployment or Rollout that owns it, if any.
    pub owner: Option<SetOwner>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template, with the `pod-template-hash` label.
    pub template: TemplateId,
    /// `spec.minReadySeconds`: time for which a pod must be ready before it counts as available.
    pub min_ready: SimDuration,
    /// Annotation `deployment.kubernetes.io/revision`; 0 = none.
    pub revision: i64,
    /// Annotation `deployment.kubernetes.io/desired-replicas`, if set.
    pub desired_replicas: Option<i32>,
    /// Annotation `deployment.kubernetes.io/max-replicas`, if set.
    pub max_replicas: Option<i32>,
    /// `status`: the observed state.
    pub status: ReplicaSetStatus,
}

/// `status` of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Active pods: neither finished nor terminating.
    pub replicas: i32,
    /// Pods with all labels of the template.
    pub fully_labeled_replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods that have been ready for at least `minReadySeconds`.
    pub available_replicas: i32,
    /// Terminating pods.
    pub terminating_replicas: i32,
    /// `ReplicaFailure`, if creating or deleting pods failed.
    pub conditions: Vec<WorkloadCondition>,
}

/// `spec` of a ReplicaSet with the annotations by which its Deployment knows it.
#[derive(Clone, Debug)]
pub struct ReplicaSetSpec {
    /// The Deployment or Rollout that owns it, if any.
    pub owner: Option<SetOwner>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template, with the `pod-template-hash` label.
    pub template: PodTemplate,
    /// `spec.minReadySeconds`: time for which a pod must be ready before it counts as available.
    pub min_ready: SimDuration,
    /// Annotation `deployment.kubernetes.io/revision`; 0 = none.
    pub revision: i64,
    /// Annotation `deployment.kubernetes.io/desired-replicas`, if set.
    pub desired_replicas: Option<i32>,
    /// Annotation `deployment.kubernetes.io/max-replicas`, if set.
    pub max_replicas: Option<i32>,
}

/// Changes to a ReplicaSet by its Deployment; absent = stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetUpdate {
    /// `spec.replicas`.
    pub replicas: Option<i32>,
    /// `spec.minReadySeconds`.
    pub min_ready: Option<SimDuration>,
    /// Annotation `deployment.kubernetes.io/revision`.
    pub revision: Option<i64>,
    /// Annotation `deployment.kubernetes.io/desired-replicas`.
    pub desired_replicas: Option<i32>,
    /// Annotation `deployment.kubernetes.io/max-replicas`.
    pub max_replicas: Option<i32>,
    /// All other annotations.
    pub annotations: Option<Labels>,
}

impl ReplicaSet {
    /// Makes the changes; whether there are any.
    pub(super) fn take(&mut self, update: ReplicaSetUpdate) -> bool {
        let spec = (self.replicas, self.min_ready);
        let annotations = (self.revision, self.desired_replicas, self.max_replicas);
        let others = self.meta.annotations.clone();
        self.replicas = update.replicas.unwrap_or(self.replicas);
        self.min_ready = update.min_ready.unwrap_or(self.min_ready);
        self.revision = update.revision.unwrap_or(self.revision);
        self.desired_replicas = update.desired_replicas.or(self.desired_replicas);
        self.max_replicas = update.max_replicas.or(self.max_replicas);
        if let Some(annotations) = update.annotations {
            self.meta.annotations = annotations;
        }
        let is_new_spec = spec != (self.replicas, self.min_ready);
        self.meta.generation += i64::from(is_new_spec);
        is_new_spec
            || annotations != (self.revision, self.desired_replicas, self.max_replicas)
            || others != self.meta.annotations
    }
}

impl Object for ReplicaSet {
    const KIND: Kind = Kind::ReplicaSet;
    type Spec = ReplicaSetSpec;
    type Status = ReplicaSetStatus;

    object::accessors!(meta, ReplicaSetStatus);

    fn written(&self, store: &Store) -> ReplicaSetSpec {
        ReplicaSetSpec {
            owner: self.owner,
            replicas: self.replicas,
            selector: self.selector.clone(),
            template: store.templates()[self.template].clone(),
            min_ready: self.min_ready,
            revision: self.revision,
            desired_replicas: self.desired_replicas,
            max_replicas: self.max_replicas,
        }
    }

    fn new(store: &mut Store, meta: ObjectMeta, spec: ReplicaSetSpec) -> Self {
        Self {
            meta,
            owner: spec.owner,
            replicas: spec.replicas,
            selector: spec.selector,
            template: store.intern(spec.template),
            min_ready: spec.min_ready,
            revision: spec.revision,
            desired_replicas: spec.desired_replicas,
            max_replicas: spec.max_replicas,
            status: ReplicaSetStatus::default(),
        }
    }

    fn update(
        store: &mut Store,
        id: ReplicaSetId,
        meta: ObjectMeta,
        spec: ReplicaSetSpec,
    ) -> Result<bool, Refused> {
        let template = store.intern(spec.template);
        let set = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        selector_is_immutable(&set.selector, &spec.selector)?;
        let is_new = set.template != template || set.meta.labels != meta.labels;
        set.template = template;
        set.meta.labels = meta.labels;
        set.meta.document = meta.document;
        let update = ReplicaSetUpdate {
            replicas: Some(spec.replicas),
            min_ready: Some(spec.min_ready),
            annotations: Some(meta.annotations),
            ..ReplicaSetUpdate::default()
        };
        Ok(set.take(update) || is_new)
    }

    fn owner(&self) -> Option<ObjectId> {
        self.owner.map(Into::into)
    }

    fn index(store: &mut Store, id: ReplicaSetId) {
        if let Some(owner) = store.replica_sets()[id].owner {
            store.index.replica_sets_by_owner.entry(owner).or_default().insert(id);
        }
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: ReplicaSetId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        if let Some(owner) = self.owner
            && let Some(siblings) = store.index.replica_sets_by_owner.get_mut(&owner)
        {
            siblings.remove(&id);
        }
        delete_pods_of(store, now, Owner::ReplicaSet(id), changes)
    }
}
