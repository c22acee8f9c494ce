//! What deciders ask for: the verbs of the API server.

use std::fmt;

use super::claim::{ClaimDraft, ClaimOwner};
use super::container_status::PodReport;
use super::controller_revision::Revision;
use super::custom_metrics::{ApiHealth, CustomMetrics, MetricsApi};
use super::kind::Kind;
use super::meta::{Labels, Name, NamespacedName, ObjectMeta};
use super::metrics::PodMetricsUpdate;
use super::node::{ConditionStatus, Node, NodeId, Taint};
use super::objects::{AnySpec, AnyStatus, ObjectId};
use super::pod::{Owner, PodId, PodPhase, RestartCounts};
use super::pod_template::{PodTemplate, ResourceList, TemplateId};
use super::replica_set::{ReplicaSetId, ReplicaSetUpdate};
use super::resize::{ContainerResize, ResizeStep};
use super::scale::ScaleTarget;
use super::service::{Endpoint, ServiceId};
use engine::{Id, SimDuration};

/// One request to the API server. [`super::apply`] carries it out or refuses it.
#[derive(Clone, Debug)]
pub enum Action {
    /// A new object of any kind.
    Create(Box<ObjectMeta>, AnySpec),
    /// Labels, annotations and spec of an object, which is created if it is not there.
    Apply(Box<ObjectMeta>, AnySpec),
    /// The status sub-resource of an object.
    UpdateStatus(AnyStatus),
    /// The scale sub-resource of a workload: `spec.replicas`.
    Scale(ScaleTarget, i32),
    /// An object goes, with its dependents (background cascade).
    Delete(ObjectId),

    /// The Ready condition of a node: True and False are posted by its kubelet, Unknown is written
    /// by the node lifecycle controller.
    SetNodeReady(NodeId, ConditionStatus),
    /// Another condition of a node, by its place in `NODE_CONDITIONS`.
    SetNodeCondition(NodeId, usize, ConditionStatus),
    /// The kubelet of a node falls silent, or renews its lease again.
    SetNodeSilent(NodeId, bool),
    /// All taints of a node.
    SetNodeTaints(NodeId, Vec<Taint>),
    /// All labels of a node.
    SetNodeLabels(NodeId, Labels),
    /// All annotations of a node.
    SetNodeAnnotations(NodeId, Labels),
    /// Capacity and allocatable resources of a node, as its kubelet posts them once a device plugin has registered.
    SetNodeResources(NodeId, Box<(ResourceList, ResourceList)>),
    /// Cordon or uncordon.
    SetNodeUnschedulable(NodeId, bool),

    /// Replicas, revision and annotations of a ReplicaSet, as its Deployment writes them.
    SetReplicaSet(ReplicaSetId, ReplicaSetUpdate),
    /// The ControllerRevisions of a StatefulSet or a DaemonSet.
    SetRevisions(Owner, Vec<Revision>),
    /// The EndpointSlices of a Service.
    SetEndpoints(ServiceId, Vec<Endpoint>),
    /// The owner whose deletion deletes a claim.
    SetClaimOwner(Box<(NamespacedName, Option<ClaimOwner>)>),

