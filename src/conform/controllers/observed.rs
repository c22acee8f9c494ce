//! Details of each change at the time it happens: later the object may have changed or be gone.

use serde_json::{Value, json};

use cluster::job::COMPLETION_INDEX;
use cluster::node::Node;
use cluster::pod::{Owner, Pod, PodPhase};
use cluster::pod_template::TaintEffect;
use cluster::{Change, ClusterView, Name};
use sim::control_plane::{LogEntry, Logged, Observer};

/// A change with the resulting state.
#[derive(Clone, Debug)]
pub(super) struct ObservedChange {
    pub(super) change: Change,
    pub(super) pod: Option<ObservedPod>,
    /// For a node: name, Ready status, reason, taints.
    pub(super) node: Option<Value>,
}

/// A pod right after a change.
#[derive(Clone, Debug)]
pub(super) struct ObservedPod {
    pub(super) owner: Option<Owner>,
    pub(super) name: Name,
    pub(super) image: Name,
    /// The completion index of a pod of an Indexed Job.
    pub(super) index: Option<Name>,
    pub(super) phase: PodPhase,
    pub(super) is_ready: bool,
    pub(super) node: Option<Name>,
    /// Phase, Ready and DisruptionTarget in the form of the golden data.
    pub(super) status: String,
}

/// Collects changes until they are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct ChangeCollector {
    pub(super) seen: Vec<ObservedChange>,
    /// Number of refused pod creations.
    pub(super) refused_pods: usize,
}

impl Observer for ChangeCollector {
    fn changed(&mut self, view: ClusterView<'_>, changes: &[Change]) {
        for change in changes {
            let (mut pod, mut node) = (None, None);
            match *change {
                Change::PodAdded(id) | Change::PodUpdated(id, _) => {
                    pod = view.pods().get(id).map(|pod| seen_pod(view, pod));
                }
                Change::NodeAdded(id) | Change::NodeUpdated(id) => {
                    node = view.nodes().get(id).map(node_state);
                }
                _ => {}
            }
            self.seen.push(ObservedChange { change: change.clone(), pod, node });
        }
    }

    fn logged(&mut self, entry: LogEntry) {
        if matches!(entry.what, Logged::Refused { verb: "CreatePod", .. }) {
            self.refused_pods += 1;
        }
    }
}

fn seen_pod(view: ClusterView<'_>, pod: &Pod) -> ObservedPod {
    let node = pod.node.and_then(|node| view.nodes().get(node));
    ObservedPod {
        owner: pod.owner,
        name: pod.name().clone(),
        image: view.template_of(pod).spec.containers[0].image.clone(),
        index: view.labels_of(pod).get(COMPLETION_INDEX).cloned(),
        phase: pod.phase,
        is_ready: pod.is_ready(),
        node: node.map(|node| node.meta.name().clone()),
        status: status_text(pod),
    }
}

fn status_text(pod: &Pod) -> String {
    let mut text = pod.phase.as_str().to_owned();
    if let Some(ready) = pod.ready {
        text.push_str(" Ready=");
        text.push_str(ready.status.as_str());
    }
    if let Some(reason) = pod.disruption_target {
        text.push_str(" DisruptionTarget=True/");
        text.push_str(reason);
    }
    text
}

/// `[node, Ready status, reason, taints]`.
fn node_state(node: &Node) -> Value {
    let reason = node.ready_reason();
    let status = reason.map(|_| node.ready.status.as_str());
    json!([node.meta.name().as_ref(), status, reason, taints(node)])
}

/// The taints in the form of the golden data, sorted as text.
pub(super) fn taints(node: &Node) -> Vec<String> {
    let effect = |effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    let short = |key: &str| key.strip_prefix("node.kubernetes.io/").unwrap_or(key).to_owned();
    let mut all: Vec<String> = node
        .taints
        .iter()
        .map(|taint| format!("{}:{}", short(&taint.key), effect(taint.effect)))
        .collect();
    all.sort_unstable();
    all
}
