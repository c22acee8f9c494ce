//! The scenario file as a whole.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::bill::Bill;
use super::cluster::Cluster;
use super::helm_chart::HelmChart;
use super::limits::Limits;
use super::mesh::MeshSpec;
use super::objectives::Objective;
use super::provenance::Provenance;
use super::timing::{Timing, TimingText};
use super::workloads::Workload;
use ::cluster::ObjectReference;
use controllers::hpa::HpaSettings;
use controllers::vpa::VpaSettings;
use engine::SimDuration;
use faults::{RandomFault, TimelineEntry};
use kubelet::KubeletSettings;
use metrics::MetricsSettings;
use traffic::{
    CallSpec, IngressRouteSpec, NetworkSpec, RequestModelSpec, ServiceSpec, TrafficSpec,
};

/// A what-if question about a Kubernetes system: the manifests, the cluster, the traffic, the faults
/// and changes, and the objectives to be met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always wavetank/v1.
    pub api_version: ApiVersion,
    /// Always Scenario.
    pub kind: Kind,
    /// A short name, for reports.
    pub name: String,
    /// The question that the scenario answers, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Seed of all randomness: the same seed gives a byte-identical run. Default 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Simulated time of the run, warm-up included.
    pub duration: SimDuration,
    /// The first part of the run, excluded from latency and availability, in which pods start and
    /// autoscalers settle. Default 0s.
    #[serde(default)]
    pub warm_up: SimDuration,
    /// The calendar time at which the run starts, such as 2026-01-05T08:00:00Z, used for CronJobs and
    /// for times of day in reports. Default: none; CronJobs then assume 2026-01-05T00:00:00Z.
    pub start_date: Option<StartDate>,
    /// The Kubernetes manifests applied at the start: files, folders or patterns such as k8s/*.yaml,
    /// relative to this file. Kustomizations are rendered, and Helm charts too if Helm is installed.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// Objects in the manifests to leave out, such as Deployment/shop/web: typically those that the API
    /// server rejects and `kubectl apply` continues without. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<String>,
    /// Rendering options for Helm charts in the manifests. Default: each with its own values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helm_charts: Vec<HelmChart>,
    /// ConfigMaps, Secrets, ServiceAccounts and PersistentVolumeClaims that are created outside the
    /// manifests (by hand, a vault, cert-manager), such as Secret/shop/db-password. They exist from the
    /// start, with the keys that pods reference. Default: none; pods wait for objects that the
    /// manifests lack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assume_present: Vec<ObjectReference>,
    /// The nodes and their autoscaler.
    #[serde(default)]
    pub cluster: Cluster,
    /// Configuration of the scheduler.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Flags of kube-controller-manager.
    #[serde(default)]
    pub controller_manager: ControllerManager,
    /// Settings of the kubelets of all nodes.
    #[serde(default)]
    pub kubelet: KubeletSettings,
    /// Flags of the vertical-pod-autoscaler's recommender and updater.
    #[serde(default)]
    pub vertical_pod_autoscaler: VpaSettings,
    /// metrics-server, which supplies the autoscalers with metrics, and custom metrics.
    #[serde(default)]
    pub metrics: MetricsSettings,
    /// Delays between the components of a cluster: watches, kubelets, endpoints.
    #[serde(default)]
    #[schemars(with = "TimingText")]
    pub timing: Timing,
    /// Behavior of each workload's pods: start-up times, the cost of a request.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// The requests that clients send, by service.
    #[serde(default)]
    pub traffic: Vec<TrafficSpec>,
    /// The requests that clients send to hosts and paths, which the Ingresses and HTTPRoutes of the
    /// manifests route to Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IngressRouteSpec>,
    /// Network time of requests between pods, zones, gateways and clients. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: NetworkSpec,
    /// The service mesh, whose proxies are injected into pods. Default: the one whose control plane is among the
    /// manifests, else none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mesh: MeshSpec,
    /// Connections of clients and other services to a service, where they differ from the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// Scheduled faults and changes, in any order.
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
    /// Faults that occur at random.
    #[serde(default)]
    pub faults: Vec<RandomFault>,
    /// The objectives; `wavetank check` fails if any of them is missed.
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// OpenSLO v1 files, relative to this file, whose SLOs are objectives as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_slo: Vec<String>,
    /// The source of the figures in this file: which were measured and which are guesses.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// Limits on the size of a run; a larger run is refused before it starts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// The invoice items besides nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bill: Bill,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Scenario {
    /// The calls made by requests to the pods of workloads, for all images.
    pub fn calls(&self) -> impl Iterator<Item = &CallSpec> {
        self.workloads.iter().flat_map(Workload::models).flat_map(RequestModelSpec::all_calls)
    }
}

/// Version of the scenario format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[serde(rename = "wavetank/v1")]
    V1,
}

/// Kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// The only kind.
    Scenario,
}

/// The scheduler of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scheduler {
    /// A KubeSchedulerConfiguration file, relative to this file. Default: the default profile of
    /// kube-scheduler.
    pub config: Option<String>,
}

/// Flags of kube-controller-manager, with the defaults of the real one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControllerManager {
    /// The flags --horizontal-pod-autoscaler-*.
    pub horizontal_pod_autoscaler: HpaSettings,
}

/// A calendar time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StartDate(pub Timestamp);

impl JsonSchema for StartDate {
    fn schema_name() -> Cow<'static, str> {
        "StartDate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "An instant with its time zone, such as 2026-01-05T08:00:00Z."
        })
    }
}

const fn default_seed() -> u64 {
    1
}
