//! What deciders ask for: the verbs of the API server.

use std::fmt;

use super::claim::{ClaimDraft, ClaimOwner};
use super::container_status::PodReport;
use super::controller_revision::Revision;
use super::cron_job::{CronJobId, CronJobSpec, CronJobStatus};
use super::custom_metrics::{ApiHealth, CustomMetrics, MetricsApi};
use super::daemon_set::{DaemonSetId, DaemonSetSpec, DaemonSetStatus};
use super::deployment::{
    DeploymentId, DeploymentSpec, DeploymentStatus, ReplicaSetId, ReplicaSetStatus,
};
use super::hpa::HpaSpec;
use super::hpa_object::HpaId;
use super::hpa_status::HpaStatus;
use super::job::{JobId, JobSpec, JobStatus};
use super::limit_range::LimitRange;
use super::meta::{Labels, Name, NamespacedName, ObjectMeta};
use super::metrics::PodMetricsUpdate;
use super::node::{ConditionStatus, Node, NodeId, Taint};
use super::pod::{Owner, PodId, PodPhase, RestartCounts};
use super::pod_template::{PodTemplate, ReferenceKind, TemplateId};
use super::policy::{
    Namespace, PodDisruptionBudget, PodDisruptionBudgetId, PodDisruptionBudgetStatus, PriorityClass,
};
use super::quota::ResourceQuota;
use super::resize::{ContainerResize, ResizeStep};
use super::scaled_object::{ScaledObjectId, ScaledObjectSpec};
use super::selector::Selector;
use super::service::{Endpoint, Service, ServiceId};
use super::stateful_set::{StatefulSetId, StatefulSetSpec, StatefulSetStatus};
use super::store::ConfigContent;
use super::vpa::{ContainerRecommendation, VpaId, VpaSpec};
use engine::SimDuration;

/// One request to the API server. [`super::apply`] carries it out or refuses it.
#[derive(Clone, Debug)]
pub enum Action {
    /// A Node object appears.
    AddNode(Box<Node>),
    /// A Node object goes; its pods stay until pod GC.
    RemoveNode(NodeId),
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
    /// Cordon or uncordon.
    SetNodeUnschedulable(NodeId, bool),

    /// A new Deployment.
    CreateDeployment(Box<(ObjectMeta, DeploymentSpec)>),
    /// Other labels, annotations and spec for a Deployment, in one write (apply).
    ApplyDeployment(DeploymentId, Box<(ObjectMeta, DeploymentSpec)>),
    /// Another spec for a Deployment (patch, set image, pause).
    SetDeploymentSpec(DeploymentId, Box<DeploymentSpec>),
    /// The scale sub-resource of a Deployment.
    ScaleDeployment(DeploymentId, i32),
    /// The status sub-resource of a Deployment.
    SetDeploymentStatus(DeploymentId, Box<DeploymentStatus>),
    /// A Deployment goes, with all that it owns (background cascade).
    DeleteDeployment(DeploymentId),

    /// A new ReplicaSet.
    CreateReplicaSet(Box<ReplicaSetDraft>),
    /// Replicas, revision and annotations of a ReplicaSet.
    SetReplicaSet(ReplicaSetId, ReplicaSetUpdate),
    /// The scale sub-resource of a ReplicaSet.
    ScaleReplicaSet(ReplicaSetId, i32),
    /// The status sub-resource of a ReplicaSet.
    SetReplicaSetStatus(ReplicaSetId, Box<ReplicaSetStatus>),
    /// A ReplicaSet goes, with its pods.
    DeleteReplicaSet(ReplicaSetId),

    /// A new StatefulSet.
    CreateStatefulSet(Box<(ObjectMeta, StatefulSetSpec)>),
    /// Other labels, annotations and spec for a StatefulSet.
    ApplyStatefulSet(StatefulSetId, Box<(ObjectMeta, StatefulSetSpec)>),
    /// The scale sub-resource of a StatefulSet.
    ScaleStatefulSet(StatefulSetId, i32),
    /// The ControllerRevisions of a StatefulSet.
    SetStatefulSetRevisions(StatefulSetId, Vec<Revision>),
    /// The status sub-resource of a StatefulSet.
    SetStatefulSetStatus(StatefulSetId, Box<StatefulSetStatus>),
    /// A StatefulSet goes, with its pods; their claims stay.
    DeleteStatefulSet(StatefulSetId),

