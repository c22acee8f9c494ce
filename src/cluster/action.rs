//! The verbs of the API server: requests that controllers, the scheduler, kubelets and users make.

use std::fmt;

use super::attachment::Attachment;
use super::claim::{ClaimDraft, ClaimId, ClaimOwner};
use super::container_status::PodReport;
use super::controller_revision::Revision;
use super::custom_metrics::{ApiHealth, CustomMetrics, MetricsApi};
use super::kind::Kind;
use super::meta::{Labels, Name, NamespacedName, ObjectMeta};
use super::metrics::PodMetricsUpdate;
use super::node::{ConditionStatus, Node, NodeId, Taint};
use super::objects::{AnySpec, AnyStatus, ObjectId};
use super::pod::{Owner, PodId, PodPhase, RestartCounts};
use super::pod_autoscaler::{PodAutoscalerId, RevisionReport};
use super::pod_template::{PodTemplate, ResourceList, TemplateId, Toleration};
use super::replica_set::{ReplicaSetId, ReplicaSetUpdate};
use super::resize::{ContainerResize, ResizeStep};
use super::scale::ScaleTarget;
use super::service::{EndpointUpdate, ServiceId};
use engine::{Id, SimDuration};

/// One request to the API server. [`super::apply`] carries it out or refuses it.
#[derive(Clone, Debug)]
pub enum Action {
    /// A new object of any kind.
    Create(Box<ObjectMeta>, AnySpec),
    /// Writes labels, annotations and spec of an object, creating it if it does not exist.
    Apply(Box<ObjectMeta>, AnySpec),
    /// The status sub-resource of an object.
    UpdateStatus(AnyStatus),
    /// The scale sub-resource of a workload: `spec.replicas`.
    Scale(ScaleTarget, i32),
    /// Deletes an object and its dependents (background cascade).
    Delete(ObjectId),

    /// The Ready condition of a node: True and False are posted by its kubelet, Unknown is written
    /// by the node lifecycle controller.
    SetNodeReady(NodeId, ConditionStatus),
    /// Any other node condition, by its index in `NODE_CONDITIONS`.
    SetNodeCondition(NodeId, usize, ConditionStatus),
    /// Stops the kubelet's heartbeats on a node, or resumes them.
    SetNodeSilent(NodeId, bool),
    /// Replaces all taints of a node.
    SetNodeTaints(NodeId, Vec<Taint>),
    /// Replaces all labels of a node.
    SetNodeLabels(NodeId, Labels),
    /// Replaces all annotations of a node.
    SetNodeAnnotations(NodeId, Labels),
    /// Capacity and allocatable of a node, as posted by its kubelet once a device plugin has registered.
    SetNodeResources(NodeId, Box<(ResourceList, ResourceList)>),
    /// Cordon or uncordon.
    SetNodeUnschedulable(NodeId, bool),

    /// Replicas, revision and annotations of a ReplicaSet, as its Deployment writes them.
    SetReplicaSet(ReplicaSetId, ReplicaSetUpdate),
    /// The ControllerRevisions of a StatefulSet or a DaemonSet.
    SetRevisions(Owner, Vec<Revision>),
    /// Endpoints in the EndpointSlices of a Service.
    UpdateEndpoints(ServiceId, Vec<EndpointUpdate>),
    /// The owner whose deletion deletes a claim.
    SetClaimOwner(Box<(NamespacedName, Option<ClaimOwner>)>),

    /// The nodes to which a claim's volume is attached, and how far each attachment is.
    SetAttachments(ClaimId, Vec<Attachment>),

