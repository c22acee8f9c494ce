//! The file format of golden cases: one JSON document per line. Schema: section 1 of the README next to the data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::check_length;

/// One run of the real controllers: objects, actions, and the results.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// Name of the case.
    pub id: String,
    /// Class of the case: `deployment`, `victims`, ...
    pub class: String,
    /// Controllers that ran.
    #[serde(default)]
    pub controllers: Vec<String>,
    /// Wall-clock time of t = 0.
    #[serde(default)]
    pub t0: String,
    /// End of the run in seconds.
    #[serde(default)]
    pub until: f64,
    /// Objects created at t = 0.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// The actions, ordered by time.
    #[serde(default)]
    pub actions: Vec<Value>,
    /// Pod behaviour by image, with `default` for all others.
    #[serde(default)]
    pub kubelet: BTreeMap<String, PodModel>,
    /// The nodes.
    #[serde(default)]
    pub nodes: Nodes,
    /// True if there is no scheduler.
    #[serde(default)]
    pub no_bind: bool,
    /// True if only the first pods of the list are recorded.
    #[serde(default)]
    pub pods_list_truncated: bool,
    /// Phase of the node lease renewals in seconds.
    #[serde(default)]
    pub lease_offset: f64,
    /// Which results a second run reproduced.
    #[serde(default)]
    pub stable: Stable,
    /// The recorded results.
    pub expect: Expectation,
    /// All other fields, for the classes that use them.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// The fake kubelet's model of a pod; times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodModel {
    /// From bind to Running.
    pub start: f64,
    /// From Running to Ready; negative = never Ready.
    pub ready: f64,
    /// From the deletion timestamp to the end.
    pub term: f64,
    /// From Running to exit; absent = never.
    pub run_for: Option<f64>,
    /// Exit code at the end of `run_for`.
    #[serde(default)]
    pub exit: i32,
    /// Ready delays assigned to an owner's pods in turn.
    #[serde(default)]
    pub ready_cycle: Vec<f64>,
    /// Models assigned to an owner's pods in turn; the last one applies to all further pods.
    #[serde(default)]
    pub sequence: Vec<Override>,
}

/// Overrides for one pod of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// See [`PodModel`].
    pub start: Option<f64>,
    /// See [`PodModel`].
    pub ready: Option<f64>,
    /// See [`PodModel`].
    pub term: Option<f64>,
    /// See [`PodModel`].
    pub run_for: Option<f64>,
    /// See [`PodModel`].
    pub exit: Option<i32>,
}

/// The nodes of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Nodes {
    /// This many nodes, named n01, n02, ...
    Count(usize),
    /// These nodes.
    List(Vec<NodeEntry>),
}

/// Maximum number of nodes in a case, so that a typing error is reported instead of taking days to replay.
const MOST_NODES: usize = 10_000;
/// Maximum number of pods that exist at once in a replay.
const MOST_PODS: usize = 50_000;

impl Case {
    /// The wall-clock time of t = 0.
    pub fn start(&self) -> Result<Timestamp, String> {
        if self.t0.is_empty() {
            return Ok(Timestamp::default());
        }
        self.t0.parse().map_err(|_| format!("t0: {} is not a date", self.t0))
    }

    /// Rejects a case that is too large to be replayed.
    pub(crate) fn check_size(&self) -> Result<(), String> {
        let nodes = match &self.nodes {
            Nodes::Count(count) => *count,
            Nodes::List(entries) => entries.len(),
        };
        if nodes > MOST_NODES {
            return Err(format!("nodes: {nodes} are more than {MOST_NODES}"));
        }
        check_length("until", self.until)
    }

    /// Rejects more pods than can be replayed.
    pub(super) fn check_pods(&self, pods: usize) -> Result<(), String> {
        if pods <= MOST_PODS {
            return Ok(());
        }
        let id = &self.id;
        Err(format!(
            "case {id}: comes to more than {MOST_PODS} pods; replicas and maxSurge may ask for so many"
        ))
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::Count(0)
    }
}

/// A node with its labels.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeEntry {
    /// Node name.
    pub name: String,
    /// Node labels.
    #[serde(default)]
    pub labels: Value,
}

/// The results that a second serial run of the real controllers reproduced.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stable {
    /// The identity of the pod in each pod event.
    pub pod_ordinals: bool,
}

/// The recorded results.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expectation {
    /// Settled states.
    pub timeline: Vec<Value>,
    /// `[t, event, owner, ordinal, extra]`.
    pub pods: Option<Vec<Value>>,
    /// `[t, node, Ready status, reason, taints]`.
    pub node_events: Option<Vec<Value>>,
    /// Outcomes of evictions or creations.
    pub results: Option<Vec<Value>>,
    /// Further accepted records of the timeline.
    pub alternatives: Vec<Value>,
    /// Further accepted records, from runs that delivered the events of an instant together.
    pub alternatives_batched: Vec<Value>,
    /// For victims: number of pods deleted.
    pub delete: usize,
    /// For victims: the pods that are always deleted.
    pub certain: Option<Vec<String>>,
    /// For victims: the pods of which only some are deleted.
    pub tied: Option<Tie>,
}

/// `pick` of the pods in `among` are deleted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tie {
    /// Number of pods deleted.
    pub pick: usize,
    /// The candidates.
    pub among: Vec<String>,
}
