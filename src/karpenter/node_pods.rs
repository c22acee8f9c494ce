//! The pods on a node, with precomputed totals.

use std::ops::Deref;
use std::sync::Arc;

use super::amounts::Amounts;
use super::labels::DO_NOT_DISRUPT;
use super::pod::{Pod, PodOwner};

/// The pods on a node, with precomputed totals. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct NodePods(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    pods: Vec<Arc<Pod>>,
    requests: Amounts,
    daemon_requests: Amounts,
    repels: bool,
    has_do_not_disrupt: bool,
    reschedulable: Arc<[Arc<Pod>]>,
    eviction_cost: f64,
}

impl NodePods {
    /// Total requests of the pods that have not finished.
    pub fn requests(&self) -> &Amounts {
        &self.0.requests
    }

    /// Total requests of the DaemonSet pods that have not finished.
    pub(crate) fn daemon_requests(&self) -> &Amounts {
        &self.0.daemon_requests
    }

    /// True if any pod has a required anti-affinity.
    pub fn repels(&self) -> bool {
        self.0.repels
    }

    /// True if any pod has the annotation `karpenter.sh/do-not-disrupt`, active or not.
    pub(crate) fn has_do_not_disrupt(&self) -> bool {
        self.0.has_do_not_disrupt
    }

    /// The pods that have to be rescheduled if the node is removed.
    pub(crate) fn reschedulable(&self) -> &Arc<[Arc<Pod>]> {
        &self.0.reschedulable
    }

    /// Total eviction cost of all pods, including DaemonSet pods and finished ones.
    pub(crate) fn eviction_cost(&self) -> f64 {
        self.0.eviction_cost
    }

    /// Adds a pod.
    pub fn push(&mut self, pod: Arc<Pod>) {
        *self = self.iter().cloned().chain([pod]).collect();
    }

    /// Removes the pod at this position.
    pub fn remove(&mut self, place: usize) -> Option<Arc<Pod>> {
        let mut pods = self.0.pods.clone();
        let removed = (place < pods.len()).then(|| pods.remove(place));
        *self = pods.into_iter().collect();
        removed
    }
}

impl Deref for NodePods {
    type Target = [Arc<Pod>];

    fn deref(&self) -> &Self::Target {
        &self.0.pods
    }
}

impl<'a> IntoIterator for &'a NodePods {
    type Item = &'a Arc<Pod>;
    type IntoIter = std::slice::Iter<'a, Arc<Pod>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Arc<Pod>> for NodePods {
    fn from_iter<I: IntoIterator<Item = Arc<Pod>>>(pods: I) -> Self {
        let pods: Vec<Arc<Pod>> = pods.into_iter().collect();
        let (mut requests, mut daemon_requests) = (Amounts::default(), Amounts::default());
        for pod in pods.iter().filter(|pod| !pod.is_terminal) {
            requests.add(&pod.requests);
            if pod.owner == PodOwner::DaemonSet {
                daemon_requests.add(&pod.requests);
            }
        }
        let repels = pods.iter().any(|pod| !pod.template.spec.affinity.required_anti.is_empty());
        let has_do_not_disrupt =
            pods.iter().any(|pod| pod.annotations.contains_key(DO_NOT_DISRUPT));
        Self(Arc::new(Counted {
            reschedulable: pods.iter().filter(|pod| pod.is_reschedulable()).cloned().collect(),
            eviction_cost: pods.iter().map(|pod| pod.eviction_cost()).sum(),
            pods,
            requests,
            daemon_requests,
            repels,
            has_do_not_disrupt,
        }))
    }
}