    /// The finalizer of a Job's pod goes.
    RemovePodFinalizer(PodId),
    /// A new pod.
    CreatePod(Box<PodDraft>),
    /// A new pod of a StatefulSet, and before it those of its claims that are missing: if one is
    /// refused, the pod is not created.
    CreateStatefulPod(Box<(PodDraft, Vec<ClaimDraft>)>),
    /// The binding sub-resource: the pod goes to the node.
    BindPod(PodId, NodeId),
    /// `status.nominatedNodeName`.
    NominatePod(PodId, Option<NodeId>),
    /// Mark for deletion, or remove at once where nothing runs (not bound, or ended).
    DeletePod(PodId, PodDeletion),
    /// The eviction sub-resource: deletes the pod if its PodDisruptionBudget allows it, with this grace in
    /// place of its own if one is given.
    EvictPod(PodId, Option<SimDuration>),
    /// The kubelet, pod GC or a force delete removes the object.
    RemovePod(PodId),
    /// The kubelet takes the pod: `status.startTime` and Ready=False.
    StartPod(PodId),
    /// `status.phase`.
    SetPodPhase(PodId, PodPhase),
    /// The DisruptionTarget condition of a pod, with its reason.
    SetPodDisruption(PodId, &'static str),
    /// The Ready condition of a pod.
    SetPodReady(PodId, ConditionStatus),
    /// The UID that a pod has in a recording of a real cluster that is replayed.
    SetPodUid(PodId, u64),
    /// All `spec.schedulingGates` of a pod go.
    UngatePod(PodId),
    /// The `resize` sub-resource of a pod: other amounts of CPU and memory for containers.
    ResizePod(PodId, Vec<ContainerResize>),
    /// What the kubelet did with a pod's resize.
    StepResize(PodId, Box<ResizeStep>),
    /// Restart counts, where a recording states them; a kubelet's are in its reports.
    SetPodRestarts(PodId, RestartCounts),
    /// What a kubelet reports of the containers, and the phase, conditions and restart counts that follow.
    ReportPod(PodId, Box<PodReport>),

    /// metrics-server has scraped: what changed of what it serves.
    PublishPodMetrics(Box<PodMetricsUpdate>),
    /// The adapter of the custom and external metrics APIs has these values from now on.
    PublishCustomMetrics(Box<CustomMetrics>),
    /// A metrics API answers, or does not.
    SetMetricsApi(MetricsApi, ApiHealth),
    /// The source of a custom or external metric answers no more, or does so again.
    SetMetricFailing(Name, bool),
    /// A Kubernetes Event: nothing but a record.
    Event(Box<Event>),
}

impl Action {
    /// Creates an object.
    pub fn create(meta: ObjectMeta, spec: impl Into<AnySpec>) -> Self {
        Self::Create(Box::new(meta), spec.into())
    }

    /// Writes over an object, or creates it.
    pub fn apply(meta: ObjectMeta, spec: impl Into<AnySpec>) -> Self {
        Self::Apply(Box::new(meta), spec.into())
    }

    /// Writes the status of an object.
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

    /// The verb, for the audit trail.
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
            Self::SetEndpoints(..) => "SetEndpoints",
            Self::SetClaimOwner(..) => "SetClaimOwner",
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
            Self::ResizePod(..) => "ResizePod",
            Self::StepResize(..) => "StepResize",
            Self::SetPodRestarts(..) => "SetPodRestarts",
            Self::ReportPod(..) => "ReportPod",
            Self::PublishPodMetrics(..) => "PublishPodMetrics",
            Self::PublishCustomMetrics(..) => "PublishCustomMetrics",
            Self::SetMetricsApi(..) => "SetMetricsApi",
            Self::SetMetricFailing(..) => "SetMetricFailing",
            Self::Event(..) => "Event",
        }
    }
}

/// A pod to be created.
#[derive(Clone, Debug)]
pub struct PodDraft {
    /// Namespace; and the name, or the prefix to which the API server adds five characters.
    pub name: PodName,
    /// Where it goes.
    pub namespace: Name,
    /// What it is made from.
    pub template: PodSource,
    /// Who owns it.
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

/// Where a pod's template is.
#[derive(Clone, Debug)]
pub enum PodSource {
    /// In the store already.
    Interned(TemplateId),
    /// Still to be interned.
    New(Box<PodTemplate>),
}

/// How a pod is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodDeletion {
    /// Overrides the pod's own grace.
    pub grace_period: Option<SimDuration>,
    /// Reason of the DisruptionTarget condition, where the deletion is a disruption
    /// (`PreemptionByScheduler`, `DeletionByTaintManager`, `EvictionByEvictionAPI`, ...).
    pub disruption: Option<&'static str>,
}

/// A Kubernetes Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Kind of the object that it is about.
    pub kind: Kind,
    /// The object that it is about.
    pub object: NamespacedName,
    /// Whether it warns.
    pub is_warning: bool,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// A sentence, in the controller's own words.
    pub message: String,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The object is gone.
    NotFound,
    /// An object of that name exists.
    AlreadyExists(NamespacedName),
    /// Admission said no, with its message.
    Forbidden(String),
    /// An eviction would break a PodDisruptionBudget (429).
    TooManyRequests {
        /// The budget's state.
        why: String,
        /// When to ask again, if the API server says so.
        retry_after: Option<SimDuration>,
    },
    /// The API server cannot tell what to do (500).
    InternalError(String),
    /// The request makes no sense for the object's state, such as binding a bound pod.
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
