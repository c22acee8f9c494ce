//! The golden cases as they are written: one JSON document per line. Schema: the README beside the
//! data, section 1.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::check_length;

/// One run of the real controllers: what was there, what was done, what happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// Names the case.
    pub id: String,
    /// `deployment`, `victims`, ...
    pub class: String,
    /// Controllers that ran.
    #[serde(default)]
    pub controllers: Vec<String>,
    /// Wall-clock instant of t = 0.
    #[serde(default)]
    pub t0: String,
    /// Where the run ends, in seconds.
    #[serde(default)]
    pub until: f64,
    /// Objects created at t = 0.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// What was done, in order of time.
    #[serde(default)]
    pub actions: Vec<Value>,
    /// How pods behave, by image, `default` for the rest.
    #[serde(default)]
    pub kubelet: BTreeMap<String, PodModel>,
    /// The nodes.
    #[serde(default)]
    pub nodes: Nodes,
    /// Whether there is no scheduler.
    #[serde(default)]
    pub no_bind: bool,
    /// Only the first pods of the list are recorded.
    #[serde(default)]
    pub pods_list_truncated: bool,
    /// Phase of the node leases, in seconds.
    #[serde(default)]
    pub lease_offset: f64,
    /// What a second run left equal.
    #[serde(default)]
    pub stable: Stable,
    /// What happened.
    pub expect: Expectation,
    /// All else, for the classes that need it.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// The fake kubelet's model of a pod; times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodModel {
    /// From bind to Running.
    pub start: f64,
    /// From Running to Ready; negative = never.
    pub ready: f64,
    /// From the deletion mark to the end.
    pub term: f64,
    /// From Running to exit; absent = never.
    pub run_for: Option<f64>,
    /// Exit code at the end of `run_for`.
    #[serde(default)]
    pub exit: i32,
    /// Ready delays of an owner's pods in turn.
    #[serde(default)]
    pub ready_cycle: Vec<f64>,
    /// Models of an owner's pods in turn; the last one stays.
    #[serde(default)]
    pub sequence: Vec<Override>,
}

/// What a pod of a sequence does differently.
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
    /// So many, named n01, n02, ...
    Count(usize),
    /// These.
    List(Vec<NodeEntry>),
}

/// The most nodes of a case that is replayed: a slip of the keyboard is told, and not worked at for days.
const MOST_NODES: usize = 10_000;
/// The most pods that exist at once in a replay.
const MOST_PODS: usize = 50_000;

impl Case {
    /// The wall-clock instant of t = 0.
    pub fn start(&self) -> Result<Timestamp, String> {
        if self.t0.is_empty() {
            return Ok(Timestamp::default());
        }
        self.t0.parse().map_err(|_| format!("t0: {} is no date", self.t0))
    }

    /// Says what makes the case too large to be replayed.
    pub fn check_size(&self) -> Result<(), String> {
        let nodes = match &self.nodes {
            Nodes::Count(count) => *count,
            Nodes::List(entries) => entries.len(),
        };
        if nodes > MOST_NODES {
            return Err(format!("nodes: {nodes} are more than {MOST_NODES}"));
        }
        check_length("until", self.until)
    }

    /// Whether so many pods can still be replayed.
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
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Value,
}

/// What a second serial run of the real controllers left equal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stable {
    /// Which pod was created, deleted, ... when.
    pub pod_ordinals: bool,
}

/// What happened.
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
    /// Further accepted records, from runs in which the events of an instant came together.
    pub alternatives_batched: Vec<Value>,
    /// Victims: how many go.
    pub delete: usize,
    /// Victims: those that always go.
    pub certain: Option<Vec<String>>,
    /// Victims: those of which some go.
    pub tied: Option<Tie>,
}

/// `pick` of `among` go.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tie {
    /// How many.
    pub pick: usize,
    /// Which may.
    pub among: Vec<String>,
}
