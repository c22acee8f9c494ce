//! The scenario file as a whole.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::bill::Bill;
use super::cluster::Cluster;
use super::helm_chart::HelmChart;
use super::limits::Limits;
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
use traffic::{CallSpec, EntranceSpec, RequestModelSpec, ServiceSpec, TrafficSpec};

/// A question to a Kubernetes system: which manifests, on which cluster, under which traffic, with
/// which faults and changes, and what must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always wavetank/v1.
    pub api_version: ApiVersion,
    /// Always Scenario.
    pub kind: Kind,
    /// A short name, for reports.
    pub name: String,
    /// What is asked, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Seed of all randomness: the same seed gives the same run to the last byte. Default 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How long the run is, warm-up included.
    pub duration: SimDuration,
    /// The first part of the run, which counts neither for latency nor for availability: pods come up
    /// and the autoscaler settles. Default 0s.
    #[serde(default)]
    pub warm_up: SimDuration,
    /// The calendar instant at which the run starts, such as 2026-01-05T08:00:00Z: for CronJobs, and
    /// for the times of day in reports. Default: none is known, and CronJobs take it for
    /// 2026-01-05T00:00:00Z.
    pub start_date: Option<StartDate>,
    /// The Kubernetes manifests that are applied at the start: files, folders or patterns such as
    /// k8s/*.yaml, relative to this file. Kustomizations are rendered; so are Helm charts, by `helm
    /// template`, where Helm is installed.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// Objects of the manifests that are left out, such as Deployment/shop/web: those that the API server
    /// refuses, without which `kubectl apply` goes on. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<String>,
    /// How Helm charts among the manifests are rendered. Default: each with its own values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helm_charts: Vec<HelmChart>,
    /// ConfigMaps, Secrets and ServiceAccounts that something else than the manifests makes (a person,
    /// a vault, cert-manager), such as Secret/shop/db-password: they are there from the start, with the
    /// keys that pods ask for. Default: none, and pods wait for what the manifests lack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assume_present: Vec<ObjectReference>,
    /// The nodes.
    #[serde(default)]
    pub cluster: Cluster,
    /// The scheduler.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// kube-controller-manager.
    #[serde(default)]
    pub controller_manager: ControllerManager,
    /// The kubelets of all nodes.
    #[serde(default)]
    pub kubelet: KubeletSettings,
    /// Flags of the vertical-pod-autoscaler's recommender and updater.
    #[serde(default)]
    pub vertical_pod_autoscaler: VpaSettings,
    /// metrics-server, from which the autoscaler has its figures.
    #[serde(default)]
    pub metrics: MetricsSettings,
    /// How long what goes on between the parts of a cluster takes: watches, kubelets, endpoints.
    #[serde(default)]
    #[schemars(with = "TimingText")]
    pub timing: Timing,
    /// What the pods of each workload do: how long they take to start, what a request costs them.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// The requests that clients send, service by service.
    #[serde(default)]
    pub traffic: Vec<TrafficSpec>,
    /// The requests that clients send to hosts and paths, which Ingresses and HTTPRoutes of the
    /// manifests bring to Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<EntranceSpec>,
    /// How services are reached, by clients and by each other, where that is not the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// Faults and changes, each at its time, in any order.
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
    /// Faults that come by chance.
    #[serde(default)]
    pub faults: Vec<RandomFault>,
    /// What must hold; `wavetank check` fails if any of these is missed.
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// Where the figures of this file are from: which were measured, and which are guesses.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// How much a run may come to; one of more is refused before it starts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// What the invoice has beside the nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bill: Bill,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Scenario {
    /// The calls that requests to the pods of workloads make, with all images.
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
    /// A KubeSchedulerConfiguration file, relative to this file. Default: the profile that
    /// kube-scheduler has without one.
    pub config: Option<String>,
}

/// Flags of kube-controller-manager, with their real defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControllerManager {
    /// The flags --horizontal-pod-autoscaler-...
    pub horizontal_pod_autoscaler: HpaSettings,
}

/// An instant of the calendar.
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
