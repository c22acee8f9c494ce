//! In-place resizes of running pods.

use std::collections::BTreeMap;

use super::apps::Apps;
use super::environment::Environment;
use super::targets::{Identity, drawn_pods, stream_of};
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::pod_template::ResourceList;
use cluster::resize::ContainerResize;
use cluster::{Action, ClusterView};
use faults::ResizeChange;
use traffic::Traffic;
use units::Quantity;

/// Memory in use by the applications of pods that are being resized.
#[derive(Debug)]
pub(super) struct MemoryInUse(Vec<(PodId, i64)>);

impl MemoryInUse {
    /// For the pods of a node.
    pub(super) fn of_resized(
        view: ClusterView<'_>,
        apps: &Apps,
        traffic: &mut Traffic,
        node: NodeId,
    ) -> Self {
        let resized = view.pods_on(node).filter(|(_, pod)| pod.resize.is_some());
        let in_use = |id| Some((id, apps.memory_in_use(view.now, id, traffic)?));
        Self(resized.map(|(id, _)| id).filter_map(in_use).collect())
    }

    /// For one pod, if it runs [bytes].
    pub(super) fn of(&self, pod: PodId) -> Option<i64> {
        self.0.iter().find(|(id, _)| *id == pod).map(|(_, in_use)| *in_use)
    }
}

/// `kubectl patch pod --subresource resize` of randomly chosen pods of a workload.
pub(super) fn resize_pods(env: &mut Environment, change: &ResizeChange, identity: Identity) {
    let stream = stream_of(env, "resized pods", identity);
    for pod in drawn_pods(env, &change.workload, change.count, stream) {
        let view = env.view();
        let Some(object) = view.pods().get(pod) else { continue };
        let first = view.template_of(object).spec.containers.first();
        let first = first.map(|container| container.name.clone()).unwrap_or_default();
        let list = |amounts: &BTreeMap<String, Quantity>| {
            let pairs = amounts.iter().map(|(name, amount)| (name.as_str(), *amount));
            pairs.collect::<ResourceList>()
        };
        let resize = ContainerResize {
            container: change.container.clone().unwrap_or(first),
            requests: list(&change.requests),
            limits: list(&change.limits),
        };
        env.act("user", Action::ResizePod(pod, vec![resize]));
    }
}