    /// A new DaemonSet.
    CreateDaemonSet(Box<(ObjectMeta, DaemonSetSpec)>),
    /// Other labels, annotations and spec for a DaemonSet.
    ApplyDaemonSet(DaemonSetId, Box<(ObjectMeta, DaemonSetSpec)>),
    /// The ControllerRevisions of a DaemonSet.
    SetDaemonSetRevisions(DaemonSetId, Vec<Revision>),
    /// The status sub-resource of a DaemonSet.
    SetDaemonSetStatus(DaemonSetId, Box<DaemonSetStatus>),
    /// A DaemonSet goes, with its pods.
    DeleteDaemonSet(DaemonSetId),

    /// A new Job.
    CreateJob(Box<JobDraft>),
    /// Other labels, annotations and spec for a Job.
    ApplyJob(JobId, Box<(ObjectMeta, JobSpec)>),
    /// The status sub-resource of a Job.
    SetJobStatus(JobId, Box<JobStatus>),
    /// A Job goes, with its pods.
    DeleteJob(JobId),
    /// The finalizer of a Job's pod goes.
    RemovePodFinalizer(PodId),

    /// A new CronJob.
    CreateCronJob(Box<(ObjectMeta, CronJobSpec)>),
    /// Other labels, annotations and spec for a CronJob.
    ApplyCronJob(CronJobId, Box<(ObjectMeta, CronJobSpec)>),
    /// The status sub-resource of a CronJob.
    SetCronJobStatus(CronJobId, Box<CronJobStatus>),
    /// A CronJob goes, with its Jobs.
    DeleteCronJob(CronJobId),

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
    /// The eviction sub-resource: deletes the pod if its PodDisruptionBudget allows it.
    EvictPod(PodId),
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

    /// A new ConfigMap or Secret, or other content for it.
    PutConfig(ReferenceKind, Box<(NamespacedName, ConfigContent)>),
    /// A ConfigMap or Secret goes.
    DeleteConfig(ReferenceKind, Box<NamespacedName>),
    /// A new claim, or a larger size for it.
    PutClaim(Box<ClaimDraft>),
    /// With whom a claim goes.
    SetClaimOwner(Box<(NamespacedName, Option<ClaimOwner>)>),
    /// A claim goes, or will with the last pod that uses it.
    DeleteClaim(Box<NamespacedName>),

    /// A new Service.
    CreateService(Box<Service>),
    /// Another spec for a Service.
    ApplyService(ServiceId, Box<Service>),
    /// A Service goes, and its EndpointSlices with it.
    DeleteService(ServiceId),
    /// The EndpointSlices of a Service.
    SetEndpoints(ServiceId, Vec<Endpoint>),
    /// A new HorizontalPodAutoscaler.
    CreateHpa(Box<(ObjectMeta, HpaSpec)>),
    /// Another spec for a HorizontalPodAutoscaler.
    SetHpaSpec(HpaId, Box<HpaSpec>),
    /// The status sub-resource of a HorizontalPodAutoscaler.
    SetHpaStatus(HpaId, Box<HpaStatus>),
    /// A HorizontalPodAutoscaler goes; what it scaled stays as it is.
    DeleteHpa(HpaId),

    /// A new ScaledObject of KEDA.
    CreateScaledObject(Box<(ObjectMeta, ScaledObjectSpec)>),
    /// A trigger of a ScaledObject is active now.
    SetScaledObjectActive(ScaledObjectId),
    /// So often in a row the HPA could not be told this metric of a ScaledObject.
    SetTriggerFailures(ScaledObjectId, Name, u32),
    /// A ScaledObject goes, and with it the HPA that KEDA made of it.
    DeleteScaledObject(ScaledObjectId),

    /// A new VerticalPodAutoscaler.
    CreateVpa(Box<(ObjectMeta, VpaSpec)>),
    /// The recommendation of a VerticalPodAutoscaler.
    SetVpaRecommendation(VpaId, Box<Vec<ContainerRecommendation>>),
    /// A VerticalPodAutoscaler goes.
    DeleteVpa(VpaId),

