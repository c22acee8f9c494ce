//! The file format of a recorded case.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use manifest::karpenter::{NodePoolSpec, NodePoolTaint};

/// Amounts by resource.
pub(super) type Resources = BTreeMap<String, String>;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) layer: Layer,
    #[serde(default)]
    #[expect(dead_code, reason = "a line for people")]
    title: String,
    #[serde(default)]
    #[expect(dead_code, reason = "from which the case was drawn")]
    seed: Value,
    #[serde(default)]
    pub(super) options: CaseOptions,
    #[serde(default)]
    pub(super) start_offset_s: f64,
    pub(super) instance_types: Option<Vec<String>>,
    #[serde(default)]
    pub(super) unavailable_offerings: Vec<OfferingChoice>,
    pub(super) nodepools: Vec<Pool>,
    #[serde(default)]
    pub(super) daemonsets: Vec<DaemonSet>,
    #[serde(default)]
    pub(super) nodes: Vec<CaseNode>,
    #[serde(default)]
    pub(super) pods: Vec<CasePod>,
    #[serde(default)]
    pub(super) pdbs: Vec<CaseBudget>,
    pub(super) sequence: Option<Sequence>,
    pub(super) expected: Expected,
}

/// The type of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layer {
    Provisioning,
    Disruption,
    Sequence,
}

/// The recorded outcomes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Expected {
    pub(super) outcomes: Vec<Map<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseOptions {
    pub(super) preference_policy: Option<String>,
    pub(super) min_values_policy: Option<String>,
    #[serde(default)]
    pub(super) spot_to_spot_consolidation: bool,
    pub(super) max_instance_types: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfferingChoice {
    #[serde(default)]
    pub(super) instance_type: String,
    #[serde(default)]
    pub(super) zone: String,
    #[serde(default)]
    pub(super) capacity_type: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) spec: NodePoolSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DaemonSet {
    pub(super) name: String,
    #[serde(default)]
    pub(super) requests: Resources,
    #[serde(default)]
    pub(super) host_ports: Vec<u16>,
    #[serde(default)]
    pub(super) spec: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseNode {
    pub(super) name: String,
    pub(super) nodepool: Option<String>,
    pub(super) instance_type: String,
    pub(super) zone: String,
    pub(super) capacity_type: String,
    pub(super) state: NodeStage,
    #[serde(default)]
    pub(super) age_s: f64,
    pub(super) initialized_age_s: Option<f64>,
    pub(super) last_pod_event_age_s: Option<f64>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) taints: Vec<NodePoolTaint>,
    #[serde(default)]
    pub(super) startup_taints: Vec<NodePoolTaint>,
    #[serde(default)]
    pub(super) marked_for_deletion: bool,
    #[serde(default)]
    pub(super) nominated: bool,
    #[serde(default)]
    pub(super) not_ready: bool,
    pub(super) consolidatable: Option<bool>,
    pub(super) drifted_age_s: Option<f64>,
    #[serde(default)]
    pub(super) nodepool_hash_mismatch: bool,
}

/// Progress of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NodeStage {
    Inflight,
    Registered,
    Initialized,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CasePod {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) uid: String,
    #[serde(default)]
    pub(super) age_s: f64,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner: Option<String>,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) requests: Resources,
    #[serde(default)]
    pub(super) host_ports: Vec<u16>,
    #[serde(default)]
    pub(super) spec: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseBudget {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) selector: BTreeMap<String, String>,
    pub(super) min_available: Option<Value>,
    pub(super) max_unavailable: Option<Value>,
    #[serde(default)]
    pub(super) disruptions_allowed: i32,
    pub(super) unhealthy_pod_eviction_policy: Option<String>,
}

/// A timeline: external events, and the duration of each step in seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sequence {
    #[serde(default)]
    pub(super) actions: Vec<SequenceAction>,
    pub(super) disruption: bool,
    pub(super) disruption_start_s: f64,
    pub(super) requeue_latency_s: f64,
    pub(super) launch_s: f64,
    pub(super) register_s: f64,
    pub(super) initialize_s: f64,
    pub(super) terminate_s: f64,
    pub(super) bind_hold_until_s: Option<f64>,
    pub(super) until_s: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SequenceAction {
    pub(super) at_s: f64,
    #[serde(default)]
    pub(super) add_pods: Vec<CasePod>,
    #[serde(default)]
    pub(super) delete_pods: Vec<String>,
}
