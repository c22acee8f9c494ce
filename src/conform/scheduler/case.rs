//! The file format of a recorded case.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// One case: a cluster, pods to schedule, and the decisions of the real scheduler.
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
    /// The pods contain their priorities already.
    #[serde(default, rename = "priorityClasses")]
    _priority_classes: IgnoredAny,
    #[serde(default)]
    pub(super) options: Options,
    /// The pods in the order popped, retries included.
    pub(super) queue: Vec<String>,
    pub(super) steps: Vec<BTreeMap<String, Value>>,
}

/// Continuation of the case after a step.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Options {
    pub(super) requeue: Requeue,
    pub(super) victims: Victims,
    /// True if the gates of all gated pods are removed after the first pass.
    pub(super) ungate: bool,
    pub(super) detail: Detail,
}

/// Retry of a pod after a preemption on its behalf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Requeue {
    /// It is not retried.
    #[default]
    Never,
    /// It enters the active queue at once.
    Immediate,
    /// It enters the active queue when that is empty.
    End,
}

/// State of preempted pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Victims {
    /// They are removed at once.
    #[default]
    Gone,
    /// They stay, terminating.
    Terminating,
}

/// Level of detail of recorded scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Detail {
    /// The scores of every plugin.
    #[default]
    All,
    /// Only the totals.
    Totals,
}