    /// A new Namespace, or other labels for it.
    CreateNamespace(Box<Namespace>),
    /// A Namespace goes; what was in it is deleted before.
    DeleteNamespace(Name),
    /// A new ResourceQuota, or other limits for it.
    ApplyResourceQuota(Box<ResourceQuota>),
    /// A ResourceQuota goes.
    DeleteResourceQuota(NamespacedName),
    /// A new LimitRange, or other limits for it.
    ApplyLimitRange(Box<LimitRange>),
    /// A LimitRange goes.
    DeleteLimitRange(NamespacedName),
    /// A new ServiceAccount.
    CreateServiceAccount(NamespacedName),
    /// A ServiceAccount goes; pods that have it stay.
    DeleteServiceAccount(NamespacedName),
    /// A new PriorityClass.
    CreatePriorityClass(Box<PriorityClass>),
    /// A new PodDisruptionBudget.
    CreateDisruptionBudget(Box<PodDisruptionBudget>),
    /// Another spec for a PodDisruptionBudget.
    ApplyDisruptionBudget(PodDisruptionBudgetId, Box<PodDisruptionBudget>),
    /// A PodDisruptionBudget goes.
    DeleteDisruptionBudget(PodDisruptionBudgetId),
    /// The status of a PodDisruptionBudget.
    SetDisruptionBudgetStatus(PodDisruptionBudgetId, Box<PodDisruptionBudgetStatus>),

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
    /// The verb, for the audit trail.
    #[expect(clippy::too_many_lines, reason = "one arm for each verb: a table, not a procedure")]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::AddNode(..) => "AddNode",
            Self::RemoveNode(..) => "RemoveNode",
            Self::SetNodeReady(..) => "SetNodeReady",
            Self::SetNodeCondition(..) => "SetNodeCondition",
            Self::SetNodeSilent(..) => "SetNodeSilent",
            Self::SetNodeTaints(..) => "SetNodeTaints",
            Self::SetNodeLabels(..) => "SetNodeLabels",
            Self::SetNodeUnschedulable(..) => "SetNodeUnschedulable",
            Self::CreateDeployment(..) => "CreateDeployment",
            Self::ApplyDeployment(..) => "ApplyDeployment",
            Self::SetDeploymentSpec(..) => "SetDeploymentSpec",
            Self::ScaleDeployment(..) => "ScaleDeployment",
            Self::SetDeploymentStatus(..) => "SetDeploymentStatus",
            Self::DeleteDeployment(..) => "DeleteDeployment",
            Self::CreateReplicaSet(..) => "CreateReplicaSet",
            Self::SetReplicaSet(..) => "SetReplicaSet",
            Self::ScaleReplicaSet(..) => "ScaleReplicaSet",
            Self::SetReplicaSetStatus(..) => "SetReplicaSetStatus",
            Self::DeleteReplicaSet(..) => "DeleteReplicaSet",
            Self::CreateStatefulSet(..) => "CreateStatefulSet",
            Self::ApplyStatefulSet(..) => "ApplyStatefulSet",
            Self::ScaleStatefulSet(..) => "ScaleStatefulSet",
            Self::SetStatefulSetRevisions(..) => "SetStatefulSetRevisions",
            Self::SetStatefulSetStatus(..) => "SetStatefulSetStatus",
            Self::DeleteStatefulSet(..) => "DeleteStatefulSet",
            Self::CreateDaemonSet(..) => "CreateDaemonSet",
            Self::ApplyDaemonSet(..) => "ApplyDaemonSet",
            Self::SetDaemonSetRevisions(..) => "SetDaemonSetRevisions",
            Self::SetDaemonSetStatus(..) => "SetDaemonSetStatus",
            Self::DeleteDaemonSet(..) => "DeleteDaemonSet",
            Self::CreateJob(..) => "CreateJob",
            Self::ApplyJob(..) => "ApplyJob",
            Self::SetJobStatus(..) => "SetJobStatus",
            Self::DeleteJob(..) => "DeleteJob",
            Self::RemovePodFinalizer(..) => "RemovePodFinalizer",
            Self::CreateCronJob(..) => "CreateCronJob",
            Self::ApplyCronJob(..) => "ApplyCronJob",
            Self::SetCronJobStatus(..) => "SetCronJobStatus",
            Self::DeleteCronJob(..) => "DeleteCronJob",
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
            Self::PutConfig(..) => "PutConfig",
            Self::DeleteConfig(..) => "DeleteConfig",
            Self::PutClaim(..) => "PutClaim",
            Self::SetClaimOwner(..) => "SetClaimOwner",
            Self::DeleteClaim(..) => "DeleteClaim",
            Self::CreateService(..) => "CreateService",
            Self::ApplyService(..) => "ApplyService",
            Self::DeleteService(..) => "DeleteService",
            Self::SetEndpoints(..) => "SetEndpoints",
            Self::CreateHpa(..) => "CreateHpa",
            Self::SetHpaSpec(..) => "SetHpaSpec",
            Self::SetHpaStatus(..) => "SetHpaStatus",
            Self::DeleteHpa(..) => "DeleteHpa",
            Self::CreateScaledObject(..) => "CreateScaledObject",
            Self::SetScaledObjectActive(..) => "SetScaledObjectActive",
            Self::SetTriggerFailures(..) => "SetTriggerFailures",
            Self::DeleteScaledObject(..) => "DeleteScaledObject",
            Self::CreateVpa(..) => "CreateVpa",
            Self::SetVpaRecommendation(..) => "SetVpaRecommendation",
            Self::DeleteVpa(..) => "DeleteVpa",
            Self::CreateNamespace(..) => "CreateNamespace",
            Self::DeleteNamespace(..) => "DeleteNamespace",
            Self::ApplyResourceQuota(..) => "ApplyResourceQuota",
            Self::DeleteResourceQuota(..) => "DeleteResourceQuota",
            Self::ApplyLimitRange(..) => "ApplyLimitRange",
            Self::DeleteLimitRange(..) => "DeleteLimitRange",
            Self::CreateServiceAccount(..) => "CreateServiceAccount",
            Self::DeleteServiceAccount(..) => "DeleteServiceAccount",
            Self::CreatePriorityClass(..) => "CreatePriorityClass",
            Self::CreateDisruptionBudget(..) => "CreateDisruptionBudget",
            Self::ApplyDisruptionBudget(..) => "ApplyDisruptionBudget",
            Self::DeleteDisruptionBudget(..) => "DeleteDisruptionBudget",
            Self::SetDisruptionBudgetStatus(..) => "SetDisruptionBudgetStatus",
            Self::PublishPodMetrics(..) => "PublishPodMetrics",
            Self::PublishCustomMetrics(..) => "PublishCustomMetrics",
            Self::SetMetricsApi(..) => "SetMetricsApi",
            Self::SetMetricFailing(..) => "SetMetricFailing",
            Self::Event(..) => "Event",
        }
    }
}

/// A ReplicaSet to be created.
#[derive(Clone, Debug)]
pub struct ReplicaSetDraft {
    /// Name, labels, annotations.
    pub meta: ObjectMeta,
    /// The Deployment that owns it, if any.
    pub owner: Option<DeploymentId>,
    /// Pods wanted.
    pub replicas: i32,
    /// Which pods belong to it.
    pub selector: Selector,
    /// What its pods are made from, with the `pod-template-hash` label.
    pub template: PodTemplate,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: SimDuration,
    /// Annotation `deployment.kubernetes.io/revision`; 0 = none.
    pub revision: i64,
    /// Annotation `deployment.kubernetes.io/desired-replicas`, if set.
    pub desired_replicas: Option<i32>,
    /// Annotation `deployment.kubernetes.io/max-replicas`, if set.
    pub max_replicas: Option<i32>,
}

/// Changes to a ReplicaSet; absent = stays.
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

/// A Job to be created.
#[derive(Clone, Debug)]
pub struct JobDraft {
    /// Name, labels, annotations.
    pub meta: ObjectMeta,
    /// The CronJob that makes it, if any.
    pub owner: Option<CronJobId>,
    /// What it does.
    pub spec: JobSpec,
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
    pub kind: &'static str,
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
