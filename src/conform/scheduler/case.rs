//! A recorded case as it lies in the file.

use std::collections::BTreeMap;

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
    pub(super) nodes: Vec<Value>,
    #[serde(default)]
    pub(super) running: Vec<Value>,
    pub(super) pending: Vec<Value>,
    #[serde(default)]
    pub(super) namespaces: Vec<Value>,
    #[serde(default)]
    pub(super) services: Vec<Value>,
    #[serde(default)]
    pub(super) replica_sets: Vec<Value>,
    #[serde(default)]
    pub(super) stateful_sets: Vec<Value>,
    #[serde(default)]
    pub(super) pdbs: Vec<Value>,
    /// The priorities are in the pods already.
    #[serde(default, rename = "priorityClasses")]
    _priority_classes: IgnoredAny,
    #[serde(default)]
    pub(super) options: Options,
    /// The pods in the order popped, retries included.
    pub(super) queue: Vec<String>,
    pub(super) steps: Vec<BTreeMap<String, Value>>,
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
