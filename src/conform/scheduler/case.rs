//! A recorded case as it lies in the file.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// One case: a cluster, pods to place, and what the real scheduler did with them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Case {
    pub(super) id: String,
    #[serde(rename = "category")]
    _category: IgnoredAny,
    #[serde(rename = "desc")]
    _description: IgnoredAny,
    /// A KubeSchedulerConfiguration; absent = the default profile.
    pub(super) profile: Option<Value>,
    pub(super) nodes: Vec<core::Node>,
    #[serde(default)]
    pub(super) running: Vec<core::Pod>,
    pub(super) pending: Vec<core::Pod>,
    #[serde(default)]
    pub(super) namespaces: Vec<core::Namespace>,
    #[serde(default)]
    pub(super) services: Vec<core::Service>,
    #[serde(default)]
    pub(super) replica_sets: Vec<Owner>,
    #[serde(default)]
    pub(super) stateful_sets: Vec<Owner>,
    #[serde(default)]
    pub(super) pdbs: Vec<policy::PodDisruptionBudget>,
    /// The priorities are in the pods already.
    #[serde(default, rename = "priorityClasses")]
    _priority_classes: IgnoredAny,
    #[serde(default)]
    pub(super) options: Options,
    /// The pods in the order popped, retries included.
    pub(super) queue: Vec<String>,
    pub(super) steps: Vec<BTreeMap<String, Value>>,
}

/// A ReplicaSet or StatefulSet: only its selector plays a part.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) metadata: OwnerMetadata,
    pub(super) spec: OwnerSpec,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnerMetadata {
    pub(super) name: String,
    pub(super) namespace: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnerSpec {
    pub(super) selector: LabelSelector,
}

/// How the case goes on after a step.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Options {
    pub(super) requeue: Requeue,
    pub(super) victims: Victims,
    /// After the first pass the gates of all gated pods go.
    pub(super) ungate: bool,
    pub(super) detail: Detail,
}

/// What happens to a pod after preemption made room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Requeue {
    /// It is not tried again.
    #[default]
    Never,
    /// It goes into the active queue at once.
    Immediate,
    /// It goes into the active queue when that has run dry.
    End,
}

/// What becomes of preempted pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Victims {
    /// They are gone at once.
    #[default]
    Gone,
    /// They stay, terminating.
    Terminating,
}

/// What is recorded of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Detail {
    /// Those of every plugin.
    #[default]
    All,
    /// The totals.
    Totals,
}
