//! DaemonSets (apps/v1).

use super::action::Refused;
use super::change::Change;
use super::controller_revision::{REVISION_HASH_LABEL, Revision};
use super::deployment::{IntOrPercent, selector_is_immutable};
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::node::{
    DISK_PRESSURE_TAINT, MEMORY_PRESSURE_TAINT, NETWORK_UNAVAILABLE_TAINT, NOT_READY_TAINT,
    PID_PRESSURE_TAINT, UNREACHABLE_TAINT, UNSCHEDULABLE_TAINT,
};
use super::node_selector::NODE_NAME_FIELD;
use super::object::{self, Object, Stored};
use super::pod::Owner;
use super::pod_template::{
    NodeSelectorTerm, PodTemplate, TaintEffect, Toleration, TolerationOperator,
};
use super::pod_verbs::delete_pods_of;
use super::selector::{Operator, Requirement, Selector};
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`DaemonSet`] in the store.
pub type DaemonSetId = Id<DaemonSet>;

/// A DaemonSet.
#[derive(Clone, Debug)]
pub struct DaemonSet {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`: the desired state.
    pub spec: DaemonSetSpec,
    /// `status`: the observed state.
    pub status: DaemonSetStatus,
    /// Its ControllerRevisions, by ascending revision number.
    pub revisions: Vec<Revision>,
}

/// `spec` of a DaemonSet, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSetSpec {
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template.
    pub template: PodTemplate,
    /// `spec.updateStrategy`.
    pub update: DaemonSetUpdate,
    /// `spec.minReadySeconds`: time for which a pod must be ready before it counts as available.
    pub min_ready_seconds: i32,
    /// Revisions kept for rollback.
    pub revision_history_limit: i32,
}

/// `spec.updateStrategy` of a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonSetUpdate {
    /// A pod gets the new template only when it is deleted manually.
    OnDelete,
    /// Pods are replaced node by node.
    RollingUpdate {
        /// Nodes that may run an old and a new pod at once.
        max_surge: IntOrPercent,
        /// Nodes that may be without an available pod.
        max_unavailable: IntOrPercent,
    },
}

/// `status` of a DaemonSet. All numbers count nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaemonSetStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Nodes that should run a pod.
    pub desired_number_scheduled: i32,
    /// Nodes that should run a pod and do.
    pub current_number_scheduled: i32,
    /// Nodes that run a pod but should not.
    pub number_misscheduled: i32,
    /// Nodes whose pod is ready.
    pub number_ready: i32,
    /// Nodes whose pod is of the current revision.
    pub updated_number_scheduled: i32,
    /// Nodes whose pod has been ready for at least `minReadySeconds`.
    pub number_available: i32,
    /// Nodes that should run a pod but have no available one.
    pub number_unavailable: i32,
}

impl DaemonSet {
    /// The template of a revision's pods before they are assigned to a node (`CreatePodTemplate`): with the
    /// revision's hash, and tolerations for every node condition taint.
    pub fn pod_template(&self, revision: &Revision) -> PodTemplate {
        let mut template = (*revision.template).clone();
        template.labels = template.labels.with(REVISION_HASH_LABEL, revision.hash.clone());
        with_daemon_tolerations(template)
    }
}

/// The template of the pod for one node: required affinity to it alone
/// (`ReplaceDaemonSetPodNodeNameNodeAffinity`).
pub fn for_node(template: &PodTemplate, node: &Name) -> PodTemplate {
    let mut template = template.clone();
    let this_node = Requirement {
        key: NODE_NAME_FIELD.into(),
        operator: Operator::In,
        values: vec![node.clone()],
    };
    let term = NodeSelectorTerm { match_expressions: Vec::new(), match_fields: vec![this_node] };
    template.spec.affinity.required_node = Some(vec![term]);
    template
}

/// The node for which a daemon pod is intended, bound or not (`GetTargetNodeName`).
pub fn target_node(template: &PodTemplate) -> Option<&Name> {
    let terms = template.spec.affinity.required_node.as_ref()?;
    let fields = terms.iter().flat_map(|term| &term.match_fields);
    let mut names = fields.filter(|field| *field.key == *NODE_NAME_FIELD);
    names.next()?.values.first()
}

/// The template with tolerations for every node condition taint (`AddOrUpdateDaemonPodTolerations`).
#[must_use]
pub fn with_daemon_tolerations(mut template: PodTemplate) -> PodTemplate {
    let mut tolerated = vec![
        (NOT_READY_TAINT, TaintEffect::NoExecute),
        (UNREACHABLE_TAINT, TaintEffect::NoExecute),
        (DISK_PRESSURE_TAINT, TaintEffect::NoSchedule),
        (MEMORY_PRESSURE_TAINT, TaintEffect::NoSchedule),
        (PID_PRESSURE_TAINT, TaintEffect::NoSchedule),
        (UNSCHEDULABLE_TAINT, TaintEffect::NoSchedule),
    ];
    if template.spec.host_network {
        tolerated.push((NETWORK_UNAVAILABLE_TAINT, TaintEffect::NoSchedule));
    }
    for (key, effect) in tolerated {
        let toleration = Toleration {
            key: key.into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect: Some(effect),
            toleration_seconds: None,
        };
        // Replaces the template's own toleration of the same taint, so that it has no time limit.
        let tolerations = &mut template.spec.tolerations;
        tolerations.retain(|own| own.key != toleration.key || own.effect != toleration.effect);
        tolerations.push(toleration);
    }
    template
}

impl Object for DaemonSet {
    const KIND: Kind = Kind::DaemonSet;
    type Spec = DaemonSetSpec;
    type Status = DaemonSetStatus;

    object::accessors!(DaemonSetStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: DaemonSetSpec) -> Self {
        Self { meta, spec, status: DaemonSetStatus::default(), revisions: Vec::new() }
    }

    fn update(
        store: &mut Store,
        id: DaemonSetId,
        meta: ObjectMeta,
        spec: DaemonSetSpec,
    ) -> Result<bool, Refused> {
        let set = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        selector_is_immutable(&set.spec.selector, &spec.selector)?;
        Ok(object::replace((&mut set.meta, &mut set.spec), meta, spec))
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: DaemonSetId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        delete_pods_of(store, now, Owner::DaemonSet(id), changes)
    }
}