    /// Removes the finalizer of a Job's pod.
    RemovePodFinalizer(PodId),
    /// Creates a pod.
    CreatePod(Box<PodDraft>),
    /// Creates a pod of a StatefulSet, preceded by any of its claims that are missing: if a claim is refused, the pod
    /// is not created.
    CreateStatefulPod(Box<(PodDraft, Vec<ClaimDraft>)>),
    /// The binding sub-resource: binds the pod to the node.
    BindPod(PodId, NodeId),
    /// `status.nominatedNodeName`.
    NominatePod(PodId, Option<NodeId>),
    /// Marks a pod for deletion, or removes it at once if nothing runs (not bound, or finished).
    DeletePod(PodId, PodDeletion),
    /// The eviction sub-resource: deletes the pod if its PodDisruptionBudget allows it. A given grace period
    /// overrides the pod's own.
    EvictPod(PodId, Option<SimDuration>),
    /// Removes the pod object: the kubelet has finished with it, or pod GC or a forced delete removes it.
    RemovePod(PodId),
    /// The kubelet accepts the pod: `status.startTime` is set, and Ready=False.
    StartPod(PodId),
    /// `status.phase`.
    SetPodPhase(PodId, PodPhase),
    /// The DisruptionTarget condition of a pod, with its reason.
    SetPodDisruption(PodId, &'static str),
    /// The Ready condition of a pod.
    SetPodReady(PodId, ConditionStatus),
    /// Sets the pod's UID to the one it has in the recording of a real cluster that is being replayed.
    SetPodUid(PodId, u64),
    /// Removes all `spec.schedulingGates` of a pod.
    UngatePod(PodId),
    /// Removes Kueue's gate of a pod, and adds these labels to its node selector and these tolerations.
    AdmitPod(PodId, Box<(Labels, Vec<Toleration>)>),
    /// The `resize` sub-resource of a pod: new CPU and memory amounts for its containers.
    ResizePod(PodId, Vec<ContainerResize>),
    /// Records the kubelet's progress with a pod's resize.
    StepResize(PodId, Box<ResizeStep>),
    /// Restart counts taken from a recording; kubelets send theirs in [`Self::ReportPod`].
    SetPodRestarts(PodId, RestartCounts),
    /// The kubelet's report of container statuses, with the phase, conditions and restart counts derived from them.
    ReportPod(PodId, Box<PodReport>),

    /// Publishes the samples that changed with a scrape of metrics-server.
    PublishPodMetrics(Box<PodMetricsUpdate>),
    /// Replaces the values served by the adapter of the custom and external metrics APIs.
    PublishCustomMetrics(Box<CustomMetrics>),
    /// Sends statistics of revisions to Knative's autoscaler.
    ReportRevisions(Vec<(PodAutoscalerId, RevisionReport)>),
    /// Makes a metrics API available or unavailable.
    SetMetricsApi(MetricsApi, ApiHealth),
    /// Marks the source of a custom or external metric as failing, or as recovered.
    SetMetricFailing(Name, bool),
    /// Records a Kubernetes Event; nothing else changes.
    Event(Box<Event>),
}

impl Action {
    /// Creates an object; refused if it exists.
    pub fn create(meta: ObjectMeta, spec: impl Into<AnySpec>) -> Self {
        Self::Create(Box::new(meta), spec.into())
    }

    /// Overwrites an object, or creates it if it does not exist.
    pub fn apply(meta: ObjectMeta, spec: impl Into<AnySpec>) -> Self {
        Self::Apply(Box::new(meta), spec.into())
    }

    /// Writes an object's status.
    pub fn status<T, S>(id: Id<T>, status: S) -> Self
    where
        AnyStatus: From<(Id<T>, S)>,
    {
        Self::UpdateStatus((id, status).into())
    }

    /// Adds a node as its kubelet registers it.
    pub fn add_node(node: Node) -> Self {
        Self::Create(Box::new(node.meta.clone()), AnySpec::Node(Box::new(node)))
    }

