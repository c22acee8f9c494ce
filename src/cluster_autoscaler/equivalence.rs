//! Groups of equivalent pods (`cluster-autoscaler/core/scaleup/equivalence`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pods::{Controller, PodInfo};
use cluster::Name;

/// Most pod groups per controller that further pods can join (`maxEquivalenceGroupsByController`).
const MAX_GROUPS: usize = 10;

/// Equivalent pods, with the node groups that can take them and those that cannot.
#[derive(Clone, Debug)]
pub(crate) struct PodGroup {
    /// At least one.
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Node groups that cannot take them, with the reasons.
    pub(crate) errors: BTreeMap<Name, Vec<String>>,
    /// Node groups that can take them.
    pub(crate) schedulable_groups: Vec<Name>,
    pub(crate) is_schedulable: bool,
}

/// Groups pods with the same controller, labels and spec. A pod without a controller gets a group of its own.
pub(crate) fn pod_groups(pods: &[Arc<PodInfo>]) -> Vec<PodGroup> {
    let mut groups: Vec<PodGroup> = Vec::new();
    let mut by_controller: BTreeMap<&Controller, Vec<usize>> = BTreeMap::new();
    for pod in pods {
        let controller = pod.controller.as_ref().filter(|_| !pod.is_daemon_set_pod());
        let known = controller.map(|controller| by_controller.entry(controller).or_default());
        if let Some(known) = known {
            if let Some(at) = known.iter().find(|at| groups[**at].pods[0].is_like(pod)) {
                groups[*at].pods.push(Arc::clone(pod));
                continue;
            }
            if known.len() < MAX_GROUPS {
                known.push(groups.len());
            }
        }
        groups.push(PodGroup {
            pods: vec![Arc::clone(pod)],
            errors: BTreeMap::new(),
            schedulable_groups: Vec::new(),
            is_schedulable: false,
        });
    }
    groups
}
