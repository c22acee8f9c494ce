//! StatefulSets (apps/v1).

use super::action::{PodDraft, Refused};
use super::change::Change;
use super::claim::{ClaimDraft, ClaimSpec, ClaimTemplate};
use super::controller_revision::{REVISION_HASH_LABEL, Revision};
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod::Owner;
use super::pod_template::{PodTemplate, Reference};
use super::pod_verbs::delete_pods_of;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`StatefulSet`] in the store.
pub type StatefulSetId = Id<StatefulSet>;

/// Label with a pod's ordinal.
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// Label with a pod's own name.
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// A StatefulSet.
#[derive(Clone, Debug)]
pub struct StatefulSet {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`: the desired state.
    pub spec: StatefulSetSpec,
    /// `status`: the observed state.
    pub status: StatefulSetStatus,
    /// Its ControllerRevisions, by ascending revision number.
    pub revisions: Vec<Revision>,
}

/// `spec` of a StatefulSet, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatefulSetSpec {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template.
    pub template: PodTemplate,
    /// `spec.ordinals.start`: the ordinal of the first pod.
    pub start_ordinal: i32,
    /// `podManagementPolicy: Parallel`: pods are created and deleted without waiting for each other.
    pub is_parallel: bool,
    /// `spec.updateStrategy`.
    pub update: StatefulSetUpdate,
    /// `spec.minReadySeconds`: time for which a pod must be ready before it counts as available.
    pub min_ready_seconds: i32,
    /// Revisions kept for rollback.
    pub revision_history_limit: i32,
    /// `volumeClaimTemplates`: each pod gets a claim of its own for each.
    pub claim_templates: Vec<ClaimTemplate>,
    /// `persistentVolumeClaimRetentionPolicy`.
    pub claim_retention: ClaimRetention,
}

/// `spec.persistentVolumeClaimRetentionPolicy`: when claims are deleted; by default never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimRetention {
    /// `whenDeleted: Delete`: with the set.
    pub deletes_with_set: bool,
    /// `whenScaled: Delete`: with the pods that a scale-down removes.
    pub deletes_when_scaled: bool,
}

/// `spec.updateStrategy` of a StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatefulSetUpdate {
    /// A pod gets the new template only when it is deleted manually.
    OnDelete,
    /// From the highest ordinal down.
    RollingUpdate {
        /// Pods below this ordinal keep the current revision.
        partition: i32,
    },
}

/// `status` of a StatefulSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatefulSetStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are running and ready.
    pub ready_replicas: i32,
    /// Pods that have been ready for at least `minReadySeconds`.
    pub available_replicas: i32,
    /// Pods of the current revision that are not terminating.
    pub current_replicas: i32,
    /// Pods of the update revision that are not terminating.
    pub updated_replicas: i32,
    /// Hash of the revision from which an update starts; absent before the first sync.
    pub current_revision: Option<Name>,
    /// Hash of the revision to which an update leads; absent before the first sync.
    pub update_revision: Option<Name>,
}

impl StatefulSet {
    /// The name of the pod with an ordinal.
    pub fn pod_name(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.meta.name())
    }

    /// The template of the pod with an ordinal (`newVersionedStatefulSetPod`): with its own labels, and its own
    /// claims in place of the volumes of the same names.
    pub fn pod_template(&self, revision: &Revision, ordinal: i32) -> PodTemplate {
        let name = self.pod_name(ordinal);
        let mut template = (*revision.template).clone();
        template.labels = template
            .labels
            .with(POD_INDEX_LABEL, ordinal.to_string())
            .with(POD_NAME_LABEL, name.as_str())
            .with(REVISION_HASH_LABEL, revision.hash.clone());
        let claims = self.claims(ordinal).map(|(name, _)| Reference {
            kind: Kind::PersistentVolumeClaim,
            name,
            key: None,
            volume: None,
        });
        template.spec.references.extend(claims);
        template
    }

    /// The claims of the pod with an ordinal: names and specs.
    pub fn claims(&self, ordinal: i32) -> impl Iterator<Item = (Name, &ClaimSpec)> {
        let named = move |claim: &ClaimTemplate| {
            format!("{}-{}-{ordinal}", claim.name, self.meta.name()).into()
        };
        self.spec.claim_templates.iter().map(move |claim| (named(claim), &claim.spec))
    }

    /// Whether the pod with an ordinal is within the desired range of the set (`podInOrdinalRange`).
    pub const fn has_ordinal(&self, ordinal: i32) -> bool {
        let start = self.spec.start_ordinal;
        ordinal >= start && ordinal < start.saturating_add(self.spec.replicas)
    }
}

/// The ordinal of a StatefulSet's pod, by its labels.
pub fn ordinal(labels: &Labels) -> Option<i32> {
    labels.get(POD_INDEX_LABEL)?.parse().ok()
}

impl Object for StatefulSet {
    const KIND: Kind = Kind::StatefulSet;
    type Spec = StatefulSetSpec;
    type Status = StatefulSetStatus;

    object::accessors!(StatefulSetStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: StatefulSetSpec) -> Self {
        Self { meta, spec, status: StatefulSetStatus::default(), revisions: Vec::new() }
    }

    /// Of the spec only replicas, template, strategy, ordinals, `minReadySeconds`, `revisionHistoryLimit` and
    /// the retention of claims can change (`ValidateStatefulSetUpdate`).
    fn update(
        store: &mut Store,
        id: StatefulSetId,
        meta: ObjectMeta,
        spec: StatefulSetSpec,
    ) -> Result<bool, Refused> {
        let set = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        let old = &set.spec;
        let is_allowed = old.selector == spec.selector
            && old.is_parallel == spec.is_parallel
            && old.claim_templates == spec.claim_templates;
        if !is_allowed {
            let rule = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                        'template', 'updateStrategy', 'revisionHistoryLimit', \
                        'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            return Err(Refused::Forbidden(format!("spec: Forbidden: {rule}")));
        }
        Ok(object::replace((&mut set.meta, &mut set.spec), meta, spec))
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: StatefulSetId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        delete_pods_of(store, now, Owner::StatefulSet(id), changes)?;
        store.delete_claims_of(now, id, changes)
    }
}

/// Creates a pod after its claims (`CreateStatefulPod`).
pub(super) fn create_stateful_pod(
    store: &mut Store,
    now: SimTime,
    pod: PodDraft,
    claims: Vec<ClaimDraft>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let mut problems = Vec::new();
    for claim in claims {
        let name = claim.id.name.clone();
        if let Err(why) = store.put_claim(now, claim, changes) {
            problems.push(format!("failed to create PVC {name}: {why}"));
        }
    }
    match problems.len() {
        0 => super::pod_verbs::create_pod(store, now, pod, changes),
        1 => Err(Refused::Forbidden(problems.remove(0))),
        _ => Err(Refused::Forbidden(format!("[{}]", problems.join(", ")))),
    }
}