    /// Name of the verb in the audit trail.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(..) => "Create",
            Self::Apply(..) => "Apply",
            Self::UpdateStatus(..) => "UpdateStatus",
            Self::Scale(..) => "Scale",
            Self::Delete(..) => "Delete",
            Self::SetNodeReady(..) => "SetNodeReady",
            Self::SetNodeCondition(..) => "SetNodeCondition",
            Self::SetNodeSilent(..) => "SetNodeSilent",
            Self::SetNodeTaints(..) => "SetNodeTaints",
            Self::SetNodeLabels(..) => "SetNodeLabels",
            Self::SetNodeAnnotations(..) => "SetNodeAnnotations",
            Self::SetNodeResources(..) => "SetNodeResources",
            Self::SetNodeUnschedulable(..) => "SetNodeUnschedulable",
            Self::SetReplicaSet(..) => "SetReplicaSet",
            Self::SetRevisions(..) => "SetRevisions",
            Self::UpdateEndpoints(..) => "UpdateEndpoints",
            Self::SetClaimOwner(..) => "SetClaimOwner",
            Self::SetAttachments(..) => "SetAttachments",
            Self::RemovePodFinalizer(..) => "RemovePodFinalizer",
            Self::CreatePod(..) => "CreatePod",
            Self::CreateStatefulPod(..) => "CreateStatefulPod",
            Self::BindPod(..) => "BindPod",
            Self::NominatePod(..) => "NominatePod",
            Self::DeletePod(..) => "DeletePod",
            Self::EvictPod(..) => "EvictPod",
            Self::RemovePod(..) => "RemovePod",
            Self::StartPod(..) => "StartPod",
            Self::SetPodPhase(..) => "SetPodPhase",
            Self::SetPodDisruption(..) => "SetPodDisruption",
            Self::SetPodReady(..) => "SetPodReady",
            Self::SetPodUid(..) => "SetPodUid",
            Self::UngatePod(..) => "UngatePod",
            Self::AdmitPod(..) => "AdmitPod",
            Self::ResizePod(..) => "ResizePod",
            Self::StepResize(..) => "StepResize",
            Self::SetPodRestarts(..) => "SetPodRestarts",
            Self::ReportPod(..) => "ReportPod",
            Self::PublishPodMetrics(..) => "PublishPodMetrics",
            Self::PublishCustomMetrics(..) => "PublishCustomMetrics",
            Self::ReportRevisions(..) => "ReportRevisions",
            Self::SetMetricsApi(..) => "SetMetricsApi",
            Self::SetMetricFailing(..) => "SetMetricFailing",
            Self::Event(..) => "Event",
        }
    }
}

/// A pod to be created.
#[derive(Clone, Debug)]
pub struct PodDraft {
    /// `metadata.name`, or the prefix to which the API server appends five characters.
    pub name: PodName,
    /// `metadata.namespace`.
    pub namespace: Name,
    /// The template it is created from.
    pub template: PodSource,
    /// The controller that owns it, if any.
    pub owner: Option<Owner>,
}

/// A pod's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodName {
    /// `metadata.name`.
    Exact(Name),
    /// `metadata.generateName`.
    Generate(Name),
}

/// Source of a pod's template.
#[derive(Clone, Debug)]
pub enum PodSource {
    /// Already interned in the store.
    Interned(TemplateId),
    /// To be interned when the pod is created.
    New(Box<PodTemplate>),
}

/// Options of a pod's deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodDeletion {
    /// Overrides the pod's own `terminationGracePeriodSeconds`.
    pub grace_period: Option<SimDuration>,
    /// Reason of the DisruptionTarget condition if the deletion is a disruption (`PreemptionByScheduler`,
    /// `DeletionByTaintManager`, `EvictionByEvictionAPI`, ...).
    pub disruption: Option<&'static str>,
}

/// A Kubernetes Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Kind of the object it concerns.
    pub kind: Kind,
    /// Namespace and name of the object it concerns.
    pub object: NamespacedName,
    /// True for type `Warning`, false for `Normal`.
    pub is_warning: bool,
    /// Machine-readable reason in CamelCase.
    pub reason: &'static str,
    /// Message in the controller's own words.
    pub message: String,
}

/// Reason for which the API server refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The object does not exist.
    NotFound,
    /// An object with that name already exists.
    AlreadyExists(NamespacedName),
    /// Admission or validation rejected it, with this message.
    Forbidden(String),
    /// An eviction would break a PodDisruptionBudget (429).
    TooManyRequests {
        /// Message describing the budget's state.
        why: String,
        /// Delay before the next attempt, if the API server gives one.
        retry_after: Option<SimDuration>,
    },
    /// The API server failed (500).
    InternalError(String),
    /// The request is invalid in the object's current state, such as binding a pod that is already bound.
    Conflict(String),
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::AlreadyExists(id) => write!(f, "{id} already exists"),
            Self::Forbidden(why)
            | Self::Conflict(why)
            | Self::InternalError(why)
            | Self::TooManyRequests { why, .. } => f.write_str(why),
        }
    }
}
