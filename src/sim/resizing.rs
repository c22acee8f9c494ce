//! Pods whose resources change while they run.

use std::collections::BTreeMap;

use super::simulation::Simulation;
use cluster::Action;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::pod_template::ResourceList;
use cluster::resize::ContainerResize;
use engine::Streams;
use faults::ResizeChange;
use units::Quantity;

impl Simulation {
    /// A pod asks for other amounts, or has got them.
    pub(super) fn pod_resized(&mut self, pod: PodId) {
        let view = self.plane.view(self.now);
        self.apps.resized(view, pod, &mut self.traffic);
        if let Some(node) = view.pods().get(pod).and_then(|pod| pod.node) {
            let in_use = self.memory_of_resized(node);
            self.kubelet(|kubelet, view, out| {
                kubelet.pod_resized(view, pod, &|pod| in_use_of(&in_use, pod), out);
            });
        }
    }

    /// A pod may have ended: what it had is room for others.
    pub(super) fn room_made(&mut self, pod: PodId) {
        let pod = self.plane.store().pods().get(pod).filter(|pod| pod.phase.is_terminal());
        if let Some(node) = pod.and_then(|pod| pod.node) {
            self.retry_resizes(node);
        }
    }

    /// Looks again at the resizes of a node that are not through.
    pub(super) fn retry_resizes(&mut self, node: NodeId) {
        if self.kubelet.nodes_with_pending_resizes().contains(&node) {
            let in_use = self.memory_of_resized(node);
            self.kubelet(|kubelet, view, out| {
                kubelet.retry_resizes(view, node, &|pod| in_use_of(&in_use, pod), out);
            });
        }
    }

    /// Looks again at all resizes that are not through.
    pub(super) fn retry_all_resizes(&mut self) {
        let nodes = self.kubelet.nodes_with_pending_resizes();
        for node in nodes.iter().copied().collect::<Vec<_>>() {
            self.retry_resizes(node);
        }
    }

    /// Memory in use by the applications of the pods of a node that are being resized [bytes].
    fn memory_of_resized(&mut self, node: NodeId) -> Vec<(PodId, i64)> {
        let view = self.plane.view(self.now);
        let resized = view.pods_on(node).filter(|(_, pod)| pod.resize.is_some());
        let resized: Vec<PodId> = resized.map(|(id, _)| id).collect();
        let now = self.now;
        let in_use = |id| Some((id, self.apps.memory_in_use(now, id, &mut self.traffic)?));
        resized.into_iter().filter_map(in_use).collect()
    }

    /// `kubectl patch pod --subresource resize` of pods of a workload.
    pub(super) fn resize(&mut self, change: &ResizeChange, entry: u32) {
        let stream = Streams::new(self.world.seed).stream("resized pods", entry.into());
        for pod in self.drawn_pods(&change.workload, change.count, stream) {
            let view = self.plane.view(self.now);
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
            self.act("user", Action::ResizePod(pod, vec![resize]));
        }
    }
}

fn in_use_of(all: &[(PodId, i64)], pod: PodId) -> Option<i64> {
    all.iter().find(|(id, _)| *id == pod).map(|(_, in_use)| *in_use)
}
